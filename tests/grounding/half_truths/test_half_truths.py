"""Units, foils, the metric and the veto."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmreason.grounding.half_truths import (
    Unit,
    add_half_truths,
    detail_raises_score,
    extract_units,
    make_foils,
    relevance_scores,
    score_half_truths,
    score_text,
)


def read(text: str) -> list[tuple[str, str]]:
    return [(unit.kind, unit.text) for unit in extract_units(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "A small red star moves left before a ring appears.",
            [
                ("entity", "small red star"),
                ("action", "small red star moves left"),
                ("temporal", "small red star moves left before a ring appears"),
                ("entity", "ring"),
                ("action", "ring appears"),
            ],
        ),
        (
            "two small yellow crosses and a pink triangle",
            [("count", "two small yellow crosses"), ("entity", "pink triangle")],
        ),
        (
            "The blue square is above the green circle; three rings move up",
            [
                ("entity", "blue square"),
                ("relation", "blue square is above the green circle"),
                ("entity", "green circle"),
                ("count", "three rings"),
                ("action", "three rings move up"),
            ],
        ),
        (
            "A man holds a dog on the left of a red car",
            [
                ("entity", "man"),
                ("relation", "man holds a dog"),
                ("entity", "dog"),
                ("relation", "dog on the left of a red car"),
                ("entity", "red car"),
            ],
        ),
        ("It moves right.", [("action", "It moves right")]),
        ("", []),
        ("!?", []),
    ],
)
def test_texts_are_taken_apart(text, expected):
    assert read(text) == expected


@given(st.text(max_size=80))
@settings(deadline=None, max_examples=60)
def test_any_text_gives_units_of_its_own_words(text):
    for unit in extract_units(text):
        assert text[unit.start : unit.end] == unit.text and unit.text.strip()
        for foil in make_foils(unit):
            assert foil.text.strip() and foil.text.lower() != unit.text.lower()


@pytest.mark.parametrize(
    ("unit", "foils"),
    [
        ("a ring left of a star", {"ring right of a star", "star left of a ring"}),
        ("a star moves left", {"star moves right"}),
        ("a star moves before a ring moves", {"ring moves before a star moves"}),
        ("a star moves while a ring moves", set()),
        ("a gizmo", set()),
    ],
)
def test_foils_change_one_thing(unit, foils):
    longest = max(extract_units(unit), key=lambda u: len(u.text))
    assert {foil.text for foil in make_foils(longest, most=9)} == foils


def test_a_number_changes_by_one_and_what_is_said_elsewhere_is_no_foil():
    (unit,) = extract_units("two stars")
    numbers = {f.text for f in make_foils(unit, most=20) if f.change == "number"}
    assert numbers == {"three stars"}, "one would need another form"
    beside = [f"red {shape}" for shape in ("circle", "square", "triangle", "cross", "ring")]
    (unit,) = extract_units("red star")
    foils = make_foils(unit, most=20, beside=beside)
    assert foils and all(foil.change == "look" for foil in foils)


def test_half_truths_keep_all_but_one_detail():
    for text, foil in add_half_truths("a red star left of an orange ring", seed=3):
        assert foil.unit in "a red star left of an orange ring"
        assert not text.startswith("a o") and " a a" not in text


def test_a_tie_is_wrong_and_intervals_are_of_images():
    scores = score_half_truths([0.5, 0.5, 0.5], [0.4, 0.5, 0.6], ["e", "e", "r"], [1, 1, 2])
    assert scores["all"].accuracy == pytest.approx(1 / 3)
    assert scores["e"].accuracy == 0.5 and scores["r"].accuracy == 0
    assert scores["e"].low == scores["e"].high == 0.5, "one image: nothing varies"
    with pytest.raises(ValueError, match=r"got \[1, 0, 1, 1\]"):
        score_half_truths([0.1], [], ["e"], [1])
    with pytest.raises(ValueError, match="finite"):
        score_half_truths([math.nan], [0.1], ["e"], [1])


def test_the_closed_form_holds_for_unit_vectors():
    draw = np.random.default_rng(0)

    def unit_rows() -> np.ndarray:
        rows = draw.normal(size=(20_000, 6))
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    image, right, detail = unit_rows(), unit_rows(), unit_rows()
    both = right + detail
    both /= np.linalg.norm(both, axis=1, keepdims=True)
    score, other, between = (
        (a * b).sum(axis=1) for a, b in ((image, right), (image, detail), (right, detail))
    )
    raised = (image * both).sum(axis=1) > score
    assert (detail_raises_score(score, other, between) == raised).all()


class Words:
    """Texts as the mean of a row a word: a bag of words, with planted rows."""

    def __init__(self, **rows: int) -> None:
        self.rows = rows

    def __call__(self, texts):
        table = np.zeros((len(texts), 8))
        for row, text in zip(table, texts, strict=True):
            for word in text.lower().split():
                if word in self.rows:
                    row[self.rows[word]] += 1
        lengths = np.linalg.norm(table, axis=1, keepdims=True)
        return table / np.maximum(lengths, 1e-9)


ENCODE = Words(red=0, blue=1, star=2, ring=3, moves=4, appears=5, disappears=6)


def test_a_wrong_detail_is_vetoed_and_a_right_one_is_not():
    frames = ENCODE(["red star", "blue ring"])
    right, wrong = (score_text(frames, text, ENCODE) for text in ("a red star", "a blue star"))
    assert not right.vetoed and right.score == right.full
    (veto,) = wrong.vetoed
    assert (veto.unit, wrong.score < wrong.full) == ("blue star", True)
    assert veto.foil.split()[-1] in ("star", "ring")


def test_an_order_is_told_by_times_and_not_by_likeness():
    frames = ENCODE(["star moves", "star", "ring", "ring appears"])
    text = "a star moves before a ring appears"
    forward, backward = (score_text(f, text, ENCODE) for f in (frames, frames[::-1]))
    assert [u.kind for u in backward.vetoed] == ["temporal"] and not forward.vetoed
    assert forward.full == pytest.approx(backward.full), "a bag of frames knows no order"
    after = score_text(frames, text.replace("before", "after"), ENCODE)
    assert [u.kind for u in after.vetoed] == ["temporal"]


def test_frames_are_lowered_where_a_foil_fits_better():
    frames = ENCODE(["red star", "blue star"])
    scores = relevance_scores(frames, "a red star", ENCODE)
    assert scores[0] == pytest.approx(1) and scores[1] < frames[1] @ ENCODE(["a red star"])[0]


@pytest.mark.parametrize("frames", [np.zeros((0, 8)), np.zeros(8), np.full((2, 8), np.nan)])
def test_what_are_no_vectors_is_refused(frames):
    with pytest.raises(ValueError, match="finite vectors of frames"):
        score_text(frames, "a red star", ENCODE)


def test_another_extractor_may_take_its_place():
    def extract(text: str) -> tuple[Unit, ...]:
        return (Unit("blue star", "entity", 0, 9),)

    score = score_text(ENCODE(["red star"]), "whatever", ENCODE, extract=extract)
    assert [unit.unit for unit in score.vetoed] == ["blue star"]
