"""Parity with the processors of Qwen models: same frames, same sizes, same token counts.

qwen-vl-utils is asked itself where it is installed; its answers recorded below hold without it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmreason.video import Span, Video, plan
from mmreason.video.plan.families import QWEN2_5_VL, QWEN3_VL, Family, FamilyName
from tests.video import clips
from tests.video.plans import clip

SIZES = [(1280, 720), (64, 36), (3000, 100), (1080, 1920), (31, 57), (3840, 2160), (336, 336)]

# total, fps, width, height, family, frames, their first three and last two, (width, height):
# qwen-vl-utils 0.0.14 with image_patch_size 14 and 16.
RECORDED = [
    (18000, 30.0, 1280, 720, "qwen2_5_vl", 768, [0, 23, 47, 17976, 17999], (644, 336)),
    (18000, 30.0, 1280, 720, "qwen3_vl", 768, [0, 23, 47, 17976, 17999], (736, 384)),
    (300, 29.97, 854, 480, "qwen2_5_vl", 20, [0, 16, 31, 283, 299], (840, 476)),
    (300, 29.97, 854, 480, "qwen3_vl", 20, [0, 16, 31, 283, 299], (864, 480)),
    (132, 25.0, 1280, 720, "qwen2_5_vl", 10, [0, 15, 29, 116, 131], (1008, 560)),
    (132, 25.0, 1280, 720, "qwen3_vl", 10, [0, 15, 29, 116, 131], (1152, 640)),
    (7, 30.0, 64, 36, "qwen2_5_vl", 4, [0, 2, 4, 4, 6], (448, 252)),
    (7, 30.0, 64, 36, "qwen3_vl", 4, [0, 2, 4, 4, 6], (512, 288)),
    (4, 10.0, 3000, 100, "qwen2_5_vl", 4, [0, 1, 2, 2, 3], (2996, 112)),
    (4, 10.0, 3000, 100, "qwen3_vl", 4, [0, 1, 2, 2, 3], (3008, 96)),
    (3, 30.0, 64, 64, "qwen2_5_vl", 2, [0, 2, 0, 2], (336, 336)),
    (3, 30.0, 64, 64, "qwen3_vl", 2, [0, 2, 0, 2], (384, 384)),
    (2, 1.0, 3840, 2160, "qwen2_5_vl", 2, [0, 1, 0, 1], (1008, 560)),
    (2, 1.0, 3840, 2160, "qwen3_vl", 2, [0, 1, 0, 1], (1152, 640)),
    (4801, 23.976, 1920, 1080, "qwen2_5_vl", 400, [0, 12, 24, 4788, 4800], (896, 504)),
    (4801, 23.976, 1920, 1080, "qwen3_vl", 400, [0, 12, 24, 4788, 4800], (1024, 576)),
    (90, 60.0, 1080, 1920, "qwen2_5_vl", 4, [0, 30, 59, 59, 89], (560, 1008)),
    (90, 60.0, 1080, 1920, "qwen3_vl", 4, [0, 30, 59, 59, 89], (640, 1152)),
]


@pytest.mark.parametrize("row", RECORDED)
def test_qwen_is_what_qwen_vl_utils_does(row: tuple) -> None:
    total, fps_hz, width, height, family, n, ends, size_px = row
    made = plan.qwen(clip(total, fps_hz, (width, height)), family=family)
    indices = made.settings["frame_indices"]
    assert (len(made), indices[:3] + indices[-2:], made.size_px) == (n, ends, size_px)
    patch = 14 if family == "qwen2_5_vl" else 16
    assert made.token_count == n // 2 * size_px[0] * size_px[1] // (2 * patch) ** 2
    assert made.settings["sample_fps_hz"] == pytest.approx(n / total * fps_hz)


@pytest.fixture(scope="module")
def utils() -> Any:
    return pytest.importorskip("qwen_vl_utils.vision_process")


@pytest.mark.parametrize("fps", [2.0, 0.37, 7.0])
def test_qwen_counts_frames_as_the_package_does(utils: Any, fps: float) -> None:
    import torch

    for total in [*range(2, 60), 131, 997, 4999]:
        video = clip(total, 23.976)
        n = utils.smart_nframes({"fps": fps}, total, 23.976)
        indices = torch.linspace(0, total - 1, n).round().long().tolist()
        assert plan.qwen(video, fps=fps).settings["frame_indices"] == indices


LIMITS: list[dict[str, Any]] = [
    {},
    {"max_pixels": 200_000},
    {"max_pixels": 10**7},
    {"total_pixels": 5e5},
    {"min_pixels": 20_000, "total_pixels": 8e4},
]


@pytest.mark.parametrize(
    ("size_px", "limits"),
    # The package resizes real pixels: of the large pictures one case is enough.
    [(size, limits) for size in SIZES for limits in LIMITS if max(size) < 3840 or not limits],
)
def test_qwen_resizes_as_the_package_does(
    utils: Any, monkeypatch: pytest.MonkeyPatch, size_px: tuple[int, int], limits: dict
) -> None:
    import torch

    width, height = size_px
    decoded = torch.zeros((4, 3, height, width), dtype=torch.uint8), {}, 2.0
    monkeypatch.setattr(utils, "get_video_reader_backend", lambda: "black")
    monkeypatch.setitem(utils.VIDEO_READER_BACKENDS, "black", lambda ele: decoded)
    families: tuple[tuple[int, FamilyName], ...] = ((14, "qwen2_5_vl"), (16, "qwen3_vl"))
    for patch, family in families:
        made = plan.qwen(clip(4, 2.0, size_px), family=family, **limits)
        fetched = utils.fetch_video({"video": "clip.mp4"} | limits, image_patch_size=patch)
        assert made.size_px == (fetched.shape[-1], fetched.shape[-2])


def test_qwen_takes_a_span_as_the_package_does(utils: Any) -> None:
    video = clip(300, 30.0, start_s=1.5)
    made = plan.qwen(video, span=Span(3.52, 7.0))
    first, last, total = utils.calculate_video_frame_range(
        {"video_start": 2.02, "video_end": 5.5}, 300, 30.0
    )
    n = utils.smart_nframes({}, total, 30.0)
    assert made.settings["frame_indices"] == np.linspace(first, last, n).round().tolist()
    assert all(Span(3.52, 7.04).contains(t) for t in made.times_s)


@pytest.fixture(scope="module")
def qwen3_processor() -> Any:
    from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

    size = {"shortest_edge": int(QWEN3_VL.min_pixels), "longest_edge": int(QWEN3_VL.max_pixels)}
    return Qwen3VLVideoProcessor(size=size, cap_pixels_per_frame=False)


@pytest.mark.parametrize("fps", [2.0, 0.37, 7.0])
def test_qwen3_takes_the_frames_of_the_processor(qwen3_processor: Any, fps: float) -> None:
    from transformers.video_utils import VideoMetadata

    for total in [*range(1, 60), 131, 997, 18_000, 216_000]:
        metadata = VideoMetadata(total_num_frames=total, fps=29.97)
        theirs = qwen3_processor.sample_frames(metadata, fps=fps).tolist()
        assert plan.qwen3(clip(total, 29.97), fps=fps).settings["frame_indices"] == theirs


@pytest.mark.parametrize("size_px", SIZES)
@pytest.mark.parametrize("n", [2, 3, 4, 5, 7, 64, 767])
@pytest.mark.parametrize("cap", [False, True])
@pytest.mark.parametrize("limits", [(4096, 25_165_824), (131_072, 786_432)])
def test_qwen3_counts_the_tokens_of_the_processor(
    qwen3_processor: Any, size_px: tuple[int, int], n: int, cap: bool, limits: tuple[int, int]
) -> None:
    made = plan.qwen3(
        clip(1000, size_px=size_px),
        n=n,
        cap_pixels_per_frame=cap,
        min_pixels=limits[0],
        max_pixels=limits[1],
    )
    options = {
        "size": {"shortest_edge": limits[0], "longest_edge": limits[1]},
        "cap_pixels_per_frame": cap,
    }
    width, height = size_px
    patches = qwen3_processor.get_num_of_video_patches(n, height, width, options)
    assert made.token_count == patches // 4


def _processed(processor: Any, n: int, size_px: tuple[int, int], **options: Any) -> int:
    """Tokens that a real processor makes of `n` black frames."""
    import torch

    frames = torch.zeros((n, 3, size_px[1], size_px[0]), dtype=torch.uint8)
    made = processor(videos=[frames], do_sample_frames=False, return_tensors="pt", **options)
    return int(made["video_grid_thw"].prod()) // processor.merge_size**2


@pytest.mark.parametrize("size_px", [(320, 180), (64, 36), (31, 57)])
@pytest.mark.parametrize("n", [2, 3, 6])
def test_families_count_what_processors_make(
    qwen3_processor: Any, size_px: tuple[int, int], n: int
) -> None:
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    video = clip(60, size_px=size_px)
    pairs: list[tuple[Any, Family]] = [
        (Qwen2VLVideoProcessor(cap_pixels_per_frame=True), QWEN2_5_VL),
        (qwen3_processor, QWEN3_VL),
    ]
    for processor, family in pairs:
        made = plan.uniform(video, n, family=family)
        assert made.size_px is not None
        assert made.token_count == _processed(processor, n, size_px)
        assert made.token_count == _processed(processor, n, made.size_px, do_resize=False)


@pytest.mark.parametrize("family", [QWEN2_5_VL, QWEN3_VL])
@pytest.mark.parametrize("n", [2, 4, 64, 768])
@pytest.mark.parametrize("size_px", SIZES)
def test_an_even_number_of_frames_is_not_resized_twice(
    family: Family, n: int, size_px: tuple[int, int]
) -> None:
    once = family.frame_size_px(*size_px, n)
    assert family.frame_size_px(*once, n) == once


@pytest.mark.parametrize("rule", [plan.qwen, plan.qwen3])
@pytest.mark.parametrize("total", [1, 2, 3, 5])
def test_short_videos_have_plans(rule: Any, total: int) -> None:
    made = rule(clip(total, 25.0, start_s=10.0))
    expected = min(total, 4) if rule is plan.qwen3 else max(1, min(total, 4) // 2 * 2)
    assert len(made) == expected
    assert made.token_count and made.token_count > 0
    assert all(10.0 < t < 10.0 + total / 25 for t in made.times_s)


@pytest.mark.parametrize("rule", [plan.qwen, plan.qwen3])
def test_times_lie_in_the_middle_of_their_frames(rule: Any) -> None:
    made = rule(clip(300, 29.97, start_s=0.5))
    indices = np.array(made.settings["frame_indices"])
    assert made.times_s == pytest.approx((0.5 + (indices + 0.5) / 29.97).tolist())
    assert made.reasons[-1] == "frame 299 of 0..299"


@pytest.mark.parametrize("rule", [plan.qwen, plan.qwen3])
def test_the_frames_named_are_the_frames_read(rule: Any, tmp_path: Path) -> None:
    path = clips.write(tmp_path / "clip.mp4", frames=70)
    with Video.open(path) as video:
        made = rule(video, fps=5.0)
        batch = video.frames_at(made.times_s, (32, 32))
        fps_hz = video.info.mean_fps_hz
    found = np.round((batch.times_s - batch.times_s[0]) * fps_hz).astype(int)
    assert found.tolist() == made.settings["frame_indices"]
    assert batch.exact.all() and found[-1] == 69


@pytest.mark.parametrize("rule", [plan.qwen, plan.qwen3])
def test_a_variable_rate_does_not_move_the_frames(rule: Any, tmp_path: Path) -> None:
    stamps_ms = clips.vfr_pts_ms(60)
    path = clips.write(tmp_path / "vfr.mp4", pts_ms=stamps_ms, size_px=(160, 96))
    with Video.open(path) as video:
        assert video.frame_times_s == pytest.approx(np.array(stamps_ms) / 1000, abs=1e-3)
        for span in (None, Span(2.0, 5.0)):
            made = rule(video, n=10, span=span)
            batch = video.frames_at(made.times_s, clips.SIZE_PX)
            assert clips.numbers(batch.pixels) == made.settings["frame_indices"]
            assert batch.times_s == pytest.approx(made.times_s, abs=1e-6)
    assert made.settings["frame_indices"] == sorted(made.settings["frame_indices"])


@pytest.mark.parametrize("rule", [plan.qwen, plan.qwen3])
def test_a_budget_comes_after_the_rule(rule: Any) -> None:
    budget = plan.FrameBudget(frames=9, tokens=600)
    made = rule(clip(3000), budget=budget)
    assert len(made) == (8 if rule is plan.qwen else 9)
    assert made.token_count is not None and 300 < made.token_count <= 600
    assert made.settings["frame_indices"][-1] == 2999
    assert made.settings["frames_asked"] == 200


@pytest.mark.parametrize(
    ("rule", "options", "message"),
    [
        (plan.qwen, {"n": 301}, "ask for 300 frames|ask for 302 frames"),
        (plan.qwen, {"n": 1000}, "ask for 1000 frames, which must lie in 2..299"),
        (plan.qwen, {"max_frames": 1}, "ask for 0 frames"),
        (plan.qwen, {"fps": 0}, "fps must be above 0"),
        (plan.qwen3, {"fps": float("nan")}, "fps must be above 0"),
        (plan.qwen, {"family": "llava"}, "family must be one of"),
        (plan.qwen, {"max_pixels": 10}, "must not be below min_pixels"),
        (plan.qwen3, {"span": Span(1.0, 1.01)}, "no two frames begin in"),
        (plan.qwen3, {"span": Span(50.0, 60.0)}, "empty span"),
        (plan.qwen3, {"n": 0}, "n must be 1 or more"),
    ],
)
def test_what_cannot_be_sampled(rule: Any, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rule(clip(299), **options)
