"""Watching a run: its log on disk, trackers, a live table, and pages with its curves and samples.

All of them take the trainer's `StepReport` or the log that was made of it. Leaves out what the
figures are (`mmreason.training.rl.events`) and making them.
"""

from mmreason.training.monitoring.run_log import RunLog
from mmreason.training.monitoring.runs import Run

__all__ = ["Run", "RunLog"]
