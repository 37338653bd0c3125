"""Trains nano, from nothing or from a model folder: worlds drawn in a worker process, checkpoints
at steps, exact resume.

Every batch is a pure function of (seed, step), so an interrupted run continues with the very
batches it would have seen.
"""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset
from transformers import AutoProcessor, PreTrainedTokenizerFast, Qwen3VLProcessor

from mmreason.models.calibration import Calibration
from mmreason.models.nano_model import SCRIPTED_WORLD
from mmreason.training.nano.architecture import (
    build_model,
    build_processor,
    build_tokenizer,
    load_weights,
    save_pretrained,
    start_folder,
)
from mmreason.training.nano.config import NanoConfig
from mmreason.training.nano.dialogues import Dialogues, draw_exercise_batch
from mmreason.training.nano.examples import make_clip_example, make_image_example
from mmreason.training.nano.grounding_examples import PROMPTS, make_still_example, make_tube_example
from mmreason.training.nano.learner import Learner
from mmreason.training.nano.packing import PackedBatch, pack_examples
from mmreason.types import UsageError
from mmreason.video.files import write_atomic


class Batches(Dataset):
    """Batch number `step` of a run. Each is all images, all clips (so that its segments are equal)
    or all text."""

    def __init__(
        self,
        config: NanoConfig,
        tokenizer: PreTrainedTokenizerFast,
        dialogues: Dialogues | None = None,
    ) -> None:
        self.config, self.tokenizer, self.dialogues = config, tokenizer, dialogues

    def __len__(self) -> int:
        return self.config.steps

    def __getitem__(self, step: int) -> PackedBatch:
        config = self.config
        stage = config.stage_at(step)
        rng = random.Random(f"dialogues/{config.seed}/{step}")
        # One draw decides, so that a batch is a function of its step alone.
        kind = rng.random()
        if kind < stage.dialogue_share:
            assert self.dialogues is not None, "a config with dialogue_share names its dialogues"
            return self.dialogues.batch(rng)
        if kind < stage.dialogue_share + stage.drill_share:
            return draw_exercise_batch(rng, config.drill_tokens, stage, self.tokenizer)
        images = random.Random(f"kind/{config.seed}/{step}").random() < stage.image_share
        make = make_image_example if images else make_clip_example
        if random.Random(f"grounding/{config.seed}/{step}").random() < stage.grounding_share:
            make = make_still_example if images else make_tube_example
        n = config.image_batch if images else config.clip_batch
        # One seed an example: a batch needs nothing of those before it.
        seeds = (f"nano/{config.seed}/{step}/{index}" for index in range(n))
        return pack_examples(
            [make(random.Random(seed), config, stage) for seed in seeds], self.tokenizer
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NanoProgress:
    """What happened in a step."""

    step: int
    steps: int
    report: dict[str, float]
    seconds: float


def train_nano(
    config: NanoConfig,
    out: Path,
    *,
    resume: bool = True,
    device: str = "cpu",
    workers: int = 1,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[NanoProgress]:
    """Train and yield after every step. The model folder is written to `out/model` at each
    checkpoint, and where `should_stop` (asked after every step) ends the run early.

    Raises `UsageError` where `out` holds a run with another config.
    """
    torch.manual_seed(config.seed)
    if device == "cpu":
        torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    _claim(config, out, resume)
    tokenizer = _tokenizer(config, out)
    dialogues = _dialogues(config, tokenizer)
    samples_sha256 = None if dialogues is None else dialogues.sha256
    processor = build_processor(config, tokenizer)
    model = build_model(config.architecture, tokenizer)
    # Weights of a checkpoint stand in for those of the start.
    resumed = resume and (out / "checkpoint.pt").exists()
    if config.start is not None and not resumed:
        load_weights(model, config.start)
    learner = Learner(model, config).to(device)
    start, steps_before = 0, _steps_of(config.start)
    if resumed:
        saved = torch.load(out / "checkpoint.pt", map_location=device, weights_only=True)
        learner.restore(saved["learner"])
        start, steps_before = saved["step"], saved["steps_before"]
        if saved["dialogues"] != samples_sha256:
            raise UsageError(f"{config.dialogues} is not the file that the run in {out} began with")
        _keep_log_before(start, out / "log.jsonl")
    # Worlds are drawn in a worker while the model learns.
    batches = DataLoader(
        Batches(config, tokenizer, dialogues),
        batch_size=None,
        sampler=range(start, config.steps),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_ignore_interrupts,
    )
    with (out / "log.jsonl").open("a", encoding="utf-8") as log:
        for step, batch in enumerate(batches, start):
            began = time.monotonic()
            report = learner.step(batch.to(torch.device(device)), step)
            row = {"step": step, "shown": _kind_of(batch), **report}
            log.write(json.dumps(row) + "\n")
            log.flush()
            done = step + 1
            stop = should_stop()
            # A run that is stopped is resumed from the very step.
            if stop or done % config.checkpoint_every == 0 or done == config.steps:
                _save(learner, processor, done, steps_before, samples_sha256, out)
            yield NanoProgress(
                step=done, steps=config.steps, report=report, seconds=time.monotonic() - began
            )
            if stop:
                return


def _ignore_interrupts(_: int) -> None:
    """Ctrl-C reaches every process of a terminal; the main one alone decides when work ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _claim(config: NanoConfig, out: Path, resume: bool) -> None:
    path = out / "config.json"
    if path.exists() and resume and path.read_text(encoding="utf-8") != config.to_json():
        raise UsageError(
            f"{out} holds a run with another config; choose another --out or --no-resume"
        )
    if not resume:
        for name in ("checkpoint.pt", "log.jsonl"):
            (out / name).unlink(missing_ok=True)
    write_atomic(path, config.to_json().encode())


def _keep_log_before(step: int, path: Path) -> None:
    """Steps after the checkpoint are trained again: their old lines go."""
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        write_atomic(path, "".join(lines[:step]).encode())


def _tokenizer(config: NanoConfig, out: Path) -> PreTrainedTokenizerFast:
    """The tokenizer is learnt once a run, or taken from the model it starts from, and read back
    when it resumes."""
    folder = out / "tokenizer"
    if not (folder / "tokenizer.json").exists():
        if config.start is None:
            tokenizer = build_tokenizer(config)
        else:
            tokenizer = AutoProcessor.from_pretrained(
                start_folder(config.start), trust_remote_code=False
            ).tokenizer
        build_processor(config, tokenizer).save_pretrained(folder)
    return AutoProcessor.from_pretrained(folder, trust_remote_code=False).tokenizer


def _kind_of(batch: PackedBatch) -> str:
    """What a batch is of, for the log."""
    if not len(batch.grid_thw):
        return "text"
    return "clips" if batch.grid_thw[0, 0].item() > 1 else "images"


def _dialogues(config: NanoConfig, tokenizer: PreTrainedTokenizerFast) -> Dialogues | None:
    """The text samples of a run. UsageError where a stage wants some but none are named."""
    if config.dialogues is None:
        if any(stage.dialogue_share for stage in config.stages):
            raise UsageError("a stage has a dialogue_share, but the config names no dialogues")
        return None
    return Dialogues.load(
        Path(config.dialogues),
        tokenizer,
        batch_tokens=config.dialogue_tokens,
        longest=config.dialogue_longest,
    )


def _steps_of(start: str | None) -> int:
    """Steps that the weights to start from were trained for."""
    if start is None:
        return 0
    notes = start_folder(start) / "mmreason.json"
    recipe = json.loads(notes.read_text(encoding="utf-8")) if notes.is_file() else {}
    return int(recipe.get("trained_steps", 0))


def _save(
    learner: Learner,
    processor: Qwen3VLProcessor,
    step: int,
    steps_before: int,
    dialogues: str | None,
    out: Path,
) -> None:
    temporary = out / "checkpoint.pt.tmp"
    state = {
        "learner": learner.checkpoint(),
        "step": step,
        "steps_before": steps_before,
        "dialogues": dialogues,
    }
    torch.save(state, temporary)
    # Whole or not at all: a run killed here resumes from the checkpoint before.
    temporary.replace(out / "checkpoint.pt")
    save_pretrained(learner.master.model, processor, out / "model")
    recipe = write_recipe(learner.config, steps_before + step)
    write_atomic(out / "model" / "mmreason.json", (json.dumps(recipe, indent=1) + "\n").encode())
    # New weights are not calibrated: the file says so.
    Calibration({}).save(out / "model" / SCRIPTED_WORLD)


def write_recipe(config: NanoConfig, trained_steps: int) -> dict[str, object]:
    """How the model wants to be shown video, and what it was taught, for whoever loads the folder.

    Example:
        >>> write_recipe(NanoConfig(), 10)["trained_steps"]
        10
    """
    recipe: dict[str, object] = {
        "clip_frames": config.clip_frames,
        "clip_size_px": list(config.size_px),
        "leaf_s": 3.0,
        "overview": "stills",
        "reads_options": False,
        "trained_steps": trained_steps,
    }
    lessons = [stage for stage in config.stages if stage.grounding_share]
    if lessons:
        recipe["reads_expressions"] = True
    if any(stage.image_share < 1 for stage in lessons):
        recipe["prompts"] = {"track": PROMPTS.track}
    return recipe
