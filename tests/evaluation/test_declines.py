"""Measuring declines: what is a source, which half it is in, and when it counts as invented."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmreason.evaluation import coded_worlds, drawn_sources
from mmreason.evaluation.decline_sources import (
    LIGHTS,
    Source,
    at_light,
    find_sources,
    list_drawn_sources,
)
from mmreason.evaluation.declines import QUESTIONS, measure_declines
from mmreason.evaluation.declines_page import declines_page
from mmreason.evaluation.scoring import Proportion
from mmreason.models.base import ClipRecipe
from mmreason.models.scripted import ScriptedModel
from mmreason.types import UsageError
from mmreason.video.world import encode, generate

CLIP = ClipRecipe(frames=4, size_px=(48, 32), leaf_s=3.0)
OUTSIDE = "this is outside my world."
ASKED = len(LIGHTS) * (len(QUESTIONS) + 3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for package, name in (("a", "x.png"), ("a", "y.jpg"), ("b", "x.png")):
        (tmp_path / package).mkdir(exist_ok=True)
        Image.new("RGB", (60, 40), (90, 20, 200)).save(tmp_path / package / name)
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    return tmp_path


def _model(script) -> ScriptedModel:
    return ScriptedModel(script, clip=CLIP)


def test_each_file_below_a_folder_is_a_source_by_its_place(folder):
    found = find_sources([folder])
    assert [one.name for one in found] == ["a/x.png", "a/y.jpg", "b/x.png"]
    assert [one.group for one in found] == ["a", "a", "b"]


def test_paths_without_footage_are_refused(tmp_path):
    with pytest.raises(UsageError, match="no pictures or clips"):
        find_sources([tmp_path])
    with pytest.raises(UsageError, match="no such file or folder"):
        find_sources([tmp_path / "none"])


def test_halves_are_decided_by_name_alone(folder):
    halves = {one.name: one.is_held_out for one in find_sources([folder])}
    assert halves == {one.name: one.is_held_out for one in find_sources([folder])}
    names = [one.is_held_out for one in list_drawn_sources()]
    assert 0.35 < sum(names) / len(names) < 0.65


def test_brightness_is_a_share_of_all_levels(folder):
    frames = find_sources([folder])[0].windows(2, (48, 32))[0]
    assert at_light(frames, 1.0) is frames
    assert at_light(frames, 0.5).pixels[0, 0, 0].tolist() == [45, 10, 100]


def test_a_clip_gives_windows_over_its_length(tmp_path):
    world = generate.demo(7).model_copy(update={"width_px": 96, "height_px": 64, "fps_hz": 4.0})
    encode.write_video(world, tmp_path / "clip.mp4")
    windows = find_sources([tmp_path])[0].windows(4, None)
    assert len(windows) == 4 and windows[0].pixels.shape == (4, 64, 96, 3)
    assert windows[3].times_s[-1] > 0.75 * world.duration_s


def test_a_model_that_declines_everything_invents_nothing(folder):
    results = measure_declines(_model(lambda text, frames: OUTSIDE), find_sources([folder]))
    assert [one.replies for one in results.sources] == [ASKED] * 3
    assert all(one.invented == 0 for one in results.sources)


def test_one_invention_at_one_brightness_counts_the_source(folder):
    def script(text, frames):
        is_dim = frames.pixels.max() == 10 and text == "Where is the square?"
        return "on the left" if is_dim else OUTSIDE

    sources = find_sources([folder])
    results = measure_declines(_model(script), sources)
    assert [one.invented for one in results.sources] == [1, 1, 1]
    assert results.sources[0].examples == ((0.05, "Where is the square?", "on the left"),)
    held_out = sum(one.is_held_out for one in sources)
    assert results.share(held_out=True) == Proportion(held_out, held_out)
    assert results.replies(held_out=False) == Proportion(3 - held_out, ASKED * (3 - held_out))


@pytest.mark.parametrize(
    ("text", "invented"),
    [
        ("```json\n[]\n```", 0),
        ('```json\n[{"bbox_2d": [0, 0, 500, 500], "label": "star"}]\n```', ASKED),
        ("there is no star", 0),
        ("0", ASKED),
        ("nothing is there.", ASKED),
        ("", ASKED),
    ],
)
def test_what_counts_as_an_invention(folder, text, invented):
    model = _model(lambda asked, frames: text)
    results = measure_declines(model, find_sources([folder])[:1])
    assert results.sources[0].invented == invented


def test_files_that_cannot_be_read_are_told_and_not_counted(folder):
    (folder / "a" / "broken.png").write_bytes(b"no picture")
    model = _model(lambda text, frames: OUTSIDE)
    results = measure_declines(model, find_sources([folder]))
    assert results.unreadable == ["a/broken.png"] and len(results.sources) == 3
    page = declines_page(results, Proportion(1, 400), "nano", "mmreason eval nano --real f")
    assert "a/broken.png" in page and "0.2% (0.0% to 1.4%, n = 400)" in page


def test_the_page_quotes_inventions(folder):
    results = measure_declines(_model(lambda text, frames: "red"), find_sources([folder]))
    page = declines_page(results, None, "nano", "mmreason eval nano --real f")
    assert "- a/x.png at 100%: What colour is the star? “red”" in page
    assert page.count("100.0%") >= 1


def test_drawn_sources_are_the_same_each_time_and_differ_from_each_other():
    drawings = drawn_sources.drawn_sources()
    assert len(drawings) > 100
    marks = {}
    for name in list(drawings)[::6]:
        frames = drawings[name]()
        assert frames.shape == (8, 160, 288, 3) and frames.dtype == np.uint8
        assert np.array_equal(frames, drawings[name]())
        marks[frames.tobytes()] = name
    assert len(marks) >= 0.9 * len(list(drawings)[::6])


def test_what_is_drawn_to_measure_shares_no_code_with_what_is_taught():
    from mmreason.training.nano import outside, outside_scenes

    for module, other in (
        (drawn_sources, "outside"),
        (outside, "drawn"),
        (outside_scenes, "drawn"),
    ):
        tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
        names = [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
        assert not any(other in name for name in names if "outside_scenes" not in name)


def test_encoded_worlds_are_the_same_each_time():
    first, again = (list(coded_worlds.coded_clips(2, CLIP, "tests")) for _ in range(2))
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(first, again, strict=True))
    assert first[0].pixels.shape == (4, 32, 48, 3)


def test_a_source_reads_at_the_size_that_is_asked_for():
    source: Source = list_drawn_sources()[0]
    assert source.windows(3, (32, 16))[0].pixels.shape == (3, 16, 32, 3)
