"""The file format of problems: what is written is read again, and wrong lines are told."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.grounding import Box, Dialect
from mmreason.training.data.problem_file import (
    FIELDS,
    from_row,
    read_problems,
    to_row,
    write_problems,
)
from mmreason.training.rewards import Frame, Mark, Truth
from mmreason.training.rollouts.types import Problem
from mmreason.types import UsageError
from mmreason.video.types import Span

PAGE = Path(__file__).parents[3] / "docs" / "problems.md"

texts = st.text(min_size=1, max_size=20).filter(lambda text: bool(text.strip()))
times = st.floats(0, 1e4)
spans = st.builds(lambda a, b: Span(a, a + b), times, st.floats(0.1, 100))
boxes = st.builds(
    lambda x, y, w, h: Box(x, y, x + w, y + h), times, times, st.floats(1, 99), st.floats(1, 99)
)


@st.composite
def problems(draw: Any) -> Problem:
    question = draw(texts)
    options = tuple(draw(st.lists(texts, max_size=4)))
    frame = Frame(size_px=(640, 360), dialect=draw(st.sampled_from(Dialect)))
    truth = Truth(
        question=question,
        answer=draw(st.none() | texts),
        options=options,
        choice=draw(st.integers(0, len(options) - 1)) if options else None,
        number=draw(st.none() | st.floats(-1e9, 1e9)),
        spans=draw(st.none() | st.lists(spans, max_size=3).map(tuple)),
        duration_s=draw(st.none() | st.floats(0.1, 1e5)),
        boxes=draw(st.none() | st.lists(boxes, max_size=3).map(tuple)),
        marks=draw(st.none() | st.lists(st.builds(Mark, times, boxes), max_size=2).map(tuple)),
        frame=frame,
    )
    return Problem(
        id=draw(texts),
        question=question,
        truth=truth,
        kind=draw(st.sampled_from(["", "count"])),
        video=draw(st.none() | st.just("/videos/a.mp4")),
        span=draw(st.none() | spans),
    )


@given(problems())
def test_rows_give_their_problem_back(problem: Problem) -> None:
    row = json.loads(json.dumps(to_row(problem)))
    assert set(row) <= set(FIELDS)
    assert from_row(row) == problem


@given(st.lists(problems(), min_size=1, max_size=3, unique_by=lambda one: one.id))
def test_files_give_their_problems_back(
    tmp_path_factory: pytest.TempPathFactory, several: list[Problem]
) -> None:
    path = tmp_path_factory.mktemp("problems") / "p.jsonl"
    write_problems(path, several)
    assert read_problems(path) == several
    assert [one.name for one in path.parent.iterdir()] == ["p.jsonl"]


def test_the_page_shows_a_file_that_is_read(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    lines = re.search(r"```json\n(.*?)```", page, re.DOTALL)
    assert lines is not None
    path = tmp_path / "mine" / "train.jsonl"
    path.parent.mkdir()
    path.write_text("\ufeff" + lines[1] + "\n\n", encoding="utf-8")
    first, second, third, fourth = read_problems(path)
    assert first.truth.choice == 1 and first.truth.spans == (Span(41.0, 55.5),)
    assert first.video == str(tmp_path / "mine" / "kitchen.mp4")
    assert (second.truth.number, second.kind) == (3.0, "count")
    assert third.span == Span(60, 90) and third.truth.answer == "blue"
    assert fourth.truth.boxes == (Box(412, 280, 640, 330),)
    table = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert set(FIELDS) <= set(table)


def test_relative_videos_are_meant_from_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    problem = Problem(id="1", question="?", truth=Truth(question="?"), video="videos/a.mp4")
    write_problems("sets/p.jsonl", [problem])
    assert json.loads(Path("sets/p.jsonl").read_text())["video"] == "../videos/a.mp4"
    assert read_problems("sets/p.jsonl")[0].video == "videos/a.mp4"


GOOD = {"id": "1", "question": "what?"}
WRONG: dict[str, tuple[Any, str]] = {
    "no object": ([1], "expected a JSON object, found list"),
    "no JSON": ("{", "is no JSON"),
    "no id": ({"question": "what?"}, "id: expected a text, found None"),
    "no question": ({"id": "1"}, "question: expected a text, found None"),
    "empty question": (GOOD | {"question": " "}, "question: expected a text"),
    "number as id": (GOOD | {"id": 7}, "id: expected a text, found 7"),
    "unknown": (GOOD | {"awnser": "x"}, "unknown field 'awnser'; the fields are id"),
    "letter": (GOOD | {"options": ["a", "b"], "choice": "D"}, "one of 2 options, found 'D'"),
    "index": (GOOD | {"options": ["a", "b"], "choice": 2}, "one of 2 options, found 2"),
    "yes": (GOOD | {"options": ["a", "b"], "choice": True}, "one of 2 options, found True"),
    "no options": (GOOD | {"choice": 0}, "one of 0 options, found 0"),
    "options": (GOOD | {"options": "ab"}, "options: expected a list"),
    "number": (GOOD | {"number": "3"}, "number: expected a number, found '3'"),
    "truth": (GOOD | {"number": True}, "number: expected a number, found True"),
    "spans": (GOOD | {"spans": [1, 2]}, "spans: expected [start_s, end_s], found 1"),
    "reversed": (GOOD | {"span": [3, 2]}, "span: expected 0 <= start_s < end_s, found [3, 2]"),
    "duration": (GOOD | {"duration_s": -1}, "duration_s must be a positive time"),
    "box": (GOOD | {"boxes": [[1, 2, 3]]}, "boxes: expected [x1, y1, x2, y2]"),
    "reversed box": (GOOD | {"boxes": [[9, 2, 3, 4]]}, "Box must not end before it starts"),
    "no frame": (GOOD | {"boxes": [[1, 2, 3, 4]]}, "true boxes need the frame"),
    "mark": (GOOD | {"marks": [{"time_s": 1}]}, "marks: expected"),
    "frame": (GOOD | {"frame": {"size": [1, 2]}}, "frame: expected"),
    "size": (GOOD | {"frame": {"size_px": [1, 0]}}, "frame: expected [width, height]"),
    "dialect": (GOOD | {"frame": {"size_px": [1, 1], "dialect": "x"}}, "dialect must be norm_1000"),
    "infinite": ('{"id": "1", "question": "?", "number": Infinity}', "holds Infinity"),
    "400 digits": (f'{{"id": "1", "question": "?", "number": {"9" * 400}}}', "of 400 digits"),
    "beyond floats": (GOOD | {"number": 10**39, "duration_s": -1}, "duration_s must be"),
    "half a pair": (GOOD | {"answer": "\ud800"}, "half a surrogate pair"),
    "half a pair as a name": (GOOD | {"\ud800": "a"}, "half a surrogate pair"),
    "deep": ("[" * 100_000, "brackets inside each other"),
    "long": (GOOD | {"answer": "a" * 1_000_000}, "more than the limit of 1,000,000 bytes"),
    "twice": (GOOD, "the id '1' is that of line 1"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_line_is_one_error(wrong: str, tmp_path: Path) -> None:
    row, said = WRONG[wrong]
    path = tmp_path / "p.jsonl"
    line = row if isinstance(row, str) else json.dumps(row)
    path.write_text(json.dumps(GOOD) + "\n\n" + line + "\n")
    with pytest.raises(UsageError, match=re.escape(said)) as caught:
        read_problems(path)
    assert str(caught.value).startswith(f"{path}, line 3: ")
    assert "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_problems(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(UsageError, match="found no problem"):
        read_problems(tmp_path / "empty.jsonl")
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="line 1: is not UTF-8"):
        read_problems(tmp_path / "binary.jsonl")


def test_a_text_that_no_file_can_hold_is_not_written(tmp_path: Path) -> None:
    problem = Problem(id="1", question="a\ud800", truth=Truth(question="a\ud800"))
    with pytest.raises(UsageError, match="problem '1' holds half a surrogate pair"):
        write_problems(tmp_path / "p.jsonl", [problem])
    assert not list(tmp_path.iterdir())


@given(st.text(max_size=200))
def test_any_line_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("any") / "p.jsonl"
    path.write_text(text, encoding="utf-8", errors="replace")
    with pytest.raises(UsageError):
        read_problems(path)
