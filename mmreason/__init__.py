"""mmreason: ask a video a question and get an answer with its evidence and its cost.

Only names live here; everything heavy is loaded when a name is first used.

    import mmreason
    answer = mmreason.ask("clip.mp4", "What colour is the star?")
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

# As `typing` has it, without importing that: the command line meets Ctrl-C only after this module.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mmreason.agent.batch import Failure, Result
    from mmreason.agent.question import Question
    from mmreason.grounding import Grounding
    from mmreason.library.library import Library
    from mmreason.memory.store import Store
    from mmreason.reasoner import Reasoner, ask
    from mmreason.types import Answer, Budget, Cost, Evidence, Step, StopReason, UsageError
    from mmreason.video.reader import Video
    from mmreason.video.subtitles import Subtitles
    from mmreason.video.types import Span, VideoError

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "Budget",
    "Cost",
    "Evidence",
    "Failure",
    "Grounding",
    "Library",
    "Question",
    "Reasoner",
    "Result",
    "Span",
    "Step",
    "StopReason",
    "Store",
    "Subtitles",
    "UsageError",
    "Video",
    "VideoError",
    "__version__",
    "ask",
]

# A checkout without link support holds small text files where the links to video/, grounding/ and
# training/ should be: find those folders beside this one instead.
_HERE = Path(__file__).resolve().parent
if not (_HERE / "video").is_dir() and (_HERE.parent / "video" / "types.py").is_file():
    __path__.append(str(_HERE.parent))

_HOMES = {
    "Answer": "mmreason.types",
    "Budget": "mmreason.types",
    "Cost": "mmreason.types",
    "Evidence": "mmreason.types",
    "Failure": "mmreason.agent.batch",
    "Grounding": "mmreason.grounding",
    "Library": "mmreason.library.library",
    "Question": "mmreason.agent.question",
    "Reasoner": "mmreason.reasoner",
    "Result": "mmreason.agent.batch",
    "Span": "mmreason.video.types",
    "Step": "mmreason.types",
    "StopReason": "mmreason.types",
    "Store": "mmreason.memory.store",
    "Subtitles": "mmreason.video.subtitles",
    "UsageError": "mmreason.types",
    "Video": "mmreason.video.reader",
    "VideoError": "mmreason.video.types",
    "ask": "mmreason.reasoner",
}
"""Where each public name is defined; the module is imported when the name is first used."""

_SUBPACKAGES = ("grounding", "models", "policies", "training", "video")
"""Reachable as attributes after `import mmreason`, imported when first used."""


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return import_module(f"mmreason.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'mmreason' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names only: what a notebook offers to complete."""
    return sorted([*__all__, *_SUBPACKAGES])
