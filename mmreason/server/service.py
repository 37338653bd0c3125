"""The work behind the tools of the server: thin calls of the public API on files that may be read.

Methods block. Those that ask a model want to be called one at a time. UsageError and VideoError
tell a client what was wrong with its call. The protocol is `server`'s.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import numpy as np

from mmreason.agent.hearing import read_heard
from mmreason.language.validate import checked_options, checked_part, checked_question
from mmreason.memory.caption_records import make_speech_records
from mmreason.memory.records import MemoryQuery, read_channels
from mmreason.memory.store import Store
from mmreason.memory.video_memory import VideoMemory
from mmreason.server.call import Call, CallLimits
from mmreason.server.known import tell_hits, tell_overview, tell_screen_text, tell_transcript
from mmreason.server.results import (
    AskResult,
    CaptionResult,
    FramesResult,
    FrameTime,
    GroundResult,
    InspectResult,
    Picture,
    SheetResult,
    ToolOutput,
)
from mmreason.server.roots import Roots
from mmreason.server.subtitles import SubtitleReader
from mmreason.tools.ground import is_image
from mmreason.types import Answer, UsageError
from mmreason.video import Span, Video, inspect_file
from mmreason.video.backends.base import ReadOptions
from mmreason.video.sheet import cell_size_px, contact_sheet, jpeg_bytes
from mmreason.video.stopping import stop_when
from mmreason.video.subtitles.find import match_subtitle_files
from mmreason.video.subtitles.lines import Subtitles
from mmreason.video.types import FrameSource, VideoInfo
from mmreason.video.window import VideoWindow

if TYPE_CHECKING:
    from mmreason.reasoner import Reasoner

MOST_PICTURES = 6
"""Frames of evidence that go with an answer."""
MOST_FRAMES = 8
"""Frames that one call may ask for."""
MOST_SHEET_FRAMES = 36
"""Frames on one contact sheet."""
LONGEST_SIDE_PX = 640
"""Of frames that are asked for."""
SHEET_COLUMNS = 4
SHEET_CELL_PX = 240
"""Width of a frame on a contact sheet."""
FILE_CALL_SECONDS = 60.0
"""Limit of a call that asks no model, where the limit of all calls is not lower."""

ReportStep = Callable[[int, str], None]
"""Called with a number that grows and what goes on; what it raises ends the work."""


class VideoService:
    """Does what the tools ask for. Its model is loaded when it is first needed, and kept."""

    def __init__(
        self,
        load: Callable[[], Reasoner],
        roots: Roots,
        limits: CallLimits | None = None,
        open_store: Callable[[], Store] = Store.in_memory,
    ) -> None:
        """`open_store` opens the store that `load` gives its reasoner: what is known of a video is
        told without a model."""
        self.roots = roots
        self.limits = limits or CallLimits()
        self._load = load
        self._open_store = open_store
        # A thread of its own: loading goes on when the call that began it is over.
        self._loader = ThreadPoolExecutor(1, "load model")
        self._loading: Future[Reasoner] | None = None
        self._lock = threading.Lock()

    def new_call(self, *, asks_model: bool) -> Call:
        """A call whose time begins now."""
        limit_s = self.limits.seconds
        if asks_model or limit_s < FILE_CALL_SECONDS:
            return Call(limit_s)
        return Call(FILE_CALL_SECONDS, is_fixed=True)

    def ask(
        self,
        call: Call,
        video: str,
        question: str,
        *,
        options: Sequence[str] | None,
        subtitles: str | None,
        start_s: float | None = None,
        end_s: float | None = None,
        frames: int | None,
        seconds: float | None,
        report_step: ReportStep,
    ) -> ToolOutput:
        """An `AskResult` with frames of its evidence: of what was found until then where the time
        is over. With `start_s` or `end_s` only the part between them is looked at and heard.
        `frames` and `seconds` are the client's budget, within the limits of a call."""
        checked_question(question)
        checked_options(options)
        # For its checks alone: the budget is made below, when the time that is left is known.
        self.limits.budget(frames, seconds, call.remaining_s)
        with self._opened(call, video) as (file, opened):
            part = checked_part(start_s, end_s, opened.info)
            lines = self._subtitles(call, file, opened, subtitles)
            reasoner = self._reasoner(call, report_step)
            steps = reasoner.stream(
                _take_part(opened, part),
                question,
                options=options,
                budget=self.limits.budget(frames, seconds, call.remaining_s),
                subtitles=_take_lines(lines, part),
            )
            # Ends the work of the generator where the call is cancelled between two steps.
            with closing(steps):
                for number, step in enumerate(steps, start=1):
                    # Not `check`: when time is over the reasoner ends by itself, with an answer.
                    call.check_cancelled()
                    report_step(number, f"step {number}: {step.call.name} {step.observation.span}")
        pictures = evidence_pictures(steps.answer)
        return ToolOutput(AskResult.of(steps.answer, pictures), pictures)

    def caption(
        self, call: Call, video: str, start_s: float | None, end_s: float | None
    ) -> ToolOutput:
        """A `CaptionResult` of the part between two times, or from or to an end of the video."""
        with self._opened(call, video) as (_, opened):
            span = checked_part(start_s, end_s, opened.info)
            text = self._reasoner(call).caption(opened, span)
        start_s, end_s = span.to_list()
        return ToolOutput(CaptionResult(start_s=start_s, end_s=end_s, text=text))

    def ground(
        self,
        call: Call,
        file: str,
        expression: str,
        at_s: float | None,
        *,
        want: Literal["box", "tube"] = "box",
        start_s: float | None = None,
        end_s: float | None = None,
        frames: int | None = None,
        seconds: float | None = None,
    ) -> ToolOutput:
        """A `GroundResult` in an image, in the frame of a video at a time (default: the middle), or
        for a tube through the part between two times. `frames` and `seconds` are the client's
        budget, within the limits of a call."""
        checked_question(expression, "expression")
        # For its checks alone: the budget is made below, when the time that is left is known.
        self.limits.budget(frames, seconds, call.remaining_s)
        with self.roots.open(file, "a video file or an image") as opened_file:
            if is_image(opened_file):
                if (at_s, start_s, end_s) != (None,) * 3:
                    raise UsageError("an image has no times; leave at_s, start_s and end_s out")
                reasoner = self._reasoner(call)
                budget = self.limits.budget(frames, seconds, call.remaining_s)
                with stop_when(call.check):
                    grounding = reasoner.ground(opened_file, expression, want=want, budget=budget)
                return ToolOutput(GroundResult.of(grounding))
        with self._opened(call, file) as (_, opened):
            part = None
            if (start_s, end_s) != (None, None):
                part = checked_part(start_s, end_s, opened.info)
            reasoner = self._reasoner(call)
            grounding = reasoner.ground(
                opened,
                expression,
                span=part,
                want=want,
                at=at_s,
                budget=self.limits.budget(frames, seconds, call.remaining_s),
            )
        return ToolOutput(GroundResult.of(grounding))

    def inspect(self, call: Call, video: str) -> ToolOutput:
        """An `InspectResult`. Asks no model."""
        with self.roots.open(video) as file, stop_when(call.check):
            options = self._read_options(call)
            report = inspect_file(
                file,
                try_backends=False,
                time_limit_s=options.time_limit_s,
                memory_limit_mb=options.memory_limit_mb,
            )
            names = self.roots.names_beside(file.name)
        beside = match_subtitle_files(Path(file.name), names)
        report = replace(report, subtitle_files=tuple(match.path.name for match in beside))
        return ToolOutput(InspectResult.of(report))

    def frames(self, call: Call, video: str, times_s: Sequence[float]) -> ToolOutput:
        """A `FramesResult` with its frames, at most 8 of at most 640 pixels a side. Asks no
        model."""
        if not 1 <= len(times_s) <= MOST_FRAMES:
            raise UsageError(f"times_s must be 1 to {MOST_FRAMES} times, got {len(times_s)}")
        with self._opened(call, video) as (_, opened):
            size_px = picture_size_px(opened.info)
            batch = opened.frames_at(times_s, size_px)
        shown_s = [round(float(time_s), 6) for time_s in batch.times_s]
        frames = [
            FrameTime(asked_s=asked_s, time_s=time_s, exact=bool(exact))
            for asked_s, time_s, exact in zip(times_s, shown_s, batch.exact, strict=True)
        ]
        pictures = tuple(
            Picture(time_s, jpeg_bytes(pixels))
            for time_s, pixels in zip(shown_s, batch.pixels, strict=True)
        )
        return ToolOutput(FramesResult(frames=frames, size_px=size_px), pictures)

    def sheet(
        self, call: Call, video: str, start_s: float | None, end_s: float | None, count: int
    ) -> ToolOutput:
        """A `SheetResult` with one picture: up to 36 frames, evenly over the part between two
        times, each with its time. Asks no model."""
        if not 1 <= count <= MOST_SHEET_FRAMES:
            raise UsageError(f"count must be 1 to {MOST_SHEET_FRAMES} frames, got {count}")
        with self._opened(call, video) as (file, opened):
            part = checked_part(start_s, end_s, opened.info)
            # Middles of equal parts: each frame stands for the part around it.
            middles = (np.arange(count) + 0.5) / count
            batch = opened.frames_at(
                (part.start_s + middles * part.duration_s).tolist(),
                cell_size_px(opened.info.square_size_px, SHEET_CELL_PX),
            )
        picture = contact_sheet(
            batch,
            columns=SHEET_COLUMNS,
            cell_width_px=SHEET_CELL_PX,
            title=f"{Path(file.name).name} {part}",
        )
        start_s, end_s = part.to_list()
        times_s = [round(float(time_s), 6) for time_s in batch.times_s]
        values = SheetResult(start_s=start_s, end_s=end_s, times_s=times_s, size_px=picture.size)
        return ToolOutput(values, (Picture(times_s[0], jpeg_bytes(picture), "contact sheet from"),))

    def overview(
        self, call: Call, video: str, start_s: float | None, end_s: float | None
    ) -> ToolOutput:
        """An `OverviewResult`: the whole, and the scenes between two times. Asks no model."""
        with self._opened(call, video) as (file, opened):
            info = opened.info
            part = checked_part(start_s, end_s, info)
            memory = self._memory(opened, self._subtitles(call, file, opened))
            return ToolOutput(tell_overview(memory, info.span, part))

    def search(
        self,
        call: Call,
        video: str,
        text: str,
        *,
        channels: Sequence[str],
        start_s: float | None,
        end_s: float | None,
        limit: int,
    ) -> ToolOutput:
        """A `SearchToolResult`: cues in what is known of the video. Asks no model."""
        query = MemoryQuery(text, read_channels(channels), limit=limit)
        with self._opened(call, video) as (file, opened):
            query = replace(query, span=checked_part(start_s, end_s, opened.info))
            memory = self._memory(opened, self._subtitles(call, file, opened))
            return ToolOutput(tell_hits(memory, query, opened.info.span))

    def transcript(
        self,
        call: Call,
        video: str,
        subtitles: str | None,
        start_s: float | None,
        end_s: float | None,
    ) -> ToolOutput:
        """A `TranscriptResult` of the part between two times. Asks no model."""
        with self._opened(call, video) as (file, opened):
            part = checked_part(start_s, end_s, opened.info)
            lines = self._subtitles(call, file, opened, subtitles)
            if lines is None:
                lines = read_heard(self._memory(opened, None))
        return ToolOutput(tell_transcript(lines, part))

    def screen_text(
        self, call: Call, video: str, start_s: float | None, end_s: float | None
    ) -> ToolOutput:
        """A `ScreenTextResult` of the part between two times. Asks no model."""
        with self._opened(call, video) as (_, opened):
            part = checked_part(start_s, end_s, opened.info)
            return ToolOutput(tell_screen_text(self._memory(opened, None), part))

    def _subtitles(
        self, call: Call, file: BinaryIO, video: Video, name: str | None = None
    ) -> Subtitles | None:
        """Those of the file that is named, else those beside or inside the video."""
        reader = SubtitleReader(
            roots=self.roots,
            video_name=file.name,
            video_path=video.path,
            options=self._read_options(call),
        )
        return reader.find() if name is None else reader.read(name)

    def _memory(self, video: Video, subtitles: Subtitles | None) -> VideoMemory:
        """What is known of a video, what is said in it included."""
        memory = VideoMemory.of_video(video, self._store)
        memory.add(make_speech_records(subtitles) if subtitles else ())
        return memory

    @cached_property
    def _store(self) -> Store:
        return self._open_store()

    @contextmanager
    def _opened(self, call: Call, name: str) -> Iterator[tuple[BinaryIO, Video]]:
        """The file, and the video in it, which is read and shown to models until `call` ends."""
        with self.roots.open(name) as file, stop_when(call.check):
            options = self._read_options(call)
            with Video.open(
                file,
                time_limit_s=options.time_limit_s,
                memory_limit_mb=options.memory_limit_mb,
            ) as video:
                yield file, video

    def _read_options(self, call: Call) -> ReadOptions:
        """How a file is read in the time that is left; a fraction of a second is no limit that a
        decoder could keep."""
        return ReadOptions(
            time_limit_s=max(0.1, call.remaining_s), memory_limit_mb=self.limits.memory_mb or None
        )

    def _reasoner(self, call: Call, report_step: ReportStep | None = None) -> Reasoner:
        """The model, loaded once: it goes on loading where the call is ended meanwhile."""
        with self._lock:
            loading = self._loading
            # A load that failed is tried again; one that goes on is shared by all calls.
            if loading is None or (loading.done() and loading.exception() is not None):
                loading = self._loading = self._loader.submit(self._load)
                is_loaded = False
            else:
                is_loaded = loading.done()
        if not is_loaded and report_step is not None:
            report_step(0, "loading the model")
        try:
            return call.result_of(loading)
        except TimeoutError as error:
            # The load itself may have failed with a time-out, which is not the wait's.
            if loading.done():
                raise
            raise UsageError(
                f"the model was still being loaded after {call.limit_s:g} s; call again, since it "
                "goes on loading"
            ) from error


def _take_part(video: Video, part: Span) -> FrameSource:
    """The video where all of it is asked for, else a window on it."""
    return video if part == video.info.span else VideoWindow(video, part)


def _take_lines(subtitles: Subtitles | None, part: Span) -> Subtitles | None:
    """The subtitles with those lines alone that overlap a part of the video."""
    if subtitles is None:
        return None
    lines = tuple(line for line in subtitles.lines if line.span.overlap_s(part) > 0)
    return replace(subtitles, lines=lines)


def evidence_pictures(answer: Answer) -> tuple[Picture, ...]:
    """Thumbnails of frames of the evidence, by time; evenly spread where there are more than 6."""
    looked_s = {time_s for item in answer.evidence for time_s in item.frame_times_s}
    times_s = sorted(looked_s & answer.thumbnails.keys())
    if len(times_s) > MOST_PICTURES:
        last = len(times_s) - 1
        times_s = [times_s[round(i * last / (MOST_PICTURES - 1))] for i in range(MOST_PICTURES)]
    return tuple(Picture(time_s, answer.thumbnails[time_s]) for time_s in times_s)


def picture_size_px(info: VideoInfo) -> tuple[int, int]:
    """(width, height) in true shape, no side above 640."""
    width_px, height_px = info.square_size_px
    scale = min(1.0, LONGEST_SIDE_PX / max(width_px, height_px))
    return max(1, round(width_px * scale)), max(1, round(height_px * scale))
