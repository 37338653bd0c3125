"""Benchmark runs: baselines with their costs, resuming, workers, pages."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from PIL import Image

from mmreason.cli import main
from mmreason.evaluation.needle import baselines, methods, metrics, summary
from mmreason.evaluation.needle.memory import FrameCache, ReplyCache
from mmreason.evaluation.needle.outcomes import outcome_of
from mmreason.evaluation.needle.page import write_report
from mmreason.evaluation.needle.reading import CaptionLine, answer_from_lines, read_words
from mmreason.evaluation.needle.runner import Plan, read_outcomes, run_plan
from mmreason.memory.store import Store
from mmreason.needle.observers import make_oracle
from mmreason.needle.worlds import needle_set
from mmreason.types import Budget, StopReason, UsageError
from mmreason.video import Video
from mmreason.video.types import Span

PLAN = Plan(
    model="oracle",
    durations_s=(180.0,),
    seeds=(0, 1),
    items=6,
    methods=("greedy", "one_pass", "stills_32"),
)
MADE = needle_set(2, 180.0, 8)


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    return MADE.save(tmp_path_factory.mktemp("needle"))


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    run_plan(PLAN, folder)
    return folder


def same(one, other) -> bool:
    """Equal but for times on the clock."""
    clock = {"seconds": 0.0, "decode_seconds": 0.0, "model_seconds": 0.0}
    return [replace(o, cost=replace(o.cost, **clock)) for o in one] == [
        replace(o, cost=replace(o.cost, **clock)) for o in other
    ]


FEW = ("one_pass", "stills_8", "stills_16_look", "exhaustive_text", "exhaustive", "gold_clip")


@pytest.mark.parametrize("method", FEW)
def test_baselines_pay_for_what_they_ask(method, script):
    model = make_oracle(MADE.world)
    with Video.open(script) as video:
        answer = methods.answer_item(method, model, video, MADE.items[2], budget=Budget())
    assert answer.cost.frames == model.frames and answer.cost.model_calls == model.calls
    assert answer.cost.tokens_in == model.tokens_in
    assert answer.cost.frames == sum(len(s.observation.frame_times_s) for s in answer.trace)
    assert (answer.choice is None) == (answer.stop_reason == StopReason.ABSTAINED)
    assert answer.choice is None or answer.evidence
    outcome_of(MADE.items[2], method, answer).to_dict()


def test_seeing_all_of_it_answers_and_seeing_little_does_not(script):
    with Video.open(script) as opened:
        video = FrameCache(opened)
        full = [
            baselines.answer_exhaustively(make_oracle(MADE.world), video, item)
            for item in MADE.items
        ]
        few = [
            baselines.answer_from_stills(make_oracle(MADE.world), video, i, frames=8)
            for i in MADE.items
        ]
    right = [
        sum(outcome_of(i, "", a).right for i, a in zip(MADE.items, answers, strict=True))
        for answers in (full, few)
    ]
    assert right[0] >= len(MADE.items) - 1 > right[1] + 2


def line(start_s: float, text: str) -> CaptionLine:
    return CaptionLine(Span(start_s, start_s + 2), text, (start_s + 1,))


LINES = [
    line(0, "a small red star and a large blue ring."),
    line(2, "a small red striped cross. the word PARK is on the screen."),
    line(4, "a large red star stays still. a small blue dotted circle moves left."),
]


@pytest.mark.parametrize(
    ("question", "options", "expected"),
    [
        ("What colour is the large ring?", ("red", "blue"), 1),
        ("What pattern does the cross have?", ("plain", "striped"), 1),
        ("What pattern does the blue ring have?", ("plain", "striped"), 0),
        ("What shape is the dotted object?", ("ring", "circle"), 1),
        ("Is the red cross small or large?", ("small", "large"), 0),
        ("How does the circle move?", ("it moves left", "it stays still"), None),
        ("What colour is the small ring?", ("red", "blue"), None),
        ("How many stars are there?", ("1", "2"), 1),
        ("How many red objects are there?", ("2", "3"), 1),
        ("Which comes first, the circle or the cross?", ("the circle", "the cross"), 1),
        ("Which comes last, the ring, the cross or the circle?", ("the ring", "the circle"), 1),
        ("Which comes first, the circle or the square?", ("the circle", "the square"), None),
        ("What is going on?", ("this", "that"), None),
    ],
)
def test_answers_read_from_lines(question, options, expected):
    assert answer_from_lines(question, options, LINES, lambda _: True).choice == expected


def test_a_line_at_the_wrong_time_does_not_count():
    in_park = answer_from_lines(
        "What colour is the small star?", ("red", "blue"), LINES, lambda x: "PARK" in x.text
    )
    assert in_park.choice is None


def test_words_of_the_whole_video():
    shown = list(zip(LINES, ("PARK", "ZOO", "ZOO"), strict=True))
    options = ("ZOO", "PARK", "CAFE", "EXIT")
    asked = ("first", "last", "for the longest time", "for the shortest time")
    assert [read_words(which, options, shown).choice for which in asked] == [1, 0, 0, 1]
    assert read_words("first", options, []).choice is None


def test_remembering_changes_no_reply_and_asks_once(script, store_path):
    item = MADE.items[0]
    with Video.open(script) as video, Store.open(store_path) as store:
        plain = baselines.answer_from_stills(make_oracle(MADE.world), video, item, frames=16)
        model = make_oracle(MADE.world)
        memory, frames = ReplyCache(model, store), FrameCache(video)
        for _ in range(2):
            again = baselines.answer_from_stills(memory, frames, item, frames=16)
            assert again.text == plain.text and again.cost.frames == plain.cost.frames
            assert again.cost.tokens_in == plain.cost.tokens_in
    assert model.frames == plain.cost.frames


def test_a_run_cut_short_goes_on_where_it_ended(measured, tmp_path):
    whole = read_outcomes(measured / "results.jsonl")
    assert len(whole) == 2 * 6 * 3
    lines = (measured / "results.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "results.jsonl").write_bytes(b"".join(lines[:7]) + lines[7][:40])
    (tmp_path / "run.json").write_bytes((measured / "run.json").read_bytes())
    counts: list[tuple[int, int]] = []
    run_plan(PLAN, tmp_path, on_progress=lambda done, total: counts.append((done, total)))
    assert counts[0] == (8, 36) and counts[-1] == (36, 36)
    assert same(read_outcomes(tmp_path / "results.jsonl"), whole)
    with (tmp_path / "results.jsonl").open("ab") as file:
        file.write(lines[3])
    assert same(read_outcomes(tmp_path / "results.jsonl"), whole)
    assert (tmp_path / "results.jsonl").read_bytes().startswith(b"".join(lines[:7]))


@pytest.mark.slow
def test_workers_change_no_result(measured, tmp_path):
    run_plan(PLAN, tmp_path, workers=2)
    assert same(
        read_outcomes(tmp_path / "results.jsonl"), read_outcomes(measured / "results.jsonl")
    )


def test_warm_policies_pay_less_and_resume_the_same(tmp_path):
    plan = replace(PLAN, seeds=(0,), methods=("greedy", "greedy_warm"))
    path = run_plan(plan, tmp_path)
    whole = read_outcomes(path)
    assert summary.warm_share(whole, "greedy") < 1
    scans = {m: [o.cost.frames_scanned for o in whole if o.method == m] for m in plan.methods}
    decoded = summary.warm_share(whole, "greedy", decoded=True)
    assert decoded < 1 and sum(scans["greedy_warm"]) <= sum(scans["greedy"])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-2]))
    run_plan(plan, tmp_path)
    assert same(read_outcomes(path), whole)


def test_a_folder_holds_one_way_of_measuring(measured):
    with pytest.raises(UsageError, match="another run"):
        run_plan(replace(PLAN, items=7), measured)
    with pytest.raises(UsageError, match="another run"):
        run_plan(replace(PLAN, mention=0.5), measured)
    with pytest.raises(UsageError, match="no method"):
        run_plan(replace(PLAN, methods=("guess",)), measured)


@pytest.mark.full
def test_captions_that_tell_less_find_less(tmp_path):
    """Paired over the same questions: what is told at a chance is told at every higher one."""
    plan = replace(PLAN, seeds=tuple(range(4)), methods=("greedy",))
    chances = (0.0, 0.5, 1.0)
    few, some, all_ = (
        read_outcomes(run_plan(replace(plan, mention=p), tmp_path / str(p))) for p in chances
    )
    assert metrics.paired_difference(all_, few)[1] > 0
    for more, less in ((some, few), (all_, some)):
        assert metrics.paired_difference(more, less)[2] >= 0, "more told is not clearly worse"
    with pytest.raises(UsageError, match="chance"):
        replace(plan, mention=1.5)
    with pytest.raises(UsageError, match="mention is for the model 'oracle'"):
        replace(plan, model="nano", mention=0.5)


def test_what_fails_is_an_outcome(tmp_path, monkeypatch):
    def broken(*_args, **_more):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(baselines, "answer_in_one_pass", broken)
    plan = replace(PLAN, seeds=(0,), methods=("one_pass",))
    failed = read_outcomes(run_plan(plan, tmp_path))
    assert {o.error for o in failed} == {"RuntimeError: out of memory"}
    row = summary.build_row("one_pass", failed)
    assert row.accuracy.value == 0 and row.errors == {"failed": 6}


def test_the_page_holds_the_numbers_and_needs_nothing_else(measured):
    outcomes = read_outcomes(measured / "results.jsonl")
    page = write_report(outcomes, measured, model="oracle <b>", command="mmreason eval needle")
    text = page.read_text(encoding="utf-8")
    row = next(r for r in summary.build_rows(outcomes) if r.method == "greedy")
    assert f"{row.accuracy.value:.1%}" in text and "oracle &lt;b&gt;" in text
    assert "<script" not in text and "http://" not in text.replace("http://www.w3.org/", "")
    table = json.loads((measured / "summary.json").read_text(encoding="utf-8"))
    assert {m["method"] for m in table["methods"]} == set(PLAN.methods)
    for picture in measured.glob("*.svg"):
        ElementTree.fromstring(picture.read_text(encoding="utf-8"))
        with Image.open(picture.with_suffix(".png")) as image:
            assert image.width > 400 and len(image.convert("L").getcolors() or ()) > 10


def test_the_command(capsys, tmp_path):
    words = ["eval", "needle", "--model", "oracle", "--lengths", "3m", "--seeds", "0"]
    words += ["--items", "6", "--methods", "stills_8", "--out", str(tmp_path)]
    assert main(words) == 0
    shown = capsys.readouterr()
    assert "greedy" in shown.out and "stills_8" in shown.out
    assert (tmp_path / "report.html").is_file()
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["items"] == 6
    for bad in (["--seeds", "4-1"], ["--lengths", "1x"], ["--policy", "luck"]):
        assert main([*words, *bad]) == 2
        assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.slow
def test_an_interrupted_command_keeps_what_it_has(tmp_path):
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from mmreason.cli import main\n"
        "sys.exit(main(['eval', 'needle', '--model', 'oracle', '--lengths', '1h', '--seeds',"
        f" '0-3', '--methods', 'exhaustive', '--out', {str(tmp_path)!r}]))"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    results = tmp_path / "results.jsonl"
    deadline = time.monotonic() + 120
    while not (results.is_file() and results.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 130
    assert 0 < len(read_outcomes(results)) < 80
