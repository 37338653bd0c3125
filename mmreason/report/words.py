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

    Left out are its span, and the question where it is the one being answered.
    """
    parts = []
    for name, value in step.call.arguments.items():
        if name == "node" and isinstance(value, list | tuple):
            parts.append("node " + ".".join(str(i) for i in value))
        elif name == "shift":
            parts += ["other frames"] if is_second_look(step) else []
        elif name not in ("span", "options") and value != question:
            parts.append(str(value))
    words = printable(", ".join(parts))
    return words if len(words) <= _LONGEST_ASKED else words[:_LONGEST_ASKED] + "…"


def is_second_look(step: Step) -> bool:
    """Whether this look at a stretch took other frames than the plain one, to verify."""
    return step.call.name == "look" and bool(step.call.arguments.get("shift"))


def result_words(step: Step) -> str:
    """What the tool returned, or why it failed."""
    seen = step.observation
    return printable(f"failed: {seen.error}" if seen.error else seen.text or "(nothing)")


def cost_rows(cost: Cost) -> list[tuple[str, str]]:
    """(what, how much) in the order in which people ask for it."""
    return [
        ("seconds", f"{cost.seconds:.2f}"),
        ("frames shown", f"{cost.frames:,}"),
        ("model calls", f"{cost.model_calls:,}"),
        ("served from the store", f"{cost.cache_hits:,}"),
        ("rounds", f"{cost.rounds:,}"),
        ("tokens read", f"{cost.tokens_in:,}"),
        ("tokens written", f"{cost.tokens_out:,}"),
    ]


def printable(text: str) -> str:
    """`text` on one line, control characters (terminal escapes too) replaced by U+FFFD."""
    joined = " ".join(text.split())
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in joined)
