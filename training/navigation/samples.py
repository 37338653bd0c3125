"""Plays as training samples in JSON lines: one sample a step, its history masked.

A line is `{"id", "play", "step", "world", "kind", "hints", "places", "messages", "train"}`.
`messages` are `{"role", "content"}` as chat templates take them, the last by the assistant;
`train` has one truth value a message: whether its text is learnt. Only the last is: everything
before is history. The steps of one play share their beginnings, so a trainer may join them again
(`nano/dialogues.py` does).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from mmreason.json_lines import MOST_RESULT_BYTES, encode_json_line, require_json_lines
from mmreason.models.base import Message, TextPart
from mmreason.training.navigation.demonstrations import (
    ITEMS,
    NavigationDemonstration,
    Split,
    demonstrate_world,
    needle_world,
)
from mmreason.training.navigation.teacher import HINTS
from mmreason.types import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSample:
    """One step of a play.

    Example:
        >>> turns = (("user", "Where is the star?"), ("assistant", "(1)"))
        >>> sample = StepSample(
        ...     play="p", step=0, world="w", kind="attribute", hints=0, places=1, messages=turns
        ... )
        >>> sample.train
        (False, True)
    """

    play: str
    step: int
    world: str
    kind: str
    hints: int
    """Hints the teacher needed: 0 (none) to 4 (told where to look)."""
    places: int
    """Places that have to be seen; 0 for what is not there."""
    messages: tuple[tuple[str, str], ...]
    """(role, text)"""

    @property
    def train(self) -> tuple[bool, ...]:
        """Which messages are learnt: the last."""
        return (False,) * (len(self.messages) - 1) + (True,)

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "id": f"{self.play}/{self.step}",
            "play": self.play,
            "step": self.step,
            "world": self.world,
            "kind": self.kind,
            "hints": self.hints,
            "places": self.places,
            "messages": [{"role": role, "content": text} for role, text in self.messages],
            "train": list(self.train),
        }


def make_samples(play: NavigationDemonstration) -> tuple[StepSample, ...]:
    """One sample for every turn of a play."""
    return tuple(
        StepSample(
            play=play.item.id,
            step=step,
            world=play.item.world,
            kind=play.item.kind,
            hints=play.hints,
            places=play.item.places,
            messages=(*map(_plain, turn.messages), ("assistant", turn.text)),
        )
        for step, turn in enumerate(play.turns)
    )


def generate_samples(
    worlds: int,
    *,
    split: Split = "train",
    first: int = 0,
    duration_s: float | None = None,
    items: int = ITEMS,
    most_hints: int = HINTS - 1,
    on_world: Callable[[int], None] = lambda _: None,
) -> Iterator[StepSample]:
    """The samples of `worlds` scripted videos from number `first` on: the same whenever asked.

    Where the teacher goes by a hint, nothing that is shown says why; `most_hints` = 0 keeps only
    what can be learnt from what is shown. `on_world` is told how many worlds are done.
    """
    for done in range(worlds):
        for play in demonstrate_world(
            needle_world(split, first + done, duration_s, items), most_hints
        ):
            yield from make_samples(play)
        on_world(done + 1)


def write_samples(path: Path, samples: Iterable[StepSample]) -> int:
    """Write as they come, into place when all are there; returns how many."""
    # A run that is cut off leaves no half file under the name.
    temporary = path.with_name(path.name + ".tmp")
    count = 0
    with temporary.open("wb") as file:
        for sample in samples:
            file.write(encode_json_line(sample.to_dict()))
            count += 1
    temporary.replace(path)
    return count


def read_samples(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file of samples, checked. Raises UsageError naming the first bad one."""
    for line in require_json_lines(path, _check_sample, most_line_bytes=MOST_RESULT_BYTES):
        yield line.row


def _check_sample(row: dict[str, Any]) -> dict[str, Any]:
    messages, train = row.get("messages"), row.get("train")
    if not _are_messages(messages) or not isinstance(train, list):
        raise UsageError(
            "a sample has messages of role and content, and train, a list of truth values"
        )
    if len(train) != len(messages) or not any(train):
        raise UsageError("train must say of each message whether it is learnt")
    # A model that learns other turns learns to speak for the user.
    if any(t and m["role"] != "assistant" for t, m in zip(train, messages, strict=True)):
        raise UsageError("only turns of the assistant can be learnt")
    return row


def _are_messages(messages: Any) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(messages, list) and all(
        isinstance(m, dict) and isinstance(m.get("role"), str) and isinstance(m.get("content"), str)
        for m in messages
    )


def _plain(message: Message) -> tuple[str, str]:
    """Role and text; samples hold no frames."""
    texts = [part.text for part in message.parts if isinstance(part, TextPart)]
    assert len(texts) == len(message.parts), "a sample shows no frames"
    return message.role, "".join(texts)
