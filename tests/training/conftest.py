"""A nano so small that it trains in a second."""

from __future__ import annotations

import pytest

from mmreason.training.nano.config import Architecture, NanoConfig, Stage


@pytest.fixture(scope="session")
def tiny_config() -> NanoConfig:
    return NanoConfig(
        steps=6,
        image_batch=3,
        clip_batch=2,
        clip_frames=4,
        size_px=(64, 32),
        questions=2,
        warmup_steps=2,
        checkpoint_every=2,
        architecture=Architecture(
            vision_width=32,
            vision_depth=2,
            vision_mlp=48,
            text_width=64,
            text_depth=2,
            text_mlp=64,
        ),
        stages=(Stage(share=1.0, image_share=0.5, multi_scene_share=0.5, outside_share=0.3),),
    )
