"""Asking: navigation, evidence, budgets, the store. Only video and model are fakes."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from mmreason.memory.store import Store
from mmreason.models.base import ClipRecipe
from mmreason.models.scripted import ScriptedModel
from mmreason.reasoner import Reasoner
from mmreason.types import Budget, Check, CheckKind, StopReason, UsageError
from mmreason.video.types import FrameBatch, Span, VideoError

SCENES = (
    (16.0, "a green cross stays still."),
    (32.0, "a red star moves left."),
    (48.0, "a blue star moves up."),
    (64.0, "a yellow circle bounces."),
)
COLOURS = ("green", "red", "blue", "yellow", "purple")


def honest(question: str, seen: list[str]) -> str:
    """Answers colour, motion and presence from the sentences it sees; says when nothing fits."""
    asked = set(re.findall(r"\w+", question.split("\n")[0].lower()))
    things = {"cross", "star", "circle", "square"} & asked
    named = asked & set(COLOURS)
    for sentence in seen:
        words = re.findall(r"\w+", sentence)
        if things <= set(words) and named <= set(words):
            if "colour" in asked:
                return words[1]
            if "move" in asked:
                return f"it {' '.join(words[3:])}"
            return "yes"
    if question.startswith("Is there"):
        return "no"
    return f"there is no {' '.join([*named, *things])}."


@pytest.fixture
def video(fake_video):
    return fake_video(*SCENES)


@pytest.fixture
def model(video, watcher):
    return watcher(video, honest)


def test_answer_with_evidence_where_it_is(video, model):
    answer = Reasoner(model).ask(video, "How does the red star move?")
    assert answer.text == "it moves left"
    assert answer.stop_reason is StopReason.ANSWERED
    (evidence,) = answer.evidence
    assert evidence.check.agreed
    assert evidence.span == Span(16.0, 32.0)
    assert all(16 <= t < 32 for t in evidence.frame_times_s)
    assert answer.confidence == pytest.approx(0.905, abs=0.01)


def test_cost_is_what_the_model_was_asked(video, model):
    answer = Reasoner(model).ask(video, "How does the red star move?")
    cost = answer.cost
    assert cost.model_calls == model.calls == len(answer.trace)
    assert cost.model_calls == cost.observer_calls + cost.checker_calls
    assert (cost.checker_calls, cost.reasoner_calls, cost.cache_hits) == (1, 0, 0)
    assert cost.frames == model.frames
    assert cost.frames_unique == len({t for asked in model.asked for t in asked.times_s})
    assert cost.rounds == 3, "open one node, look, look again; the opening is round 0"
    assert {asked.size_px for asked in model.asked} == {(64, 32)}


def test_verification_sees_other_frames_and_only_the_question(video, model):
    answer = Reasoner(model).ask(video, "How does the red star move?")
    first, second = [a for a in model.asked if a.text == "How does the red star move?"]
    assert not set(first.times_s) & set(second.times_s)
    assert "Is there a red star?" not in {a.text for a in model.asked}, "a caption tells of it"
    assert answer.trace[-1].call.arguments["shift"] > 0


def test_where_captions_are_silent_it_is_asked_whether_the_thing_is_there(fake_video, watcher):
    video = fake_video((4.0, "a red star moves left."))
    model = watcher(video, lambda question, seen: "yes" if "Is there" in question else "it spins")
    Reasoner(model).ask(video, "How does the red star move?")
    first, second, premise = model.asked
    assert first.text == second.text == "How does the red star move?"
    assert (premise.text, premise.times_s) == ("Is there a red star?", second.times_s)


def test_what_the_question_takes_for_granted_has_to_be_there(fake_video, watcher):
    """A half-truth: there is a large star, and the model tells its colour for the small one."""
    video = fake_video((4.0, "a large red star."))
    model = watcher(video, lambda question, seen: "no" if "Is there" in question else "red")
    answer = Reasoner(model).ask(video, "What colour is the small star?")
    assert (answer.text, answer.stop_reason) == ("", StopReason.ABSTAINED)
    assert answer.evidence == () and answer.trace[-1].observation.text == "no"
    assert Reasoner(model).ask(video, "What colour is the star?").text == "red"


def test_same_question_again_costs_no_call_and_another_no_caption(video, model):
    reasoner = Reasoner(model)
    first = reasoner.ask(video, "How does the red star move?")
    calls = model.calls
    again = reasoner.ask(video, "How does the red star move?")
    assert (again.text, again.evidence) == (first.text, first.evidence)
    assert model.calls == calls
    assert again.cost.model_calls == again.cost.frames == again.cost.tokens_in == 0
    assert again.cost.cache_hits == len(again.trace) == len(first.trace)
    assert again.cost.rounds == first.cost.rounds
    other = reasoner.ask(video, "What colour is the circle?")
    assert other.text == "yellow"
    new = [
        s.call.name for s in other.trace if not s.observation.cached and s.call.name != "caption"
    ]
    assert new == ["look", "look"]
    assert other.cost.cache_hits >= 4


def test_store_is_shared_between_reasoners_but_not_between_models(video, watcher, tmp_path):
    with Store.open(tmp_path / "s.sqlite3") as store:
        Reasoner(watcher(video, honest), store=store).ask(video, "What colour is the circle?")
        same, other = watcher(video, honest), watcher(video, honest, name="other")
        Reasoner(same, store=store).ask(video, "What colour is the circle?")
        Reasoner(other, store=store).ask(video, "What colour is the circle?")
        assert same.calls == 0 < other.calls


def test_a_decline_is_no_answer_and_what_the_model_said_is_in_the_trace(video, model):
    answer = Reasoner(model).ask(video, "What colour is the square?")
    assert answer.stop_reason is StopReason.ABSTAINED and not answer.answered
    assert (answer.text, answer.choice, answer.confidence, answer.evidence) == ("", None, None, ())
    assert answer.trace[-1].observation.text == "there is no square."
    told = answer.to_dict()
    assert (told["answered"], told["text"], told["evidence"]) == (False, "", [])
    assert told["next_steps"] == list(answer.next_steps) != []
    looks = [step for step in answer.trace if step.call.name == "look"]
    assert 1 <= len(looks) <= 4


def test_no_is_an_answer_to_a_yes_or_no_question(video, model):
    assert Reasoner(model).ask(video, "Is there a red star?").text == "yes"
    denied = Reasoner(model).ask(video, "Is there a purple star?")
    assert (denied.text, denied.stop_reason) == ("no", StopReason.ANSWERED)
    assert denied.answered and denied.evidence and denied.next_steps == ()


def test_outside_its_world_the_model_is_not_asked_for_long(fake_video, watcher):
    video = fake_video((64.0, "this is outside my world."))
    model = watcher(video, lambda question, seen: "this is outside my world.")
    answer = Reasoner(model).ask(video, "Is there a red star?")
    assert answer.stop_reason is StopReason.ABSTAINED
    assert not answer.answered and "outside" not in answer.text
    assert answer.cost.rounds <= 8


def test_disagreement_makes_it_look_elsewhere(fake_video, watcher):
    video = fake_video((16, "a red star."), (32, "a cross."), (48, "a red star."), (64, "a cross."))
    replies = iter(["red", "blue", "pink", "green", "green"])
    model = watcher(video, lambda q, seen: "yes" if "Is there" in q else next(replies))
    answer = Reasoner(model).ask(video, "What pattern does the red star have?")
    assert answer.text == "green"
    assert answer.evidence[0].check.agreed
    assert answer.evidence[0].span == Span(32, 48)


def test_a_third_look_decides_between_two(fake_video, watcher):
    video = fake_video((4.0, "a red star moves left."))
    replies = iter(["red", "blue", "red"])
    answer = Reasoner(watcher(video, lambda question, seen: next(replies))).ask(video, "Colour?")
    assert (answer.text, answer.evidence[0].check.agreed) == ("red", None)


def test_without_any_agreement_it_abstains(video, watcher):
    count = iter(range(100))
    model = watcher(video, lambda question, seen: f"number{next(count)}")
    answer = Reasoner(model).ask(video, "What pattern does the red star have?")
    assert (answer.text, answer.stop_reason) == ("", StopReason.ABSTAINED)
    assert answer.evidence == ()
    assert answer.cost.model_calls < 60


def test_a_long_answer_in_other_words_stands_and_its_check_is_open(video, watcher):
    tails = iter(["over the wet grass", "across a meadow in spring"] * 10)
    model = watcher(video, lambda question, seen: f"the star is moving {next(tails)}")
    answer = Reasoner(model).ask(video, "What does the red star do?")
    assert answer.text == "the star is moving over the wet grass"
    assert answer.stop_reason is StopReason.ANSWERED
    check = answer.evidence[0].check
    assert (check.kind, check.by, check.agreed) == (CheckKind.SECOND_LOOK, "scripted", None)


def test_one_node_videos_are_looked_at_directly(fake_video, watcher):
    video = fake_video((4.0, "a red star moves left."))
    model = watcher(video, honest)
    answer = Reasoner(model).ask(video, "What colour is the star?")
    assert answer.text == "red"
    assert [step.call.name for step in answer.trace] == ["look", "look"]
    assert answer.evidence[0].span == Span(0, 4)
    assert answer.evidence[0].check.agreed


@pytest.mark.parametrize("length_s", [0.0, 0.1])
def test_one_frame_videos_cannot_be_checked_by_other_frames(fake_video, watcher, length_s):
    video = fake_video((length_s, "a red star moves left."))
    answer = Reasoner(watcher(video, honest)).ask(video, "What colour is the star?")
    assert answer.text == "red"
    assert answer.evidence[0].frame_times_s == (0.0,)
    assert answer.evidence[0].check == Check()


def test_global_questions_start_with_the_whole_video(video, watcher):
    model = watcher(video, lambda question, seen: str(len(seen)))
    answer = Reasoner(model).ask(video, "How many objects are there in the video?")
    assert answer.text == "4"
    assert answer.evidence[0].span == Span(0, 64)
    assert answer.cost.model_calls == 2


def test_options_by_text_and_by_letter(video, watcher):
    model = watcher(video, honest)
    reasoner = Reasoner(model)
    question = "What colour is the circle?"
    assert reasoner.ask(video, question, options=["red", "yellow"]).choice == 1
    lettered = Reasoner(watcher(video, lambda q, seen: "A"))
    assert lettered.ask(video, question, options=["red", "yellow"]).choice == 0
    shown = model.asked[-1].text
    assert shown == "What colour is the circle?\nA. red\nB. yellow"


def test_no_option_is_guessed(video, watcher):
    answer = Reasoner(watcher(video, honest)).ask(
        video, "What colour is the circle?", options=["red", "green"]
    )
    assert answer.choice is None
    assert answer.text == "yellow"
    assert not answer.evidence[0].check.agreed


@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        (Budget(frames=0), StopReason.BUDGET_FRAMES),
        (Budget(rounds=0), StopReason.BUDGET_ROUNDS),
        (Budget(tokens=0), StopReason.BUDGET_TOKENS),
        (Budget(seconds=0), StopReason.BUDGET_SECONDS),
    ],
)
def test_zero_budget_asks_nothing_and_answers_nothing(video, model, budget, reason):
    answer = Reasoner(model).ask(video, "What colour is the star?", budget=budget)
    assert (answer.text, answer.choice, answer.evidence) == ("", None, ())
    assert answer.stop_reason is reason
    assert model.calls == 0
    assert video.reads == []


@pytest.mark.parametrize("frames", [7, 8, 31, 33, 65, 70])
@pytest.mark.parametrize("rounds", [1, 3, 5, 9, 100])
def test_budgets_are_never_exceeded(fake_video, watcher, frames, rounds):
    video = fake_video(*SCENES)
    model = watcher(video, honest)
    budget = Budget(frames=frames, rounds=rounds)
    answer = Reasoner(model).ask(video, "How does the red star move?", budget=budget)
    assert model.frames == answer.cost.frames <= frames
    assert answer.cost.rounds <= rounds
    assert answer.stop_reason.startswith("budget")


def test_an_answer_found_before_the_budget_ended_is_kept(video, model):
    full = Reasoner(model).ask(video, "How does the red star move?")
    short = Budget(rounds=full.cost.rounds - 1)
    answer = Reasoner(model).ask(video, "How does the red star move?", budget=short)
    assert answer.text == "it moves left"
    assert answer.stop_reason is StopReason.BUDGET_ROUNDS
    assert not answer.evidence[0].check.agreed


def test_tokens_are_kept_by_forecast(video, model):
    calls = Reasoner(model).ask(video, "How does the red star move?").trace
    largest = max(s.observation.cost.tokens_in + s.observation.cost.tokens_out for s in calls)
    budget = Budget(tokens=3 * largest)
    answer = Reasoner(model).ask(video, "How does the red star move?", budget=budget)
    assert answer.stop_reason is StopReason.BUDGET_TOKENS
    assert answer.cost.tokens_in + answer.cost.tokens_out <= 3 * largest


def test_a_damaged_stretch_is_a_step_with_an_error(fake_video, watcher):
    video = fake_video(*SCENES, broken=Span(50, 64))
    answer = Reasoner(watcher(video, honest)).ask(video, "How does the red star move?")
    assert answer.text == "it moves left"
    errors = [step.observation.error for step in answer.trace]
    assert any(error and "damaged" in error for error in errors)


def test_a_video_of_which_nothing_can_be_read_is_an_error(fake_video, watcher):
    video = fake_video(*SCENES, broken=Span(0, 64))
    with pytest.raises(VideoError, match=r"fake\.mp4: nothing could be looked at: .*damaged"):
        Reasoner(watcher(video, honest)).ask(video, "How does the red star move?")


def test_interrupting_keeps_what_was_said(video, watcher):
    calls = []

    def interrupted(question: str, seen: list[str]) -> str:
        if len(calls) == 1:
            raise KeyboardInterrupt
        calls.append(question)
        return honest(question, seen)

    reasoner = Reasoner(watcher(video, interrupted))
    with pytest.raises(KeyboardInterrupt):
        reasoner.ask(video, "How does the red star move?")
    kept = len(reasoner.store)
    assert kept >= 5
    calls.append("go on")
    assert reasoner.ask(video, "How does the red star move?").cost.cache_hits == kept


def test_stream_gives_steps_and_then_the_answer(video, model):
    stream = Reasoner(model).stream(video, "How does the red star move?")
    with pytest.raises(RuntimeError, match="end"):
        _ = stream.answer
    steps = list(stream)
    assert stream.answer.trace == tuple(steps)
    assert all(step.thought for step in steps)
    with pytest.raises(StopIteration):
        next(stream)
    assert stream.answer.text == "it moves left"


def test_answer_says_everything_that_moved_it_and_is_json(video, model):
    import json

    answer = Reasoner(model).ask(
        video, "What colour is the circle?", budget=Budget(rounds=50), seed=3
    )
    settings = json.loads(json.dumps(answer.to_dict()))["settings"]
    assert settings["model"]["name"] == "scripted"
    assert settings["tree"] == {
        "branching": 4,
        "depth": 2,
        "leaf_s": 4.0,
        "overlap": 0.0,
    }
    assert settings["clip"]["frames"] == 8
    assert settings["budget"]["rounds"] == 50
    assert settings["seed"] == 3
    assert settings["store"] == ":memory:"
    assert {"torch", "transformers", "av", "numpy"} <= set(settings["versions"])


def test_thumbnails_show_evidence_and_steps_within_limits(video, model):
    answer = Reasoner(model).ask(video, "What colour is the circle?")
    assert set(answer.evidence[0].frame_times_s) <= set(answer.thumbnails)
    assert len(answer.thumbnails) <= 40
    assert all(data.startswith(b"\xff\xd8") for data in answer.thumbnails.values())


@pytest.mark.parametrize(
    ("question", "options", "message"),
    [
        ("", None, "empty"),
        (" \n", None, "empty"),
        ("x" * 10_000, None, "2,000"),
        ("What?", ["red"], "2 to 26"),
        ("What?", ["red", "Red "], "the same"),
        ("What?", ["red", ""], "option B"),
        ("What?", "red", "list"),
    ],
)
def test_unusable_questions_are_refused_before_anything_is_opened(question, options, message):
    reasoner = Reasoner(ScriptedModel({}))
    with pytest.raises(UsageError, match=message) as caught:
        reasoner.stream("missing.mp4", question, options=options)
    assert "\n" not in str(caught.value)


def test_missing_file_is_a_video_error():
    with pytest.raises(VideoError, match=r"missing\.mp4"):
        Reasoner(ScriptedModel({})).ask("missing.mp4", "What?")


def test_caption_of_a_stretch(video, model):
    reasoner = Reasoner(model)
    assert reasoner.caption(video, Span(16, 30)) == "a red star moves left."
    assert reasoner.caption(video) == " ".join(text for _, text in SCENES)
    with pytest.raises(UsageError, match="holds nothing"):
        reasoner.caption(video, Span(100, 110))


def test_a_model_without_a_frame_size_gets_the_videos_shape(video, watcher):
    clip = ClipRecipe(frames=4, leaf_s=4.0, longest_px=100, multiple_px=14)
    model = watcher(video, honest, clip=clip)
    Reasoner(model).caption(video)
    assert model.asked[0].size_px == (98, 56)


def test_reading_leaves_room_for_a_last_look(video, model):
    """One round after the opening: it is kept for a look at the best place."""
    answer = Reasoner(model).ask(video, "How does the red star move?", budget=Budget(rounds=1))
    assert [step.call.name for step in answer.trace] == ["caption"] * 4 + ["look"]
    assert answer.stop_reason is StopReason.BUDGET_ROUNDS
    assert answer.text and not any(evidence.check.agreed for evidence in answer.evidence)


def test_a_budget_of_one_look_is_spent_on_looking(video, model):
    frames = model.clip.frames
    answer = Reasoner(model).ask(video, "How does the red star move?", budget=Budget(frames=frames))
    assert [step.call.name for step in answer.trace] == ["look"]
    assert answer.cost.frames <= frames and answer.stop_reason is StopReason.BUDGET_FRAMES


@pytest.mark.parametrize(
    ("question", "options"),
    [("What colour \ud83d?", None), ("What colour?", ["red", "\udc00blue"])],
)
def test_half_a_character_is_one_clear_error(video, model, question, options):
    with pytest.raises(UsageError, match=r"holds U\+D[0-9A-F]{3} at position .* surrogate"):
        Reasoner(model).ask(video, question, options=options)
    assert model.calls == 0


def test_frames_shown_in_place_of_others_are_told(fake_video, watcher):
    class Damaged(type(fake_video((1.0, "")))):
        def frames_at(self, times_s, size_px=None):
            batch = super().frames_at(times_s, size_px)
            exact = batch.times_s > 20
            return FrameBatch(pixels=batch.pixels, times_s=batch.times_s, exact=exact)

    video = Damaged(scenes=SCENES)
    answer = Reasoner(watcher(video, honest)).ask(video, "How does the red star move?")
    (note,) = answer.settings["notes"]
    assert re.fullmatch(r"\d+ frames were shown in place of others .* may be damaged", note)


def test_notes_on_the_file_are_told_with_the_answer(video, model):
    class Noted(type(video)):
        @property
        def info(self):
            return replace(super().info, notes=("the length is a guess",))

    noted = Noted(scenes=SCENES)
    answer = Reasoner(model).ask(noted, "How does the red star move?")
    assert answer.settings["notes"] == ["the length is a guess"]
