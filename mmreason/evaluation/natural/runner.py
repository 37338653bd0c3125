"""Measures methods and observers on natural videos: resumable, an outcome a line.

A folder holds `run.json` (what is measured), `videos/` (scripts that open as videos, one a
language) and `results.jsonl`. A run that was cut short goes on where it ended. An item that fails
is a typed outcome.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from mmreason.evaluation.natural.cards import CardVideo
from mmreason.evaluation.natural.methods import (
    Method,
    Viewing,
    answer_item,
    build_index,
    parse_method,
)
from mmreason.evaluation.natural.outcomes import NaturalOutcome, outcome_of
from mmreason.evaluation.runs import check_same_run
from mmreason.json_lines import (
    append_lines,
    encode_json_line,
    mend_last_line,
    require_json_lines,
)
from mmreason.memory.store import Store
from mmreason.models.base import ChatModel
from mmreason.natural.habits import HABITS
from mmreason.natural.items import NaturalItem
from mmreason.natural.observers import make_observer
from mmreason.natural.questions import draw_items
from mmreason.natural.reasoners import make_reasoner
from mmreason.natural.records import VideoScript
from mmreason.natural.scripts import draw_script, script_subtitles, script_world
from mmreason.natural.texts import GENRES, Language
from mmreason.types import Answer, Budget, UsageError
from mmreason.video import Video

OnProgress = Callable[[int, int], None]
_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NaturalPlan:
    """What is measured.

    Example:
        >>> plan = NaturalPlan(videos=2, durations_s=(600.0, 3600.0), runs=(("perfect", "greedy"),))
        >>> [script.name for script in plan.scripts()]
        ['natural-cooking-600s-0', 'natural-lecture-3600s-0']
    """

    videos: int
    durations_s: tuple[float, ...]
    runs: tuple[tuple[str, str], ...]
    """(observer or model, method), in the order of measuring."""
    languages: tuple[Language, ...] = ("en",)
    seed: int = 0
    most_items: int | None = None
    """Items a video and language; None for all."""
    frames: int | None = None
    """Budget of the policies, in frames a question."""
    compare_even: bool = True
    """Whether each policy is compared with as many even frames as it took on average."""

    def __post_init__(self) -> None:
        if self.videos < 1 or not self.durations_s or not self.runs or not self.languages:
            raise UsageError("a run needs a video, a length, a language, an observer and a method")
        for _, method in self.runs:
            parse_method(method)

    def scripts(self) -> Iterator[VideoScript]:
        """The videos: genres and lengths in turn, so that few videos already hold many of both."""
        for number in range(self.videos):
            # Genres wrap after eight; lengths shift then, so that each genre meets each length.
            turn = number // len(GENRES)
            duration_s = self.durations_s[(number + turn) % len(self.durations_s)]
            yield draw_script(GENRES[number % len(GENRES)], self.seed + turn, duration_s)

    def items_of(self, script: VideoScript) -> tuple[NaturalItem, ...]:
        """The items that are asked about a video, in each language the same."""
        items = draw_items(script, self.languages)
        if self.most_items is None:
            return items
        pairs = list(dict.fromkeys(item.pair for item in items))
        # Spread over the families, and shifted from video to video: each has its turn.
        count = min(self.most_items, len(pairs))
        shift = self.seed + GENRES.index(script.genre.name)
        chosen = {pairs[(shift + i * len(pairs) // count) % len(pairs)] for i in range(count)}
        return tuple(item for item in items if item.pair in chosen)


def run_plan(plan: NaturalPlan, folder: Path, *, on_progress: OnProgress | None = None) -> Path:
    """Measure what is still missing in `folder`; returns the path of `results.jsonl`.

    `on_progress(done, total)` is called after each outcome. Raises UsageError where the folder
    holds a run with another seed or budget.
    """
    folder.mkdir(parents=True, exist_ok=True)
    check_same_run({"seed": plan.seed, "frames": plan.frames}, folder / "run.json")
    results = folder / "results.jsonl"
    mend_last_line(results)
    _measure(plan, plan.runs, folder, results, on_progress)
    # Only now is it known how many frames each policy took.
    if plan.compare_even:
        _measure(plan, even_runs(plan.runs, read_outcomes(results)), folder, results, on_progress)
    return results


def even_runs(
    runs: Sequence[tuple[str, str]], outcomes: Sequence[NaturalOutcome]
) -> tuple[tuple[str, str], ...]:
    """For each policy that was measured, direct viewing with its mean number of frames."""
    even = []
    for observer, method in runs:
        if parse_method(method).even_frames:
            continue
        frames = mean_frames(outcomes, observer, method)
        if not math.isnan(frames):
            even.append((observer, Method(even_frames=max(1, round(frames))).name))
    return tuple(dict.fromkeys(run for run in even if run not in runs))


def mean_frames(outcomes: Sequence[NaturalOutcome], observer: str, method: str) -> float:
    """Frames shown a question; NaN where nothing was measured."""
    frames = [o.cost.frames for o in outcomes if (o.observer, o.method) == (observer, method)]
    return sum(frames) / len(frames) if frames else math.nan


def read_outcomes(path: Path) -> list[NaturalOutcome]:
    """All outcomes of a run, sorted, each once. Raises UsageError naming the first line that is
    no outcome, but for a torn last one."""
    if not path.is_file():
        return []
    outcomes: dict[_Key, NaturalOutcome] = {}
    for line in require_json_lines(path, NaturalOutcome.from_dict, is_resumed=True):
        # Two runs in one folder may have measured an item twice: the first counts.
        outcomes.setdefault(_key(line.row.observer, line.row.method, line.row.item), line.row)
    return sorted(outcomes.values(), key=lambda o: (o.observer, o.method, o.item.id))


def _measure(
    plan: NaturalPlan,
    runs: Sequence[tuple[str, str]],
    folder: Path,
    results: Path,
    on_progress: OnProgress | None,
) -> None:
    done = {_key(o.observer, o.method, o.item) for o in read_outcomes(results)}
    scripts = list(plan.scripts())
    planned = {
        _key(observer, method, item)
        for script in scripts
        for item in plan.items_of(script)
        for observer, method in runs
    }
    # The folder may hold outcomes of methods that this plan does not name.
    count = len(done & planned)
    for script in scripts:
        for outcome in _measure_video(plan, script, runs, done, folder / "videos"):
            append_lines(results, encode_json_line(outcome.to_dict()))
            count += 1
            if on_progress is not None:
                on_progress(count, len(planned))


def _measure_video(
    plan: NaturalPlan,
    script: VideoScript,
    runs: Sequence[tuple[str, str]],
    done: set[_Key],
    folder: Path,
) -> Iterator[NaturalOutcome]:
    """What is missing of one video, language by language: its frames are drawn once."""
    # Observers know all questions, so that what they say does not hang on `most_items`.
    all_items = draw_items(script, plan.languages)
    chosen = plan.items_of(script)
    for language in plan.languages:
        missing = [
            (observer, method, item)
            for observer, method in runs
            for item in chosen
            if item.language == language and _key(observer, method, item) not in done
        ]
        if not missing:
            continue
        folder.mkdir(parents=True, exist_ok=True)
        world = script_world(script, language)
        path = world.save(folder / f"{world.name}.json")
        subtitles = script_subtitles(script, language)
        with Video.open(path) as video:
            cards = CardVideo(video, script)
            indexes: dict[tuple[str, str], tuple[Store, int]] = {}
            for observer, name, item in missing:
                method = parse_method(name)
                decider = method.reasoner and make_reasoner(
                    method.reasoner, script.genre, all_items
                )
                viewing = Viewing(
                    video=cards,
                    subtitles=subtitles,
                    observer=_model(observer, script, all_items),
                    decider=decider or None,
                )
                # One index serves all questions about this video, for this observer and method.
                if method.indexed and (observer, name) not in indexes:
                    indexes[observer, name] = build_index(method, viewing)
                store, index_frames = indexes.get((observer, name), (None, 0))
                outcome = _outcome(plan, observer, method, viewing, item, store)
                yield replace(outcome, index_frames=index_frames)


def _model(name: str, script: VideoScript, items: tuple[NaturalItem, ...]) -> ChatModel:
    return make_observer(script, items, name) if name in HABITS else _load_model(name)


@cache
def _load_model(name: str) -> ChatModel:
    from mmreason import models

    return models.load(name)


def _outcome(
    plan: NaturalPlan,
    observer: str,
    method: Method,
    viewing: Viewing,
    item: NaturalItem,
    store: Store | None,
) -> NaturalOutcome:
    # A fault of a model or a policy is the outcome of this item, not the end of the run.
    answer: Answer | Exception
    try:
        answer = answer_item(method, viewing, item, budget=Budget(frames=plan.frames), store=store)
    except (ValueError, RuntimeError, OSError) as error:
        answer = error
    return outcome_of(item, observer, method.name, answer)


def _key(observer: str, method: str, item: NaturalItem) -> _Key:
    return observer, method, item.id
