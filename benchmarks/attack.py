"""Attacks by files, servers, clients, rows and surroundings: how many were tried, how many held.

    python -m benchmarks.attack
    python -m benchmarks.attack --kind subtitles --kind worlds

Each attack runs in a child process with limits of time and memory. Each kind begins with controls:
harmless input that must give the right result; where it does not, the kind counts as not tried.
Prints Markdown, and writes it with --out.
"""

from __future__ import annotations

import argparse
import importlib
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.attacks.harness import Attack, Children, NotTriedError
from benchmarks.attacks.material import Bench, make_bench

KINDS = {
    "mcp paths and races": "mcp_paths",
    "mcp arguments": "mcp_calls",
    "mcp load and cancel": "mcp_load",
    "subtitles": "subtitles",
    "worlds": "worlds",
    "pictures": "pictures",
    "containers": "containers",
    "servers": "servers",
    "model folders and control tokens": "model_folders",
    "rows": "rows",
    "store": "stores",
    "terminal text and HTML": "texts",
    "file modes, environment, signals": "surroundings",
}
"""Names for --kind, and the module of each."""


_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
"""Servers of the attacks are on loopback."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one attack."""

    attack: Attack
    state: Literal["held", "fell", "not tried"]
    reason: str
    seconds: float


def run_attacks(attacks: Iterable[Attack], folder: Path) -> Iterator[Outcome]:
    """Run each in a folder of its own. After a control that failed all others of that kind are not
    tried."""
    failed: set[str] = set()
    for number, attack in enumerate(attacks):
        own_folder = folder / f"{attack.kind.replace(' ', '-')}-{number:04d}"
        own_folder.mkdir(parents=True)
        began_s = time.monotonic()
        if attack.kind in failed and not attack.is_control:
            yield Outcome(attack, "not tried", "its control failed", 0.0)
            continue
        try:
            fault = attack.attempt(own_folder)
            state = "fell" if fault else "held"
        except NotTriedError as error:
            fault, state = str(error), "not tried"
        except Exception as error:  # a mistake of the attack says nothing about what it attacks
            fault, state = f"the attack failed: {type(error).__name__}: {error}", "not tried"
        if attack.is_control and state != "held":
            failed.add(attack.kind)
        yield Outcome(attack, state, fault, time.monotonic() - began_s)


def format_table(outcomes: list[Outcome], seed: int, seconds: float) -> str:
    """Counts by kind, and everything that fell or was not tried, as Markdown."""
    lines = [
        "# Attacks",
        "",
        f"`python -m benchmarks.attack --seed {seed}`, {seconds / 60:.0f} minutes on "
        f"{platform.machine()}, Python {platform.python_version()}.",
        "",
        "| kind | tried | held | fell | not tried | controls right | slowest s |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind in dict.fromkeys(outcome.attack.kind for outcome in outcomes):
        # Controls are no attacks: they show that the check would see one that falls.
        of_kind = [outcome for outcome in outcomes if outcome.attack.kind == kind]
        controls = [outcome for outcome in of_kind if outcome.attack.is_control]
        tries = [outcome for outcome in of_kind if not outcome.attack.is_control]
        held_count, fell, not_tried = (
            sum(outcome.state == state for outcome in tries)
            for state in ("held", "fell", "not tried")
        )
        right = sum(control.state == "held" for control in controls)
        slowest_s = max((outcome.seconds for outcome in of_kind), default=0.0)
        lines.append(
            f"| {kind} | {held_count + fell} | {held_count} | {fell} | {not_tried} | {right} of "
            f"{len(controls)} | {slowest_s:.1f} |"
        )
    for state in ("fell", "not tried"):
        listed = [outcome for outcome in outcomes if outcome.state == state]
        if listed:
            lines += ["", f"## {state.capitalize()}", ""]
        for outcome in listed:
            control = "control: " if outcome.attack.is_control else ""
            lines.append(
                f"- {outcome.attack.kind}: {control}{outcome.attack.name}: {outcome.reason}"
            )
    return "\n".join(lines) + "\n"


def gather_attacks(kinds: Iterable[str], bench: Bench) -> Iterator[Attack]:
    """The attacks of these kinds, made as they are needed: some share a server process."""
    for kind in kinds:
        yield from importlib.import_module(f"benchmarks.attacks.{KINDS[kind]}").attacks(bench)


def main() -> None:
    parser = argparse.ArgumentParser(description="Attack mmreason, and count what held.")
    parser.add_argument("--kind", action="append", choices=list(KINDS), help="default: all")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that servers are ended too
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        home = folder / "home"
        home.mkdir()
        without_proxy = dict.fromkeys((*_PROXIES, *map(str.lower, _PROXIES)))
        children = Children(
            preload=["benchmarks.attacks.warm"],
            environment={"HOME": str(home), "XDG_CACHE_HOME": None, "HF_HUB_OFFLINE": "1"}
            | without_proxy,
        )
        bench = make_bench(folder / "material", children, options.seed)
        outcomes = []
        for outcome in run_attacks(gather_attacks(options.kind or KINDS, bench), folder / "tries"):
            outcomes.append(outcome)
            print(
                f"{outcome.state:9} {outcome.seconds:5.1f} s  {outcome.attack.kind}: "
                f"{outcome.attack.name}  {outcome.reason}",
                file=sys.stderr,
                flush=True,
            )
    table = format_table(outcomes, options.seed, time.monotonic() - began_s)
    print(table)
    if options.out is not None:
        options.out.write_text(table)


if __name__ == "__main__":
    main()
