"""The loss against half-truths: its closed forms, whose foils count, and what it teaches."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from mmreason.models.scripted_pair import ResidualHead
from mmreason.training.matching.losses import full_loss, unit_loss


def rows(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(*shape, generator=generator), dim=-1)


def with_cosines(image: torch.Tensor, cosine: float) -> torch.Tensor:
    """A unit row with this cosine to `image` (1, 2)."""
    angle = math.acos(cosine)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return image @ turn.T


@pytest.mark.parametrize(("margin", "expected"), [(0.0, 0.34657), (0.1, 0.10741), (-0.1, 0.82170)])
def test_one_image_gives_half_the_softplus_of_its_margin(margin, expected):
    image = torch.tensor([[1.0, 0.0]])
    unit, foil = with_cosines(image, 0.5 + margin), with_cosines(image, 0.5)
    loss = unit_loss(image, unit[:, None], foil[:, None], torch.ones(1, 1, dtype=torch.bool))
    assert loss.item() == pytest.approx(expected, abs=2e-5)
    softplus = torch.nn.functional.softplus(torch.tensor(-margin / 0.07))
    assert loss.item() == pytest.approx(0.5 * softplus.item(), abs=1e-5)


def test_only_an_images_own_foil_counts_for_units_and_all_for_captions():
    images, units, foils = rows(3, 8), rows(3, 8, seed=1), rows(3, 8, seed=2).requires_grad_()
    there = torch.tensor([True, True, True])
    losses = []
    for image in range(3):
        only = torch.zeros(3, 1, dtype=torch.bool)
        only[image] = True
        foils.grad = None
        unit_loss(images, units[:, None], foils[:, None], only).backward()
        assert foils.grad is not None
        losses.append(foils.grad.abs().sum(dim=1) > 0)
    assert torch.equal(torch.stack(losses), torch.eye(3, dtype=torch.bool))
    # The row of one image alone: in the form of NegCLIP every foil is a column of it.
    foils.grad = None
    full_loss(images, units, foils, there).backward()
    assert foils.grad is not None and bool((foils.grad.abs().sum(dim=1) > 0).all())


def test_what_is_not_there_gives_no_loss_and_no_gradient():
    images, texts, foils = rows(4, 8), rows(4, 2, 8, seed=1), rows(4, 2, 8, seed=2)
    texts, foils = texts.requires_grad_(), foils.requires_grad_()
    nothing = torch.zeros(4, 2, dtype=torch.bool)
    loss = unit_loss(images.requires_grad_(), texts, foils, nothing)
    loss.backward()
    assert loss.item() == 0 and images.grad is not None and not images.grad.any()
    some = nothing.clone()
    some[:2, 0] = True
    unit_loss(images, texts, foils, some).backward()
    assert texts.grad is not None and foils.grad is not None
    assert not texts.grad[2:].any() and not texts.grad[:, 1].any() and not foils.grad[2:].any()
    captions = texts.detach()[:, 0]
    plain = full_loss(images, captions, foils.detach()[:, 0], torch.zeros(4, dtype=torch.bool))
    other = full_loss(images, captions, captions, torch.zeros(4, dtype=torch.bool))
    assert torch.equal(plain, other)


def test_half_precision_is_worked_out_in_float32():
    images, texts, foils = (rows(4, 8, seed=s).bfloat16() for s in range(3))
    there = torch.ones(4, dtype=torch.bool)
    loss = full_loss(images, texts, foils, there)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, full_loss(images.float(), texts.float(), foils.float(), there))


def test_shapes_that_do_not_match_are_named():
    with pytest.raises(ValueError, match=r"got \(4, 8\), \(3, 8\), \(4, 8\)"):
        full_loss(rows(4, 8), rows(3, 8), rows(4, 8), torch.ones(4, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"\(B, slots\), got \(4, 8\)"):
        unit_loss(rows(4, 8), rows(4, 8), rows(4, 8), torch.ones(4, dtype=torch.bool))


def train_planted_head(unit_weight: float) -> tuple[float, float, float]:
    """In a world of planted concepts, where a picture is the noisy sum of its three and a foil lies
    near what it replaces: (half-truth accuracy, recall at 1 before, after)."""
    torch.manual_seed(0)
    concepts, dim = 60, 64
    base = rows(concepts, dim)
    # Foils are correlated with their concepts, as "blue star" with "red star".
    foil_of = normalize(base + 2.0 * rows(concepts, dim, seed=3), dim=-1)

    def draw(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.stack(
            [torch.randperm(concepts, generator=generator)[:3] for _ in range(count)]
        )
        noise = torch.randn(count, dim, generator=generator) * 0.05
        return chosen, normalize(base[chosen].sum(dim=1) + noise, dim=-1)

    image_head, text_head = ResidualHead(dim), ResidualHead(dim)
    parameters = [*image_head.parameters(), *text_head.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=3e-3)
    for step in range(300):
        chosen, images = draw(64, step)
        captions = normalize(base[chosen].sum(dim=1), dim=-1)
        seen, told = image_head(images), text_head(captions)
        # A shuffled caption, the usual foil, is the same sum here: it counts for nothing.
        loss = full_loss(seen, told, told, torch.zeros(64) > 0)
        if unit_weight:
            # A thing against its foil, and one joined with another thing against that one's.
            joined = normalize(base[chosen[:, 1]] + foil_of[chosen[:, 2]], dim=-1)
            units = torch.stack([base[chosen[:, 0]], base[chosen[:, 1]]], dim=1)
            foils = torch.stack([foil_of[chosen[:, 0]], joined], dim=1)
            there = torch.ones(64, 2, dtype=torch.bool)
            loss = loss + unit_weight * unit_loss(seen, text_head(units), text_head(foils), there)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        chosen, images = draw(256, 10_000)
        captions = normalize(base[chosen].sum(dim=1), dim=-1)
        right = base[chosen[:, 0]]
        half = normalize(right + foil_of[chosen[:, 1]], dim=-1)
        seen = image_head(images)
        scores = [(seen * text_head(texts)).sum(dim=1) for texts in (right, half)]
        accuracy = (scores[0] > scores[1]).float().mean().item()
        found = [
            ((a @ b.T).argmax(dim=1) == torch.arange(256)).float().mean().item()
            for a, b in ((images, captions), (seen, text_head(captions)))
        ]
    return accuracy, found[0], found[1]


def test_units_teach_a_head_what_captions_do_not():
    plain, *_ = train_planted_head(0.0)
    with_units, before, after = train_planted_head(0.5)
    assert with_units > 0.9 > plain
    assert after > before - 0.02
