"""What is wrong with single rows: their words, and what they say of their files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mmreason.training.data.doctor.findings import Finding, FindingKind
from mmreason.training.data.doctor.media import MediaFacts, is_address
from mmreason.training.data.sample import MediaKind, MediaRef, Sample, SourceLine
from mmreason.training.rewards import Truth
from mmreason.video.plain_text import show_line

SPAN_SLACK_S = 0.5
"""By which a span may end after its video: annotators round, and headers do."""
SPAN_SLACK = 0.02
"""The same, of the length of the video."""
DURATION_SLACK_S = 1.0
"""By which the length that a row says may differ from the file's."""
BOX_SLACK_PX = 1.5
"""By which a box may stand out of its frame."""
THOUSANDTHS = 1000
"""Side of a frame in the space of Qwen3-VL and others."""
LARGE_FRAME_PX = 1050
"""Frames in which pixels and thousandths can be told apart by many boxes."""
LEAST_LARGE_BOXES = 20
"""By which a space is told: fewer may be small by chance."""
LEAST_THOUSANDTHS = 900
MOST_NAME_LETTERS = 120


def find_row_faults(sample: Sample, media: Mapping[str, MediaFacts]) -> Iterator[Finding]:
    """All that is wrong with one row, its files among it."""
    yield from _find_words(sample)
    yield from _find_media(sample, media)
    yield from _find_times(sample, media)
    yield from _find_boxes(sample, media)


def name_file(path: str) -> str:
    """A path for people, on one line and not too long: its end is what tells it apart. Below the
    folder where the program runs, from there.

    Example:
        >>> name_file("/data/clips/a.mp4")
        '/data/clips/a.mp4'
    """
    with contextlib.suppress(ValueError, OSError):
        path = str(Path(path).relative_to(Path.cwd()))
    name = show_line(path)
    return name if len(name) <= MOST_NAME_LETTERS else f"...{name[-MOST_NAME_LETTERS:]}"


def has_truth(truth: Truth) -> bool:
    """Whether anything is known of the right answer."""
    known = (truth.answer, truth.choice, truth.number, truth.spans, truth.boxes)
    return any(value is not None for value in (*known, truth.marks, truth.tube))


def _find_words(sample: Sample) -> Iterator[Finding]:
    answers = [message for message in sample.messages if message.role == "assistant"]
    if any(not message.text.strip() for message in answers):
        yield _finding(FindingKind.NO_ANSWER, sample, "a message of the assistant is empty")
    elif not answers and not has_truth(sample.truth):
        yield _finding(FindingKind.NO_ANSWER, sample, "holds no answer, and nothing that is right")
    if not any(m.role == "user" and m.text.strip() for m in sample.messages):
        yield _finding(FindingKind.NO_QUESTION, sample, "no message of the user has a text")
    kinds = {medium.kind for medium in sample.media}
    if MediaKind.IMAGE in kinds and kinds & {MediaKind.VIDEO, MediaKind.FRAMES}:
        yield _finding(FindingKind.MIXED_MEDIA, sample, "shows images and videos at once")


def _find_media(sample: Sample, media: Mapping[str, MediaFacts]) -> Iterator[Finding]:
    named: set[str] = set()
    for medium in sample.media:
        for path in medium.paths:
            if path in named:
                continue
            named.add(path)
            if is_address(path):
                yield _finding(FindingKind.ADDRESS, sample, name_file(path))
                continue
            facts = media.get(path)
            if facts is not None and facts.problem is not None:
                yield _finding(facts.problem, sample, f"{name_file(path)} {facts.reason}")
                # Of a clip in frames the first bad one says enough.
                break


def _find_times(sample: Sample, media: Mapping[str, MediaFacts]) -> Iterator[Finding]:
    for medium in sample.media:
        length_s = _length_s(medium, media)
        span = medium.span
        if length_s is None or span is None:
            continue
        if reason := _why_outside(span.start_s, span.end_s, length_s):
            yield _finding(FindingKind.SPAN_OUTSIDE, sample, f"the stretch shown {reason}")
    videos = [medium for medium in sample.media if medium.kind is not MediaKind.IMAGE]
    length_s = _length_s(videos[0], media) if videos else None
    truth = sample.truth
    if length_s is None:
        length_s = truth.duration_s
    elif truth.duration_s is not None and abs(truth.duration_s - length_s) > DURATION_SLACK_S:
        reason = f"the row says {truth.duration_s:g} s, the file has {length_s:.1f} s"
        yield _finding(FindingKind.WRONG_DURATION, sample, reason)
    if length_s is None:
        return
    for span in truth.spans or ():
        if reason := _why_outside(span.start_s, span.end_s, length_s):
            yield _finding(FindingKind.SPAN_OUTSIDE, sample, f"the right span {reason}")
    times_s = [mark.time_s for mark in (*(truth.marks or ()), *(truth.tube or ()))]
    if times_s and max(times_s) > length_s + SPAN_SLACK_S:
        reason = f"a box at {max(times_s):g} s is after the end of the video at {length_s:.1f} s"
        yield _finding(FindingKind.SPAN_OUTSIDE, sample, reason)


def _find_boxes(sample: Sample, media: Mapping[str, MediaFacts]) -> Iterator[Finding]:
    truth = sample.truth
    boxes = [*(truth.boxes or ()), *(m.box for m in (*(truth.marks or ()), *(truth.tube or ())))]
    if not boxes or truth.frame is None:
        return
    size_px = truth.frame.size_px
    actual_px = _frame_size_px(sample.media, media)
    if actual_px is not None and actual_px != size_px:
        reason = f"the row says {_size(size_px)}, the file has {_size(actual_px)}"
        yield _finding(FindingKind.WRONG_FRAME_SIZE, sample, reason)
        size_px = actual_px
    right_px = max(box.x2_px for box in boxes)
    bottom_px = max(box.y2_px for box in boxes)
    left_px, top_px = min(box.x1_px for box in boxes), min(box.y1_px for box in boxes)
    if max(right_px, bottom_px) <= 1 and min(size_px) > 1:
        reason = f"all numbers are 0 to 1 in a frame of {_size(size_px)}: shares of its sides?"
        yield _finding(FindingKind.BOX_SPACE, sample, reason)
        return
    is_outside = (
        right_px > size_px[0] + BOX_SLACK_PX
        or bottom_px > size_px[1] + BOX_SLACK_PX
        or min(left_px, top_px) < -BOX_SLACK_PX
    )
    if not is_outside:
        return
    corners = f"({left_px:g}, {top_px:g}, {right_px:g}, {bottom_px:g})"
    if max(right_px, bottom_px) <= THOUSANDTHS and min(left_px, top_px) >= 0:
        reason = f"{corners} stands out of {_size(size_px)}, and is within 0 to 1000: thousandths?"
        yield _finding(FindingKind.BOX_SPACE, sample, reason)
    else:
        yield _finding(FindingKind.BOX_OUTSIDE, sample, f"{corners} in a frame of {_size(size_px)}")


def find_box_space(samples: Sequence[Sample], name: str) -> Iterator[Finding]:
    """Whether the boxes of a whole data set look like thousandths of frames that are larger: each
    of them fits, and all together never pass 1000."""
    large = [
        box
        for sample in samples
        if sample.truth.frame is not None and min(sample.truth.frame.size_px) > LARGE_FRAME_PX
        for box in sample.truth.boxes or ()
    ]
    if len(large) < LEAST_LARGE_BOXES:
        return
    largest = max(max(box.x2_px, box.y2_px) for box in large)
    if LEAST_THOUSANDTHS < largest <= THOUSANDTHS:
        reason = (
            f"{len(large):,} boxes in frames above {LARGE_FRAME_PX} pixels a side, and none beyond "
            f"{largest:g}: thousandths?"
        )
        yield Finding(FindingKind.BOX_SPACE, SourceLine(name, 0), reason)


def _why_outside(start_s: float, end_s: float, length_s: float) -> str:
    slack_s = max(SPAN_SLACK_S, SPAN_SLACK * length_s)
    if start_s >= length_s:
        return f"begins at {start_s:g} s, and the video ends at {length_s:.1f} s"
    if end_s > length_s + slack_s:
        return f"ends at {end_s:g} s, and the video at {length_s:.1f} s"
    return ""


def _length_s(medium: MediaRef, media: Mapping[str, MediaFacts]) -> float | None:
    """When the whole medium ends; None where it is not known."""
    if medium.kind is MediaKind.FRAMES:
        return None if medium.rate_hz is None else len(medium.paths) / medium.rate_hz
    facts = media.get(medium.path)
    if facts is None or facts.problem is not None or facts.duration_s is None:
        return None
    return facts.start_s + facts.duration_s


def _frame_size_px(
    media_refs: Sequence[MediaRef], media: Mapping[str, MediaFacts]
) -> tuple[int, int] | None:
    """Of the first picture; None where it is not known."""
    for medium in media_refs:
        facts = media.get(medium.path)
        if facts is not None and facts.problem is None and facts.width_px and facts.height_px:
            return facts.width_px, facts.height_px
    return None


def _size(size_px: tuple[int, int]) -> str:
    return f"{size_px[0]} x {size_px[1]}"


def _finding(kind: FindingKind, sample: Sample, reason: str) -> Finding:
    return Finding(kind, sample.source, reason)
