"""Scripted worlds (JSON) that ask for more work than they have bytes, or hold odd numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.attacks.harness import Attack, Limits, cli_call, find_fault
from benchmarks.attacks.material import QUESTION, Bench, answers, small_world

KIND = "worlds"
LIMITS = Limits(cpu_s=12, grown_mb=600)


def _actor(number: int, **changes: object) -> dict[str, object]:
    return {"id": f"a{number}", "shape": "star", "colour": "red"} | changes


def _scene(actors: list[Any], **changes: object) -> dict[str, object]:
    return {"start_s": 0.0, "end_s": 4.0, "actors": actors} | changes


def _world(actors: list[Any], scene: dict[str, object] | None = None, **changes: object) -> str:
    return json.dumps(small_world(scenes=[_scene(actors, **(scene or {}))], **changes))


def _with_number(field: str, number: str) -> str:
    return json.dumps(small_world(**{field: "NUMBER"})).replace('"NUMBER"', number)


def hostile_scripts() -> dict[str, str]:
    """By what they do."""
    chain = [
        {"kind": "touch", "actor": f"a{n}", "other": f"a{n + 1}", "time_s": 2.0}
        for n in range(3_000)
    ]
    crossing = [
        {"kind": "occlude", "actor": f"a{n}", "other": f"a{n + 1}", "time_s": 2.0}
        for n in range(3_000)
    ]
    scenes = [_scene([_actor(0)], start_s=n * 0.01, end_s=(n + 1) * 0.01) for n in range(60_000)]
    lines = [{"start_s": n * 0.001, "end_s": 4.0, "text": "star"} for n in range(60_000)]
    changes = [
        {"kind": "change_colour", "actor": "a0", "colour": "blue", "time_s": 2.0}
        for _ in range(60_000)
    ]
    texts = {
        "600 actors": _world([_actor(n) for n in range(600)]),
        "5,000 actors": _world([_actor(n) for n in range(5_000)]),
        "5,000 striped actors": _world([_actor(n, pattern="striped") for n in range(5_000)]),
        "5,000 actors of 4096 pixels": _world(
            [_actor(n) for n in range(5_000)], width_px=4096, height_px=4096
        ),
        "3,000 chained touches": _world([_actor(n) for n in range(3_001)], {"events": chain}),
        "3,000 chained occlusions": _world([_actor(n) for n in range(3_001)], {"events": crossing}),
        "60,000 scenes": json.dumps(small_world(scenes=scenes)),
        "60,000 events": _world([_actor(0)], {"events": changes}),
        "60,000 subtitle lines": json.dumps(small_world(subtitles=lines)),
        "a scene of 1e300 s": _world([_actor(0)], {"end_s": 1e300}),
        "a scene of 1e-300 s": _world([_actor(0)], {"end_s": 1e-300}),
        "an id of 5,000,000 characters": _world([_actor(0, id="x" * 5_000_000)]),
        "an escape in an id": _world([_actor(0), _actor(0, id="a0")]).replace(
            "a0", "\\u001b]0;x\\u0007"
        ),
        "a key that is an escape": json.dumps(small_world(**{"\x1b[2J\u202e": 1})),
        "a lone surrogate in the name": json.dumps(small_world(name="\ud800")),
        "a lone surrogate in the text": _world([_actor(0)], {"text": "\ud800\x1b"}),
        "200,000 brackets": "[" * 200_000,
        "2,000 brackets": '{"format":"mmreason-world-1","scenes":'
        + "[" * 2_000
        + "]" * 2_000
        + "}",
        "5,000,000 wrong keys": '{"format":"mmreason-world-1",'
        + ",".join(f'"k{n}":1' for n in range(300_000))
        + "}",
        "a tiny period": _world([_actor(0, motion={"kind": "bounce", "period_s": 0.2000001})]),
        "empty": "",
        "null": "null",
        "a list": "[]",
    }
    for number in (
        "5e-324",
        "1e-300",
        "1e-9",
        "1e308",
        "1e999",
        "NaN",
        "9" * 5_000,
        "-0.0",
        "null",
    ):
        texts[f"fps_hz {number[:12]}"] = _with_number("fps_hz", number)
    for number in ("1e300", "9" * 400, "1e400", "-Infinity"):
        texts[f"width_px {number[:12]}"] = _with_number("width_px", number)
        texts[f"seed {number[:12]}"] = _with_number("seed", number)
    return texts


def attacks(bench: Bench) -> Iterator[Attack]:
    """Each script goes through `inspect`, `sample` and `ask`."""

    def control(folder: Path) -> str:
        arguments = ["ask", str(bench.world), QUESTION, "--store", str(folder / "s")]
        return answers(bench.children.run(*cli_call(arguments), folder), "red")

    yield Attack(KIND, "a small world is answered", control, is_control=True)
    verbs = {
        "inspect": ["inspect", "w.json", "--json"],
        "sample": ["sample", "w.json", "--n", "2", "--sheet", "s.png", "--json"],
        "ask": ["ask", "w.json", QUESTION, "--store", "s", "--budget-seconds", "5"],
    }
    for name, text in hostile_scripts().items():
        for verb, words in verbs.items():

            def attempt(folder: Path, text: str = text, words: list[str] = words) -> str:
                (folder / "w.json").write_text(text)
                ended = bench.children.run(*cli_call(words), folder, limits=LIMITS)
                return find_fault(ended, LIMITS) or _find_odd_time(ended.out)

            yield Attack(KIND, f"{verb}: {name}", attempt)

    def sparse(folder: Path) -> str:
        with (folder / "w.json").open("wb") as file:
            file.write(b'{"format": "mmreason-world-1", ')
            file.truncate(800_000_000)
        return find_fault(bench.children.run(*cli_call(verbs["inspect"]), folder), LIMITS)

    yield Attack(KIND, "inspect: a sparse file of 800 MB", sparse)


def _find_odd_time(text: str) -> str:
    return "a time of 1e300 s was printed" if "e+300" in text or "e+299" in text else ""
