"""The driver: what was spent is what the models counted, and nothing is lost when things fail."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from mmreason.agent.protocol import CallTools, Claim, EvidenceRef, RecordNote, look_call
from mmreason.memory.store import Store
from mmreason.models.base import ClipRecipe, ModelError
from mmreason.models.scripted import ScriptedModel
from mmreason.policies import (
    BreadthFirst,
    Greedy,
    LongVideoR1,
    Oracle,
    Policy,
    RandomLeaf,
    Scripted,
)
from mmreason.reasoner import Reasoner
from mmreason.tool_calls import ModelTurn
from mmreason.types import Budget, Cost, Observation, StopReason, UsageError
from mmreason.video.subtitles import Line, Subtitles
from mmreason.video.types import Span, VideoError

QUESTION = "How does the red star move?"
POLICIES: dict[str, Callable[[], Policy]] = {
    "greedy": Greedy,
    "breadth_first": BreadthFirst,
    "random_leaf": RandomLeaf,
    "oracle": lambda: Oracle((Span(16, 32),)),
    "longvideo_r1": LongVideoR1,
}
SAID = Subtitles(lines=(Line(Span(40, 44), "the star"),))


@pytest.fixture(params=POLICIES)
def policy(request) -> Policy:
    return POLICIES[request.param]()


def counts(cost: Cost) -> dict[str, int]:
    return {name: n for name, n in cost.to_dict().items() if not name.endswith("seconds")}


# The ledger


@pytest.mark.parametrize("overview", ["denser", "stills"])
@pytest.mark.parametrize("subtitles", [None, SAID], ids=["silent", "subtitled"])
def test_the_ledger_is_what_the_models_counted(
    policy, video, watcher, honest, navigator, overview, subtitles
):
    """Three models, one a role, so that each count is known by itself."""
    clip = ClipRecipe(
        frames=8, size_px=(64, 32), leaf_s=4.0, overview=overview, reads_transcript=False
    )
    observer, checker = (watcher(video, honest, clip=clip, name=name) for name in ("o", "c"))
    reasoner = Reasoner(navigator, observer=observer, checker=checker, policy=policy)
    answer = reasoner.ask(video, QUESTION, subtitles=subtitles)
    cost = answer.cost
    assert cost.observer_calls == observer.calls > 0
    assert cost.checker_calls == checker.calls > 0
    assert cost.reasoner_calls == len(navigator.said)
    assert cost.model_calls == observer.calls + checker.calls + len(navigator.said)
    assert cost.frames == observer.frames + checker.frames
    shown = {t for model in (observer, checker) for one in model.asked for t in one.times_s}
    assert cost.frames_unique == len(shown)
    replies = [*observer.replies, *checker.replies, *navigator.said]
    assert cost.tokens_in == sum(reply.tokens_in for reply in replies)
    assert cost.tokens_out == sum(reply.tokens_out for reply in replies)
    assert cost.tokens_visual == sum(reply.tokens_visual for reply in replies) > 0
    assert cost.cache_hits == 0
    assert cost.seconds >= cost.model_seconds + cost.decode_seconds > 0


def test_rounds_are_decisions_and_the_opening_is_none(policy, video, model, navigator):
    answer = Reasoner(navigator, observer=model, policy=policy).ask(video, QUESTION)
    rounds = [step.observation.cost.rounds for step in answer.trace]
    assert set(rounds) <= {0, 1} and sum(rounds) == answer.cost.rounds
    opening = [
        s for s in answer.trace if s.call.name == "caption" and len(s.call.arguments["node"]) == 1
    ]
    assert all(step.observation.cost.rounds == 0 for step in opening)


def test_steps_add_up_to_the_answer_but_for_the_last_thought(policy, video, model, navigator):
    answer = Reasoner(navigator, observer=model, policy=policy).ask(video, QUESTION)
    total = sum((step.cost for step in answer.trace), Cost())
    told, added = counts(answer.cost), counts(total)
    del told["frames_unique"], added["frames_unique"]
    assert told == added


def test_a_warm_store_costs_hits_only(policy, video, model, thinker, navigator):
    store = Store.in_memory()
    first = Reasoner(navigator, observer=model, policy=policy, store=store).ask(video, QUESTION)
    before = model.calls
    thinking = thinker(navigator.replies)
    warm = Reasoner(thinking, observer=model, policy=policy, store=store).ask(video, QUESTION)
    assert model.calls == before
    assert (warm.text, warm.evidence, warm.stop_reason) == (
        first.text,
        first.evidence,
        first.stop_reason,
    )
    hits = sum(step.observation.cached for step in warm.trace)
    assert warm.cost.cache_hits == hits
    assert hits == sum(step.call.name != "answer" for step in warm.trace)
    assert warm.cost.model_calls == warm.cost.reasoner_calls == len(thinking.said)
    assert warm.cost.frames == warm.cost.frames_unique == 0
    assert warm.cost.tokens_in == sum(reply.tokens_in for reply in thinking.said)


def test_a_half_warm_store_counts_the_new_half(video, model):
    store = Store.in_memory()
    reasoner = Reasoner(model, store=store)
    reasoner.ask(video, QUESTION, budget=Budget(rounds=1))
    calls, frames = model.calls, model.frames
    answer = reasoner.ask(video, QUESTION)
    assert answer.cost.cache_hits > 0
    assert answer.cost.model_calls == model.calls - calls > 0
    assert answer.cost.frames == model.frames - frames
    shown = {t for one in model.asked[calls:] for t in one.times_s}
    assert answer.cost.frames_unique == len(shown)


# Budgets


@pytest.mark.parametrize("tokens", range(0, 1_000, 60))
def test_tokens_are_exceeded_by_one_call_at_most(
    policy, video, watcher, honest, thinker, navigator, tokens
):
    clip = ClipRecipe(frames=8, size_px=(64, 32), leaf_s=4.0, overview="stills")
    model = watcher(video, honest, clip=clip)
    thinking = thinker(navigator.replies)
    reasoner = Reasoner(thinking, observer=model, policy=policy)
    answer = reasoner.ask(video, QUESTION, budget=Budget(tokens=tokens))
    calls = [s.observation.cost.tokens_in + s.observation.cost.tokens_out for s in answer.trace]
    calls += [reply.tokens_in + reply.tokens_out for reply in thinking.said]
    total = answer.cost.tokens_in + answer.cost.tokens_out
    assert total == sum(calls)
    assert total - max(calls, default=0) <= tokens


def test_remarks_keep_to_the_rounds(video, model):
    remark = RecordNote("", ModelTurn(kind="invalid"), "found no tag")
    reasoner = Reasoner(model, policy=Scripted([remark] * 20))
    answer = reasoner.ask(video, QUESTION, budget=Budget(rounds=5))
    assert (answer.cost.rounds, len(answer.trace)) == (5, 5)
    assert answer.stop_reason is StopReason.BUDGET_ROUNDS


def test_repeats_keep_to_the_rounds(video, model):
    looks = tuple(look_call(Span(k, k + 4), QUESTION) for k in range(4))
    reasoner = Reasoner(model, policy=Scripted([CallTools("look", looks)] * 20))
    answer = reasoner.ask(video, QUESTION, budget=Budget(rounds=5))
    assert answer.cost.rounds == 5
    assert answer.stop_reason is StopReason.BUDGET_ROUNDS
    assert model.calls == 4


# Models that fail


def failing(model: ScriptedModel, bad: Callable[[int], bool], error: Exception) -> ScriptedModel:
    """`model`, raising at the calls `bad` picks by their number, from 0."""
    script, count = model.script, iter(range(10**6))

    def fail(text, batch):
        if bad(next(count)):
            raise error
        assert callable(script)
        return script(text, batch)

    model.script = fail
    return model


@pytest.mark.parametrize(
    "error", [RuntimeError("CUDA out of memory\ntrace"), ValueError(""), OSError("timed out")]
)
def test_a_model_that_fails_within_a_batch_costs_one_call(video, model, error):
    """The second of four captions fails for good: each is tried by itself, three are kept."""
    bad_time_s = 25.0
    script = model.script

    def fail(text, batch):
        if text == "Describe the clip." and bad_time_s in batch.times_s and len(batch) > 1:
            raise error
        return script(text, batch)

    model.script = fail
    answer = Reasoner(model).ask(video, "What colour is the circle?")
    assert (answer.text, answer.stop_reason) == ("yellow", StopReason.ANSWERED)
    failed = [s.observation.error for s in answer.trace if s.observation.error is not None]
    assert failed == [(str(error) or "ValueError").splitlines()[0]]
    assert sum(step.observation.error is None for step in answer.trace[:4]) == 3


def test_replies_that_came_before_a_fault_are_kept(video, model):
    """An endpoint answers three of four, in the opening and once more below."""
    generate = type(model).generate

    class Partly(ScriptedModel):
        def generate(self, request):
            replies = generate(self, request)
            if len(replies) < 4:
                return replies
            raise ModelError("one failed", replies=[*replies[:3], None], errors={3: "HTTP 500"})

    partly = Partly(model.script, clip=model.clip)
    reasoner = Reasoner(partly)
    answer = reasoner.ask(video, "What colour is the cross?")
    assert answer.text == "green"
    errors = [step.observation.error for step in answer.trace[:4]]
    assert errors == [None, None, None, "HTTP 500"]
    failed = sum(step.observation.error == "HTTP 500" for step in answer.trace)
    assert answer.cost.observer_calls + answer.cost.checker_calls == partly.calls - failed


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_reasoner_that_fails_ends_with_what_there_is(video, model, thinker, navigator, after):
    """Nothing is raised: what was seen is in the trace, and the reason is told."""
    count = iter(range(100))

    def fails(text: str) -> str:
        if next(count) >= after:
            raise RuntimeError("endpoint http://x: 503 after 4 tries")
        return navigator.replies(text)

    answer = Reasoner(thinker(fails), observer=model, policy=LongVideoR1()).ask(video, QUESTION)
    assert (answer.text, answer.stop_reason) == ("", StopReason.MODEL_FAILED)
    assert "503" in (answer.trace[-1].observation.error or "")
    assert answer.cost.reasoner_calls == after
    assert sum(step.observation.error is None for step in answer.trace) >= 4
    answer.to_dict()
    answer._repr_html_()


def test_a_reasoner_that_fails_now_and_then_is_asked_again(video, model, thinker, navigator):
    count = iter(range(100))

    def shaky(text: str) -> str:
        if next(count) % 3:
            raise OSError("cut")
        return navigator.replies(text)

    answer = Reasoner(thinker(shaky), observer=model, policy=LongVideoR1()).ask(video, QUESTION)
    assert (answer.text, answer.stop_reason) == ("it moves left", StopReason.ANSWERED)


# Stores that fail


class Faulty:
    """A connection whose statements fail from one on; `words` picks which."""

    def __init__(self, connection: sqlite3.Connection, words: str, message: str, after: int):
        self._connection, self._words, self._message = connection, words, message
        self._left = after

    def __getattr__(self, name: str):
        return getattr(self._connection, name)

    def __enter__(self):
        return self._connection.__enter__()

    def __exit__(self, *exception):
        return self._connection.__exit__(*exception)

    def execute(self, statement: str, *values):
        if self._words in statement:
            self._left -= 1
            if self._left < 0:
                raise sqlite3.OperationalError(self._message)
        return self._connection.execute(statement, *values)


FAULTS = [
    ("INSERT", "database is locked"),
    ("INSERT", "database or disk is full"),
    ("INSERT", "attempt to write a readonly database"),
    ("SELECT CAST(value", "database is locked"),
    ("SELECT CAST(value", "disk I/O error"),
]


@pytest.mark.parametrize("after", [0, 1, 5])
@pytest.mark.parametrize(("words", "message"), FAULTS)
def test_a_question_is_answered_though_the_store_fails(video, model, words, message, after):
    plain = Reasoner(model).ask(video, QUESTION)
    calls = model.calls
    good = Store.in_memory()
    store = Store(Faulty(good._connection, words, message, after), "s.sqlite3")  # type: ignore
    answer = Reasoner(model, store=store).ask(video, QUESTION)
    assert (answer.text, answer.evidence) == (plain.text, plain.evidence)
    assert answer.stop_reason is StopReason.ANSWERED
    assert all(step.observation.error is None for step in answer.trace)
    assert model.calls == 2 * calls, "no reply is asked for twice"
    (note,) = answer.settings["notes"]
    assert "kept in memory" in note and message in note and "s.sqlite3" in note


def test_a_locked_file_is_noted_and_the_next_question_tries_again(video, model, store_path):
    with Store.open(store_path) as store, Store.open(store_path) as other:
        store._connection.execute("PRAGMA busy_timeout = 10")
        other._connection.execute("BEGIN IMMEDIATE")
        reasoner = Reasoner(model, store=store)
        answer = reasoner.ask(video, QUESTION)
        assert (answer.text, len(answer.settings["notes"])) == ("it moves left", 1)
        other._connection.rollback()
        assert len(store) == 0
        again = reasoner.ask(video, QUESTION)
        assert again.settings["notes"] == []
        assert len(store) == again.cost.model_calls


def test_reading_a_locked_store_needs_no_writing(store_path):
    """When values were used is written now and then; a lock must not make a read fail or wait."""
    with Store.open(store_path) as store, Store.open(store_path) as other:
        for k in range(300):
            store.put(f"k{k}", {"k": k})
        other._connection.execute("BEGIN IMMEDIATE")
        assert [store.get(f"k{k}") for k in range(300)] == [{"k": k} for k in range(300)]
        other._connection.rollback()
        assert store._connection.execute("PRAGMA busy_timeout").fetchone() == (30_000,)


def test_a_store_on_a_full_disk_by_sqlite_itself(video, model, store_path):
    with Store.open(store_path) as store:
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        store.put("a", {"text": "x"})
        with pytest.raises(UsageError, match="full"):
            store.put("b", {"text": "x" * 100_000})
        long = ScriptedModel(
            lambda text, batch: f"{model.script(text, batch)} {'and so on ' * 80}", clip=model.clip
        )
        answer = Reasoner(long, store=store).ask(video, QUESTION)
        assert answer.text.startswith("it moves left")
        assert "full" in answer.settings["notes"][0]
        assert store.get("a") == {"text": "x"}


# Videos that go away


def test_a_video_deleted_meanwhile_ends_with_what_was_seen(video, model):
    """Everything after the sixth read fails: the look is there, its check and the pictures not."""
    read = video.frames_at
    count = iter(range(100))

    def gone(times_s, size_px=None):
        if next(count) >= 3:
            raise FileNotFoundError(2, "No such file or directory", "fake.mp4")
        return read(times_s, size_px)

    video.frames_at = gone
    answer = Reasoner(model).ask(video, QUESTION)
    assert (answer.text, answer.stop_reason) == ("it moves left", StopReason.ANSWERED)
    assert not answer.evidence[0].check.agreed
    assert "No such file" in (answer.trace[-1].observation.error or "")
    assert "thumbnails" in answer.settings["notes"][0]


def test_a_video_gone_from_the_start_is_an_error_with_its_name(video, model):
    def gone(times_s, size_px=None):
        raise FileNotFoundError(2, "No such file or directory", "fake.mp4")

    video.frames_at = gone
    with pytest.raises(VideoError, match=r"fake\.mp4: nothing could be looked at: .*No such file"):
        Reasoner(model).ask(video, QUESTION)


def test_a_deleted_file_of_real_pixels(tmp_path: Path):
    """Through a real container: the file goes after the captions of the top level."""
    from mmreason.video import Video
    from mmreason.video.world import encode, generate

    path = encode.write_video(generate.world(3, duration_s=2.0), tmp_path / "world.mp4")
    clip = ClipRecipe(frames=2, size_px=(64, 32), leaf_s=0.25)
    said = []

    def script(text, batch):
        said.append(text)
        if len(said) == 4:
            path.unlink()
        return "a red star moves left." if text == "Describe the clip." else "it moves left"

    with Video.open(path) as opened:
        answer = Reasoner(ScriptedModel(script, clip=clip)).ask(opened, QUESTION)
    assert answer.text == "it moves left"
    assert answer.stop_reason is StopReason.ANSWERED


def test_the_claim_of_a_script_keeps_its_evidence(video, model):
    look = look_call(Span(16, 20), QUESTION)
    seen = Observation(text="it moves left", span=Span(16, 20), frame_times_s=(16.2,))
    action = Claim(text="it moves left", supports=(EvidenceRef(look, seen, Span(16, 20)),))
    answer = Reasoner(model, policy=Scripted([action])).ask(video, QUESTION)
    assert answer.evidence[0].check.agreed
    assert answer.cost.checker_calls == 2, "the question, and what it takes for granted"


# What a model that decides says last


@pytest.mark.parametrize("rounds", [None, 3])
def test_what_the_model_answers_is_a_step_without_a_cost_of_its_own(
    video, model, thinker, navigator, rounds
):
    thinking = thinker(navigator.replies)
    reasoner = Reasoner(thinking, observer=model, policy=LongVideoR1())
    answer = reasoner.ask(video, QUESTION, budget=Budget(rounds=rounds))
    (place,) = (i for i, step in enumerate(answer.trace) if step.call.name == "answer")
    step = answer.trace[place]
    assert (step.thought, step.call.arguments) == ("found", {"text": "it moves left"})
    assert counts(step.observation.cost) == counts(Cost()) and step.observation.error is None
    assert step.thinking.reasoner_calls == 1
    assert all(later.call.is_check for later in answer.trace[place + 1 :])
    assert json.loads(json.dumps(step.to_dict()))["call"]["arguments"]["text"] == answer.text


def test_an_answer_after_invalid_turns_is_no_invalid_output(video, model, thinker):
    said = ["no tags", "no tags", "<think>x</think><answer>it is not there</answer>"]
    answer = Reasoner(thinker(said), observer=model, policy=LongVideoR1()).ask(video, QUESTION)
    assert [s.call.name for s in answer.trace[-3:]] == ["invalid", "invalid", "answer"]
    assert answer.stop_reason is StopReason.ABSTAINED
