"""Ref-Adv by procedure: expressions whose every word is needed, with proofs.

`generate` makes items from seeds, `certify` solves a saved item again and proves what is said of
it.
"""

from __future__ import annotations

from mmreason.grounding.refadv.certifier import CertificateError, certify
from mmreason.grounding.refadv.drafts import Knobs
from mmreason.grounding.refadv.frozen import load_frozen
from mmreason.grounding.refadv.generator import TRAINING_SEEDS, generate
from mmreason.grounding.refadv.items import Certificate, Item, Variant
from mmreason.grounding.refadv.programs import Clause, Pick, Program
from mmreason.grounding.refadv.texts import Wording, write_text

__all__ = [
    "TRAINING_SEEDS",
    "Certificate",
    "CertificateError",
    "Clause",
    "Item",
    "Knobs",
    "Pick",
    "Program",
    "Variant",
    "Wording",
    "certify",
    "generate",
    "load_frozen",
    "write_text",
]
