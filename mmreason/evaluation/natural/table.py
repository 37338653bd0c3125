"""The results of a natural run as Markdown: the table of `benchmarks/results/natural.md`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmreason.evaluation.natural.outcomes import NaturalOutcome
from mmreason.evaluation.natural.summary import (
    Interval,
    NaturalRow,
    build_rows,
    comparison_lines,
    is_policy,
)
from mmreason.video.files import write_atomic

INTRODUCTION = """\
# Questions in natural language

Scripted videos of eight genres, described as a video language model would: shots of 5 to 150 s,
speech as subtitles, signs, numbers, and somebody who comes back. Questions follow the families of
Video-MME, LVBench and LongVideoBench; a seventh has no answer. Nothing is in the store when a
question is asked.

Observers know what the shots of the frames that they are shown hold, and no more: *perfect* tells
it, *forgetful* leaves 40 % of the details out of captions, *wrong* captions a fifth of the shots as
another, *verbose* and *thinking* say it with many words, *refusing* refuses a tenth of the
requests, *distracted* attends to 32 frames at once and overlooks shots where there are more. They
stand for no real model; what is compared is the policies. Every shot is a still card of its own
colours, so that a scan without a model finds each of them: real footage is not that kind.

"Right" is the right option or the right words, or an abstention where there is no answer. "Evidence
right" is the share of right answers whose evidence has a frame (or line of speech) in a shot that
proves it, "evidence length" the mean share of the video that this evidence covers. `even_N` shows N
even frames and all that is said in one call; after each policy the N that it took on average.
"Index frames" are those of an index made ahead, spread over the questions about its video.
Intervals are at 95 %: the wider of a bootstrap over videos and Wilson's; differences are paired.
"""


def write_table(outcomes: Sequence[NaturalOutcome], path: Path, *, command: str) -> Path:
    """Write the page with all tables to `path`."""
    return write_atomic(path, format_table(outcomes, command).encode())


def format_table(outcomes: Sequence[NaturalOutcome], command: str) -> str:
    """Markdown: the command, the table, comparisons, and shares by family and by language."""
    rows = build_rows(outcomes)
    videos = len({o.item.video for o in outcomes})
    pairs = len({o.item.pair for o in outcomes})
    head = (
        "| observer | method | right | evidence right | evidence length | frames | index frames "
        "| scanned | calls | tokens | abstention F1 | tool use | failed |"
    )
    sections = [
        INTRODUCTION,
        f"{pairs} questions about {videos} videos.\n\n`{command} --out runs/natural`\n",
        "\n".join([head, "|" + " --- |" * 13, *(_line(row) for row in rows)]) + "\n",
        "Differences in share right:\n\n"
        + "\n".join(f"- {line}" for line in comparison_lines(outcomes))
        + "\n",
        "## By family\n\n" + _family_table([row for row in rows if is_policy(row.method)]),
        "## What ran, and how it ended\n\n" + "\n".join(_ends(row) for row in rows) + "\n",
    ]
    return "\n".join(sections)


def _line(row: NaturalRow) -> str:
    cells = [
        row.observer,
        f"`{row.method}`",
        format_share(row.right, row.items),
        format_share(row.grounded),
        f"{row.evidence_share:.1%}",
        f"{row.frames.value:,.1f}",
        f"{row.index_frames:,.1f}",
        f"{row.scanned.value:,.0f}",
        f"{row.calls.value:.1f}",
        f"{row.tokens.value:,.0f}",
        f"{row.abstention_f1:.2f}",
        f"{row.tool_use.value:.0%}",
        str(row.failed),
    ]
    return f"| {' | '.join(cells)} |"


def format_share(interval: Interval, count: int | None = None) -> str:
    """A share with its interval, and of how many.

    Example:
        >>> format_share((0.9, 0.85, 0.94), 80)
        '90.0% (85.0 to 94.0, n = 80)'
    """
    value, low, high = interval
    # NaN: nothing was measured.
    if value != value:
        return "-"
    of = "" if count is None else f", n = {count}"
    return f"{value:.1%} ({100 * low:.1f} to {100 * high:.1f}{of})"


def _family_table(rows: Sequence[NaturalRow]) -> str:
    families = sorted({family for row in rows for family in row.by_family})
    names = [f"{row.observer} `{row.method}`" for row in rows]
    lines = [f"| family | {' | '.join(names)} |", "|" + " --- |" * (len(rows) + 1)]
    for family in families:
        cells = [
            f"{row.by_family[family].hits}/{row.by_family[family].n}"
            if family in row.by_family
            else "-"
            for row in rows
        ]
        lines.append(f"| {family} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _ends(row: NaturalRow) -> str:
    policies = ", ".join(f"{name or 'none'} {count}" for name, count in row.policies.items())
    reasons = ", ".join(f"{name} {count}" for name, count in row.stop_reasons.items())
    turns = f"; at most {row.turns_most} decisions of the model" if row.turns_most else ""
    return f"- {row.observer} `{row.method}`: {policies}; {reasons}{turns}"
