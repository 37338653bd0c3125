"""Finding words in what was read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.agent.protocol import CallTools
from mmreason.policies import Scripted
from mmreason.reasoner import Reasoner
from mmreason.tool_calls import Caption, Search
from mmreason.tools.search import MOST_FOUND, search_notes
from mmreason.types import Note, Observation, UsageError
from mmreason.video.subtitles import Line, Subtitles
from mmreason.video.types import Span


def note(start_s: float, text: str) -> Note:
    return Note(Span(start_s, start_s + 1), text)


NOTES = (
    note(0, "a red star moves left"),
    note(5, "a blue star"),
    note(9, "a blue ring, and the word PARK"),
    note(12, "nothing to see"),
)


@pytest.mark.parametrize(
    ("text", "starts_s"),
    [
        ("the word PARK", [9]),
        ("park", [9]),
        ("stars", [0, 5]),
        ("blue star", [5, 9, 0]),
        ("What is it?", []),
        ("", []),
        ("purple", []),
    ],
)
def test_notes_with_the_most_of_the_rarest_words_come_first(text, starts_s):
    found = search_notes(text, NOTES)
    assert sorted(n.span.start_s for n in found) == sorted(starts_s)
    assert [n.span.start_s for n in found][:1] == starts_s[:1]


def test_ties_are_in_order_of_time():
    notes = [note(start_s, "a star") for start_s in (7, 3, 5)]
    assert [n.span.start_s for n in search_notes("star", notes)] == [3, 5, 7]


def test_what_was_read_twice_is_found_once():
    assert search_notes("star", NOTES[:1] * 20) == NOTES[:1]


@given(st.lists(st.builds(note, st.integers(0, 99), st.text(max_size=30))), st.text(max_size=30))
def test_any_words_find_at_most_a_few_notes_that_are_there(notes, text):
    found = search_notes(text, notes)
    assert len(found) <= MOST_FOUND and len(set(found)) == len(found)
    assert set(found) <= set(notes)


def test_the_tool_searches_captions_read_so_far_and_subtitles(video, model):
    def search(text: str) -> CallTools:
        call = Search(span=Span(0, 64), text=text)
        return CallTools("search", (call,))

    read = Caption(span=Span(16, 32), node=(2,))
    said = Subtitles(lines=(Line(Span(50, 52), "a star is born"),))
    policy = Scripted(
        [search("star"), CallTools("read", (read,)), search("star"), search("magpie")]
    )
    answer = Reasoner(model, policy=policy).ask(video, "What?", subtitles=said)
    first, _, second, none = (step.observation for step in answer.trace)
    assert first.text == "0:50.00 a star is born"
    assert second.text.splitlines() == ["0:16.00 a red star moves left.", "0:50.00 a star is born"]
    assert none.notes == () and "nothing that was read so far" in none.text
    assert first.cost.model_calls == first.cost.frames == 0 and first.error is None


KINDS = {"dog": (1.0, 0.0), "puppy": (0.9, 0.1), "car": (0.0, 1.0), "cat": (0.5, -0.5)}


def embed(texts) -> np.ndarray:
    """One row a text, by the kind of thing it names; of nothing known a row of zeros."""
    return np.array([next((v for k, v in KINDS.items() if k in t), (0.0, 0.0)) for t in texts])


def test_with_an_embedder_meaning_counts_instead_of_words():
    notes = (note(0, "a car"), note(3, "nothing"), note(5, "a puppy"), note(8, "a cat"))
    assert search_notes("the dog", notes) == ()
    assert [n.span.start_s for n in search_notes("the dog", notes, embed=embed)] == [5, 8]
    assert search_notes("the dog", (), embed=embed) == ()
    with pytest.raises(UsageError, match=r"an array of 5 rows .* got shape \(2,\)"):
        search_notes("the dog", notes, embed=lambda texts: np.zeros(2))


def test_the_tool_searches_by_meaning_where_an_embedder_is_given(video, model):
    call = Search(span=Span(0, 64), text="a dog")
    said = Subtitles(lines=(Line(Span(50, 52), "my puppy!"), Line(Span(53, 54), "a car")))

    def seen(**settings) -> Observation:
        policy = Scripted([CallTools("search", (call,))])
        answer = Reasoner(model, policy=policy, **settings).ask(video, "What?", subtitles=said)
        return answer.trace[0].observation

    assert seen().notes == ()
    assert seen(embed=embed).text == "0:50.00 my puppy!"


def test_an_embedder_that_fails_is_an_error_of_the_call(video, model):
    def broken(texts):
        raise RuntimeError("no such layer")

    call = Search(span=Span(0, 64), text="a dog")
    read = Caption(span=Span(0, 16), node=(1,))
    policy = Scripted([CallTools("read", (read,)), CallTools("search", (call,))])
    answer = Reasoner(model, policy=policy, embed=broken).ask(video, "What?")
    assert answer.trace[1].observation.error == "no such layer"
