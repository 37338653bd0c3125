"""Everything that decides what nano becomes, in one JSON file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Literal

from mmreason.training.nano.outside import OutsideKinds
from mmreason.types import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """Shapes of the Qwen3-VL; patch size 8 merged 2x2, so one visual token covers 16x16 pixels and
    two frames."""

    vision_width: int = 160
    vision_depth: int = 4
    vision_mlp: int = 480
    text_width: int = 192
    text_depth: int = 4
    text_mlp: int = 512
    vision_head_dim: int = 32
    text_head_dim: int = 64
    deepstack_layers: tuple[int, ...] = (1,)
    vocabulary: int = 768


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of the curriculum. Shares are probabilities; the rest of the steps are single-scene
    clips.

    Example:
        >>> Stage(share=0.3, image_share=0.35).multi_scene_share
        0.0
    """

    share: float
    """Share of all steps."""
    image_share: float
    """Share of steps that show single frames."""
    multi_scene_share: float = 0.0
    """Share of clips that cross a cut."""
    most_actors: int = 3
    large_share: float = 0.0
    """Share of worlds in which every actor is large and plain."""
    outside_share: float = 0.0
    """Share of examples that show no scripted world at all."""
    outside_kinds: OutsideKinds = "textures"
    """What such examples show (`outside.py`)."""
    word_share: float = 0.15
    """Share of scenes with a word on the screen."""
    half_truth_share: float = 0.0
    """Share of single frames that are also asked about things that only seem to be there."""
    dialogue_share: float = 0.0
    """Share of steps that learn from `dialogues`; `image_share` is of the others."""
    drill_share: float = 0.0
    """Share of steps that learn decisions on short made-up lists, of the same."""
    grounding_share: float = 0.0
    """Share of the other steps that learn to locate and to track by expressions
    (`grounding_examples.py`); `image_share` is of them, too."""
    grounding_k: tuple[int, ...] = (1, 2)
    """Descriptors of such an expression; one that stands twice is drawn twice as often."""
    grounding_n: tuple[int, ...] = (4, 6)
    """Things in a scene."""
    still_expressions: int = 5
    """Asked of one frame, at most."""
    clip_expressions: int = 2
    """Asked of one clip, at most."""
    grounding_stills: tuple[str, ...] = ("attribute",)
    """Families of Ref-Adv of single frames."""
    grounding_clips: tuple[str, ...] = ("motion", "order")
    """Families of clips."""
    drill_levels: tuple[int, ...] = (0,)
    """Of such lists (`navigation/exercises.py`); one that stands twice is drawn twice as often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NanoConfig:
    """What a run does. Its JSON file may leave out what has a default.

    Example:
        >>> NanoConfig(steps=100).stage_at(50).image_share
        0.35
    """

    start: str | None = None
    """Model folder (or `nano`, the packaged one) whose weights and tokenizer the run goes on from;
    None: random weights. The architecture must be the folder's own."""
    seed: int = 7
    steps: int = 2600
    image_batch: int = 48
    clip_batch: int = 16
    clip_frames: int = 8
    size_px: tuple[int, int] = (144, 80)
    questions: int = 5
    """Questions asked of each clip; they share its visual tokens."""
    matrix_lr: float = 2e-3
    """Learning rate of Muon, for weight matrices."""
    other_lr: float = 2e-3
    """Learning rate of AdamW, for embeddings, norms and biases."""
    weight_decay: float = 0.05
    warmup_steps: int = 60
    cooldown_share: float = 0.4
    auxiliary_weight: float = 0.5
    """Weight of the dense targets: what every visual token shows."""
    checkpoint_every: int = 200
    compute: Literal["bfloat16", "float32"] = "bfloat16"
    """Of forward, backward and Muon. float32 is many times faster on processors without
    bfloat16."""
    freeze_vision: bool = False
    """Whether the vision tower stays as it is."""
    drill_tokens: int = 6144
    """Tokens of a batch of made-up lists, about."""
    dialogues: str | None = None
    """File of text samples (`mmreason data navigation`)."""
    dialogue_tokens: int = 8192
    """Tokens of a batch of them."""
    dialogue_longest: int = 3072
    """Longer conversations are left out."""
    architecture: Architecture = field(default_factory=Architecture)
    stages: tuple[Stage, ...] = (
        Stage(share=0.08, image_share=1.0, most_actors=1, large_share=0.5),
        Stage(share=0.17, image_share=1.0, most_actors=3, large_share=0.1),
        Stage(share=0.3, image_share=0.35, most_actors=3, outside_share=0.04),
        Stage(share=0.45, image_share=0.25, multi_scene_share=0.35, outside_share=0.06),
    )

    def stage_at(self, step: int) -> Stage:
        """The part of the curriculum that step 0, 1, ... belongs to."""
        end = 0.0
        for stage in self.stages:
            end += stage.share
            # Shares such as 0.08 + 0.17 add up to a little more than they say.
            if step < end * self.steps - 1e-9:
                return stage
        return self.stages[-1]

    def to_json(self) -> str:
        """As `load` reads it back."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def load(cls, path: Path) -> NanoConfig:
        """Read a config file; missing keys keep their defaults, unknown ones are refused."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            data["architecture"] = _build(Architecture, data.get("architecture", {}))
            if "stages" in data:
                data["stages"] = tuple(_build(Stage, stage) for stage in data["stages"])
            return _build(cls, data)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise UsageError(f"{path}: not a nano config: {error}") from error


def _build(kind, data: dict):
    unknown = set(data) - {f.name for f in fields(kind)}
    if unknown:
        raise ValueError(
            f"unknown key(s) {sorted(unknown)}; known: {[f.name for f in fields(kind)]}"
        )
    tuples = {k: tuple(v) if isinstance(v, list) and k != "stages" else v for k, v in data.items()}
    return kind(**tuples)
