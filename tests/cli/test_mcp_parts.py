"""What is behind `mmreason mcp`, in this process and with a scripted model: which files may be
read, the work of the tools, taking turns, and what keeps the verb from starting."""

import json
import sys
import threading
from pathlib import Path
from typing import Literal

import pytest
from anyio.from_thread import start_blocking_portal
from mcp import Client

from mmreason.cli import main
from mmreason.models.base import ClipRecipe
from mmreason.models.scripted import ScriptedModel
from mmreason.reasoner import Reasoner
from mmreason.server.call import Call, CallLimits
from mmreason.server.roots import Roots
from mmreason.server.server import build_server
from mmreason.server.service import (
    MOST_PICTURES,
    VideoService,
    evidence_pictures,
    picture_size_px,
)
from mmreason.types import Answer, Evidence, StopReason, UsageError
from mmreason.video import Span, Video
from mmreason.video.world import generate

LIMIT_S = 120


def test_a_missing_sdk_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "mcp"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "mmreason.server.server", raising=False)
    monkeypatch.setitem(sys.modules, "mcp", None)
    assert main(["mcp"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith("error: ") and 'pip install ".[mcp]"' in err


@pytest.mark.parametrize("folder", ["/", "/no/such/folder"])
def test_a_root_is_named_and_there(
    folder: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir("/")
    assert main(["mcp"] if folder == "/" else ["mcp", "--root", folder]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "--root" in err


@pytest.mark.parametrize(
    ("option", "value"),
    [("--call-seconds", "0"), ("--call-seconds", "nan"), ("--call-memory-mb", "-1")],
)
def test_limits_that_leave_nothing_end_the_verb_in_one_line(
    option: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mcp", "--root", str(tmp_path), option, value]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "of a call must be" in err


def _name_of(roots: Roots, name: str) -> str:
    with roots.open(name) as file:
        return file.name


def test_roots_follow_links_and_look_in_order(tmp_path: Path) -> None:
    first, second, outside = (tmp_path / name for name in ("first", "second", "outside"))
    for folder in (first, second, outside):
        folder.mkdir()
    (second / "a.mp4").touch()
    (outside / "b.mp4").touch()
    (first / "into").symlink_to(second)
    (first / "out").symlink_to(outside)
    (first / "ring").symlink_to(first / "ring")
    (tmp_path / "alias").symlink_to(second)
    roots = Roots.of([first, second])
    for name in (
        "a.mp4",
        "into/a.mp4",
        "./into//a.mp4",
        "../second/a.mp4",
        str(first / ".." / "second" / "a.mp4"),
        str(tmp_path / "alias" / "a.mp4"),
    ):
        assert _name_of(roots, name) == str(second / "a.mp4")
    for name in ("out/b.mp4", "../outside/b.mp4", str(outside / "b.mp4"), "../first2/a.mp4"):
        with pytest.raises(UsageError, match="lies outside the folders"):
            roots.open(name)
    with pytest.raises(UsageError, match="more than 40 links"):
        roots.open("ring")
    with pytest.raises(UsageError, match=r"^none\.mp4: no such file$"):
        roots.open("none.mp4")


def _call() -> Call:
    return Call(LIMIT_S)


def test_the_model_is_loaded_once_and_only_when_needed(clip: Path, model: ScriptedModel) -> None:
    loads: list[int] = []

    def load() -> Reasoner:
        loads.append(1)
        return Reasoner(model)

    service = VideoService(load, Roots.of([clip.parent]))
    service.inspect(_call(), clip.name)
    service.frames(_call(), clip.name, [1.0])
    service.sheet(_call(), clip.name, None, None, 4)
    service.overview(_call(), clip.name, None, None)
    with pytest.raises(UsageError, match="no such file"):
        service.caption(_call(), "none.mp4", None, None)
    assert loads == []
    for _ in range(2):
        service.caption(_call(), clip.name, None, 2.0)
        service.ground(_call(), clip.name, "red half", 3.0)
    assert loads == [1]


def test_a_thing_is_followed_through_a_part(clip: Path, model: ScriptedModel) -> None:
    service = VideoService(lambda: Reasoner(model), Roots.of([clip.parent]))
    output = service.ground(
        _call(), clip.name, "red half", None, want="tube", start_s=1.0, end_s=3.0, frames=6
    )
    values = output.values.model_dump()
    (target,) = values["targets"]
    assert values["status"] == "found" and 1.0 <= target["start_s"] < target["end_s"] < 3.0
    assert len(target["path"]) > 5 and target["path"][0][1:] == (16.0, 12.0, 48.0, 48.0)
    assert model.frames <= 6
    with pytest.raises(UsageError, match="must lie in it in that order"):
        service.ground(_call(), clip.name, "red half", None, want="tube", start_s=3.0, end_s=1.0)


def test_a_model_that_failed_to_load_is_tried_again(clip: Path, model: ScriptedModel) -> None:
    loads: list[int] = []

    def load() -> Reasoner:
        loads.append(1)
        if len(loads) == 1:
            raise UsageError("the model is not there")
        return Reasoner(model)

    service = VideoService(load, Roots.of([clip.parent]))
    with pytest.raises(UsageError, match="the model is not there"):
        service.caption(_call(), clip.name, None, 2.0)
    assert service.caption(_call(), clip.name, None, 2.0).values


def test_what_progress_raises_ends_the_work(clip: Path, model: ScriptedModel) -> None:
    service = VideoService(lambda: Reasoner(model), Roots.of([clip.parent]))

    def ask(most: int) -> None:
        def report_step(number: int, doing: str) -> None:
            if number > most:
                raise InterruptedError

        service.ask(
            _call(),
            clip.name,
            "what?",
            options=None,
            subtitles=None,
            frames=None,
            seconds=None,
            report_step=report_step,
        )

    with pytest.raises(InterruptedError):
        ask(1)
    interrupted = model.calls
    ask(99)
    assert 0 < interrupted < model.calls


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_the_protocol_lives_while_the_model_works_and_calls_can_be_cancelled(
    mode: Literal["legacy", "auto"], clip: Path
) -> None:
    busy, go, alone = threading.Event(), threading.Event(), threading.Lock()

    def reply(text: str, frames: object) -> str:
        assert alone.acquire(blocking=False), "two calls ask the model at the same time"
        busy.set()
        assert go.wait(LIMIT_S)
        alone.release()
        return "red"

    recipe = ClipRecipe(frames=4, size_px=(32, 24), leaf_s=1.0)
    model = ScriptedModel(reply, clip=recipe)
    limits = CallLimits(memory_mb=0)  # the start of 60 processes would take most of the time
    service = VideoService(lambda: Reasoner(model), Roots.of([clip.parent]), limits)
    server = build_server(service, "scripted")
    ask = {"video": clip.name, "question": "what?"}
    part = {"video": clip.name, "end_s": 2.0}
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Client(server, mode=mode)) as client,
    ):
        asked = portal.start_task_soon(client.call_tool, "ask", ask)
        assert busy.wait(LIMIT_S)
        # More than the threads that the protocol shares: waiting must not take any of them.
        waiting = [portal.start_task_soon(client.call_tool, "caption", part) for _ in range(60)]
        inspected = portal.call(client.call_tool, "inspect", {"video": clip.name})
        assert not inspected.is_error and not asked.done()
        asked.cancel()
        go.set()
        results = [one.result(LIMIT_S) for one in waiting]
    assert {json.dumps(one.structured_content) for one in results} == {
        json.dumps({"schema": 2, "start_s": 0.0, "end_s": 2.0, "text": "red"})
    }
    whole = ScriptedModel(lambda text, frames: "red", clip=recipe)
    Reasoner(whole).ask(clip, "what?")
    assert 0 < model.calls < whole.calls


def test_pictures_are_few_and_spread() -> None:
    times_s = tuple(float(i) for i in range(20))
    answer = Answer(
        question="what?",
        text="this",
        stop_reason=StopReason.ANSWERED,
        evidence=(Evidence(span=Span(0, 20), frame_times_s=times_s),),
        thumbnails={time_s: b"jpeg" for time_s in (*times_s, 99.0)},
    )
    shown_s = [picture.time_s for picture in evidence_pictures(answer)]
    assert len(shown_s) == MOST_PICTURES and shown_s == sorted(set(shown_s))
    assert (shown_s[0], shown_s[-1]) == (0, 19)


def test_pictures_keep_their_shape_and_never_grow(clip: Path, tmp_path: Path) -> None:
    with Video.open(clip) as video:
        assert picture_size_px(video.info) == (64, 48)
    large = generate.demo(seed=7).model_copy(update={"width_px": 720, "height_px": 1280})
    large.save(tmp_path / "large.json")
    with Video.open(tmp_path / "large.json") as video:
        assert picture_size_px(video.info) == (360, 640)
