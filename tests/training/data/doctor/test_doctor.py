"""The data doctor on planted mistakes, leaks, blind answers and splits."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from mmreason.cli import app
from mmreason.engines import LocalEngine
from mmreason.training.data.doctor.blind import score_blind
from mmreason.training.data.doctor.check import CheckSettings, check_samples
from mmreason.training.data.doctor.clean import write_clean_copy
from mmreason.training.data.doctor.findings import FindingKind
from mmreason.training.data.doctor.groups import FileGroups
from mmreason.training.data.doctor.sample_file import read_sample_file
from mmreason.training.data.doctor.split import split_samples
from mmreason.training.data.sample import MediaKind, MediaRef, Sample, SampleMessage, SourceLine
from mmreason.training.rewards import Truth
from mmreason.types import UsageError


def picture(path: Path, shade: int) -> None:
    Image.new("RGB", (40 + shade % 7, 30), (shade, 10, 10)).save(path)


def row(name: str, question: str, answer: str, **fields: Any) -> dict[str, Any]:
    turns = [("human", f"<image>\n{question}"), ("gpt", answer)]
    conversation = [{"from": speaker, "value": text} for speaker, text in turns]
    return {"image": name, "conversations": conversation} | fields


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(8):
        picture(tmp_path / f"{i}.png", 20 * i)
    return tmp_path


def check(folder: Path, rows: Sequence[dict[str, Any]], name: str = "own.json") -> Any:
    path = folder / name
    path.write_text(json.dumps(rows), encoding="utf-8")
    read = read_sample_file(path)
    # One process that stays: what is tested is what is found.
    report = check_samples([read], CheckSettings(engine=LocalEngine(workers=1)))
    return read, report


PLANTED: dict[FindingKind, dict[str, Any]] = {
    FindingKind.MISSING_FILE: row("gone.png", "Where is the oven?", "there"),
    FindingKind.EMPTY_FILE: row("empty.png", "Which oven is on?", "none"),
    FindingKind.NOT_REGULAR: row("pipe.png", "Which tap drips?", "none of them"),
    FindingKind.UNREADABLE: row("broken.png", "Which pan is hot?", "the left one"),
    FindingKind.DUPLICATE_ROW: row("0.png", "What is on plate 0?", "a fig"),
    FindingKind.CONTRADICTION: row("1.png", "What is on plate 1?", "a pear"),
    FindingKind.BAD_ROW: row("2.png", "<image> What is that?", "a cup"),
}


def test_each_planted_mistake_is_found_and_nothing_else(folder):
    fruits = ["a fig", "a plum", "a lime", "a date"]
    clean = [row(f"{i}.png", f"What is on plate {i}?", fruits[i]) for i in range(4)]
    (folder / "empty.png").touch()
    (folder / "broken.png").write_bytes(b"no picture at all")
    os.mkfifo(folder / "pipe.png")
    read, report = check(folder, [*clean, *PLANTED.values()])
    assert [f.kind for f in report.findings] == list(PLANTED)
    assert [f.source.row for f in report.findings] == list(range(5, 12))
    copy = write_clean_copy(read, report.findings, folder / "clean.json")
    assert (copy.rows, copy.left_out) == (4, 7)
    left_out = (folder / "clean.json.left_out.jsonl").read_text().splitlines()
    assert [json.loads(line)["row"] for line in left_out] == list(range(5, 12))
    # What is left is clean, and still of its dialect.
    again = read_sample_file(folder / "clean.json")
    assert again.dialect == "llava" and len(again.samples) == 4
    assert not check_samples([again], CheckSettings(engine=LocalEngine(workers=1))).problems


def test_a_file_in_two_splits_is_a_leak_under_any_name(folder):
    (folder / "copy.png").write_bytes((folder / "0.png").read_bytes())
    splits = {"train": ["0.png", "1.png"], "val": ["copy.png", "2.png"]}
    files = []
    for name, pictures in splits.items():
        path = folder / f"{name}.json"
        rows = [row(p, f"What of {name} {i}?", f"it is {p}") for i, p in enumerate(pictures)]
        path.write_text(json.dumps(rows), encoding="utf-8")
        files.append(read_sample_file(path))
    report = check_samples(files, CheckSettings(engine=LocalEngine(workers=1)))
    leaks = [f for f in report.findings if f.kind is FindingKind.SHARED_FILE]
    assert [(Path(f.source.file).name, f.source.row) for f in leaks] == [("val.json", 1)]


def choice(i: int, right: int, options: tuple[str, ...]) -> Sample:
    return Sample(
        id=str(i),
        messages=(SampleMessage(role="user", parts=(f"Which of these is it in case {i}?",)),),
        truth=Truth(options=options, choice=right),
        source=SourceLine("a.jsonl", i + 1),
    )


def test_answers_that_are_always_the_longest_option_are_told_and_even_ones_are_not():
    words = ("oak", "elm", "ash", "fir")
    leaked = [
        choice(
            i, i % 4, tuple(w + " of the old forest" * (k == i % 4) for k, w in enumerate(words))
        )
        for i in range(60)
    ]
    even = [choice(i, (i * 7 + i // 4) % 4, words) for i in range(60)]
    scores = {s.name: s for s in score_blind(leaked, FileGroups([]))}
    assert scores["longest option"].share == 1 and scores["longest option"].is_above_chance
    assert not any(score.is_above_chance for score in score_blind(even, FileGroups([])))


def sample(i: int, path: str, channel: str = "") -> Sample:
    media = MediaRef(kind=MediaKind.VIDEO, paths=(path,))
    return Sample(
        id=str(i),
        messages=(
            SampleMessage(role="user", parts=(media, "What?")),
            SampleMessage(role="assistant", parts=("that",)),
        ),
        channel=channel,
        source=SourceLine("a.jsonl", i + 1),
    )


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 11), min_size=12, max_size=60),
    st.floats(0.1, 0.6),
    st.integers(0, 99),
)
def test_no_file_is_ever_on_both_sides(numbers, share, seed):
    samples = [sample(i, f"{n}.mp4", "ab"[n % 2]) for i, n in enumerate([*range(12), *numbers])]
    groups = FileGroups([f"{n}.mp4" for n in range(12)])
    groups.join("3.mp4", "8.mp4")  # the same under two names
    split = split_samples(samples, groups, held_out=share, seed=seed)
    again = split_samples(samples, groups, held_out=share, seed=seed)
    assert split == again
    assert len(split.train) + len(split.held_out) == len(samples)
    sides = [{groups.name(s.media[0].path) for s in side} for side in (split.train, split.held_out)]
    assert not sides[0] & sides[1]


def test_a_split_has_about_its_share_of_each_channel():
    samples = [sample(i, f"{i}.mp4", "ab"[i % 4 == 0]) for i in range(80)]
    groups = FileGroups([f"{i}.mp4" for i in range(80)])
    split = split_samples(samples, groups, held_out=0.25, seed=1)
    held_out = [s.channel for s in split.held_out]
    assert (held_out.count("a"), held_out.count("b")) == (15, 5) and split.notes == ()


def test_one_file_cannot_be_split():
    samples = [sample(i, "a.mp4") for i in range(9)]
    with pytest.raises(UsageError, match="rows about one file stay together"):
        split_samples(samples, FileGroups(["a.mp4"]), held_out=0.2, seed=0)


def test_the_verbs_find_fix_split_and_show(folder):
    rows = [row(f"{i}.png", f"What is on plate {i}?", f"fruit {i}") for i in range(8)]
    own = folder / "own.json"
    own.write_text(json.dumps([*rows, PLANTED[FindingKind.MISSING_FILE]]), encoding="utf-8")

    def run(*words: object) -> Any:
        return CliRunner().invoke(app, [str(word) for word in words])

    page, clean = folder / "page.html", folder / "clean.json"
    checked = run("data", "check", own, "--workers", 1, "--out", page)
    assert checked.exit_code == 1 and "missing file" in checked.output
    assert "gone.png" in page.read_text() and "data:image/jpeg" in page.read_text()
    assert run("data", "check", own, "--workers", 1, "--fix", clean).exit_code == 0
    split = run("data", "split", clean, "--held-out", 0.25, "--out", folder / "split", "--json")
    told = json.loads(split.stdout)
    assert (told["train"]["rows"], told["held_out"]["rows"]) == (6, 2)
    assert "What is on plate 0?" in run("data", "sample", clean, "-n", 2).output
    assert "8 rows, 0 of them bad" in run("data", "stats", clean).output
