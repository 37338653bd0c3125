"""The parts that recipes of every kind of training have."""

from __future__ import annotations

from dataclasses import dataclass

from mmreason.training.checked_settings import NAMES, check_settings, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSettings:
    """When the state of a run is saved.

    Example:
        >>> CheckpointSettings(every=25).keep
        2
    """

    every: int = setting(10, least=1, moves_numbers=False, flat_name="checkpoint_every")
    """Steps."""
    keep: int = setting(2, least=1, moves_numbers=False)
    """Newest checkpoints that are kept."""

    def __post_init__(self) -> None:
        check_settings(self, "checkpoints")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings:
    """What the log of a run shows, and where else it goes.

    Example:
        >>> ReportSettings(trackers=("tensorboard",)).samples
        4
    """

    samples: int = setting(4, least=0, moves_numbers=False, flat_name="show_samples")
    """Rollouts in each report."""
    trackers: tuple[str, ...] = setting((), kind=NAMES, moves_numbers=False)
    """Of accelerate: "tensorboard", "trackio", "wandb"."""

    def __post_init__(self) -> None:
        check_settings(self, "report")
