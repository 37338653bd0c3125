"""The experiments by the names that the command line knows. Leaves out doing them (`runs.py`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mmreason.training.claims import diversity, half_truths, navigation, rare_tokens, staleness
from mmreason.training.claims.experiment import Experiment, Size

EXPERIMENTS: Mapping[str, Callable[[Size], Experiment]] = {
    "staleness": staleness.experiment,
    "stapo": rare_tokens.experiment,
    "dsdr": diversity.experiment,
    "navigation": navigation.experiment,
    "nano": half_truths.experiment,
}
