"""What a test could change for all tests after it in the same process."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any


def read_process_state() -> dict[str, Any]:
    """What no test may change, by name. Libraries that no test has imported yet are not imported
    for it.

    Example:
        >>> read_process_state()["current folder"] == Path.cwd()
        True
    """
    state: dict[str, Any] = {
        "current folder": Path.cwd(),
        "level of the root logger": logging.getLogger().level,
        "disabled logging": logging.root.manager.disable,
        "handler of SIGINT": signal.getsignal(signal.SIGINT),
        "handler of SIGTERM": signal.getsignal(signal.SIGTERM),
    }
    if (numpy := sys.modules.get("numpy")) is not None:
        state["numpy's errors"] = numpy.geterr()
    if (torch := sys.modules.get("torch")) is not None:
        state |= {
            "torch's threads": torch.get_num_threads(),
            "torch's default type": torch.get_default_dtype(),
            "torch's gradients": torch.is_grad_enabled(),
            "torch's deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        }
    return state


def describe_changes(before: dict[str, Any], after: dict[str, Any]) -> str:
    """What differs of a state, empty where nothing does.

    Example:
        >>> describe_changes({"torch's threads": 1}, {"torch's threads": 2})
        "torch's threads: 1 -> 2"
    """
    changed = [name for name, value in before.items() if after[name] != value]
    return "; ".join(f"{name}: {before[name]} -> {after[name]}" for name in changed)


def restore_environment(before: dict[str, str]) -> None:
    """Put the environment back: libraries add to it when they are imported or configured, and read
    there what other tests have had them set."""
    for name in os.environ.keys() - before.keys():
        # pytest's own: it says there which test runs.
        if name != "PYTEST_CURRENT_TEST":
            del os.environ[name]
    os.environ.update(before)


def forget_accelerate() -> None:
    """Let the next test find accelerate as in a new process: its state is one for all trainers."""
    if (module := sys.modules.get("accelerate.state")) is not None:
        module.AcceleratorState._reset_state(reset_partial_state=True)
        module.GradientState._reset_state()
