"""Supervised training against TRL's SFTTrainer on the same rows and model; packing, and padding.

    python benchmarks/sft.py --out benchmarks/results/sft.md

Same tiny model, same rows in one batch, same optimiser: losses must agree step by step. Times are
of one run on one thread; only their ratios mean anything.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from mmreason.training.claims.tiny import END_ID, PAD_ID, make_model, make_tokenizer
from mmreason.training.data.sample import Sample, SampleMessage
from mmreason.training.learner.packing import LayoutKind
from mmreason.training.learner.policy_model import PolicyModel
from mmreason.training.parallel.strategy import OptimiserSettings
from mmreason.training.rollouts.codec import TextCodec
from mmreason.training.sft import SftBatching, SftEvaluation, SftRecipe, train_sft

WORDS = tuple(f"w{i}" for i in range(500))
STEPS = 12
RATE = 1e-3
WIDTH = 256


def make_policy() -> PolicyModel:
    """The same weights every time."""
    tokenizer = make_tokenizer(WORDS)
    return PolicyModel(
        model=make_model(tokenizer, seed=0, width=WIDTH),
        tokenizer=tokenizer,
        codec=TextCodec(tokenizer),
        end_ids=(END_ID,),
        pad_id=PAD_ID,
        name="tiny",
        fingerprint="tiny",
    )


def make_rows(count: int, longest: int) -> list[Sample]:
    """Rows of very different lengths: most are short, a few are long."""
    rng = random.Random(0)
    rows = []
    for i in range(count):
        length = min(longest, max(8, int(rng.lognormvariate(3.4, 0.9))))
        answer = rng.randint(2, 6)
        words = rng.choices(WORDS, k=length - answer - 1)
        messages = (
            SampleMessage(role="user", parts=(" ".join(words),)),
            SampleMessage(role="assistant", parts=(" ".join(rng.choices(WORDS, k=answer)),)),
        )
        rows.append(Sample(id=str(i), messages=messages))
    return rows


def run_ours(
    rows: Sequence[Sample], *, layout: LayoutKind, micro_tokens: int
) -> tuple[list[float], list[float]]:
    """Losses and seconds of each step, all rows in each."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = SftRecipe(
            samples=rows,
            out=Path(folder),
            model=make_policy,
            steps=STEPS,
            optimiser=OptimiserSettings(learning_rate=RATE, warmup_updates=0),
            batching=SftBatching(rows=len(rows), layout=layout, micro_tokens=micro_tokens),
            evaluation=SftEvaluation(generate=False),
        )
        losses, seconds = [], []
        for report in train_sft(recipe):
            losses.append(report.metrics["loss/mean"])
            seconds.append(report.metrics["speed/train_s"] + report.metrics["speed/read_s"])
    return losses, seconds


def run_trl(rows: Sequence[Sample]) -> tuple[list[float], list[float]]:
    """The same with TRL: pre-tokenised rows, loss over the answers alone."""
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    policy = make_policy()
    encoded = []
    for row in rows:
        prompt = policy.tokenizer(row.messages[0].text).input_ids
        answer = [*policy.tokenizer(row.messages[1].text).input_ids, END_ID]
        mask = [0] * len(prompt) + [1] * len(answer)
        encoded.append({"input_ids": prompt + answer, "completion_mask": mask})
    losses: list[float] = []
    seconds: list[float] = []

    class Watch(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.started = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            seconds.append(time.perf_counter() - self.started)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if logs and "loss" in logs:
                losses.append(float(logs["loss"]))

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        settings = SFTConfig(
            output_dir=folder,
            per_device_train_batch_size=len(rows),
            max_steps=STEPS,
            learning_rate=RATE,
            lr_scheduler_type="constant",
            weight_decay=0.0,
            max_grad_norm=1.0,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            completion_only_loss=True,
            disable_tqdm=True,
            max_length=None,
        )
        trainer = SFTTrainer(
            model=policy.model,
            args=settings,
            train_dataset=Dataset.from_list(encoded),
            processing_class=policy.tokenizer,
            callbacks=[Watch()],
        )
        trainer.train()
    return losses, seconds


def tokens_of(rows: Sequence[Sample]) -> int:
    """Tokens of all rows, with their ends."""
    return sum(len(m.text.split()) for row in rows for m in row.messages) + len(rows)


def median(seconds: Sequence[float]) -> float:
    """Of the steps after the first two, which load and warm up."""
    return statistics.median(seconds[2:])


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=None)
    out = parser.parse_args().out
    torch.set_num_threads(1)
    rows = make_rows(16, longest=120)
    trl_losses, trl_s = run_trl(rows)
    our_losses, our_s = run_ours(rows, layout="padded", micro_tokens=100_000)
    gap = max(abs(a - b) for a, b in zip(trl_losses, our_losses, strict=True))
    mixed = make_rows(64, longest=250)
    whole_s = median(run_ours(mixed, layout="padded", micro_tokens=1_000_000)[1])
    sorted_s = median(run_ours(mixed, layout="padded", micro_tokens=1_024)[1])
    packed_s = median(run_ours(mixed, layout="packed", micro_tokens=1_024)[1])
    lines = [
        "# Supervised training: time and loss",
        "",
        "`python benchmarks/sft.py --out benchmarks/results/sft.md`, one thread of a CPU, a random",
        f"Llama of two layers, {WIDTH} wide. Only ratios of one run mean anything.",
        "",
        f"## Against TRL's SFTTrainer ({len(rows)} rows in one batch, {STEPS} steps)",
        "",
        "| | median step, ms | of TRL's |",
        "| --- | --- | --- |",
        f"| TRL | {1000 * median(trl_s):.0f} | 1 |",
        f"| mmreason | {1000 * median(our_s):.0f} | {median(our_s) / median(trl_s):.2f} |",
        "",
        f"Largest difference of the losses of any step: {gap:.1e} nats (first {trl_losses[0]:.4f}, "
        f"last {trl_losses[-1]:.4f}).",
        "",
        f"## Packing ({len(mixed)} rows of mixed lengths, {tokens_of(mixed):,} tokens)",
        "",
        "| layout | median step, ms | tokens/s against one padded batch |",
        "| --- | --- | --- |",
        f"| one padded batch | {1000 * whole_s:.0f} | 1 |",
        f"| padded, rows of like length together, 1,024 tokens a pass | {1000 * sorted_s:.0f} | "
        f"{whole_s / sorted_s:.2f} |",
        f"| packed, 1,024 tokens a pass | {1000 * packed_s:.0f} | {whole_s / packed_s:.2f} |",
        "",
        "On a CPU attention looks at the whole packed row and masks what belongs to others; with",
        "flash attention it skips that.",
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if out is not None:
        out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
