"""Jobs: their work by name, their keys, their shards."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.engines.base import InlineEngine
from mmreason.engines.jobs import (
    Job,
    Shard,
    Work,
    check_jobs,
    make_job_key,
    name_file_content,
    select_shard,
)
from mmreason.engines.ledger import Ledger
from mmreason.types import UsageError
from tests.engines.chores import do_chore, load_parts, use_parts


def test_work_is_named_by_its_function() -> None:
    work = Work.of(use_parts, load_parts, {"model": "nano"})
    assert work.function == "tests.engines.chores:use_parts"
    assert Work(**work.to_dict()) == work
    assert work.load()(Job(key="a", address="x")) == {"model": "nano", "address": "x"}


def test_a_function_that_a_worker_could_not_import_is_refused() -> None:
    def local(job: Job) -> None:
        pass

    for function in (local, lambda job: None):
        with pytest.raises(UsageError, match="define it in a module"):
            Work.of(function)
    with pytest.raises(UsageError, match="names no function; expected module:function"):
        Work.of("os.path")
    with pytest.raises(UsageError, match=r"os\.path:nothing: the module has no such function"):
        Work.of("os.path:nothing").load()
    with pytest.raises(UsageError, match="settings of the work must be what JSON holds"):
        Work.of(do_chore, settings={"model": object()})


def test_a_key_is_of_verb_content_and_settings() -> None:
    keys = {
        make_job_key(verb, content, settings)
        for verb in ("index", "transcribe")
        for content in ("aa", "bb")
        for settings in ({"model": "nano"}, {"model": "other"})
    }
    assert len(keys) == 8
    assert make_job_key("v", "c", {"a": 1, "b": 2}) == make_job_key("v", "c", {"b": 2, "a": 1})


def test_a_file_that_changed_is_another_content(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    assert name_file_content(path) == str(path), "of a file that is not there, or a URL"
    path.write_bytes(b"one")
    first = name_file_content(path)
    os.utime(path, (1, 1))
    second = name_file_content(path)
    path.write_bytes(b"three")
    assert len({first, second, name_file_content(path)}) == 3


def test_two_jobs_of_one_key_are_refused() -> None:
    with pytest.raises(UsageError, match=r"^b: has the key k of a; give each job a key"):
        check_jobs([Job(key="k", address="a"), Job(key="k", address="b")])


@given(st.sets(st.text(max_size=20), max_size=40), st.integers(1, 7))
def test_each_file_is_in_exactly_one_shard(names: set[str], count: int) -> None:
    shards = [select_shard(tuple(names), Shard(index + 1, count)) for index in range(count)]
    assert sorted(name for shard in shards for name in shard) == sorted(names)


def test_a_file_stays_in_its_shard_whatever_else_is_listed() -> None:
    names = [f"talks/{number}.mp4" for number in range(200)]
    shard = select_shard(names, Shard(2, 8))
    assert select_shard(names[::-1][:150], Shard(2, 8)) == tuple(
        name for name in names[::-1][:150] if name in shard
    )
    assert 10 < len(shard) < 45, "about an eighth"


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "-1/2", "1/2/3", "a/b", "٣/٤"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"expected i/n"):
        Shard.parse(text)


def test_an_engine_of_this_process_loads_nothing_for_a_list_that_is_done(tmp_path: Path) -> None:
    path, note = tmp_path / "l.sqlite3", tmp_path / "note"
    work = Work.of(use_parts, load_parts, {"model": "m", "note": str(note)})
    jobs = [Job(key=name, address=name) for name in "ab"]
    for _ in range(2):
        with Ledger.open(path) as ledger:
            results = list(InlineEngine().run(jobs, work, ledger))
        assert [r.value for r in results] == [{"model": "m", "address": n} for n in "ab"]
    assert [r.from_ledger for r in results] == [True, True]
    assert len(note.read_text().splitlines()) == 1


def test_ctrl_c_keeps_results_and_gives_claims_back(tmp_path: Path) -> None:
    jobs = [Job(key=name, address=name) for name in "abc"]
    with Ledger.open(tmp_path / "l.sqlite3") as ledger:
        with pytest.raises(KeyboardInterrupt):
            for _ in InlineEngine().run(jobs, Work.of(do_chore), ledger):
                raise KeyboardInterrupt
        assert ledger.count_states() == (1, 0, 0)
    with Ledger.open(tmp_path / "l.sqlite3") as ledger:
        results = list(InlineEngine().run(jobs, Work.of(do_chore), ledger))
        assert [r.from_ledger for r in results] == [True, False, False]
