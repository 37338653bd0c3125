"""Questions about the whole of a long video, answered from the times in its overview.

Only where options say what to look for, and the question which of them: seen first, last, longest
or shortest. Everything is read twice, in different frames. Leaves out what needs understanding,
which is for a reasoning model.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from mmreason.agent.protocol import CallTools, Claim, EvidenceRef, Inquiry, Results
from mmreason.language.question import Place
from mmreason.language.text import extract_terms
from mmreason.memory.tree import Node
from mmreason.tool_calls import Skim
from mmreason.types import Note, Observation
from mmreason.video.types import Span

OTHER_FRAMES = 0.25
"""Shift of the second reading, as a share of the distance between frames."""
EVIDENCE_LIMIT = 4
"""Stretches named where something is seen for long."""

Readings = tuple[list[Note], list[Note]]
"""Of the same stretches, from different frames."""
_Part = Generator[CallTools, Results, Readings | None]


def whole_claim(inquiry: Inquiry, place: Place) -> Generator[CallTools, Results, Claim | None]:
    """Read even frames of the top level twice and claim the option that both put at `place`; None
    where they tell none, or the budget ends."""
    if place in ("first", "last"):
        readings = yield from _from_one_end(inquiry, is_last=place == "last")
    else:
        readings = yield from _read_twice(inquiry.tree.children(), "the whole video")
    return None if readings is None else overview_claim(inquiry.options, place, *readings)


def _from_one_end(inquiry: Inquiry, *, is_last: bool) -> _Part:
    """Read node by node until both readings told of an option: what lies further away decides
    nothing. A node that tells of several at once is read part by part."""
    step = -1 if is_last else 1
    nodes = list(inquiry.tree.children())[::step]
    told: Readings = ([], [])
    while nodes:
        node = nodes.pop(0)
        readings = yield from _read_twice((node,), str(node.span))
        if readings is None:
            return None
        so_far = told[0] + readings[0], told[1] + readings[1]
        if all(is_told(inquiry.options, notes) for notes in so_far):
            place: Place = "last" if is_last else "first"
            parts = inquiry.tree.children(node.id)
            if not parts or overview_claim(inquiry.options, place, *so_far) is not None:
                return so_far
            nodes = [*parts[::step], *nodes]
        else:
            told = so_far
    return told


def _read_twice(nodes: Sequence[Node], what: str) -> _Part:
    calls = [Skim(span=node.span, shift=shift) for shift in (0.0, OTHER_FRAMES) for node in nodes]
    results = yield CallTools(f"read even frames of {what}, twice", tuple(calls))
    if results.spent is not None:
        return None
    halves = results.observations[: len(nodes)], results.observations[len(nodes) :]
    first, second = ([note for seen in half for note in seen.notes] for half in halves)
    return first, second


def overview_claim(
    options: Sequence[str], place: Place, first: Sequence[Note], second: Sequence[Note]
) -> Claim | None:
    """The option at this `place` in two overviews of different frames taken together, checked where
    each by itself says so too, unchecked and without evidence where they differ; None where nothing
    is seen or two options share the place."""
    both = _picked(options, place, [*first, *second])
    if both is None:
        return None
    if any(_picked(options, place, notes) != both for notes in (first, second)):
        return Claim(text=options[both], choice=both)
    supports = _supports(options[both], place, [*first, *second])
    return Claim(text=options[both], choice=both, supports=supports, checked=True)


def _supports(option: str, place: Place, notes: Sequence[Note]) -> tuple[EvidenceRef, ...]:
    """Where it was seen: at its first or last sight, or all through its longest stretches."""
    told = sorted((n for n in notes if _holds(n.text, option)), key=lambda n: n.span.start_s)
    if place in ("first", "last"):
        told = told[:1] if place == "first" else told[-1:]
    runs: list[list[Note]] = []
    for note in told:
        if runs and note.span.start_s <= max(n.span.end_s for n in runs[-1]):
            runs[-1].append(note)
        else:
            runs.append([note])
    supports = [_support(run) for run in runs]
    longest = sorted(supports, key=lambda s: -s.span.duration_s)[:EVIDENCE_LIMIT]
    return tuple(s for s in supports if s in longest)


def _support(run: Sequence[Note]) -> EvidenceRef:
    span = Span(run[0].span.start_s, max(note.span.end_s for note in run))
    times_s = tuple(sorted({note.time_s for note in run if note.time_s is not None}))
    seen = Observation(text=run[0].text, span=span, frame_times_s=times_s)
    return EvidenceRef(Skim(span=span), seen, span)


def is_told(options: Sequence[str], notes: Sequence[Note]) -> bool:
    """Whether some line tells of one of the options."""
    return any(_holds(note.text, option) for note in notes for option in options)


def _picked(options: Sequence[str], place: Place, notes: Sequence[Note]) -> int | None:
    ranks: dict[int, float] = {}
    for index, option in enumerate(options):
        spans = [note.span for note in notes if _holds(note.text, option)]
        if spans and place in ("first", "last"):
            starts_s = [span.start_s for span in spans]
            ranks[index] = -min(starts_s) if place == "first" else max(starts_s)
        elif spans:
            seen_s = sum(span.duration_s for span in spans)
            ranks[index] = seen_s if place == "longest" else -seen_s
    best = max(ranks.values(), default=0.0)
    found = [index for index, rank in ranks.items() if rank == best]
    return found[0] if len(found) == 1 else None


def _holds(text: str, option: str) -> bool:
    asked = set(extract_terms(option))
    return bool(asked) and asked <= set(extract_terms(text))
