"""Writes nano's model card from measured results. Every figure in it comes from `nano.measure` or
`declines.measure_declines`."""

from __future__ import annotations

from mmreason.evaluation.calibration import expected_error, reliability_bins
from mmreason.evaluation.declines import DeclineResults
from mmreason.evaluation.nano import NanoResults, by_family
from mmreason.evaluation.scoring import Proportion
from mmreason.video.world.questions import FAMILIES

AIM = {"attribute": 0.9, "motion": 0.9, "count": 0.9}
"""What v0 was meant to reach on single scenes; the card says whether it does."""
BOX_AIM = 0.7


def model_card(
    results: NanoResults,
    facts: dict[str, str],
    command: str,
    name: str = "nano",
    *,
    declines: DeclineResults | None = None,
    alarms: Proportion | None = None,
    is_calibrated: bool = False,
) -> str:
    """Markdown about the model `name`. `facts` are lines about the weights, `command` repeats
    the measurement. `declines` is what was said of other footage, `alarms` are clips of worlds that
    the guard took for such; None where these were not measured."""
    sections = [
        _heading(name, facts),
        _aims(results),
        _families(results),
        _boxes(results),
        _captions(results),
        _honesty(results, declines, alarms),
        _confidence(results, is_calibrated),
        f"## Measure again\n\n```\n{command}\n```\n\n{_METHOD}",
    ]
    return "\n\n".join(sections) + "\n"


_METHOD = (
    "Worlds come from seeds that training never uses and are drawn at the size nano watches, "
    "without an encoder in between. An answer counts only if it says exactly what is true, but for "
    "case and punctuation. Intervals are at 95 %: Wilson for shares, normal for means."
)


def _heading(name: str, facts: dict[str, str]) -> str:
    rows = "\n".join(f"| {what} | {value} |" for what, value in facts.items())
    return (
        f"# {name}\n\n"
        "A Qwen3-VL of a few million parameters that ships with mmreason, trained from scratch by "
        "`mmreason train nano` on scripted worlds: coloured shapes that move on plain backgrounds. "
        "It exists so that every feature runs on a laptop without a download. "
        "It knows that world only, in the words of its training. A guard asks it nothing else: "
        "pictures are measured first, questions are brought into the taught words or declined, and "
        "replies of another form are not passed on. All figures are of the weights with the "
        "guard.\n\n"
        f"| | |\n| --- | --- |\n{rows}"
    )


def _aims(results: NanoResults) -> str:
    # Aims are of single scenes; worlds with a cut are in the table below.
    table = results.families.get("single scene", {})
    lines = [
        _aim_line(f"{name}, single scene", table.get(name, Proportion(0, 0)), aim)
        for name, aim in AIM.items()
    ]
    value = results.box_iou.value
    lines.append(f"- box mean IoU: {value:.3f}, aim {BOX_AIM}: {_reached_text(value >= BOX_AIM)}")
    return "## What was aimed at, what was reached\n\n" + "\n".join(lines)


def _aim_line(name: str, proportion: Proportion, aim: float) -> str:
    return (
        f"- {name}: {proportion.value:.1%}, aim {aim:.0%}: {_reached_text(proportion.value >= aim)}"
    )


def _reached_text(reached: bool) -> str:
    return "reached" if reached else "**not reached**"


def _families(results: NanoResults) -> str:
    kinds = list(results.families)
    total = by_family(results)
    head = f"| family | {' | '.join(kinds)} | both |\n|{' --- |' * (len(kinds) + 2)}"
    rows = [
        f"| {family} | "
        + " | ".join(str(results.families[kind].get(family, Proportion(0, 0))) for kind in kinds)
        + f" | {total.get(family, Proportion(0, 0))} |"
        for family in FAMILIES
    ]
    return "\n".join(
        [f"## Questions about a clip ({results.worlds} held-out worlds)\n", head, *rows]
    )


def _boxes(results: NanoResults) -> str:
    return (
        "## Boxes on a frame\n\n"
        f"| | |\n| --- | --- |\n| mean IoU | {results.box_iou} |\n"
        f"| found (IoU of 0.5 or more) | {results.box_found} |\n"
        f"| empty list for what is not there | {results.box_absent} |"
    )


def _captions(results: NanoResults) -> str:
    rows = "\n".join(
        f"| {name} | {proportion} |" for name, proportion in results.caption_words.items()
    )
    return (
        "## Captions of single scenes\n\n"
        "Proportion of actors whose attribute stands in the caption (shape and colour in one "
        f"sentence; the others in that sentence).\n\n| | |\n| --- | --- |\n{rows}"
    )


def _honesty(
    results: NanoResults, declines: DeclineResults | None, alarms: Proportion | None
) -> str:
    lines = [
        f"- Questions about absent things that were declined or denied: {results.absent}",
        f"- Questions with an answer that were wrongly declined: {results.present_declined}",
    ]
    if alarms is not None:
        lines.append(f"- Clips of worlds, encoded in many ways, that the guard declined: {alarms}")
    other = "Footage that is no scripted world was not measured."
    if declines is not None:
        other = (
            "Footage that is no scripted world: photographs and clips that packages ship, and "
            "drawn cards, terminals, screens, charts, patterns and fades, each at five "
            "brightnesses. A source counts as invented if any one reply to it claims something. "
            "Held-out sources with an invention (the false-answer rate): "
            f"**{declines.share(held_out=True)}**."
        )
    return "## What is not there\n\n" + "\n".join(lines) + f"\n\n{other}"


def _confidence(results: NanoResults, is_calibrated: bool) -> str:
    method = (
        "Stated confidence was fitted on other worlds, by a rising map."
        if is_calibrated
        else "Stated confidence is the mean probability of the written tokens, not calibrated."
    )
    rows = []
    for kind, pairs in results.stated.items():
        bins = reliability_bins(pairs)
        rows += [
            f"| {kind} | {group.low:.0%} to {group.high:.0%} | {group.right.n} "
            f"| {group.stated:.1%} | {group.right} |"
            for group in bins
        ]
        # The bins show where it is off; this row, by how much in all.
        rows.append(f"| {kind} | all | {len(pairs)} | mean gap {expected_error(bins):.1%} | |")
    return (
        f"## Confidence\n\n{method}\n\n"
        "| reply to | stated | replies | mean stated | right |\n| --- | --- | --- | --- | --- |\n"
        + "\n".join(rows)
        + "\n\nAnswers that a second look, at other frames of the same clip, repeats: "
        f"right in {results.agreeing}. Those that it does not repeat: {results.disagreeing}."
    )
