"""Checkpoints of a run: written whole or not at all, checked when read.

A checkpoint is a folder `step-000012` with what a run needs to go on bit for bit: weights that are
trained, optimiser, random numbers, and the state of the run as JSON. `manifest.json` has the sizes
and digests of all files and is checked before anything is loaded. Taken between rollout batches
only, so that no rollout has to be kept.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from accelerate import Accelerator
from safetensors import SafetensorError

from mmreason.training.parallel.processes import gather_values
from mmreason.training.parallel.strategy import Strategy
from mmreason.types import UsageError

_STATE = "run.json"
_MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """Where a run stands.

    Example:
        >>> RunState(fingerprint="tiny-0", step=3, updates=6).learnt
        0
    """

    step: int = 0
    """Steps done."""
    cursor: int = 0
    """Problems taken so far."""
    updates: int = 0
    """Optimiser updates made: the version of the policy."""
    skipped: int = 0
    """Updates skipped so far."""
    skipped_in_row: int = 0
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
        digests = {name: _digest_file(unfinished / name) for name in _list_files(unfinished)}
        (unfinished / _MANIFEST).write_text(json.dumps(digests, indent=1))
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
        checkpoints = _list_checkpoints(run)
        end = checkpoints.index(folder) + 1
        for dropped in (*checkpoints[: max(0, end - keep)], *checkpoints[end:]):
            shutil.rmtree(dropped)

    try:
        write_together(accelerator, begin if accelerator.is_main_process else None)
        write_together(accelerator, lambda: strategy.save(unfinished))
        write_together(accelerator, finish if accelerator.is_main_process else None)
    except OSError as error:
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
            return folder, _read_state(folder), tuple(damaged)
        except (OSError, ValueError, TypeError) as error:
            damaged.append(f"{folder.name} is damaged and left out: {error}")
    if damaged:
        raise UsageError(
            f"{run}: no checkpoint is whole ({'; '.join(damaged)}); begin anew in another folder"
        )
    return None


def find_step(run: Path, step: int) -> tuple[Path, RunState]:
    """The checkpoint of a step. UsageError where there is none, or where it is damaged."""
    folder = run / "checkpoints" / f"step-{step:06d}"
    if not folder.is_dir():
        steps = [int(other.name.removeprefix("step-")) for other in _list_checkpoints(run)]
        listed = ", ".join(map(str, steps)) or "none"
        raise UsageError(f"{run} has no checkpoint of step {step}; it has: {listed}")
    try:
        return folder, _read_state(folder)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{folder} is damaged: {error}; take another step") from error


def _list_checkpoints(run: Path) -> list[Path]:
    return sorted((run / "checkpoints").glob("step-[0-9]*"))


def _read_state(folder: Path) -> RunState:
    digests = json.loads((folder / _MANIFEST).read_text())
    for name, digest in digests.items():
        if _digest_file(folder / name) != digest:
            raise ValueError(f"{name} is not what was written")
    state = json.loads((folder / _STATE).read_text())
    state.pop("digest", None)  # what earlier versions kept in place of the settings
    return RunState(**state)


def _list_files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
