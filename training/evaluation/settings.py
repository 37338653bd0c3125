"""How rows of a data set are asked and scored: everything that moves a number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from mmreason.types import UsageError

AuditSize = Literal["sample", "full", "off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateSettings:
    """Raises UsageError for values that cannot be.

    Example:
        >>> EvaluateSettings(frames=8, circular=True).audit
        'sample'
    """

    frames: int | None = None
    """Frames of each clip, evenly spread; None: as many as the model likes."""
    longest_px: int | None = None
    """Longest side of a frame; None: as the model likes."""
    system_prompt: str = ""
    """Put before every conversation that has no system message of its own."""
    max_new_tokens: int | None = None
    """Most tokens of a reply; None: those of an answer of the model."""
    temperature: float = 0.0
    seed: int = 0
    """Of drawn rows, of drawn tokens, and of which video stands in for which."""
    limit: int | None = None
    """How many rows are drawn; None: all of them."""
    circular: bool = False
    """Whether each choice question is asked once for every rotation of its options."""
    audit: AuditSize = "sample"
    """On how many questions it is looked where answers come from: some, all or none."""
    audit_questions: int = 100
    """With "sample": on how many."""
    batch_size: int = 8
    """Conversations that the model is given at a time."""

    def __post_init__(self) -> None:
        if self.audit not in get_args(AuditSize):
            raise UsageError(f"audit must be {', '.join(get_args(AuditSize))}, got {self.audit!r}")
        for name in ("frames", "longest_px", "max_new_tokens", "limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} must be 1 or more, got {value}")
        if self.batch_size < 1 or self.audit_questions < 1 or self.seed < 0:
            raise UsageError(
                "batch_size and audit_questions must be 1 or more and seed 0 or more, got "
                f"{self.batch_size}, {self.audit_questions}, {self.seed}"
            )
        if not 0 <= self.temperature < float("inf"):
            raise UsageError(f"temperature must be 0 or a finite number, got {self.temperature}")
