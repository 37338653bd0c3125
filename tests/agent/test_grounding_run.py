"""Grounding from end to end: a scripted model that knows the truth of a small world."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmreason.grounding import Detection, Grounding, GroundingStatus, Mask, Target, Tube, iou
from mmreason.grounding.boxes import Box
from mmreason.grounding.detectors.scripted import ScriptedDetector, tubes_of_world
from mmreason.language.prompts import GENERAL
from mmreason.memory.records import MemoryRecord
from mmreason.memory.store import Store
from mmreason.models.base import ClipRecipe
from mmreason.models.scripted import ScriptedModel
from mmreason.reasoner import Reasoner
from mmreason.types import Budget, UsageError
from mmreason.video.reader import Video
from mmreason.video.types import FrameBatch, Span
from mmreason.video.world.script import Actor, Scene, World
from mmreason.video.world.truth import boxes_at

CLIP = ClipRecipe(frames=8, size_px=(320, 180), leaf_s=4.0, prompts=GENERAL)
SIZE_PX = (320, 180)


def star(id: str, colour: str, y: float, kind: str) -> Actor:
    x = 0.2 if kind == "right" else 0.8
    return Actor.model_validate(
        {"id": id, "shape": "star", "colour": colour, "size": "small", "x": x, "y": y,
         "motion": {"kind": kind, "travel": 0.6}}
    )  # fmt: skip


WORLD = World(
    scenes=(
        Scene(
            start_s=0,
            end_s=4,
            background="navy",
            actors=(star("a", "red", 0.25, "right"), star("b", "red", 0.75, "left")),
        ),
    ),
    width_px=SIZE_PX[0],
    height_px=SIZE_PX[1],
)


class Oracle:
    """Answers each kind of question from the truth of `world`; answers may be replaced by the
    first words of the prompt."""

    def __init__(self, world: World, target: str | None, **answers: str):
        self.world, self.target, self.answers = world, target, answers

    def __call__(self, text: str, frames: FrameBatch | None) -> str:
        kinds = {
            "parse": "Take this", "locate": "Locate the", "choose": "Things in",
            "check": "One thing", "contrast": "Two things", "survey": "These are frames",
            "tubes": "These frames",
        }  # fmt: skip
        kind = next(name for name, start in kinds.items() if text.startswith(start))
        if kind in self.answers:
            return self.answers[kind]
        return getattr(self, kind)(text, frames)

    def parse(self, text: str, frames: FrameBatch | None) -> str:
        return "I cannot"

    def locate(self, text: str, frames: FrameBatch | None) -> str:
        assert frames is not None
        truth = boxes_at(self.world, float(frames.times_s[0]))
        is_all = "(every one)" in text
        boxes = [box for id, box in truth.items() if is_all or id == self.target]
        rows = [{"bbox_2d": [round(1000 * v) for v in box], "label": "star"} for box in boxes]
        return json.dumps(rows)

    def choose(self, text: str, frames: FrameBatch | None) -> str:
        # Tubes are numbered in order of appearance, then from left to right.
        return "none" if self.target is None else f"{'ab'.index(self.target) + 1}. It moves."

    def check(self, text: str, frames: FrameBatch | None) -> str:
        return "\n".join(f"{n}. yes" for n in re.findall(r"^(\d+)\.", text, re.MULTILINE))

    def contrast(self, text: str, frames: FrameBatch | None) -> str:
        return "both"


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return WORLD.save(tmp_path_factory.mktemp("worlds") / "stars.json")


@pytest.fixture
def ground(script: Path) -> Callable[..., tuple[Grounding, ScriptedModel]]:
    """Ground in the world, with an oracle and what of it is replaced."""

    def run(expression, target="b", answers=None, source=None, **settings):
        oracle = Oracle(WORLD, target, **(answers or {}))
        model = ScriptedModel(oracle, clip=CLIP, tier="small")
        reasoner = Reasoner(model, store=Store.in_memory())
        return reasoner.ground(script if source is None else source, expression, **settings), model

    return run


def truth_of(actor: str, time_s: float) -> Box:
    x1, y1, x2, y2 = boxes_at(WORLD, time_s)[actor]
    return Box(x1 * SIZE_PX[0], y1 * SIZE_PX[1], x2 * SIZE_PX[0], y2 * SIZE_PX[1])


EXPRESSION = "the red star that moves left"


class InTurn(Oracle):
    """Prefers one of the two in a comparison, whichever is shown first."""

    def __init__(self, world: World, target: str | None, letters: str, **answers: str):
        super().__init__(world, target, **answers)
        self.letters = iter(letters)

    def contrast(self, text: str, frames: FrameBatch | None) -> str:
        return f"{next(self.letters)}. It moves left."


def test_a_tube_follows_the_chosen_one_and_names_its_rival(script):
    model = ScriptedModel(InTurn(WORLD, "b", "AB"), clip=CLIP, tier="small")
    found = Reasoner(model, store=Store.in_memory()).ground(script, EXPRESSION, want="tube")
    assert found.status is GroundingStatus.FOUND
    (target,) = found.targets
    assert target.tube is not None and target.tube.present.all() and len(target.tube) == 20
    assert overlap(target, "b", 0.0, 1.2, 2.2, 3.8) > 0.8
    # Only where the model looked is it observed.
    assert 5 <= target.tube.observed.sum() <= 10
    assert target.checks == {"red": True, "moves left": True}
    assert (target.score, target.score_kind) == (1.0, "agreement")
    (rival,) = found.rivals
    assert overlap(rival.target, "a", 2.0) > 0.8
    steps = [step["step"] for step in found.steps]
    assert steps == ["parse", "when", "track", "choose", "check", "contrast"]
    assert found.settings["grounder"]["kind"] == "boxes" and found.settings["when"] == "whole"
    assert found.cost["calls"] == model.calls and found.cost["frames"] >= model.frames
    assert json.loads(json.dumps(found.to_dict()))["status"] == "found"
    assert found.frame_time_s is not None and target.box == target.tube.at(found.frame_time_s)


def overlap(target: Target, actor: str, *times_s: float) -> float:
    assert target.tube is not None
    boxes = [target.tube.at(time_s) for time_s in times_s]
    assert all(box is not None for box in boxes)
    return min(iou(box, truth_of(actor, t)) for box, t in zip(boxes, times_s, strict=True) if box)


def test_at_gives_the_box_of_that_moment(ground):
    found, _ = ground(EXPRESSION, want="tube", at=1.3)
    # The frame that is on the screen then began a little earlier.
    assert found.frame_time_s == pytest.approx(1.28)
    overlaps = sorted(iou(box, truth_of(id, 1.28)) for box in found.boxes for id in "ab")
    assert overlaps[-2] > 0.8


def test_two_that_fit_equally_are_ambiguous(ground):
    found, _ = ground(EXPRESSION, want="tube")
    assert found.status is GroundingStatus.AMBIGUOUS and len(found.targets) == 2


def test_a_runner_up_that_fits_better_in_both_orders_takes_the_place(script):
    model = ScriptedModel(InTurn(WORLD, "a", "BA"), clip=CLIP, tier="small")
    found = Reasoner(model, store=Store.in_memory()).ground(script, EXPRESSION, want="tube")
    assert found.status is GroundingStatus.FOUND
    assert overlap(found.targets[0], "b", 2.0) > 0.8


def test_several_targets_are_found_where_several_are_wanted(ground):
    answers = {"choose": "1, 2. Both move."}
    found, _ = ground("the red stars", answers=answers, want="tube", max_targets=2)
    assert found.status is GroundingStatus.FOUND and len(found.targets) == 2


@pytest.mark.parametrize(
    ("answers", "status", "rivals"),
    [
        ({"locate": "[]"}, "none", 0),
        ({"choose": "none. All stand still."}, "none", 2),
        ({"check": "1. yes 2. no 3. no"}, "none", 2),
        ({"contrast": "neither"}, "none", 2),
        ({"locate": "It is a fine day."}, "unparsed", 0),
    ],
)
def test_what_is_not_there_is_refused(ground, answers, status, rivals):
    found, _ = ground(EXPRESSION, answers=answers, want="tube")
    assert found.status == status and not found.targets
    assert len(found.rivals) == rivals


def test_a_rival_names_the_descriptor_that_it_fails(ground):
    found, _ = ground(EXPRESSION, answers={"check": "1. yes 2. no 3. unsure"}, want="tube")
    assert found.rivals[0].fails == ("red",)
    # The clip was asked for what moves alone, and agrees.
    assert found.rivals[0].target.score == pytest.approx(1 / 3)


def test_one_frame_is_checked_and_tells_what_it_cannot_show(ground):
    found, model = ground(EXPRESSION, answers={"contrast": "both"}, at=1.0)
    # Two stars fit what one frame can show.
    assert found.status is GroundingStatus.AMBIGUOUS and found.frame_time_s == 1.0
    assert any(i.kind == "unchecked" and "moves left" in i.text for i in found.issues)
    assert found.targets[0].checks["red"] is True and found.targets[0].tube is None
    assert model.calls == found.cost["calls"] == 7


def test_a_budget_of_one_call_leaves_out_all_checks_and_says_so(ground):
    found, model = ground("the red star", at=1.0, budget=Budget(rounds=1))
    assert found.status is GroundingStatus.FOUND and model.calls == 1
    assert iou(found.boxes[0], truth_of("b", 1.0)) > 0.8
    assert found.targets[0].checks == {"red": None}
    kinds = {issue.kind for issue in found.issues}
    assert {"budget", "unchecked"} <= kinds


def test_a_budget_of_nothing_is_an_error_and_asks_nothing(ground):
    for want in ("box", "tube"):
        found, model = ground("the red star", want=want, budget=Budget(frames=0))
        assert found.status is GroundingStatus.ERROR and model.frames == 0
        assert "budget" in {issue.kind for issue in found.issues}


def test_a_budget_is_never_exceeded(ground):
    for frames in (3, 9, 20):
        found, _ = ground(EXPRESSION, want="tube", budget=Budget(frames=frames))
        assert found.cost["frames"] <= frames


def test_a_model_that_fails_is_an_error_not_an_absence(script):
    def fail(text, frames):
        raise RuntimeError("out of memory")

    model = ScriptedModel(fail, clip=CLIP, tier="small")
    found = Reasoner(model, store=Store.in_memory()).ground(script, EXPRESSION, want="tube")
    assert found.status is GroundingStatus.ERROR
    assert any("out of memory" in issue.text for issue in found.issues)


def test_a_model_that_writes_tubes_is_asked_once_for_half_a_minute(ground):
    rows = {str(t): [round(1000 * v) for v in boxes_at(WORLD, t)["b"]] for t in range(4)}
    answers = {"tubes": json.dumps({"time": [0, 3], "boxes": rows})}
    found, _ = ground(EXPRESSION, answers=answers, want="tube", grounder="end_to_end")
    assert found.status is GroundingStatus.FOUND
    (target,) = found.targets
    assert target.tube is not None and len(target.tube) == 20
    assert target.tube.times_s[target.tube.observed].tolist() == [0, 1, 2, 3]
    # On a line between two seconds, absent after the last one.
    assert overlap(target, "b", 1.0, 2.4, 3.0) > 0.8
    assert target.tube.at(3.6) is None
    assert found.settings["grounder"]["kind"] == "end_to_end"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"expression": " "}, "the expression is empty"),
        ({"expression": "a " * 600}, "600 words, the limit is 300"),
        ({"expression": "red " * 10_000}, "the limit is 2,000"),
        ({"span": (9, 12)}, "holds nothing of the video"),
        ({"at": 4.0}, "at 4 s lies outside the video"),
        ({"at": 3.0, "span": (0, 2)}, "at 3 s lies outside the span"),
        ({"at": float("nan")}, "a number of seconds"),
        ({"want": "cube"}, "want must be box, tube or mask"),
        ({"want": "mask"}, "needs a grounder that makes masks"),
        ({"want": "tube", "fps": 0}, "fps must lie above 0"),
        ({"max_targets": 0}, "max_targets must be 1 to 20"),
        ({"grounder": " "}, "grounder is empty"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_a_model_is(ground, settings, message):
    with pytest.raises(UsageError, match=message):
        ground(**({"expression": EXPRESSION} | settings))


def test_an_image_has_boxes_and_says_that_it_has_no_tube(ground):
    pixels = np.zeros((180, 320, 3), np.uint8)
    found, _ = ground("the red star", source=pixels, want="tube")
    assert found.targets and all(target.tube is None for target in found.targets)
    assert any("no tube" in issue.text for issue in found.issues)
    with pytest.raises(UsageError, match="at goes with a video"):
        ground("the red star", source=pixels, at=1.0)


def test_a_picture_of_one_pixel_is_grounded(ground):
    found, _ = ground("the red star", source=np.zeros((1, 1, 3), np.uint8))
    assert found.size_px == (1, 1) and found.status in set(GroundingStatus)


def test_an_expression_in_another_language_goes_to_the_model(ground):
    parse = '{"head": "star", "descriptors": [{"text": "rote", "kind": "colour"}]}'
    found, _ = ground("der rote Stern", answers={"parse": parse}, want="tube")
    assert found.steps[0]["by"] == "model" and found.steps[0]["head"] == "star"
    found, _ = ground("der rote Stern", want="tube")
    assert any("English" in issue.text for issue in found.issues)


LONG = World(
    scenes=tuple(
        Scene(start_s=20 * i, end_s=20 * i + 20, background="navy", actors=(actor,))
        for i, actor in enumerate(
            [star("a", "blue", 0.5, "right")] * 7 + [star("b", "red", 0.5, "left")]
        )
    ),
    width_px=64,
    height_px=36,
)


@pytest.fixture(scope="module")
def long_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return LONG.save(tmp_path_factory.mktemp("worlds") / "long.json")


def test_a_long_video_is_looked_at_where_its_memory_says(long_script):
    oracle = Oracle(LONG, "b", survey="none")
    model = ScriptedModel(oracle, clip=CLIP, tier="small")
    reasoner = Reasoner(model, store=Store.in_memory())
    with Video.open(long_script) as video:
        record = MemoryRecord(
            "event", Span(140, 160), "a red star moves left", "frames", "scripted"
        )
        reasoner.memory(video).add([record])
        found = reasoner.ground(video, "the red star", want="tube", fps=2)
    assert found.settings["when"] == "memory"
    assert all(a >= 140 - 30 and b <= 160 for a, b in found.settings["looked_at_s"])
    assert found.settings["not_looked_at_s"][0][0] == 0
    assert any(issue.kind == "skipped" for issue in found.issues)
    assert found.targets and found.targets[0].span is not None
    assert found.targets[0].span.start_s >= 139


def test_a_long_video_that_nobody_knows_is_surveyed(long_script):
    oracle = InTurn(LONG, "b", "AB", survey="15. Red.")
    model = ScriptedModel(oracle, clip=CLIP, tier="small")
    found = Reasoner(model, store=Store.in_memory()).ground(
        long_script, "the red star", want="tube", fps=2
    )
    assert found.settings["when"] == "survey" and found.status is GroundingStatus.FOUND
    # Frame 15 of 16 of 160 seconds.
    (part,) = found.settings["looked_at_s"]
    assert part[0] < 145 < part[1]
    model = ScriptedModel(Oracle(LONG, "b", survey="none"), clip=CLIP, tier="small")
    found = Reasoner(model, store=Store.in_memory()).ground(
        long_script, "the red star", want="tube", fps=2
    )
    assert found.status is GroundingStatus.NONE
    assert any("closer look" in issue.text for issue in found.issues)


def test_a_named_detector_finds_the_head_and_the_model_chooses(script, monkeypatch):
    times_s = [i / 5 for i in range(20)]
    detector = ScriptedDetector(truth=tubes_of_world(WORLD, times_s), seed=3)
    monkeypatch.setattr("mmreason.agent.grounding.grounders._kind_of", lambda name: "detector")
    monkeypatch.setattr("mmreason.agent.grounding.candidates.load_detector_of", lambda g: detector)
    model = ScriptedModel(InTurn(WORLD, "b", "AB"), clip=CLIP, tier="small")
    reasoner = Reasoner(model, store=Store.in_memory())
    found = reasoner.ground(script, EXPRESSION, want="tube", grounder="some/detector")
    assert found.status is GroundingStatus.FOUND and overlap(found.targets[0], "b", 1.0) > 0.8
    assert found.settings["grounder"] == {
        "kind": "detector", "name": "some/detector", "reason": "asked for"
    }  # fmt: skip
    assert not any(asked.text.startswith("Locate") for asked in model.asked)
    assert found.cost["frames"] >= 20
    limited = reasoner.ground(
        script, EXPRESSION, want="tube", grounder="some/detector", budget=Budget(frames=10)
    )
    assert limited.cost["frames"] <= 10 and limited.targets


def test_a_grounder_that_cannot_be_had_is_named(ground, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match=re.escape(str(tmp_path))):
        ground(EXPRESSION, want="tube", grounder=str(tmp_path))


def test_three_hours_are_grounded_with_few_frames(tmp_path):
    scenes = (
        Scene(start_s=0, end_s=9_000, background="navy"),
        Scene(start_s=9_000, end_s=10_800, background="navy",
              actors=(star("b", "red", 0.5, "left"),)),
    )  # fmt: skip
    world = World(scenes=scenes, width_px=32, height_px=18)
    model = ScriptedModel(Oracle(world, "b", survey="16"), clip=CLIP, tier="small")
    found = Reasoner(model, store=Store.in_memory()).ground(
        world.save(tmp_path / "long.json"), "the red star", want="tube", fps=1
    )
    assert found.status is GroundingStatus.FOUND
    assert found.cost["frames_decoded"] < 150 and found.cost["frames"] < 60
    assert any("were not looked at" in issue.text for issue in found.issues)


def test_a_model_with_words_of_its_own_for_tubes_is_asked_in_them(script):
    rows = {f"{t:.1f}": [round(1000 * v) for v in boxes_at(WORLD, t)["b"]] for t in (0.9, 2.9)}
    prompts = replace(GENERAL, track="Track {expression}.")
    clip = replace(CLIP, prompts=prompts, frames=4)

    def write(text: str, frames: FrameBatch | None) -> str:
        return json.dumps(rows) if text == f"Track {EXPRESSION}." else "[]"

    model = ScriptedModel(write, clip=clip)
    found = Reasoner(model, store=Store.in_memory()).ground(script, EXPRESSION, want="tube")
    assert found.settings["grounder"]["kind"] == "end_to_end"
    assert model.asked[0].times_s == pytest.approx((0.4, 1.4, 2.4, 3.4))
    # Each two frames are named by the time between them.
    (tube,) = [target.tube for target in (*found.targets, *(r.target for r in found.rivals))]
    assert tube is not None and tube.times_s[tube.observed] == pytest.approx([0.9, 2.9])


def test_a_choice_that_cannot_be_read_is_no_refusal(ground):
    answers = {"choose": "The one in white.", "contrast": "both"}
    found, _ = ground(EXPRESSION, answers=answers, want="tube")
    # Rules choose by the tracks, and only one moves left.
    assert [step["by"] for step in found.steps if step["step"] == "choose"] == ["rules"]
    assert any("names no number" in issue.text for issue in found.issues)
    assert iou(found.targets[0].tube.at(2.0), truth_of("b", 2.0)) > 0.8


def test_a_checker_of_another_name_judges_what_the_observer_finds(script):
    observer = ScriptedModel(Oracle(WORLD, "b"), clip=CLIP, tier="small", name="observer")
    oracle = InTurn(WORLD, "b", "AB", check="1. yes 2. no 3. no")
    checker = ScriptedModel(oracle, clip=CLIP, tier="small", name="checker")
    reasoner = Reasoner(observer, checker=checker, store=Store.in_memory())
    found = reasoner.ground(script, EXPRESSION, want="tube")
    assert found.status is GroundingStatus.NONE
    assert found.settings["judge"]["name"] == "checker"
    assert all(asked.text.startswith("Locate") for asked in observer.asked)
    assert found.cost["calls"] == observer.calls + checker.calls


def test_all_that_a_chooser_names_are_compared(ground):
    """Trap: of three that are said to fit equally, the third is not dropped without a look."""
    rows = [{"bbox_2d": [300 * i, 0, 300 * i + 200, 300]} for i in range(3)]
    answers = {"locate": json.dumps(rows), "choose": "1, 2, 3", "contrast": "both"}
    found, _ = ground("the red star", answers=answers, at=1.0)
    assert found.status is GroundingStatus.AMBIGUOUS and len(found.targets) == 3


def test_several_boxes_of_one_reply_are_candidates_and_none_is_taken_for_being_first(ground):
    """Trap: first box, last box and best box differ; which one was taken is told."""
    rows = [{"bbox_2d": [0, 0, 200, 300]}, {"bbox_2d": [600, 0, 800, 300]}]
    answers = {"locate": json.dumps(rows), "choose": "2. It is red."}
    found, _ = ground("the red star", answers=answers, at=1.0, budget=Budget(rounds=5))
    assert found.status is GroundingStatus.FOUND and found.boxes[0].x1_px == pytest.approx(192)
    (choose,) = [step for step in found.steps if step["step"] == "choose"]
    assert choose["candidates"] == ["1", "2"] and choose["ids"] == ["2"]


class MaskCarrier:
    """Meets `Tracker`: carries the first seed to all frames of a window, with a mask."""

    name = "carrier"

    def track(self, frames: FrameBatch, seeds: Sequence[Sequence[Detection]]) -> tuple[Tube, ...]:
        (seed,) = next(row for row in seeds if row)
        tube = Tube.from_boxes([float(t) for t in frames.times_s], [seed.box] * len(frames))
        pixels = np.zeros(frames.pixels.shape[1:3], bool)
        pixels[:4, :4] = True
        return (replace(tube, masks=(Mask.from_array(pixels),) * len(frames)),)


def test_masks_are_carried_from_the_box_of_one_frame(script, monkeypatch):
    monkeypatch.setattr("mmreason.agent.grounding.grounders._kind_of", lambda name: "masks")
    monkeypatch.setattr(
        "mmreason.agent.grounding.candidates.load_mask_tracker_of", lambda g: MaskCarrier()
    )
    model = ScriptedModel(Oracle(WORLD, "b"), clip=CLIP, tier="small")
    found = Reasoner(model, store=Store.in_memory()).ground(
        script, EXPRESSION, want="mask", grounder="some/tracker"
    )
    (target,) = found.targets
    assert found.status is GroundingStatus.FOUND and found.settings["grounder"]["kind"] == "masks"
    assert target.tube is not None and target.tube.masks is not None
    assert all(mask is not None for mask in target.tube.masks)
    # It was boxed in a frame near the middle, in the words of the expression.
    first = model.asked[1]
    assert first.text.startswith(f"Locate the {EXPRESSION.removeprefix('the ')}")
    assert 1.5 < first.times_s[0] < 2.5
