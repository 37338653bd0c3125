"""Checkpoints of a run: written whole or not at all, checked when read.

A checkpoint is a folder `step-000012` with what a run needs to go on bit for bit: weights that are
trained, optimiser, random numbers, and the state of the run as JSON. `manifest.json` has the
digests of all other files, no more and no fewer, and is checked before anything is loaded. Taken
between rollout batches only, so that no rollout has to be kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import re
import shutil
import stat
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import load
from safetensors import SafetensorError

from mmreason.training.parallel.processes import gather_values
from mmreason.training.parallel.strategy import Strategy
from mmreason.types import UsageError
from mmreason.video.json_input import read_json
from mmreason.video.plain_text import show_line

_STATE = "run.json"
_MANIFEST = "manifest.json"
_FOLDER_NAME = re.compile(r"step-[0-9]{6,12}")
_RANDOM_STATE = re.compile(r"random_states_[0-9]+\.pkl")
"""One a process, as accelerate names them. It goes on without a word where one cannot be used."""
_DAMAGE = (OSError, ValueError)
_FOREIGN = (
    pickle.UnpicklingError,
    SafetensorError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What the readers of torch, NumPy and safetensors raise for objects of another kind or shape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """Where a run stands.

    Example:
        >>> RunState.beginning("tiny-0", settings={}, versions={}).step
        0
    """

    step: int
    """Steps done."""
    cursor: int
    """Problems taken so far."""
    updates: int
    """Optimiser updates made: the version of the policy."""
    skipped: int
    """Updates skipped so far."""
    skipped_in_row: int
    fingerprint: str
    """Of the weights that the run began with."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What moves a number in the run (`settings.describe_settings`); empty in runs of earlier
    versions."""
    learnt: int = 0
    """Steps that moved the weights by what was earned."""
    without_signal: int = 0
    """Steps whose rewards did not differ."""
    why: str = ""
    """The last reason for which a step taught nothing."""
    kind_scales: Mapping[str, float] = field(default_factory=dict)
    best: float | None = None
    """Best share of right answers on held-out problems."""
    since_best: int = 0
    """Evaluations since then."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of the libraries, by name."""

    @classmethod
    def beginning(
        cls, fingerprint: str, settings: Mapping[str, str], versions: Mapping[str, str]
    ) -> RunState:
        """Before the first step."""
        return cls(
            step=0,
            cursor=0,
            updates=0,
            skipped=0,
            skipped_in_row=0,
            fingerprint=fingerprint,
            settings=settings,
            versions=versions,
        )


def save_checkpoint(strategy: Strategy, run: Path, state: RunState, keep: int) -> Path:
    """Write a checkpoint under `run/checkpoints` and drop all but the `keep` newest; those of later
    steps, which were damaged when the run was taken up, go too.

    Raises OSError in every process (a full disk in any) and leaves the checkpoints as they were.
    All processes call this together.
    """
    accelerator = strategy.accelerator
    folder = run / "checkpoints" / f"step-{state.step:06d}"
    unfinished = folder.with_name(f".{folder.name}.tmp")

    def begin() -> None:
        # What an interrupted run left behind.
        for leftover in folder.parent.glob(".step-*.tmp"):
            shutil.rmtree(leftover)
        unfinished.mkdir(parents=True)

    def finish() -> None:
        (unfinished / _STATE).write_text(json.dumps(asdict(state), indent=1))
        # Read back from the disk, so that a file cut short by it is told now and not at resuming.
        # The manifest comes last: a folder that has one was finished.
        digests = {name: _digest_file(unfinished / name) for name in _list_files(unfinished)}
        (unfinished / _MANIFEST).write_text(json.dumps(digests, indent=1))
        # One rename makes it a checkpoint: before it there is none, after it a whole one.
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
        checkpoints = _list_checkpoints(run)
        end = checkpoints.index(folder) + 1
        for dropped in (*checkpoints[: max(0, end - keep)], *checkpoints[end:]):
            shutil.rmtree(dropped)

    try:
        # Three meetings of all processes: the folder is there, the weights are in it, it has its
        # name.
        write_together(accelerator, begin if accelerator.is_main_process else None)
        write_together(accelerator, lambda: strategy.save(unfinished))
        write_together(accelerator, finish if accelerator.is_main_process else None)
    except OSError as error:
        # Before the unfinished folder is dropped: how full it was when it failed.
        free_mb = shutil.disk_usage(run).free / 1e6
        if accelerator.is_main_process:
            shutil.rmtree(unfinished, ignore_errors=True)
        raise OSError(f"{error} ({free_mb:.1f} MB were free in {run})") from error
    return folder


def write_together(accelerator: Accelerator, write: Callable[[], object] | None) -> None:
    """Write something in this process, or nothing. OSError in all where it failed in any."""
    faults: list[str] = []
    if write is not None:
        try:
            write()
        # All processes must know: one that goes on would wait for those that stopped.
        # What torch and safetensors raise for a full disk is no OSError.
        except (OSError, RuntimeError, SafetensorError) as error:
            faults.append(" ".join(str(error).split()) or type(error).__name__)
    all_faults = gather_values(accelerator, faults)
    if all_faults:
        raise OSError(all_faults[0])


def find_newest(run: Path) -> tuple[Path, RunState, tuple[str, ...]] | None:
    """The newest checkpoint that is whole, its state, and a line for each that is damaged; None
    where there is none at all. UsageError where all of them are damaged."""
    damaged = []
    for folder in reversed(_list_checkpoints(run)):
        try:
            return folder, _read_checkpoint(folder), tuple(damaged)
        # Not the end: an older one may be whole, and losing some steps beats losing the run.
        except _DAMAGE as error:
            damaged.append(f"{folder.name} is damaged and left out: {_line(error)}")
    if damaged:
        raise UsageError(
            f"{run}: no checkpoint is whole ({'; '.join(damaged)}); begin anew in another folder"
        )
    return None


def find_step(run: Path, step: int) -> tuple[Path, RunState]:
    """The checkpoint of a step. UsageError where there is none, or where it is damaged."""
    folder = run / "checkpoints" / f"step-{step:06d}"
    if not folder.is_dir():
        steps = ", ".join(str(_step_of(other)) for other in _list_checkpoints(run))
        raise UsageError(f"{run} has no checkpoint of step {step}; it has: {steps or 'none'}")
    try:
        return folder, _read_checkpoint(folder)
    except _DAMAGE as error:
        raise UsageError(f"{folder} is damaged: {_line(error)}; take another step") from error


def load_checkpoint(strategy: Strategy, folder: Path) -> None:
    """Put weights, optimiser and random numbers of a checkpoint back. UsageError where they are of
    another recipe, or are no such things. All processes call this together."""
    try:
        strategy.load(folder)
    except UsageError:
        raise
    except _FOREIGN as error:
        reason = show_line(str(error))[:300] or type(error).__name__
        raise UsageError(
            f"{folder} cannot be put back: {reason}; take another step, or begin anew in another "
            "folder"
        ) from error


def _list_checkpoints(run: Path) -> list[Path]:
    """Folders of checkpoints, by their steps."""
    folders = (run / "checkpoints").glob("step-*")
    return sorted(
        (folder for folder in folders if _FOLDER_NAME.fullmatch(folder.name) and folder.is_dir()),
        key=_step_of,
    )


def _step_of(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))


def _read_checkpoint(folder: Path) -> RunState:
    """The state of a checkpoint that is whole. OSError or ValueError, which names the file, else.

    Whoever can write the folder can make a manifest that fits: digests find damage, and what is
    read here is checked as what a stranger wrote.
    """
    # 1. Exactly the files that were written: accelerate loads whatever it finds by name.
    # 2. Each byte as it was written.
    # 3. Contents of the right kind, before any of them is used.
    names = set(_list_files(folder)) - {_MANIFEST}
    digests = _read_object(folder / _MANIFEST)
    if missing := sorted({_STATE, *digests} - names):
        raise ValueError(f"{missing[0]!r} is missing")
    if unlisted := sorted(names - set(digests)):
        raise ValueError(f"{unlisted[0]!r} is not in {_MANIFEST}, which lists all files")
    random_states = [name for name in sorted(names) if _RANDOM_STATE.fullmatch(name)]
    if not random_states:
        raise ValueError("the state of the random numbers is missing")
    for name in sorted(names):
        if _digest_file(folder / name) != digests[name]:
            raise ValueError(f"{name!r} is not what was written")
    for name in random_states:
        _check_random_state(folder / name)
    return _read_state(folder / _STATE)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = read_json(path)
    except ValueError as error:
        raise ValueError(f"{path.name} {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} holds {type(value).__name__}, expected an object")
    return value


def _read_state(path: Path) -> RunState:
    values = _read_object(path)
    values.pop("digest", None)  # what earlier versions kept in place of the settings
    checks = {entry.name: _CHECKS[str(entry.type)] for entry in fields(RunState)}
    for name, value in values.items():
        if name not in checks:
            raise ValueError(f"{path.name} holds {name[:60]!r}, which is no field of a run")
        what, is_right = checks[name]
        if not is_right(value):
            raise ValueError(f"{path.name}: {name} must be {what}, found {str(value)[:60]!r}")
    try:
        return RunState(**values)
    except TypeError as error:  # a field that has no default is missing
        raise ValueError(f"{path.name} is not complete ({error})") from error


def _is_count(value: Any) -> bool:
    # `type`, since True is an int to isinstance.
    return type(value) is int and value >= 0


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_map(of: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(of, value.values()))


_CHECKS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "int": ("a whole number, 0 or more", _is_count),
    "str": ("a text", lambda value: isinstance(value, str)),
    "float | None": ("a number or null", lambda value: value is None or _is_number(value)),
    "Mapping[str, str]": ("texts by name", _is_map(lambda value: isinstance(value, str))),
    "Mapping[str, float]": ("numbers by name", _is_map(_is_number)),
}
"""What JSON of each type of field of a `RunState` has to be."""


def _check_random_state(path: Path) -> None:
    """ValueError where the generators of Python, NumPy and torch do not take what is in the file.
    Tried on generators of no use; the file is read without running code."""
    try:
        states = load(path, map_location="cpu")
        # accelerate only warns for a state that does not fit, and the run would go on with other
        # numbers.
        random.Random().setstate(states["random_state"])
        np.random.RandomState().set_state(states["numpy_random_seed"])
        torch.Generator().set_state(states["torch_manual_seed"])
    except _FOREIGN as error:
        raise ValueError(f"{path.name!r} is no state of random numbers") from error


def _list_files(folder: Path) -> list[str]:
    """Names of the files below the folder, by their path from it. ValueError for what is no
    regular file: reading a pipe or a device may never end, a link leads elsewhere."""
    names = []
    for parent, folder_names, file_names in os.walk(folder):
        for name in (*folder_names, *file_names):
            path = Path(parent, name)
            # lstat: of the link itself, not of what it leads to.
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                names.append(str(path.relative_to(folder)))
            elif not stat.S_ISDIR(mode):
                raise ValueError(f"{name!r} is no regular file")
    return sorted(names)


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _line(error: BaseException) -> str:
    return show_line(str(error))
