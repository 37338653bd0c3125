"""Foreign text is shown as text: no terminal obeys it, no reader is misled by hidden characters."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.video.plain_text import show_line, show_text

HOSTILE = ["\x1b[2J", "\x1b]0;t\x07", "\x9b31m", "\u202e", "\u2066", "\u200b", "\ufeff", "\ud800"]


@given(st.text(st.characters(exclude_categories=[])))
def test_nothing_hidden_is_left(text):
    shown = show_text(text)
    shown.encode()
    hidden = {"Cc", "Cf", "Cs"}
    assert all(c in "\t\n\u200c\u200d" or unicodedata.category(c) not in hidden for c in shown)
    assert show_text(shown) == shown
    assert "\n" not in show_line(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_characters_are_replaced(text):
    assert text[0] not in show_text(f"a{text}b")
    assert "\N{REPLACEMENT CHARACTER}" in show_line(f"a{text}b")


@pytest.mark.parametrize("text", ["naïve", "日本語", "می‌خواهم", "👩‍👧", "a\tb\nc", "עברית", "नमस्ते"])
def test_writing_of_people_stays(text):
    assert show_text(text) == text
