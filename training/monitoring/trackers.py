"""The same figures to a tracker by name: TensorBoard, Weights & Biases or trackio.

Goes through accelerate's own trackers, on the main process only. Samples stay in the run's log
(`run_log.py`): trackers get numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from mmreason.training.runs.events import StepReport
from mmreason.types import UsageError

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker

PROJECT = "mmreason"
"""What runs are kept under where a tracker has projects."""

Setting = str | int | float | bool | None


def check_trackers(names: Sequence[str]) -> tuple[str, ...]:
    """The names without repetitions. UsageError for an unknown one and for those that are not
    installed, which says what to install."""
    unknown = [name for name in names if name not in _OPENERS]
    if unknown:
        raise UsageError(f"no tracker {unknown[0]!r}; there are {', '.join(_OPENERS)}")
    # Only then: the import is slow, and most runs have no tracker.
    if names:
        from accelerate.tracking import get_available_trackers

        installed = {str(tracker) for tracker in get_available_trackers()}
        if missing := [name for name in dict.fromkeys(names) if name not in installed]:
            is_single = len(missing) == 1
            raise UsageError(
                f"{'the tracker' if is_single else 'the trackers'} {', '.join(missing)} "
                f"{'is' if is_single else 'are'} not installed; pip install {' '.join(missing)}"
            )
    return tuple(dict.fromkeys(names))


class Trackers:
    """Open trackers of one run; a context manager.

    `folder` is the run's, `run_name` (default: the folder's name) what it is called there,
    `after_step` the step it goes on from: TensorBoard hides what came later. In a run of several
    processes, open them after the Accelerator. Raises what `check_trackers` raises.
    """

    def __init__(
        self,
        names: Sequence[str],
        folder: Path,
        *,
        run_name: str = "",
        after_step: int = 0,
        settings: Mapping[str, Setting] | None = None,
    ) -> None:
        names = check_trackers(names)
        self._open: list[GeneralTracker] = []
        if not names or not _is_main_process():
            return
        for name in names:
            tracker = _OPENERS[name](folder, run_name or folder.resolve().name, after_step)
            tracker.start()
            self._open.append(tracker)
            # On resuming, what was told at the start stands.
            if settings and not after_step:
                tracker.store_init_configuration(dict(settings))

    def log(self, report: StepReport) -> None:
        """The step's figures to all of them."""
        for tracker in self._open:
            tracker.log(dict(report.metrics), step=report.step)

    def close(self) -> None:
        """Finish all of them; a second time does nothing."""
        while self._open:
            self._open.pop().finish()

    def __enter__(self) -> Trackers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _is_main_process() -> bool:
    """Also makes the state that accelerate's trackers need in order to log."""
    from accelerate import PartialState

    # Other processes would write the same figures again.
    return PartialState().is_main_process


def _tensorboard(folder: Path, run_name: str, after_step: int) -> GeneralTracker:
    from accelerate.tracking import TensorBoardTracker

    purge = after_step + 1 if after_step else None
    return TensorBoardTracker("tensorboard", logging_dir=folder, purge_step=purge)


def _wandb(folder: Path, run_name: str, after_step: int) -> GeneralTracker:
    from accelerate.tracking import WandBTracker

    return WandBTracker(PROJECT, name=run_name, dir=str(folder))


def _trackio(folder: Path, run_name: str, after_step: int) -> GeneralTracker:
    from accelerate.tracking import TrackioTracker

    return TrackioTracker(PROJECT, name=run_name)


_OPENERS: Mapping[str, Callable[[Path, str, int], GeneralTracker]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "trackio": _trackio,
}
