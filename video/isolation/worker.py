"""The reading process: answers requests about one file within a limit of memory, and ends when
nobody is there to ask. Started by `process`; run with `-m`.
"""

from __future__ import annotations

import json
import os
import queue
import resource
import select
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mmreason.video.audio import AudioSamples, NoAudioError, list_audio_tracks, stream_audio
from mmreason.video.backends.base import BackendError, OutOfMemoryError, ReadOptions, Source
from mmreason.video.backends.choose import open_source
from mmreason.video.isolation.process import ANSWER_HEAD, MEMORY_EXIT
from mmreason.video.isolation.records import record_to_json
from mmreason.video.types import FrameBatch, Span, VideoError

_PARENT_CHECK_S = 0.5
DECODERS = {
    "pyav": ("mmreason.video.backends.pyav",),
    "opencv": ("mmreason.video.backends.opencv",),
    "decord": ("mmreason.video.backends.decord", "cv2"),
    "torchcodec": ("torch", "torchcodec.decoders", "mmreason.video.backends.torchcodec", "cv2"),
    "world": ("mmreason.video.world.source", "cv2"),
    "inspect": ("mmreason.video.inspect",),
    "subtitles": ("mmreason.video.subtitles.find",),
    "audio": ("mmreason.video.audio.decode",),
}
"""What is loaded before the limit is set, as it is no part of what a file takes."""


class Reader:
    """Does with the one file what requests say."""

    def __init__(self) -> None:
        self._source: Source | None = None
        self._streams: dict[int, Iterator[FrameBatch]] = {}
        self._audio: Iterator[AudioSamples] = iter(())

    def answer(self, request: dict[str, Any]) -> tuple[dict[str, Any], Sequence[np.ndarray]]:
        """JSON and arrays for a request. Raises VideoError and MemoryError."""
        action = request["action"]
        if action == "load":
            _load(request["decoders"])
            # After loading: libraries take hundreds of megabytes that no file is to blame for.
            _limit_memory(request["memory_mb"])
            return {}, ()
        if action == "open":
            return self._open(request), ()
        if action == "inspect":
            return _inspect(request), ()
        if action in ("find subtitles", "container times"):
            return _read_subtitles(action, Path(request["path"])), ()
        if action == "audio tracks":
            options = ReadOptions(**request["options"])
            tracks = list_audio_tracks(request["path"], options=options)
            return {"value": [record_to_json(track) for track in tracks]}, ()
        if action == "audio":
            self._audio = _stream_audio(request)
            return {}, ()
        if action == "next audio":
            return _of_audio(next(self._audio, None))
        assert self._source is not None
        if action == "frames":
            batch = self._source.frames_at(request["times_s"], request["size_px"])
            return self._of_batch(batch)
        if action == "stream":
            self._streams[request["id"]] = self._source.stream(
                request["fps_hz"], request["size_px"], Span(*request["span_s"])
            )
            return {}, ()
        if action == "next":
            batch = next(self._streams[request["id"]], None)
            return ({"count": 0}, ()) if batch is None else self._of_batch(batch)
        if action == "end":
            self._streams.pop(request["id"], None)
            return {}, ()
        if action == "keyframes":
            return {}, (np.asarray(self._source.keyframe_times_s, np.float64),)
        assert action == "frame times", action
        return {}, (self._source.read_frame_times(),)

    def _open(self, request: dict[str, Any]) -> dict[str, Any]:
        options = ReadOptions(**request["options"])
        self._source, _ = open_source(Path(request["path"]), request["backend"], options)
        return {"info": record_to_json(self._source.info)}

    def _of_batch(self, batch: FrameBatch) -> tuple[dict[str, Any], Sequence[np.ndarray]]:
        """Notes too: decoding may have found frames that differ from the first."""
        assert self._source is not None
        answer = {"count": len(batch), "notes": self._source.info.notes}
        return answer, (batch.pixels, batch.times_s, batch.exact)


def main() -> None:
    """Serve requests from stdin until it ends."""
    # 1. Answers get a descriptor of their own.
    # stdout is everybody's; this copy is ours.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    # 2. A thread takes requests, and ends all when nobody is there to ask.
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_take_requests, args=(requests, os.getppid()), daemon=True).start()
    # 3. Requests are served one after the other, for one file.
    reader = Reader()
    while True:
        _serve(reader, requests.get(), answers)


def _serve(reader: Reader, request: dict[str, Any], answers: BinaryIO) -> None:
    try:
        answer, arrays = reader.answer(request)
    except (MemoryError, OutOfMemoryError):
        answer, arrays = {"out_of_memory": True}, ()
    except VideoError as error:
        answer = {
            "error": str(error),
            "is_backend_error": isinstance(error, BackendError),
            "has_no_audio": isinstance(error, NoAudioError),
        }
        arrays = ()
    try:
        _send(answers, answer, arrays)
    except MemoryError:
        # No memory even to say so; a number needs none.
        os._exit(MEMORY_EXIT)


def _send(answers: BinaryIO, answer: dict[str, Any], arrays: Sequence[np.ndarray] = ()) -> None:
    text = json.dumps(answer).encode()
    answers.write(ANSWER_HEAD.pack(len(text), sum(array.nbytes for array in arrays)) + text)
    for array in arrays:
        answers.write(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    answers.flush()


def _inspect(request: dict[str, Any]) -> dict[str, Any]:
    from mmreason.video.inspect import inspect_file

    options = request["options"]
    report = inspect_file(
        request["path"],
        try_backends=request["try_backends"],
        time_limit_s=options["time_limit_s"],
    )
    return {"report": record_to_json(report)}


def _stream_audio(request: dict[str, Any]) -> Iterator[AudioSamples]:
    span_s = request["span_s"]
    return stream_audio(
        request["path"],
        None if span_s is None else Span(*span_s),
        track=request["track"],
        rate_hz=request["rate_hz"],
        block_s=request["block_s"],
        options=ReadOptions(**request["options"]),
    )


def _of_audio(block: AudioSamples | None) -> tuple[dict[str, Any], Sequence[np.ndarray]]:
    if block is None:
        return {"count": 0}, ()
    answer = {"count": len(block), "start_s": block.start_s, "notes": block.notes}
    return answer, (block.samples,)


def _read_subtitles(action: str, path: Path) -> dict[str, Any]:
    from mmreason.video.subtitles.find import container_times, find_subtitles

    value = find_subtitles(path) if action == "find subtitles" else container_times(path)
    return {"value": None if value is None else record_to_json(value)}


def _load(decoders: Sequence[str]) -> None:
    """One that is not installed is told by its back end later."""
    for name in decoders:
        for module in DECODERS[name]:
            with suppress(Exception):
                import_module(module)


def _limit_memory(memory_mb: int) -> None:
    """Address space from here on; decoders ask for it in ways that no library counts."""
    # What the program itself takes, with all decoders loaded, is no part of the limit.
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit_bytes = pages * resource.getpagesize() + memory_mb * 1_000_000
    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
    # A crash over a made-up file would leave its whole memory on the disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _take_requests(requests: queue.SimpleQueue[dict[str, Any]], parent_pid: int) -> None:
    """Lines of stdin, in a thread of its own: the process ends with its parent in the middle of
    decoding too. (A death signal would come with the thread that started it, not the process.)"""
    waiting = b""
    # A process whose parent ended gets another one.
    while os.getppid() == parent_pid:
        if not select.select([0], [], [], _PARENT_CHECK_S)[0]:
            continue
        data = os.read(0, 2**16)
        if not data:
            break
        *lines, waiting = (waiting + data).split(b"\n")
        for line in lines:
            requests.put(json.loads(line))
    # The whole group, so that a decoder started from here ends too.
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    if os.getpgrp() != os.getpid():
        sys.exit("is started by mmreason.video.isolation.process only")
    main()
