"""What the default agent makes of captions that leave things out: accuracy by chance of telling.

    python benchmarks/needle_noise.py --out runs/noise

The same questions for every chance, read by the oracle, which tells of a thing at a chance exactly
when it also does at every higher one. Prints Markdown; a run that was cut short goes on.
Looks see what is shown at any chance.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mmreason.evaluation.needle.metrics import paired_difference
from mmreason.evaluation.needle.outcomes import Outcome
from mmreason.evaluation.needle.runner import ORACLE, Plan, read_outcomes, run_plan
from mmreason.evaluation.needle.summary import build_row
from mmreason.needle.items import duration_of

CHANCES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
POLICY = "greedy"


def measure_chance(folder: Path, chance: float, length: str, seeds: range) -> list[Outcome]:
    """Outcomes of ten questions a world, in a folder of their own."""
    plan = Plan(
        model=ORACLE,
        durations_s=(duration_of(length),),
        seeds=tuple(seeds),
        items=10,
        methods=(POLICY,),
        mention=chance,
    )
    return read_outcomes(run_plan(plan, folder / f"mention-{chance:g}"))


def build_table(by_chance: dict[float, list[Outcome]]) -> list[str]:
    """A row a chance, with what it has above the next lower one."""
    lines = ["| told | right | frames | above the row before |", "|---|---|---|---|"]
    before: list[Outcome] | None = None
    for chance, outcomes in by_chance.items():
        noise_row = build_row(POLICY, outcomes)
        # Paired: the same questions at the next lower chance.
        gain = "" if before is None else _points(paired_difference(outcomes, before))
        lines.append(
            f"| {chance:.0%} | {noise_row.accuracy} | {noise_row.frames.value:.0f} | {gain} |"
        )
        before = outcomes
    return lines


def _points(difference: tuple[float, float, float]) -> str:
    value, low, high = (100 * value_part for value_part in difference)
    return f"{value:+.1f} points ({low:+.1f} to {high:+.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description="Accuracy by chance of telling.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--length", default="3m", help="length of the videos")
    parser.add_argument("--worlds", type=int, default=20, help="videos, ten questions each")
    parser.add_argument("--first", type=int, default=500, help="seed of the first")
    args = parser.parse_args()
    seeds = range(args.first, args.first + args.worlds)
    outcomes = {c: measure_chance(args.out, c, args.length, seeds) for c in CHANCES}
    print("\n".join(build_table(outcomes)))


if __name__ == "__main__":
    main()
