"""Measures pruning: what nano still answers on held-out worlds, and how much sooner a reply comes.

What is measured is turned into a page by `prune_report`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from transformers import AutoProcessor, Qwen3VLConfig, Qwen3VLForConditionalGeneration

from mmreason.bench.prune_report import PIPELINE, WHOLE, PruneAccuracy, PruneSpeed
from mmreason.bench.rounds import measure_rounds, summarise_rounds
from mmreason.evaluation.nano import held_out_world
from mmreason.evaluation.scoring import says_same
from mmreason.models import FramesPart, GenerateRequest, Message, ModelOptions, TextPart, load
from mmreason.models.base import Conversation
from mmreason.models.folders import NANO_FOLDER
from mmreason.models.hf import TransformersModel
from mmreason.models.vision_cache import VisionFeatureCache
from mmreason.video import plan
from mmreason.video.encoders.pruning import PruneSettings, estimate_flops_share
from mmreason.video.types import FrameBatch
from mmreason.video.world.questions import make_questions

QUESTIONS_A_WORLD = 4
_RESAMPLES = 2_000
_CACHE_BYTES = 2**30


@dataclass(frozen=True, slots=True)
class PruneScale:
    """How much is measured."""

    name: str
    worlds: int
    settings: tuple[str, ...]
    rounds: int
    frames: int
    side_px: int
    hidden: int
    """Of the language model; the tower has half of it, as in Qwen3-VL-2B."""
    layers: int
    """Of the language model; the tower has six sevenths of them."""
    new_tokens: int


FULL = PruneScale(
    "full",
    60,
    tuple(
        f"{name}:{keep}"
        for keep in (0.5, 0.25)
        for name in ("evs", "dycoke", "framefusion", "tome")
    ),
    3,
    32,
    224,
    768,
    7,
    8,
)
QUICK = PruneScale("quick", 2, ("evs:0.5",), 1, 4, 64, 64, 2, 2)


@dataclass(frozen=True, slots=True)
class _Asked:
    world: int
    conversation: Conversation
    answer: str


def measure_accuracy(
    scale: PruneScale, on_progress: Callable[[str], None]
) -> tuple[list[PruneAccuracy], int]:
    """Nano with each pruner, and the number of questions."""
    nano = load("nano")
    asked = [item for world in range(scale.worlds) for item in _ask_of_world(nano.clip, world)]
    whole, rows = np.zeros(0), []
    for settings in (WHOLE, *scale.settings):
        options = ModelOptions() if settings == WHOLE else ModelOptions(prune=settings)
        model = load("nano", options=options)
        on_progress(settings)
        right, tokens = _answer(model, asked)
        whole = right if settings == WHOLE else whole
        low, high = _bootstrap(right - whole, [item.world for item in asked])
        rows.append(
            PruneAccuracy(
                settings=settings,
                right_percent=100 * float(right.mean()),
                difference_points=100 * float((right - whole).mean()),
                low_points=100 * low,
                high_points=100 * high,
                tokens=tokens,
                flops_share=_share_of_flops(model, settings, rows[0].tokens if rows else tokens),
            )
        )
    return rows, len(asked)


def _ask_of_world(clip: Any, index: int) -> Iterator[_Asked]:
    world = held_out_world(index)
    times_s = plan.uniform(world.span, clip.frames).times_s
    size_px = clip.frame_size_px(world.width_px, world.height_px)
    frames = FrameBatch(
        pixels=np.stack([world.frame(t, size_px) for t in times_s]),
        times_s=np.array(times_s, float),
        exact=np.ones(len(times_s), bool),
    )
    least_s = 1.2 * world.duration_s / clip.frames
    questions = make_questions(world, seed=index, least_s=least_s)
    random.Random(f"prune/{index}").shuffle(questions)
    for question in questions[:QUESTIONS_A_WORLD]:
        text = clip.prompts.ask(question.text)
        message = Message("user", (FramesPart(frames), TextPart(text)))
        yield _Asked(index, [message], question.answer)


def _answer(model: Any, asked: Sequence[_Asked]) -> tuple[np.ndarray, float]:
    """Which answers are right, 0 or 1 each, and the visual tokens of a clip."""
    replies = []
    for first in range(0, len(asked), 16):
        batch = [item.conversation for item in asked[first : first + 16]]
        replies += model.generate(GenerateRequest(batch))
    right = [says_same(r.text, item.answer) for r, item in zip(replies, asked, strict=True)]
    # Nano asks for the things of a question too, of the same clip: a look is the least of them.
    looks = [reply.tokens_visual for reply in replies if reply.tokens_visual]
    return np.array(right, float), float(min(looks, default=0))


def _bootstrap(differences: np.ndarray, worlds: Sequence[int]) -> tuple[float, float]:
    """95 % interval of the mean, drawing whole worlds."""
    numbers = np.array(worlds)
    sums = np.array([differences[numbers == w].sum() for w in np.unique(numbers)])
    counts = np.array([(numbers == w).sum() for w in np.unique(numbers)])
    drawn = np.random.default_rng(0).integers(0, len(sums), (_RESAMPLES, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _share_of_flops(model: Any, settings: str, tokens: float) -> float:
    if settings == WHOLE:
        return 1.0
    config = model.inner.model.config.get_text_config()
    return estimate_flops_share(
        max(1, round(tokens)),
        PruneSettings.parse(settings).keep,
        layers=config.num_hidden_layers,
        whole_layers=0,
        hidden=config.hidden_size,
        intermediate=config.intermediate_size,
    )


def measure_speed(scale: PruneScale) -> tuple[list[PruneSpeed], str]:
    """Replies of a random Qwen3-VL, and what it is."""
    torch.manual_seed(0)
    model, processor = _make_model(scale)
    plain, plain_processor = _make_model(scale)
    plain.load_state_dict(model.state_dict())
    cache = VisionFeatureCache.attach(model, _CACHE_BYTES, is_trainable=True)
    assert cache is not None
    chats = {
        name: TransformersModel(
            model,
            processor,
            name="random",
            fingerprint="",
            options=ModelOptions() if name == WHOLE else ModelOptions(prune=name),
        )
        for name in (WHOLE, scale.settings[0])
    }
    clips = [_make_clip(scale, seed) for seed in range(scale.rounds + 1)]
    first, second = "What happens in the video?", "Which colour is seen most?"

    # Each round has a clip of its own: nothing of it was seen before.
    state = {"round": 0}

    def ask(chat: TransformersModel, text: str, *, again: bool) -> Any:
        if not again:
            cache.forget()
        clip = clips[state["round"]]
        return chat.generate(_request(clip, text, scale.new_tokens))[0]

    def ask_plain(text: str) -> None:
        _generate_plainly(plain, plain_processor, clips[state["round"]], text, scale.new_tokens)

    calls: dict[str, Callable[[], Any]] = {PIPELINE: partial(ask_plain, first)}
    for name, chat in chats.items():
        calls[f"{name}/first"] = partial(ask, chat, first, again=False)

    measured, replies = [], {}
    for number in range(scale.rounds):
        state["round"] = number
        (seconds,) = measure_rounds(calls, 1)
        for name, chat in chats.items():
            replies[name] = ask(chat, first, again=False)
            again = {f"{name}/second": partial(ask, chat, second, again=True)}
            seconds |= measure_rounds(again, 1)[0]
        measured.append(seconds)
    summary = summarise_rounds(measured, PIPELINE)
    rows = [
        PruneSpeed(
            method=name.partition("/")[0],
            question=name.partition("/")[2] or "either",
            time=time,
            tokens_in=replies.get(name.partition("/")[0], replies[WHOLE]).tokens_in,
        )
        for name, time in summary.items()
    ]
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    what = (
        f"A Qwen3-VL of {parameters:.0f} million random weights (the shape of Qwen3-VL-2B at "
        f"{scale.hidden / 2048:.2g} of its width and {scale.layers / 28:.2g} of its depth), "
        f"{scale.frames} frames of {scale.side_px} px, {scale.new_tokens} tokens written"
    )
    return rows, what


def _make_processor() -> Any:
    """That of nano, whose words serve any model of its kind."""
    return AutoProcessor.from_pretrained(
        NANO_FOLDER, local_files_only=True, trust_remote_code=False
    )


def _make_model(scale: PruneScale) -> tuple[Any, Any]:
    processor = _make_processor()
    config = Qwen3VLConfig.from_pretrained(NANO_FOLDER)
    text: Any = config.text_config
    vision: Any = config.vision_config
    half, depth = scale.hidden // 2, -(-6 * scale.layers // 7)
    text.hidden_size, text.num_hidden_layers = scale.hidden, scale.layers
    text.intermediate_size, text.head_dim = 3 * scale.hidden, 64
    text.num_attention_heads = scale.hidden // 64
    text.num_key_value_heads = max(1, scale.hidden // 128)
    vision.hidden_size, vision.depth = half, depth
    vision.intermediate_size, vision.num_heads = 4 * half, max(1, half // 64)
    vision.out_hidden_size, vision.deepstack_visual_indexes = scale.hidden, [0, depth - 1]
    model = Qwen3VLForConditionalGeneration(config).eval()
    model.set_attn_implementation("sdpa")
    return model, processor


def _make_clip(scale: PruneScale, seed: int) -> FrameBatch:
    coarse = np.random.default_rng(seed).integers(
        0, 256, (scale.frames, scale.side_px // 8, scale.side_px // 8, 3), dtype=np.uint8
    )
    return FrameBatch(
        pixels=np.ascontiguousarray(coarse.repeat(8, axis=1).repeat(8, axis=2)),
        times_s=np.arange(scale.frames) / 2,
        exact=np.ones(scale.frames, bool),
    )


def _request(clip: FrameBatch, text: str, new_tokens: int) -> GenerateRequest:
    return GenerateRequest(
        [[Message("user", (FramesPart(clip), TextPart(text)))]], max_new_tokens=new_tokens
    )


def _generate_plainly(
    model: Any, processor: Any, clip: FrameBatch, text: str, new_tokens: int
) -> None:
    """As the documentation of transformers has it."""
    content = [{"type": "video", "video": clip.pixels}, {"type": "text", "text": text}]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}],
        tokenize=True,
        add_generation_prompt=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={
            "videos_kwargs": {
                "do_sample_frames": False,
                "do_resize": False,
                "video_metadata": [
                    {
                        "fps": 2.0,
                        "total_num_frames": len(clip),
                        "frames_indices": [*range(len(clip))],
                    }
                ],
            }
        },
    )
    with torch.inference_mode():
        model.generate(**inputs, max_new_tokens=new_tokens, do_sample=False)
