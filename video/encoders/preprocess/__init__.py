"""Frames as they come from the reader, to the tensors that models take.

recipe = recipe_of(processor.video_processor)
prepared = preprocess_frames(batch.pixels, recipe)
"""

from mmreason.video.encoders.preprocess.prepare import preprocess_frames
from mmreason.video.encoders.preprocess.processors import make_pixels_ours, recipe_of
from mmreason.video.encoders.preprocess.recipe import (
    FrameRecipe,
    Patching,
    PreparedFrames,
    UnknownProcessor,
)

__all__ = [
    "FrameRecipe",
    "Patching",
    "PreparedFrames",
    "UnknownProcessor",
    "make_pixels_ours",
    "preprocess_frames",
    "recipe_of",
]
