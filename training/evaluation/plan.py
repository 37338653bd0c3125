"""Which questions are asked in which way: pure, drawn by the seed, in one fixed order."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from mmreason.json_values import encode_json, to_json
from mmreason.training.data.sample import MediaRef, RowFault, Sample
from mmreason.training.evaluation.conditions import (
    AUDIT_CONDITIONS,
    Condition,
    Messages,
    NotApplicable,
    blind_messages,
    check_options,
    draw_stand_ins,
    oracle_messages,
    rotate_options,
    transcript_messages,
    wrong_video_messages,
)
from mmreason.training.evaluation.scoring import TruthKind, kind_of_truth
from mmreason.training.evaluation.settings import EvaluateSettings
from mmreason.training.rewards import Truth
from mmreason.types import UsageError

CIRCULAR = "circular"
"""What a question that cannot be rotated is counted under."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One conversation that the model is asked to go on with.

    Example: `plan_asks(samples, EvaluateSettings()).asks[0].key`.
    """

    id: str
    condition: Condition = Condition.VIDEO
    rotation: int = 0
    """By how many places its options are moved."""
    messages: Messages = ()
    truth: Truth
    target: str = ""
    """The answer as the row writes it; empty where the options are moved."""
    video: str = ""
    """The first file of the row, which its questions have in common; its id where it shows none."""
    channel: str = ""
    digest: str = ""
    """Of question, truth and files: the same row has the same one."""
    is_audited: bool = False
    fault: str = ""
    """Why it cannot be asked at all."""

    @property
    def key(self) -> tuple[str, str, int]:
        """Names it in a run."""
        return self.id, self.condition.value, self.rotation


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationPlan:
    """All that is asked, and what cannot be.

    Example: `len(plan.asks)`.
    """

    asks: tuple[Ask, ...]
    absent: Mapping[str, Mapping[str, int]]
    """For each condition, and for "circular", how many questions cannot be asked so, by reason."""
    data_digest: str
    """Of all rows, in order."""
    questions: int


def plan_asks(
    samples: Sequence[Sample], settings: EvaluateSettings, faults: Sequence[RowFault] = ()
) -> EvaluationPlan:
    """The conversations of each row one behind the other, and rows that could not be read at the
    end. UsageError for no row, rows of one id and more options than letters."""
    ids = Counter(sample.id for sample in samples)
    twice = [name for name, count in ids.items() if count > 1]
    if twice:
        raise UsageError(f"{len(twice)} ids are of several rows, the first is {twice[0]!r:.60}")
    if not samples and not faults:
        raise UsageError("there is no row to evaluate on")
    check_options(samples)
    drawn = draw_rows(samples, settings.limit, settings.seed)
    audited = _draw_audited(drawn, settings)
    stand_ins = draw_stand_ins(drawn, settings.seed) if audited else {}
    absent: dict[str, Counter[str]] = {}
    asks: list[Ask] = []
    for sample in drawn:
        base = _base_ask(sample, is_audited=sample.id in audited)
        asks.append(base)
        if settings.circular and kind_of_truth(base.truth) is TruthKind.CHOICE:
            asks += _rotations(base, absent)
        if base.is_audited:
            asks += _audit_asks(sample, base, stand_ins, absent)
    digest = hashlib.sha256("".join(ask.digest for ask in asks).encode()).hexdigest()
    asks += [_faulty_ask(fault) for fault in faults]
    return EvaluationPlan(
        asks=tuple(asks),
        absent={name: dict(sorted(counts.items())) for name, counts in absent.items()},
        data_digest=digest,
        questions=len(drawn) + len(faults),
    )


def draw_rows(samples: Sequence[Sample], limit: int | None, seed: int) -> tuple[Sample, ...]:
    """`limit` rows drawn with the seed, in the order of the file; all of them without a limit."""
    if limit is None or limit >= len(samples):
        return tuple(samples)
    places = sorted(random.Random(seed).sample(range(len(samples)), limit))
    return tuple(samples[place] for place in places)


def row_digest(sample: Sample, truth: Truth) -> str:
    """Of what is asked, what is true and which files are shown, wherever these lie."""
    value = {
        "id": sample.id,
        "messages": [
            [message.role, [_part_facts(item) for item in message.parts]]
            for message in sample.prompt
        ],
        "truth": to_json(replace(truth, columns={}, tree=None)),
        "transcript": sample.transcript,
    }
    return hashlib.sha256(encode_json(value).encode(errors="replace")).hexdigest()


def _part_facts(item: str | MediaRef) -> object:
    if isinstance(item, str):
        return item
    # The name and the size, not the folder: a data set may be moved.
    files = [(PurePath(path).name, _size_bytes(path)) for path in item.paths]
    return [item.kind.value, files, to_json(item.span), item.rate_hz]


def _size_bytes(path: str) -> int | None:
    try:
        return Path(path).stat().st_size
    except (OSError, ValueError):
        return None


def _base_ask(sample: Sample, *, is_audited: bool) -> Ask:
    truth = sample.truth
    if not truth.question:
        truth = replace(truth, question=sample.question)
    # Of a row that says nothing but its answer that is what is true.
    if kind_of_truth(truth) is TruthKind.UNKNOWN and sample.target.strip():
        truth = replace(truth, answer=sample.target.strip(), answers=())
    return Ask(
        id=sample.id,
        messages=sample.prompt,
        truth=truth,
        target=sample.target,
        video=sample.media[0].path if sample.media else sample.id,
        channel=sample.channel,
        digest=row_digest(sample, truth),
        is_audited=is_audited,
    )


def _rotations(base: Ask, absent: dict[str, Counter[str]]) -> Iterator[Ask]:
    for by in range(1, len(base.truth.options)):
        rotated = rotate_options(base.messages, base.truth, by)
        if isinstance(rotated, NotApplicable):
            absent.setdefault(CIRCULAR, Counter())[rotated.reason] += 1
            return
        messages, truth = rotated
        yield replace(
            base, rotation=by, messages=messages, truth=truth, target="", is_audited=False
        )


def _audit_asks(
    sample: Sample,
    base: Ask,
    stand_ins: Mapping[str, tuple[MediaRef, ...]],
    absent: dict[str, Counter[str]],
) -> Iterator[Ask]:
    messages: dict[Condition, Messages | NotApplicable] = {
        Condition.BLIND: blind_messages(sample),
        Condition.WRONG_VIDEO: wrong_video_messages(sample, stand_ins.get(sample.id)),
        Condition.TRANSCRIPT: transcript_messages(sample),
        Condition.ORACLE_SPAN: oracle_messages(sample, base.truth),
    }
    for condition in AUDIT_CONDITIONS:
        result = messages[condition]
        if isinstance(result, NotApplicable):
            absent.setdefault(condition.value, Counter())[result.reason] += 1
        else:
            yield replace(base, condition=condition, messages=result)


def _draw_audited(samples: Sequence[Sample], settings: EvaluateSettings) -> frozenset[str]:
    if settings.audit == "off":
        return frozenset()
    # Without a known answer nothing could be compared.
    scored = [
        sample
        for sample in samples
        if kind_of_truth(sample.truth) is not TruthKind.UNKNOWN or sample.target.strip()
    ]
    limit = settings.audit_questions if settings.audit == "sample" else None
    return frozenset(sample.id for sample in draw_rows(scored, limit, settings.seed))


def _faulty_ask(fault: RowFault) -> Ask:
    name = str(fault.source)
    return Ask(id=name, truth=Truth(), video=name, fault=fault.reason)
