"""Everything that decides what a supervised run does, in one value of parts. Checked when it is
made.

A recipe file is YAML or Python with the same keys (`runs/recipe_file.py`). `trainer.py` does what
it says.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from mmreason.training.checked_settings import WHOLE, Kind, check_settings, part, setting
from mmreason.training.data.sample import Sample
from mmreason.training.data.settings import DataSettings
from mmreason.training.learner.adapters import TrainedWeights
from mmreason.training.learner.logprobs import Precision
from mmreason.training.learner.packing import LayoutKind
from mmreason.training.learner.policy_model import PolicyModel
from mmreason.training.parallel.strategy import OptimiserSettings
from mmreason.training.runs.recipe_parts import CheckpointSettings, ReportSettings
from mmreason.types import UsageError

Formula = Literal["cross_entropy", "dpo"]
BestBy = Literal["eval/loss", "eval/correct", "eval/preferred"]
LOWER_IS_BETTER = frozenset({"eval/loss"})


def _is_model(value: Any) -> bool:
    is_path = hasattr(value, "__fspath__") and bool(str(value))
    return callable(value) or is_path or (isinstance(value, str) and bool(value))


def _are_samples(value: Any) -> bool:
    return (
        hasattr(value, "__len__") and hasattr(value, "__getitem__") and not isinstance(value, str)
    )


_MODEL = Kind(_is_model, "a name, a folder, or a function that makes a PolicyModel")
_FOLDER = Kind(lambda value: isinstance(value, str | os.PathLike), "the path of a folder")
_SAMPLES = Kind(_are_samples, "a sequence of Samples")


@dataclass(frozen=True, slots=True, kw_only=True)
class SftObjective:
    """What is minimised.

    Example:
        >>> SftObjective(formula="dpo", beta=0.05).neftune_alpha
        0.0
    """

    formula: Formula = setting("cross_entropy", choices=get_args(Formula), flat_name="objective")
    """Mean negative log-probability of learnt tokens, or preference over a worse answer (DPO,
    Rafailov et al. 2023, equation 7)."""
    beta: float = setting(0.1, above=0)
    """Of DPO: how far the model may move from the reference."""
    label_smoothing: float = setting(0.0, least=0, below=0.5)
    """Of DPO: share of pairs that are taken to be the wrong way round."""
    neftune_alpha: float = setting(0.0, least=0)
    """Noise on embeddings while training (NEFTune, Jain et al. 2023); 0 for none."""

    def __post_init__(self) -> None:
        check_settings(self, "objective")


@dataclass(frozen=True, slots=True, kw_only=True)
class SftBatching:
    """Which rows make an update, and what goes through the model at once.

    Example:
        >>> SftBatching(rows=8, precision="bf16").layout
        'padded'
    """

    rows: int = setting(16, least=1, flat_name="rows_per_update")
    """Rows of an update, over all processes."""
    micro_tokens: int = setting(8_192, least=1)
    """Tokens in one forward pass, padding included."""
    longest_tokens: int | None = setting(None, kind=WHOLE, least=1)
    """Rows of more tokens are left out and named; None: as many as the model's context holds."""
    layout: LayoutKind = setting("padded", choices=get_args(LayoutKind))
    precision: Precision = setting("no", choices=get_args(Precision))
    vision_cache_gb: float = setting(4.0, least=0, moves_numbers=False)
    """Memory for features of frames from eyes that are not trained, on the device; 0 for none."""

    def __post_init__(self) -> None:
        check_settings(self, "batching")


@dataclass(frozen=True, slots=True, kw_only=True)
class SftEvaluation:
    """Whether and when held-out rows are evaluated, and what makes a model the best.

    Example:
        >>> SftEvaluation(every=50, best_by="eval/correct").patience
        0
    """

    every: int = setting(0, least=0, moves_numbers=False, flat_name="evaluate_every")
    """Steps between evaluations; 0: at the end alone, where there are held-out rows."""
    rows: int = setting(256, least=1, moves_numbers=False, flat_name="evaluate_rows")
    """Most held-out rows of an evaluation."""
    generate: bool = setting(True, moves_numbers=False)
    """Whether held-out questions with a known truth are answered too."""
    answer_tokens: int = setting(64, least=1, moves_numbers=False)
    """Most tokens of such an answer."""
    best_by: BestBy = setting("eval/loss", choices=get_args(BestBy), moves_numbers=False)
    patience: int = setting(0, least=0, moves_numbers=False)
    """Evaluations without a better figure after which the run ends; 0 for never."""

    def __post_init__(self) -> None:
        check_settings(self, "evaluation")


@dataclass(frozen=True, kw_only=True)
class SftRecipe:
    """A supervised run. Raises UsageError for settings that cannot be.

    Example::

        SftRecipe(
            data=DataSettings(train="train.jsonl", held_out="val.jsonl"),
            out=Path("runs/kitchen"),
            model="nano",
            epochs=3,
            optimiser=OptimiserSettings(learning_rate=1e-4, schedule="cosine"),
        )
    """

    out: Path = field(metadata={"kind": _FOLDER, "moves_numbers": False})
    """Folder of the run: checkpoints, logs, the model."""
    data: DataSettings = part(DataSettings)
    samples: Sequence[Sample] | None = setting(None, kind=_SAMPLES)
    """Rows from Python in place of `data.train`; may make each when it is asked for."""
    held_out_samples: Sequence[Sample] | None = setting(None, kind=_SAMPLES)
    model: str | Path | Callable[[], PolicyModel] = setting("nano", kind=_MODEL)
    """Name or path, or a function that makes the model."""
    seed: int = setting(0)
    epochs: float = setting(1.0, above=0)
    """How often every row is learnt, where `steps` is not set."""
    steps: int | None = setting(None, kind=WHOLE, least=1)
    """Updates."""
    objective: SftObjective = part(SftObjective)
    optimiser: OptimiserSettings = part(OptimiserSettings)
    weights: TrainedWeights = part(TrainedWeights)
    batching: SftBatching = part(SftBatching)
    checkpoints: CheckpointSettings = part(CheckpointSettings)
    evaluation: SftEvaluation = part(SftEvaluation)
    report: ReportSettings = part(ReportSettings)

    def __post_init__(self) -> None:
        check_settings(self)
        object.__setattr__(self, "out", Path(self.out))
        if bool(self.data.train) == (self.samples is not None):
            raise UsageError("recipe: give the rows once: data.train for files, or samples")

    def count_steps(self, rows: int) -> int:
        """Updates of the run over so many rows."""
        if self.steps is not None:
            return self.steps
        return max(1, round(self.epochs * rows / self.batching.rows))
