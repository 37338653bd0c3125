"""mmreason: ask a video a question and get an answer with its evidence and its cost.

Only names live here; everything heavy is loaded when a name is first used.

    import mmreason
    answer = mmreason.ask("clip.mp4", "What colour is the star?")
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmreason.reasoner import Reasoner, ask
    from mmreason.types import Answer, Budget, Evidence, UsageError
    from mmreason.video.types import Span, VideoError

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "Budget",
    "Evidence",
    "Reasoner",
    "Span",
    "UsageError",
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
    "Evidence": "mmreason.types",
    "Reasoner": "mmreason.reasoner",
    "Span": "mmreason.video.types",
    "UsageError": "mmreason.types",
    "VideoError": "mmreason.video.types",
    "ask": "mmreason.reasoner",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mmreason' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
