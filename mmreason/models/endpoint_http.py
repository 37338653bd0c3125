"""JSON over HTTP with limits and retries: the wire under `endpoint.py`.

A key is sent in one header and found nowhere else: URLs that hold credentials are refused, and
whatever a server sends back is cleaned of the key before anybody reads it. Imports httpx2 at top:
import this module only when an endpoint is wanted.
"""

from __future__ import annotations

import json
import math
import random
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx2

from mmreason.models.deadlines import hold_deadlines, left_s, timeout_until
from mmreason.models.key_cleaning import KeyCleaner
from mmreason.types import UsageError
from mmreason.video.json_input import JsonInputError, parse_json
from mmreason.video.plain_text import show_line

SAID_LIMIT = 200
"""Characters of a server's own words in an error."""

_READ_OF_ERROR = 20_000
"""Characters of a server's own words that are looked at for an error."""
_BUSY = (408, 429)
"""Status codes below 500 that call for another attempt."""
_MOST_PAUSE_S = 1e9
"""Longer waits than this that a server asks for are told as this: about 30 years."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointLimits:
    """How long and how hard to try. Times in seconds."""

    attempts: int = 6
    """Most requests for one reply, the first included."""
    timeout_s: float = 300.0
    """Longest single attempt."""
    total_s: float = 900.0
    """Longest wait for one reply, over all attempts."""
    backoff_s: float = 0.5
    """First pause between attempts; each later one is twice as long."""
    backoff_max_s: float = 30.0
    """Longest pause of our own; a server may ask for a longer one."""
    concurrency: int = 8
    """Most requests at a time."""
    body_bytes: int = 16 * 2**20
    """Largest answer that is read."""

    def __post_init__(self) -> None:
        whole = (self.attempts, self.concurrency, self.body_bytes)
        times = (self.timeout_s, self.total_s, self.backoff_s, self.backoff_max_s)
        if min(whole) < 1 or not all(time_s > 0 for time_s in times):
            raise UsageError(
                "limits of an endpoint must be above 0, got attempts, concurrency, body_bytes = "
                f"{whole} and timeout_s, total_s, backoff_s, backoff_max_s = {times}"
            )


class RequestError(ValueError):
    """A request got no usable answer. One line that names the URL."""

    def __init__(self, message: str, *, status: int | None = None):
        super().__init__(message)
        self.status = status


class _AgainError(Exception):
    """An attempt failed in a way that another may not."""

    def __init__(self, reason: str, *, status: int | None = None, pause_s: float = 0.0):
        super().__init__(reason)
        self.status = status
        self.pause_s = pause_s


def checked_url(url: str) -> str:
    """The base URL without its closing slash. UsageError, which repeats nothing that may be secret,
    for what is none."""
    todo = "give http(s)://host[:port]/path up to and including /v1"
    try:
        url_parts = urlsplit(url.strip())
        port = url_parts.port
    except ValueError as error:
        raise UsageError(f"the URL of the endpoint cannot be read; {todo}") from error
    if url_parts.scheme not in ("http", "https") or not url_parts.hostname:
        raise UsageError(f"the URL of the endpoint has no host; {todo}")
    # The URL stands in errors and reports, so that no secret may be part of it.
    if (
        url_parts.username is not None
        or url_parts.password is not None
        or url_parts.query
        or url_parts.fragment
    ):
        raise UsageError(
            f"the URL of the endpoint at {url_parts.hostname} holds a user, a query or a fragment; "
            f"{todo}, and the key apart from it (api_key, --api-key-file)"
        )
    # People paste the address of the method itself, which requests add to the base.
    path = url_parts.path.rstrip("/").removesuffix("/chat/completions")
    # `urlsplit` takes the brackets off an IPv6 address.
    host = f"[{url_parts.hostname}]" if ":" in url_parts.hostname else url_parts.hostname
    return f"{url_parts.scheme}://{host}{'' if port is None else f':{port}'}{path}"


def is_private(url: str) -> bool:
    """Whether what is sent to the URL cannot be read on the way: https, or this machine."""
    url_parts = urlsplit(url)
    host = url_parts.hostname or ""
    try:
        local = ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    return url_parts.scheme == "https" or local


def checked_key(api_key: str | None) -> str | None:
    """The key without white space around it. UsageError, which does not repeat it, where it
    cannot be sent."""
    if api_key is None:
        return None
    key = api_key.strip()
    # JSON escapes quotes and backslashes: a key with them could not be found in an answer.
    if not key or not key.isascii() or not key.isprintable() or set(key) & set(' "\\'):
        raise UsageError(
            "the API key must be one word of printable ASCII without quotes; nothing was sent"
        )
    return key


class JsonClient:
    """Sends JSON to one base URL and reads JSON objects back. Safe to use from several threads."""

    def __init__(self, base_url: str, *, api_key: str | None, limits: EndpointLimits):
        self.base_url = base_url
        self._limits = limits
        self._cleaner = KeyCleaner(api_key)
        headers = {"Accept": "application/json"}
        if api_key is not None:
            headers["Authorization"] = f"Bearer {api_key}"
        self._client = httpx2.Client(
            headers=headers,
            # Following a redirect could carry the key to another host.
            follow_redirects=False,
            limits=httpx2.Limits(max_connections=limits.concurrency),
        )
        hold_deadlines(self._client)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        limits: EndpointLimits | None = None,
        deadline_s: float = math.inf,
        draw: random.Random,
        stop: threading.Event,
    ) -> dict[str, Any]:
        """One JSON object for one request, its texts without the key, its numbers finite or None.
        RequestError when it cannot be had within the limits and until `deadline_s`, a value of
        `time.monotonic()`.

        Another attempt follows a lost connection, a time-out, and status 408, 429 or 5xx, after an
        exponential pause (its second half drawn from `draw`), or the longer one that the server
        asks for. `stop`, set from another thread, ends the pauses.
        """
        limits = limits or self._limits
        url = f"{self.base_url}/{path}"
        content = None if body is None else json.dumps(body).encode()
        began_s = time.monotonic()
        deadline_s = min(deadline_s, began_s + limits.total_s)
        within = f"within {max(0.0, deadline_s - began_s):.3g} s"
        for attempt in range(1, limits.attempts + 1):
            if left_s(deadline_s) <= 0:
                raise RequestError(f"{url}: no time is left to ask, and nothing was sent")
            ends_s = min(deadline_s, time.monotonic() + limits.timeout_s)
            try:
                return self._once(method, url, content, ends_s)
            except _AgainError as failure:
                pause_s = min(limits.backoff_max_s, limits.backoff_s * 2 ** (attempt - 1))
                # Half is drawn, so that requests that failed together do not come back together.
                pause_s = max(pause_s * (0.5 + 0.5 * draw.random()), failure.pause_s)
                # A pause that would outlast the deadline is not begun.
                late = pause_s >= left_s(deadline_s)
                if attempt < limits.attempts and not late and not stop.wait(pause_s):
                    continue
                waiting = f"; it asks to wait {failure.pause_s:.0f} s" if failure.pause_s else ""
                raise RequestError(
                    f"{url}: {failure}{waiting} (attempt {attempt} of {limits.attempts}, {within})",
                    status=failure.status,
                ) from failure
        raise AssertionError("the last attempt returns or raises")

    @property
    def has_key(self) -> bool:
        """Whether a key is sent."""
        return "Authorization" in self._client.headers

    def clean(self, text: str) -> str:
        """A text without the key, and without parts of it."""
        return self._cleaner.clean_text(text)

    def said(self, text: str) -> str:
        """A server's words made fit for an error: one short line without the key."""
        # Cleaned again, since making one line may join parts of a key that a line break split.
        line = self.clean(show_line(self.clean(text[:_READ_OF_ERROR])))
        return line if len(line) <= SAID_LIMIT else line[:SAID_LIMIT] + "..."

    def _once(self, method: str, url: str, content: bytes | None, ends_s: float) -> dict[str, Any]:
        headers = {} if content is None else {"Content-Type": "application/json"}
        timeout_s = left_s(ends_s)
        try:
            with self._client.stream(
                method, url, content=content, headers=headers, timeout=timeout_until(ends_s)
            ) as response:
                raw = self._read(response, url, ends_s)
        except httpx2.TimeoutException as error:
            raise _AgainError(f"no whole answer within {timeout_s:.3g} s") from error
        except httpx2.TransportError as error:
            what = self.said(str(error)) or type(error).__name__
            raise _AgainError(f"the connection failed ({what})") from error
        except httpx2.DecodingError as error:
            raise RequestError(f"{url}: the answer is not compressed as it says") from error
        return self._json(response, raw, url)

    def _read(self, response: httpx2.Response, url: str, ends_s: float) -> bytes:
        """The body, within the limit as it was sent and as it is unpacked."""
        chunks, size = [], 0
        for chunk in response.iter_bytes():
            # The unpacked size counts too: a small compressed body may unpack to any size.
            size = max(size + len(chunk), response.num_bytes_downloaded)
            if size > self._limits.body_bytes:
                raise RequestError(
                    f"{url}: the answer is larger than {self._limits.body_bytes:,} bytes, the limit"
                )
            if left_s(ends_s) <= 0:  # unpacking takes time without a read
                raise httpx2.ReadTimeout("the deadline has passed")
            chunks.append(chunk)
        return b"".join(chunks)

    def _json(self, response: httpx2.Response, raw: bytes, url: str) -> dict[str, Any]:
        status, text = response.status_code, raw.decode("utf-8", errors="replace")
        if status in _BUSY or status >= 500:
            pause_s = _retry_after_s(response.headers.get("Retry-After"))
            reason = f"status {status}: {self._complaint(text)}"
            raise _AgainError(reason, status=status, pause_s=pause_s)
        if 300 <= status < 400:
            location = self.said(_without_query(response.headers.get("Location", "")))
            raise RequestError(f"{url}: redirects to {location!r}; give that URL", status=status)
        if status != 200:
            hint = "; check the API key" if status in (401, 403) else ""
            raise RequestError(
                f"{url}: status {status}: {self._complaint(text)}{hint}", status=status
            )
        try:
            value = self._parse(text)
        except JsonInputError as error:
            kind = self.said(response.headers.get("Content-Type", "no type"))
            raise RequestError(
                f"{url}: expected JSON, found {kind}: {self.said(text)!r}, which "
                f"{self.said(str(error))}; is this the URL of an OpenAI-compatible server, up to "
                "and including /v1?"
            ) from error
        if not isinstance(value, dict):
            raise RequestError(f"{url}: expected a JSON object, found {self.said(text)!r}")
        return value

    def _parse(self, text: str) -> Any:
        value = parse_json(text, most_bytes=self._limits.body_bytes, odd_numbers_as_null=True)
        return self._cleaner.clean_json(value)

    def _complaint(self, text: str) -> str:
        """What an error answer says: its message where it is JSON as usual, else its start."""
        try:
            value = self._parse(text)
        except JsonInputError:
            return self.said(text) or "no reason given"
        # The message is in `error`, in `error.message`, in `message` or in `detail`.
        for key in ("error", "message", "detail"):
            if isinstance(value, dict) and value.get(key):
                value = value[key]
        return self.said(value if isinstance(value, str) else json.dumps(value))


def _without_query(location: str) -> str:
    """Where a redirect leads, without what may be secret; empty where it cannot be told."""
    try:
        to = urlsplit(location[:_READ_OF_ERROR])
        return f"{to.scheme}://{to.hostname}{to.path}" if to.hostname else to.path
    except ValueError:
        return ""


def _retry_after_s(header: str | None) -> float:
    """Seconds to wait by a Retry-After header, which gives seconds or a date (RFC 9110, 10.2.3).
    0 where it says neither."""
    if header is None:
        return 0.0
    if re.fullmatch("[0-9]+", header.strip()):
        # More than nine digits are beyond any wait, and `float` makes infinity of very many.
        digits = header.strip().lstrip("0")
        return _MOST_PAUSE_S if len(digits) > 9 else float(digits or 0)
    try:
        date = parsedate_to_datetime(header[:100])
        # A date in the zone -0000 comes back without one and means UTC.
        date = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
        return min(_MOST_PAUSE_S, max(0.0, (date - datetime.now(UTC)).total_seconds()))
    except (ValueError, TypeError, IndexError, OverflowError):  # what odd dates raise
        return 0.0
