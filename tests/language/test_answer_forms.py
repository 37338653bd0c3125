"""Whatever an answer is wrapped in, the same option is read; denied, it is not."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.language.answer_reading import AnswerKind, read_answer
from tests.language.forms import (
    AMBIGUOUS,
    CORRECTED,
    DENIED,
    SAID,
    WRAPPED,
    as_json,
    fill,
    ways_to_write,
)

OPTIONS = ("red", "blue", "dark green", "3 stars")
WAYS = [ways_to_write("ABCD"[i], text) for i, text in enumerate(OPTIONS)]
SENTENCES = [form for forms in SAID.values() for form in forms]
INLINE = (
    "bold",
    "bold underscores",
    "italics",
    "code",
    "double quotes",
    "curly quotes",
    "guillemets",
    "corner brackets",
    "boxed",
    "boxed text",
    "boxed in math",
    "HTML",
)
AROUND = tuple(name for name in WRAPPED if name not in ("italics", "dollars"))

chosen = st.integers(0, len(OPTIONS) - 1)
ways = st.integers(0, len(WAYS[0]) - 1)


def choice(text: str, options: tuple[str, ...] = OPTIONS) -> int | None:
    return read_answer(text, options).choice


@pytest.mark.parametrize("form", SENTENCES)
def test_a_sentence_that_states_an_option_picks_it(form):
    for index, written in enumerate(WAYS):
        assert [choice(fill(form, way)) for way in written] == [index] * len(written)


@pytest.mark.parametrize("name", WRAPPED)
def test_what_stands_around_an_answer_changes_nothing(name):
    for index, written in enumerate(WAYS):
        assert [choice(fill(WRAPPED[name], way)) for way in written] == [index] * len(written)


@pytest.mark.parametrize("key", ["answer", "Answer", "final_answer", "choice", "option", "答案"])
def test_the_answer_of_a_json_object_is_read(key):
    for index, written in enumerate(WAYS):
        for way in written:
            assert choice(as_json(way, key)) == index
            assert choice(f"```json\n{as_json(way, key)}\n```") == index
            assert choice(f"Here it is: {as_json(way, key)}") == index


@pytest.mark.parametrize("form", DENIED)
def test_an_option_that_is_denied_is_not_picked(form):
    for written in WAYS:
        assert [choice(fill(form, way)) for way in written] == [None] * len(written)


@pytest.mark.parametrize("form", CORRECTED)
def test_of_two_options_the_one_that_is_not_denied_is_picked(form):
    for (i, yes), (_, no) in itertools.permutations(enumerate(WAYS), 2):
        for x, y in zip(yes, no, strict=True):
            text = form.replace("{x}", x).replace("{y}", y)
            assert choice(text) == i, text


@pytest.mark.parametrize("form", AMBIGUOUS)
def test_two_options_are_none(form):
    for (_, one), (_, other) in itertools.permutations(enumerate(WAYS), 2):
        for x, y in zip(one, other, strict=True):
            text = form.replace("{x}", x).replace("{y}", y)
            assert choice(text) is None, text


@given(chosen, ways, st.sampled_from(SENTENCES), st.sampled_from(INLINE), st.sampled_from(AROUND))
def test_forms_inside_forms_keep_the_answer(index, way, form, inner, outer):
    text = fill(WRAPPED[outer], fill(form, fill(WRAPPED[inner], WAYS[index][way])))
    assert choice(text) == index


@given(chosen, ways, st.sampled_from(DENIED), st.sampled_from(INLINE), st.sampled_from(AROUND))
def test_forms_inside_forms_keep_a_denial(index, way, form, inner, outer):
    text = fill(WRAPPED[outer], fill(form, fill(WRAPPED[inner], WAYS[index][way])))
    assert choice(text) is None


@given(chosen, ways, st.sampled_from(SENTENCES), st.text(max_size=80))
def test_a_thought_changes_nothing(index, way, form, thought):
    text = fill(form, WAYS[index][way])
    thought = thought.replace("<", "").replace("◁", "")
    assert choice(f"<think>{thought}</think>{text}") == choice(text) == index
    assert choice(f"<think>{thought} {text}") is None


@given(st.permutations(OPTIONS), chosen, st.sampled_from(SENTENCES), st.sampled_from(AROUND))
def test_an_answer_in_words_follows_its_option_to_another_place(order, index, form, outer):
    text = fill(WRAPPED[outer], fill(form, OPTIONS[index]))
    assert choice(text, tuple(order)) == order.index(OPTIONS[index])


@given(st.permutations(OPTIONS), chosen, st.sampled_from(SENTENCES))
def test_a_letter_stays_with_its_place(order, index, form):
    assert choice(fill(form, "ABCD"[index]), tuple(order)) == index


@given(st.text(max_size=200), st.lists(st.text(min_size=1, max_size=12), max_size=5))
def test_any_text_is_read_without_an_error(text, options):
    read = read_answer(text, tuple(options))
    assert (read.kind is AnswerKind.CHOICE) == (read.choice is not None)
    assert read.choice is None or 0 <= read.choice < len(options)
