"""Boxes drawn by the annotators of supervision, which is an extra."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmreason.grounding.boxes import Box


def annotate(
    pixels: np.ndarray,
    boxes: Sequence[Box],
    labels: Sequence[str],
    colours: Sequence[tuple[int, int, int]],
    dashed: Sequence[bool],
) -> np.ndarray:
    """`pixels`, uint8 (H, W, 3) RGB, with `boxes` drawn on. Supervision has no dashed lines: boxes
    that nobody looked at have corners only. Raises ImportError where it is not installed."""
    try:
        import supervision as sv
    except ImportError as error:
        raise ImportError(
            "the drawing style 'supervision' needs supervision; in the clone of mmreason: "
            "pip install '.[supervision]'; the style 'plain' needs nothing"
        ) from error
    height, width = pixels.shape[:2]
    thickness = sv.calculate_optimal_line_thickness((width, height))
    scale = sv.calculate_optimal_text_scale((width, height))
    # It draws in the channel order of OpenCV.
    scene = np.ascontiguousarray(pixels[..., ::-1])
    for wants_dashes, annotator_type in ((False, sv.BoxAnnotator), (True, sv.BoxCornerAnnotator)):
        picked = [i for i, is_dashed in enumerate(dashed) if bool(is_dashed) is wants_dashes]
        if not picked:
            continue
        palette = sv.ColorPalette([sv.Color(*colours[i]) for i in picked])
        look = {"color": palette, "color_lookup": sv.ColorLookup.CLASS}
        named = [n for n, i in enumerate(picked) if labels[i]]
        corners_px = np.array([boxes[i].xyxy for i in picked], np.float32)
        # The class says which colour: it is the place in the palette.
        everything = sv.Detections(xyxy=corners_px, class_id=np.arange(len(picked)))
        scene = annotator_type(thickness=thickness, **look).annotate(scene, everything)
        if named:
            writer = sv.LabelAnnotator(text_scale=scale, text_color=sv.Color.WHITE, **look)
            with_label = sv.Detections(xyxy=corners_px[named], class_id=np.array(named))
            texts = [labels[picked[n]] for n in named]
            scene = writer.annotate(scene, with_label, labels=texts)
    return np.ascontiguousarray(scene[..., ::-1])
