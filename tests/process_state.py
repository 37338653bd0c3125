"""What a test could change for all tests after it in the same process."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any


def read_process_state() -> dict[str, Any]:
    """The state by name. Libraries that no test has imported yet are not imported for it.

    Example:
        >>> read_process_state()["current folder"] == Path.cwd()
        True
    """
    state: dict[str, Any] = {
        # pytest itself says there which test runs.
        "environment": {n: v for n, v in os.environ.items() if n != "PYTEST_CURRENT_TEST"},
        "current folder": Path.cwd(),
        "import path": list(sys.path),
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


def forget_accelerate() -> None:
    """Let the next test find accelerate as in a new process: its state is one for all trainers."""
    if (module := sys.modules.get("accelerate.state")) is not None:
        module.AcceleratorState._reset_state(reset_partial_state=True)
        module.GradientState._reset_state()
