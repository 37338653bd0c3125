"""Observers of natural videos answer from what they are shown, and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from mmreason.language.answer_reading import read_answer
from mmreason.language.prompts import GENERAL
from mmreason.models.base import FramesPart, GenerateRequest, Message, Reply, TextPart
from mmreason.natural.habits import HABITS, Habits
from mmreason.natural.items import NaturalItem
from mmreason.natural.observers import ScriptObserver, make_observer
from mmreason.natural.questions import draw_items
from mmreason.natural.scripts import draw_script
from mmreason.natural.texts import LANGUAGES
from mmreason.natural.wording import say_shot, say_speech
from mmreason.policies.auto import KIND
from mmreason.policies.candidates import RANK
from mmreason.tools.prompts import look_text, score_text
from mmreason.types import UsageError
from mmreason.video.types import FrameBatch, Span

SCRIPT = draw_script("cooking", 5, 1200.0)
ITEMS = draw_items(SCRIPT, LANGUAGES)
VIDEO = Span(0, SCRIPT.duration_s)


def ask(
    model: ScriptObserver, prompt: str, times_s: Sequence[float] = (), most_tokens: int = 300
) -> Reply:
    parts: tuple[FramesPart | TextPart, ...] = (TextPart(prompt),)
    if times_s:
        pixels = np.zeros((len(times_s), 4, 4, 3), np.uint8)
        batch = FrameBatch(
            pixels=pixels, times_s=np.array(times_s), exact=np.ones(len(times_s), bool)
        )
        parts = (FramesPart(batch), *parts)
    request = GenerateRequest([[Message("user", parts)]], max_new_tokens=most_tokens)
    (reply,) = model.generate(request)
    return reply


def prompt_of(item: NaturalItem) -> str:
    return GENERAL.ask(item.question, item.options)


def gold_times_s(item: NaturalItem) -> list[float]:
    return [SCRIPT.shots[i].span.middle_s for i in item.shots if i >= 0]


def find_item(family: str, language: str = "en") -> NaturalItem:
    return next(i for i in ITEMS if i.family == family and i.language == language)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["perfect", "verbose", "thinking"])
def test_the_right_answer_where_the_gold_is_shown_and_none_where_not(
    name: str, language: str
) -> None:
    model = make_observer(SCRIPT, ITEMS, name)
    for item in ITEMS:
        if item.language != language or item.rule in ("heard", "most", "never"):
            continue
        reply = ask(model, prompt_of(item), gold_times_s(item))
        if item.options:
            assert read_answer(reply.text, item.options).choice == item.answer, (item, reply)
        else:
            assert item.answer_text in reply.text
        elsewhere = [s.span.middle_s for i, s in enumerate(SCRIPT.shots) if i not in item.shots]
        assert "not shown" in ask(model, prompt_of(item), elsewhere[:3]).text


def test_what_is_said_is_known_from_the_text_alone() -> None:
    model = make_observer(SCRIPT, ITEMS)
    item = next(i for i in ITEMS if i.rule == "heard" and i.language == "de")
    everywhere = [shot.span.middle_s for shot in SCRIPT.shots]
    assert ask(model, prompt_of(item), everywhere).text == "not shown"
    lines = [(str(x.span), say_speech(SCRIPT.genre, x, "de")) for x in SCRIPT.speech]
    prompt = GENERAL.ask(item.question, item.options, lines)
    assert item.answer_text in ask(model, prompt).text


def test_a_caption_in_the_text_is_as_good_as_a_frame_where_it_tells_the_fact() -> None:
    model, item = make_observer(SCRIPT, ITEMS), find_item("colour")
    sentences = say_shot(SCRIPT.genre, SCRIPT.shots[item.shots[0]], "en")
    told = f"{sentences['event']} {sentences['colour']}\n{prompt_of(item)}"
    assert item.answer_text in ask(model, told).text
    untold = f"{sentences['event']}\n{sentences['colour']}\n{prompt_of(item)}"
    assert ask(model, untold).text == "not shown"


def test_questions_and_options_are_no_evidence() -> None:
    model = make_observer(SCRIPT, ITEMS)
    for item in ITEMS:
        assert ask(model, prompt_of(item)).text == "not shown"


def test_nothing_shows_what_has_no_answer() -> None:
    model = make_observer(SCRIPT, ITEMS)
    everywhere = [shot.span.middle_s for shot in SCRIPT.shots]
    for item in ITEMS:
        if not item.is_answerable:
            assert ask(model, prompt_of(item), everywhere).text == "not shown"


def test_counts_and_orders_are_those_of_the_shots_that_are_shown() -> None:
    model = make_observer(SCRIPT, ITEMS)
    count = find_item("count")
    assert "1" in ask(model, prompt_of(count), gold_times_s(count)[:1]).text
    first = find_item("first")
    late = sorted(i for i in first.shots)[1:]
    times_s = [SCRIPT.shots[i].span.middle_s for i in late]
    expected = first.options[first.shots.index(late[0])]
    assert expected in ask(model, prompt_of(first), times_s).text
    assert ask(model, prompt_of(first), times_s[:1]).text == "not shown"


def test_captions_tell_each_shot_and_fit_the_limit() -> None:
    model = make_observer(SCRIPT, ITEMS)
    shots = SCRIPT.shots[3:6]
    reply = ask(model, GENERAL.caption, [s.span.middle_s for s in shots], most_tokens=60)
    for shot in shots:
        assert say_shot(SCRIPT.genre, shot, "en")["event"] in reply.text
    assert reply.tokens_out <= 60
    german = ask(model, "Describe this in German.", [shots[0].span.middle_s])
    assert say_shot(SCRIPT.genre, shots[0], "de")["colour"] in german.text


def test_habits_change_captions_at_their_rate_and_always_the_same_way() -> None:
    times_s = [shot.span.middle_s for shot in SCRIPT.shots]
    perfect = make_observer(SCRIPT, ITEMS)
    forgetful = make_observer(SCRIPT, ITEMS, "forgetful")
    wrong = make_observer(SCRIPT, ITEMS, "wrong", habits=Habits(wrong_rate=0.5))
    captions = [
        [ask(model, GENERAL.caption, [time_s]).text for time_s in times_s]
        for model in (perfect, forgetful, wrong, wrong)
    ]
    lengths = [sum(map(len, row)) for row in captions]
    assert 0.5 * lengths[0] < lengths[1] < 0.9 * lengths[0]
    differ = sum(a != b for a, b in zip(captions[0], captions[2], strict=True)) / len(times_s)
    assert 0.3 < differ < 0.7
    assert captions[2] == captions[3]


def test_a_refusing_observer_refuses_some_requests_and_answers_other_frames() -> None:
    model = make_observer(SCRIPT, ITEMS, "refusing", habits=Habits(refusal_rate=0.3))
    item = find_item("place")
    span = item.gold_spans[0]
    times_s = [span.start_s + 0.1 * i * span.duration_s for i in range(10)]
    replies = [ask(model, prompt_of(item), [time_s]).text for time_s in times_s]
    refused = sum("sorry" in text for text in replies)
    assert 0 < refused < 10
    assert any(item.answer_text in text for text in replies)


def test_a_thought_that_is_cut_says_nothing() -> None:
    model, item = make_observer(SCRIPT, ITEMS, "thinking"), find_item("place")
    cut = ask(model, prompt_of(item), gold_times_s(item), most_tokens=20)
    assert cut.text == "" and cut.thought
    full = ask(model, prompt_of(item), gold_times_s(item))
    assert item.answer_text in full.text and "think" not in full.text


def test_a_distracted_observer_overlooks_single_frames_among_many() -> None:
    model = make_observer(SCRIPT, ITEMS, "distracted")
    padding_s = list(np.linspace(SCRIPT.shots[-1].span.start_s, SCRIPT.duration_s - 0.1, 128))
    items = [i for i in ITEMS if i.rule == "any" and i.shots[0] < len(SCRIPT.shots) - 1]
    few = [ask(model, prompt_of(i), gold_times_s(i)).text != "not shown" for i in items]
    many = [
        ask(model, prompt_of(i), [*gold_times_s(i), *padding_s]).text != "not shown" for i in items
    ]
    assert all(few)
    assert 0.05 < sum(many) / len(many) < 0.5


def test_blind_observers_answer_without_seeing() -> None:
    stubborn, random = (make_observer(SCRIPT, ITEMS, name) for name in ("stubborn", "random"))
    items = [i for i in ITEMS if i.options]
    assert all(ask(stubborn, prompt_of(i), [1.0]).text == f"A. {i.options[0]}" for i in items)
    chosen = [read_answer(ask(random, prompt_of(i), [1.0]).text, i.options).choice for i in items]
    assert {0, 1, 2, 3} <= {c for c in chosen if c is not None}


def test_the_agent_s_prompts_get_what_they_ask_for() -> None:
    model, item = make_observer(SCRIPT, ITEMS), find_item("place")
    gold_s, other_s = gold_times_s(item), [SCRIPT.shots[-1].span.middle_s]
    score = score_text(item.question, item.options, item.gold_spans[0])
    assert ask(model, score, gold_s).text.startswith("4:")
    assert ask(model, score, other_s).text.startswith("1:")
    look = look_text(item.question, item.options, spans=item.gold_spans, video=VIDEO)
    first, second = ask(model, look, [*other_s, *gold_s]).text.splitlines()
    assert item.answer_text in first
    assert second == f"seen at: {gold_s[0]:.1f}"
    summary = find_item("summary")
    assert ask(model, KIND.format(question=summary.question)).text == "whole"


def test_notes_are_ranked_by_what_they_tell_of_the_question() -> None:
    item = find_item("place", "de")
    events = [say_shot(SCRIPT.genre, shot, "en")["event"] for shot in SCRIPT.shots[:12]]
    events.append(say_shot(SCRIPT.genre, SCRIPT.shots[item.shots[0]], "en")["event"])
    lines = "\n".join(f"[{i}] 0:00.00-0:30.00 {event}" for i, event in enumerate(events))
    prompt = RANK.format(lines=lines, question=item.question)
    ranked = ask(make_observer(SCRIPT, ITEMS), prompt).text
    assert ranked.splitlines()[-1].startswith(f"{len(events) - 1}: 4")
    without = RANK.format(lines="[0] 0:00.00-0:30.00 A door.", question=item.question)
    assert ask(make_observer(SCRIPT, ITEMS), without).text == "none"


def test_json_is_filled_by_the_names_of_its_keys() -> None:
    model, item = make_observer(SCRIPT, ITEMS), find_item("place")
    form = f'{item.question}\nReply as JSON: {{"answer": "...", "reason": "..."}}'
    reply = ask(model, form, gold_times_s(item)).text
    assert reply.startswith('{"answer": ') and item.answer_text in reply
    captions = ask(model, 'Reply as JSON: {"events": [], "screen_text": []}', [1.0]).text
    assert captions.startswith('{"events": ["') and '"screen_text": [' in captions


def test_unknown_observers_and_rates_are_refused() -> None:
    with pytest.raises(UsageError, match="observers are perfect"):
        make_observer(SCRIPT, ITEMS, "sleepy")
    with pytest.raises(UsageError, match="wrong_rate is a chance"):
        Habits(wrong_rate=1.5)
    assert len({make_observer(SCRIPT, ITEMS, name).fingerprint for name in HABITS}) == len(HABITS)
