"""Messages whose content may be a list of typed parts, as OpenAI and Hugging Face take them; and
the steps of plays that `mmreason data navigation` writes.

    {"messages": [{"role": "user", "content": [
        {"type": "video", "video": "a.mp4"}, {"type": "text", "text": "Why?"}]}, ...]}

A part may leave out its file (`{"type": "image"}`): the next of the row's `images` stands there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mmreason.training.data.dialects.conversations import (
    PLURAL,
    SINGULAR,
    truth_of_target,
)
from mmreason.training.data.dialects.media_values import read_media, read_medium
from mmreason.training.data.dialects.placeholders import has_placeholder, place_media, put_first
from mmreason.training.data.dialects.row_errors import BadRow, describe
from mmreason.training.data.dialects.rows import (
    RowContext,
    check_turns,
    make_sample,
    read_learnt,
    read_list,
    read_role,
    read_text,
)
from mmreason.training.data.sample import MediaKind, MediaRef, Sample, SampleMessage
from mmreason.training.rewards import Truth

_KIND_OF_TYPE = {
    "image": "image",
    "image_url": "image",
    "input_image": "image",
    "video": "video",
    "video_url": "video",
    "audio": "audio",
    "audio_url": "audio",
    "input_audio": "audio",
}
_TEXT_TYPES = ("text", "input_text", "output_text")


def read_messages(row: Mapping[str, Any], context: RowContext) -> Sample:
    """Messages of OpenAI and Hugging Face. Raises BadRow."""
    messages = read_typed(row, "messages", context)
    used = {"messages", *PLURAL, *SINGULAR}
    return make_sample(row, context, messages, truth_of_target(messages), used=used)


def read_navigation(row: Mapping[str, Any], context: RowContext) -> Sample:
    """A step of a play: `train` says for each message whether it is learnt. Raises BadRow."""
    messages = read_typed(row, "messages", context)
    train = read_list(row, "train")
    if len(train) != len(messages) or not all(isinstance(value, bool) for value in train):
        raise BadRow(f"'train' must have true or false for each of {len(messages)} messages")
    learnt = [
        replace(message, is_learnt=value) for message, value in zip(messages, train, strict=True)
    ]
    truth = Truth(question=messages[-2].text.strip() if len(messages) > 1 else "")
    kind = read_text(row, "kind", default="")
    return make_sample(
        row, context, learnt, truth, used={"messages", "train", "kind"}, channel=kind
    )


def read_typed(row: Mapping[str, Any], name: str, context: RowContext) -> tuple[SampleMessage, ...]:
    """The messages under `name` with their files: in typed parts, in the places of placeholders, or
    before the first text of the user where neither says a place. Raises BadRow."""
    messages = read_message_list(read_list(row, name), context)
    check_turns(messages)
    return place_row_media(messages, row, context)


def place_row_media(
    messages: Sequence[SampleMessage], row: Mapping[str, Any], context: RowContext
) -> tuple[SampleMessage, ...]:
    """The messages with the files that stand beside them in the row. Raises BadRow."""
    media = read_media(row, PLURAL | SINGULAR, context.root)
    open_places = [part for m in messages for part in m.media if part.paths == _OPEN_PLACE]
    has_places = any(has_placeholder(message.text) for message in messages)
    if open_places:
        if has_places:
            raise BadRow(
                "has both typed parts and placeholders for its files; expected one of them"
            )
        return _fill_open(messages, media)
    if any(message.media for message in messages):
        count = sum(map(len, media.values()))
        if count or has_places:
            what = "placeholders in its texts" if has_places else f"{count} files beside them"
            raise BadRow(f"has files in typed parts and {what}; expected one of them")
        return tuple(messages)
    return place_media(messages, media) if has_places else put_first(messages, media)


def read_message_list(values: Sequence[Any], context: RowContext) -> list[SampleMessage]:
    """Messages of role and content, a text or typed parts. Raises BadRow."""
    messages = []
    for number, value in enumerate(values, start=1):
        if not isinstance(value, dict):
            raise BadRow(f"message {number} must be an object, found {describe(value)}")
        parts = _read_content(value.get("content"), context, number)
        role = read_role(value.get("role"))
        messages.append(SampleMessage(role=role, parts=parts, is_learnt=read_learnt(value)))
    return messages


_OPEN_PLACE = ("",)
"""Path of a part that names no file: the row's lists do."""


def _read_content(content: Any, context: RowContext, number: int) -> tuple[str | MediaRef, ...]:
    if isinstance(content, str):
        return (content,) if content else ()
    if not isinstance(content, list):
        raise BadRow(
            f"message {number} must have a text or a list of parts, found {describe(content)}"
        )
    parts = [_read_part(part, context, number) for part in content]
    return tuple(part for part in parts if part != "")


def _read_part(part: Any, context: RowContext, number: int) -> str | MediaRef:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        raise BadRow(f"a part of message {number} must be an object, found {describe(part)}")
    # Parquet gives a null for each field that another part has.
    fields = {name: value for name, value in part.items() if value is not None}
    kind = fields.get("type") or next((name for name in ("text", *SINGULAR) if name in fields), "")
    if kind in _TEXT_TYPES:
        return read_text(fields, "text")
    if kind not in _KIND_OF_TYPE:
        known = ", ".join(("text", *_KIND_OF_TYPE))
        raise BadRow(f"a part of message {number} has the type {kind!r:.40}; known are {known}")
    medium_kind = _KIND_OF_TYPE[kind]
    names = (kind, medium_kind, "url", "path", "data")
    value = next((fields[name] for name in names if fields.get(name)), None)
    if value is None:
        return MediaRef(kind=MediaKind(medium_kind), paths=_OPEN_PLACE)
    medium = read_medium(value, medium_kind, context.root, kind)
    if "video_end" in fields:
        span_only = {name: fields.get(name) for name in ("video_start", "video_end")}
        medium = read_medium({"path": value} | span_only, medium_kind, context.root, kind)
    return medium


def _fill_open(
    messages: Sequence[SampleMessage], media: Mapping[str, Sequence[MediaRef]]
) -> tuple[SampleMessage, ...]:
    remaining: dict[str, Iterator[MediaRef]] = {kind: iter(v) for kind, v in media.items()}
    places = [part.kind for m in messages for part in m.media if part.paths == _OPEN_PLACE]
    for kind, files in media.items():
        count = places.count(MediaKind(kind))
        if count != len(files):
            raise BadRow(
                f"{count} parts of the type {kind!r} for {len(files)} files; there must be one "
                "for each"
            )
    return tuple(
        replace(
            message,
            parts=tuple(
                next(remaining[part.kind])
                if isinstance(part, MediaRef) and part.paths == _OPEN_PLACE
                else part
                for part in message.parts
            ),
        )
        for message in messages
    )
