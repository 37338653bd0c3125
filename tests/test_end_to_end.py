"""What an analyst meets: the packaged nano, real files, the command line, wrong input, Ctrl-C."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmreason.cli import main
from mmreason.evaluation.nano import measure_nano
from mmreason.evaluation.scoring import Proportion
from mmreason.memory.store import Store
from mmreason.reasoner import Reasoner
from mmreason.types import Budget, StopReason
from mmreason.video import Video
from mmreason.video.world import encode, generate
from mmreason.video.world.questions import make_questions
from tests.video import clips

QUESTION = "What colour is the star?"


@pytest.fixture(scope="session")
def nano():
    from mmreason import models

    return models.load("nano")


@pytest.fixture(scope="module")
def demo_video(tmp_path_factory) -> Path:
    """The demo world of seed 7, whose only star is pink and shown from 16 s to 20 s."""
    world = generate.demo(7)
    small = world.model_copy(update={"width_px": 320, "height_px": 180})
    path = tmp_path_factory.mktemp("demo") / "demo.mp4"
    return encode.write_video(small, path)


def test_the_answer_is_right_and_its_evidence_meets_the_truth(nano, demo_video):
    truth = next(q for q in make_questions(generate.demo(7)) if q.text == QUESTION)
    answer = Reasoner(nano).ask(demo_video, QUESTION)
    assert answer.text == truth.answer == "pink"
    assert answer.stop_reason is StopReason.ANSWERED
    assert any(e.check.agreed for e in answer.evidence)
    assert any(e.span.overlap_s(span) > 0 for e in answer.evidence for span in truth.spans)
    cost = answer.cost
    assert cost.model_calls == cost.observer_calls + cost.checker_calls > cost.rounds > 0
    assert 0 < cost.tokens_visual < cost.tokens_in and cost.frames_unique <= cost.frames


def test_a_second_question_repeats_no_caption(nano, demo_video, store_path):
    with Store.open(store_path) as store:
        reasoner = Reasoner(nano, store=store)
        first = reasoner.ask(demo_video, QUESTION)
        again = reasoner.ask(demo_video, QUESTION)
        other = reasoner.ask(demo_video, "What pattern does the star have?")
    assert again.text == first.text and again.cost.model_calls == 0
    assert again.cost.cache_hits == len(first.trace)
    captions = [s for s in other.trace if s.call.name == "caption"]
    looked_before = {str(s.call) for s in first.trace}
    assert captions and all(s.observation.cached for s in captions if str(s.call) in looked_before)


def test_a_world_script_is_asked_like_its_encoded_file(nano, demo_video, tmp_path):
    script = generate.demo(7).save(tmp_path / "demo.json")
    assert (
        Reasoner(nano).ask(script, QUESTION).text == Reasoner(nano).ask(demo_video, QUESTION).text
    )


def test_nano_says_what_is_not_there(nano, tmp_path):
    world = generate.demo(7)
    scene = world.scenes[4].model_copy(update={"start_s": 0.0, "end_s": 4.0, "events": ()})
    path = world.model_copy(update={"scenes": (scene,)}).save(tmp_path / "star.json")
    answer = Reasoner(nano).ask(path, "What colour is the circle?")
    assert answer.stop_reason is StopReason.ABSTAINED and answer.choice is None
    assert not answer.answered and answer.evidence == ()
    assert answer.trace[-1].observation.text.startswith("there is no circle")


def test_nano_grounds_the_star(nano, demo_video):
    from mmreason.video.types import Span
    from mmreason.video.world.truth import boxes_at

    found = Reasoner(nano).ground(demo_video, "star", span=Span(17.0, 19.0))
    world = generate.demo(7)
    assert found.frame_time_s is not None and len(found.boxes) == 1
    truth = next(iter(boxes_at(world, found.frame_time_s).values()))
    x1, y1, x2, y2 = found.boxes[0].xyxy
    middle = ((x1 + x2) / 2 / 320, (y1 + y2) / 2 / 180)
    assert truth[0] < middle[0] < truth[2] and truth[1] < middle[1] < truth[3]


@pytest.mark.slow
def test_nano_is_as_good_as_its_card_says(nano):
    """A floor well below the card, so that only a real loss fails: 10 of its held-out worlds."""
    results = measure_nano(nano, worlds=10, second_looks=False)
    attribute = sum(
        (table.get("attribute", Proportion(0, 0)) for table in results.families.values()),
        Proportion(0, 0),
    )
    assert attribute.value >= 0.75, str(attribute)
    assert results.box_iou.value >= 0.6
    assert results.absent.value >= 0.7


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.mp4", "no such file"),
        ("empty.mp4", "is empty"),
        ("text.mp4", "is text, not a video"),
        ("audio.mp4", "audio only"),
        ("cut.mp4", "damaged or cut short"),
        ("script.json", "not a valid world script"),
    ],
)
def test_unreadable_input_is_one_line_and_exit_2(tmp_path, capsys, name, words):
    path = tmp_path / name
    if name == "empty.mp4":
        path.touch()
    elif name == "text.mp4":
        path.write_text("this is no video\n" * 50)
    elif name == "audio.mp4":
        clips.audio_only(path)
    elif name == "cut.mp4":
        encode.write_video(generate.world(1, duration_s=2), path)
        path.write_bytes(path.read_bytes()[:3000])
    elif name == "script.json":
        path.write_text('{"format": "mmreason-world-1", "scenes": []}')
    assert main(["ask", str(path), QUESTION, "--store", str(tmp_path / "s.sqlite3")]) == 2
    printed = capsys.readouterr()
    assert words in printed.err and name in printed.err
    assert len(printed.err.splitlines()) == 1 and not printed.out


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ([""], "question is empty"),
        (["x" * 10_000], "10,000 characters"),
        ([QUESTION, "--option", "red", "--option", "Red"], "are the same"),
        ([QUESTION, "--model", "no/such-model"], "no/such-model"),
        ([QUESTION, "--budget-frames", "-1"], "0 or more"),
    ],
    ids=["empty", "long", "twice", "unknown", "negative"],
)
def test_bad_usage_is_one_line_and_exit_2(demo_video, tmp_path, capsys, extra, words):
    assert main(["ask", str(demo_video), *extra, "--store", str(tmp_path / "s.sqlite3")]) == 2
    printed = capsys.readouterr()
    assert words in printed.err and len(printed.err.splitlines()) == 1 and not printed.out


def test_a_budget_of_zero_answers_nothing_and_says_why(demo_video, tmp_path, capsys):
    command = ["ask", str(demo_video), QUESTION, "--budget-frames", "0", "--json"]
    assert main([*command, "--store", str(tmp_path / "s.sqlite3")]) == 3
    answer = json.loads(capsys.readouterr().out)
    assert answer["text"] == "" and answer["choice"] is None and answer["evidence"] == []
    assert answer["stop_reason"] == "budget_frames" and answer["cost"]["model_calls"] == 0


def test_one_frame_is_watched(nano, tmp_path):
    path = tmp_path / "one.json"
    generate.world(4, duration_s=1.0).model_copy(update={"fps_hz": 1.0}).save(path)
    with Video.open(path) as video:
        assert video.info.frame_count == 1
    answer = Reasoner(nano).ask(path, "How many objects are there?")
    assert answer.cost.frames >= 1 and answer.text


def test_ctrl_c_keeps_what_was_seen_and_the_next_run_goes_on(tmp_path):
    """SIGINT in the second request to nano: one line, exit 130, a store the next run uses."""
    video = generate.world(2, duration_s=600).save(tmp_path / "long.json")
    store = tmp_path / "store.sqlite3"
    program = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # as at a terminal
        "from mmreason.cli import main\n"
        "from mmreason.models.hf import TransformersModel\n"
        "look, calls = TransformersModel.generate, []\n"
        "def interrupted(self, *args, **settings):\n"
        "    calls.append(1)\n"
        "    if len(calls) == 2:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    return look(self, *args, **settings)\n"
        "TransformersModel.generate = interrupted\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    question = "What colour is the large star?"
    done = subprocess.run(
        [sys.executable, "-c", program, "ask", str(video), question, "--store", str(store)],
        env={**os.environ, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 130, done.stderr
    assert done.stderr.strip() == "interrupted" and not done.stdout
    with Store.open(store) as opened:
        assert len(opened) == 4 + 4, "scans and captions of the top level"
        answer = Reasoner.load("nano", store=opened).ask(video, question, budget=Budget(rounds=3))
    assert answer.cost.cache_hits == 4 + 4 and answer.cost.model_calls > 0


@pytest.mark.full
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
@pytest.mark.parametrize("hours", [2, 10])
def test_hours_fit_in_memory(tmp_path, hours):
    """Peak memory of a process that asks about a long world, torch and weights included. Not by
    getrusage, which also counts what the process that started this one held."""
    video = generate.world(3, duration_s=3600 * hours).save(tmp_path / "long.json")
    program = (
        "import sys, mmreason; from mmreason.reasoner import Reasoner\n"
        "reasoner = Reasoner.load('nano', store=sys.argv[2])\n"
        "budget = mmreason.Budget(rounds=14)\n"
        "answer = reasoner.ask(sys.argv[1], 'What colour is the large star?', budget=budget)\n"
        "assert answer.cost.model_calls >= 10, answer.cost\n"
        "lines = open('/proc/self/status').read().splitlines()\n"
        "print(next(int(line.split()[1]) / 1024 for line in lines if line.startswith('VmHWM')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(video), str(tmp_path / "s.sqlite3")],
        env={**os.environ, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) < 1200, f"{done.stdout} MB"


@pytest.mark.slow
def test_at_least_nine_of_ten_demo_worlds_are_answered_with_evidence(nano, tmp_path):
    """What `mmreason demo --check 10` measures, on ten seeds and on scripts drawn on demand."""
    from mmreason.cli.demo import meets_truth, says_truth

    good = 0
    for seed in range(40, 50):
        world = generate.demo(seed)
        question = next(q for q in make_questions(world, seed=seed) if q.family == "attribute")
        answer = Reasoner(nano).ask(world.save(tmp_path / f"{seed}.json"), question.text)
        good += says_truth(answer.text, question.answer) and meets_truth(
            answer.evidence, question.spans
        )
    assert good >= 9
