"""Calls of `mmreason mcp` that take long, are cancelled or go wrong: each ends in time, alone, and
with one line."""

import json
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp import Client
from mcp.types import CallToolResult, TextContent
from pydantic import TypeAdapter, ValidationError

from mmreason.models.base import ClipRecipe, GenerateRequest, Message, TextPart
from mmreason.models.scripted import ScriptedModel
from mmreason.models.threads import side_by_side
from mmreason.reasoner import Reasoner
from mmreason.server.arguments import check_arguments, describe_rejection
from mmreason.server.call import Call, CallCancelled, CallLimits
from mmreason.server.results import AskResult, ToolOutput
from mmreason.server.roots import Roots
from mmreason.server.server import FRAME_CALLS, build_server, describe_error
from mmreason.server.service import VideoService
from mmreason.types import Budget, StopReason, UsageError
from mmreason.video.stopping import check_stop, stop_when
from tests.video import clips

LIMIT_S = 60.0
RECIPE = ClipRecipe(frames=2, size_px=(32, 24), leaf_s=0.5)
Reply = Callable[[str, object], str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    clips.write(folder / "clip.mp4", frames=60)
    return folder


IN_SERVER = CallLimits(memory_mb=0)
"""Without a process for each video, whose start would take most of the short limits here."""


def _service(folder: Path, reply: Reply, limits: CallLimits = IN_SERVER) -> VideoService:
    model = ScriptedModel(reply, clip=RECIPE)
    return VideoService(lambda: Reasoner(model), Roots.of([folder]), limits)


def _ask(service: VideoService, call: Call, **budget: float | None) -> AskResult:
    output = service.ask(
        call,
        "clip.mp4",
        "what?",
        options=None,
        subtitles=None,
        frames=None,
        seconds=budget.get("seconds"),
        report_step=lambda number, doing: None,
    )
    assert isinstance(output.values, AskResult)
    return output.values


def _write_for_ever(text: str, frames: object) -> str:
    """A model that never comes to an end, and asks before each token whether it is to go on."""
    while True:
        check_stop()
        time.sleep(0.005)


def _quickly(text: str, frames: object) -> str:
    return "red"


@contextmanager
def _client(service: VideoService) -> Iterator[tuple[BlockingPortal, Client]]:
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Client(build_server(service, "scripted"))) as client,
    ):
        yield portal, client


def _line(result: CallToolResult) -> str:
    assert result.is_error and isinstance(result.content[0], TextContent)
    text = result.content[0].text
    assert "\n" not in text and len(text) <= 1_000
    return text


@pytest.mark.parametrize(
    "limits",
    [{"seconds": 0}, {"seconds": float("nan")}, {"seconds": 1e6}, {"memory_mb": 1}, {"frames": 0}],
)
def test_limits_that_leave_nothing_are_refused(limits: dict[str, Any]) -> None:
    what = next(iter(limits)).removesuffix("_mb")
    with pytest.raises(UsageError, match=f"{what} of a call must be"):
        CallLimits(**limits)


def test_a_budget_never_exceeds_the_limits_of_the_server() -> None:
    limits = CallLimits(frames=100)
    assert limits.budget(None, None, 50.0) == Budget(frames=100, seconds=45.0)
    assert limits.budget(10**18, 1e300, 50.0) == Budget(frames=100, seconds=45.0)
    assert limits.budget(7, 3.0, 50.0) == Budget(frames=7, seconds=3.0)
    for frames, seconds in ((-1, None), (None, -0.1)):
        with pytest.raises(UsageError, match="must be 0 or more"):
            limits.budget(frames, seconds, 50.0)


@pytest.mark.parametrize("quick_replies", [0, 5])
def test_an_ask_whose_time_is_over_gives_what_it_has(quick_replies: int, folder: Path) -> None:
    texts: list[str] = []

    def reply(text: str, frames: object) -> str:
        texts.append(text)
        return "red" if len(texts) <= quick_replies else _write_for_ever(text, frames)

    started = time.monotonic()
    answer = _ask(_service(folder, reply), Call(0.5))
    assert time.monotonic() - started < LIMIT_S / 2
    assert answer.stop_reason == StopReason.BUDGET_SECONDS
    assert len(texts) > quick_replies
    assert answer.answered == bool(answer.cost.model_calls) == bool(quick_replies)
    assert answer.answered or answer.next_steps


def test_a_cancelled_call_ends_a_generation_between_two_tokens(folder: Path) -> None:
    writing = threading.Event()

    def reply(text: str, frames: object) -> str:
        writing.set()
        return _write_for_ever(text, frames)

    call = Call(LIMIT_S)
    canceller = threading.Thread(target=lambda: (writing.wait(LIMIT_S), call.cancel()))
    canceller.start()
    started = time.monotonic()
    with pytest.raises(CallCancelled):
        _ask(_service(folder, reply), call)
    canceller.join()
    assert time.monotonic() - started < LIMIT_S / 2


def test_real_weights_stop_between_two_tokens() -> None:
    from mmreason.models.hf import TransformersModel

    model = TransformersModel.load("nano")
    conversation = [Message("user", (TextPart("Describe the clip."),))]
    (whole,) = model.generate(GenerateRequest([conversation], max_new_tokens=3))
    checks: list[int] = []

    def check() -> None:
        checks.append(1)
        if len(checks) == 2:
            raise TimeoutError("the time is over")

    with stop_when(check), pytest.raises(TimeoutError, match="the time is over"):
        model.generate(GenerateRequest([conversation], max_new_tokens=3))
    assert len(whole.token_ids) > len(checks) == 2
    assert model.generate(GenerateRequest([conversation], max_new_tokens=3)) == [whole]


@pytest.mark.parametrize("count", [1, 3])
def test_a_request_to_a_server_is_left_where_its_call_ends(count: int) -> None:
    go, stop = threading.Event(), threading.Event()
    call = Call(LIMIT_S)
    threading.Timer(0.1, call.cancel).start()
    started = time.monotonic()
    with stop_when(call.check), pytest.raises(CallCancelled):
        side_by_side(lambda place: go.wait(LIMIT_S), count, 2, stop)
    assert time.monotonic() - started < LIMIT_S / 2 and stop.is_set()
    go.set()


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Processes that read videos, each stopped as soon as it is there: none ever answers."""
    processes: list[subprocess.Popen[bytes]] = []

    class Stopped(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **settings: Any) -> None:
            super().__init__(*arguments, **settings)
            self.send_signal(signal.SIGSTOP)
            processes.append(self)

    monkeypatch.setattr("mmreason.video.isolation.process.subprocess.Popen", Stopped)
    return processes


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is limited on Linux only")
@pytest.mark.parametrize("tool", ["inspect", "frames", "caption", "ground", "ask"])
@pytest.mark.parametrize("is_cancelled", [True, False])
def test_decoding_ends_with_its_call(
    is_cancelled: bool, tool: str, folder: Path, stopped: list[subprocess.Popen[bytes]]
) -> None:
    service = _service(folder, _quickly, CallLimits())
    call = Call(LIMIT_S if is_cancelled else 0.3)
    work: dict[str, Callable[[], object]] = {
        "inspect": lambda: service.inspect(call, "clip.mp4"),
        "frames": lambda: service.frames(call, "clip.mp4", [1.0]),
        "caption": lambda: service.caption(call, "clip.mp4", None, None),
        "ground": lambda: service.ground(call, "clip.mp4", "the red star", None),
        "ask": lambda: _ask(service, call),
    }
    if is_cancelled:
        threading.Timer(0.2, call.cancel).start()
    started = time.monotonic()
    with pytest.raises(CallCancelled if is_cancelled else TimeoutError):
        work[tool]()
    assert time.monotonic() - started < LIMIT_S / 2
    (process,) = stopped
    assert process.returncode == -signal.SIGKILL


def test_a_cancelled_call_frees_the_model_for_the_next(folder: Path) -> None:
    writing, texts = threading.Event(), []

    def reply(text: str, frames: object) -> str:
        texts.append(text)
        if len(texts) > 1:
            return "red"
        writing.set()
        return _write_for_ever(text, frames)

    ask = {"video": "clip.mp4", "question": "what?"}
    with _client(_service(folder, reply)) as (portal, client):
        asked = portal.start_task_soon(client.call_tool, "ask", ask)
        assert writing.wait(LIMIT_S)
        waiting = portal.start_task_soon(client.call_tool, "ask", ask)
        waiting.cancel()
        caption = portal.start_task_soon(client.call_tool, "caption", {"video": "clip.mp4"})
        asked.cancel()
        assert not caption.result(LIMIT_S).is_error


def test_a_call_waits_for_the_model_no_longer_than_its_limit(folder: Path) -> None:
    busy, go = threading.Event(), threading.Event()

    def reply(text: str, frames: object) -> str:
        busy.set()
        assert go.wait(LIMIT_S)
        return "red"

    service = _service(folder, reply, CallLimits(seconds=0.5, memory_mb=0))
    with _client(service) as (portal, client):
        asked = portal.start_task_soon(
            client.call_tool, "ask", {"video": "clip.mp4", "question": "what?"}
        )
        assert busy.wait(LIMIT_S)
        for tool, arguments in (
            ("ground", {"file": "clip.mp4", "expression": "a"}),
            ("caption", {"video": "clip.mp4"}),
        ):
            line = _line(portal.call(client.call_tool, tool, arguments))
            assert line.startswith("the model was busy with other calls for 0.5 s, the limit")
        go.set()
        asked.result(LIMIT_S)


def test_a_caption_that_takes_too_long_says_so(folder: Path) -> None:
    service = _service(folder, _write_for_ever, CallLimits(seconds=0.5, memory_mb=0))
    with _client(service) as (portal, client):
        line = _line(portal.call(client.call_tool, "caption", {"video": "clip.mp4"}))
        assert "took longer than its limit of 0.5 s" in line and "--call-seconds" in line


def test_a_model_that_loads_for_long_is_waited_for_until_the_limit(folder: Path) -> None:
    go = threading.Event()
    loads: list[int] = []

    def load() -> Reasoner:
        loads.append(1)
        assert go.wait(LIMIT_S)
        return Reasoner(ScriptedModel(_quickly, clip=RECIPE))

    service = VideoService(load, Roots.of([folder]), CallLimits(seconds=0.3, memory_mb=0))
    with _client(service) as (portal, client):
        line = _line(portal.call(client.call_tool, "caption", {"video": "clip.mp4"}))
    assert "the model was still being loaded after 0.3 s; call again" in line
    go.set()
    assert service.caption(Call(LIMIT_S), "clip.mp4", None, None)
    assert loads == [1]


def test_slow_calls_do_not_hold_the_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor do they where more of them come than may run at the same time."""
    started, go = threading.Semaphore(0), threading.Event()
    frames = VideoService.frames

    def slowly(self: VideoService, call: Call, video: str, times_s: list[float]) -> ToolOutput:
        started.release()
        assert go.wait(LIMIT_S)
        return frames(self, call, video, times_s)

    monkeypatch.setattr(VideoService, "frames", slowly)
    with _client(_service(folder, _quickly)) as (portal, client):
        slow = [
            portal.start_task_soon(
                client.call_tool, "frames", {"video": "clip.mp4", "times_s": [1.0]}
            )
            for _ in range(2 * FRAME_CALLS)
        ]
        for _ in range(FRAME_CALLS):
            assert started.acquire(timeout=LIMIT_S)
        assert not portal.call(client.call_tool, "inspect", {"video": "clip.mp4"}).is_error
        assert not portal.call(client.call_tool, "caption", {"video": "clip.mp4"}).is_error
        assert not any(call.done() for call in slow)
        go.set()
        assert not any(call.result(LIMIT_S).is_error for call in slow)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError(), "MemoryError: not enough memory"),
        (RecursionError("maximum recursion depth"), "RecursionError: maximum recursion depth"),
        (OSError(28, "No space left on device"), "OSError: [Errno 28] No space left on device"),
        (OverflowError("cannot convert"), "OverflowError: cannot convert"),
        (KeyError("actors"), "KeyError: 'actors'"),
        (ValueError("\x1b[2J\n" + "x" * 10**6), "ValueError: \ufffd[2J " + "x" * 983),
    ],
)
def test_whatever_goes_wrong_is_one_line_and_no_traceback(
    error: Exception,
    line: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(self: VideoService, call: Call, video: str) -> ToolOutput:
        raise error

    monkeypatch.setattr(VideoService, "inspect", fail)
    with _client(_service(folder, _quickly)) as (portal, client):
        result = portal.call(client.call_tool, "inspect", {"video": "clip.mp4"})
    assert result.content[0] == TextContent(type="text", text=line)
    assert describe_error(error) == line
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_names_that_are_not_utf8_are_shown_and_sent(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "clip.mp4").write_bytes((folder / "clip.mp4").read_bytes())
    (root / "clip.\udce9n.cc.srt").touch()
    (root / "clip.(auto).srt").touch()
    with _client(_service(root, _quickly)) as (portal, client):
        result = portal.call(client.call_tool, "inspect", {"video": "clip.mp4"})
        assert not result.is_error
        json.dumps(result.structured_content).encode()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"video": "a.mp4", "times": [1]}, "frames takes no argument 'times'; it takes: video,"),
        ({"v" * 1_000: 1}, "frames takes no argument 'vvvv"),
        ({"video": "a" * 20_001}, "video: has 20,001 characters, the limit is 20,000"),
        ({"times_s": [1] * 65}, "times_s: holds 65 items, the limit is 64"),
        ({"times_s": [[1]]}, "times_s: expected text, a number or a list of them"),
        ({"times_s": [10**400]}, "times_s: is a number of more than 64 bits"),
        ({"video": {}}, "video: expected text, a number or a list of them"),
    ],
)
def test_arguments_are_limited_before_they_are_read(arguments: dict[str, Any], line: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_arguments("frames", arguments, ["video", "times_s"])
    assert str(caught.value).startswith(line) and len(str(caught.value)) < 200


def test_a_rejection_names_few_places_and_little_of_what_was_given() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(list[int]).validate_python(["\x1b" + "x" * 10_000] * 1_000)
    line = describe_rejection(caught.value)
    assert line.startswith("0: Input should be a valid integer") and "and 997 more" in line
    assert len(line) < 1_000 and line.isprintable()
