"""Measures the reading of screens on made frames, pictures without text and slide videos.

    python -m benchmarks.senses_screen --out benchmarks/results/senses/screen.md

Fonts and photographs are fetched with pip (`made_screens.gather_assets`); everything else is drawn
from seeds. A word counts as right where it was read letter by letter, case included.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.made_screens import (
    VIDEO_KINDS,
    Assets,
    MadeFrame,
    SlideVideo,
    gather_assets,
    make_blanks,
    make_frames,
    make_slides,
)
from mmreason.video import Video
from mmreason.video.content.changes import to_greys
from mmreason.video.screen_text import ReadLine, ScreenReader, load_screen_reader, read_screen
from mmreason.video.screen_text.matching import simplify_text
from mmreason.video.screen_text.sure import keep_sure_lines
from mmreason.video.screen_text.types import ScreenText

_SPAN_S = 0.5
"""How far the ends of a span may be off."""


@dataclass(frozen=True, slots=True)
class WordCount:
    """Words that were drawn, that were read right, and that were read though not drawn."""

    drawn: int = 0
    right: int = 0
    extra: int = 0

    def __add__(self, other: WordCount) -> WordCount:
        return WordCount(
            self.drawn + other.drawn, self.right + other.right, self.extra + other.extra
        )

    @property
    def right_percent(self) -> float:
        return 100 * self.right / max(1, self.drawn)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoScore:
    """How a slide video was read."""

    video: SlideVideo
    text: ScreenText
    caught: int
    ends: int
    """Starts and ends of caught lines."""
    near: int
    """Of these, within half a second."""
    false: int
    """Lines that were not drawn."""
    cpu_s: float


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measures the reading of screens.")
    parser.add_argument("--assets", type=Path, default=Path("build/screen-assets"))
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--blanks", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=300.0, help="length of each video")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    assets, reader = gather_assets(options.assets), load_screen_reader()
    page = "\n".join(
        [
            "# Reading screens",
            "",
            f"`python -m benchmarks.senses_screen --frames {options.frames} --blanks "
            f"{options.blanks} --seconds {options.seconds:g} --seed {options.seed}`, reader "
            f"{reader.name}, one thread.",
            "",
            *report_frames(reader, make_frames(assets, options.frames, seed=options.seed)),
            "",
            *report_blanks(reader, assets, options.blanks, options.seed),
            "",
            *report_videos(reader, assets, options.seconds, options.seed),
            "",
        ]
    )
    print(page)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(page)


def read_sure(reader: ScreenReader, frame: MadeFrame) -> tuple[ReadLine, ...]:
    """What is believed of a frame."""
    return keep_sure_lines(reader.read_frame(frame.pixels), to_greys(frame.pixels[None])[0])


def count_words(frame: MadeFrame, lines: Iterable[ReadLine]) -> WordCount:
    """Right and extra words of a frame."""
    drawn = Counter(word for line in frame.lines for word in line.text.split())
    read = Counter(word for line in lines for word in line.text.split())
    return WordCount(drawn.total(), (drawn & read).total(), (read - drawn).total())


def report_frames(reader: ScreenReader, frames: Iterable[MadeFrame]) -> list[str]:
    """Words read right, by ground, size and font."""
    tables: dict[str, dict[str, WordCount]] = {"ground": {}, "size": {}, "font": {}}
    plain, outlined, count = WordCount(), WordCount(), 0
    started = time.process_time()
    for frame in frames:
        words = count_words(frame, read_sure(reader, frame))
        count += 1
        keys = {"ground": frame.ground, "size": f"{frame.size_px} px", "font": frame.font}
        for name, key in keys.items():
            tables[name][key] = tables[name].get(key, WordCount()) + words
        if frame.ground == "photograph outlined":
            outlined += words
        else:
            plain += words
        show_step(f"frame {count}")
    cpu_s = (time.process_time() - started) / max(1, count)
    rows = [
        f"## {count} made frames of 1280x720",
        "",
        "| what | words | right | target | met |",
        "| --- | --- | --- | --- | --- |",
        target_row("plain grounds and boxes, from 16 px", plain, 98),
        target_row("outlined on photographs", outlined, 95),
        "",
        f"{cpu_s:.2f} CPU s a frame.",
    ]
    for name, table in tables.items():
        rows += ["", f"| {name} | words | right | extra |", "| --- | --- | --- | --- |"]
        rows += [
            f"| {key} | {words.drawn} | {words.right_percent:.1f} % | {words.extra} |"
            for key, words in table.items()
        ]
    return rows


def target_row(name: str, words: WordCount, least_percent: float) -> str:
    """A row with a target for the share of right words."""
    met = "yes" if words.right_percent >= least_percent else "no"
    return (
        f"| {name} | {words.drawn} | {words.right_percent:.1f} % | >= {least_percent:g} % | {met} |"
    )


def report_blanks(reader: ScreenReader, assets: Assets, count: int, seed: int) -> list[str]:
    """False words in pictures without text."""
    words: list[str] = []
    unsure = 0
    started = time.process_time()
    for number, pixels in enumerate(make_blanks(assets, count, seed=seed + 1), 1):
        lines = reader.read_frame(pixels)
        sure = keep_sure_lines(lines, to_greys(pixels[None])[0])
        unsure += len(lines) - len(sure)
        words += [word for line in sure for word in line.text.split()]
        show_step(f"picture {number}")
    cpu_s = (time.process_time() - started) / max(1, count)
    listed = f" ({', '.join(words)})" if words else ""
    met = "yes" if len(words) <= count / 100 else "no"
    return [
        f"## {count} pictures without text",
        "",
        "| what | measured | target | met |",
        "| --- | --- | --- | --- |",
        f"| false words | {len(words)}{listed} | <= {count / 100:g} | {met} |",
        "",
        f"{unsure} unsure readings were dropped; {cpu_s:.2f} CPU s a picture.",
    ]


def report_videos(reader: ScreenReader, assets: Assets, duration_s: float, seed: int) -> list[str]:
    """Calls, caught lines and spans of a video of each kind."""
    rows = [
        f"## Videos of {duration_s:g} s",
        "",
        "Calls are pictures that were read, as a share of one a second. A line is caught where one "
        "with its letters was found while it was shown. Through a fade of a second a line comes "
        "at its middle.",
        "",
        "| video | calls | caught | ends within 0.5 s | false lines | CPU s a minute |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    scores = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in VIDEO_KINDS:
            path = Path(folder) / "video.mp4"
            video = make_slides(path, kind, assets, seed=seed, duration_s=duration_s)
            scores.append(score_video(path, video, reader))
            rows.append(describe_score(scores[-1]))
            show_step(kind)
    slides = [score for score in scores if score.video.kind != "panned photographs"]
    calls = 100 * sum(s.text.reads for s in slides) / sum(s.video.duration_s for s in slides)
    lines = sum(len(s.video.lines) for s in slides)
    caught = 100 * sum(s.caught for s in slides) / lines
    near = 100 * sum(s.near for s in slides) / max(1, sum(s.ends for s in slides))
    met = ["yes" if value else "no" for value in (calls <= 15, caught >= 97, near >= 95)]
    return [
        *rows,
        "",
        "| slides together | measured | target | met |",
        "| --- | --- | --- | --- |",
        f"| calls of one a second | {calls:.1f} % | <= 15 % | {met[0]} |",
        f"| new lines caught | {caught:.1f} % of {lines} | >= 97 % | {met[1]} |",
        f"| ends of spans within 0.5 s | {near:.1f} % | all but 5 % | {met[2]} |",
    ]


def score_video(path: Path, video: SlideVideo, reader: ScreenReader) -> VideoScore:
    """Read a made video and compare."""
    started = time.process_time()
    with Video.open(path) as opened:
        text = read_screen(opened, reader)
    cpu_s = time.process_time() - started
    # Through a fade the new picture outweighs the old one from its middle on.
    late_s = 0.5 if video.kind == "fades" else 0.0
    caught = ends = near = 0
    for line in video.lines:
        letters = simplify_text(line.text)
        matches = [
            read.span
            for read in text.lines
            if simplify_text(read.text) == letters
            and read.span.start_s < line.end_s
            and line.start_s < read.span.end_s
        ]
        if not matches:
            continue
        caught += 1
        ends += 2
        # The first picture and the last have no fade.
        start_s = line.start_s + late_s * (line.start_s > 0)
        end_s = line.end_s + late_s * (line.end_s < video.duration_s)
        near += abs(min(span.start_s for span in matches) - start_s) <= _SPAN_S
        near += abs(max(span.end_s for span in matches) - end_s) <= _SPAN_S
    drawn = {simplify_text(line.text) for line in video.lines}
    false = sum(simplify_text(line.text) not in drawn for line in text.lines)
    return VideoScore(
        video=video, text=text, caught=caught, ends=ends, near=near, false=false, cpu_s=cpu_s
    )


def describe_score(score: VideoScore) -> str:
    """A row of the table."""
    video, text = score.video, score.text
    return (
        f"| {video.kind} | {100 * text.reads / video.duration_s:.1f} % "
        f"| {score.caught} of {len(video.lines)} | {score.near} of {score.ends} | {score.false} "
        f"| {60 * score.cpu_s / video.duration_s:.1f} |"
    )


def show_step(text: str) -> None:
    """Progress on stderr."""
    print(f"\r{text:<40}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
