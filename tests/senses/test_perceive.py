"""Senses go through a video: only what is missing, kept stretch by stretch, one part at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmreason.memory.sense_ledger import make_owner
from mmreason.memory.store import Store
from mmreason.memory.video_memory import VideoMemory
from mmreason.senses import Senses, list_sense_runs, perceive
from mmreason.types import UsageError
from tests.senses.scripted import BlankVideo, ScriptedSense

VIDEO = BlankVideo()


def open_memory(store: Store) -> VideoMemory:
    return VideoMemory.of_video(VIDEO, store)


def test_each_stretch_is_kept_when_its_step_comes_and_nothing_is_done_twice() -> None:
    store, sense = Store.in_memory(), ScriptedSense()
    steps = perceive(VIDEO, open_memory(store), Senses(parts=(sense,)))
    assert next(steps).records == 1
    steps.close()
    memory = open_memory(store)
    assert [r.text for r in memory.records] == ["speech from 0"]
    (run,) = list_sense_runs(memory)
    assert (run.state, run.covered_s, run.records, run.repeated) == ("partial", 30.0, 1, 1)
    assert [s.done for s in perceive(VIDEO, memory, Senses(parts=(sense,)))] == [2, 3]
    assert len(sense.finds) == 3, "goes on where it was"
    (step,) = perceive(VIDEO, memory, Senses(parts=(sense,)))
    assert not step.is_new and step.records == 3 and len(sense.finds) == 3
    assert list_sense_runs(memory)[0].state == "done"


def test_a_stretch_that_fails_is_told_and_tried_again() -> None:
    memory = open_memory(Store.in_memory())
    steps = list(perceive(VIDEO, memory, Senses(parts=(ScriptedSense(fails_at_s=(30.0,)),))))
    assert [step.error for step in steps] == ["", "nothing to be had at 30 s", ""]
    (run,) = list_sense_runs(memory)
    assert (run.state, run.reason) == ("partial", "nothing to be had at 30 s")
    steps = list(perceive(VIDEO, memory, Senses(parts=(ScriptedSense(),))))
    assert [step.span.start_s for step in steps] == [30.0] and len(memory) == 3
    assert list_sense_runs(memory)[0].reason == ""


def test_the_cheapest_sense_comes_first_and_a_missing_one_is_told() -> None:
    senses = Senses(
        parts=(ScriptedSense("shots"), ScriptedSense("screen")), missing={"speech": "install it"}
    )
    steps = list(perceive(VIDEO, open_memory(Store.in_memory()), senses))
    assert [step.sense for step in steps] == ["shots"] * 3 + ["screen"] * 3
    steps = list(perceive(VIDEO, open_memory(Store.in_memory()), senses, ["speech"]))
    assert [(step.sense, step.error) for step in steps] == [("speech", "install it")]
    with pytest.raises(UsageError, match="senses are shots, labels, speech, screen; got smell"):
        list(perceive(VIDEO, open_memory(Store.in_memory()), senses, ["smell"]))


def test_what_another_part_found_stays_until_it_is_to_be_replaced() -> None:
    memory = open_memory(Store.in_memory())
    list(perceive(VIDEO, memory, Senses(parts=(ScriptedSense(part="small"),))))
    large = Senses(parts=(ScriptedSense(part="large"),))
    (step,) = perceive(VIDEO, memory, large)
    assert (step.is_new, step.part, step.notes) == (False, "small", ("made by small, which stays",))
    assert len(list(perceive(VIDEO, memory, large, replaces=True))) == 3
    assert {record.model for record in memory.records} == {"large"}
    assert [run.part for run in list_sense_runs(memory)] == ["large"]


def test_a_limit_of_time_and_a_span_leave_the_rest_for_later() -> None:
    memory = open_memory(Store.in_memory())
    senses = Senses(parts=(ScriptedSense(),))
    assert list(perceive(VIDEO, memory, senses, limit_s=0.0)) == []
    span = VIDEO.info.span.clip(type(VIDEO.info.span)(35, 40))
    assert [step.span.start_s for step in perceive(VIDEO, memory, senses, span=span)] == [30.0]
    assert len(list(perceive(VIDEO, memory, senses))) == 2


def test_what_another_process_is_at_work_on_is_left_to_it(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.sqlite3") as store:
        memory, senses = open_memory(store), Senses(parts=(ScriptedSense(),))
        theirs = f"{os.uname().nodename}:{os.getppid()}:x"
        assert memory.claim_sense("speech", theirs) == ""
        (step,) = perceive(VIDEO, memory, senses)
        assert not step.is_new and "another process is at work" in step.notes[0]
        memory.release_claims(theirs)
        assert len(list(perceive(VIDEO, memory, senses))) == 3


def test_a_claim_of_a_process_that_is_gone_is_taken_over(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host, _, token = make_owner("x").rsplit(":", 2)
    memory = open_memory(Store.in_memory())
    assert memory.claim_sense("speech", f"{host}:{gone.pid}:{token}") == ""
    assert len(list(perceive(VIDEO, memory, Senses(parts=(ScriptedSense(),))))) == 3


def test_two_writers_of_one_stretch_leave_it_once(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    with Store.open(path) as store, Store.open(path) as other:
        steps = perceive(VIDEO, open_memory(store), Senses(parts=(ScriptedSense(),)))
        next(steps)
        # As if the claim had been lost: the other goes through all that is missing by now.
        with other.transaction() as connection:
            connection.execute("DELETE FROM claims")
        mine = perceive(VIDEO, open_memory(other), Senses(parts=(ScriptedSense(),)))
        assert next(mine).is_new
        assert [step.is_new for step in steps] == [False, True]
        mine.close()
        assert len(open_memory(store)) == 3 == list_sense_runs(open_memory(store))[0].records
