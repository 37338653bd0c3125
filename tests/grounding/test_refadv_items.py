"""Items of the procedural Ref-Adv: what every family promises, debiasing, seeds and JSON."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mmreason.grounding import refadv
from mmreason.grounding.refadv import Item, Knobs
from mmreason.grounding.refadv.drafts import FAMILY_LIMITS, IMAGE_FAMILIES, VIDEO_FAMILIES
from mmreason.grounding.refadv.items import ItemKind

FAMILIES = [*(("image", f) for f in IMAGE_FAMILIES), *(("video", f) for f in VIDEO_FAMILIES)]


def make(kind: str, count: int = 3, seed: int = 0, **knobs: Any) -> list[Item]:
    chosen: ItemKind = "image" if kind == "image" else "video"
    return list(refadv.generate(kind=chosen, seed=seed, count=count, knobs=Knobs(**knobs)))


def variant_of(item: Item, kind: str) -> refadv.Variant:
    return next(variant for variant in item.variants if variant.kind == kind)


@pytest.fixture(scope="module")
def items() -> list[Item]:
    """Three of every family, of one answer each."""
    made = []
    for kind, family in FAMILIES:
        limit = FAMILY_LIMITS[family]
        for k in {max(2, limit.least_k), min(3, limit.most_k)}:
            n = max(6, k + limit.more_n) if family != "pass" else 5
            made += make(kind, k=k, n=n, families=(family,))
    return made


def test_every_family_means_exactly_one_and_needs_every_word(items: list[Item]) -> None:
    assert {item.tags[0] for item in items} == {*IMAGE_FAMILIES, *VIDEO_FAMILIES}
    for item in items:
        assert len(item.target_ids) == 1, item.expression
        assert item.certificate.unique
        assert item.certificate.irredundant
        deletions = [v for v in item.variants if v.kind == "delete"]
        assert [v.descriptor for v in deletions] == [name for name, _ in item.certificate.witnesses]
        assert all(v.target_ids != item.target_ids for v in deletions), item.expression


def test_the_hardest_distractor_shares_all_descriptors_but_one(items: list[Item]) -> None:
    for item in items:
        certificate = item.certificate
        assert certificate.shared_k == certificate.k - 1, item.expression
        assert certificate.hardest_id not in item.target_ids


def test_saved_items_are_certified_and_come_back_equal(items: list[Item]) -> None:
    for item in items:
        saved = json.loads(json.dumps(item.to_dict()))
        assert refadv.certify(saved) == item.certificate
        assert Item.from_dict(saved) == item


def test_every_word_has_a_descriptor_of_the_program_or_is_grammar(items: list[Item]) -> None:
    for item in items:
        names = {name for name, _ in item.certificate.witnesses}
        assert len(item.expression.split()) == len(item.word_descriptors)
        assert set(item.word_descriptors) - {""} <= names
        # Whatever is needed is said, but for a landmark's own clause, said by its words.
        for name in names:
            spoken = [w for w in item.word_descriptors if w == name or w.startswith(f"{name}.")]
            assert spoken, (item.expression, name)


def test_the_same_seed_and_knobs_give_the_same_item_and_others_another() -> None:
    first, again = make("video", 2, seed=5, k=3), make("video", 2, seed=5, k=3)
    assert first == again
    assert first[0].to_dict() != first[1].to_dict()
    assert make("video", 1, seed=6, k=3)[0] == first[1]
    assert make("video", 1, seed=5, k=2)[0] != first[0]


@pytest.mark.parametrize("k", [2, 3, 4])
def test_attributes_are_the_fewest_that_suffice_over_all_attributes(k: int) -> None:
    for item in make("image", 12, k=k, n=8, families=("attribute",)):
        assert item.certificate.global_min == k, item.expression


def test_without_not_another_single_object_is_meant() -> None:
    for item in make("image", 12, k=2, n=4, negation=1, families=("attribute",)):
        assert item.certificate.negation_matters
        stripped = variant_of(item, "strip_negation")
        assert len(stripped.target_ids) == 1
        assert stripped.target_ids != item.target_ids
        assert " not " not in stripped.text or " and not " in item.expression


def test_words_bound_otherwise_mean_another_single_object() -> None:
    for item in make("image", 8, k=3, n=7, families=("relation",)):
        assert item.certificate.order_critical
        swapped = variant_of(item, "swap")
        assert len(swapped.target_ids) == 1
        assert swapped.target_ids != item.target_ids
        assert sorted(swapped.text.split()) == sorted(item.expression.split())


@pytest.mark.parametrize("family", ["motion", "order", "sequence", "enter", "leave", "turn"])
def test_played_backwards_another_single_object_is_meant(family: str) -> None:
    for item in make("video", 6, k=3, n=7, families=(family,)):
        backwards = variant_of(item, "reverse")
        assert backwards.world is not None
        assert backwards.world.playback == "reverse"
        assert len(backwards.target_ids) == 1, item.expression
        assert backwards.target_ids != item.target_ids
        assert backwards.target_ids == item.certificate.reversal_ids


@pytest.mark.parametrize(("family", "n", "bound"), [("motion", 6, 0.25), ("order", 6, 0.25)])
def test_things_of_one_look_are_told_apart_by_what_they_do_alone(
    family: str, n: int, bound: float
) -> None:
    for item in make("video", 6, k=3, n=n, families=(family,)):
        assert item.certificate.single_frame_bound <= bound
        frozen = variant_of(item, "single_frame")
        assert frozen.world is not None
        assert frozen.world.playback == "frozen"
        # In that frame nothing has moved yet: where things stand tells nothing.
        assert frozen.world.frozen_at_s == 0.0


@pytest.mark.parametrize(("kind", "family"), FAMILIES)
def test_where_nothing_fits_some_object_misses_exactly_one_descriptor(
    kind: str, family: str
) -> None:
    n = 5 if family == "pass" else 7
    for item in make(kind, 2, k=2, n=n, none_rate=1.0, families=(family,)):
        assert item.target_ids == ()
        assert item.certificate.answer == "none"
        # Of nothing, nothing is first: a rank is then not counted.
        counted = len(item.program.clauses) if "ord" in family else item.certificate.k
        assert item.certificate.shared_k >= counted - 1
        assert item.tags[1] == "none"


def test_a_text_does_not_tell_that_nothing_fits() -> None:
    """The ranks and the words of items where nothing fits are those of the others."""
    for kind, family in (("image", "ordinal"), ("video", "order")):
        ranks = {}
        for rate in (0.0, 1.0):
            made = make(kind, 60, k=2, n=6, none_rate=rate, families=(family,))
            picks = [item.program.pick for item in made]
            ranks[rate] = np.mean([pick.rank for pick in picks if pick is not None])
        assert ranks[0.0] == pytest.approx(ranks[1.0], abs=0.45)


@pytest.mark.parametrize(("kind", "family"), FAMILIES)
def test_where_several_fit_the_text_asks_for_all(kind: str, family: str) -> None:
    n = 5 if family == "pass" else 7
    for item in make(kind, 2, k=2, n=n, multi_rate=1.0, families=(family,)):
        assert 2 <= len(item.target_ids) < len(item.candidate_ids)
        assert item.expression.split()[0] in ("every", "each", "all")
        assert item.program.quantifier == "every"


def test_rates_of_none_and_many_are_met() -> None:
    made = make("image", 200, n=5, none_rate=0.2, multi_rate=0.1, families=("attribute",))
    answers = [item.certificate.answer for item in made]
    assert answers.count("none") / 200 == pytest.approx(0.2, abs=0.09)
    assert answers.count("many") / 200 == pytest.approx(0.1, abs=0.07)


@pytest.fixture(scope="module")
def pictures() -> list[Item]:
    return make("image", 400, k=2, n=4, families=("attribute",))


def pick_largest(item: Item, rng: random.Random) -> str:
    boxes = {name: box.area_px2 for name, box in item.boxes().items()}
    return max(boxes, key=lambda name: (round(boxes[name]), rng.random()))


def pick_central(item: Item, rng: random.Random) -> str:
    middle = (item.world.width_px / 2, item.world.height_px / 2)
    centres = {
        name: ((b.x1_px + b.x2_px) / 2, (b.y1_px + b.y2_px) / 2) for name, b in item.boxes().items()
    }
    return min(centres, key=lambda name: math.dist(centres[name], middle))


def pick_first(item: Item, rng: random.Random) -> str:
    return item.candidate_ids[0]


def pick_leftmost(item: Item, rng: random.Random) -> str:
    return min(item.candidate_ids, key=lambda name: item.boxes()[name].x1_px)


def pick_most_alike(item: Item, rng: random.Random) -> str:
    """The one that shares most with all others: the centre of a star of distractors."""
    looks = {a.id: (a.colour, a.shape, a.size, a.pattern) for a in item.world.scenes[0].actors}
    shared = {
        name: sum(x == y for other in looks.values() for x, y in zip(look, other, strict=True))
        for name, look in looks.items()
    }
    return max(shared, key=lambda name: (shared[name], rng.random()))


@pytest.mark.parametrize(
    "policy", [pick_largest, pick_central, pick_first, pick_leftmost, pick_most_alike]
)
def test_who_does_not_read_scores_one_in_n(
    pictures: list[Item], policy: Callable[[Item, random.Random], str]
) -> None:
    rng = random.Random(0)
    hits = sum(policy(item, rng) in item.target_ids for item in pictures)
    expected, count = 1 / 4, len(pictures)
    # Three standard errors: 6.5 points.
    assert hits / count == pytest.approx(expected, abs=3 * math.sqrt(expected * 0.75 / count))


def test_in_the_first_frame_of_a_clip_places_tell_nothing() -> None:
    made = make("video", 150, k=1, n=5, families=("motion",))
    rng = random.Random(0)
    for policy in (pick_central, pick_first, pick_leftmost):
        hits = sum(policy(item, rng) in item.target_ids for item in made)
        assert hits / 150 == pytest.approx(0.2, abs=3 * math.sqrt(0.2 * 0.8 / 150))


def test_nothing_hides_anything_in_a_picture() -> None:
    for item in make("image", 5, k=3, n=12, families=("attribute", "relation")):
        boxes = list(item.boxes().values())
        assert len(boxes) == 12
        for a, b in itertools.combinations(boxes, 2):
            width = min(a.x2_px, b.x2_px) - max(a.x1_px, b.x1_px)
            height = min(a.y2_px, b.y2_px) - max(a.y1_px, b.y1_px)
            assert width < 0 or height < 0 or width * height < 0.4 * min(a.area_px2, b.area_px2)


def test_beginnings_that_are_compared_lie_half_a_second_apart() -> None:
    for item in make("video", 4, k=3, n=8, families=("order", "sequence")):
        onsets = sorted(
            actor.motion.onset_s
            for actor in item.world.scenes[0].actors
            if actor.motion.onset_s is not None
        )
        assert all(b - a >= 0.5 for a, b in itertools.pairwise(onsets))


def test_tubes_are_absent_while_an_object_is_outside() -> None:
    (item,) = make("video", 1, k=2, n=5, families=("enter",))
    times_s = np.arange(item.world.frame_count) / item.world.fps_hz
    tubes = item.tubes(list(times_s))
    assert set(tubes) == set(item.candidate_ids)
    target = tubes[item.target_ids[0]]
    assert not target.present[0]
    assert target.present[-1]
    assert target.at(times_s[-1]) == item.boxes(times_s[-1])[item.target_ids[0]]


def test_cut_outs_and_photographs_keep_every_promise() -> None:
    made = make("image", 3, k=3, n=7, look="cutouts", ground="photo", families=("relation",))
    made += make("video", 2, k=2, n=5, look="cutouts", ground="texture", families=("touch",))
    for item in made:
        assert refadv.certify(json.loads(json.dumps(item.to_dict()))).unique
        assert item.tags[-1] == "cutouts"
        assert item.world.scenes[0].ground != "plain"
        assert {actor.shape for actor in item.world.scenes[0].actors} <= {
            "cup", "cat", "shuttle", "helmet", "horse", "tripod"
        }  # fmt: skip


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"k": 0}, "k must be a whole number from 1 to 5"),
        ({"n": 21}, "n must be a whole number from 3 to 20"),
        ({"none_rate": 0.7, "multi_rate": 0.7}, "shares of one whole"),
        ({"none_rate": math.nan}, "shares of one whole"),
        ({"families": ("telepathy",)}, "telepathy"),
    ],
)
def test_knobs_out_of_range_are_refused_by_name(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Knobs(**knobs)


def test_knobs_that_no_family_allows_are_told_with_what_is_possible() -> None:
    with pytest.raises(ValueError, match="no family makes image items of k=3, n=3"):
        make("image", 1, k=3, n=3)
    with pytest.raises(ValueError, match="no family makes video items"):
        make("video", 1, families=("attribute",))
