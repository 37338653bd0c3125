"""A Markdown page about which sources of real and drawn footage a model declined."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mmreason.evaluation.decline_sources import LIGHTS
from mmreason.evaluation.declines import QUESTIONS, DeclineResults
from mmreason.evaluation.scoring import Proportion
from mmreason.video.plain_text import show_line

MOST_EXAMPLES = 10
"""Inventions quoted at most."""


def declines_page(
    results: DeclineResults, alarms: Proportion | None, name: str, command: str
) -> str:
    """`alarms` are clips of scripted worlds that were declined; `command` repeats it all."""
    # A half without sources would be a row of "not measured".
    halves = [half for half in (True, False) if results.share(held_out=half).n]
    rows = "\n".join(
        f"| {_half(half)} | {results.share(held_out=half)} | {results.replies(held_out=half)} |"
        for half in halves
    )
    sections = [
        f"# What {name} says of footage that is no scripted world",
        _METHOD.format(
            questions=len(QUESTIONS) + 3, lights=", ".join(f"{light:.0%}" for light in LIGHTS)
        ),
        "| half | sources with an invention | replies that invent |\n| --- | --- | --- |\n" + rows,
        _groups(results, halves),
        _examples(results),
    ]
    if alarms is not None:
        sections.append(
            "Clips of scripted worlds, encoded by several encoders in several sizes and qualities, "
            f"that were declined as a whole: {alarms}."
        )
    if results.unreadable:
        sections.append(f"Not read, and not counted: {', '.join(map(_plain, results.unreadable))}.")
    sections.append(f"```\n{command}\n```")
    return "\n\n".join(sections) + "\n"


_METHOD = (
    "A source is one picture, one clip or one drawn scene. Its half was decided by a hash of its "
    "name before anything was taught or tuned; the train half was used to set the guard's limits, "
    "the held-out half was not, and no source of either was taught. Each is shown at {lights} of "
    "its levels and asked {questions} things at each, as clip and as still. **A source counts as "
    "invented if any one reply does**: anything but a decline or an empty list of boxes. Intervals "
    "are Wilson's at 95 %; those of replies are too narrow, since replies of one source are not "
    "independent."
)


def _half(is_held_out: bool) -> str:
    return "held out" if is_held_out else "train"


def _groups(results: DeclineResults, halves: Sequence[bool]) -> str:
    groups = sorted({source.group for source in results.sources})
    head = "| from | " + " | ".join(f"{_half(half)}: invented / sources" for half in halves) + " |"
    lines = [head, "| --- |" + " --- |" * len(halves)]
    for group in groups:
        proportions = [results.share(held_out=half, group=group) for half in halves]
        lines.append(
            f"| {_plain(group)} | " + " | ".join(f"{s.hits} / {s.n}" for s in proportions) + " |"
        )
    return "\n".join(lines)


def _examples(results: DeclineResults) -> str:
    invented = [source for source in results.sources if source.invented]
    guarded = sum(source.guarded for source in results.sources)
    total = sum(source.replies for source in results.sources)
    lines = [
        f"Of {total:,} replies, {guarded:,} are declines of the guard, of words, pictures or "
        "replies; the others are the weights' own."
    ]
    for source in invented[:MOST_EXAMPLES]:
        light, prompt, text = source.examples[0]
        lines.append(f"- {_plain(source.name)} at {light:.0%}: {prompt} “{_plain(text)}”")
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Foreign text as one line of Markdown that is no link, no element and no end of a cell."""
    return re.sub(r"[\\`<>&|\[\]]", r"\\\g<0>", show_line(text))
