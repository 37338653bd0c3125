"""Scans of long videos in the loop: what they show, cost and keep; counts and claims that captions
of single things decide."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from mmreason.agent.caption_check import SeenCaptions, content_words, supports
from mmreason.language.question import claimed_object, is_count, premise_of
from mmreason.memory.store import Store
from mmreason.memory.tree import Tree
from mmreason.models.base import ClipRecipe
from mmreason.policies import LongVideoR1
from mmreason.policies.counting import (
    count_things,
    find_told_option,
    merge_descriptions,
    read_descriptions,
)
from mmreason.policies.presets import LONGVIDEO_R1_POLICY
from mmreason.reasoner import Reasoner
from mmreason.tools.scan import caption_call
from mmreason.types import Note, StopReason
from mmreason.video.types import Span

CLIP = ClipRecipe(frames=8, size_px=(64, 32), leaf_s=4.0, overview="stills")
TREE = Tree(Span(0, 1024), 4, 3)


def answers(question: str, seen: list[str]) -> str:
    """Says yes to any star or circle, and tells the colour of the first thing with a shape asked
    for: a model that is easily led."""
    for sentence in seen:
        for shape in ("star", "circle"):
            if shape in question and shape in sentence:
                words = re.findall(r"\w+", sentence)
                return "yes" if question.startswith("Is there") else words[words.index(shape) - 1]
    return "there is no such thing."


def long_video(fake_video, *events: tuple[float, float, str]):
    """Sixteen minutes of a grey street, with events of (start, end, what is seen)."""
    scenes, at_s = [], 0.0
    for start_s, end_s, text in events:
        scenes += [(start_s, "a grey street."), (end_s, text)]
        at_s = end_s
    assert at_s < 960
    return fake_video(*scenes, (960.0, "a grey street."))


def test_an_event_of_a_second_is_read_in_the_opening(fake_video, watcher):
    video = long_video(fake_video, (431.3, 432.3, "a small red star."))
    model = watcher(video, answers, clip=CLIP)
    answer = Reasoner(model).ask(video, "What colour is the star?")
    assert (answer.text, answer.stop_reason) == ("red", StopReason.ANSWERED)
    assert (
        answer.evidence[0].check.agreed
        and answer.evidence[0].span.overlap_s(Span(431.3, 432.3)) > 0
    )
    scans = [step for step in answer.trace if step.call.name == "scan"]
    assert [s.observation.cost.frames for s in scans] == [0] * 4
    assert answer.cost.frames_scanned == 1920
    assert answer.cost.frames == model.frames < 60


def test_a_scan_is_kept_for_the_next_question(fake_video, watcher, tmp_path):
    video = long_video(fake_video, (431.3, 432.3, "a small red star."))
    model = watcher(video, answers, clip=CLIP)
    with Store.open(tmp_path / "s.sqlite3") as store:
        Reasoner(model, store=store).ask(video, "What colour is the star?")
        read = len(video.reads)
        again = Reasoner(model, store=store).ask(video, "What colour is the star?")
    assert again.cost.frames_scanned == again.cost.frames == 0
    assert [s.observation.cached for s in again.trace if s.call.name == "scan"] == [True] * 4
    assert all(len(times_s) <= 8 for times_s in video.reads[read:]), "thumbnails only"


def test_a_scan_that_fails_leaves_even_frames(fake_video, watcher):
    video = long_video(fake_video, (300.0, 400.0, "a small red star."))
    video.broken = Span(700.0, 700.6)
    model = watcher(video, answers, clip=CLIP)
    answer = Reasoner(model).ask(video, "What colour is the star?")
    failed = [s for s in answer.trace if s.call.name == "scan" and s.observation.error]
    assert len(failed) == 1 and "damaged" in (failed[0].observation.error or "")
    assert answer.text == "red"


def test_children_show_what_their_parent_did_not():
    notes = tuple(Note(Span(t, t + 1), "", t + 0.5) for t in range(0, 256, 11))
    found = {(1,): notes}
    times = {
        node.id: [m[0] for m in caption_call(node, found).arguments["moments"]]
        for node in (TREE.node((1,)), *TREE.children((1,)))
    }
    shown = [t for ts in times.values() for t in ts]
    assert len(times[1,]) == 8 and len(set(shown)) == len(shown)
    assert {note.time_s for note in notes} == set(shown) - {32.0}, (
        "the first child shows its middle"
    )
    assert "moments" not in caption_call(TREE.node((2,)), found).arguments
    assert "moments" not in caption_call(TREE.node((1, 1, 1)), found).arguments


@pytest.mark.parametrize("scan", [True, False])
def test_a_model_that_decides_reads_what_the_scan_found(fake_video, watcher, thinker, scan):
    """An event of a second, in the caption of its part and again in that of the part's part."""
    video = long_video(fake_video, (431.3, 432.3, "a small red star."))
    observer = watcher(video, answers, clip=CLIP)
    plays = thinker(["<think>a</think><tool>open((2,))</tool>", "<answer>red</answer>"])
    policy = LongVideoR1(scan=scan)
    answer = Reasoner(plays, observer=observer, policy=policy).ask(
        video, "What colour is the star?"
    )
    assert sum(step.call.name == "scan" for step in answer.trace) == (4 if scan else 0)
    opening, opened = plays.told[:2]
    assert ("a small red star" in opening) == ("a small red star" in opened) == scan
    if scan:
        line = next(line for line in opened.splitlines() if "a small red star" in line)
        assert "(2, 4) 7:00.00 to 8:00.00" in line


@pytest.mark.parametrize("scan", [True, False])
def test_an_index_captions_as_a_model_that_decides_reads(fake_video, watcher, thinker, scan):
    video = long_video(fake_video, (431.3, 432.3, "a small red star."))
    observer = watcher(video, answers, clip=CLIP)
    plays = thinker(["<think>a</think><tool>open((2,))</tool>", "<answer>red</answer>"])
    reasoner = Reasoner(plays, observer=observer, policy=LongVideoR1(scan=scan))
    assert all(one.observation.error is None for one in reasoner.index(video, ("high", "medium")))
    answer = reasoner.ask(video, "What colour is the star?")
    read = [step.observation.cached for step in answer.trace if step.call.name == "caption"]
    assert read == [True] * 8


def test_the_published_agent_does_not_scan():
    assert not LONGVIDEO_R1_POLICY.scan and LongVideoR1().scan


def test_an_index_scans_as_questions_do(fake_video, watcher):
    video = long_video(fake_video, (431.3, 432.3, "a small red star."))
    model = watcher(video, answers, clip=CLIP)
    reasoner = Reasoner(model)
    assert not any(one.observation.cached for one in reasoner.index(video, ("high",)))
    answer = reasoner.ask(video, "What colour is the star?")
    opening = [s for s in answer.trace if len(getattr(s.call, "node", ())) == 1]
    assert len(opening) == 4 and all(s.observation.cached for s in opening)


# Counts


@pytest.mark.parametrize(
    ("question", "expected"),
    [("How many stars are there?", "3"), ("How many stars are there in the video?", "3")],
)
def test_different_things_at_different_places_are_counted(fake_video, watcher, question, expected):
    video = long_video(
        fake_video,
        (100.0, 103.0, "a small red star."),
        (290.0, 291.5, "a small circle."),
        (400.0, 404.0, "a large blue star."),
        (610.0, 612.0, "a small red star."),
        (800.0, 802.0, "a green star."),
    )
    answer = Reasoner(watcher(video, answers, clip=CLIP)).ask(video, question)
    assert answer.text == expected and answer.stop_reason is StopReason.ANSWERED
    assert len(answer.evidence) == 3 and all(e.check.agreed for e in answer.evidence)


def test_a_count_reads_no_deeper_than_the_scan_shows(fake_video, watcher):
    video = long_video(
        fake_video, (100.0, 103.0, "a small red star."), (400.0, 404.0, "a blue star.")
    )
    question = "How many stars are there?"
    answer = Reasoner(watcher(video, answers, clip=CLIP)).ask(video, question)
    depths = {len(s.call.arguments["node"]) for s in answer.trace if s.call.name == "caption"}
    assert (answer.text, depths) == ("2", {1, 2})
    wholes = replace(CLIP, overview="denser")
    answer = Reasoner(watcher(video, answers, clip=wholes)).ask(video, question)
    depths = {len(s.call.arguments["node"]) for s in answer.trace if s.call.name == "caption"}
    assert (answer.text, depths) == ("2", {1, 2, 3}), "captions of many frames at once lead down"


@pytest.mark.parametrize("sure", [True, False])
def test_things_that_captions_tell_of_are_looked_at_once_by_the_checker(fake_video, watcher, sure):
    video = long_video(
        fake_video, (100.0, 103.0, "a small red star."), (400.0, 404.0, "a blue circle.")
    )
    observer = watcher(video, answers, clip=CLIP)
    checker = watcher(video, answers if sure else lambda question, seen: "no", clip=CLIP)
    reasoner = Reasoner(observer, checker=checker)
    answer = reasoner.ask(video, "Which comes last, the red star or the blue circle?")
    if sure:
        assert (answer.text, answer.stop_reason) == ("the blue circle", StopReason.ANSWERED)
        assert [e.check.agreed for e in answer.evidence] == [True, True]
        assert answer.cost.checker_calls == 2
        assert {step.call.name for step in answer.trace} == {"scan", "caption", "look"}
    else:
        assert answer.stop_reason is StopReason.ABSTAINED


def test_descriptions_that_do_not_differ_are_of_one_thing():
    told = [
        *read_descriptions("a red star and a circle.", "stars"),
        *read_descriptions("a small red striped star.", "stars"),
        *read_descriptions("two blue stars.", "stars"),
    ]
    assert len(told) == 3 and len(merge_descriptions(told)) == 2
    assert count_things(merge_descriptions(told)) == 3
    assert read_descriptions("a red circle and a blue star.", "red stars") == ()


def test_one_option_is_told_of_the_thing_asked_about():
    note = Note(Span(0, 1), "a small purple cross and a small white dotted cross.")
    options = ("white", "green", "purple")
    assert find_told_option([note], "dotted cross", options) == 0
    assert find_told_option([note], "cross", options) is None
    assert find_told_option([note], "star", options) is None


# Claims


def test_a_half_truth_is_no_answer(fake_video, watcher):
    """There is a striped square and a plain circle; the model says yes to a striped circle."""
    video = long_video(
        fake_video,
        (100.0, 140.0, "a red striped square and a blue circle."),
        (200.0, 230.0, "a green striped square and a white circle."),
        (400.0, 430.0, "a green striped square."),
    )
    model = watcher(video, answers, clip=CLIP)
    answer = Reasoner(model).ask(video, "What colour is the striped circle?")
    assert (answer.text, answer.stop_reason) == ("", StopReason.ABSTAINED)
    plain = Reasoner(model).ask(video, "What colour is the white circle?")
    assert plain.stop_reason is StopReason.ANSWERED


def test_words_that_captions_never_use_prove_nothing():
    captions = SeenCaptions()
    captions.add([Note(Span(0, 4), "a dog and a red car."), Note(Span(4, 8), "a dog.")])
    assert captions.expected("brown puppy") == frozenset()
    assert captions.expected("brown dog") == {"dog"}
    assert captions.within(Span(3, 9)) == [Note(Span(4, 8), "a dog.")]


def test_the_answer_has_to_be_told_of_the_same_thing():
    notes = [Note(Span(0, 1), "a purple cross and a white dotted cross.")]
    thing = content_words("dotted cross")
    assert supports(notes, thing, content_words("white"))
    assert not supports(notes, thing, content_words("purple"))
    assert supports(notes, thing, content_words("spinning")), "not told of anything"


@pytest.mark.parametrize(
    ("question", "answer", "thing"),
    [
        ("Is there a striped circle?", "yes", "striped circle"),
        ("Is there a striped circle?", "no", None),
        ("How does the red star move?", "it moves left", "red star"),
        ("Is the striped ring small or large while the word GO is shown?", "small", "striped ring"),
        ("What is going on?", "a party", None),
    ],
)
def test_what_an_answer_claims(question, answer, thing):
    assert claimed_object(question, answer) == thing


def test_alternatives_are_no_part_of_what_is_taken_for_granted():
    assert premise_of("Is the triangle small or large?") is None
    assert premise_of("Is the red triangle small or large?") == "Is there a red triangle?"
    assert is_count("How many stars are there?") and not is_count("How does it move?")
