"""Watching a run: its log on disk, trackers, a live table, and pages with its curves and samples.

All of them take the trainer's `StepReport` or the log that was made of it. What the figures are is
said in `mmreason.training.runs.events`.
"""

from mmreason.training.monitoring.run_log import RunLog
from mmreason.training.monitoring.runs import Run

__all__ = ["Run", "RunLog"]
