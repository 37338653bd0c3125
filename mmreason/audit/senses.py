"""Which senses, and what beside them, this machine has: packages and weights, looked up and not
loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SensePart:
    """What one sense needs.

    Example:
        >>> SensePart("sense: speech", "faster-whisper", "speech", "whisper-tiny.en").extra
        'speech'
    """

    name: str
    distribution: str | None
    """Package that an extra brings; None where the base install has all."""
    extra: str
    weights: str | None
    """Name of its weights; None where its package has them."""


SENSE_PARTS = (
    SensePart("sense: speech", "faster-whisper", "speech", "whisper-tiny.en"),
    SensePart("sense: screen text", "rapidocr", "ocr", None),
    SensePart("sense: labels", None, "", "efficientnet-lite0"),
    SensePart("search by meaning", None, "", "minilm-l6"),
    SensePart("small reader", None, "", "smollm2-135m"),
    SensePart("Ray", "ray", "ray", None),
)


def describe_part(
    part: SensePart,
    find_version: Callable[[str], str | None],
    describe_install: Callable[[str], str],
) -> tuple[str, str]:
    """(what was found, what to do; empty where all is there)."""
    from mmreason.weights import WeightsMissingError, find_weights

    findings: list[str] = []
    advice: list[str] = []
    if part.distribution is not None:
        version = find_version(part.distribution)
        findings.append(f"{part.distribution} {version or 'not installed'}")
        if version is None:
            advice.append(describe_install(part.extra))
    if part.weights is not None:
        try:
            find_weights(part.weights)
            findings.append(f"weights {part.weights}")
        except WeightsMissingError:
            findings.append(f"no weights {part.weights}")
            advice.append(f"mmreason weights get {part.weights}")
    return ", ".join(findings), f"optional; {'; '.join(advice)}" if advice else ""
