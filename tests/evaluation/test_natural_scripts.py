"""Natural scripts and their questions: the same from a seed, unique, with gold that proves them."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from mmreason.evaluation.natural.cards import CardVideo
from mmreason.natural.items import NaturalItem, says_answer
from mmreason.natural.questions import draw_items
from mmreason.natural.records import VideoScript
from mmreason.natural.scripts import LONGEST_S, SHORTEST_S, draw_script, script_world
from mmreason.natural.texts import GENRES, LANGUAGES, read_genre, read_shared_texts
from mmreason.natural.wording import say_shot
from mmreason.types import UsageError
from mmreason.video import Video

LENGTHS_S = (600.0, 7200.0)


@pytest.fixture(scope="module")
def scripts() -> list[VideoScript]:
    return [draw_script(genre, 3, length_s) for genre in GENRES for length_s in LENGTHS_S]


def test_the_same_seed_draws_the_same_script_and_items() -> None:
    first, second = draw_script("news", 1, 900.0), draw_script("news", 1, 900.0)
    assert first == second
    assert draw_items(first, ("en",)) == draw_items(second, ("en",))
    assert draw_script("news", 2, 900.0).shots != first.shots


def test_shots_tile_the_video_and_last_from_5_to_150_s(scripts: list[VideoScript]) -> None:
    for script in scripts:
        edges = [(shot.span.start_s, shot.span.end_s) for shot in script.shots]
        assert edges[0][0] == 0.0
        assert all(a[1] == b[0] for a, b in itertools.pairwise(edges))
        # Scaled to the length of the video, and rounded to its frames.
        assert all(0.7 * SHORTEST_S <= b - a <= 1.3 * LONGEST_S for a, b in edges), script.name


def test_no_event_happens_twice_and_unused_ones_never(scripts: list[VideoScript]) -> None:
    for script in scripts:
        events = [shot.event for shot in script.shots]
        assert len(set(events)) == len(events)
        assert not set(script.unused) & set(events)


@pytest.mark.parametrize("genre", GENRES)
def test_every_text_is_there_in_all_languages(genre: str) -> None:
    def check(value: object) -> None:
        assert isinstance(value, tuple)
        if isinstance(value[0], tuple):
            for entry in value:
                check(entry)
            return
        assert len(value) == len(LANGUAGES)
        assert all(isinstance(text, str) and text.strip() == text != "" for text in value)
        assert re.search(r"[\u4e00-\u9fff]", str(value[LANGUAGES.index("zh")]))

    texts = read_genre(genre)
    for name in ("themes", "people", "verbs", "objects", "places", "garment", "things", "topics"):
        check(getattr(texts, name))


def test_every_family_has_three_ways_to_ask_that_differ() -> None:
    for family, ways in read_shared_texts().questions.items():
        assert len(ways) == 3, family
        assert all(len({way[i] for way in ways}) == 3 for i in range(len(LANGUAGES))), family


def test_items_are_unique_answerable_and_the_same_in_all_languages(
    scripts: list[VideoScript],
) -> None:
    for script in scripts:
        items = draw_items(script, LANGUAGES)
        assert len({(item.language, item.question) for item in items}) == len(items)
        by_pair: dict[str, list[NaturalItem]] = {}
        for item in items:
            by_pair.setdefault(item.pair, []).append(item)
            assert "{" not in item.question
            assert len(set(item.options)) == len(item.options)
            if item.is_answerable:
                assert item.gold_spans
                assert all(span.end_s <= script.duration_s for span in item.gold_spans)
            else:
                assert item.answer is None and not item.gold_spans
        for translations in by_pair.values():
            assert [item.language for item in translations] == list(LANGUAGES)
            assert len({(item.answer, item.family, item.shots) for item in translations}) == 1


def test_the_sentence_of_a_gold_shot_tells_the_answer(scripts: list[VideoScript]) -> None:
    told = ("colour", "place", "tally", "reason", "sign", "visitor", "label", "who")
    for script in scripts:
        for item in draw_items(script, ("en", "de")):
            if item.family not in told:
                continue
            (shot,) = (script.shots[i] for i in item.shots)
            sentence = say_shot(script.genre, shot, item.language)[item.fact]
            assert says_answer(sentence, item.answer_text), (item, sentence)


def test_every_family_is_asked_and_a_seventh_has_no_answer(scripts: list[VideoScript]) -> None:
    items = [item for script in scripts for item in draw_items(script, ("en",))]
    families = {item.family for item in items}
    ways = set(read_shared_texts().questions)
    assert families == {*ways, "unanswerable"}
    share = sum(not item.is_answerable for item in items) / len(items)
    assert 0.1 < share < 0.2
    assert any(not item.options for item in items if not item.is_answerable)
    assert any(item.options for item in items if not item.is_answerable)


def test_a_script_opens_as_a_video_whose_cards_differ_from_shot_to_shot(tmp_path: Path) -> None:
    script = draw_script("match", 0, 600.0)
    path = script_world(script, "de").save(tmp_path / "match.json")
    with Video.open(path) as video:
        middles_s = [shot.span.middle_s for shot in script.shots]
        frames = video.frames_at(middles_s, (32, 18)).pixels.astype(int)
        gaps = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
        assert gaps.min() > 1.0
        # Cards that are drawn once are the frames of the video.
        times_s = [0.0, 0.4, *middles_s[:5], 599.9, 700.0]
        for size_px in (None, (48, 27)):
            drawn = video.frames_at(times_s, size_px)
            cards = CardVideo(video, script).frames_at(times_s, size_px)
            assert (drawn.pixels == cards.pixels).all()
            assert (drawn.times_s == cards.times_s).all()
            assert (drawn.exact == cards.exact).all()


def test_the_shortest_videos_can_be_asked_about_whatever_they_show() -> None:
    for genre in GENRES:
        for seed in range(20, 30):
            items = draw_items(draw_script(genre, seed, 300.0), ("en",))
            assert len(items) >= 18
            assert all(len(item.options) != 1 for item in items)


def test_lengths_and_genres_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="5m to 2h"):
        draw_script("news", 0, 60.0)
    with pytest.raises(UsageError, match="no genre"):
        draw_script("opera", 0, 600.0)


@pytest.mark.parametrize(
    ("text", "answer", "is_right"),
    [
        ("It is red.", "red", True),
        ("Ich sehe: grün!", "grün", True),
        ("17", "7", False),
        ("there are 7 of them", "7", True),
        ("reddish", "red", False),
        ("答案是7", "7", True),
        ("a blue one", "", False),
    ],
)
def test_open_answers_are_read_by_words_and_numbers(text: str, answer: str, is_right: bool) -> None:
    assert says_answer(text, answer) is is_right
