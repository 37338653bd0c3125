"""Verbs over many files on workers and in shards: the same findings, resumed, merged into one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmreason.cli import main
from mmreason.cli.engine_options import EngineOptions
from mmreason.engines.jobs import Shard
from mmreason.memory.store import Store
from mmreason.models.scripted import ScriptedModel
from mmreason.types import UsageError

Run = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The exit code of a command with `--json`, what it prints, and what it tells beside it."""

    def call(*words: object) -> tuple[int, dict[str, Any], str]:
        code = main([*map(str, words), "--json"])
        printed = capsys.readouterr()
        return code, json.loads(printed.out), printed.err

    return call


@pytest.fixture
def folder(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two videos, and a file that is none; no weights, so that workers are soon ready."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "videos"
    folder.mkdir()
    shutil.copy(clip, folder / "a.mp4")
    # Other bytes, so that it is another video.
    (folder / "b.mp4").write_bytes(clip.read_bytes() + b"\0" * 8)
    (folder / "bad.mp4").write_text("no video")
    return folder


def test_workers_index_as_one_process_does_and_go_on_where_they_were(
    folder: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("index", folder, "--with", "shots", "--store")
    code, plain, _ = run(*asked, tmp_path / "plain.sqlite3")
    store = tmp_path / "s.sqlite3"
    code_of_workers, by_workers, _ = run(*asked, store, "--workers", 2)
    assert code == code_of_workers == 1
    assert by_workers["failures"] == plain["failures"] and by_workers["not_reached"] == 0
    found = [
        [(row["path"], row["records"]) for row in output["results"]]
        for output in (plain, by_workers)
    ]
    assert found[0] == found[1] and len(found[0]) == 2
    # Again: nothing is run, what failed is told, and a video that was forgotten is done anew.
    assert main(["cache", "forget", str(folder / "a.mp4"), "--store", str(store)]) == 0
    capsys.readouterr()
    code, again, told = run(*asked, store, "--workers", 2)
    assert code == 1 and again["failures"] == plain["failures"]
    assert [(row["path"], row["records"]) for row in again["results"]] == found[0]
    assert "--retry-failed works again on the 1 that failed before" in told
    assert sorted(file.name for file in tmp_path.glob("s.*")) == ["s.sqlite3", "s.sqlite3.jobs"]


def test_shards_are_merged_into_the_store_that_one_run_makes(
    folder: Path, tmp_path: Path, run: Run
) -> None:
    store = tmp_path / "s.sqlite3"
    paths: list[str] = []
    for index in (1, 2):
        shard = ("--shard", f"{index}/2", "--store", store)
        _, output, _ = run("index", folder, "--with", "shots", *shard)
        paths += [row["path"] for row in (*output["results"], *output["failures"])]
    assert sorted(paths) == sorted(map(str, folder.iterdir()))
    shards = sorted(tmp_path.glob("s.shard-*.sqlite3"))
    assert [shard.name for shard in shards] == [f"s.shard-{i}-of-2.sqlite3" for i in (1, 2)]
    _, merged, _ = run("cache", "merge", *shards, "--store", store)
    assert sum(source["videos"] for source in merged["sources"]) == 2
    run("index", folder, "--with", "shots", "--store", tmp_path / "whole.sqlite3")
    with Store.open(store) as one, Store.open(tmp_path / "whole.sqlite3") as other:
        assert one.usage().by_video == other.usage().by_video
    assert main(["cache", "merge", str(store), "--store", str(store)]) == 2


def test_a_machine_of_a_cluster_writes_a_store_of_its_own_that_is_merged(tmp_path: Path) -> None:
    from mmreason.cli.index_engine import merge_hosts
    from mmreason.cli.index_files import name_host_store
    from mmreason.memory.records import MemoryRecord
    from mmreason.video.types import Span

    store_path = tmp_path / "s.sqlite3"
    for host in ("one", "two"):
        with Store.open(name_host_store(store_path, host)) as store:
            store.add_records(host, [MemoryRecord("label", Span(0, 1), "cat", "labels", "eye")])
    merge_hosts(store_path)
    with Store.open(store_path) as store:
        assert store.usage().records == 2


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"engine": "spark"}, "expected one of local, ray"),
        ({"engine": "local", "gpus_per_worker": 1.0}, "need --engine ray"),
        ({"shard": "9/8"}, "expected i/n"),
        ({"workers": 9999}, "workers must be from 1 to 512"),
        ({"time_limit_s": -1.0}, "must be above 0"),
        ({"retry_failed": True}, "needs --workers above 1 or --engine"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        EngineOptions.of(**options)


def test_one_worker_and_nothing_else_is_this_process() -> None:
    assert EngineOptions.of().is_plain and EngineOptions.of(shard="1/2").is_plain
    assert not EngineOptions.of(time_limit_s=9).is_plain
    assert EngineOptions.of(shard="1/2").shard == Shard(1, 2)


def test_a_shard_of_questions_is_answered_into_a_file_of_its_own(
    model: ScriptedModel, clip: Path, tmp_path: Path, run: Run
) -> None:
    questions = tmp_path / "q.jsonl"
    rows = [{"video": str(clip), "question": f"What colour is star {n}?"} for n in range(6)]
    questions.write_text("".join(f"{json.dumps(row)}\n" for row in rows) + "no row\n")
    totals = []
    for index in (1, 2):
        shard = ("--shard", f"{index}/2", "--budget-frames", 0)
        _, output, _ = run("ask", "--questions", questions, "--out", tmp_path / "a.jsonl", *shard)
        totals.append(output)
    assert sum(output["questions"] for output in totals) == 7
    assert sum(output["failed"] for output in totals) == 1
    files = sorted(file.name for file in tmp_path.glob("a.*"))
    assert files == ["a.shard-1-of-2.jsonl", "a.shard-2-of-2.jsonl"]
    lines = [line for name in files for line in (tmp_path / name).read_text().splitlines()]
    assert len({json.loads(line)["id"] for line in lines}) == 7
