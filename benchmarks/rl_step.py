"""What a training step costs on a CPU: ours against TRL's GRPOTrainer, and episodes together.

    python benchmarks/rl_step.py

A step is sampling, rewards and one optimiser update. Both train the same random text model on the
same prompts with the same number of answers of the same length, one thread, in one process: after
each step of TRL's comes one of ours, so that both meet the same machine. The second part plays the
same agent episodes with nano a turn at a time, without and with what was read before kept, and all
together. Prints a Markdown table and writes it to `benchmarks/results/rl_step.md`. Needs TRL 1.16.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mmreason.training.rl import (
    BatchingSettings,
    CheckpointSettings,
    ObjectiveSettings,
    OptimiserSettings,
    ReportSettings,
    SamplingSettings,
)

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM, TrainerCallback

from mmreason.memory.store import Store
from mmreason.models.base import Message, TextPart
from mmreason.models.folders import NANO_FOLDER
from mmreason.needle.worlds import needle_set
from mmreason.policies.longvideo_r1 import LongVideoR1
from mmreason.reasoner import Reasoner
from mmreason.training.generation.collect import Sampling, collect_rollouts
from mmreason.training.generation.sampler import LocalSampler
from mmreason.training.navigation.observer import CLIP, BlankVideo, make_observer
from mmreason.training.rewards import Combination, Component, Trajectory, Truth, correct
from mmreason.training.rl import PolicyModel, Recipe, train
from mmreason.training.rollouts.codec import TextCodec
from mmreason.training.rollouts.types import Group, Problem
from mmreason.training.tasks.agentic import AgentTask, RolloutModel
from mmreason.training.tasks.single_turn import SingleTurn

RESULTS = Path(__file__).parent / "results" / "rl_step.md"
PROBLEMS, SAMPLES, LENGTH, WARM_UP = 8, 8, 32, 3
# Of three lengths, so that both sides have to pad.
QUESTIONS = [f"how many stars are there after {i} seconds? " * (1 + i % 3) for i in range(64)]


def load_tokenizer() -> Any:
    return PreTrainedTokenizerFast(
        tokenizer_file=str(NANO_FOLDER / "tokenizer.json"),
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def make_model() -> Qwen3ForCausalLM:
    torch.manual_seed(0)
    tokenizer = load_tokenizer()
    config = Qwen3Config(
        vocab_size=4096,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=48,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    return Qwen3ForCausalLM(config)


def make_policy_model() -> PolicyModel:
    tokenizer = load_tokenizer()
    return PolicyModel(
        model=make_model(),
        tokenizer=tokenizer,
        codec=TextCodec(tokenizer),
        end_ids=(tokenizer.convert_tokens_to_ids("<|im_end|>"),),
        pad_id=tokenizer.convert_tokens_to_ids("<|endoftext|>"),
        name="random",
        fingerprint="random",
    )


def by_length(text: str) -> float:
    """Something that differs from answer to answer."""
    return float(len(text) % 3 == 0)


def our_reward(trajectory: Trajectory, truth: Truth) -> float:
    return by_length(trajectory.turns[0])


def their_reward(completions: list[str], **_: Any) -> list[float]:
    return [by_length(text.strip()) for text in completions]


def show_question(problem: Problem) -> list[Message]:
    return [Message("user", (TextPart(problem.question),))]


def our_steps(folder: Path, steps: int) -> Iterator[dict[str, float]]:
    """Figures of a step each time one is done."""
    task = SingleTurn(
        name="stars",
        problems=[
            Problem(id=str(i), question=text, truth=Truth()) for i, text in enumerate(QUESTIONS)
        ],
        show=show_question,
        reward=Combination((Component(name="length", reward=our_reward),)),
        max_new_tokens=LENGTH,
    )
    recipe = Recipe(
        task=task,
        out=folder,
        model=make_policy_model,
        steps=steps + 1,
        sampling=SamplingSettings(problems_per_step=PROBLEMS, samples=SAMPLES),
        objective=ObjectiveSettings(formula="dapo"),
        optimiser=OptimiserSettings(learning_rate=1e-6),
        batching=BatchingSettings(micro_tokens=1_000_000),
        # Neither side writes checkpoints or samples.
        checkpoints=CheckpointSettings(every=10**9),
        report=ReportSettings(samples=0),
    )
    for report in train(recipe):
        yield dict(report.metrics)


class Interleaved(TrainerCallback):
    """Times TRL's steps and has one of ours follow each."""

    def __init__(self, ours: Iterator[dict[str, float]]):
        self.ours = ours
        self.their_s: list[float] = []
        self.our_s: list[float] = []
        self.figures: list[dict[str, float]] = []
        self.began = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.began = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.their_s.append(time.perf_counter() - self.began)
        began = time.perf_counter()
        self.figures.append(next(self.ours))
        self.our_s.append(time.perf_counter() - began)


def against_trl(folder: Path, steps: int) -> tuple[Interleaved, list[dict[str, float]]]:
    """The times of both, and TRL's log."""
    from datasets import Dataset
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    # Ours runs inside TRL's callbacks: each of its steps is followed by one of ours.
    callback = Interleaved(our_steps(folder / "ours", steps))
    trainer = GRPOTrainer(
        model=make_model(),
        processing_class=load_tokenizer(),
        reward_funcs=[their_reward],  # pyright: ignore[reportArgumentType]
        train_dataset=Dataset.from_dict({"prompt": QUESTIONS}),
        callbacks=[callback],
        args=GRPOConfig(
            output_dir=str(folder / "theirs"),
            per_device_train_batch_size=PROBLEMS * SAMPLES,
            gradient_accumulation_steps=1,
            num_generations=SAMPLES,
            max_completion_length=LENGTH,
            max_steps=steps,
            learning_rate=1e-6,
            loss_type="dapo",
            # The upper clip of DAPO, which our recipe has by its formula.
            epsilon_high=0.28,
            beta=0.0,
            temperature=1.0,
            gradient_checkpointing=False,
            report_to=[],
            save_strategy="no",
            use_cpu=True,
            bf16=False,
            disable_tqdm=True,
            logging_steps=1,
            seed=0,
        ),
    )
    # TRL prints every log line.
    with contextlib.redirect_stdout(io.StringIO()):
        trainer.train()
    return callback, [row for row in trainer.state.log_history if "completions/mean_length" in row]


NEVER = 767
"""The last token of nano's vocabulary, which it does not write."""


def make_reasoner(store: Store, eyes: Any, player: RolloutModel) -> Reasoner:
    search_policy = LongVideoR1(system="", rounds=6, max_new_tokens=64, context_tokens=4096)
    return Reasoner(player, observer=eyes, policy=search_policy, store=store)


@dataclass(frozen=True)
class EpisodeTimes:
    """Seconds of 8 episodes in each way of playing them, their turns and tokens."""

    again: list[float]
    """A turn at a time, each through `generate` on its whole conversation."""
    alone: list[float]
    """A turn at a time, what was read before kept."""
    whole: list[float]
    """Together, what was read before kept."""
    turns: int
    tokens: int


def time_episodes(rounds: int, *, ends: bool) -> EpisodeTimes:
    """The same episodes in all ways. Without `ends` every turn is as long as it may be, as those
    of models that think."""
    needles = needle_set(7, 180.0, 4)
    item, video = needles.items[0], BlankVideo(needles.world)
    truth = Truth(question=item.question, options=item.options, choice=item.answer)
    problem = Problem(id=item.id, question=item.question, truth=truth)
    task = AgentTask(
        name="needles",
        problems=[problem],
        reasoner=partial(make_reasoner, Store.in_memory(), make_observer(needles.world)),
        clip=CLIP,
        reward=Combination((Component(name="right", reward=correct),)),
        watch=lambda _: video,
    )
    nano = PolicyModel.load("nano")
    # The likeliest tokens: rounding differs with the shape of a batch, and of thousands of samples
    # by chance one would turn out other and change all that follows.
    sampling = Sampling(samples=8, temperature=1.0 if ends else 0.0, seed=0, step=0)

    def play(batch_tokens: int, keep_bytes: int) -> tuple[float, Group]:
        sampler = LocalSampler(
            nano.model,
            nano.tokenizer,
            end_ids=nano.end_ids if ends else (NEVER,),
            pad_id=nano.pad_id,
            batch_tokens=batch_tokens,
            cache_bytes=keep_bytes,
        )
        # A cache that was refused would make the ways the same.
        assert not keep_bytes or not sampler.why_uncached
        began = time.perf_counter()
        (group,) = collect_rollouts(task, [problem], nano.codec, sampler, sampling)
        return time.perf_counter() - began, group

    ways = ((1, 0), (1, 2**31), (65_536, 2**31))
    _, first = play(*ways[-1])  # captions are in the store from here on
    seconds: list[list[float]] = [[], [], []]
    for _ in range(rounds):
        for way, times_s in zip(ways, seconds, strict=True):
            taken, group = play(*way)
            times_s.append(taken)
            assert list_token_ids(group) == list_token_ids(first)
    turns = sum(r.outcome.turns for r in first.rollouts)
    again, alone, whole = seconds
    tokens = sum(r.completion_tokens for r in first.rollouts)
    return EpisodeTimes(again, alone, whole, turns, tokens)


def list_token_ids(group: Group) -> list[tuple[int, ...]]:
    """All tokens of all episodes."""
    return [sequence.token_ids for rollout in group.rollouts for sequence in rollout.sequences]


def format_spread(values: list[float]) -> str:
    """Median (least to most).

    Example:
        >>> format_spread([3.0, 1.0, 2.0])
        '2 (1 to 3)'
    """
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def format_speedup(slow: list[float], fast: list[float]) -> str:
    """How many times faster, round by round.

    Example:
        >>> format_speedup([4.0, 6.0], [2.0, 2.0])
        '2.5 (2 to 3)'
    """
    return format_spread([a / b for a, b in zip(slow, fast, strict=True)])


def build_page(steps: int, rounds: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        met, log = against_trl(Path(folder), steps + WARM_UP)
    # The first steps pay for imports and allocations.
    theirs, ours = met.their_s[WARM_UP:], met.our_s[WARM_UP:]
    figures = met.figures[WARM_UP:]
    lengths = (
        statistics.mean(row["completions/mean_length"] for row in log[WARM_UP:]),
        statistics.mean(row["length/mean"] for row in figures),
    )
    flat = statistics.mean(row.get("groups/flat", 0.0) for row in figures)
    sampling = [row["speed/rollout_s"] for row in figures]
    short, long = time_episodes(rounds, ends=True), time_episodes(rounds, ends=False)
    alone = [format_speedup(times.again, times.alone) for times in (short, long)]
    whole = [format_speedup(times.again, times.whole) for times in (short, long)]
    seconds = {
        way: " | ".join(format_spread(getattr(times, way)) for times in (short, long))
        for way in ("again", "alone", "whole")
    }
    ratio = format_speedup(ours, theirs)
    load = os.getloadavg()[1]
    parameters = sum(p.numel() for p in make_model().parameters()) / 1e6
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "trl"))
    return f"""# A training step on a CPU

`python benchmarks/rl_step.py --steps {steps} --rounds {rounds}`, one process, one thread,
{platform.machine()}, {versions}. Medians with the least and the most.

Qwen3 of {parameters:.1f} M random weights, {PROBLEMS} prompts x {SAMPLES} answers of at most
{LENGTH} tokens, DAPO's loss, no KL, one update; {steps} steps of each in turns.

| | seconds a step | tokens an answer |
|---|---|---|
| TRL `GRPOTrainer` | {format_spread(theirs)} | {lengths[0]:.1f} |
| mmreason | {format_spread(ours)} | {lengths[1]:.1f} |
| ratio, step by step | {ratio} | |

Of ours, sampling takes {format_spread(sampling)} s; {flat:.0%} of the rows had an advantage of 0
and were not run through the update, which TRL's always are.

8 episodes of the agent at one question, nano as the model that decides, captions in the store; the
same tokens in all three ways, which take turns. As nano ends its turns, and with an end forbidden,
so that turns are as long as those of models that think:

| | {short.tokens / short.turns:.0f} tokens a turn | {long.tokens / long.turns:.0f} tokens a turn |
|---|---|---|
| a turn at a time, everything read again, seconds | {seconds["again"]} |
| a turn at a time, what was read kept, seconds | {seconds["alone"]} |
| together, what was read kept, seconds | {seconds["whole"]} |
| keeping alone, times faster | {alone[0]} | {alone[1]} |
| keeping and together, times faster | {whole[0]} | {whole[1]} |

The first row is `generate` of transformers on the whole conversation of each turn. The others read
only what a turn adds, and the question once for all rollouts.

How far to trust it: one machine, a tiny model, where fixed costs weigh more than in real runs; no
GPU, no vLLM behind TRL's sampling. The load of the machine was {load:.1f} (above 1 others were at
work too): seconds are then too long on both sides, ratios of neighbouring steps much less so.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    text = build_page(chosen.steps, chosen.rounds)
    RESULTS.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
