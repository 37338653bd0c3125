"""Files that show the same are told, each once; files that differ in one small thing are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from mmreason.engines import InlineEngine, Ledger
from mmreason.training.data.doctor.groups import find_similar, group_copies
from mmreason.training.data.doctor.media import MediaReading, read_media
from mmreason.training.data.sample import MediaKind

SIDE_PX = 320


def draw_scene(*, has_ball: bool) -> Image.Image:
    """Blocks of grey, the same each time, with a ball or without."""
    levels = np.random.default_rng(3).integers(40, 200, (8, 8), np.uint8)
    pixels = levels.repeat(SIDE_PX // 8, axis=0).repeat(SIDE_PX // 8, axis=1)
    if has_ball:
        pixels[100:140, 100:140] = 255
    return Image.fromarray(pixels).convert("RGB")


def find_pairs(files: dict[str, MediaKind]) -> list[tuple[str, str]]:
    with Ledger.in_memory() as ledger:
        reading = MediaReading(frames=True, engine=InlineEngine(), ledger=ledger)
        media = read_media(files, reading)
        assert all(facts.problem is None for facts in media.values())
        pairs = find_similar(media, group_copies(media), reading)
    return [(Path(first).name, Path(second).name) for first, second in pairs]


def test_pictures_encoded_again_are_told_once_each_and_one_with_another_object_is_not(
    tmp_path: Path,
):
    scene = draw_scene(has_ball=False)
    scene.save(tmp_path / "first.png")
    scene.save(tmp_path / "coarse.jpg", quality=60)
    scene.resize((SIDE_PX // 2, SIDE_PX // 2)).save(tmp_path / "small.png")
    draw_scene(has_ball=True).save(tmp_path / "ball.png")
    names = ["first.png", "coarse.jpg", "small.png", "ball.png"]
    files = {str(tmp_path / name): MediaKind.IMAGE for name in names}
    assert find_pairs(files) == [("first.png", "coarse.jpg"), ("first.png", "small.png")]


def test_flat_pictures_are_not_alike(tmp_path: Path):
    for level in (0, 1, 2):
        Image.new("RGB", (64, 64), (level, level, level)).save(tmp_path / f"{level}.png")
    assert find_pairs({str(path): MediaKind.IMAGE for path in tmp_path.iterdir()}) == []
