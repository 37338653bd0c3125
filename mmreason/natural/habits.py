"""The ways in which models by script differ from one that tells all it sees in few words."""

from __future__ import annotations

from dataclasses import dataclass

from mmreason.types import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How a model differs from one that tells all it sees in few words. Rates are 0 to 1.

    Example:
        >>> Habits(wrong_rate=0.2).refusal_rate
        0.0
    """

    forget_rate: float = 0.0
    """Chance that a caption leaves out a detail."""
    wrong_rate: float = 0.0
    """Chance that a shot's caption is that of another shot."""
    refusal_rate: float = 0.0
    """Chance that a request is refused."""
    attention_frames: int | None = None
    """Frames that it can attend to at once: of more, a shot is noticed at the chance that its
    frames are among as many as it attends to. None for no limit."""
    is_verbose: bool = False
    thinks: bool = False
    is_blind: bool = False
    """Sees nothing, and picks an option at random all the same."""
    is_stubborn: bool = False
    """Sees nothing, and always picks the first option."""

    def __post_init__(self) -> None:
        for name in ("forget_rate", "wrong_rate", "refusal_rate"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UsageError(f"{name} is a chance from 0 to 1, got {getattr(self, name)}")
        if self.attention_frames is not None and self.attention_frames < 1:
            raise UsageError(f"attention_frames must be 1 or more, got {self.attention_frames}")


HABITS: dict[str, Habits] = {
    "perfect": Habits(),
    "forgetful": Habits(forget_rate=0.4),
    "wrong": Habits(wrong_rate=0.2),
    "verbose": Habits(is_verbose=True),
    "thinking": Habits(thinks=True),
    "refusing": Habits(refusal_rate=0.1),
    "distracted": Habits(attention_frames=32),
    "random": Habits(is_blind=True),
    "stubborn": Habits(is_stubborn=True),
}


def find_habits(name: str) -> Habits:
    """The habits of this name. Raises UsageError for a name that is none.

    Example:
        >>> find_habits("thinking").thinks
        True
    """
    if name not in HABITS:
        raise UsageError(f"{name!r} is no observer; observers are {', '.join(HABITS)}")
    return HABITS[name]
