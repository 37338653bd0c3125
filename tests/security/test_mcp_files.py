"""Files that `mmreason mcp` may open: what is moved or linked meanwhile never leads out."""

import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from mmreason.models.base import ClipRecipe
from mmreason.models.scripted import ScriptedModel
from mmreason.reasoner import Reasoner
from mmreason.server.call import Call
from mmreason.server.results import InspectResult
from mmreason.server.roots import MAX_FOLDERS, Roots
from mmreason.server.service import VideoService
from mmreason.server.subtitles import SubtitleReader
from mmreason.types import UsageError
from mmreason.video import Video
from mmreason.video.backends.base import ReadOptions
from mmreason.video.world import generate
from tests.video import clips

CALLS = 2_000
SECRET = "1\n00:00:00,000 --> 00:00:02,000\nthe secret\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a video of 60 frames, beside one that may not be read with a video of 30."""
    for name in ("root", "outside"):
        (tmp_path / name).mkdir()
    clips.write(tmp_path / "root" / "inside.mp4", frames=60)
    clips.write(tmp_path / "outside" / "secret.mp4", frames=30)
    return tmp_path / "root"


@contextmanager
def _swapping(path: Path, real: Path, link_target: Path) -> Iterator[None]:
    """Have `path` be the file or folder `real` and a link to `link_target`, in turns."""
    stop = threading.Event()
    new = path.with_name("new")

    def swap() -> None:
        while not stop.is_set():
            if real.is_dir():
                real.rename(path)
                time.sleep(0)
                path.rename(real)
            else:
                os.link(real, new)
                new.replace(path)
                time.sleep(0)
            new.symlink_to(link_target)
            new.replace(path)
            time.sleep(0)
            path.unlink()

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _frames_of(service: VideoService, name: str) -> int | None:
    values = service.inspect(Call(60), name).values
    assert isinstance(values, InspectResult)
    return values.frame_count


@pytest.fixture
def service(root: Path) -> VideoService:
    return VideoService(lambda: Reasoner(ScriptedModel({})), Roots.of([root]))


@pytest.mark.parametrize("name", ["thing", "thing/secret.txt"])
def test_what_becomes_a_link_never_shows_what_is_outside(name: str, root: Path) -> None:
    is_folder = "/" in name
    inside, outside = root / "kept", root.parent / "outside"
    if is_folder:
        inside.mkdir()
    (inside / "secret.txt" if is_folder else inside).write_text("inside")
    (outside / "secret.txt").write_text("outside")
    roots = Roots.of([root])
    contents: list[str] = []
    with _swapping(root / "thing", inside, outside if is_folder else outside / "secret.txt"):
        for _ in range(CALLS):
            try:
                with roots.open(name) as file:
                    contents.append(file.read().decode())
            except UsageError:
                continue
    assert set(contents) == {"inside"}


def test_a_video_is_read_through_what_was_opened(root: Path, service: VideoService) -> None:
    (root / "clip.mp4").symlink_to("inside.mp4")
    assert _frames_of(service, "clip.mp4") == 60, "a link that stays inside is followed"
    with service.roots.open("clip.mp4") as file:
        (root / "inside.mp4").unlink()
        (root / "inside.mp4").symlink_to("../outside/secret.mp4")
        with Video.open(file) as video:
            assert video.info.frame_count == len(video.frame_times_s) == 60
            assert clips.numbers(video.frames_at([1.5]).pixels) == [45]
    with pytest.raises(UsageError, match="lies outside"):
        _frames_of(service, "clip.mp4")


def test_a_root_that_is_replaced_is_none(root: Path) -> None:
    roots = Roots.of([root])
    root.rename(root.with_name("moved"))
    shutil.copytree(root.parent / "outside", root)
    with pytest.raises(UsageError, match="lies outside"):
        roots.open("secret.mp4")


def test_a_root_that_is_gone_does_not_hide_the_others(root: Path) -> None:
    gone = root.with_name("gone")
    gone.mkdir()
    roots = Roots.of([gone, root])
    gone.rmdir()
    with roots.open("inside.mp4") as file:
        assert file.name == str(root / "inside.mp4")
    roots = Roots.of([root])
    root.rename(gone)
    with pytest.raises(UsageError, match="lies outside"):
        roots.open("inside.mp4")


def test_a_name_with_a_pattern_is_one_file(root: Path, service: VideoService) -> None:
    Image.new("RGB", (8, 8), "red").save(root.parent / "outside" / "red.png")
    Image.new("RGB", (8, 8), "blue").save(root / "img%03d.png")
    for number in range(3):
        (root / f"img{number:03}.png").symlink_to("../outside/red.png")
    output = service.frames(Call(60), "img%03d.png", [0.0])
    with Video.open(output.pictures[0].jpeg) as shown:
        red, _, blue = shown.frames_at([0.0]).pixels[0, 4, 4]
    assert blue > red
    with pytest.raises(UsageError, match="lies outside"):
        service.frames(Call(60), "img000.png", [0.0])


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "dangling"])
def test_only_regular_files_are_opened_and_nothing_waits(kind: str, root: Path) -> None:
    path = root / "thing.mp4"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere.mp4")
    message = {
        "pipe": "is not a regular file, expected a video file",
        "device": "lies outside",
        "folder": "is a folder",
        "dangling": r"no such file \(a link to nowhere.mp4\)",
    }
    with pytest.raises(UsageError, match=message[kind]):
        Roots.of([root]).open("thing.mp4")


@pytest.mark.parametrize(
    "name",
    ["", "\0", "a\0b", "\ud800", "\udcff", "A" * 5_000, "é" * 200, "x/" * 2_000 + "y", "/" * 4_000],
)
def test_a_path_that_no_file_has_is_one_short_line(name: str, root: Path) -> None:
    with pytest.raises(UsageError) as caught:
        Roots.of([root]).open(name)
    line = str(caught.value)
    assert "\n" not in line and len(line) < 5_000
    line.encode()


def test_deep_folders_are_refused_and_no_descriptor_is_left_open(root: Path) -> None:
    deep = root
    for _ in range(MAX_FOLDERS):
        deep = deep / "d"
        deep.mkdir()
    free = os.dup(0)
    os.close(free)
    with pytest.raises(UsageError, match=f"more than {MAX_FOLDERS} folders"):
        Roots.of([root]).open("d/" * MAX_FOLDERS + "a.mp4")
    after = os.dup(0)
    os.close(after)
    assert after == free, "a descriptor was left open"


def test_what_is_outside_is_not_told_even_whether_it_is_there(root: Path) -> None:
    roots = Roots.of([root])
    lines = set()
    for name in ("../outside/secret.mp4", "../outside/none.mp4", "../none/none.mp4", "../outside"):
        with pytest.raises(UsageError) as caught:
            roots.open(name)
        lines.add(str(caught.value).replace(name, "NAME"))
    assert len(lines) == 1 and "lies outside" in lines.pop()


def test_subtitles_are_read_below_the_roots_only(root: Path) -> None:
    outside = root.parent / "outside" / "secret.srt"
    outside.write_text(SECRET)
    (root / "inside.srt").symlink_to(outside)
    (root / "inside.en.srt").write_text(SECRET.replace("secret", "inside"))
    roots = Roots.of([root])
    with roots.open("inside.mp4") as file, Video.open(file) as video:
        reader = SubtitleReader(
            roots=roots, video_name=file.name, video_path=video.path, options=ReadOptions()
        )
        found = reader.find()
        assert found is not None and [line.text for line in found] == ["the inside"]
        assert found.language == "en" and "inside.srt was not read" in " ".join(found.notes)
        for name in ("../outside/secret.srt", "inside.srt"):
            with pytest.raises(UsageError, match="lies outside"):
                reader.read(name)
        assert [line.text for line in reader.read("inside.en.srt")] == ["the inside"]


_writes: list[str] | None = None
"""Files that this process opens for writing, while a test listens."""


def _listen(event: str, arguments: tuple[object, ...]) -> None:
    if _writes is None or event != "open":
        return
    path, _, flags = arguments
    # What is opened by descriptor was opened by name before, or is a pipe.
    is_named = not isinstance(path, int)
    if is_named and isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        _writes.append(str(path))


sys.addaudithook(_listen)


def test_no_file_is_written_by_any_tool(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (8, 8), "blue").save(root / "star.png")
    generate.demo(seed=7).save(root / "star.json")
    model = ScriptedModel(lambda text, frames: "[]", clip=ClipRecipe(frames=2, leaf_s=1.0))
    service = VideoService(lambda: Reasoner(model), Roots.of([root]))
    written: list[str] = []
    monkeypatch.setattr(sys.modules[__name__], "_writes", written)
    with (root / "control").open("w"):
        assert written == [str(root / "control")]
    for name in ("inside.mp4", "star.json"):
        service.inspect(Call(60), name)
        service.frames(Call(60), name, [0.5])
        service.sheet(Call(60), name, None, None, 2)
        service.overview(Call(60), name, None, None)
        service.transcript(Call(60), name, None, None, None)
        service.search(Call(60), name, "star", channels=(), start_s=None, end_s=None, limit=8)
    service.caption(Call(60), "inside.mp4", None, 1.0)
    service.ground(Call(60), "star.png", "the star", None)
    service.ask(
        Call(60),
        "inside.mp4",
        "what?",
        options=None,
        subtitles=None,
        frames=None,
        seconds=None,
        report_step=lambda number, doing: None,
    )
    # Python keeps what it compiles, where the sources may be written.
    files = {path for path in written[1:] if "__pycache__" not in path}
    assert files - {os.devnull} == set()


def test_a_folder_of_very_many_files_is_not_searched(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = Roots.of([root])
    for number in range(4):
        (root / f"inside.{number}.txt").touch()
    assert len(roots.names_beside(str(root / "inside.mp4"))) == 5
    monkeypatch.setattr("mmreason.server.roots.MAX_LISTED_FILES", 4)
    assert roots.names_beside(str(root / "inside.mp4")) == []
