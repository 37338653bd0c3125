"""One contract for every policy, and where the greedy one looks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mmreason.agent.loop import AnswerDraft, answer_loop
from mmreason.agent.protocol import (
    AskModel,
    CallTools,
    Claim,
    EvidenceRef,
    Inquiry,
    Results,
    Stopped,
    look_call,
)
from mmreason.agent.provenance import id_of
from mmreason.agent.question import Question
from mmreason.memory.store import Store
from mmreason.memory.tree import Tree, TreeRecipe
from mmreason.models.base import ClipRecipe, Reply
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
from mmreason.types import Answer, Budget, Observation, Step, StopReason
from mmreason.video.subtitles import Line, Subtitles
from mmreason.video.types import Span

QUESTION = "How does the red star move?"
GOLD = Span(16.0, 32.0)


def scripted() -> Scripted:
    look = look_call(Span(16, 20), QUESTION)
    seen = Observation(text="it moves left", span=Span(16, 20), frame_times_s=(16.2, 17.0))
    actions = [
        CallTools("look", (look, look_call(Span(0, 4), QUESTION))),
        CallTools("look again", (look,)),
        Claim(text="it moves left", supports=(EvidenceRef(look, seen, Span(16, 20)),)),
    ]
    return Scripted(actions)


POLICIES = {
    "greedy": Greedy,
    "breadth_first": BreadthFirst,
    "random_leaf": lambda: RandomLeaf(seed=3),
    "oracle": lambda: Oracle((GOLD,)),
    "longvideo_r1": LongVideoR1,
    "scripted": scripted,
}
BUDGETS = [
    Budget(),
    Budget(frames=0),
    Budget(frames=9),
    Budget(frames=40),
    Budget(rounds=0),
    Budget(rounds=1),
    Budget(rounds=3),
    Budget(tokens=0),
    Budget(tokens=150),
    Budget(tokens=900),
    Budget(seconds=0),
]


@pytest.fixture(params=POLICIES)
def policy(request) -> Policy:
    return POLICIES[request.param]()


@pytest.fixture
def reasoner(policy, model, navigator) -> Reasoner:
    return Reasoner(navigator, observer=model, policy=policy)


def plain(answer: Answer) -> tuple:
    calls = tuple((str(step.call), step.observation.text) for step in answer.trace)
    return answer.text, answer.choice, answer.evidence, answer.stop_reason, calls


def test_without_a_budget_it_finds_what_is_there(reasoner, video):
    answer = reasoner.ask(video, QUESTION)
    assert (answer.text, answer.stop_reason) == ("it moves left", StopReason.ANSWERED)
    assert answer.evidence[0].check.agreed
    assert answer.evidence[0].span.overlap_s(GOLD) > 0


@pytest.mark.parametrize("budget", BUDGETS, ids=str)
def test_it_ends_within_its_budget(reasoner, video, model, navigator, budget):
    answer = reasoner.ask(video, QUESTION, budget=budget)
    cost = answer.cost
    assert model.frames == cost.frames <= (1e9 if budget.frames is None else budget.frames)
    assert cost.rounds <= (1e9 if budget.rounds is None else budget.rounds)
    largest = max(
        [
            *(s.observation.cost.tokens_in + s.observation.cost.tokens_out for s in answer.trace),
            *(reply.tokens_in + reply.tokens_out for reply in navigator.said),
            0,
        ]
    )
    if budget.tokens is not None:
        assert cost.tokens_in + cost.tokens_out <= budget.tokens + largest
    if budget in (Budget(frames=0), Budget(rounds=0), Budget(tokens=0), Budget(seconds=0)):
        assert model.calls == 0 and not answer.evidence
    assert answer.stop_reason is StopReason.ANSWERED or answer.stop_reason.startswith("budget")


@pytest.mark.parametrize("budget", BUDGETS[:8], ids=str)
def test_the_same_question_has_the_same_answer(policy, video, model, thinker, navigator, budget):
    answers = []
    for _ in range(2):
        reasoner = Reasoner(thinker(navigator.replies), observer=model, policy=policy)
        answers.append(plain(reasoner.ask(video, QUESTION, budget=budget)))
    assert answers[0] == answers[1]


def replayed(inquiry: Inquiry, policy: Policy, answer: Answer, said: list[Reply]) -> AnswerDraft:
    """The loop once more, fed with what the trace holds."""
    loop = answer_loop(inquiry, policy)
    steps, replies = list(answer.trace), iter(said)
    sent = None
    while True:
        try:
            action = loop.send(sent)
        except StopIteration as end:
            return end.value
        if isinstance(action, CallTools):
            sent = _recorded(action, steps, answer.stop_reason)
        elif isinstance(action, AskModel):
            reply = next(replies, None)
            sent = Stopped(answer.stop_reason) if reply is None else reply
        else:
            sent = None
            assert steps.pop(0).call == action.call


def _recorded(action: CallTools, steps: list[Step], why: StopReason) -> Results:
    seen = []
    for call in action.calls:
        if not steps or steps[0].call != call:
            return Results(tuple(seen), why)
        seen.append(steps.pop(0).observation)
    return Results(tuple(seen))


@pytest.mark.parametrize("budget", [Budget(), Budget(frames=40), Budget(rounds=2)], ids=str)
def test_a_trace_replays_without_a_model(policy, reasoner, video, navigator, budget):
    answer = reasoner.ask(video, QUESTION, budget=budget)
    tree = answer.settings["tree"]
    inquiry = Inquiry(
        question=Question(video=video, text=QUESTION),
        tree=Tree(video.info.span, tree["branching"], tree["depth"]),
        leaf_s=reasoner.model.clip.leaf_s,
        budget=budget,
        observer=id_of(reasoner.roles.observer),
        checker=id_of(reasoner.roles.checker),
        reasoner=id_of(reasoner.roles.reasoner),
    )
    draft = replayed(inquiry, policy, answer, navigator.said)
    assert (draft.text, draft.choice, draft.evidence, draft.stop_reason) == (
        answer.text,
        answer.choice,
        answer.evidence,
        answer.stop_reason,
    )


def test_a_warm_store_answers_with_a_budget_of_nothing(video, model, navigator, policy):
    """What is stored costs no frame and no token of an observer, so no budget refuses it."""
    store = Store.in_memory()
    free = Reasoner(navigator, observer=model, policy=policy, store=store).ask(video, QUESTION)
    before = model.calls
    again = Reasoner(navigator, observer=model, policy=policy, store=store).ask(
        video, QUESTION, budget=Budget(frames=0)
    )
    assert (again.text, again.evidence) == (free.text, free.evidence)
    assert again.cost.frames == 0 and model.calls == before


# Greedy, in detail


def seer(video, answer, *, clip=None) -> ScriptedModel:
    """A captioner that misses nothing: it tells every scene between its first and last frame,
    half a frame's distance beyond them, as if it had watched all of it."""

    def script(text, batch):
        times_s = [float(t) for t in batch.times_s]
        half_s = (times_s[-1] - times_s[0]) / max(1, len(times_s) - 1) / 2
        first, last = (video.scene_at(t) for t in (times_s[0] - half_s, times_s[-1] + half_s))
        seen = [what for _, what in video.scenes[first : last + 1]]
        return " ".join(seen) if text == "Describe the clip." else answer(text, seen)

    clip = clip or ClipRecipe(frames=8, size_px=(64, 32), leaf_s=4.0)
    return ScriptedModel(script, clip=clip)


def needle_places(length_s: float) -> Iterator[float]:
    """Starts of a needle of a twentieth of the video: begin, middle, end, across a border."""
    long_s = length_s / 20
    yield from (0.0, 0.31 * length_s, length_s - long_s, length_s / 2 - long_s / 2)


@pytest.mark.parametrize("branching", range(3, 9))
@pytest.mark.parametrize("length_s", [60.0, 600.0, 3_600.0, 36_000.0])
def test_with_perfect_captions_greedy_hits_within_three_rounds(fake_video, length_s, branching):
    for start_s in needle_places(length_s):
        end_s = start_s + length_s / 20
        parts = [(start_s, "a green field."), (end_s, "a red star moves left.")]
        parts = [part for part in parts if part[0] > 0]
        if end_s < length_s:
            parts.append((length_s, "a green field."))
        video = fake_video(*parts)

        def answer(question: str, seen: list[str]) -> str:
            there = any("red star" in one for one in seen)
            return "it moves left" if there else "there is no red star."

        recipe = TreeRecipe(depth=3, branching=(branching, branching))
        reasoner = Reasoner(seer(video, answer), tree=recipe)
        found = reasoner.ask(video, QUESTION)
        assert (found.text, found.stop_reason) == ("it moves left", StopReason.ANSWERED)
        assert found.evidence[0].check.agreed
        assert found.cost.rounds <= 4
        looks = [step for step in found.trace if step.call.name == "look"]
        assert looks[0].observation.span.overlap_s(Span(start_s, end_s)) > 0
        assert looks[0].call.arguments["span"] == looks[-1].call.arguments["span"]


def signs(question: str, seen: list[str]) -> str:
    """What a star is coloured, from sentences such as "a red star. the word PARK is on the
    screen."."""
    colours = [w for s in seen for w in ("red", "blue") if f"{w} star" in s]
    return colours[0] if colours else "there is no star."


@pytest.mark.parametrize("where", [0, 1, 2, 3])
@pytest.mark.parametrize(
    "question",
    [
        "What colour is the star while the word PARK is on the screen?",
        "While the word PARK is on the screen, what colour is the star?",
    ],
)
def test_the_when_of_a_question_picks_among_look_alikes(fake_video, watcher, where, question):
    words = ["EXIT", "OPEN", "STOP", "TAXI"]
    words[where] = "PARK"
    colours = ["red" if i == where else "blue" for i in range(4)]
    told = [
        f"a {c} star moves left. the word {w} is on the screen."
        for c, w in zip(colours, words, strict=True)
    ]
    video = fake_video(*((16.0 * (i + 1), text) for i, text in enumerate(told)))
    model = watcher(video, signs)
    answer = Reasoner(model).ask(video, question)
    assert answer.text == "red"
    assert Span(16.0 * where, 16.0 * where + 16).overlap_s(answer.evidence[0].span) > 0
    assert model.asked[-1].text == "What colour is the star?"


ORDER = {"star": "a red star moves left.", "ring": "a blue ring.", "cross": "a green cross."}


def present(question: str, seen: list[str]) -> str:
    thing = next((t for t in ORDER if t in question), "nothing")
    if question.startswith("Is there"):
        return "yes" if any(thing in one for one in seen) else "no"
    return "there is no such thing."


@pytest.mark.parametrize("order", [("star", "ring", "cross"), ("cross", "star", "ring")])
@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("count", [2, 3])
def test_order_of_two_and_three_places(fake_video, watcher, order, place, count):
    things = order[:count]
    at_s = {thing: 40.0 * (i + 1) for i, thing in enumerate(things)}
    scenes = [
        (at_s[t] + shift, text) for t in things for shift, text in ((0, "grey."), (8, ORDER[t]))
    ]
    video = fake_video(*scenes, (160.0, "grey."))
    told = [f"the {thing}" for thing in sorted(things)]
    question = f"Which comes {place}, {', '.join(told[:-1])} or {told[-1]}?"
    options = [f"the {thing}" for thing in sorted(things)]
    right = things[0 if place == "first" else -1]
    answer = Reasoner(seer(video, present)).ask(video, question, options=options)
    assert (answer.text, answer.stop_reason) == (f"the {right}", StopReason.ANSWERED)
    assert answer.choice == options.index(f"the {right}")
    assert len(answer.evidence) == count
    assert all(one.check.agreed for one in answer.evidence)
    open_answer = Reasoner(seer(video, present)).ask(video, question)
    assert open_answer.text == f"the {right}"


def test_things_seen_at_once_are_not_put_in_order(fake_video, watcher):
    video = fake_video((32.0, "grey."), (36.0, "a red star. a blue ring."), (64.0, "grey."))
    model = watcher(video, present)
    answer = Reasoner(model).ask(video, "Which comes first, the star or the ring?")
    assert answer.text != "the star" and not any(one.check.agreed for one in answer.evidence)


def test_subtitles_lead_to_the_place(fake_video, watcher):
    """Captions are silent; what is said is not."""
    video = fake_video((600.0, "a street."))
    said = Subtitles(lines=(Line(Span(10, 12), "hello"), Line(Span(431, 435), "the magpie sings")))

    def answer(question: str, seen: list[str]) -> str:
        return "a tune"

    model = watcher(video, answer)
    found = Reasoner(model).ask(video, "What does the magpie sing?", subtitles=said)
    assert found.text == "a tune"
    assert found.evidence[0].span.overlap_s(Span(431, 435)) > 0
    assert found.trace[0].call.name == "search"
    assert "magpie" in found.trace[0].observation.text
    looks = [step for step in found.trace if step.call.name == "look"]
    assert looks[0].call.arguments["span"].overlap_s(Span(431, 435)) > 0
    assert found.cost.rounds <= 2
