"""Weights of the senses, from ordinary packages, pinned by hash.

Example:
    >>> from mmreason import weights
    >>> weights.find_weights("minilm-l6")  # doctest: +SKIP
    PosixPath('/home/ann/.cache/mmreason/weights/minilm-l6')
"""

from mmreason.weights.fetch import WeightsError, get_weights
from mmreason.weights.folders import (
    WeightsMissingError,
    WeightStatus,
    check_weights,
    find_weights,
    weights_folder,
)
from mmreason.weights.sources import (
    UnknownWeightsError,
    WeightSource,
    WheelFile,
    find_source,
    list_weights,
)
from mmreason.weights.tensors import ConversionError

__all__ = [
    "ConversionError",
    "UnknownWeightsError",
    "WeightSource",
    "WeightStatus",
    "WeightsError",
    "WeightsMissingError",
    "WheelFile",
    "check_weights",
    "find_source",
    "find_weights",
    "get_weights",
    "list_weights",
    "weights_folder",
]
