"""Why a run ended before its time, or for nothing."""

from __future__ import annotations


class TrainingStopped(RuntimeError):
    """Updates were skipped too often in a row, or the whole run taught nothing (`NothingLearnt`).
    The state is saved."""


class NothingLearnt(TrainingStopped):
    """No step of the run moved the weights by what was earned."""
