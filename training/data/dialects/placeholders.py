"""`<image>`, `<video>` and `<audio>` in texts: where the media of a row are shown.

A placeholder is cut out of the text together with one line feed behind it, and its file stands in
its place. Kinds are counted each for itself, over all messages of the row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mmreason.training.data.dialects.row_errors import BadRow
from mmreason.training.data.sample import MediaKind, MediaRef, SampleMessage

PLACEHOLDER = re.compile("<(image|video|audio)>\n?")
_NAMES = {
    MediaKind.VIDEO: "video",
    MediaKind.FRAMES: "video",
    MediaKind.IMAGE: "image",
    MediaKind.AUDIO: "audio",
}
MediaByName = Mapping[str, Sequence[MediaRef]]
"""Files by the word in their placeholder."""


def has_placeholder(text: str) -> bool:
    """Whether a file is to be shown in it."""
    return PLACEHOLDER.search(text) is not None


def place_media(messages: Sequence[SampleMessage], media: MediaByName) -> tuple[SampleMessage, ...]:
    """The messages with their files in the places of the placeholders. Raises BadRow where there
    are more of the one than of the other.

    Example:
        >>> clip = MediaRef(kind=MediaKind.VIDEO, paths=("a.mp4",))
        >>> asked = SampleMessage(role="user", parts=("<video>\\nWhat happens?",))
        >>> place_media([asked], {"video": [clip]})[0].parts[1]
        'What happens?'
    """
    _check_counts(messages, media)
    remaining = {name: iter(files) for name, files in media.items()}
    placed = []
    for message in messages:
        parts: list[str | MediaRef] = []
        for text in message.parts:
            assert isinstance(text, str), text
            start = 0
            for match in PLACEHOLDER.finditer(text):
                parts += [text[start : match.start()], next(remaining[match[1]])]
                start = match.end()
            parts.append(text[start:])
        placed.append(replace(message, parts=_without_empty(parts)))
    return tuple(placed)


def put_first(messages: Sequence[SampleMessage], media: MediaByName) -> tuple[SampleMessage, ...]:
    """All files in front of the first text of the user, videos before images. Raises BadRow without
    such a message."""
    files = [item for name in ("video", "image", "audio") for item in media.get(name, ())]
    index = next((i for i, message in enumerate(messages) if message.role == "user"), None)
    if not files:
        return tuple(messages)
    if index is None:
        raise BadRow(f"has {len(files)} files, and no message of the user to show them in")
    first = replace(messages[index], parts=(*files, *messages[index].parts))
    return (*messages[:index], first, *messages[index + 1 :])


def write_placeholders(message: SampleMessage, behind: str = "\n") -> tuple[str, list[MediaRef]]:
    """Its text with placeholders, and its files in their order. Raises BadRow for a text that holds
    a placeholder of its own, which a program would take for a file.

    Example:
        >>> clip = MediaRef(kind=MediaKind.VIDEO, paths=("a.mp4",))
        >>> write_placeholders(SampleMessage(role="user", parts=(clip, "Why?")))[0]
        '<video>\\nWhy?'
    """
    text, files = "", []
    for item in message.parts:
        if isinstance(item, MediaRef):
            text += f"<{_NAMES[item.kind]}>{behind}"
            files.append(item)
        elif match := PLACEHOLDER.search(item):
            raise BadRow(f"a text holds <{match[1]}>, which stands for a file there")
        else:
            text += item
    return text, files


def name_of(medium: MediaRef) -> str:
    """The word in its placeholder."""
    return _NAMES[medium.kind]


def _check_counts(messages: Sequence[SampleMessage], media: MediaByName) -> None:
    found = [match[1] for message in messages for match in PLACEHOLDER.finditer(message.text)]
    for name in ("video", "image", "audio"):
        places, files = found.count(name), len(media.get(name, ()))
        if places != files:
            files_text = f"{files} file{'' if files == 1 else 's'}"
            places_text = f"{places} placeholder{'' if places == 1 else 's'} <{name}>"
            raise BadRow(f"{places_text} for {files_text}; there must be one for each")


def _without_empty(parts: Sequence[str | MediaRef]) -> tuple[str | MediaRef, ...]:
    return tuple(item for item in parts if item != "")
