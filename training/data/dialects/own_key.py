"""The field `mmreason` of a row: what we know of it and its dialect has no field for.

    {"video": "a.mp4", "conversations": [...], "mmreason": {"media": [{"span": [3, 9]}]}}

Writers put there exactly what the dialect's own reader would not give back, so that a file stays
loadable elsewhere and loses nothing here. It is a JSON object, or the same as a text (Parquet, and
loaders that want one type a column).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mmreason.training.data.dialects.row_errors import BadRow, describe
from mmreason.training.data.problem_file import truth_from_row, truth_to_row
from mmreason.training.data.sample import MediaRef, Sample, SampleMessage
from mmreason.types import UsageError
from mmreason.video.json_input import JsonInputError, parse_json
from mmreason.video.types import Span

OWN_KEY = "mmreason"
_FIELDS = ("id", "channel", "transcript", "truth", "media", "target", "learnt", "columns")


def apply_own_key(sample: Sample, value: Any) -> Sample:
    """The sample with what its row's own key says. Raises BadRow."""
    if value in (None, "", {}):
        return sample
    fields = _read_object(value)
    messages = sample.messages
    if "media" in fields:
        messages = _with_media(messages, fields["media"])
    if "target" in fields:
        messages = _with_target(messages, _read_text(fields, "target", ""))
    if "learnt" in fields:
        messages = _with_learnt(messages, fields["learnt"])
    columns = fields.get("columns", sample.columns)
    if not isinstance(columns, dict):
        raise BadRow(f"{OWN_KEY}: 'columns' must be an object, found {describe(columns)}")
    try:
        truth = truth_from_row(fields["truth"]) if "truth" in fields else sample.truth
    except (UsageError, ValueError, TypeError, AttributeError) as error:
        raise BadRow(f"{OWN_KEY}: {error}") from error
    return replace(
        sample,
        id=_read_text(fields, "id", sample.id),
        channel=_read_text(fields, "channel", sample.channel),
        transcript=_read_text(fields, "transcript", sample.transcript),
        messages=messages,
        columns=columns,
        truth=replace(truth, columns=columns),
    )


def make_own_key(sample: Sample, plain: Sample) -> dict[str, Any]:
    """What the own key must say for `plain`, as the dialect's reader gives it, to become `sample`;
    empty where they are the same."""
    fields: dict[str, Any] = {
        name: getattr(sample, name)
        for name in ("id", "channel", "transcript")
        if getattr(sample, name) != getattr(plain, name)
    }
    if replace(sample.truth, columns={}) != replace(plain.truth, columns={}):
        fields["truth"] = truth_to_row(sample.truth)
    if dict(sample.columns) != dict(plain.columns):
        fields["columns"] = dict(sample.columns)
    if len(sample.media) == len(plain.media):
        media = [_media_fields(*pair) for pair in zip(sample.media, plain.media, strict=True)]
        if any(media):
            fields["media"] = media
    if sample.target != plain.target and not sample.messages[-1].media:
        # "" says that nothing is answered, where the dialect's own answer would stand.
        fields["target"] = sample.target
        plain = replace(plain, messages=_with_target(plain.messages, sample.target))
    learnt = [message.is_learnt for message in sample.messages]
    if learnt != [message.is_learnt for message in plain.messages]:
        fields["learnt"] = learnt
    return fields


def _media_fields(medium: MediaRef, plain: MediaRef) -> dict[str, Any]:
    """Stretch and rate, where the dialect does not say them."""
    fields: dict[str, Any] = {}
    if medium.span != plain.span:
        fields["span"] = None if medium.span is None else [medium.span.start_s, medium.span.end_s]
    if medium.rate_hz != plain.rate_hz:
        fields["rate_hz"] = medium.rate_hz
    return fields


def _read_object(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = parse_json(value, refuse_half_pairs=True)
        except JsonInputError as error:
            raise BadRow(f"{OWN_KEY} {error}") from error
    if not isinstance(value, dict):
        raise BadRow(f"{OWN_KEY} must be an object, found {describe(value)}")
    # Parquet gives a null for whatever another row has.
    fields = {name: item for name, item in value.items() if item is not None}
    unknown = [name for name in fields if name not in _FIELDS]
    if unknown:
        raise BadRow(f"{OWN_KEY}: unknown field {unknown[0]!r:.60}; it has {', '.join(_FIELDS)}")
    return fields


def _read_text(fields: Mapping[str, Any], name: str, default: str) -> str:
    value = fields.get(name, default)
    if not isinstance(value, str):
        raise BadRow(f"{OWN_KEY}: {name!r} must be a text, found {describe(value)}")
    return value


def _with_media(messages: Sequence[SampleMessage], values: Any) -> tuple[SampleMessage, ...]:
    count = sum(len(message.media) for message in messages)
    if not isinstance(values, list) or len(values) != count:
        raise BadRow(f"{OWN_KEY}: 'media' must have one object for each of {count} files")
    remaining = iter(values)
    return tuple(
        replace(
            message,
            parts=tuple(
                item if isinstance(item, str) else _with_fields(item, next(remaining))
                for item in message.parts
            ),
        )
        for message in messages
    )


def _with_fields(medium: MediaRef, fields: Any) -> MediaRef:
    if not fields:
        return medium
    if not isinstance(fields, dict) or not set(fields) <= {"span", "rate_hz"}:
        raise BadRow(f"{OWN_KEY}: 'media' has span and rate_hz, found {json.dumps(fields)[:60]}")
    span, rate_hz = fields.get("span"), fields.get("rate_hz")
    return replace(
        medium,
        span=medium.span if span is None else read_span(span),
        rate_hz=medium.rate_hz if rate_hz is None else read_rate_hz(rate_hz),
    )


def read_span(value: Any) -> Span:
    """`[start_s, end_s]`. Raises BadRow."""
    is_pair = isinstance(value, list | tuple) and len(value) == 2
    if not is_pair or not all(_is_number(number) for number in value):
        raise BadRow(f"a span must be [start_s, end_s], found {describe(value)}")
    start_s, end_s = float(value[0]), float(value[1])
    if not 0 <= start_s < end_s:
        raise BadRow(f"a span must have 0 <= start_s < end_s, found {start_s:g} to {end_s:g}")
    return Span(start_s, end_s)


def read_rate_hz(value: Any) -> float:
    """A rate above 0. Raises BadRow."""
    if not _is_number(value) or value <= 0:
        raise BadRow(f"a rate must be a number above 0, found {describe(value)}")
    return float(value)


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and -1e300 <= value <= 1e300


def _with_target(messages: Sequence[SampleMessage], text: str) -> tuple[SampleMessage, ...]:
    """The messages with `text` as the assistant's last answer; none where it is empty."""
    asked = messages[:-1] if messages[-1].role == "assistant" else messages
    if not asked:
        raise BadRow(f"{OWN_KEY}: 'target' needs a message before it")
    answer = (SampleMessage(role="assistant", parts=(text,)),) if text else ()
    return (*asked, *answer)


def _with_learnt(messages: Sequence[SampleMessage], values: Any) -> tuple[SampleMessage, ...]:
    is_list = isinstance(values, list) and all(v is None or isinstance(v, bool) for v in values)
    if not is_list or len(values) != len(messages):
        raise BadRow(f"{OWN_KEY}: 'learnt' must have true, false or null for each message")
    return tuple(
        replace(message, is_learnt=value) for message, value in zip(messages, values, strict=True)
    )
