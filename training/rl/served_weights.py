"""The weights of every step brought to the server that writes the rollouts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import Accelerator

from mmreason.training.generation.served import ServedSampler
from mmreason.training.generation.server_settings import ServerSettings
from mmreason.training.learner.adapters import has_adapter
from mmreason.training.learner.policy_model import PolicyModel
from mmreason.training.parallel.processes import gather_values
from mmreason.training.parallel.strategy import Strategy
from mmreason.types import UsageError

PROBE_TEXT = (
    "The clock on the wall shows ten past nine. A woman in a red coat crosses the street, "
    "and then the light turns green."
)
PROBE_TOKENS = 32


class ServedWeights:
    """Keeps a server at the weights of a run. All processes call it together; the main one writes
    and tells the server."""

    def __init__(
        self,
        sampler: ServedSampler,
        settings: ServerSettings,
        policy: PolicyModel,
        strategy: Strategy,
        out: Path,
    ):
        """UsageError where the adapter is to be sent and the model has none."""
        if settings.weights_as == "adapter" and not has_adapter(policy.model):
            raise UsageError(
                "recipe: sampling.server.weights_as='adapter' needs adapters: set weights.lora, or "
                "send the whole model"
            )
        self._sampler = sampler
        self._settings = settings
        self._policy = policy
        self._strategy = strategy
        self._folder = Path(settings.weights_folder or out / "served").resolve()
        self._version: int | None = None
        self.gap = 0.0
        """Mean difference of server and trainer on a fixed text, in nats, when they last met."""

    def bring(self, version: int) -> None:
        """Make the server write with the weights as they are; `version` counts the updates."""
        if self._version == version:
            self._together(self._sampler.wake)
            return
        policy = self._strategy.policy_to_save(self._policy)
        # Of a model in shards every process takes part in the forward pass.
        with self._strategy.unsharded():
            token_ids, logprobs = _probe(self._policy)

        def push() -> None:
            assert policy is not None
            folder = self._write(policy, version)
            self._sampler.load_weights(folder, str(version))
            self.gap = self._sampler.check_weights(token_ids, logprobs)
            self._drop_others(folder)

        self._together(push)
        self._version = version

    def let_sleep(self) -> None:
        """Let the server give its memory back while the model is trained, where it is to."""
        self._together(self._sampler.sleep)
        # A server that sleeps has dropped the model, though no update may follow.
        if self._settings.sleeps and self._settings.weights_as == "model":
            self._version = None

    def _write(self, policy: PolicyModel, version: int) -> Path:
        """A folder with the weights, which has its name only when it is whole."""
        folder = self._folder / f"weights-{version:06d}"
        unfinished = folder.with_name(f".{folder.name}.tmp")
        shutil.rmtree(unfinished, ignore_errors=True)
        if self._settings.weights_as == "adapter":
            policy.model.save_pretrained(unfinished)
        else:
            policy.save(unfinished)
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
        return folder

    def _drop_others(self, folder: Path) -> None:
        """Older weights, and what an interrupted run left behind."""
        for other in self._folder.glob("*weights-*"):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)

    def _together(self, act: Callable[[], object]) -> None:
        """Do it in the main process; UsageError in all where it failed."""
        accelerator: Accelerator = self._strategy.accelerator
        faults: list[str] = []
        if accelerator.is_main_process:
            try:
                act()
            except (UsageError, OSError, RuntimeError) as error:
                faults.append(" ".join(str(error).split()) or type(error).__name__)
        faults = gather_values(accelerator, faults)
        if faults:
            raise UsageError(faults[0])


@torch.no_grad()
def _probe(policy: PolicyModel) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """A fixed text, and the log-probabilities of all but its first token under the model."""
    ids = tuple(policy.tokenizer(PROBE_TEXT, add_special_tokens=False).input_ids[:PROBE_TOKENS])
    model, was_training = policy.model, policy.model.training
    model.eval()
    try:
        row = torch.tensor([ids], device=next(model.parameters()).device)
        logits = model(input_ids=row, attention_mask=torch.ones_like(row)).logits[0, :-1].float()
    finally:
        model.train(was_training)
    logprobs = torch.log_softmax(logits, dim=-1).gather(1, row[0, 1:, None])[:, 0]
    return ids, tuple(logprobs.tolist())
