"""`mmreason mcp` as clients use it: real processes, most of it on one with nano."""

import base64
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp import Client, StdioServerParameters, stdio_client
from mcp.types import CallToolResult, ImageContent, TextContent
from PIL import Image

from mmreason.server.service import MOST_PICTURES
from mmreason.video.world import generate

ROOT = Path(__file__).parents[2]
QUESTION = "What colour is the star?"
LIMIT_S = 120


@dataclass
class Served:
    """A client with its server process, and the folder that the server may read."""

    client: Client
    portal: BlockingPortal
    folder: Path
    told: list[tuple[float, str | None]] = field(default_factory=list)
    """Progress of the latest call."""

    def call(self, tool: str, **arguments: Any) -> CallToolResult:
        self.told.clear()

        async def tell(progress: float, total: float | None, message: str | None) -> None:
            self.told.append((progress, message))

        return self.portal.call(self.client.call_tool, tool, arguments, LIMIT_S, tell)

    def values(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The structured result, which the first text holds too."""
        result = self.call(tool, **arguments)
        first = result.content[0]
        assert isinstance(first, TextContent)
        assert not result.is_error, first.text
        assert json.loads(first.text) == result.structured_content
        return json.loads(first.text)


def _environment(home: Path) -> dict[str, str]:
    """Of a server that imports this tree and leaves the user's cache alone."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(home)}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("mcp")
    folder = home / "videos"
    folder.mkdir()
    generate.demo(seed=7).save(folder / "star.json")
    (folder / "clip.mp4").write_bytes(clip.read_bytes())
    (folder / "link.mp4").symlink_to(clip)
    (folder / "empty.mp4").touch()
    (folder / "list.mp4").write_text(f"#EXTM3U\n#EXTINF:4,\nfile://{clip}\n#EXT-X-ENDLIST\n")
    os.mkfifo(folder / "pipe.mp4")
    (folder / "drawn.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    Image.new("RGB", (100, 40), (200, 0, 0)).save(folder / "picture.png")
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "mmreason", "mcp", "--root", str(folder), "--store", str(home / "s.sqlite")],
        env=_environment(home),
        cwd=home,
    )
    with (
        (home / "stderr").open("w+") as stderr,
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Client(stdio_client(parameters, stderr))) as client,
    ):
        yield Served(client, portal, folder)
    assert (home / "stderr").read_text() == ""


def _pictures(result: CallToolResult) -> list[Image.Image]:
    shown = [one for one in result.content if isinstance(one, ImageContent)]
    assert {one.mime_type for one in shown} == {"image/jpeg"}
    return [Image.open(io.BytesIO(base64.b64decode(one.data))) for one in shown]


def test_tools_tell_what_they_take_and_give(served: Served) -> None:
    tools = {tool.name: tool for tool in served.portal.call(served.client.list_tools).tools}
    assert list(tools) == [
        *("ask", "overview", "search", "transcript", "screen_text", "sheet"),
        *("frames", "caption", "ground", "inspect"),
    ]
    required = {name: tool.input_schema["required"] for name, tool in tools.items()}
    assert required == {
        "ask": ["video", "question"],
        "overview": ["video"],
        "search": ["video", "text"],
        "transcript": ["video"],
        "screen_text": ["video"],
        "sheet": ["video"],
        "caption": ["video"],
        "ground": ["file", "expression"],
        "inspect": ["video"],
        "frames": ["video", "times_s"],
    }
    for tool in tools.values():
        assert tool.description and len(tool.description) > 60
        assert tool.annotations and tool.annotations.read_only_hint
        assert all("description" in one for one in tool.input_schema["properties"].values())
        assert tool.output_schema and tool.output_schema["type"] == "object"
    asked = tools["ask"].input_schema["properties"]
    assert {"options", "subtitles", "budget_frames", "budget_seconds"} < set(asked)
    instructions = served.client.instructions
    assert instructions and str(served.folder) in instructions and "nano" in instructions


def test_ask_gives_evidence_pictures_and_progress_and_remembers(served: Served) -> None:
    first = served.values("ask", video="star.json", question=QUESTION)
    told = list(served.told)
    assert (first["text"], first["stop_reason"], first["choice"]) == ("pink", "answered", None)
    (evidence,) = first["evidence"]
    assert 16 <= evidence["start_s"] < evidence["end_s"] <= 24
    assert (evidence["check"], evidence["verified"]) == ("second look agrees", False)
    assert first["answered"] and first["schema"] == 2 and first["confidence_calibrated"]
    assert first["cost"]["model_calls"] > 0 < first["cost"]["frames"]
    assert told[0] == (0, "loading the model")
    assert [progress for progress, _ in told] == list(range(len(told)))
    assert told[1] == (1, "step 1: caption 0:00.00-0:08.00") and len(told) > 4

    options = ["green", "pink"]
    again = served.call("ask", video="star.json", question=QUESTION, options=options)
    second = again.structured_content
    assert second and (second["text"], second["choice"]) == ("pink", 1)
    assert second["cost"]["cache_hits"] > 0
    assert second["cost"]["model_calls"] < first["cost"]["model_calls"]
    assert served.told[0][0] == 1
    pictures = _pictures(again)
    assert 0 < len(pictures) == len(second["pictured_s"]) <= MOST_PICTURES
    assert set(second["pictured_s"]) <= set(second["evidence"][0]["frame_times_s"])
    assert all(0 < picture.width <= 320 for picture in pictures)

    repeated = served.values("ask", video="star.json", question=QUESTION)
    assert repeated["cost"]["model_calls"] == repeated["cost"]["frames"] == 0
    assert repeated["text"] == "pink"


def test_a_spent_budget_is_no_answer(served: Served) -> None:
    answer = served.values("ask", video="clip.mp4", question=QUESTION, budget_frames=0)
    assert (answer["text"], answer["stop_reason"]) == ("", "budget_frames")
    assert answer["evidence"] == answer["pictured_s"] == []
    assert answer["answered"] is False and answer["looked_at"] == "nothing"
    assert any("more than 0 frames" in step for step in answer["next_steps"])


def test_caption_of_a_part(served: Served) -> None:
    seen = served.values("caption", video="star.json", start_s=16, end_s=20)
    assert (seen["start_s"], seen["end_s"]) == (16, 20)
    assert "pink star" in seen["text"]


def test_ground_in_a_video_and_in_an_image(served: Served) -> None:
    found = served.values("ground", file="star.json", expression="the star", at_s=18)
    assert (found["status"], found["frame_time_s"], found["size_px"]) == ("found", 18, [640, 360])
    ((left, top, right, bottom),) = found["boxes_px"]
    assert 0 <= left < right <= 640 and 0 <= top < bottom <= 360
    image = served.values("ground", file="picture.png", expression="the star")
    assert (image["frame_time_s"], image["size_px"]) == (None, [100, 40])


def test_inspect(served: Served) -> None:
    found = served.values("inspect", video=str(served.folder / "clip.mp4"))
    assert (found["codec"], found["frame_rate"], found["frame_count"]) == ("h264", "constant", 40)
    assert (found["width_px"], found["height_px"], found["duration_s"]) == (64, 48, 4)
    assert found["size_bytes"] == (served.folder / "clip.mp4").stat().st_size


def test_frames_come_with_their_times(served: Served) -> None:
    result = served.call("frames", video="clip.mp4", times_s=[3.04, 0.5, 99])
    values = result.structured_content
    assert values and values["size_px"] == [64, 48]
    assert [one["time_s"] for one in values["frames"]] == pytest.approx([3.0, 0.5, 3.9])
    assert [one["exact"] for one in values["frames"]] == [True, True, False]
    centres = [np.asarray(picture)[24, 32] for picture in _pictures(result)]
    colours = ["red" if centre[0] > centre[2] else "blue" for centre in centres]
    assert colours == ["red", "blue", "red"]
    labels = [one.text for one in result.content[1:] if isinstance(one, TextContent)]
    assert labels == ["frame at 0:03.00:", "frame at 0:00.50:", "frame at 0:03.90:"]


CLIP = {"video": "clip.mp4"}


@pytest.mark.parametrize(
    ("tool", "arguments", "wanted"),
    [
        ("ask", {"video": "none.mp4", "question": "what?"}, "none.mp4: no such file"),
        ("ask", {"video": "empty.mp4", "question": "what?"}, "is empty (0 bytes)"),
        ("ask", {"video": "picture.png", "question": ""}, "the question is empty"),
        ("ask", {**CLIP, "question": "  "}, "the question is empty"),
        ("ask", {**CLIP, "question": "what?", "budget_frames": -1}, "budget frames must be 0"),
        ("ask", {**CLIP, "question": "what?", "options": ["a"]}, "options must be 2 to 26 texts"),
        ("ask", {**CLIP, "question": "what?", "subtitles": "../a.srt"}, "lies outside the folders"),
        ("ask", CLIP, "Field required"),
        ("caption", {**CLIP, "start_s": 3, "end_s": 2}, "start and end must lie in it"),
        ("caption", {**CLIP, "end_s": 9}, "shown over 0:00.00-0:04.00"),
        ("ground", {"file": "clip.mp4", "expression": "a", "at_s": 9}, "lies outside the video"),
        ("ground", {"file": "none.png", "expression": "a"}, "none.png: no such file"),
        ("ground", {"file": "star.json", "expression": " "}, "the expression is empty"),
        ("ground", {"file": "drawn.png", "expression": "a"}, "cannot be read as an image"),
        ("ground", {**CLIP, "expression": "a"}, "ground takes no argument 'video'"),
        ("ground", {"file": "clip.mp4", "expression": "a", "at_s": 1e307}, "less than or equal"),
        ("frames", {**CLIP, "times_s": []}, "times_s must be 1 to 8 times, got 0"),
        ("frames", {**CLIP, "times_s": [1.0] * 9}, "times_s must be 1 to 8 times, got 9"),
        ("frames", {**CLIP, "times_s": ["soon"]}, "times_s.0: Input should be a valid number"),
        ("frames", {**CLIP, "times_s": [0] * 100_000}, "holds 100,000 items, the limit is 64"),
        ("ask", {**CLIP, "question": "what?", "start_s": 3, "end_s": 3}, "start and end must lie"),
        ("overview", {**CLIP, "start_s": 5}, "shown over 0:00.00-0:04.00"),
        ("overview", {"video": "link.mp4"}, "link.mp4: lies outside the folders"),
        ("search", {**CLIP, "text": " "}, "a search needs words to look for"),
        ("search", {**CLIP, "text": "a", "limit": 101}, "gives 1 to 100 hits, got limit 101"),
        ("search", {**CLIP, "text": "a", "channels": ["sound"]}, "channels.0: Input should be"),
        ("search", {**CLIP, "text": "a" * 3_000}, "at most 2000 characters"),
        ("transcript", {**CLIP, "subtitles": "/etc/hosts"}, "lies outside the folders"),
        ("sheet", {**CLIP, "count": 37}, "count must be 1 to 36 frames, got 37"),
        ("sheet", {**CLIP, "count": 0}, "count must be 1 to 36 frames, got 0"),
        ("inspect", {"video": "."}, "is a folder"),
        ("inspect", {"video": "A" * 4_097}, "at most 4096 characters"),
        ("inspect", {"video": "A" * 300}, "is a name of 300 bytes, the limit is 255"),
        ("inspect", {"video": "A" * 1_000_000}, "has 1,000,000 characters, the limit is 20,000"),
        ("inspect", {"video": "pipe.mp4"}, "pipe.mp4: is not a regular file"),
        ("inspect", {"video": "\x1b[2J\u202e.mp4"}, "\ufffd[2J\ufffd.mp4: no such file"),
        ("inspect", {"video": "a\0b"}, "is no path"),
        ("inspect", {"video": "link.mp4"}, "link.mp4: lies outside the folders"),
        ("frames", {"video": "list.mp4", "times_s": [1]}, "is a playlist (HLS), not a video"),
        ("inspect", {"video": "../stderr"}, "../stderr: lies outside the folders"),
        ("inspect", {"video": "/etc/hosts"}, "/etc/hosts: lies outside the folders"),
        ("inspect", {"video": "/no/such/file"}, "/no/such/file: lies outside the folders"),
        ("sing", {}, "Unknown tool"),
        ("s" * 100_000, {}, "Unknown tool"),
    ],
)
def test_a_bad_call_is_an_error_of_the_tool(
    tool: str, arguments: dict[str, Any], wanted: str, served: Served
) -> None:
    result = served.call(tool, **arguments)
    assert result.is_error and isinstance(result.content[0], TextContent)
    text = result.content[0].text
    assert wanted in text and "\n" not in text and len(text) <= 1_000
    assert served.portal.call(served.client.list_tools).tools, "the server lives on"


def _start(home: Path) -> subprocess.Popen[str]:
    """A server whose pipes are ours, with the handshake done."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mmreason", "mcp", "--store", str(home / "s.sqlite")],
        cwd=home,
        env=_environment(home),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    client = {"name": "test", "version": "1"}
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
    answer = _exchange(process, 1, "initialize", hello)
    assert answer["serverInfo"]["name"] == "mmreason"
    return process


def _exchange(process: subprocess.Popen[str], number: int, method: str, params: Any) -> Any:
    """Send a request and read lines up to its answer; each must be a message of the protocol."""
    assert process.stdin and process.stdout
    request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    while True:
        message = json.loads(process.stdout.readline())
        assert message["jsonrpc"] == "2.0"
        if message.get("id") == number:
            return message["result"]


def test_only_protocol_on_stdout_and_a_quiet_end_with_stdin(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(clip.read_bytes())
    process = _start(tmp_path)
    assert process.stdin
    process.stdin.write("this is no message\n")
    call = {"name": "inspect", "arguments": {"video": "clip.mp4"}}
    answer = _exchange(process, 2, "tools/call", call)
    assert answer["structuredContent"]["codec"] == "h264"
    out, err = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, out, err) == (0, "", "")


def test_an_interruption_ends_it_at_once(tmp_path: Path) -> None:
    process = _start(tmp_path)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, out, err) == (130, "", "interrupted\n")
