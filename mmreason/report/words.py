"""The sentences that every view of an answer shares. Pure text, no layout."""

from __future__ import annotations

from mmreason.types import Answer, Cost, Step, StopReason

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

_LONGEST_ASKED = 90
"""Characters of a call's arguments that are shown."""
_SILENT = ("span", "options", "check", "shift", "node", "moments", "count")
"""Arguments that are plain from elsewhere, or have words of their own."""


def stop_words(answer: Answer) -> str:
    """Why the question ended, as a sentence for people."""
    words = STOP_WORDS[answer.stop_reason]
    if not answer.text and answer.stop_reason is not StopReason.ABSTAINED:
        return words.replace(
            "This is the best answer until then.", "Nothing could be answered by then."
        )
    return words


def answer_words(answer: Answer) -> str:
    """The answer's text, or a plain statement that there is none."""
    return answer.text or "No answer"


def model_name(answer: Answer) -> str:
    """Who watched, or an empty string where the settings do not say."""
    model = answer.settings.get("model", "")
    return str(model.get("name", "") if isinstance(model, dict) else model)


def confidence_words(confidence: float | None) -> str:
    """`0.934` -> `93 %`."""
    return "not known" if confidence is None else f"{confidence:.0%}".replace("%", " %")


def asked_words(step: Step, question: str) -> str:
    """The call's arguments that are not plain from its place: `node 1.3`, `other frames`.

    Left out are its span, and the question where it is the one being answered or a part of it.
    """
    arguments = step.call.arguments
    parts = []
    if node := node_of(step):
        parts.append("node " + ".".join(map(str, node)))
    if arguments.get("shift") and not is_second_look(step):
        parts.append("other frames")
    if step.call.name not in ("invalid", "answer"):
        said = ((name, str(value)) for name, value in arguments.items() if name not in _SILENT)
        parts += [text for name, text in said if not _repeats(name, text, question)]
    return shortened(", ".join(parts), _LONGEST_ASKED)


def _repeats(name: str, text: str, question: str) -> bool:
    return text == question or (name == "question" and text.rstrip("?") in question)


def tool_words(step: Step) -> str:
    """What was done: the tool's name, `second look`, `third look`, `invalid` or `answer`."""
    if is_second_look(step):
        return "third look" if step.call.arguments.get("shift", 0) < 0 else "second look"
    return step.call.name


def node_of(step: Step) -> tuple[int, ...]:
    """Id of the tree's node that this call is about; empty where it is about none."""
    node = step.call.arguments.get("node")
    return tuple(node) if isinstance(node, list | tuple) else ()


def is_second_look(step: Step) -> bool:
    """Whether this call looks again at evidence, to check an answer."""
    return bool(step.call.arguments.get("check"))


def has_place(step: Step) -> bool:
    """Whether the call is about a stretch of video, so that its span says something."""
    return step.call.name not in ("search", "invalid", "answer")


def result_words(step: Step) -> str:
    """What the tool returned, or why it failed; of an answer its text."""
    seen = step.observation
    if step.call.name == "answer":
        return printable(str(step.call.arguments.get("text", "")))
    return printable(f"failed: {seen.error}" if seen.error else seen.text or "(nothing)")


def cost_rows(cost: Cost) -> list[tuple[str, str, str]]:
    """(what, how much, of which: may be empty) in the order in which people ask for it."""
    roles = (
        (cost.reasoner_calls, "reasoner"),
        (cost.observer_calls, "observer"),
        (cost.checker_calls, "checker"),
    )
    by_role = ", ".join(f"{count:,} {role}" for count, role in roles if count)
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
    """`8 frames · 59 tokens · 0.42 s`, or where it came from."""
    if cached:
        return "from the store"
    tokens = cost.tokens_in + cost.tokens_out
    frames = f"{counted(cost.frames, 'frame')} · " if cost.frames else ""
    return f"{frames}{counted(tokens, 'token')} · {cost.seconds:.2f} s"


def counted(count: int, one: str, many: str = "") -> str:
    """`1 frame`, `1,024 frames`; `many` is the plural where it is not `one` and an s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def shortened(text: str, limit: int) -> str:
    """`printable` text of at most `limit` characters; an ellipsis says where it was cut."""
    text = printable(text)
    return text if len(text) <= limit else text[:limit].rstrip() + "…"


def printable(text: str) -> str:
    """`text` on one line, control characters (terminal escapes too) replaced by U+FFFD."""
    joined = " ".join(text.split())
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in joined)
