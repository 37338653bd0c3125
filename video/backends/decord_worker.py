"""Reads frames through decord in a process of its own, because decord can hang for ever while it
holds the interpreter's lock. Run as a script by `decord`: one JSON line in, one JSON line out,
pixels after it. It imports nothing of this package.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from typing import Any, BinaryIO


def main() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what decord prints must not get between the answers
    try:
        decord: Any = import_module("decord")
    except Exception as error:
        return _say(answers, {"error": f"cannot be imported ({error})"})
    _say(answers, {"version": decord.__version__})
    reader = None
    for line in sys.stdin:
        try:
            reader = _serve(json.loads(line), reader, decord, answers)
        except Exception as error:  # decord raises several kinds, RuntimeError and DECORDError
            _say(answers, {"error": str(error).strip().splitlines()[-1][:200]})


def _serve(request: dict[str, Any], reader: Any, decord: Any, answers: BinaryIO) -> Any:
    if "path" in request:
        reader = decord.VideoReader(request["path"], ctx=decord.cpu(0), num_threads=1)
        height_px, width_px = reader[0].shape[:2]
        start_s = float(reader.get_frame_timestamp(0)[0])
        facts = {"frames": len(reader), "size_px": [width_px, height_px], "start_s": start_s}
        _say(answers, facts)
        return reader
    rows = request["rows"]
    pixels = reader.get_batch(rows).asnumpy()
    spans_s = [[float(t) for t in reader.get_frame_timestamp(row)] for row in rows]
    reader.seek(0)  # else it goes on decoding ahead and grows
    _say(answers, {"spans_s": spans_s, "shape": list(pixels.shape)}, pixels.tobytes())
    return reader


def _say(answers: BinaryIO, answer: dict[str, Any], data: bytes = b"") -> None:
    answers.write(json.dumps(answer).encode() + b"\n" + data)
    answers.flush()


if __name__ == "__main__":
    main()
