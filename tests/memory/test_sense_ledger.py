"""Stores of before the senses are brought up; the ledger outlives kills and takes no damage."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from mmreason.memory.record_tables import RECORD_SCHEMA
from mmreason.memory.records import MemoryRecord
from mmreason.memory.sense_ledger import STALE_CLAIM_S, Stretch, claim_sense
from mmreason.memory.store import Store
from mmreason.memory.store_file import _VERSION_1, APPLICATION_ID
from mmreason.memory.video_memory import VideoMemory
from mmreason.senses import list_sense_runs
from mmreason.video.types import Span

RECORD = MemoryRecord(
    "screen_text",
    Span(1, 2),
    "Agenda",
    "screen reading",
    "ocr",
    confidence=0.75,
    box_px=(1.0, 2.0, 30.5, 40.0),
    speaker="Ann",
)


def make_stretch(start_s: float = 0.0, **fields) -> Stretch:
    span = Span(start_s, start_s + 30)
    known = {"sense": "screen", "part": "ocr", "recipe": 1, "span": span, "planned_s": 90.0}
    return Stretch(**(known | {"records": 1, "cpu_s": 0.5} | fields))


def test_a_store_of_version_2_is_brought_up_with_all_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in (*_VERSION_1, *RECORD_SCHEMA):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO records (video, id, channel, start_us, end_us, text, source, model, level)"
            " VALUES ('one', 'sp-a', 'speech', 0, 1000000, 'Hello.', 'a.srt', '', 0)"
        )
        connection.execute("INSERT INTO memories VALUES ('one', 'talk.mp4', 1, 1, 106, 1)")
        connection.execute("PRAGMA user_version = 2")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    with Store.open(path) as store:
        memory = VideoMemory(store, "one")
        assert [(r.text, r.confidence, r.box_px) for r in memory.records] == [
            ("Hello.", None, None)
        ]
        assert memory.add_stretch(make_stretch(), [RECORD])
        assert memory.records[-1] == RECORD, "with confidence, box and speaker"
    with Store.open(path) as store:
        assert VideoMemory(store, "one").records[-1] == RECORD


@pytest.mark.parametrize(
    ("column", "value"),
    [("confidence", 7.0), ("confidence", "high"), ("box_px", "[1, 2]"), ("box_px", '["a"]')],
)
def test_what_senses_know_is_left_out_where_it_is_damaged(
    tmp_path: Path, column: str, value: object
) -> None:
    with Store.open(tmp_path / "s.sqlite3") as store:
        VideoMemory(store, "one").add_stretch(make_stretch(), [RECORD])
        with store.transaction() as connection:
            connection.execute(f"UPDATE records SET {column} = ?", (value,))
        (record,) = VideoMemory(store, "one").records
        assert record.text == "Agenda" and getattr(record, column) is None


@pytest.mark.parametrize("body", ["", "{}", "[]", '{"recipe": "x"}', "null"])
def test_a_damaged_line_of_the_ledger_counts_as_not_done(tmp_path: Path, body: str) -> None:
    with Store.open(tmp_path / "s.sqlite3") as store:
        memory = VideoMemory(store, "one")
        memory.add_stretch(make_stretch(), [RECORD])
        with store.transaction() as connection:
            connection.execute("UPDATE stretches SET body = ?", (body,))
        assert list_sense_runs(memory) == ()
        assert memory.add_stretch(make_stretch(), [RECORD]) and len(memory) == 1


def test_an_old_claim_is_taken_over_and_a_fresh_one_is_not() -> None:
    with Store.in_memory() as store, store.transaction() as connection:
        assert claim_sense(connection, "one", "speech", "elsewhere:1:a") == ""
        assert claim_sense(connection, "one", "speech", "elsewhere:2:b") == "elsewhere:1:a"
        old_ns = round((STALE_CLAIM_S + 1) * 1e9)
        connection.execute("UPDATE claims SET at_ns = at_ns - ?", (old_ns,))
        assert claim_sense(connection, "one", "speech", "elsewhere:2:b") == ""


_WRITER = """
import os, signal, sys
from mmreason.memory import store as stores
from mmreason.memory.store import Store
from mmreason.memory.video_memory import VideoMemory
from mmreason.senses import Senses, perceive
from tests.senses.scripted import BlankVideo, ScriptedSense

video, when = BlankVideo(), sys.argv[2]
real = stores.insert_records

def die_between(*arguments):
    # The ledger's line is written, its records are not.
    if os.environ.get("DIE") and arguments[3][0].span.start_s == 30:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments)

stores.insert_records = die_between
with Store.open(sys.argv[1]) as store:
    memory = VideoMemory.of_video(video, store)
    for step in perceive(video, memory, Senses(parts=(ScriptedSense(),))):
        if when == "after" and step.done == 2:
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("when", "kept"), [("within", 1), ("after", 2)])
def test_whoever_is_killed_loses_a_stretch_at_most_and_doubles_none(
    tmp_path: Path, when: str, kept: int
) -> None:
    from mmreason.senses import Senses, perceive
    from tests.senses.scripted import BlankVideo, ScriptedSense

    path = tmp_path / "s.sqlite3"
    settings = os.environ | ({"DIE": "1"} if when == "within" else {})
    command = [sys.executable, "-c", _WRITER, str(path), when]
    root = Path(__file__).parents[2]
    killed = subprocess.run(
        command, cwd=root, env=settings | {"PYTHONPATH": os.pathsep.join(sys.path)}, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    video, sense = BlankVideo(), ScriptedSense()
    with Store.open(path) as store:
        memory = VideoMemory.of_video(video, store)
        assert len(memory) == kept == list_sense_runs(memory)[0].stretches
        # The claim of the dead process holds nobody up.
        list(perceive(video, memory, Senses(parts=(sense,))))
        assert len(memory) == 3 and len(sense.finds) == 3 - kept
