"""What a server was found to take and not to take, as it is asked: refused fields, tools, thoughts,
its context.

One record a connection, shared by the threads that ask and by copies of the model. All that it
learns is a note that can be read on the model.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from mmreason.models.endpoint_http import RequestError

_OTHERWISE = {
    "logprobs": None,
    "seed": None,
    "temperature": None,
    "max_tokens": "max_completion_tokens",
    "mm_processor_kwargs": None,
    "media_io_kwargs": None,
    "stop": None,
}
"""Fields that some servers refuse, and what takes their place."""

_WITHOUT = {
    "temperature": ": it samples as it likes, and answers may differ from run to run",
    "mm_processor_kwargs": ": it may drop frames of a clip",
    "media_io_kwargs": ": it may drop frames of a clip",
    "stop": ": it writes on, and its replies are cut here",
}
"""What leaving a field out means, where that is not plain."""

_REFUSAL = re.compile(
    r"unsupported|unexpected|unknown|unrecogni[sz]ed|not (?:supported|allowed|permitted)",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(
    r"context[ _](?:length|window|size)|max_model_len|maximum model length"
    r"|(?:prompt|input|request)\b.{0,20}\btoo (?:long|large)|too many (?:tokens|images)"
    r"|at most \d+ (?:image|video)",
    re.IGNORECASE,
)
_CONTEXT = re.compile(
    r"(?:maximum )?(?:context|model)[ _](?:length|window|size|len)(?: limit)?"
    r"(?: is| of|:| \()?\s*(\d{3,8})(?!\d)|> (\d{3,8}) maximum",
    re.IGNORECASE,
)
_MOST_IMAGES = re.compile(r"at most (\d{1,5}) (?:image|video)", re.IGNORECASE)
_TOOLS = re.compile(
    r"\btool(?:s|_choice|_calls?|-call-parser)?\b|function[ _-]?call", re.IGNORECASE
)

_TOO_LONG_STATUS = (400, 413, 422)
_NO_TOOLS_STATUS = (400, 404, 405, 422, 501)


class ServerTraits:
    """What is known of a server; safe to use from several threads."""

    def __init__(
        self,
        *,
        takes_no: Iterable[str] = (),
        thinks: bool,
        context_tokens: int | None = None,
        notes: Iterable[str] = (),
    ):
        """`takes_no` are fields that are known to be refused; `context_tokens` is what the server
        says of itself, None where it says nothing."""
        self._lock = threading.Lock()
        self._notes = dict.fromkeys(notes)
        self._refused = frozenset(takes_no)
        self.takes_tools = True
        """Until the server refuses them."""
        self.has_called_tools = False
        """Whether it was seen to call one, so that it does take them."""
        self.thinks = thinks
        self.context_tokens = context_tokens
        self.most_images: int | None = None
        self._tokens_ratio: float | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """All that was noted, in order."""
        with self._lock:
            return tuple(self._notes)

    def note(self, *notes: str) -> None:
        """Remember what users should know."""
        with self._lock:
            self._notes |= dict.fromkeys(notes)

    def without_refused(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The body with no field that the server refuses, and other names where it wants others."""
        names = {key: _OTHERWISE.get(key) if key in self._refused else key for key in body}
        return {name: body[key] for key, name in names.items() if name is not None}

    def learn_refused_field(
        self, error: RequestError, sent: Mapping[str, Any], required: Collection[str]
    ) -> bool:
        """Whether a field was refused that is left out from now on, or sent by another name. Those
        that a user asked for are `required`."""
        if error.status == 500 and "stop" in sent:
            # `transformers serve` falls over it in place of refusing it.
            field = "stop"
        elif error.status in (400, 422):
            field = refused_field(str(error), [name for name in _OTHERWISE if name in sent])
        else:
            return False
        # What the user asked for is never left out without a word: the refusal is told.
        if field is None or field in required:
            return False
        instead = _OTHERWISE[field]
        done = "left out" if instead is None else f"sent as {instead}"
        done += _WITHOUT.get(field, "")
        with self._lock:
            self._refused |= {field}
        self.note(f"the server refuses {field!r}, which is {done}")
        return True

    def learn_limits(self, error: RequestError) -> bool:
        """Whether a request was refused for its length or the number of its pictures. What the
        server says of its limit is kept."""
        words = str(error)
        if error.status not in _TOO_LONG_STATUS or not says_too_long(words):
            return False
        if (most_images := _MOST_IMAGES.search(words)) is not None:
            self.most_images = int(most_images[1])
        elif (context := _CONTEXT.search(words)) is not None:
            self.context_tokens = int(context[1] or context[2])
        return True

    def has_too_many_images(self, count: int) -> bool:
        """Whether the server has said that it takes fewer."""
        return self.most_images is not None and count > self.most_images

    def drop_tools(self, reason: str) -> None:
        """Tools are described in words from now on."""
        self.takes_tools = False
        self.note(f"the server takes no tools ({reason}): they are described to it in words")

    def learn_tokens(self, counted: int, estimated: int) -> None:
        """How many tokens the server counts where we estimate so many: its family's own measure."""
        if estimated > 0 and counted > 0:
            with self._lock:
                # The largest ratio so far, since a request that is too long fails as a whole.
                self._tokens_ratio = max(self._tokens_ratio or 0.0, counted / estimated)

    def expect_tokens(self, estimated: int) -> int | None:
        """The tokens that the server will count; None before it has counted any."""
        ratio = self._tokens_ratio
        return None if ratio is None else math.ceil(ratio * estimated)


def says_too_long(complaint: str) -> bool:
    """Whether a server refuses a request for its length or its number of pictures."""
    return _TOO_LONG.search(complaint) is not None


def may_refuse_tools(error: RequestError) -> bool:
    """Whether a failed request with tools may succeed without them: the server names them, or falls
    over something it does not name."""
    if (error.status or 0) >= 500 and error.status != 501:
        return True
    return error.status in _NO_TOOLS_STATUS and _TOOLS.search(str(error)) is not None


def refused_field(complaint: str, fields: Collection[str]) -> str | None:
    """Which of `fields` a server says it does not take, or None.

    Example:
        >>> refused_field("unknown field: seed", ["logprobs", "seed"])
        'seed'
    """
    if not _REFUSAL.search(complaint):
        return None
    return next((field for field in fields if re.search(rf"\b{field}\b", complaint)), None)
