"""What a model is shown with a question: its video, and what takes the video's place in an audit.

All conditions of a question have the same words, the same model and the same number of frames; what
differs is what can be seen.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from mmreason.language.prompts import LETTERS
from mmreason.training.data.sample import MediaKind, MediaRef, Sample, SampleMessage
from mmreason.training.rewards import Truth
from mmreason.types import UsageError
from mmreason.video.subtitles import find_subtitles
from mmreason.video.types import Span, VideoError

MOST_TRANSCRIPT_CHARACTERS = 40_000
"""Of a transcript that is shown in place of a video; a longer one is not shown at all."""

_LETTERED = re.compile(r"(\s*\(?)([A-Z])([.):]\s*)(\S.*?)(\s*)$")


class Condition(StrEnum):
    """What stands in the place of the video."""

    VIDEO = "video"
    """The row as it is."""
    BLIND = "blind"
    """Text alone."""
    WRONG_VIDEO = "wrong video"
    """That of another row."""
    TRANSCRIPT = "transcript"
    """What is said in it, as text."""
    ORACLE_SPAN = "oracle span"
    """From the first to the last moment of its proof."""


AUDIT_CONDITIONS = (
    Condition.BLIND,
    Condition.WRONG_VIDEO,
    Condition.TRANSCRIPT,
    Condition.ORACLE_SPAN,
)


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """Why a question cannot be asked in some way.

    Example:
        >>> NotApplicable("the row has no spans").reason
        'the row has no spans'
    """

    reason: str


Messages = tuple[SampleMessage, ...]


def blind_messages(sample: Sample) -> Messages | NotApplicable:
    """The row's text alone."""
    if not sample.media:
        return NotApplicable("the row shows nothing")
    return _put_in_place(sample.prompt, ())


def transcript_messages(sample: Sample) -> Messages | NotApplicable:
    """What is said, in place of the video: the row's transcript, else the subtitles beside the
    video or in it, of the stretch that the row shows."""
    if not sample.media:
        return NotApplicable("the row shows nothing")
    text = sample.transcript.strip() or _subtitle_text(sample)
    if not text:
        return NotApplicable("there is no transcript, and no subtitles")
    if len(text) > MOST_TRANSCRIPT_CHARACTERS:
        limit = f"{MOST_TRANSCRIPT_CHARACTERS:,}"
        return NotApplicable(f"the transcript has more than {limit} characters")
    return _put_in_place(sample.prompt, (f"What is said in the video:\n{text}\n\n",))


def oracle_messages(sample: Sample, truth: Truth) -> Messages | NotApplicable:
    """The stretch of the proof, as many frames of it as else of all of the video."""
    media = sample.media
    if len(media) != 1 or media[0].kind is not MediaKind.VIDEO:
        return NotApplicable("the row does not show one video")
    if not truth.spans:
        return NotApplicable("the row does not say where the proof is")
    proof = Span(min(s.start_s for s in truth.spans), max(s.end_s for s in truth.spans))
    shown = proof if media[0].span is None else proof.clip(media[0].span)
    if shown.duration_s <= 0:
        return NotApplicable("the proof lies outside of what the row shows")
    return _put_in_place(sample.prompt, (replace(media[0], span=shown),))


def wrong_video_messages(
    sample: Sample, stand_in: tuple[MediaRef, ...] | None
) -> Messages | NotApplicable:
    """The media of another row, one for one."""
    if not sample.media:
        return NotApplicable("the row shows nothing")
    if stand_in is None:
        return NotApplicable("no other row shows other files of the same kinds")
    return _put_in_place(sample.prompt, stand_in, one_for_one=True)


def draw_stand_ins(samples: Sequence[Sample], seed: int) -> dict[str, tuple[MediaRef, ...]]:
    """For each sample's id the media of another sample: a derangement of the different videos (and
    sets of them), drawn with the seed, within those of the same kinds.

    Example: with two videos each stands in for the other.

        >>> clips = [MediaRef(kind=MediaKind.VIDEO, paths=(path,)) for path in ("a.mp4", "b.mp4")]
        >>> samples = [
        ...     Sample(id=clip.path, messages=(SampleMessage(role="user", parts=(clip, "What?")),))
        ...     for clip in clips
        ... ]
        >>> draw_stand_ins(samples, 0)["a.mp4"][0].path
        'b.mp4'
    """
    by_kinds: dict[tuple[MediaKind, ...], dict[tuple[str, ...], tuple[MediaRef, ...]]] = {}
    for sample in samples:
        if sample.media:
            groups = by_kinds.setdefault(_kinds(sample), {})
            groups.setdefault(source_of(sample), sample.media)
    next_of: dict[tuple[str, ...], tuple[MediaRef, ...]] = {}
    rng = random.Random(seed)
    for groups in by_kinds.values():
        order = list(groups)
        rng.shuffle(order)
        # One step round a circle gives nobody its own.
        for source, follower in zip(order, order[1:] + order[:1], strict=True):
            if not set(source) & set(follower):
                next_of[source] = groups[follower]
    return {
        sample.id: next_of[source_of(sample)]
        for sample in samples
        if sample.media and source_of(sample) in next_of
    }


def source_of(sample: Sample) -> tuple[str, ...]:
    """The files of a sample, in order."""
    return tuple(path for medium in sample.media for path in medium.paths)


def rotate_options(
    messages: Messages, truth: Truth, by: int
) -> tuple[Messages, Truth] | NotApplicable:
    """The question with its options moved up by so many places, and its truth. The options must
    stand in the last message of the user, each in a line behind its letter.

    Example:
        >>> truth = Truth(options=("red", "blue"), choice=1)
        >>> messages = (SampleMessage(role="user", parts=("Which?\\nA. red\\nB. blue",)),)
        >>> rotated, rotated_truth = rotate_options(messages, truth, 1)
        >>> rotated[0].text, rotated_truth.choice
        ('Which?\\nA. blue\\nB. red', 0)
    """
    assert truth.choice is not None
    count = len(truth.options)
    rotated = tuple(truth.options[(i + by) % count] for i in range(count))
    index = max((i for i, m in enumerate(messages) if m.role == "user"), default=-1)
    if index < 0:
        return NotApplicable("the row has no message of the user")
    parts = list(messages[index].parts)
    for place, item in enumerate(parts):
        if isinstance(item, str) and (text := _replace_lines(item, truth.options, rotated)):
            parts[place] = text
            message = replace(messages[index], parts=tuple(parts))
            new = (*messages[:index], message, *messages[index + 1 :])
            # A question that holds its options as well would tell the reader their old order.
            question = _replace_lines(truth.question, truth.options, rotated) or truth.question
            choice = (truth.choice - by) % count
            return new, replace(truth, options=rotated, choice=choice, question=question)
    return NotApplicable("the options do not stand in the question, each in a line with its letter")


def check_options(samples: Sequence[Sample]) -> None:
    """UsageError for more options than there are letters."""
    for sample in samples:
        if len(sample.truth.options) > len(LETTERS):
            raise UsageError(
                f"{sample.source}: the question {sample.id!r:.60} has "
                f"{len(sample.truth.options)} options, expected at most {len(LETTERS)}, one for "
                "each letter; ask for the answer in words"
            )


def _replace_lines(text: str, options: Sequence[str], rotated: Sequence[str]) -> str:
    """The text with the lines of its options changed; empty where they do not all stand there, in
    order and once."""
    lines = text.split("\n")
    place = 0
    for number, line in enumerate(lines):
        match = _LETTERED.fullmatch(line)
        if match is None or place == len(options):
            continue
        if match[2] == LETTERS[place] and match[4] == options[place].strip():
            lines[number] = f"{match[1]}{match[2]}{match[3]}{rotated[place]}{match[5]}"
            place += 1
    return "\n".join(lines) if place == len(options) else ""


def _put_in_place(
    messages: Messages, items: Sequence[str | MediaRef], *, one_for_one: bool = False
) -> Messages:
    """The messages with `items` in place of their media: all at the first medium, or one for each.
    What is left over of media is taken out."""
    queue = list(items)
    result = []
    for message in messages:
        parts: list[str | MediaRef] = []
        for item in message.parts:
            if isinstance(item, str):
                parts.append(item)
            elif one_for_one:
                parts.append(queue.pop(0))
            else:
                parts += queue
                queue = []
        result.append(replace(message, parts=tuple(parts)))
    return tuple(result)


def _kinds(sample: Sample) -> tuple[MediaKind, ...]:
    return tuple(medium.kind for medium in sample.media)


def _subtitle_text(sample: Sample) -> str:
    texts = []
    for medium in sample.media:
        if medium.kind is not MediaKind.VIDEO or "://" in medium.path:
            continue
        try:
            subtitles = find_subtitles(medium.path)
        except (VideoError, OSError):
            continue  # the row's own asking tells that the video cannot be read
        if subtitles is not None:
            lines = subtitles.lines if medium.span is None else subtitles.during(medium.span)
            texts += [line.text for line in lines]
    return "\n".join(texts)
