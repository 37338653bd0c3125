"""How often a search of a library finds the right span first, and nothing for nonsense.

    python benchmarks/senses_library.py --videos 50 --folder build/senses_library

Makes narrations of which everything is known (`mmreason.narration`), indexes them with the senses
that are installed, and searches all of them at once: planted questions in other words than the
videos tell (speech, screen, label), gibberish, off-topic questions, and near misses, whose subject
is told of something else. Asks the same over records of what was really said, written and shown:
the search alone, without what senses miss. Videos and index are kept in the folder and made once.
Writes a Markdown table to `benchmarks/results/senses/library.md`.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmreason.library.library import Library, load_default_embedder
from mmreason.library.results import LibraryResult
from mmreason.memory.records import MemoryRecord
from mmreason.memory.store import Store
from mmreason.memory.vector_index import Embedder
from mmreason.memory.video_memory import VideoMemory
from mmreason.narration import (
    Narration,
    NarrationTruth,
    PlantedQuestion,
    describe_narration,
    make_narrations,
    make_questions,
    render_narration,
    speak_narration,
)
from mmreason.video import Video
from mmreason.video.types import Span

RESULTS = Path(__file__).parent / "results" / "senses" / "library.md"
PLANTED = 200
NONSENSE = 100
RESAMPLES = 2_000
TOP = 3


@dataclass(frozen=True, slots=True)
class MadeVideo:
    """A video, and all that is in it."""

    path: Path
    narration: Narration
    truth: NarrationTruth
    questions: tuple[PlantedQuestion, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one question."""

    video: int
    """From which the question was made: the unit of intervals."""
    kind: str
    text: str
    rank: int
    """Of the first hit in a right span, from 1; 0 where there is none."""
    hits: int
    similarity: float
    """Of the first hit; 0 without one."""


def make_videos(count: int, folder: Path) -> list[MadeVideo]:
    """Render what is not there yet."""
    made: list[MadeVideo] = []
    for number, narration in enumerate(make_narrations(count, seed=17)):
        path = folder / f"talk-{number:02d}.mp4"
        track = speak_narration(narration)
        # Speaking is quick and comes out the same: only the drawing is done once.
        truth = (
            describe_narration(narration, track)
            if path.is_file()
            else render_narration(narration, path, track=track)
        )
        made.append(MadeVideo(path, narration, truth, make_questions(narration, truth)))
        print(f"made {path.name}: {truth.duration_s:.0f} s", flush=True)
    return made


def make_truth_records(truth: NarrationTruth) -> list[MemoryRecord]:
    """What perfect senses would find."""
    return [
        *(MemoryRecord("speech", s.span, s.text, "truth", "truth") for s in truth.sentences),
        *(MemoryRecord("screen_text", x.span, x.text, "truth", "truth") for x in truth.lines),
        *(MemoryRecord("label", x.span, x.name, "truth", "truth") for x in truth.labels),
    ]


def index_videos(videos: Sequence[MadeVideo], store: Store, *, with_truth: bool) -> list[str]:
    """Fill the store; returns what could not be had, a line each."""
    if with_truth:
        for video in videos:
            with Video.open(video.path) as opened:
                VideoMemory.of_video(opened, store).add(make_truth_records(video.truth))
        return []
    from mmreason.senses import load_senses, perceive

    senses = load_senses()
    missing: dict[str, None] = {}
    for video in videos:
        started_s = time.process_time()
        with Video.open(video.path) as opened:
            memory = VideoMemory.of_video(opened, store)
            for step in perceive(opened, memory, senses):
                if step.error:
                    missing[f"{step.sense}: {step.error}"] = None
        print(f"indexed {video.path.name}: {time.process_time() - started_s:.0f} CPU s", flush=True)
    return list(missing)


def choose_questions(videos: Sequence[MadeVideo]) -> list[tuple[int, PlantedQuestion]]:
    """Planted questions, and as many that nothing answers in any of the videos."""
    facts = [fact for video in videos for fact in video.narration.facts]
    told = {(fact.family, fact.subject) for fact in facts}
    shown = {fact.value for fact in facts if fact.channel == "label"}
    numbered = [(i, q) for i, video in enumerate(videos) for q in video.questions]
    draw = random.Random(17)
    planted = [pair for pair in numbered if pair[1].kind == "answerable"]
    planted = sorted(draw.sample(planted, min(PLANTED, len(planted))), key=lambda pair: pair[0])
    others = [
        (i, q)
        for i, q in numbered
        if q.kind in ("gibberish", "off_topic")
        or (q.kind == "near_miss" and not any(subject in q.text for _, subject in told))
        or (q.kind == "absent_label" and not any(label in q.text for label in shown))
    ]
    nonsense = [pair for pair in others if pair[1].kind in ("gibberish", "off_topic")]
    near = [pair for pair in others if pair[1].kind not in ("gibberish", "off_topic")]
    return [*planted, *nonsense[:NONSENSE], *near]


def find_rank(result: LibraryResult, question: PlantedQuestion, videos: Sequence[MadeVideo],
              video: int) -> int:  # fmt: skip
    """Place of the first hit that lies in a right span; 0 where none does."""
    right = {videos[video].path: question.spans}
    if question.channel == "label":
        # Other videos show the same thing: that is right too.
        right = {
            v.path: tuple(x.span for x in v.truth.labels if x.name == question.answer)
            for v in videos
        }
    for rank, hit in enumerate(result.hits, start=1):
        if any(is_inside(hit.span, span) for span in right.get(hit.path, ())):
            return rank
    return 0


def is_inside(found: Span, right: Span) -> bool:
    """Whether a hit leads to the right moment: it holds half of it, or lies in it by half."""
    overlap_s = found.overlap_s(right)
    return overlap_s > 0 and overlap_s >= 0.5 * min(found.duration_s, right.duration_s)


def ask(library: Library, videos: Sequence[MadeVideo]) -> tuple[list[Outcome], float]:
    """Outcomes of all questions, and CPU milliseconds of a search in the median."""
    outcomes: list[Outcome] = []
    times_s: list[float] = []
    library.search("warm up")
    for video, question in choose_questions(videos):
        started_s = time.process_time()
        result = library.search(question.text)
        times_s.append(time.process_time() - started_s)
        kind = question.channel if question.kind == "answerable" else question.kind
        rank = find_rank(result, question, videos, video) if question.kind == "answerable" else 0
        best = result.hits[0].similarity if result.hits else 0.0
        outcomes.append(Outcome(video, str(kind), question.text, rank, len(result.hits), best))
    return outcomes, 1_000 * float(np.median(times_s))


def measure_share(
    outcomes: Sequence[Outcome], is_good: Callable[[Outcome], bool]
) -> tuple[float, float, float]:
    """A share and its 95 % interval, videos drawn anew."""
    groups: dict[int, list[bool]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.video, []).append(is_good(outcome))
    sums = np.array([[sum(group), len(group)] for group in groups.values()])
    draws = np.random.default_rng(17).integers(0, len(sums), (RESAMPLES, len(sums)))
    drawn = sums[draws].sum(axis=1)
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], [2.5, 97.5])
    return float(sums[:, 0].sum() / sums[:, 1].sum()), float(low), float(high)


def format_share(outcomes: Sequence[Outcome], is_good: Callable[[Outcome], bool]) -> str:
    share, low, high = measure_share(outcomes, is_good)
    return f"{share:.1%} ({low:.0%} to {high:.0%})"


def format_table(outcomes: Sequence[Outcome]) -> list[str]:
    planted = [o for o in outcomes if o.kind in ("speech", "screen_text", "label")]
    nonsense = [o for o in outcomes if o.kind in ("gibberish", "off_topic")]
    rows = ["| questions | n | right span first | in the first three | nothing found | target |"]
    rows.append("| --- | --- | --- | --- | --- | --- |")
    kinds = sorted({o.kind for o in planted})
    for name, chosen in [("planted, all", planted)] + [
        (f"planted, {kind}", [o for o in planted if o.kind == kind]) for kind in kinds
    ]:
        target = "first 85 %, three 95 %" if name.endswith("all") else ""
        first = format_share(chosen, lambda o: o.rank == 1)
        top = format_share(chosen, lambda o: 1 <= o.rank <= TOP)
        none = format_share(chosen, lambda o: o.hits == 0)
        rows.append(f"| {name} | {len(chosen)} | {first} | {top} | {none} | {target} |")
    groups = [("gibberish and off-topic", nonsense, "95 %")]
    groups += [
        (kind.replace("_", " "), [o for o in outcomes if o.kind == kind], "reported")
        for kind in ("gibberish", "off_topic", "near_miss", "absent_label")
    ]
    for name, chosen, target in groups:
        if chosen:
            none = format_share(chosen, lambda o: o.hits == 0)
            rows.append(f"| {name} | {len(chosen)} | | | {none} | {target} |")
    return rows


def format_missed(outcomes: Sequence[Outcome], truth: Sequence[Outcome]) -> list[str]:
    """The planted questions that only records of the truth answer first: what senses missed."""
    right = {(o.video, o.text) for o in truth if o.rank == 1}
    missed = [o for o in outcomes if o.rank != 1 and (o.video, o.text) in right]
    return [f"- {o.kind}, video {o.video}: {o.text}" for o in missed]


def measure(
    videos: Sequence[MadeVideo], folder: Path, embedder: Embedder | None, *, name: str
) -> tuple[list[Outcome], list[str], float]:
    """(outcomes, notes, CPU ms of a search) with records of the senses or of the truth."""
    with Store.open(folder / f"{name}.sqlite3") as store:
        notes = index_videos(videos, store, with_truth=name == "truth")
        library = Library([video.path for video in videos], store, embedder=embedder)
        outcomes, search_ms = ask(library, videos)
    return outcomes, notes, search_ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=50)
    parser.add_argument("--folder", type=Path, default=Path("build/senses_library"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    videos = make_videos(options.videos, options.folder)
    embedder, note = load_default_embedder()
    outcomes, notes, search_ms = measure(videos, options.folder, embedder, name="senses")
    truth, _, _ = measure(videos, options.folder, embedder, name="truth")
    lines = [
        "# Search over a library of made videos",
        "",
        f"`python benchmarks/senses_library.py --videos {options.videos}`",
        "",
        f"{len(videos)} videos, searched as one; intervals of 95 % with the video as the unit. A",
        f"search took {search_ms:.0f} ms of CPU in the median. Near misses ask what the videos",
        "tell of something else, absent labels what no photograph shows: they are left to the",
        "reader.",
        "",
        "## What the senses found",
        "",
        *format_table(outcomes),
        *(["", *(f"- {line}" for line in filter(None, [note, *notes]))] if note or notes else []),
        "",
        "## What was really said, written and shown",
        "",
        "The same questions over records of the truth: the search alone, without what senses miss.",
        "",
        *format_table(truth),
        "",
        "## Missed by the senses",
        "",
        *(format_missed(outcomes, truth) or ["Nothing."]),
        "",
    ]
    page = "\n".join(lines)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
