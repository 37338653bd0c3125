"""The process of one local worker: loads the work once, runs jobs that it is sent, and ends when
nobody is there to send any. Started by `local`; run with `-m`.

It reads requests and writes replies through two pipes of its own, whose numbers are its arguments.
A message is its length and JSON. Standard output is that of nobody: what libraries print must not
meet a reply.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import struct
import sys
import threading
from typing import Any

from mmreason.engines.base import name_worker, run_job
from mmreason.engines.jobs import Job, Work, describe_error

HEAD = struct.Struct(">Q")
"""Bytes of JSON that follow."""


def work_for(requests: int, replies: int) -> None:
    """Take jobs from one descriptor and write what came of them to the other, until it closes."""
    # What a job starts must not hold them open.
    for descriptor in (requests, replies):
        os.set_inheritable(descriptor, False)
    inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    # Its own thread, so that a closed pipe ends this process also in the middle of a job.
    threading.Thread(target=_read_requests, args=(requests, inbox), daemon=True).start()
    try:
        work = Work(**inbox.get())
        function = work.load()
    except (Exception, SystemExit) as error:
        write_message(replies, {"kind": "unfit", "reason": describe_error(error)})
        return
    write_message(replies, {"kind": "ready"})
    worker = name_worker()
    while True:
        job = Job(**inbox.get())
        # Before anything of the job: from here on a death is the job's.
        write_message(replies, {"kind": "begun"})
        result = run_job(function, job, worker)
        reply = {"value": result.value, "error": result.error, "seconds": result.seconds}
        write_message(replies, {"kind": "finished", "reply": reply})


def write_message(descriptor: int, message: dict[str, Any]) -> None:
    """One message, whole. Raises OSError where nobody reads any more."""
    body = json.dumps(message).encode()
    data = HEAD.pack(len(body)) + body
    while data:
        # A pipe takes as much as it has room for.
        data = data[os.write(descriptor, data) :]


def _read_requests(descriptor: int, inbox: queue.SimpleQueue[dict[str, Any]]) -> None:
    while True:
        (size,) = HEAD.unpack(_read_bytes(descriptor, HEAD.size))
        inbox.put(json.loads(_read_bytes(descriptor, size)))


def _read_bytes(descriptor: int, count: int) -> bytes:
    data = b""
    while len(data) < count:
        block = os.read(descriptor, count - len(data))
        if not block:
            # The driver has ended, or is done with us. At once: a job may be in the middle of
            # native code, and nobody wants what it makes.
            os._exit(0)
        data += block
    return data


if __name__ == "__main__":
    # Ctrl-C is for the driver, which ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    work_for(int(sys.argv[1]), int(sys.argv[2]))
