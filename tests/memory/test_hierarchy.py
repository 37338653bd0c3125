"""Leaves tile the video, scenes part where the story turns, captions become records."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmreason.memory.caption_records import (
    count_faults,
    is_refusal,
    make_caption_records,
    make_speech_records,
    make_still_record,
    read_caption,
)
from mmreason.memory.hierarchy import (
    ROOT_CHARACTERS,
    SCENE_CHARACTERS,
    draw_text,
    group_scenes,
    make_hierarchy,
    plan_leaves,
)
from mmreason.memory.records import MemoryRecord
from mmreason.memory.video_memory import VideoMemory
from mmreason.types import Note
from mmreason.video.subtitles import Line, Subtitles
from mmreason.video.types import Span

COOKING = ["A chef chops onions.", "The chef fries onions in a pan.", "The chef salts the pan."]
STATION = ["A train enters the station.", "People leave the train.", "The train leaves again."]


def make_leaves(texts: list[str], model: str = "m") -> list[MemoryRecord]:
    return [
        MemoryRecord("event", Span(30.0 * i, 30.0 * i + 30), text, "frames", model)
        for i, text in enumerate(texts)
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0.0, 100.0),
    st.floats(0.5, 20_000.0),
    st.lists(st.floats(0.0, 20_100.0), max_size=40),
)
def test_leaves_tile_a_video_of_any_length(start_s: float, length_s: float, cuts_s) -> None:
    span = Span(start_s, start_s + length_s)
    leaves = plan_leaves(span, sorted(cuts_s))
    assert (leaves[0].start_s, leaves[-1].end_s) == (span.start_s, span.end_s)
    assert all(a.end_s == b.start_s for a, b in pairwise(leaves))
    assert all(leaf.duration_s <= 30 * 1.5 * 1.6 + 1e-6 for leaf in leaves)
    assert len(leaves) == 1 or all(leaf.duration_s >= 30 * 0.75 * 0.4 - 1e-6 for leaf in leaves)


def test_scenes_part_where_the_words_change() -> None:
    groups = group_scenes(make_leaves([*COOKING, *STATION]))
    assert [[r.text for r in group] for group in groups] == [COOKING, STATION]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 17, 240, 2_000])
def test_every_leaf_is_in_one_scene_and_none_is_much_too_long(count: int) -> None:
    leaves = make_leaves([f"scene {i // 7} word{i % 3}" for i in range(count)])
    groups = group_scenes(leaves)
    assert [r for group in groups for r in group] == leaves
    if count > 20:
        usual = count**0.5 / 1.3
        assert max(map(len, groups)) <= 3 * usual + 1 and len(groups) <= 2.6 * count**0.5


def test_the_root_stands_first_and_says_what_the_scenes_begin_with() -> None:
    root, *scenes = make_hierarchy(make_leaves([*COOKING, *STATION]))
    assert (root.level, root.span, {s.level for s in scenes}) == (2, Span(0, 180), {1})
    assert [s.span for s in scenes] == [Span(0, 90), Span(90, 180)]
    assert root.text == "A chef chops onions. A train enters the station."
    assert scenes[0].text == " ".join(COOKING)
    assert make_hierarchy([]) == ()


def test_drawn_texts_stay_short_in_any_language() -> None:
    long = make_leaves([f"Satz {i} " + "sehr lang " * 50 + "Ende." for i in range(200)])
    root, *scenes = make_hierarchy(long)
    assert len(root.text) <= ROOT_CHARACTERS and all(
        len(s.text) <= SCENE_CHARACTERS for s in scenes
    )
    chinese = make_leaves(["厨师切洋葱。然后他笑了。"])
    assert draw_text(chinese, 100) == "厨师切洋葱。"


def test_an_overview_is_drawn_until_one_is_kept_and_of_the_model_asked_for() -> None:
    memory = VideoMemory(model="m")
    memory.add(make_leaves([*COOKING, *STATION]))
    assert len(memory.overview()) == 3
    root, *scenes = memory.overview()
    better = MemoryRecord("event", root.span, "Lunch, then a journey.", "frames", "m", 2)
    memory.replace_overview([better, *scenes])
    assert memory.overview()[0] == better
    memory.replace_overview([root, *scenes])
    assert memory.overview()[0] == root and len(memory.records) == 9, "nothing is left of before"
    memory.add([MemoryRecord("event", Span(0, 180), "other words", "frames", "other", 2)])
    assert memory.overview()[0] == root


REPLIES = {
    "an object": '{"events": "A dog runs.", "entities": ["a brown dog"], "screen_text": ["EXIT"]}',
    "in a fence": 'Here:\n```json\n{"events": "A dog runs.", "entities": ["a brown dog"], '
    '"screen_text": "EXIT"}\n```',
    "a list of events": '{"events": ["A dog", "runs."], "entities": ["a brown dog", 7, null], '
    '"screen_text": ["EXIT", "EXIT"]}',
}


@pytest.mark.parametrize("text", REPLIES.values(), ids=REPLIES)
def test_a_structured_reply_becomes_records_of_three_channels(text: str) -> None:
    records = make_caption_records([Note(Span(0, 30), text)], "m")
    assert [(r.channel, r.text) for r in records] == [
        ("event", "A dog runs."),
        ("entity", "a brown dog"),
        ("screen_text", "EXIT"),
    ]
    assert {(r.source, r.model, r.level) for r in records} == {("frames", "m", 0)}


@pytest.mark.parametrize(
    ("text", "events"),
    [
        ("A dog runs {fast}.", "A dog runs {fast}."),
        ('{"events": "A dog runs and then', "A dog runs and then"),
        ('{"events": 7}', '{"events": 7}'),
        ('{"other": "A dog runs."}', '{"other": "A dog runs."}'),
        ("{" * 500 + "}" * 500, "{" * 500 + "}" * 500),
        ("一只狗在跑。", "一只狗在跑。"),
    ],
)
def test_what_is_no_such_object_is_taken_as_a_description(text: str, events: str) -> None:
    assert read_caption(text) == (events, (), ())


@pytest.mark.parametrize(
    ("text", "refuses"),
    [
        ("I'm sorry, I can't help with that.", True),
        ("That is outside of my world.", True),
        ("I cannot see the video.", True),
        ("No people are visible in the corridor.", False),
        ("Nobody is shown; the door stays closed.", False),
        ("A sign says: no entry.", False),
    ],
)
def test_refusals_are_no_records_and_empty_rooms_are(text: str, refuses: bool) -> None:
    assert is_refusal(text) == refuses
    assert len(make_caption_records([Note(Span(0, 30), text)], "m")) == (not refuses)


def test_faults_of_captions_are_counted() -> None:
    faults = count_faults(["a dog.", "a dog.", " ", "I'm sorry, I can't help with that.", "a cat."])
    assert (faults.captions, faults.empty, faults.repeated, faults.refused) == (5, 1, 1, 1)
    assert "1 of 5 captions say nothing" in faults.describe()
    assert count_faults(["a", "b"]).describe() == ""


def test_a_long_stretch_speaks_for_a_scene_and_an_empty_note_for_nothing() -> None:
    notes = [Note(Span(0, 600), "A lecture."), Note(Span(600, 630), "  ")]
    assert [r.level for r in make_caption_records(notes, "m")] == [1]


def test_subtitles_and_kept_frames_become_records() -> None:
    lines = (Line(Span(1, 2), "Hello."), Line(Span(2, 3), " "))
    (speech,) = make_speech_records(Subtitles(lines=lines, path="/videos/talk.srt"))
    assert (speech.channel, speech.text, speech.source) == ("speech", "Hello.", "talk.srt")
    (still,) = make_still_record(Span(0, 30), (1.0, 14.0, 29.0))
    assert (still.span, still.text) == (Span(14.0, 14.0), "")
    assert make_still_record(Span(0, 30), ()) == ()
