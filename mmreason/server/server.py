"""The tools of `desk` in the Model Context Protocol, on standard input and output.

Work runs in threads, so that the protocol stays alive: whatever asks the model goes one at a time,
and stops between two steps when its call is cancelled. The one module that imports the SDK.
"""

from __future__ import annotations

import inspect
import json
import os
import signal
from base64 import b64encode
from collections.abc import Callable
from typing import Annotated

from anyio import CapacityLimiter, from_thread, to_thread
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, ContentBlock, ImageContent, TextContent, ToolAnnotations
from pydantic import Field, FiniteFloat

import mmreason
from mmreason.server.desk import Desk
from mmreason.server.results import Answered, Captioned, Found, Framed, Grounded, Inspected
from mmreason.types import Budget, UsageError
from mmreason.video.types import VideoError, format_time

_FILE_CALLS = 2
"""Calls without a model that may run at the same time."""
_INTERRUPTED = 130

VideoPath = Annotated[str, Field(description="Path of a video file.")]


class Tools:
    """The tools as clients see them: their docstrings and signatures are what is published."""

    def __init__(self, desk: Desk):
        self._desk = desk
        self._model_turn = CapacityLimiter(1)
        self._file_turn = CapacityLimiter(_FILE_CALLS)

    async def ask(
        self,
        context: Context,
        video: VideoPath,
        question: Annotated[str, Field(description="The question, in plain words.")],
        options: Annotated[
            list[str] | None, Field(description="2 to 26 possible answers, for a choice.")
        ] = None,
        subtitles: Annotated[
            str | None,
            Field(description="Path of subtitles (.srt, .vtt, .ass); default: beside or in it."),
        ] = None,
        budget_frames: Annotated[int | None, Field(description="Most frames to look at.")] = None,
        budget_seconds: Annotated[
            FiniteFloat | None, Field(description="Most seconds to spend.")
        ] = None,
    ) -> Annotated[CallToolResult, Answered]:
        """Answer a question about what is to be seen or is said in subtitles in a video, of seconds
        or of hours. Gives the answer, its confidence, the stretches of video that support it with
        how each was checked and by whom, pictures of them and the cost. Takes seconds to minutes; a
        later question about the same video is faster. answered: false means that there is no
        answer: do not make one up, and tell what next_steps say."""

        def tell(number: int, doing: str) -> None:
            from_thread.check_cancelled()
            from_thread.run(context.report_progress, number, None, doing)

        def work() -> Found:
            budget = Budget(frames=budget_frames, seconds=budget_seconds)
            return self._desk.ask(
                video, question, options=options, subtitles=subtitles, budget=budget, tell=tell
            )

        return await _answered(work, self._model_turn)

    async def caption(
        self,
        video: VideoPath,
        start_s: Annotated[
            FiniteFloat | None, Field(description="First second; default: the start.")
        ] = None,
        end_s: Annotated[
            FiniteFloat | None, Field(description="Last second; default: the end.")
        ] = None,
    ) -> Annotated[CallToolResult, Captioned]:
        """Describe what is to be seen in a video, or between two of its times. Good for some
        seconds; over long stretches it sees few moments, and ask finds more."""
        return await _answered(lambda: self._desk.caption(video, start_s, end_s), self._model_turn)

    async def ground(
        self,
        file: Annotated[str, Field(description="Path of a video file or an image.")],
        expression: Annotated[str, Field(description='What to find, such as "the red star".')],
        at_s: Annotated[
            FiniteFloat | None,
            Field(description="Second of the video to look at; default: its middle."),
        ] = None,
    ) -> Annotated[CallToolResult, Grounded]:
        """Find something in one frame of a video, or in an image: its box in pixels of the original
        frame, or that it is not there."""
        return await _answered(lambda: self._desk.ground(file, expression, at_s), self._model_turn)

    async def inspect(self, video: VideoPath) -> Annotated[CallToolResult, Inspected]:
        """Tell what is in a video file: duration, picture size, codec, constant or variable frame
        rate, key frames, audio and subtitle tracks. Fast, and asks no model."""
        return await _answered(lambda: self._desk.inspect(video), self._file_turn)

    async def frames(
        self,
        video: VideoPath,
        times_s: Annotated[list[FiniteFloat], Field(description="1 to 8 times in seconds.")],
    ) -> Annotated[CallToolResult, Framed]:
        """Show the frames of a video at some times, as pictures of at most 640 pixels a side, with
        the times at which they are really shown. Fast, and asks no model."""
        return await _answered(lambda: self._desk.frames(video, times_s), self._file_turn)


async def _answered(work: Callable[[], Found], turn: CapacityLimiter) -> CallToolResult:
    """Do the work in a thread when it is its turn. ToolError tells the client what was
    wrong with its call."""
    try:
        found = await to_thread.run_sync(work, limiter=turn)
    except (UsageError, VideoError) as error:
        raise ToolError(" ".join(str(error).split())) from error
    values = found.values.model_dump(mode="json", by_alias=True)
    text = json.dumps(values, ensure_ascii=False)
    content: list[ContentBlock] = [TextContent(type="text", text=text)]
    for picture in found.pictures:
        content.append(TextContent(type="text", text=f"frame at {format_time(picture.time_s)}:"))
        data = b64encode(picture.jpeg).decode()
        content.append(ImageContent(type="image", data=data, mime_type="image/jpeg"))
    return CallToolResult(content=content, structured_content=values)


def build(desk: Desk, model: str) -> MCPServer:
    """A server with all tools; `model` is the name that clients are told."""
    server = MCPServer(
        "mmreason",
        version=mmreason.__version__,
        instructions=(
            "Looks into video files on this machine and answers questions about them with evidence."
            " Times are in seconds, in texts as h:mm:ss.ss. Files may be read "
            f"below: {desk.roots}. Relative paths start there. The model that looks is {model}."
        ),
        log_level="WARNING",
    )
    tools = Tools(desk)
    for tool in (tools.ask, tools.caption, tools.ground, tools.inspect, tools.frames):
        server.add_tool(
            tool,
            description=inspect.getdoc(tool),
            annotations=ToolAnnotations(read_only_hint=True),
        )
    return server


def serve(desk: Desk, model: str) -> None:
    """Serve one client until standard input is closed. Only protocol goes to standard output.

    Ctrl-C ends the process. Raises BrokenPipeError where the client does not listen any more.
    """
    signal.signal(signal.SIGINT, _end)
    try:
        build(desk, model).run("stdio")
    except BaseExceptionGroup as group:
        if group.subgroup(BrokenPipeError) is None:
            raise
        raise BrokenPipeError from group


def _end(number: int, frame: object) -> None:
    """Leave at once: a thread that reads standard input, and a model at work, cannot be
    interrupted. Nothing is left half done, since the store commits each reply by itself."""
    os.write(2, b"interrupted\n")
    os._exit(_INTERRUPTED)
