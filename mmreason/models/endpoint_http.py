"""JSON over HTTP with limits and retries: the wire under `endpoint.py`.

A key is sent in one header and found nowhere else: URLs that hold credentials are refused, and
what a server says is cleaned of the key before it becomes part of an error. Leaves out what the
JSON means. Imports httpx2 at top: import this module only when an endpoint is wanted.
"""

from __future__ import annotations

import json
import random
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

from mmreason.types import UsageError

SAID_LIMIT = 200
"""Characters of a server's own words in an error."""

_BUSY = (408, 429)
"""Status codes below 500 that call for another attempt."""


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
        if min(whole) < 1 or not min(times) > 0:
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
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise UsageError(f"the URL of the endpoint cannot be read; {todo}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"the URL of the endpoint has no host; {todo}")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise UsageError(
            f"the URL of the endpoint at {parts.hostname} holds a user, a query or a fragment; "
            f"{todo}, and the key apart from it (api_key, --api-key-file)"
        )
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{path}"


def is_private(url: str) -> bool:
    """Whether what is sent to the URL cannot be read on the way: https, or this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        local = ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    return parts.scheme == "https" or local


def checked_key(api_key: str | None) -> str | None:
    """The key without white space around it. UsageError, which does not repeat it, where it
    cannot be sent."""
    if api_key is None:
        return None
    key = api_key.strip()
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
        self._key = api_key
        headers = {"Accept": "application/json"}
        if api_key is not None:
            headers["Authorization"] = f"Bearer {api_key}"
        self._client = httpx2.Client(
            headers=headers,
            follow_redirects=False,
            limits=httpx2.Limits(max_connections=limits.concurrency),
        )

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
        draw: random.Random,
        stop: threading.Event,
    ) -> dict[str, Any]:
        """One JSON object for one request. RequestError when it cannot be had within the limits.

        Another attempt follows a lost connection, a time-out, and status 408, 429 or 5xx, after an
        exponential pause (its second half drawn from `draw`), or the longer one that the server
        asks for. `stop`, set from another thread, ends the pauses.
        """
        limits = limits or self._limits
        url = f"{self.base_url}/{path}"
        content = None if body is None else json.dumps(body).encode()
        deadline = time.monotonic() + limits.total_s
        for attempt in range(1, limits.attempts + 1):
            try:
                return self._once(method, url, content, min(limits.timeout_s, _left_s(deadline)))
            except _AgainError as failure:
                pause_s = min(limits.backoff_max_s, limits.backoff_s * 2 ** (attempt - 1))
                pause_s = max(pause_s * (0.5 + 0.5 * draw.random()), failure.pause_s)
                late = pause_s >= _left_s(deadline)
                if attempt < limits.attempts and not late and not stop.wait(pause_s):
                    continue
                waiting = f"; it asks to wait {failure.pause_s:.0f} s" if failure.pause_s else ""
                raise RequestError(
                    f"{url}: {failure}{waiting} (attempt {attempt} of {limits.attempts}, "
                    f"within {limits.total_s:g} s)",
                    status=failure.status,
                ) from failure
        raise AssertionError("the last attempt returns or raises")

    def said(self, text: str) -> str:
        """A server's words made fit for an error: one short line without the key."""
        line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        if self._key is not None:
            line = line.replace(self._key, "[key]")
        return line if len(line) <= SAID_LIMIT else line[:SAID_LIMIT] + "..."

    def _once(
        self, method: str, url: str, content: bytes | None, timeout_s: float
    ) -> dict[str, Any]:
        ends = time.monotonic() + timeout_s
        headers = {} if content is None else {"Content-Type": "application/json"}
        try:
            with self._client.stream(
                method, url, content=content, headers=headers, timeout=timeout_s
            ) as response:
                raw = self._read(response, url, ends, timeout_s)
        except httpx2.TimeoutException as error:
            raise _AgainError(f"no answer within {timeout_s:.3g} s") from error
        except httpx2.TransportError as error:
            what = self.said(str(error)) or type(error).__name__
            raise _AgainError(f"the connection failed ({what})") from error
        except httpx2.DecodingError as error:
            raise RequestError(f"{url}: the answer is not compressed as it says") from error
        return self._json(response, raw, url)

    def _read(self, response: httpx2.Response, url: str, ends: float, timeout_s: float) -> bytes:
        """The body. The time-out of the HTTP library starts anew with each piece, this one not."""
        chunks, size = [], 0
        for chunk in response.iter_bytes():
            size += len(chunk)
            if size > self._limits.body_bytes:
                raise RequestError(
                    f"{url}: the answer is larger than {self._limits.body_bytes:,} bytes, the limit"
                )
            if time.monotonic() > ends:
                raise _AgainError(f"no whole answer within {timeout_s:.3g} s")
            chunks.append(chunk)
        return b"".join(chunks)

    def _json(self, response: httpx2.Response, raw: bytes, url: str) -> dict[str, Any]:
        status, text = response.status_code, raw.decode("utf-8", errors="replace")
        if status in _BUSY or status >= 500:
            pause_s = _retry_after_s(response.headers.get("Retry-After"))
            reason = f"status {status}: {self._complaint(text)}"
            raise _AgainError(reason, status=status, pause_s=pause_s)
        if 300 <= status < 400:
            to = urlsplit(response.headers.get("Location", ""))
            found = self.said(f"{to.scheme}://{to.hostname}{to.path}" if to.hostname else to.path)
            raise RequestError(f"{url}: redirects to {found!r}; give that URL", status=status)
        if status != 200:
            hint = "; check the API key" if status in (401, 403) else ""
            raise RequestError(
                f"{url}: status {status}: {self._complaint(text)}{hint}", status=status
            )
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            kind = self.said(response.headers.get("Content-Type", "no type"))
            raise RequestError(
                f"{url}: expected JSON, found {kind}: {self.said(text)!r}; is this the URL of an "
                "OpenAI-compatible server, up to and including /v1?"
            ) from error
        if not isinstance(value, dict):
            raise RequestError(f"{url}: expected a JSON object, found {self.said(text)!r}")
        return value

    def _complaint(self, text: str) -> str:
        """What an error answer says: its message where it is JSON as usual, else its start."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return self.said(text) or "no reason given"
        for key in ("error", "message", "detail"):
            if isinstance(value, dict) and value.get(key):
                value = value[key]
        return self.said(value if isinstance(value, str) else json.dumps(value))


def _left_s(deadline: float) -> float:
    return max(1e-3, deadline - time.monotonic())


def _retry_after_s(header: str | None) -> float:
    """Seconds to wait by a Retry-After header, which gives seconds or a date (RFC 9110, 10.2.3)."""
    if header is None:
        return 0.0
    try:
        return max(0.0, float(int(header)))
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    date = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())
