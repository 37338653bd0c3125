"""Questions about the whole of a long video: two even readings, from one end where that will do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.models.base import ClipRecipe
from mmreason.policies.whole import is_told, overview_claim
from mmreason.reasoner import Reasoner
from mmreason.types import Note, StopReason
from mmreason.video.types import Span

WORDS = ("PARK", "EXIT", "TAXI")


@pytest.mark.parametrize(
    ("asked", "right"),
    [
        ("for the longest time", "EXIT"),
        ("for the shortest time", "TAXI"),
        ("first", "PARK"),
        ("last", "TAXI"),
    ],
)
def test_the_whole_video_is_read_in_its_overview(fake_video, watcher, asked, right):
    """Nano's way of overviews: one line a still."""
    at_s = [(60.0, "PARK"), (300.0, "EXIT"), (330.0, "grey"), (370.0, "TAXI"), (400.0, "grey")]
    scenes = [(e, "grey." if w == "grey" else f"the word {w} is on the screen.") for e, w in at_s]
    video = fake_video(*scenes)
    clip = ClipRecipe(frames=8, size_px=(64, 32), leaf_s=4.0, overview="stills")
    model = watcher(video, lambda question, seen: "there is no such thing.", clip=clip)
    question = f"Which word is on the screen {asked} in the whole video?"
    answer = Reasoner(model).ask(video, question, options=WORDS)
    assert (answer.text, answer.stop_reason) == (right, StopReason.ANSWERED)
    assert WORDS[answer.choice or 0] == right
    assert {step.call.name for step in answer.trace} == {"skim"}
    shown = {"EXIT": Span(60, 300), "TAXI": Span(330, 370), "PARK": Span(0, 60)}[right]
    assert len(answer.evidence) == 1 and answer.evidence[0].check.agreed
    assert answer.evidence[0].span.overlap_s(shown) > 0.3 * answer.evidence[0].span.duration_s
    assert answer.evidence[0].frame_times_s and right in answer.evidence[0].quote


@pytest.mark.parametrize(("asked", "nodes"), [("first", [1]), ("last", [4, 3]), ("longest", None)])
def test_first_and_last_are_read_from_their_end_of_the_video(fake_video, watcher, asked, nodes):
    """The last node of 100 seconds shows no word, the third and the first one do."""
    at_s = [(60.0, "PARK"), (240.0, "grey"), (280.0, "TAXI"), (400.0, "grey")]
    scenes = [(e, "grey." if w == "grey" else f"the word {w} is on the screen.") for e, w in at_s]
    video = fake_video(*scenes)
    clip = ClipRecipe(frames=8, size_px=(64, 32), leaf_s=4.0, overview="stills")
    model = watcher(video, lambda question, seen: "there is no such thing.", clip=clip)
    when = "for the longest time" if nodes is None else asked
    question = f"Which word is on the screen {when} in the whole video?"
    answer = Reasoner(model).ask(video, question, options=WORDS)
    read = [int(step.call.arguments["span"].start_s // 100) + 1 for step in answer.trace]
    assert list(dict.fromkeys(read)) == (nodes or [1, 2, 3, 4])
    assert len(read) == 2 * len(set(read)) and answer.cost.frames == 8 * len(read)
    assert answer.text == ("TAXI" if asked == "last" else "PARK")


@pytest.mark.parametrize(("asked", "right"), [("first", "PARK"), ("last", "TAXI")])
def test_a_caption_that_tells_of_several_is_read_part_by_part(fake_video, watcher, asked, right):
    """One caption a node: the first of them tells of two words, the last of two others."""
    at_s = [(30.0, "PARK"), (60.0, "EXIT"), (350.0, "grey"), (370.0, "EXIT"), (400.0, "TAXI")]
    scenes = [(e, "grey." if w == "grey" else f"the word {w} is on the screen.") for e, w in at_s]
    video = fake_video(*scenes)
    model = watcher(video, lambda question, seen: "there is no such thing.")
    question = f"Which word is on the screen {asked} in the whole video?"
    answer = Reasoner(model).ask(video, question, options=WORDS)
    assert (answer.text, answer.stop_reason) == (right, StopReason.ANSWERED)
    spans = [step.call.arguments["span"] for step in answer.trace]
    assert [round(span.duration_s) for span in spans] == [100, 100, 25, 25]


def _read_at(starts: list[float], words: list[str]) -> list[Note]:
    return [
        Note(Span(t, t + 1), f"the word {w} is on the screen." if w else "grey.")
        for t, w in zip(starts, words, strict=True)
    ]


@given(
    st.lists(st.sampled_from(["", "", "", *WORDS]), min_size=16, max_size=16),
    st.lists(st.sampled_from(["", "", "", *WORDS]), min_size=16, max_size=16),
    st.sampled_from(["first", "last"]),
)
def test_reading_on_from_one_end_changes_no_claim(even, odd, place):
    """Once both readings told of an option, what lies further away decides nothing."""
    starts = [float(t) for t in range(16)]
    first, second = _read_at(starts, even), _read_at([t + 0.5 for t in starts], odd)
    chunks = [slice(a, a + 4) for a in range(0, 16, 4)]
    near: tuple[list[Note], list[Note]] = ([], [])
    for chunk in chunks if place == "first" else reversed(chunks):
        near[0].extend(first[chunk])
        near[1].extend(second[chunk])
        if all(is_told(WORDS, notes) for notes in near):
            break
    assert overview_claim(WORDS, place, *near) == overview_claim(WORDS, place, first, second)


@pytest.mark.parametrize("options", [None, WORDS])
def test_no_overview_is_read_where_it_answers_nothing(fake_video, watcher, options):
    """Neither without options nor for what comes before or after something."""
    asked = (
        "What is on the screen after the word PARK?" if options else "What is seen last overall?"
    )
    scenes = [
        (200.0, "the word PARK is on the screen."),
        (400.0, "the word EXIT is on the screen."),
    ]
    video = fake_video(*scenes)
    model = watcher(video, lambda question, seen: "there is no such thing.")
    answer = Reasoner(model).ask(video, asked, options=options)
    assert "skim" not in {step.call.name for step in answer.trace}
    assert answer.choice is None
