"""The strong reasoner by script answers from what tools tell, never from the script."""

from __future__ import annotations

import json

import pytest

from mmreason.models.base import GenerateRequest, Message, Reply, TextPart, WrittenCall
from mmreason.natural.items import NaturalItem
from mmreason.natural.questions import draw_items
from mmreason.natural.reasoners import StrongReasoner, make_reasoner, translate_words
from mmreason.natural.scripts import draw_script
from mmreason.natural.texts import LANGUAGES, Language
from mmreason.natural.wording import say_speech
from mmreason.tools.loop_tools import LOOP_TOOLS
from mmreason.tools.schema import tool_schemas
from mmreason.types import UsageError

SCRIPT = draw_script("vlog", 2, 900.0)
ITEMS = draw_items(SCRIPT, LANGUAGES)
TOOLS = tuple(tool_schemas(LOOP_TOOLS))


def find_item(family: str, language: str = "en") -> NaturalItem:
    return next(i for i in ITEMS if i.family == family and i.language == language)


def play(
    item: NaturalItem, turns: list[tuple[tuple[WrittenCall, ...], list[str]]], native: bool = True
) -> Reply:
    """The reply after turns of (calls, what tools told)."""
    reasoner = make_reasoner("strong", SCRIPT.genre, ITEMS)
    opening = f"Question: {item.question}\nThe video runs from 0 to 900 s."
    messages = [Message("user", (TextPart(opening),))]
    for calls, results in turns:
        messages.append(Message("assistant", (TextPart(""),), calls=calls))
        messages += [Message("tool", (TextPart(text),), call_id="c") for text in results]
    request = GenerateRequest([messages], tools=TOOLS if native else ())
    (reply,) = reasoner.generate(request)
    return reply


def first_calls(item: NaturalItem) -> tuple[WrittenCall, ...]:
    return play(item, []).calls


def test_it_reads_what_is_known_before_it_looks() -> None:
    item = find_item("place")
    calls = first_calls(item)
    assert [call.name for call in calls] == ["search", "overview", "transcript"]
    words = set(json.loads(calls[0].arguments)["query"].split())
    assert words <= translate_words(item, SCRIPT.genre)


def test_it_looks_with_the_whole_question_where_lines_share_its_words() -> None:
    item = find_item("place")
    event = SCRIPT.shots[item.shots[0]].event
    words = SCRIPT.genre.objects[event.object][0], SCRIPT.genre.verbs[event.verb][0]
    line = f"[ev-aaaaaaaa] event 2:00.00-2:30.00 somebody {words[1]} {words[0]} in the rain"
    reply = play(item, [(first_calls(item), [line, "nothing", "nothing"])])
    (look,) = reply.calls
    arguments = json.loads(look.arguments)
    assert look.name == "look" and arguments["question"] == item.question
    assert arguments["spans"] == [[120.0, 150.0]]


def test_it_answers_with_the_id_of_the_look_that_showed_it_and_goes_on_where_none_did() -> None:
    item = find_item("place")
    look = WrittenCall("c", "look", json.dumps({"spans": [[0.0, 60.0]], "question": "?"}))
    before = (first_calls(item), ["nothing"] * 3)
    shown = play(item, [before, ((look,), ["id: look-1\nframes at 1.0, 2.0 s: B. seen at: 1.0"])])
    (answer,) = shown.calls
    assert answer.name == "answer"
    assert json.loads(answer.arguments) == {"choice": "B", "evidence_ids": ["look-1"]}
    absent = play(item, [before, ((look,), ["id: look-1\nframes at 1.0 s: nicht gezeigt"])])
    assert absent.calls[0].name == "look"
    assert json.loads(absent.calls[0].arguments)["spans"] != [[0.0, 60.0]]


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_said_answers_questions_about_speech(language: Language) -> None:
    item = next(i for i in ITEMS if i.rule == "heard" and i.language == language)
    lines = [f"{x.span} {say_speech(SCRIPT.genre, x, language)}" for x in SCRIPT.speech]
    told = ["nothing", "nothing", "id: transcript-1\n" + "\n".join(lines)]
    (answer,) = play(item, [(first_calls(item), told)]).calls
    arguments = json.loads(answer.arguments)
    assert arguments["evidence_ids"] == ["transcript-1"]
    if item.options:
        assert "ABCDEFGH".index(arguments["choice"]) == item.answer
    else:
        assert arguments["text"] == item.answer_text


def test_it_gives_up_after_its_looks() -> None:
    item = find_item("place")
    look = WrittenCall("c", "look", json.dumps({"spans": [[0.0, 9.0]] * 4, "question": "?"}))
    turns = [(first_calls(item), ["nothing"] * 3)]
    turns += [((look,), [f"id: look-{i}\nframes at 1.0 s: not shown"]) for i in range(4)]
    (answer,) = play(item, turns).calls
    assert json.loads(answer.arguments) == {"text": "not shown"}


def test_calls_are_written_as_text_where_no_tools_are_sent() -> None:
    reply = play(find_item("who"), [], native=False)
    assert not reply.calls and "<tool_call>" in reply.text and "search" in reply.text


def test_words_are_translated_for_searches_in_english_notes() -> None:
    german = translate_words(find_item("count", "de"), SCRIPT.genre)
    assert {"goat", "ziege"} <= german


def test_reasoners_that_do_not_exist_are_refused() -> None:
    with pytest.raises(UsageError, match="no reasoner"):
        make_reasoner("weak", SCRIPT.genre, ITEMS)
    assert isinstance(make_reasoner("strong", SCRIPT.genre, ITEMS), StrongReasoner)
