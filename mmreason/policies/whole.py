"""Questions about the whole of a long video, answered from the times in its overview.

Only where options say what to look for, and the question which of them: seen first, last, longest
or shortest. Everything is read twice, in different frames. What needs understanding is for a
reasoning model.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from mmreason.agent.protocol import (
    CallTools,
    CheckStatus,
    Claim,
    EvidenceRef,
    Inquiry,
    Results,
    call_tools,
)
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
_ReadPart = Generator[CallTools, Results, Readings | None]


def whole_claim(inquiry: Inquiry, rank: Place) -> Generator[CallTools, Results, Claim | None]:
    """Read even frames of the top level twice and claim the option that both put at `rank`; None
    where they tell none, or the budget ends."""
    if rank in ("first", "last"):
        readings = yield from _read_from_end(inquiry, is_last=rank == "last")
    else:
        readings = yield from _read_twice(inquiry.tree.children(), "the whole video")
    return None if readings is None else overview_claim(inquiry.question.options, rank, *readings)


def _read_from_end(inquiry: Inquiry, *, is_last: bool) -> _ReadPart:
    """Read node by node until both readings told of an option: what lies further away decides
    nothing. A node that tells of several at once is read part by part."""
    step = -1 if is_last else 1
    rank: Place = "last" if is_last else "first"
    nodes = list(inquiry.tree.children())[::step]
    readings_before: Readings = ([], [])
    while nodes:
        node = nodes.pop(0)
        readings = yield from _read_twice((node,), str(node.span))
        if readings is None:
            return None
        so_far = readings_before[0] + readings[0], readings_before[1] + readings[1]
        if not all(is_told(inquiry.question.options, notes) for notes in so_far):
            readings_before = so_far
            continue
        children = inquiry.tree.children(node.id)
        if not children or overview_claim(inquiry.question.options, rank, *so_far) is not None:
            return so_far
        # Several options at once, or other ones in the two readings: its parts tell more, and
        # replace what was read of it.
        nodes = [*children[::step], *nodes]
    return readings_before


def _read_twice(nodes: Sequence[Node], what: str) -> _ReadPart:
    # All nodes with even frames, then all with shifted ones: the halves are parted below.
    calls = [Skim(span=node.span, shift=shift) for shift in (0.0, OTHER_FRAMES) for node in nodes]
    action = CallTools(f"read even frames of {what}, twice", tuple(calls))
    results = yield from call_tools(action)
    if results.spent is not None:
        return None
    halves = results.observations[: len(nodes)], results.observations[len(nodes) :]
    first, second = (
        [note for observation in half for note in observation.notes] for half in halves
    )
    return first, second


def overview_claim(
    options: Sequence[str], rank: Place, first: Sequence[Note], second: Sequence[Note]
) -> Claim | None:
    """The option at this `rank` in two overviews of different frames taken together, checked where
    each by itself says so too, unchecked and without evidence where they differ; None where nothing
    is seen or two options share the rank.

    Example:
        >>> notes = [Note(Span(0, 4), "a star."), Note(Span(4, 8), "a ring.")]
        >>> overview_claim(("a ring", "a star"), "first", notes, notes).text
        'a star'
    """
    choice = _pick_option(options, rank, [*first, *second])
    if choice is None:
        return None
    if any(_pick_option(options, rank, notes) != choice for notes in (first, second)):
        return Claim(text=options[choice], choice=choice)
    supports = _supports(options[choice], rank, [*first, *second])
    return Claim(text=options[choice], choice=choice, supports=supports, status=CheckStatus.AGREED)


def _supports(option: str, rank: Place, notes: Sequence[Note]) -> tuple[EvidenceRef, ...]:
    """Where it was seen: at its first or last sight, or all through its longest stretches."""
    # 1. The lines that tell of it, in order of time.
    sights = sorted((n for n in notes if _holds(n.text, option)), key=lambda n: n.span.start_s)
    if rank in ("first", "last"):
        sights = sights[:1] if rank == "first" else sights[-1:]
    # 2. Those that touch or overlap, as they do in two readings, are one run.
    runs: list[list[Note]] = []
    for note in sights:
        if runs and note.span.start_s <= max(n.span.end_s for n in runs[-1]):
            runs[-1].append(note)
        else:
            runs.append([note])
    # 3. The longest runs, in order of time.
    supports = [_support(run) for run in runs]
    longest = sorted(supports, key=lambda s: -s.span.duration_s)[:EVIDENCE_LIMIT]
    return tuple(s for s in supports if s in longest)


def _support(run: Sequence[Note]) -> EvidenceRef:
    span = Span(run[0].span.start_s, max(note.span.end_s for note in run))
    times_s = tuple(sorted({note.time_s for note in run if note.time_s is not None}))
    observation = Observation(text=run[0].text, span=span, frame_times_s=times_s)
    return EvidenceRef(Skim(span=span), observation, span)


def is_told(options: Sequence[str], notes: Sequence[Note]) -> bool:
    """Whether some line tells of one of the options."""
    return any(_holds(note.text, option) for note in notes for option in options)


def _pick_option(options: Sequence[str], rank: Place, notes: Sequence[Note]) -> int | None:
    scores: dict[int, float] = {}
    for index, option in enumerate(options):
        spans = [note.span for note in notes if _holds(note.text, option)]
        if spans and rank in ("first", "last"):
            starts_s = [span.start_s for span in spans]
            scores[index] = -min(starts_s) if rank == "first" else max(starts_s)
        elif spans:
            seen_s = sum(span.duration_s for span in spans)
            scores[index] = seen_s if rank == "longest" else -seen_s
    # Only what was seen has a score: an option that never is seen is not the shortest.
    best = max(scores.values(), default=0.0)
    best_options = [index for index, score in scores.items() if score == best]
    return best_options[0] if len(best_options) == 1 else None


def _holds(text: str, option: str) -> bool:
    option_terms = set(extract_terms(option))
    return bool(option_terms) and option_terms <= set(extract_terms(text))
