"""One training step of nano: forward over a packed batch, losses, and the two optimisers.

Weights are kept in float32 and computed in a copy, in bfloat16 where the config says nothing else.
Beside the answers, throw-away heads learn what every visual token shows (shape, colour, pattern,
size, motion, box).
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy, l1_loss, scaled_dot_product_attention
from transformers import AttentionInterface, Qwen3VLForConditionalGeneration
from transformers.models.qwen3_vl.modeling_qwen3_vl import repeat_kv

from mmreason.training.nano.config import NanoConfig
from mmreason.training.nano.examples import LABELS
from mmreason.training.nano.muon import Float32Muon
from mmreason.training.nano.packing import IGNORED, PackedBatch
from mmreason.video.encoders.attention import pack_vision_towers

BLOCK_ATTENTION = "mmreason_block"
"""Name under which the language model finds `_block_attention`."""


def _block_attention(module, query, key, value, attention_mask, scaling: float, **_):
    """Attention under an additive block mask (None: plainly causal), in the form that
    `transformers` calls."""
    key = repeat_kv(key, module.num_key_value_groups)
    value = repeat_kv(value, module.num_key_value_groups)
    mixed = scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=attention_mask,
        is_causal=attention_mask is None,
        scale=scaling,
    )
    return mixed.transpose(1, 2), None


AttentionInterface.register(BLOCK_ATTENTION, _block_attention)


class DenseHeads(nn.Module):
    """Linear read-outs of every visual token, thrown away after training."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.seen = nn.ModuleDict(
            {name: nn.Linear(width, len(values) + 1) for name, values in LABELS.items()}
        )
        self.box = nn.Linear(width, 4)

    def forward(self, visual: torch.Tensor, context: torch.Tensor) -> dict[str, torch.Tensor]:
        """`visual` (n, width) leaves the vision tower; `context` (n, width) leaves the language
        model, which alone sees earlier slices: motion is read from it."""
        out = {
            name: head(context if name == "motion" else visual) for name, head in self.seen.items()
        }
        return out | {"box": self.box(visual).sigmoid()}


class ModelWithHeads(nn.Module):
    """What is trained together."""

    def __init__(self, model: Qwen3VLForConditionalGeneration, width: int) -> None:
        super().__init__()
        self.model = model
        self.heads = DenseHeads(width)


class Learner(nn.Module):
    """The model and its heads in float32, a copy that computes, and the optimisers."""

    def __init__(self, model: Qwen3VLForConditionalGeneration, config: NanoConfig) -> None:
        super().__init__()
        self.config = config
        self.master = ModelWithHeads(model, config.architecture.text_width)
        # Small updates would vanish in bfloat16, so it only computes.
        self.fast = copy.deepcopy(self.master).to(getattr(torch, config.compute))
        # Clips of a batch have equal lengths: their attention is one batched call.
        pack_vision_towers(self.fast.model.model.visual)
        self.fast.model.model.visual.requires_grad_(not config.freeze_vision)
        self.fast.model.model.language_model.config._attn_implementation = BLOCK_ATTENTION
        matrices, vectors = [], []
        for name, parameter in self.master.named_parameters():
            # Muon is for matrices that map activations; tables and heads are AdamW's.
            is_matrix = parameter.ndim == 2 and "embed" not in name and "heads" not in name
            (matrices if is_matrix else vectors).append(parameter)
        decay = config.weight_decay
        self.muon = (
            Float32Muon(matrices, lr=config.matrix_lr, weight_decay=decay)
            if config.compute == "float32"
            else torch.optim.Muon(
                matrices, lr=config.matrix_lr, weight_decay=decay, adjust_lr_fn="match_rms_adamw"
            )
        )
        self.adamw = torch.optim.AdamW(
            vectors, lr=config.other_lr, weight_decay=0.0, betas=(0.9, 0.98)
        )

    def learning_rate_scale(self, step: int) -> float:
        """Warm-up, plateau, then straight down to zero."""
        c = self.config
        down = c.steps * (1 - c.cooldown_share)
        if step < c.warmup_steps:
            return (step + 1) / c.warmup_steps
        return 1.0 if step < down else max(0.0, (c.steps - step) / (c.steps - down))

    def step(self, batch: PackedBatch, step: int) -> dict[str, float]:
        """Learn from one batch; returns losses and accuracies as plain numbers."""
        loss, report = self.loss(batch)
        loss.backward()
        # Gradients are computed in the copy and taken over by the float32 weights that learn.
        # One after the other, so that both sets of gradients are never whole in memory.
        for slow, quick in zip(self.master.parameters(), self.fast.parameters(), strict=True):
            slow.grad = None if quick.grad is None else quick.grad.float()
            quick.grad = None
        # All gradients together, the heads' too.
        norm = nn.utils.clip_grad_norm_(self.master.parameters(), 1.0)
        scale = self.learning_rate_scale(step)
        # Both optimisers follow one schedule, each with its own rate.
        for optimiser, rate in (
            (self.muon, self.config.matrix_lr),
            (self.adamw, self.config.other_lr),
        ):
            for group in optimiser.param_groups:
                group["lr"] = rate * scale
            optimiser.step()
        self.refresh()
        return report | {"grad_norm": float(norm), "lr_scale": scale}

    @torch.no_grad()
    def refresh(self) -> None:
        """Take the float32 weights over into the copy that computes."""
        for slow, quick in zip(self.master.parameters(), self.fast.parameters(), strict=True):
            quick.copy_(slow)

    def loss(self, batch: PackedBatch) -> tuple[torch.Tensor, dict[str, float]]:
        """The loss to minimise, and losses and accuracies as plain numbers."""
        hidden, visual = forward_packed(self.fast.model, batch)
        is_answer = batch.targets != IGNORED
        logits = self.fast.model.lm_head(hidden[is_answer]).float()
        answers = cross_entropy(logits, batch.targets[is_answer])
        report = {"answer_loss": float(answers.detach())}
        report["answer_accuracy"] = _accuracy(logits, batch.targets[is_answer])
        if visual is None:
            return answers, report
        read = self.fast.heads(visual, hidden[batch.visual])
        # Colours and shapes are read from single tokens, so the eyes alone must carry them.
        auxiliary = torch.zeros(())
        for name, truth in batch.dense.items():
            scores = read[name].float()
            # Most tokens show background; what matters is on the actors.
            # Less for background, not nothing: a token has to say when it shows no actor.
            weight = torch.ones(scores.shape[1], device=scores.device)
            weight[0] = 0.15
            if bool((truth != IGNORED).any()):
                auxiliary = auxiliary + cross_entropy(scores, truth, weight, ignore_index=IGNORED)
            is_foreground = truth > 0
            if bool(is_foreground.any()):
                report[f"{name}_accuracy"] = _accuracy(scores[is_foreground], truth[is_foreground])
        is_foreground = batch.boxes.sum(-1) > 0
        if bool(is_foreground.any()):
            # The loss is a mean over four coordinates: times four, a box counts for all of them.
            auxiliary = auxiliary + 4 * l1_loss(
                read["box"].float()[is_foreground], batch.boxes[is_foreground]
            )
        return answers + self.config.auxiliary_weight * auxiliary, report

    def checkpoint(self) -> dict[str, Any]:
        """Everything that `restore` needs to go on exactly."""
        return {
            "master": self.master.state_dict(),
            "muon": self.muon.state_dict(),
            "adamw": self.adamw.state_dict(),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.master.load_state_dict(saved["master"])
        self.muon.load_state_dict(saved["muon"])
        self.adamw.load_state_dict(saved["adamw"])
        self.refresh()


def forward_packed(
    model: Qwen3VLForConditionalGeneration, batch: PackedBatch
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Last hidden states (clips, length, width) and merged visual tokens (n, width) of a packed
    batch; None for the latter where it shows no frames."""
    if not len(batch.patches):
        hidden = model.model.language_model(
            inputs_embeds=model.model.language_model.embed_tokens(batch.input_ids),
            attention_mask=None,
            position_ids=batch.position_ids,
            use_cache=False,
        ).last_hidden_state
        return hidden, None
    assert batch.attention is not None
    vision = model.model.visual(batch.patches.to(model.dtype), grid_thw=batch.grid_thw)
    embedded = model.model.language_model.embed_tokens(batch.input_ids)
    # Merged visual tokens take the places of their pad tokens.
    embedded = embedded.masked_scatter(
        batch.visual[..., None], vision.pooler_output.to(embedded.dtype)
    )
    # Finite, so that no row of the softmax can be NaN.
    hidden_away = torch.zeros(batch.attention.shape, dtype=model.dtype, device=model.device)
    hidden = model.model.language_model(
        inputs_embeds=embedded,
        attention_mask=hidden_away.masked_fill(~batch.attention, -1e4),
        position_ids=batch.position_ids,
        visual_pos_masks=batch.visual,
        deepstack_visual_embeds=vision.deepstack_features,
        use_cache=False,
    ).last_hidden_state
    return hidden, vision.pooler_output


def _accuracy(scores: torch.Tensor, truth: torch.Tensor) -> float:
    return float((scores.detach().argmax(-1) == truth).float().mean())
