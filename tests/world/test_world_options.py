"""Worlds with motions that begin later, played backwards, on grounds, and of cut-outs."""

from __future__ import annotations

import base64
import zlib
from typing import Any, get_args

import numpy as np
import pytest
from pydantic import ValidationError

from mmreason.video.types import Span
from mmreason.video.world import World, generate
from mmreason.video.world.render import draw_frame
from mmreason.video.world.script import CutOut, Ground
from mmreason.video.world.truth import boxes_at, find_sightings, write_caption

# Frames of 16 x 9 as worlds drew them before they had any of this (seed, seconds, pixels).
EARLIER_FRAMES = (
    (0, 1.0, (
        'c-j*X5E2j&5|J_z05b?8etsblX-h@x#fp}5fNUa=AP`AuWy|PQK-l;ZAD;jjs8(EJlB5(dDtUSN1$p@!'
        '#3e#SL~R6xfn5BEhldY{Vnjsq#Ka(M>LPA#UXl<1E~XwK'
    )),
    (3, 9.5, (
        'c-phlG`AuJnQNGmgiO_p*R5O!Bs&}0r}a+-G8WBVxOKzU*;8f#QD<Yvl6i}(i>iX%1A*MLr_LIy8cv@u'
        '&BfelO8-=#h`FZejEU1%PTgiJ8w8YEyJ9U+BrPTt$OfXh)8-f|>u1EJXOz`+FIzcv!IJ2}sFvi}JJ%ds'
        'Jz@XU+GSzhAwVra1wds$G-ujueI;EhU5lklR~FBhU6NhAbp8@|ov=02_PEH$+Q|oHC1wH@tXaMqNCMI9'
        'sk3wxw1MdCsWTq7ZZ4KiXHK30a(Asgyl}#r=@X~Tm^@?t%y|u!^$=yVrp(lm(<BLL$f}Wq0P+HfsQ'
    )),
    (5, 14.2, (
        'c-j*X5E38-@$-|41mQ?WM^9Q>7Fh%n@$m^jkiUOGKtNzaLxYBf7F-Y)l9H0~_VxiXoSj|#{QU8#<mKgu'
        'pxD@0Utho4+FD&*J-8qy;^E<gAfVgK%`KFbRpBC3LEPNDBq0D*(;^f'
    )),
    (8, 29.9, (
        'c-pgZ_OT%aSvh!;gv{;SNJ6I8&LkmYO9zsWftf8<WNB)%PEF&2l2Wsd0kXKBu{BoIq@~xWrDtSpbxc{s'
        '!pIUXu48C{6_se|%~aQn(J{QFsDv!8rDuu@HL7dRS5=SF)<+fu0Fjeqjs'
    )),
)  # fmt: skip


def world_of(*actors: dict[str, Any], **options: Any) -> World:
    scene = {"start_s": 0.0, "end_s": 4.0, "actors": list(actors), **options}
    return World.model_validate({"fps_hz": 10, "scenes": [scene]})


def star(**motion: Any) -> dict[str, Any]:
    return {"id": "a", "shape": "star", "colour": "red", "size": "small", "motion": motion}


@pytest.mark.parametrize(("seed", "time_s", "packed"), EARLIER_FRAMES)
def test_scripts_of_earlier_versions_draw_the_very_same_pixels(
    seed: int, time_s: float, packed: str
) -> None:
    earlier = np.frombuffer(zlib.decompress(base64.b85decode(packed)), np.uint8)
    drawn = generate.demo(seed).frame(time_s, (16, 9)).ravel()
    # One level apart at most: sines differ in the last bit between machines.
    assert np.abs(drawn.astype(int) - earlier).max() <= 1


def test_scripts_of_earlier_versions_are_written_without_new_fields() -> None:
    script = generate.demo(0).to_json()
    fields = ("onset_s", "length_s", "scale", "ground", "playback", "frozen_at_s")
    assert not any(f'"{name}"' in script for name in fields)


def test_a_motion_with_an_onset_rests_before_it_and_after_its_end() -> None:
    world = world_of(star(kind="left", travel=0.4, onset_s=1.0, length_s=0.5))
    x = [boxes_at(world, time_s)["a"][0] for time_s in (0.0, 1.0, 1.25, 1.5, 3.9)]
    assert x[0] == x[1] > x[2] > x[3] == x[4]
    assert (x[0] - x[3]) * world.aspect == pytest.approx(0.4)


@pytest.mark.parametrize(("kind", "unseen_s", "seen_s"), [("enter", 0.9, 2.1), ("leave", 2.1, 0.9)])
def test_who_enters_or_leaves_at_a_time_of_its_own_is_seen_on_one_side_of_it(
    kind: str, unseen_s: float, seen_s: float
) -> None:
    world = world_of(star(kind=kind, side="left", onset_s=1.0, length_s=1.0))
    assert "a" not in boxes_at(world, unseen_s)
    assert "a" in boxes_at(world, seen_s)
    (sighting,) = find_sightings(world)
    assert sighting.span.contains(seen_s)
    assert not sighting.span.contains(unseen_s)
    assert sighting.motion == kind


@pytest.mark.parametrize("kind", ["circle", "bounce"])
def test_what_goes_round_rests_before_its_onset_and_after_its_length(kind: str) -> None:
    world = world_of(star(kind=kind, period_s=1.0, onset_s=1.0, length_s=0.75))
    boxes = [boxes_at(world, time_s)["a"] for time_s in (0.0, 0.9, 1.3, 1.8, 3.0)]
    assert boxes[0] == boxes[1] != boxes[2]
    assert boxes[3] == boxes[4]


def test_a_caption_tells_a_motion_only_where_it_is_seen() -> None:
    world = world_of(star(kind="left", travel=0.5, onset_s=2.0, length_s=1.0))
    assert write_caption(world, Span(0.0, 1.8)) == "a small red star is there."
    assert write_caption(world, Span(1.8, 4.0)) == "a small red star moves left."


def test_a_motion_that_outlasts_its_scene_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="actor 'a' must move within its scene of 4 s"):
        world_of(star(kind="left", onset_s=3.0, length_s=1.5))
    with pytest.raises(ValidationError, match="actor 'a' must move within its scene"):
        world_of(star(kind="left", onset_s=4.0))


def test_a_world_in_reverse_shows_the_same_frames_from_the_last_to_the_first() -> None:
    world = world_of(
        star(kind="right", travel=0.5, onset_s=0.3, length_s=2.0),
        events=[{"kind": "change_colour", "actor": "a", "time_s": 1.5, "colour": "blue"}],
    )
    backwards = world.model_copy(update={"playback": "reverse"})
    count = world.frame_count
    for index in range(count):
        time_s, mirrored_s = index / world.fps_hz, (count - 1 - index) / world.fps_hz
        assert boxes_at(backwards, time_s) == boxes_at(world, mirrored_s)
        mirrored = world.frame(mirrored_s, (48, 28))
        assert np.array_equal(backwards.frame(time_s, (48, 28)), mirrored)


def test_what_happens_is_not_told_of_a_world_in_reverse() -> None:
    backwards = world_of(star(kind="right")).model_copy(update={"playback": "reverse"})
    with pytest.raises(ValueError, match="played forward, got playback 'reverse'"):
        find_sightings(backwards)
    with pytest.raises(ValueError, match="played forward"):
        write_caption(backwards)


def test_a_frozen_world_shows_one_frame_throughout() -> None:
    world = world_of(star(kind="right", travel=0.6))
    frozen = world.model_copy(update={"playback": "frozen", "frozen_at_s": 2.0})
    expected = world.frame(2.0, (64, 36))
    assert all(np.array_equal(frozen.frame(t, (64, 36)), expected) for t in (0.0, 1.1, 3.9))
    assert boxes_at(frozen, 0.0) == boxes_at(world, 2.0)


def test_the_scale_of_a_scene_is_that_of_its_actors() -> None:
    x1, _, x2, _ = boxes_at(world_of(star()), 0.0)["a"]
    half_x1, _, half_x2, _ = boxes_at(world_of(star(), scale=0.5), 0.0)["a"]
    assert (half_x2 - half_x1) == pytest.approx((x2 - x1) / 2)


@pytest.mark.parametrize("ground", get_args(Ground))
def test_every_ground_is_darker_than_what_stands_on_it(ground: Ground) -> None:
    empty = world_of(ground=ground, background="slate").frame(0.0, (128, 72))
    assert np.array_equal(empty, world_of(ground=ground).frame(0.0, (128, 72)))
    assert empty.mean() < 110
    # All but the plain one have light and dark places from left to right.
    assert (np.ptp(empty.astype(int), axis=1).max() > 15) == (ground != "plain")


@pytest.mark.parametrize("name", get_args(CutOut))
def test_a_cut_out_fills_the_box_that_truth_gives_it(name: CutOut) -> None:
    actor = {"id": "a", "shape": name, "colour": "green", "size": "large"}
    world = world_of(actor, background="black")
    drawing = draw_frame(world, 0.0, (640, 360))
    rows, columns = np.nonzero(drawing.coverage[0] > 0.5)
    x1, y1, x2, y2 = boxes_at(world, 0.0)["a"]
    drawn = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert drawn == pytest.approx([x1 * 640, y1 * 360, x2 * 640, y2 * 360], abs=2.5)
    # It has its colour, and the light and the dark of a photograph.
    red, green, blue = drawing.pixels[rows, columns].mean(0)
    assert green > 1.5 * max(red, blue)


@pytest.mark.parametrize(
    ("field", "value"),
    [("ground", "../../etc/passwd"), ("ground", "lava"), ("scale", 0.0), ("scale", 2.0)],
)
def test_unknown_grounds_and_scales_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        world_of(star(), **{field: value})


def test_unknown_cut_outs_are_refused() -> None:
    with pytest.raises(ValidationError, match="shape"):
        world_of({"id": "a", "shape": "../cup", "colour": "red"})
