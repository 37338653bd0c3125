"""Terminal views: tables for people, plain lines for pipes, no escapes from models."""

import io
from collections.abc import Callable
from dataclasses import replace

from rich.console import Console

from mmreason.report.html import answer_page
from mmreason.report.terminal import print_answer
from mmreason.tool_calls import ModelTurn
from mmreason.types import Answer, Observation, Step
from mmreason.video.types import Span


def _shown(answer: Answer, *, terminal: bool, steps: bool = True) -> str:
    file = io.StringIO()
    print_answer(answer, Console(file=file, force_terminal=terminal, width=100), steps=steps)
    return file.getvalue()


def test_pipes_get_plain_lines(make_answer: Callable[..., Answer]) -> None:
    quote = "word " * 60
    text = _shown(make_answer(text=quote), terminal=False)
    lines = text.splitlines()
    assert lines[:4] == [
        "question:    What colour is the circle?",
        f"answer:      {quote.strip()}",
        "confidence:  94 %",
        "stopped:     An answer was found and its evidence was looked at.",
    ]
    assert "evidence:    0:08.00-0:12.00 (another model (qwen) agrees) it is red." in lines
    assert "step 2:      caption 0:12.00-0:24.00 (node 2) -> a green star bounces. " in text
    assert "step 4:      look 0:08.00-0:12.00 -> red. [8 frames, 0.42 s]" in lines
    assert "step 6:      second look 0:08.00-0:12.00 -> red. [0 frames, 0.00 s]" in lines
    assert lines[-1].startswith("cost:        2.30 seconds, 36 frames shown, 5 model calls")
    assert "\x1b" not in text


def test_steps_can_be_left_out(make_answer: Callable[..., Answer]) -> None:
    assert "step 1" not in _shown(make_answer(), terminal=False, steps=False)
    assert "caption" not in _shown(make_answer(), terminal=True, steps=False)


def test_terminals_get_tables(make_answer: Callable[..., Answer]) -> None:
    text = _shown(make_answer(), terminal=True)
    for wanted in (
        "Evidence",
        "Steps",
        "another model",
        "not checked",
        "0:08.00-0:12.00",
        "failed: no frame there",
    ):
        assert wanted in text


def test_terminal_escapes_and_markup_of_a_model_are_inert(
    make_answer: Callable[..., Answer],
) -> None:
    evil = "\x1b]0;title\x07\x1b[2Jred [bold]not bold[/bold] \u202eabc"
    for terminal in (False, True):
        text = _shown(make_answer(text=evil, question=evil), terminal=terminal)
        assert "\x1b]0" not in text and "\x1b[2J" not in text and "\u202e" not in text
        assert "[bold]not bold[/bold]" in text


def test_a_step_that_failed_is_one_line_with_its_reason(make_answer: Callable[..., Answer]) -> None:
    lines = _shown(make_answer(), terminal=False).splitlines()
    assert [line for line in lines if line.startswith("step 5:")] == [
        "step 5:      look 0:12.00-0:16.00 (How many circles?) -> failed: no frame there"
        " [0 frames, 0.00 s]"
    ]


def test_pipes_get_every_step_of_a_long_trace_under_its_round(hour: Answer) -> None:
    lines = _shown(hour, terminal=False).splitlines()
    assert sum(line.startswith("step ") for line in lines) == len(hour.trace)
    assert [line for line in lines if line.startswith("round ")][:4] == [
        "round 0:     open the top",
        "round 1:     open 4",
        "round 2:     open 4.3",
        "round 3:",
    ]
    assert "step 19:      invalid -> failed: found no tag [0 frames, 0.00 s]" in lines
    assert "step 20:      search (star) -> found [0 frames, 0.00 s]" in lines
    assert "(2 reasoner, 27 observer, 1 checker)" in lines[-1]


def test_terminals_get_one_row_for_the_captions_of_a_round_of_a_long_trace(hour: Answer) -> None:
    text = _shown(hour, terminal=True)
    assert text.count("caption x 6") == 3
    assert "nodes 4.3.1 to 4.3.6: open 4.3" in text
    assert "second look" in text and len(text.splitlines()) < 50


def test_what_a_model_answers_is_shown_without_a_place(hour: Answer) -> None:
    call = ModelTurn(kind="answer", text="it is\x1b[2J red")
    step = Step(thought="seen", call=call, observation=Observation(text="", span=Span(0, 0)))
    answer = replace(hour, trace=(*hour.trace, step))
    number = len(answer.trace)
    line = f"step {number}:      answer -> it is\N{REPLACEMENT CHARACTER}[2J red [0 frames, 0.00 s]"
    assert line in _shown(answer, terminal=False).splitlines()
    assert "it is\N{REPLACEMENT CHARACTER}[2J red" in answer_page(answer)
