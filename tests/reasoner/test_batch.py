"""Many questions: together as alone, resumed after anything, failures kept apart."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from mmreason.agent.batch import ResultsFile, read_questions
from mmreason.agent.question import Question
from mmreason.cli import main
from mmreason.models.base import ClipRecipe, FramesPart, ModelError
from mmreason.models.scripted import ScriptedModel
from mmreason.reasoner import Reasoner
from mmreason.types import Budget, UsageError
from mmreason.video.world import generate

CLIP = ClipRecipe(frames=4, size_px=(32, 18), leaf_s=4.0)


def told(text: str, frames) -> str:
    """Something that depends on the frames and the question, as a real model's words do."""
    shade = int(frames.pixels.mean()) if frames is not None else 0
    return f"a star of shade {shade}" if text == "Describe the clip." else f"shade {shade // 8}"


@pytest.fixture
def worlds(tmp_path) -> list[Path]:
    return [
        generate.world(i, duration_s=40, scene_s=5).save(tmp_path / f"w{i}.json") for i in range(3)
    ]


def some(worlds: list[Path]) -> list[Question]:
    asked = ("What shade is the star?", "How does the star move?", "Is there a star?")
    return [
        Question(video=str(path), text=text, id=f"{path.stem}-{i}")
        for path in worlds
        for i, text in enumerate(asked)
    ]


def plain(result) -> dict:
    row = result.to_dict()
    row.pop("cost", None)
    row.pop("trace", None)
    return row


@pytest.mark.parametrize("workers", [2, 5, 100])
def test_answers_do_not_depend_on_how_many_are_in_flight(worlds, workers):
    def answers(count: int) -> dict[str, dict]:
        reasoner = Reasoner(ScriptedModel(told, clip=CLIP))
        results = reasoner.ask_many(some(worlds), workers=count, seed=3)
        return {result.id: plain(result) for result in results}

    assert answers(workers) == answers(1)


def test_requests_in_flight_go_to_the_model_together(worlds):
    sizes = []

    class Counting(ScriptedModel):
        def generate(self, request):
            sizes.append(len(request.conversations))
            return super().generate(request)

    questions = [Question(video=str(p), text="Is there a star?", id=p.stem) for p in worlds]
    assert len(list(Reasoner(Counting(told, clip=CLIP)).ask_many(questions, workers=3))) == 3
    assert sizes[0] == 3 * 4, "the captions of three openings"


def test_a_failure_ends_its_question_only(worlds, tmp_path):
    bad = [
        Question(video=str(tmp_path / "missing.mp4"), text="What?", id="missing"),
        Question(video=str(worlds[0]), text="?", subtitles=tmp_path / "missing.srt", id="lines"),
    ]
    results = Reasoner(ScriptedModel(told, clip=CLIP)).ask_many(bad + some(worlds), workers=4)
    failed = {r.id: r.failure for r in results if r.failure}
    assert {k: v.kind for k, v in failed.items()} == {
        "missing": "VideoError",
        "lines": "VideoError",
    }
    assert all("\n" not in failure.message for failure in failed.values())


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [(" ", (), "is empty"), ("?", ("a",), "2 to 26"), ("?", [], "2 to 26"), ("?", "red", "a list")],
)
def test_a_question_that_cannot_be_asked_cannot_be_made(text, options, words):
    with pytest.raises(UsageError, match=words):
        Question(video="a.mp4", text=text, options=options)


def test_a_question_is_kept_as_it_is_asked():
    question = Question(video="a.mp4", text=" Which? ", options=cast(Any, [" red", "blue "]))
    assert (question.text, question.options) == ("Which?", ("red", "blue"))
    assert Question(video="a.mp4", text="?", options=cast(Any, None)).options == ()


def test_a_model_that_refuses_one_conversation_fails_that_call_only(worlds):
    class Moody(ScriptedModel):
        def generate(self, request):
            replies = super().generate(request)
            bad = {i: "no reply" for i, r in enumerate(replies) if r.text.endswith("7")}
            if bad:
                kept = [None if i in bad else r for i, r in enumerate(replies)]
                raise ModelError("some failed", replies=kept, errors=bad)
            return replies

    results = list(Reasoner(Moody(told, clip=CLIP)).ask_many(some(worlds), workers=9))
    alone = list(Reasoner(Moody(told, clip=CLIP)).ask_many(some(worlds), workers=1))
    by_id = {r.id: plain(r) for r in results}
    assert by_id == {r.id: plain(r) for r in alone}


def test_no_workers_is_a_usage_error(worlds):
    with pytest.raises(UsageError, match="workers must be 1 or more"):
        list(Reasoner(ScriptedModel(told, clip=CLIP)).ask_many(some(worlds), workers=0))


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("", "holds no question"),
        ("{", "line 1: is no JSON"),
        ("[1]", "line 1: expected a JSON object, found list"),
        ('{"video": "a.mp4"}', 'needs the texts "video" and "question"'),
        ('{"video": "a", "question": "b", "options": "red"}', '"options" must be a list'),
        ('{"video": "a", "question": "b", "id": "line 7"}', "kept for rows"),
        ('{"video": "a", "question": " "}', "line 1: the question is empty"),
        ('{"video": "a", "question": "b", "options": ["c"]}', "line 1: options must be 2 to 26"),
    ],
)  # fmt: skip
def test_files_that_are_no_questions_name_the_line(tmp_path, lines, words):
    path = tmp_path / "q.jsonl"
    path.write_text(lines)
    with pytest.raises(UsageError, match=words) as caught:
        read_questions(path)
    assert "\n" not in str(caught.value) and "q.jsonl" in str(caught.value)


def test_a_row_with_the_id_of_another_fails_alone(tmp_path):
    path = tmp_path / "q.jsonl"
    rows = [
        {"video": "a", "question": text, "id": row_id} for text, row_id in (("b", 1), ("c", "1"))
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    file = read_questions(path)
    assert [question.text for question in file.questions] == ["b"]
    (failed,) = file.unreadable
    assert failed.id == "line 2" and failed.failure is not None
    assert "has the id '1' of line 1" in failed.failure.message


def test_a_torn_last_line_is_asked_again_and_a_foreign_file_is_left_alone(tmp_path, worlds):
    path = tmp_path / "a.jsonl"
    questions = some(worlds)
    file = ResultsFile(path)
    for result in Reasoner(ScriptedModel(told, clip=CLIP)).ask_many(questions[:3]):
        file.add(result)
    path.write_text(path.read_text()[:-20])
    assert [q.id for q in ResultsFile(path).unfinished(questions)] == [q.id for q in questions[2:]]
    for text in ("something else\n" * 3, "one line", '{"id": 3}\n', '{"id": "a", "failure": 1}\n'):
        path.write_text(text)
        with pytest.raises(UsageError, match="is no file of results"):
            ResultsFile(path)
        assert path.read_text() == text


def test_results_of_other_questions_are_not_taken_for_these(tmp_path, worlds):
    file = ResultsFile(tmp_path / "a.jsonl")
    questions = some(worlds)[:1]
    for result in Reasoner(ScriptedModel(told, clip=CLIP)).ask_many(questions):
        file.add(result)
    other = [Question(video="x", text="Another?", id=questions[0].id)]
    with pytest.raises(UsageError, match="is of another question"):
        ResultsFile(tmp_path / "a.jsonl").unfinished(other)


PROGRAM = """
import sys, time
sys.path.insert(0, {here!r})
from test_batch import CLIP, told
from mmreason.models.scripted import ScriptedModel
from mmreason.reasoner import Reasoner
from mmreason.memory.store import Store
from mmreason.cli import ask_many, main
import mmreason.cli.ask as ask

def slowly(text, frames):
    time.sleep(0.01)
    return told(text, frames)

def load(model, store=None, **settings):
    return Reasoner(ScriptedModel(slowly, clip=CLIP), store=Store.open(store))

ask.load_reasoner = load
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.full
@pytest.mark.parametrize("wait_s", [0.3, 0.9])
def test_killed_and_run_again_gives_what_an_undisturbed_run_gives(tmp_path, worlds, wait_s):
    rows = [
        {"id": q.id, "video": Path(str(q.video)).name, "question": q.text} for q in some(worlds)
    ]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    program = tmp_path / "run.py"
    program.write_text(PROGRAM.format(here=str(Path(__file__).parent)))

    def command(name: str) -> list[str]:
        files = ["--out", str(tmp_path / f"{name}.jsonl"), "--store", str(tmp_path / f"{name}.db")]
        return [sys.executable, str(program), "ask", "--questions", str(tmp_path / "q.jsonl"),
                "--workers", "2", *files]  # fmt: skip

    killed = subprocess.Popen(command("killed"), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (tmp_path / "killed.db").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    for name in ("killed", "whole"):
        subprocess.run(command(name), check=True, stdout=subprocess.DEVNULL, timeout=300)

    def answers(name: str) -> list[dict]:
        lines = (tmp_path / f"{name}.jsonl").read_text().splitlines()
        keep = ("id", "text", "stop_reason", "evidence")
        return [{k: row[k] for k in keep} for row in map(json.loads, lines)]

    assert answers("killed") == answers("whole")


def test_the_command_line_answers_resumes_and_tells_failures(tmp_path, worlds, capsys):
    rows = [
        {"video": worlds[0].name, "question": "How many objects are there?"},
        {"video": "missing.mp4", "question": "What is there?"},
    ]
    questions, answers = tmp_path / "q.jsonl", tmp_path / "out" / "a.jsonl"
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["ask", "--questions", str(questions), "--out", str(answers), "--json"]
    command += ["--budget-frames", "24", "--store", str(tmp_path / "s.sqlite3")]
    assert main(command) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["failed"] == 1 and "missing.mp4: no such file" in printed.err
    first, second = map(json.loads, answers.read_text().splitlines())
    assert first["cost"]["frames"] <= 24 and second["failure"]["kind"] == "VideoError"
    assert main(command) == 1, "the failure of the first run is still in the file"
    again = capsys.readouterr()
    assert json.loads(again.out) == {
        "schema": 2, "answers": str(answers), "questions": 2, "answered_before": 2,
        "unanswered": 0, "failed": 1,
    }  # fmt: skip
    assert "missing.mp4: no such file" in again.err and "--retry-failed asks those" in again.err
    assert main([*command, "--retry-failed"]) == 1
    assert "--retry-failed asks" not in capsys.readouterr().err
    questions.write_text(questions.read_text().replace("missing.mp4", worlds[1].name))
    assert main([*command, "--retry-failed"]) == 0
    assert json.loads(capsys.readouterr().out)["failed"] == 0
    assert main(["ask", "a.mp4", "?", "--questions", str(questions)]) == 2


def test_a_row_that_is_no_question_fails_alone(tmp_path, worlds, capsys):
    good = json.dumps({"video": worlds[0].name, "question": "How many objects are there?"})
    bad = {
        "surrogate in the id": f'{good[:-1]}, "id": "\\ud800"}}',
        "surrogate in the video": '{"video": "\\udfff.mp4", "question": "?"}',
        "surrogate in an option": f'{good[:-1]}, "options": ["a", "\\ud800"]}}',
        "depth": f'{good[:-1]}, "id": {"[" * 100_000}',
        "digits": f'{good[:-1]}, "id": {"9" * 5_000}}}',
        "no id": f'{good[:-1]}, "id": null}}',
        "size": f'{good[:-1]}, "id": "{"a" * 1_100_000}"}}',
        "not JSON": "question?",
        "not UTF-8": "caf\udce9",
    }
    questions, answers = tmp_path / "q.jsonl", tmp_path / "a.jsonl"
    text = "\ufeff" + "\n".join([good, *bad.values(), good])
    questions.write_text(text, encoding="utf-8", errors="surrogateescape")
    command = ["ask", "--questions", str(questions), "--out", str(answers), "--json"]
    command += ["--budget-frames", "12", "--store", str(tmp_path / "s.sqlite3")]
    for before in (0, 2):
        assert main(command) == 1
        out, err = capsys.readouterr()
        totals = json.loads(out)
        assert (totals["questions"], totals["answered_before"]) == (len(bad) + 2, before)
        assert (totals["failed"], totals["unanswered"]) == (len(bad), 0)
        assert len(err.splitlines()) == len(bad) and "--retry-failed" not in err
        assert all(f"line {number}: " in err for number in range(2, len(bad) + 2))
    rows = [json.loads(line) for line in answers.read_text().splitlines()]
    assert [row["id"] for row in rows if "failure" not in row] == ["1", str(len(bad) + 2)]
    questions.write_text(good)
    assert main(command) == 0, "what was wrong with a row is no result once it is mended"
    assert "failure" not in answers.read_text()


def test_an_answer_that_no_file_can_hold_is_a_failure_of_its_question(tmp_path, worlds):
    question = some(worlds)[0]
    (result,) = Reasoner(ScriptedModel(told, clip=CLIP)).ask_many([question])
    assert result.answer is not None
    bad = replace(result, answer=replace(result.answer, duration_s=math.inf))
    odd = replace(result, id="odd", answer=replace(result.answer, text="a\ud800"))
    file = ResultsFile(tmp_path / "a.jsonl")
    file.add(bad)
    file.add(odd)
    assert ResultsFile(file.path).rows[question.id]["failure"]["message"].startswith("cannot be")
    assert ResultsFile(file.path).rows["odd"]["text"] == "a\ufffd"


def test_budgets_hold_for_each_question(worlds):
    reasoner = Reasoner(ScriptedModel(told, clip=CLIP))
    for result in reasoner.ask_many(some(worlds), budget=Budget(frames=20), workers=4):
        assert result.answer is not None and result.answer.cost.frames <= 20


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_what_several_need_is_asked_once(worlds, workers):
    """Three questions about one world and one about another: no frames are shown twice for the
    same words, and who comes second counts a hit."""
    asked = ["Is there a star?", "What shade is the star?", "Is there a star?"]
    questions = [
        *(Question(video=str(worlds[0]), text=q, id=str(i)) for i, q in enumerate(asked)),
        Question(video=str(worlds[1]), text=asked[0], id="other"),
    ]
    model = ScriptedModel(told, clip=CLIP)
    results = list(Reasoner(model).ask_many(questions, workers=workers))
    answers = {r.id: r.answer for r in results if r.answer is not None}
    assert len(answers) == 4
    requests = [(a.text, a.times_s, a.size_px) for a in model.asked]
    # The two worlds may have frames at the same times: each request comes once a world.
    assert max(map(requests.count, requests)) <= 2
    alone = ScriptedModel(told, clip=CLIP)
    reasoner = Reasoner(alone)
    for question in questions:
        reasoner.ask(question.video, question.text)
    assert model.calls == alone.calls
    assert sum(a.cost.frames for a in answers.values()) == model.frames
    first, second = answers["0"], answers["2"]
    assert first.text == second.text and min(first.cost.frames, second.cost.frames) == 0
    repeated = first if first.cost.frames == 0 else second
    assert repeated.cost.cache_hits == len(repeated.trace)
    assert all(step.observation.cached for step in repeated.trace)


def test_who_waits_for_another_asks_for_itself_where_that_fails(worlds):
    """The first request for captions fails as a whole, for all that was in it."""
    count = iter(range(1_000))

    class Shaky(ScriptedModel):
        def generate(self, request):
            if next(count) < 1:
                raise RuntimeError("out of memory")
            return super().generate(request)

    questions = [Question(video=str(worlds[0]), text="Is there a star?", id=i) for i in "ab"]
    model = Shaky(told, clip=CLIP)
    first, second = Reasoner(model).ask_many(questions, workers=2)
    assert first.answer is not None and second.answer is not None
    assert first.answer.text == second.answer.text != ""
    assert {first.answer.cost.frames, second.answer.cost.frames} == {0, model.frames + 16}


@pytest.mark.parametrize("frames", range(0, 60, 4))
def test_budgets_hold_though_batches_fail(worlds, frames):
    """Every request of more than one conversation fails: its frames were shown all the same."""
    shown = []

    class Small(ScriptedModel):
        def generate(self, request):
            messages = [message for c in request.conversations for message in c]
            parts = [part for message in messages for part in message.parts]
            shown.extend(len(part.frames) for part in parts if isinstance(part, FramesPart))
            if len(request.conversations) > 1:
                raise RuntimeError("out of memory")
            return super().generate(request)

    reasoner = Reasoner(Small(told, clip=CLIP))
    answer = reasoner.ask(worlds[0], "Is there a star?", budget=Budget(frames=frames))
    assert answer.cost.frames == sum(shown) <= frames
    assert answer.cost.frames == sum(step.cost.frames for step in answer.trace)
    opening = [step.observation for step in answer.trace[:4]]
    if frames >= 20:
        read = sum(one.error is None for one in opening)
        assert read == min(4, (frames - 16) // 4), "16 in vain for four captions, and 4 for each"
        assert all("no second try" in (one.error or "") for one in opening[read:])
