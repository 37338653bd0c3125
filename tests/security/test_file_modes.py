"""Files that are written: their modes, links, names, and being told before the work starts."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmreason.video import VideoError
from mmreason.video.files import check_writable, write_atomic


@pytest.fixture
def umask() -> Iterator[None]:
    """Each test sets its own; the one of the process comes back."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("mask", "mode"), [(0o077, 0o600), (0o022, 0o644), (0o027, 0o640), (0, 0o666)]
)
def test_a_new_file_has_the_mode_that_the_umask_leaves(
    umask: None, tmp_path: Path, mask: int, mode: int
) -> None:
    os.umask(mask)
    assert mode_of(write_atomic(tmp_path / "new" / "a.html", b"a")) == mode
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.html"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444])
def test_a_replaced_file_keeps_its_mode(umask: None, tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.html"
    path.write_bytes(b"before")
    path.chmod(mode)
    write_atomic(path, b"after")
    assert (path.read_bytes(), mode_of(path)) == (b"after", mode)


def test_a_link_stays_and_its_file_is_replaced(umask: None, tmp_path: Path) -> None:
    target = tmp_path / "there" / "a.html"
    target.parent.mkdir()
    target.write_bytes(b"before")
    target.chmod(0o600)
    link = tmp_path / "link.html"
    link.symlink_to("there/a.html")
    check_writable(link)
    write_atomic(link, b"after")
    assert link.is_symlink() and (target.read_bytes(), mode_of(target)) == (b"after", 0o600)
    target.unlink()
    write_atomic(link, b"anew")
    assert link.is_symlink() and target.read_bytes() == b"anew"


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    check_writable(pipe)
    write_atomic(pipe, b"through")
    assert os.read(reader, 99) == b"through" and stat.S_ISFIFO(pipe.stat().st_mode)
    os.close(reader)


@pytest.mark.parametrize(
    "name", [b"a" * 250 + b".html", b"caf\xe9.html", b"a\nb.html", b"%03d.html", b"-rf"]
)
def test_any_name_that_a_file_can_have_is_written(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    check_writable(path)
    write_atomic(path, b"a")
    write_atomic(path, b"b")
    (written,) = tmp_path.iterdir()
    assert (os.fsencode(written.name), written.read_bytes()) == (name, b"b")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a" * 256, "name too long"),
        ("a" * 256 + "/b", "name too long"),
        ("a\0b", "null"),
        ("file/b", "is not a folder; give another name"),
        ("file/b/c", "is not a folder; give another name"),
        ("folder", "is a folder; give the name of a file"),
        ("link to folder", "is a folder"),
        ("ring", "[Ss]ymbolic link"),
    ],
)
def test_what_cannot_be_written_is_told_before_and_then(
    tmp_path: Path, name: str, words: str
) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link to folder").symlink_to("folder")
    (tmp_path / "ring").symlink_to("ring")
    before = sorted(os.walk(tmp_path))
    with pytest.raises(VideoError, match=f"(?i)cannot be written: .*{words}") as caught:
        check_writable(tmp_path / name)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    with pytest.raises((OSError, ValueError)):
        write_atomic(tmp_path / name, b"x")
    assert sorted(os.walk(tmp_path)) == before


def test_a_folder_that_may_not_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told of `access`, as the one who runs the tests may write everywhere."""
    asked: list[Path] = []
    monkeypatch.setattr(os, "access", lambda path, mode: asked.append(path) or False)
    with pytest.raises(VideoError, match=r"nothing may be written into .*; give another folder"):
        check_writable(tmp_path / "new" / "newer" / "a.html")
    assert asked == [tmp_path]


def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"No space left on device: '/dev/full'"):
        write_atomic(Path("/dev/full"), b"x" * 99)
    assert list(tmp_path.iterdir()) == []
