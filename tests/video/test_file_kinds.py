"""What is no video is told apart by its content, in one line that says what to do."""

from __future__ import annotations

import re
import shlex
import struct
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from shutil import which

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmreason.video import Video, VideoError, inspect_file
from mmreason.video.backends.choose import BACKENDS
from mmreason.video.file_kinds import describe_other_kind
from mmreason.video.unreadable import explain_unreadable
from tests.video import clips

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
HLS = b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:1.0,\nplay0.ts\n#EXT-X-ENDLIST\n"
PAGE = b"<!DOCTYPE html>\n<html lang=en><title>Log in</title></html>"
HEADS: dict[str, tuple[bytes, str]] = {
    "lfs": (LFS, r"pointer of Git LFS.*git lfs pull`"),
    "annex": (b"/annex/objects/SHA256E-s1--ab.mp4\n", r"git annex get"),
    "dvc": (b"outs:\n- md5: 1a\n  path: v.mp4\n", r"dvc pull"),
    "shortcut": (b"[InternetShortcut]\r\nURL=https://example.org\r\n", r"link to a web page"),
    "windows shortcut": (b"L\0\0\0\1\x14\2\0\0\0", r"shortcut of Windows"),
    "macos shadow": (b"\0\5\x16\7\0\2\0\0Mac OS X", r"what macOS keeps beside a file"),
    "program": (b"MZ\x90\0\3", r"is a program for Windows"),
    "http": (b"HTTP/1.1 200 OK\r\n\r\n\0\0\0\x18ftypmp42", r"headers of a web server's answer"),
    "torrent": (b"d8:announce35:udp://tracker", r"is a torrent"),
    "hls": (HLS, r"playlist \(HLS\).*`ffmpeg -i \S+ -c copy \S+\.mp4`"),
    "hls of a network": (
        HLS.replace(b"play0", b"https://cdn.example/play0"),
        r"on a network.*-protocol_whitelist file,http,https,tcp,tls,crypto,data -i",
    ),
    "m3u": (b"#EXTM3U\n#EXTINF:10,song\na.mp4\n", r"is a playlist; give one of the files"),
    "pls": (b"[playlist]\nFile1=a.mp4\n", r"is a playlist"),
    "asx": (b'<asx version="3.0"><entry/></asx>', r"is a playlist"),
    "ffconcat": (b"ffconcat version 1.0\nfile base.mp4\n", r"`ffmpeg -f concat -safe 0 -i"),
    "concat list": (b"# parts\nfile 'a b.mp4'\nfile 'c.mp4'\n", r"`ffmpeg -f concat -safe 0 -i"),
    "mpd": (b'<?xml version="1.0"?>\n<!-- x -->\n<MPD xmlns="urn:x">', r"\(MPEG-DASH\).*ffmpeg -i"),
    "sdp": (b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\n", r"live stream \(SDP\)"),
    "vtt": (b"WEBVTT\n\n00:01.000 --> 00:02.000\nx\n", r"is a subtitle file; give the video"),
    "srt": (b"\xef\xbb\xbf1\r\n00:00:01,000 --> 00:00:02,000\r\nx\r\n", r"is a subtitle file"),
    "ass": (b"[Script Info]\nTitle: x\n", r"is a subtitle file"),
    "ttml": (b'<?xml version="1.0"?><tt xmlns="http://www.w3.org/ns/ttml">', r"TTML"),
    "s3 error": (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code></Error>',
        r"error message of a server",
    ),
    "json error": (b'{"error": {"code": 403}}', r"is a JSON document"),
    "page": (PAGE, r"is a web page, not a video"),
    "page without a doctype": (b"\n\n <HEAD><meta charset=utf-8>", r"is a web page"),
    "svg": (b'<?xml version="1.0"?><svg xmlns="x"/>', r"is a drawing \(SVG\)"),
    "xml": (b'<?xml version="1.0"?><rss/>', r"is an XML document"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3", r"is a document \(PDF"),
    "office": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0", r"is an Office document"),
    "zip": (b"PK\3\4\x14\0", r"zip archive.*unpack it"),
    "gzip": (b"\x1f\x8b\x08\0", r"gzip; unpack it"),
    "rar": (b"Rar!\x1a\x07\1\0", r"rar archive"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4", r"7z archive"),
    "xz": (b"\xfd7zXZ\0\0", r"by xz"),
    "zstd": (b"\x28\xb5\x2f\xfd\4", r"by zstd"),
    "bzip2": (b"BZh91AY&SY\0", r"by bzip2"),
    "tar": (b"a.mp4".ljust(257, b"\0") + b"ustar\0", r"tar archive"),
    "numpy": (b"\x93NUMPY\1\0", r"array of NumPy"),
    "hdf5": (b"\x89HDF\r\n\x1a\n", r"HDF5"),
    "sqlite": (b"SQLite format 3\0", r"SQLite"),
    "parquet": (b"PAR1\x15\4", r"Parquet"),
    "photoshop": (b"8BPS\0\1", r"Photoshop"),
    "h264": (b"\0\0\0\1\x67\x64\0\x0a", r"raw H\.264 stream; its frames carry no times.*framerate"),
    "h264 after a delimiter": (b"\0\0\0\1\x09\xf0", r"raw H\.264"),
    "hevc": (b"\0\0\0\1\x40\1\x0c\1", r"raw HEVC stream; its frames carry no times"),
    "text": (b"To whom it may concern,\nthe video is attached.\n", r"is text, not a video"),
    "utf-16": ("A video? N\u00f6.".encode("utf-16"), r"is text, not a video"),
    "code": (b"#!/usr/bin/env python\nprint('video')\n", r"is text"),
    "tiff": (b"II*\0\x08\0\0\0", r"is a picture \(TIFF or camera raw\)"),
    "jpeg xl": (b"\0\0\0\x0cJXL \r\n\x87\n", r"is a picture \(JPEG XL\)"),
    "zeros": (bytes(5000), r"is not a video: it begins with zeros"),
    "noise": (bytes(range(256)) * 20, r"no kind of video that is known begins like it"),
    "webm segment": (b"\x1f\x43\xb6\x75\x01\xff\xff\xff", r"one segment of a video \(WebM\)"),
    "cut mkv": (b"\x1a\x45\xdf\xa3\xa3", r"cut short: it begins as a Matroska or WebM file"),
    "cut avi": (b"RIFF\0\0\1\0AVI LIST", r"cut short: it begins as an AVI file"),
    "cut flv": (b"FLV\1\5\0\0\0\x09", r"."),
}


@pytest.mark.parametrize("name", HEADS)
def test_every_kind_gets_a_line_of_its_own(name: str, tmp_path: Path) -> None:
    head, words = HEADS[name]
    path = tmp_path / "clip.mp4"
    path.write_bytes(head)
    with pytest.raises(VideoError, match=words) as caught:
        Video.open(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message and len(message) < 500
    assert ".cc" not in message and ".cpp" not in message


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_back_end_says_the_same_of_what_is_no_video(backend, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(PAGE)
    with pytest.raises(VideoError, match="is a web page, not a video"):
        Video.open(path, backend)


def box(name: bytes, length: int) -> bytes:
    return struct.pack(">I", length) + name + bytes(length - 8)


def fragmented(path: Path) -> tuple[bytes, bytes]:
    """The head of a film in segments, and the first segment."""
    muxer = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    whole = clips.write(path, frames=30, muxer=muxer).read_bytes()
    cut = whole.index(b"moof") - 4
    return whole[:cut], whole[cut:]


BOXES = {
    "segment": (box(b"styp", 24) + box(b"moof", 64) + box(b"mdat", 64), "DASH or CMAF.*`cat init"),
    "bare segment": (box(b"moof", 64) + box(b"mdat", 64), "one segment of a video"),
    "no index": (box(b"ftyp", 24) + box(b"mdat", 64), "without its index, `moov`"),
    "mov without ftyp": (box(b"wide", 8) + box(b"mdat", 64), "without its index, `moov`"),
    "endless": (box(b"ftyp", 24) + b"\0\0\0\0mdat" + bytes(99), "without its index"),
    "a length of no sense": (b"\0\0\0\3mdat" + bytes(99), "without its index"),
}


@pytest.mark.parametrize("name", BOXES)
def test_parts_of_an_mp4_are_told_apart(name: str, tmp_path: Path) -> None:
    data, words = BOXES[name]
    path = tmp_path / "part.m4s"
    path.write_bytes(data)
    with pytest.raises(VideoError, match=words):
        Video.open(path)


def test_a_segment_joined_to_its_head_is_read(tmp_path: Path) -> None:
    """The advice for segments works."""
    head, first = fragmented(tmp_path / "whole.mp4")
    (tmp_path / "init").write_bytes(head)
    with pytest.raises(VideoError, match="is the head of a video in segments, without pictures"):
        Video.open(tmp_path / "init")
    segment = tmp_path / "s1.m4s"
    segment.write_bytes(first)
    with pytest.raises(VideoError, match="one segment") as caught:
        Video.open(segment)
    run(caught.value, tmp_path)
    with Video.open(tmp_path / "s1.mp4") as video:
        times_s = [video.info.start_s, video.info.start_s + 0.5]
        assert clips.numbers(video.frames_at(times_s).pixels) == [0, 15]


def run(error: Exception, folder: Path) -> None:
    """Do what a line advises."""
    command = re.search(r"`(.*)`", str(error))
    assert command is not None
    text = command[1].replace("python -c", f"{shlex.quote(sys.executable)} -c")
    subprocess.run(
        ["bash", "-c", text.replace("ffmpeg ", "ffmpeg -v error ")],
        cwd=folder,
        check=True,
        stdin=subprocess.DEVNULL,
    )


def test_raw_pixels_are_named_and_the_command_is_right(tmp_path: Path) -> None:
    path = tmp_path / "clip.yuv"
    path.write_bytes(bytes(range(1, 256)) * 1356)
    with pytest.raises(VideoError, match="holds raw pixels, by its name") as caught:
        Video.open(path)
    if which("ffmpeg") is not None:
        run(caught.value, tmp_path)
        with Video.open(tmp_path / "clip.mp4") as video:
            assert (video.info.width_px, video.info.frame_count) == (640, 1)


def test_an_encrypted_film_is_named_so(tmp_path: Path) -> None:
    path = clips.write(tmp_path / "whole.mp4", frames=3)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"encv"))
    assert explain_unreadable(path).startswith("is encrypted (DRM)")
    with pytest.raises(VideoError):
        Video.open(path)


@pytest.mark.parametrize("name", ["a.png", "a.mkv", "a.mp4"])
def test_damage_is_told_without_the_places_in_other_libraries(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "a.png":
        data = encoded("PNG", clips.draw(1))[:60]
    else:
        data = clips.write(path, frames=3).read_bytes()
    path.write_bytes(data[: int(len(data) * 0.3)])
    with pytest.raises(VideoError, match="is damaged or cut short") as caught:
        Video.open(path)
    assert not re.search(r"\.(?:cc|cpp)\b|torchcodec", str(caught.value))


def animated_webp(path: Path) -> Path:
    first, *others = [Image.fromarray(clips.draw(number)) for number in (1, 2, 3)]
    first.save(path, save_all=True, append_images=others, duration=200, lossless=True)
    return path


def test_an_animated_webp_is_named_and_the_advice_makes_it_readable(tmp_path: Path) -> None:
    path = animated_webp(tmp_path / "it's.webp")
    with pytest.raises(VideoError, match="is an animated WebP; no back end reads it") as caught:
        Video.open(path)
    assert "torchcodec" not in str(caught.value)
    run(caught.value, tmp_path)
    with Video.open(tmp_path / "it's.gif") as video:
        assert clips.numbers(video.frames_at([0.0, 0.2, 0.4]).pixels) == [1, 2, 3]


@pytest.mark.skipif(which("ffmpeg") is None, reason="needs the ffmpeg program")
@pytest.mark.parametrize("named", ["raw.h264", "raw.mp4"])
def test_a_raw_stream_gets_a_command_that_keeps_every_frame(named: str, tmp_path: Path) -> None:
    clips.write(tmp_path / "clip.h264", frames=50).rename(tmp_path / named)
    with pytest.raises(VideoError, match=r"raw H\.264") as caught:
        Video.open(tmp_path / named)
    assert "-c copy" not in str(caught.value)
    run(caught.value, tmp_path)
    with Video.open(tmp_path / ("raw-new.mp4" if named == "raw.mp4" else "raw.mp4")) as video:
        shown = [n for frames in video.stream() for n in clips.numbers(frames.pixels)]
    assert shown == list(range(50))


@pytest.mark.skipif(which("ffmpeg") is None, reason="needs the ffmpeg program")
def test_playlists_get_commands_that_join_their_parts(tmp_path: Path) -> None:
    for number in (0, 1):
        clips.write(tmp_path / f"p{number}.ts", frames=15)
    parts = "".join(f"#EXTINF:0.5,\np{n}.ts\n" for n in (0, 1))
    for name, text in [
        ("a.m3u8", f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n{parts}#EXT-X-ENDLIST\n"),
        ("b.ffconcat", "ffconcat version 1.0\nfile p0.ts\nfile p1.ts\n"),
    ]:
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(VideoError) as caught:
            Video.open(path)
        run(caught.value, tmp_path)
        with Video.open(path.with_suffix(".mp4")) as video:
            assert video.info.frame_count == 30


def encoded(form: str, pixels: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, form, quality=90)
    return buffer.getvalue()


PICTURES: dict[str, Callable[[], bytes]] = {
    "png": lambda: encoded("PNG", clips.draw(3)),
    "jpeg": lambda: encoded("JPEG", clips.draw(3)),
    "webp": lambda: encoded("WEBP", clips.draw(3)),
    "bmp": lambda: encoded("BMP", clips.draw(3)),
    "ppm": lambda: b"P3 160 96 255\n" + b" ".join(b"%d" % v for v in clips.draw(3).ravel()),
}


@pytest.mark.parametrize("form", ["png", "jpeg", "webp", "bmp"])
def test_still_pictures_are_videos_of_one_frame(form: str, tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(PICTURES[form]())
    with Video.open(path) as video:
        assert clips.numbers(video.frames_at([0.0]).pixels) == [3]


CODECS = {
    **dict.fromkeys(("mp4", "mkv", "avi", "mov", "ts", "flv"), "libx264"),
    **{"webm": "libvpx", "ivf": "libvpx", "gif": "gif", "mpg": "mpeg2video", "m2v": "mpeg2video"},
    **{
        "m4v": "mpeg4",
        "mjpeg": "mjpeg",
        "ogv": "libtheora",
        "y4m": "rawvideo",
        "obu": "libaom-av1",
    },
}
PIXELS = {"gif": "rgb8", "mjpeg": "yuvj420p"}


@pytest.mark.parametrize("kind", CODECS)
def test_videos_are_never_taken_for_something_else(kind: str, tmp_path: Path) -> None:
    try:
        path = clips.write(
            tmp_path / f"a.{kind}",
            frames=6,
            codec=CODECS[kind],
            pixel_format=PIXELS.get(kind, "yuv420p"),
        )
    except ValueError as error:
        pytest.skip(f"{kind} cannot be written here ({error})")
    assert describe_other_kind(path) is None
    with Video.open(path) as video:
        assert clips.read_number(video.frames_at([video.info.start_s]).pixels[0]) == 0
    assert describe_other_kind(path.rename(tmp_path / "no_suffix")) is None


@given(st.binary(max_size=300), st.sampled_from([b"", *(head[:12] for head, _ in HEADS.values())]))
def test_any_bytes_are_described_in_one_line(tmp_path_factory, tail: bytes, head: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "a.bin"
    path.write_bytes(head + tail)
    for said in (describe_other_kind(path), explain_unreadable(path)):
        assert said is None or (said.strip() and "\n" not in said)


@pytest.mark.parametrize("suffix", [".part", ".crdownload", ".PARTIAL", ".!qB"])
def test_unfinished_downloads_are_named_so(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"clip.mp4{suffix}"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(VideoError, match="its name says that it is unfinished"):
        Video.open(path)
    whole = clips.write(tmp_path / "whole.mp4", frames=3).rename(path)
    with Video.open(whole) as video:  # a name alone refuses nothing
        assert video.info.frame_count == 3


URLS = {
    "https://example.org/v.mp4": "curl -L -O https://example.org/v.mp4",
    "http://example.org/a b.mp4?x=1&y=2": "curl -L -O 'http://example.org/a b.mp4?x=1&y=2'",
    "https://example.org/live/x.m3u8": "ffmpeg -i https://example.org/live/x.m3u8 -c copy",
    "https://www.youtube.com/watch?v=abc": "yt-dlp 'https://www.youtube.com/watch?v=abc'",
    "s3://bucket/key/v.mp4": "aws s3 cp s3://bucket/key/v.mp4 .",
    "gs://bucket/v.mp4": "gcloud storage cp gs://bucket/v.mp4 .",
    "rtsp://camera:554/stream": "ffmpeg -i rtsp://camera:554/stream -t 60 -c copy",
    "HTTPS://example.org/v.mp4": "curl -L -O HTTPS://example.org/v.mp4",
}


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("given_as", [str, Path])
def test_urls_keep_their_slashes_and_are_not_opened(url: str, given_as: type) -> None:
    for act in (Video.open, inspect_file):
        with pytest.raises(VideoError, match="is a URL, and nothing is fetched") as caught:
            act(given_as(url))
        assert str(caught.value).startswith(f"{url}: ")
        assert f"`{URLS[url]}" in str(caught.value)


@pytest.mark.parametrize("given_as", [str, Path])
def test_a_file_url_names_the_path_to_give(given_as: type, tmp_path: Path) -> None:
    clips.write(tmp_path / "a b.mp4", frames=3)
    url = (tmp_path / "a b.mp4").as_uri()
    with pytest.raises(
        VideoError, match=r"is a URL; give the path alone: (/.*/a b\.mp4)$"
    ) as caught:
        Video.open(given_as(url))
    with Video.open(str(caught.value).rpartition("alone: ")[2]) as video:
        assert video.info.frame_count == 3


def test_a_file_whose_name_looks_like_a_url_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "talk:").mkdir()
    clips.write(tmp_path / "talk:" / "v.mp4", frames=3)
    with Video.open("talk:/v.mp4") as video:
        assert video.info.frame_count == 3


def test_a_link_to_nowhere_and_an_endless_name_are_one_clear_line(tmp_path: Path) -> None:
    link = tmp_path / "v.mp4"
    link.symlink_to(".git/annex/objects/x/v.mp4")
    with pytest.raises(VideoError, match=r"is a link to .*, which is not there; .*git annex get"):
        Video.open(link)
    with pytest.raises(VideoError, match="cannot be read") as caught:
        Video.open("x" * 5000)
    assert len(str(caught.value)) < 300
