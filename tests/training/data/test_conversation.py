"""Samples to conversations: spans, lists of frames, images, and media that cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmreason.models.base import ClipRecipe, FramesPart, TextPart
from mmreason.training.data.conversation import FrameCache, adapt_clip, to_conversation
from mmreason.training.data.sample import MediaKind, MediaRef, SampleMessage
from mmreason.types import UsageError
from mmreason.video.types import Span, VideoError
from mmreason.video.world import encode, generate

CLIP = ClipRecipe(frames=4, leaf_s=4.0, longest_px=64)


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> str:
    world = generate.demo(7)
    scene = world.scenes[4].model_copy(update={"start_s": 0.0, "end_s": 4.0, "events": ()})
    small = {"scenes": (scene,), "width_px": 160, "height_px": 96}
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    return str(encode.write_video(world.model_copy(update=small), path))


def frames_of(medium: MediaRef, clip: ClipRecipe = CLIP) -> FramesPart:
    (message,) = to_conversation([SampleMessage(role="user", parts=(medium, "What?"))], clip)
    shown, text = message.parts
    assert isinstance(shown, FramesPart) and text == TextPart("What?")
    return shown


def picture(path: Path, shade: int, size: tuple[int, int] = (80, 40)) -> str:
    Image.new("RGB", size, (shade, shade, shade)).save(path)
    return str(path)


def test_a_span_shows_that_stretch_alone(video):
    whole = frames_of(MediaRef(kind=MediaKind.VIDEO, paths=(video,)))
    part = frames_of(MediaRef(kind=MediaKind.VIDEO, paths=(video,), span=Span(1, 2)))
    assert len(whole.frames.times_s) == len(part.frames.times_s) == 4
    assert whole.frames.times_s[-1] > 2 > part.frames.times_s.max()
    assert part.frames.times_s.min() >= 1


def test_a_span_outside_of_the_video_is_told(video):
    with pytest.raises(VideoError, match="outside of the video"):
        frames_of(MediaRef(kind=MediaKind.VIDEO, paths=(video,), span=Span(90, 95)))


def test_listed_frames_are_one_clip_with_times_of_their_rate(tmp_path):
    paths = tuple(picture(tmp_path / f"{i}.png", 20 * i) for i in range(9))
    medium = MediaRef(kind=MediaKind.FRAMES, paths=paths, rate_hz=2.0)
    shown = frames_of(medium)
    assert shown.kind == "video"
    # The first and the last, and those evenly between: 0, 3, 5, 8.
    assert shown.frames.times_s.tolist() == [0.0, 1.5, 2.5, 4.0]
    assert shown.frames.pixels[:, 0, 0, 0].tolist() == [0, 60, 100, 160]


def test_an_image_stays_an_image_within_the_longest_side(tmp_path):
    shown = frames_of(MediaRef(kind=MediaKind.IMAGE, paths=(picture(tmp_path / "a.png", 9),)))
    assert shown.kind == "image" and shown.frames.pixels.shape == (1, 32, 64, 3)


@pytest.mark.parametrize("kind", [MediaKind.VIDEO, MediaKind.IMAGE, MediaKind.FRAMES])
def test_a_missing_file_is_named(tmp_path, kind):
    with pytest.raises((UsageError, VideoError), match=r"gone\.mp4"):
        frames_of(MediaRef(kind=kind, paths=(str(tmp_path / "gone.mp4"),)))


def test_sound_is_refused_with_what_to_give_in_its_place():
    with pytest.raises(UsageError, match="give the row a transcript"):
        frames_of(MediaRef(kind=MediaKind.AUDIO, paths=("a.wav",)))


def test_a_clip_is_decoded_once_and_anew_where_it_was_written_anew(tmp_path):
    path = picture(tmp_path / "a.png", 50)
    medium = MediaRef(kind=MediaKind.IMAGE, paths=(path,))
    cache = FrameCache()
    assert cache.read(medium, CLIP) is cache.read(medium, CLIP)
    assert cache.hits == 1
    # Another number of frames or another size is another reading.
    cache.read(medium, adapt_clip(CLIP, frames=None, longest_px=32))
    assert cache.hits == 1
    picture(Path(path), 90)
    os.utime(path, ns=(1, 1))
    assert cache.read(medium, CLIP).pixels[0, 0, 0, 0] == 90


def test_kept_frames_stay_within_their_memory(tmp_path):
    media = [
        MediaRef(kind=MediaKind.IMAGE, paths=(picture(tmp_path / f"{i}.png", i),)) for i in range(4)
    ]
    one = 32 * 64 * 3
    cache = FrameCache(most_bytes=2 * one)
    for medium in media:
        assert np.all(cache.read(medium, CLIP).pixels == int(Path(medium.path).stem))
        assert cache.used_bytes <= 2 * one
    cache.read(media[3], CLIP)
    cache.read(media[0], CLIP)
    assert cache.hits == 1
