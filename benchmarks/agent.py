"""What the agent itself costs: time a step outside the models, warm questions, lookups.

    python benchmarks/agent.py

A film is drawn from a script in memory and watched by a scripted model, so that next to nothing but
the agent is measured; models and decoding are taken off by their own clocks. Prints a Markdown
table and writes it to `benchmarks/results/agent.md`.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mmreason.memory.store import Store
from mmreason.models.base import ClipRecipe
from mmreason.models.scripted import ScriptedModel
from mmreason.policies import BreadthFirst, Greedy, LongVideoR1, Policy, RandomLeaf
from mmreason.reasoner import Reasoner
from mmreason.types import Budget
from mmreason.video.types import FrameBatch, VideoInfo

RESULTS = Path(__file__).parent / "results" / "agent.md"
CLIP = ClipRecipe(frames=8, size_px=(32, 18), leaf_s=16.0)
COLOURS = ("red", "green", "blue", "yellow", "white", "black", "pink", "orange")
THINGS = ("star", "ring", "cross", "circle", "square", "arrow", "heart", "moon")
STEP_TARGET_S, WARM_TARGET_S, LOOKUP_TARGET_S = 0.005, 60.0, 0.001


@dataclass
class BlankFilm:
    """An hour in which another thing is seen every half minute; frames are blank."""

    duration_s: float = 3_600.0
    scene_s: float = 30.0
    content_hash: str = "film"
    info: VideoInfo = field(init=False)

    def __post_init__(self) -> None:
        self.info = VideoInfo(
            path="film.mp4",
            duration_s=self.duration_s,
            start_s=0.0,
            width_px=32,
            height_px=18,
            codec="none",
            mean_fps_hz=25.0,
            frame_count=None,
            rotation_deg=0,
            has_audio=False,
            backend="none",
            size_bytes=0,
        )

    def frames_at(
        self, times_s: Sequence[float], size_px: tuple[int, int] | None = None
    ) -> FrameBatch:
        width, height = size_px or (32, 18)
        count = len(times_s)
        return FrameBatch(
            pixels=np.zeros((count, height, width, 3), np.uint8),
            times_s=np.asarray(times_s, np.float64),
            exact=np.ones(count, np.bool_),
        )

    def thing_at(self, time_s: float) -> str:
        number = int(time_s // self.scene_s)
        return f"{COLOURS[number % 8]} {THINGS[number // 8 % 8]}"


def make_observer(film: BlankFilm) -> ScriptedModel:
    """Tells all things between its first frame and its last; answers yes or no."""

    def script(text: str, batch: FrameBatch | None) -> str:
        assert batch is not None
        first, last = (int(t // film.scene_s) for t in (batch.times_s[0], batch.times_s[-1]))
        things = [film.thing_at(number * film.scene_s) for number in range(first, last + 1)]
        if text == CLIP.prompts.caption:
            return " ".join(f"a {thing}." for thing in things)
        return "yes" if any(thing in text for thing in things) else "no"

    return ScriptedModel(script, clip=CLIP)


def make_thinker() -> ScriptedModel:
    """Looks at another stretch every turn, and answers on the last one."""
    # Other places each turn, or the agent would refuse the call as a repetition.
    turns = iter(range(10**9))

    def script(text: str, batch: FrameBatch | None) -> str:
        if "last turn" in text:
            return "<think>enough</think><answer>yes</answer>"
        start_s = next(turns) * 7 % 3_500
        return f'<think>on</think><tool>look({start_s}, {start_s + 16}, "Is it red?")</tool>'

    return ScriptedModel(script, clip=CLIP, name="thinker")


def make_questions(count: int) -> list[str]:
    """Different questions about what is there.

    Example:
        >>> make_questions(2)
        ['Is there a red star?', 'Is there a green star?']
    """
    things = [f"{colour} {thing}" for thing in THINGS for colour in COLOURS]
    forms = ("Is there a {}?", "Is a {} shown?", "Can a {} be seen?", "Does a {} appear?")
    every = [form.format(thing) for form in forms for thing in things]
    # More questions than there are forms: the store then serves whole answers' worth of replies.
    return [every[i % len(every)] for i in range(count)]


@dataclass(frozen=True, slots=True)
class StepTime:
    """Seconds a step of one question: on the processor, and by the clock on the wall, the latter
    without those in which models ran and frames were made."""

    cpu_s: float
    wall_s: float


def ask_timed(
    reasoner: Reasoner, film: BlankFilm, question: str, budget: Budget
) -> tuple[StepTime, int]:
    """What a question takes a step, and its steps."""
    began_s, cpu_s = time.perf_counter(), time.process_time()
    answer = reasoner.ask(film, question, budget=budget)
    wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    # What models and decoding took is by their own clocks.
    wall_s -= answer.cost.model_seconds + answer.cost.decode_seconds
    steps = len(answer.trace)
    return StepTime(cpu_s / steps, wall_s / steps), steps


def measure_steps(policy: Policy, budget: Budget, repeats: int) -> tuple[list[StepTime], int]:
    """What each question takes a step, with an empty store in a file; steps in all."""
    film, spent, steps = BlankFilm(), [], 0
    # Once before anything is timed: what is imported at first use is no part of a step.
    ask_timed(
        Reasoner(make_thinker(), observer=make_observer(film)), film, "Is there a star?", Budget()
    )
    for question in make_questions(repeats):
        with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "s") as store:
            reasoner = Reasoner(
                make_thinker(), observer=make_observer(film), policy=policy, store=store
            )
            step_time, count = ask_timed(reasoner, film, question, budget)
            spent.append(step_time)
            steps += count
    return spent, steps


def measure_warm(count: int) -> tuple[float, float, int]:
    """Seconds by the wall and of the processor for `count` questions on a store that holds all
    replies, and calls of models then."""
    film = BlankFilm()
    asked_questions = make_questions(count)
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "s") as store:
        model = make_observer(film)
        reasoner = Reasoner(model, store=store)
        # First every question once, so that the store holds all replies.
        for question in dict.fromkeys(asked_questions):
            reasoner.ask(film, question)
        before = model.calls
        began_s, cpu_s = time.perf_counter(), time.process_time()
        for question in asked_questions:
            reasoner.ask(film, question)
        wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
        return wall_s, cpu_s, model.calls - before


def measure_lookups(count: int) -> list[float]:
    """Seconds of each of `count` lookups in a file of 20,000 replies."""
    value = {"replies": [{"text": "a red star moves left. " * 10, "frame_times_s": [0.5] * 8}]}
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "s") as store:
        for i in range(20_000):
            store.put(f"key-{i:064d}", value)
        times_s = []
        for i in range(count):
            # A stride that is prime to the count: no two neighbours lie on a page of the file.
            key = f"key-{i * 7919 % 20_000:064d}"
            began = time.perf_counter()
            value_read = store.get(key)
            times_s.append(time.perf_counter() - began)
            assert value_read is not None
    return times_s


def measure_rows(repeats: int, count: int) -> list[tuple[str, str, str, bool]]:
    """(what, figure, target, whether it is met)."""
    table = []
    # Policies without an end of their own get one by rounds.
    plays: list[tuple[Policy, Budget]] = [
        (Greedy(), Budget()),
        (BreadthFirst(), Budget(rounds=300)),
        (RandomLeaf(), Budget(rounds=300)),
        (LongVideoR1(), Budget()),
    ]
    for policy, budget in plays:
        spent, steps = measure_steps(policy, budget, repeats)
        cpu_s, wall_s = (
            [step_time.cpu_s for step_time in spent],
            [step_time.wall_s for step_time in spent],
        )
        # Judged by the worst: a user waits for that one too.
        worst = max(cpu_s)
        figure = (
            f"{_ms(statistics.median(cpu_s))} (worst {_ms(worst)}); by the wall "
            f"{_ms(statistics.median(wall_s))} (worst {_ms(max(wall_s))}); {repeats} questions, "
            f"{steps} steps"
        )
        table.append((f"{policy.name}, a step", figure, _ms(STEP_TARGET_S), worst < STEP_TARGET_S))
    warm_s, cpu_s, calls = measure_warm(count)
    figure = f"{warm_s:.1f} s by the wall, {cpu_s:.1f} s of the processor, {calls} calls of models"
    table.append(
        (f"{count:,} questions, warm", figure, f"{WARM_TARGET_S:.0f} s", warm_s < WARM_TARGET_S)
    )
    lookups = sorted(measure_lookups(10_000))
    high = lookups[len(lookups) * 99 // 100]
    figure = f"{_ms(statistics.median(lookups))} median, {_ms(high)} at 99 %"
    table.append(("a lookup among 20,000", figure, _ms(LOOKUP_TARGET_S), high < LOOKUP_TARGET_S))
    return table


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


def build_page(table: Sequence[tuple[str, str, str, bool]], command: str) -> str:
    """The Markdown page."""
    lines = [
        "# Overhead of the agent",
        "",
        f"`{command}`, one run, one thread, Python {platform.python_version()}, "
        f"{platform.machine()}.",
        "",
        "| what | measured | target | met |",
        "|---|---|---|---|",
        *(f"| {a} | {b} | {c} | {'yes' if met else 'no'} |" for a, b, c, met in table),
        "",
        "Steps: median (and worst) over questions in time of the processor, by which the target is",
        "judged: it is the same on a busy machine, and leaves out waiting for the disk, which the",
        "times by the wall hold. Both count the answer's pictures (JPEG, at most 40). The last two",
        "rows are judged by the wall.",
        "",
        "How far to trust it: an hour of blank frames, a scripted model, and an empty store file",
        "for each question of the first four rows.",
    ]
    return "\n".join(lines) + "\n"


def main(write: Callable[[str], object] = print) -> None:
    parser = argparse.ArgumentParser(description="Measure what the agent costs by itself.")
    parser.add_argument("--repeats", type=int, default=10, help="questions of each policy")
    parser.add_argument("--questions", type=int, default=1_000, help="questions on a warm store")
    arguments = parser.parse_args()
    command = (
        f"python benchmarks/agent.py --repeats {arguments.repeats} "
        f"--questions {arguments.questions}"
    )
    page = build_page(measure_rows(arguments.repeats, arguments.questions), command)
    RESULTS.write_text(page)
    write(page)


if __name__ == "__main__":
    main()
