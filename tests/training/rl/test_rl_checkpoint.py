"""Checkpoints that are torn, of something else, or find the disk full."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from mmreason.training.rl import Lora, Recipe, train
from mmreason.training.runs import checkpoint
from mmreason.types import UsageError
from tests.fakes import rl_runs, tiny_rl


def steps(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def done(tmp_path: Path, **changes: Any) -> Recipe:
    """A run of six steps with checkpoints of steps 2, 4 and 6."""
    recipe = rl_runs.recipe("plain", tmp_path / "run", **({"keep": 3} | changes))
    list(train(recipe))
    return recipe


@pytest.fixture(scope="module")
def six_steps(tmp_path_factory) -> Path:
    return done(tmp_path_factory.mktemp("six")).out


@pytest.fixture
def finished(six_steps, tmp_path) -> Recipe:
    """What `done` gives, as a copy of a run that is done once."""
    shutil.copytree(six_steps, tmp_path / "run")
    return rl_runs.recipe("plain", tmp_path / "run", keep=3)


def tear(path: Path, how: str) -> None:
    if how == "gone":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif how == "flipped":
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        path.write_bytes(bytes(raw))
    else:
        path.write_bytes(b"")


DAMAGE = [
    ("model.safetensors", "flipped"),
    ("optimizer.bin", "cut"),
    ("random_states_0.pkl", "gone"),
    ("run.json", "empty"),
    ("manifest.json", "cut"),
    ("manifest.json", "gone"),
]


@pytest.mark.parametrize(("name", "how"), DAMAGE)
def test_a_damaged_checkpoint_is_told_and_the_one_before_taken(finished, name, how):
    whole = tiny_rl.digest(finished.out / "model")
    tear(finished.out / "checkpoints" / "step-000006" / name, how)
    reports = list(train(finished))
    assert [report.step for report in reports] == [5, 6]
    assert any("step-000006 is damaged and left out" in line for line in reports[0].warnings)
    assert not reports[1].warnings
    assert tiny_rl.digest(finished.out / "model") == whole
    found = checkpoint.find_newest(finished.out)
    assert found is not None and not found[2]


def write_manifest(folder: Path) -> None:
    """Such that it fits what is in the folder."""
    files = (p for p in folder.rglob("*") if p.is_file() and p.name != "manifest.json")
    digests = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
    (folder / "manifest.json").write_text(json.dumps(digests))


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory) -> Path:
    recipe = rl_runs.recipe("plain", tmp_path_factory.mktemp("whole") / "run", steps=2)
    list(train(recipe))
    return recipe.out


@pytest.fixture
def step_folder(whole_run, tmp_path) -> Path:
    """A checkpoint of its own, the only one of its run."""
    shutil.copytree(whole_run, tmp_path / "run")
    return tmp_path / "run" / "checkpoints" / "step-000002"


def refusal(step_folder: Path) -> str:
    with pytest.raises(UsageError, match="is damaged") as error:
        checkpoint.find_step(step_folder.parent.parent, 2)
    line = str(error.value)
    assert "\n" not in line and len(line) < 600
    return line


@pytest.mark.parametrize(
    "text",
    ["{}", "[]", "null", "3", "[" * 100_000, '{"run.json": NaN}', '{"../../x": "0"}', "\udcff", ""],
)
def test_a_manifest_that_does_not_list_all_files_is_refused(step_folder, text):
    (step_folder / "manifest.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    refusal(step_folder)


def test_a_file_beside_those_listed_is_refused(step_folder):
    (step_folder / "pytorch_model.bin").write_bytes(b"")
    assert "'pytorch_model.bin' is not in manifest.json" in refusal(step_folder)


@pytest.mark.parametrize("name", ["manifest.json", "run.json", "optimizer.bin", "new"])
def test_a_pipe_or_a_link_in_a_checkpoint_is_refused_without_waiting(step_folder, name):
    (step_folder / name).unlink(missing_ok=True)
    os.mkfifo(step_folder / name)
    assert "is no regular file" in refusal(step_folder)
    (step_folder / name).unlink()
    (step_folder / name).symlink_to("/dev/zero")
    assert "is no regular file" in refusal(step_folder)


def test_the_random_state_cannot_be_left_out(step_folder):
    (step_folder / "random_states_0.pkl").unlink()
    write_manifest(step_folder)
    assert "random numbers is missing" in refusal(step_folder)


@pytest.mark.parametrize("state", [{}, {"random_state": (1, 2, 3)}, [1], None])
def test_a_random_state_that_would_be_passed_over_is_refused(step_folder, state):
    torch.save(state, step_folder / "random_states_0.pkl")
    write_manifest(step_folder)
    assert "no state of random numbers" in refusal(step_folder)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("step", "2"),
        ("step", -1),
        ("cursor", True),
        ("updates", 1.5),
        ("kind_scales", [1]),
        ("kind_scales", {"a": "b"}),
        ("settings", {"a": 1}),
        ("best", "high"),
        ("why", None),
        ("surprise", 1),
    ],
)
def test_a_state_of_wrong_types_is_refused_by_the_field(step_folder, field, value):
    state = json.loads((step_folder / "run.json").read_text())
    (step_folder / "run.json").write_text(json.dumps(state | {field: value}))
    write_manifest(step_folder)
    assert field in refusal(step_folder)


@pytest.mark.parametrize("text", ["[]", "{}", '{"step": 1e999}', '{"step": ' + "9" * 5000 + "}"])
def test_a_state_of_another_shape_is_refused(step_folder, text):
    (step_folder / "run.json").write_text(text)
    write_manifest(step_folder)
    assert "run.json" in refusal(step_folder)


@pytest.mark.parametrize("name", ["optimizer.bin", "model.safetensors"])
def test_weights_that_are_none_are_one_line(step_folder, name):
    (step_folder / name).write_bytes(b"\x80\x02]q\x00.")
    write_manifest(step_folder)
    with pytest.raises(UsageError, match="step-000002 cannot be put back") as error:
        next(train(rl_runs.recipe("plain", step_folder.parent.parent, steps=3)))
    assert "\n" not in str(error.value)


def test_folders_of_other_names_are_no_checkpoints(step_folder):
    (step_folder.with_name("step-9x")).mkdir()
    (step_folder.with_name("step-000009")).write_text("a file")
    found = checkpoint.find_newest(step_folder.parent.parent)
    assert found is not None and found[1].step == 2 and not found[2]
    with pytest.raises(UsageError, match="it has: 2"):
        checkpoint.find_step(step_folder.parent.parent, 9)


def test_damaged_checkpoints_do_not_push_whole_ones_out(finished):
    """With two damaged ones and keep=1, what the run writes next is what stays."""
    for step in (4, 6):
        tear(finished.out / "checkpoints" / f"step-{step:06d}" / "optimizer.bin", "cut")
    again = rl_runs.recipe("plain", finished.out, keep=1, checkpoint_every=1)
    run = train(again)
    assert len(next(run).warnings) == 2
    next(run)  # what is told is saved before the next step
    del run
    assert steps(finished.out) == ["step-000003"]


def test_when_all_are_damaged_it_says_so_and_touches_nothing(finished):
    for step in (2, 4, 6):
        tear(finished.out / "checkpoints" / f"step-{step:06d}" / "model.safetensors", "flipped")
    with pytest.raises(UsageError, match="no checkpoint is whole") as error:
        next(train(finished))
    assert "\n" not in str(error.value)
    assert len(steps(finished.out)) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": 1e-4},
        {"seed": 4},
        {"objective": "grpo"},
        {"task": tiny_rl.colours(7)},
        {"lora": Lora()},
        {"model": lambda: tiny_rl.policy(seed=1)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_folder_holds_one_run(finished, change):
    other = rl_runs.recipe("plain", finished.out, **change)
    with pytest.raises(UsageError, match="holds a run of another recipe or model"):
        next(train(other))
    with pytest.raises(UsageError, match="holds a run already"):
        next(train(finished, resume=False))
    assert len(steps(finished.out)) == 3


def test_what_moves_no_number_may_change(tmp_path):
    recipe = done(tmp_path, steps=2)
    longer = rl_runs.recipe(
        "plain", recipe.out, steps=3, keep=1, checkpoint_every=9, show_samples=0
    )
    assert [report.step for report in train(longer)] == [3]


def test_only_the_newest_are_kept(tmp_path):
    recipe = done(tmp_path, keep=2, checkpoint_every=1)
    assert steps(recipe.out) == ["step-000005", "step-000006"]
    state = json.loads((recipe.out / "checkpoints" / "step-000006" / "run.json").read_text())
    assert state["step"] == 6 and state["updates"] == 6 and state["cursor"] == 48


def test_frozen_weights_are_not_written_again(tmp_path):
    recipe = done(tmp_path, freeze=("model.embed_tokens",))
    from safetensors.torch import load_file

    written = load_file(recipe.out / "checkpoints" / "step-000006" / "model.safetensors")
    assert written and not any("embed_tokens" in name or "lm_head" in name for name in written)
    assert list(train(rl_runs.recipe("plain", recipe.out, steps=7, freeze=recipe.weights.freeze)))


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("where", ["weights", "state", "best"])
def test_a_full_disk_costs_a_checkpoint_and_not_the_run(tmp_path, monkeypatch, where):
    """On the way it is a warning; the checkpoints before stay; then it goes on."""
    recipe = rl_runs.recipe(
        "plain",
        tmp_path / "run",
        steps=6,
        held_out=tiny_rl.colours(4),
        evaluate_every=100 if where != "best" else 4,
        keep=5,
    )
    run = train(recipe)
    reports = [next(run) for _ in range(3 if where == "best" else 4)]
    with monkeypatch.context() as patch:
        if where == "weights":
            patch.setattr(torch, "save", full)
        elif where == "state":
            patch.setattr(Path, "write_text", full)
        else:
            patch.setattr(type(rl_runs.tiny_rl.policy().model), "save_pretrained", full)
        reports.append(next(run))
    reports += list(run)
    told = [line for report in reports for line in report.warnings]
    assert len(told) == 1 and "could not be written" in told[0] and "No space left" in told[0]
    assert told[0] in reports[3 if where == "best" else 4].warnings
    assert [report.step for report in reports] == [1, 2, 3, 4, 5, 6]
    wanted = [2, 6] if where != "best" else [2, 4, 6]
    assert steps(recipe.out) == [f"step-{step:06d}" for step in wanted]


def test_the_last_checkpoint_is_not_given_up_quietly(tmp_path, monkeypatch):
    recipe = rl_runs.recipe("plain", tmp_path / "run", steps=3)
    run = train(recipe)
    assert [next(run).step for _ in range(3)] == [1, 2, 3]
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(OSError, match="No space left on device") as error:
            next(run)
    assert "MB were free" in str(error.value) and "\n" not in str(error.value)
    assert steps(recipe.out) == ["step-000002"]
    assert [report.step for report in train(recipe)] == [3]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB, where the machine lets us have one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full(tmp_path, small_disk):
    """Neither torch nor safetensors raise OSError for it."""
    recipe = rl_runs.recipe("plain", small_disk / "run", steps=4, checkpoint_every=1, keep=9)
    run = train(recipe)
    reports = [next(run), next(run)]
    assert steps(recipe.out) == ["step-000001"]
    (small_disk / "filler").write_bytes(b"1" * (shutil.disk_usage(small_disk).free - 150_000))
    reports.append(next(run))
    assert any("step 2 could not be written" in line for line in reports[2].warnings)
    assert steps(recipe.out) == ["step-000001"]
    (small_disk / "filler").unlink()
    reports.append(next(run))
    assert not reports[3].warnings and "step-000003" in steps(recipe.out)
    found = checkpoint.find_newest(recipe.out)
    assert found is not None and found[1].step == 3
