"""The sentences that every view of an answer shares. Pure text, no layout."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePath

from mmreason.tool_calls import Caption, ChoosePolicy, ModelTurn, Search, WrittenAnswer
from mmreason.types import Answer, CheckKind, Cost, Evidence, Step, StopReason
from mmreason.video.plain_text import show_line
from mmreason.video.types import Span

STOP_WORDS = {
    StopReason.ANSWERED: "An answer was found and its evidence was looked at.",
    StopReason.ABSTAINED: "Everything worth looking at was looked at; nothing supports an answer.",
    StopReason.INVALID_OUTPUT: "The model that decides wrote neither a call nor an answer.",
    StopReason.MODEL_FAILED: "The model that decides failed. This is the best answer until then.",
    StopReason.BUDGET_FRAMES: "The frame budget was spent. This is the best answer until then.",
    StopReason.BUDGET_ROUNDS: "The round budget was spent. This is the best answer until then.",
    StopReason.BUDGET_TOKENS: "The token budget was spent. This is the best answer until then.",
    StopReason.BUDGET_SECONDS: "The time budget was spent. This is the best answer until then.",
}

QUOTED_WORDS = "No model had an answer: matching lines of the subtitles are quoted."
RECORD_WORDS = "The answer stands in what was heard, read or recognised, and is quoted from there."

SOURCE_WORDS = {
    "subtitles": "from the subtitles",
    "speech": "heard",
    "screen": "read on the screen",
    "labels": "recognised",
}
"""Where a quotation comes from; of frames a model speaks, which is the usual case."""

NAMED = "named by the caller"
"""Why a policy answers that was not chosen."""

_MOST_PLACES = 4
"""Stretches named of those that were looked at."""
_LONGEST_ASKED = 90
"""Characters of a call's arguments that are shown."""
_SILENT = (
    "span",
    "options",
    "check",
    "shift",
    "node",
    "moments",
    "count",
    "spans",
    "frames",
    "cues",
    "limit",
)
"""Arguments that are plain from elsewhere, or have words of their own."""


def stop_words(answer: Answer) -> str:
    """Why the question ended, as a sentence for people."""
    sentence = STOP_WORDS[answer.stop_reason]
    # No frame was looked at, so the usual sentence would not be true.
    if answer.stop_reason is StopReason.ANSWERED and is_from_records(answer):
        return RECORD_WORDS
    if answer.stop_reason is StopReason.ANSWERED and is_quotation(answer):
        return QUOTED_WORDS
    # The usual sentence speaks of an answer, of which there is none.
    if not answer.answered and answer.stop_reason is not StopReason.ABSTAINED:
        return sentence.replace(
            "This is the best answer until then.", "Nothing could be answered by then."
        )
    return sentence


def answer_words(answer: Answer) -> str:
    """The answer's text, or a plain statement that there is none."""
    return answer.text or "No answer"


def is_quotation(answer: Answer) -> bool:
    """Whether the answer rests on the subtitles alone."""
    return bool(answer.evidence) and all(e.source == "subtitles" for e in answer.evidence)


def is_from_records(answer: Answer) -> bool:
    """Whether the answer was taken out of what the senses found, by no model."""
    policy = answer.settings.get("policy")
    return isinstance(policy, dict) and policy.get("name") == "senses"


def source_words(evidence: Evidence) -> str:
    """`heard`, `read on the screen`, ...; empty for what a model said of frames."""
    return SOURCE_WORDS.get(evidence.source, "")


def looked_words(answer: Answer) -> str:
    """What was seen on the way to an answer or to none: `2 places (0:00.00-0:04.00,
    0:08.00-0:12.00), 48 frames with those of captions`. Captions alone count where there were no
    looks."""
    steps = [step for step in answer.trace if step.observation.error is None]
    frames = len({t for step in steps for t in step.observation.frame_times_s})
    # Captions are the way there; where it looked is what a reader would check.
    looks = [step for step in steps if step.call.asks]
    counted_steps = looks or [step for step in steps if step.call.describes]
    spans: list[Span] = list(dict.fromkeys(step.observation.span for step in counted_steps))
    if not spans:
        return "nothing"
    span_texts = ", ".join(map(str, spans[:_MOST_PLACES]))
    more = f" and {len(spans) - _MOST_PLACES} more" if len(spans) > _MOST_PLACES else ""
    captions = any(step.call.describes for step in steps) and bool(looks)
    with_captions = " with those of captions" if captions else ""
    frame_text = f"{format_count(frames, 'frame')}{with_captions}"
    return f"{format_count(len(spans), 'place')} ({span_texts}{more}), {frame_text}"


def subtitle_words(answer: Answer) -> str:
    """`talk.srt: 212 lines, 3 passages match the question`; empty where none were used."""
    used = answer.settings.get("subtitles")
    if not isinstance(used, dict):
        return ""
    name = PurePath(str(used.get("path", ""))).name or "subtitles"
    lines, passages = int(used.get("lines", 0)), int(used.get("matching_passages", 0))
    if not lines:
        return ""
    verb = "matches" if passages == 1 else "match"
    matching = f"{format_count(passages, 'passage')} {verb}" if passages else "none matches"
    return f"{name}: {format_count(lines, 'line')}, {matching} the question"


def policy_words(answer: Answer) -> str:
    """`direct, for a small model: the video has 20 s: ...`; empty where nothing was chosen for this
    question: nano has one way, and a policy that the caller named is known to the caller."""
    policy = answer.settings.get("policy")
    if not isinstance(policy, dict) or policy.get("reason") == NAMED or policy["tier"] == "nano":
        return ""
    if is_from_records(answer):
        return f"{policy['name']}: {policy['reason']}"
    return f"{policy['name']}, for a {policy['tier']} model: {policy['reason']}"


def all_notes(answer: Answer) -> list[str]:
    """Fallbacks and oddities on the way, those of the subtitles last."""
    used = answer.settings.get("subtitles")
    of_subtitles = used.get("notes", ()) if isinstance(used, dict) else ()
    return [str(note) for note in (*answer.settings.get("notes", ()), *of_subtitles)]


def check_words(evidence: Evidence) -> str:
    """How a piece of evidence was checked: `second look agrees`, `not checked`, ..."""
    check = evidence.check
    if check.kind is CheckKind.NONE:
        return "not checked"
    if check.kind is CheckKind.TRANSCRIPT:
        return "stands in the transcript"
    who = "second reading" if check.kind is CheckKind.SECOND_READING else "second look"
    if check.kind is CheckKind.OTHER_MODEL:
        who = f"another model ({check.by})" if check.by else "another model"
    went = {True: "agrees", False: "disagrees", None: "is inconclusive"}[check.agreed]
    return f"{who} {went}"


def checked_words(answer: Answer) -> str:
    """How all the evidence was checked: `second look agrees`, or `1 of 2: second look agrees`."""
    if not answer.evidence:
        return "none"
    counts = Counter(check_words(evidence) for evidence in answer.evidence)
    total = len(answer.evidence)
    stretches = "1 stretch" if total == 1 else f"{total:,} stretches"
    # "1 of 2" only where checks differ.
    outcomes = ", ".join(
        outcome if count == total else f"{count} of {total} {outcome}"
        for outcome, count in counts.items()
    )
    return f"{stretches} of video: {outcomes}"


def model_name(answer: Answer) -> str:
    """Who watched, or an empty string where the settings do not say."""
    model = answer.settings.get("model", "")
    return str(model.get("name", "") if isinstance(model, dict) else model)


def format_percent(fraction: float) -> str:
    """`0.934` -> `93 %`.

    Example:
        >>> format_percent(0.934)
        '93 %'
    """
    return f"{fraction:.0%}".replace("%", " %")


def confidence_words(answer: Answer) -> str:
    """`93 %` where that is calibrated; else it says that it is the model's own number."""
    if answer.confidence is None:
        return "none: this is a quotation" if is_quotation(answer) else "not known"
    percent = format_percent(answer.confidence)
    if is_from_records(answer):
        return f"question and quotation are {percent} alike, which is no probability"
    return percent if answer.confidence_calibrated else f"model's own {percent}, not calibrated"


def asked_words(step: Step, question: str) -> str:
    """The call's arguments that are not plain from its place: `node 1.3`, `other frames`.

    Left out are its span, and the question where it is the one being answered or a part of it.
    """
    arguments = step.call.arguments
    details = []
    if node := node_of(step):
        details.append("node " + ".".join(map(str, node)))
    # A check always shifts: that is what makes it a second look.
    if arguments.get("shift") and not step.call.is_check:
        details.append("other frames")
    if not isinstance(step.call, ModelTurn):
        argument_texts = (
            (name, str(value)) for name, value in arguments.items() if name not in _SILENT
        )
        details += [text for name, text in argument_texts if not _repeats(name, text, question)]
    return shorten_text(", ".join(details), _LONGEST_ASKED)


def _repeats(name: str, text: str, question: str) -> bool:
    # A look may be asked a part of the question, without its clause or its options.
    return text == question or (name == "question" and text.rstrip("?") in question)


def tool_words(step: Step) -> str:
    """What was done: the tool's name, `second look`, `third look`, `invalid` or `answer`."""
    if is_second_look(step):
        return "third look" if step.call.arguments.get("shift", 0) < 0 else "second look"
    return step.call.name


def node_of(step: Step) -> tuple[int, ...]:
    """Id of the tree's node that this call is about; empty where it is about none."""
    return step.call.node if isinstance(step.call, Caption) else ()


def is_second_look(step: Step) -> bool:
    """Whether this call looks again at evidence, to check an answer."""
    return step.call.is_check


def has_place(step: Step) -> bool:
    """Whether the call is about a stretch of video, so that its span says something."""
    return not isinstance(step.call, Search | ModelTurn | ChoosePolicy | WrittenAnswer)


def result_words(step: Step) -> str:
    """What the tool returned, or why it failed; of an answer its text."""
    observation = step.observation
    if isinstance(step.call, ModelTurn) and step.call.kind == "answer":
        return show_line(step.call.text)
    if isinstance(step.call, WrittenAnswer):
        return show_line(step.call.choice or step.call.text)
    if isinstance(step.call, ChoosePolicy):
        return show_line(step.call.policy)
    noted = f" ({observation.note})" if observation.note else ""
    return show_line(
        f"failed: {observation.error}"
        if observation.error
        else (observation.text or "(nothing)") + noted
    )


def cost_rows(cost: Cost) -> list[tuple[str, str, str]]:
    """(what, how much, of which: may be empty) in the order in which people ask for it.

    Example:
        >>> cost_rows(Cost(seconds=2.0, frames=36))[:2]
        [('seconds', '2.00', ''), ('frames shown', '36', '')]
    """
    roles = (
        (cost.reasoner_calls, "reasoner"),
        (cost.observer_calls, "observer"),
        (cost.checker_calls, "checker"),
    )
    by_role = ", ".join(f"{calls:,} {role}" for calls, role in roles if calls)
    scanned = cost.frames_scanned > 0
    stages = f"{cost.decode_seconds:.2f} decoding, {cost.model_seconds:.2f} models"
    return [
        ("seconds", f"{cost.seconds:.2f}", stages if cost.model_seconds else ""),
        (
            "frames shown",
            f"{cost.frames:,}",
            f"{cost.frames_unique:,} different" if cost.frames_unique else "",
        ),
        *([("frames compared", f"{cost.frames_scanned:,}", "without a model")] * scanned),
        ("model calls", f"{cost.model_calls:,}", by_role),
        ("served from the store", f"{cost.cache_hits:,}", ""),
        ("rounds", f"{cost.rounds:,}", ""),
        (
            "tokens read",
            f"{cost.tokens_in:,}",
            f"{cost.tokens_visual:,} visual" if cost.tokens_visual else "",
        ),
        ("tokens written", f"{cost.tokens_out:,}", ""),
    ]


def spent_words(cost: Cost, *, cached: bool = False) -> str:
    """`8 frames · 59 tokens · 0.42 s`, or where it came from.

    Example:
        >>> spent_words(Cost(frames=8, tokens_in=50, tokens_out=9, seconds=0.42))
        '8 frames · 59 tokens · 0.42 s'
    """
    if cached:
        return "from the store"
    tokens = cost.tokens_in + cost.tokens_out
    frames = f"{format_count(cost.frames, 'frame')} · " if cost.frames else ""
    return f"{frames}{format_count(tokens, 'token')} · {cost.seconds:.2f} s"


def format_count(count: int, singular: str, plural: str = "") -> str:
    """`1 frame`, `1,024 frames`; `many` is the plural where it is not `one` and an s.

    Example:
        >>> format_count(1, "frame"), format_count(1024, "reply", "replies")
        ('1 frame', '1,024 replies')
    """
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def shorten_text(text: str, limit: int) -> str:
    """One line of plain text of at most `limit` characters; an ellipsis says where it was cut.

    Example:
        >>> shorten_text("a red star moves left", 10)
        'a red star…'
    """
    text = show_line(text)
    return text if len(text) <= limit else text[:limit].rstrip() + "…"
