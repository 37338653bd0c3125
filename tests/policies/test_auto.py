"""Which policy answers, why, and what each stage that is left out leaves out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mmreason.cli.ask import ReasonerSetup
from mmreason.memory.store import Store
from mmreason.models.scripted import ScriptedModel
from mmreason.policies import Auto, Direct, Global, Greedy, ScriptedSearch
from mmreason.policies.stages import check_stages
from mmreason.reasoner import Reasoner
from mmreason.report.terminal import plain_lines
from mmreason.tool_calls import ChoosePolicy, LookAtSpans, ScoreStretch
from mmreason.types import Budget, UsageError
from mmreason.video.subtitles import Line, Subtitles
from mmreason.video.types import Span
from tests.policies.conftest import QUESTION, PerfectObserver, PlainQuestion, plain_video
from tests.reasoner.conftest import FakeVideo

SHORT = FakeVideo(scenes=((40.0, "Guests eat noodles from deep bowls."), (60.0, "It rains.")))
LONG = plain_video()


def make(video=LONG, *, tier: Any = "small", kind="moment", question=QUESTION, **settings):
    observer = PerfectObserver(video, (question,), kind=kind)
    return Reasoner(ScriptedModel(observer, tier=tier), **settings), observer


def ask(reasoner, video=LONG, question=QUESTION, **settings):
    options = list(question.options) or None
    return reasoner.ask(video, question.text, options=options, **{"subtitles": None} | settings)


@pytest.mark.parametrize(
    ("tier", "kind", "video", "name"),
    [
        ("nano", "moment", LONG, "greedy"),
        ("nano", "moment", SHORT, "greedy"),
        ("small", "moment", SHORT, "direct"),
        ("strong", "moment", SHORT, "direct"),
        ("small", "whole", LONG, "global"),
        ("strong", "whole", LONG, "global"),
        ("small", "order", LONG, "global"),
        ("small", "count", LONG, "global"),
        ("small", "moment", LONG, "scripted_search"),
        ("small", "speech", LONG, "scripted_search"),
        ("small", "no idea", LONG, "scripted_search"),
        ("small", "whole or moment", LONG, "scripted_search"),
        ("strong", "moment", LONG, "tool_loop"),
    ],
)
def test_model_video_and_question_decide(tier, kind, video, name):
    reasoner, _ = make(video, tier=tier, kind=kind)
    settings = ask(reasoner, video, budget=Budget(frames=128)).settings["policy"]
    # A strong model that writes no calls falls back; what was chosen first is in the trace.
    answer = ask(reasoner, video, budget=Budget(frames=128))
    chosen = [s.call.policy for s in answer.trace if isinstance(s.call, ChoosePolicy)]
    assert (chosen[0] if chosen else settings["name"]) == name
    assert settings["tier"] == tier and settings["reason"]


def test_nano_plays_as_before_without_a_step_of_choosing():
    traces = []
    for policy in (None, Greedy()):
        reasoner, _ = make(tier="nano", policy=policy)
        traces.append([(s.call, s.observation.text) for s in ask(reasoner).trace])
    assert traces[0] == traces[1]


def test_a_budget_below_half_a_frame_a_second_is_no_direct_look():
    video = FakeVideo(scenes=tuple((20.0 * (i + 1), f"thing {i}") for i in range(16)))  # 320 s
    reasoner, _ = make(video)
    assert ask(reasoner, video).settings["policy"]["name"] == "scripted_search"


def test_the_answer_says_in_one_line_what_was_chosen():
    reasoner, _ = make(SHORT)
    answer = ask(reasoner, SHORT)
    (line,) = [line for line in plain_lines(answer) if line.startswith("policy:")]
    assert line.startswith("policy:      direct, for a small model: the video has 60 s")
    assert "direct, for a small model" in answer._repr_html_()
    policy = json.loads(json.dumps(answer.to_dict()))["settings"]["policy"]
    assert sorted(policy) == ["kind", "name", "reason", "tier"]


def test_a_policy_that_the_caller_names_says_so_and_is_no_line():
    reasoner, _ = make(policy=ScriptedSearch())
    answer = ask(reasoner)
    assert answer.settings["policy"]["reason"] == "named by the caller"
    assert not [line for line in plain_lines(answer) if line.startswith("policy:")]


@pytest.mark.parametrize("policy", [Direct(), Global(), ScriptedSearch(), Auto()])
def test_no_answer_comes_without_a_look_at_the_whole_question(policy):
    reasoner, observer = make(policy=policy)
    answer = ask(reasoner)
    looks = [s.call for s in answer.trace if isinstance(s.call, LookAtSpans)]
    assert any(look.question == QUESTION.text and not look.check for look in looks)
    assert answer.cost.frames <= 128
    assert all(QUESTION.text in text for text, _ in observer.asked if "Line 1" in text)


# Stages


def test_without_the_check_nothing_is_looked_at_again():
    reasoner, _ = make(without=("check",))
    answer = ask(reasoner)
    assert answer.text == "noodles" and answer.evidence[0].check.agreed is None
    assert not any(step.call.is_check for step in answer.trace)


@pytest.mark.parametrize(("without", "scored"), [((), True), (("score",), False)])
def test_without_the_score_the_first_candidates_are_looked_at(without, scored):
    absent = PlainQuestion("Where is the aeroplane?", "", ())
    reasoner, _ = make(question=absent, without=without)
    answer = ask(reasoner, question=absent)
    assert any(isinstance(s.call, ScoreStretch) for s in answer.trace) is scored


def test_without_the_search_nothing_is_scanned_or_described():
    reasoner, _ = make(without=("search",))
    names = {step.call.name for step in ask(reasoner).trace}
    assert not names & {"scan", "describe", "search"}


@pytest.mark.parametrize(("without", "answered"), [((), True), (("speech",), False)])
def test_without_speech_subtitles_are_not_read(without, answered):
    said = PlainQuestion("Wie viel kostet der Umbau?", "zwei Millionen", ())
    lines = Subtitles(lines=(Line(Span(200.0, 204.0), "Das macht zwei Millionen."),))

    def script(text, frames):
        if "one word: moment" in text:
            return "speech"
        return "zwei Millionen" if "Das macht zwei Millionen" in text else "not shown"

    reasoner = Reasoner(ScriptedModel(script, tier="small"), without=without)
    answer = ask(reasoner, question=said, subtitles=lines)
    assert answer.answered is answered
    if answered:
        assert answer.evidence[0].span == Span(200.0, 204.0)


def test_a_stage_that_is_none_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match=r"no stage 'chek'.*did you mean 'check'"):
        check_stages(["chek"])
    with pytest.raises(UsageError, match="got the text 'check'"):
        check_stages("check")


def test_stages_go_with_the_default_policy_alone():
    with pytest.raises(UsageError, match="without goes with the default policy"):
        make(policy=Greedy(), without=("check",))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"policy": "best"}, "--policy is one of auto, direct"),
        ({"without": ("sound",)}, "no stage 'sound'"),
        ({"policy": "greedy", "without": ("check",)}, "greedy has no stages"),
        ({"compat": "nano", "without": ("check",)}, "--compat sets policy and tree"),
    ],
)
def test_the_command_line_refuses_before_a_model_is_loaded(settings, message):
    with pytest.raises(UsageError, match=message):
        ReasonerSetup(model="no-such-model", **settings)


# Odd observers


def test_an_answer_that_other_frames_contradict_everywhere_is_none():
    answers = iter(["A", "B", "C"] * 40)
    model = ScriptedModel(lambda text, frames: next(answers), tier="small")
    answer = Reasoner(model, policy=ScriptedSearch()).ask(
        LONG, QUESTION.text, options=list(QUESTION.options), subtitles=None
    )
    assert answer.evidence == () or answer.evidence[0].check.agreed is not True


def test_a_second_question_pays_for_no_description_again():
    store = Store.in_memory()
    absent = PlainQuestion("Where is the aeroplane?", "", ())
    reasoner, _ = make(question=absent, store=store)
    ask(reasoner, question=absent)
    second, _ = make(store=store)
    answer = ask(second)
    described = [s for s in answer.trace if s.call.name == "describe"]
    assert not described and answer.text == "noodles"


@pytest.mark.parametrize("video", [SHORT, LONG])
def test_a_question_takes_what_the_estimate_says(video):
    reasoner, _ = make(video)
    estimate = reasoner.estimate(video)
    answer = ask(reasoner, video)
    assert estimate.least_frames <= answer.cost.frames <= estimate.most_frames
    assert estimate.least_calls <= answer.cost.model_calls <= estimate.most_calls


def test_a_look_that_is_refused_is_taken_once_more_at_other_frames():
    observer = PerfectObserver(LONG, (QUESTION,))
    refusals = iter(["I'm sorry, I cannot help with that."])

    def script(text, frames):
        is_look = frames is not None and "Line 1" in text
        return next(refusals, "") or observer(text, frames) if is_look else observer(text, frames)

    answer = ask(Reasoner(ScriptedModel(script, tier="small")))
    assert answer.text == "noodles" and answer.evidence[0].check.agreed is True
