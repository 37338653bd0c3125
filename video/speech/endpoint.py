"""A recogniser behind OpenAI's `/audio/transcriptions`, on a server of one's own or another's.

The sound of each window is sent as a wav file. The key goes to the host that was named, in one
header, and nowhere else: redirects are not followed. What comes back is read within limits.
"""

from __future__ import annotations

import io
import math
import time
import wave
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from mmreason.video.audio.samples import AudioSamples
from mmreason.video.json_input import JsonInputError, parse_json
from mmreason.video.plain_text import show_line
from mmreason.video.speech.recogniser import RecogniserError, make_key
from mmreason.video.speech.transcript import Segment, Word
from mmreason.video.types import Span

if TYPE_CHECKING:
    import httpx2

_ATTEMPTS = 4
_PAUSE_S = 0.5
_TIMEOUT_S = 300.0
_MOST_BYTES = 8 * 2**20
_MOST_ITEMS = 20_000
"""Words or segments of one answer."""
_SAID = 200
"""Characters of a server's own words in an error."""
_PATH = "/audio/transcriptions"
_CODES = {"english": "en", "german": "de", "french": "fr", "spanish": "es", "italian": "it"}
"""Servers name languages as Whisper does; others are told as they are named."""


class EndpointRecogniser:
    """A server's recogniser. Not told apart from it: what it answers is believed as its words."""

    window_s = 28.0
    languages: tuple[str, ...] = ()
    has_word_times = False
    """Whether a server gives times of words is known from its answer alone: stretches of speech are
    sent one by one, so that without them each line still has its own time."""

    def __init__(
        self,
        url: str,
        *,
        model: str,
        api_key: str | None = None,
        hotwords: Sequence[str] = (),
        language: str | None = None,
    ) -> None:
        """`url` up to and including `/v1`. Nothing is sent yet. Raises RecogniserError."""
        import httpx2

        self._url, self._key = checked_url(url), api_key.strip() if api_key else None
        if self._key and not _is_private(self._url):
            raise RecogniserError(
                f"{self._url}: the key would be sent in the clear; give an https URL"
            )
        if self._key and not (self._key.isascii() and self._key.isprintable()):
            raise RecogniserError("the API key must be printable ASCII; nothing was sent")
        self._model, self._hotwords, self._language = model, tuple(hotwords), language
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        # Following a redirect could carry the key to another host.
        self._client = httpx2.Client(headers=headers, follow_redirects=False, timeout=_TIMEOUT_S)

    @property
    def name(self) -> str:
        """See `Recogniser`."""
        return self._model

    @property
    def key(self) -> str:
        """See `Recogniser`."""
        settings = {"hotwords": self._hotwords, "language": self._language, "url": self._url}
        return make_key(f"endpoint {self._model}", settings)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def recognise(self, samples: AudioSamples) -> tuple[Segment, ...]:
        """See `Recogniser`."""
        fields: dict[str, Any] = {
            "model": self._model,
            "response_format": "verbose_json",
            "timestamp_granularities[]": ["word", "segment"],
            "temperature": "0",
        }
        if self._language:
            fields["language"] = self._language
        if self._hotwords:
            fields["prompt"] = ", ".join(self._hotwords)
        return read_answer(self._send(fields, encode_wav(samples)), samples)

    def _send(self, fields: Mapping[str, Any], sound: bytes) -> Mapping[str, Any]:
        import httpx2

        reason = ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_PAUSE_S * 2 ** (attempt - 1))
            try:
                with self._client.stream(
                    "POST",
                    self._url + _PATH,
                    data=dict(fields),
                    files={"file": ("window.wav", sound, "audio/wav")},
                ) as response:
                    body = self._read(response)
            except httpx2.HTTPError as error:
                reason = f"the connection failed ({self._said(str(error).encode())})"
                continue
            if response.status_code == 429 or response.status_code >= 500:
                reason = f"status {response.status_code}: {self._said(body)}"
                continue
            if response.status_code != 200:
                raise RecogniserError(
                    f"{self._url}{_PATH}: status {response.status_code}: {self._said(body)}"
                )
            return self._parse(body)
        raise RecogniserError(f"{self._url}{_PATH}: {reason} ({_ATTEMPTS} attempts)")

    def _read(self, response: httpx2.Response) -> bytes:
        chunks, size = [], 0
        for chunk in response.iter_bytes():
            size += len(chunk)
            # The unpacked size counts: a small compressed body may unpack to any size.
            if size > _MOST_BYTES:
                raise RecogniserError(
                    f"{self._url}: the answer is larger than {_MOST_BYTES:,} bytes, the limit"
                )
            chunks.append(chunk)
        return b"".join(chunks)

    def _parse(self, body: bytes) -> Mapping[str, Any]:
        try:
            value = parse_json(body, most_bytes=_MOST_BYTES, odd_numbers_as_null=True)
        except JsonInputError as error:
            quote = self._said(body)
            raise RecogniserError(f"{self._url}{_PATH}: expected JSON, found {quote!r}") from error
        if not isinstance(value, dict):
            raise RecogniserError(f"{self._url}{_PATH}: expected a JSON object")
        return value

    def _said(self, body: bytes) -> str:
        """A server's words on one short line, without the key."""
        line = show_line(body[:20_000].decode(errors="replace"))
        return (line.replace(self._key, "[key]") if self._key else line)[:_SAID]


def checked_url(url: str) -> str:
    """The base URL without its closing slash. Raises RecogniserError, which repeats nothing that
    may be secret.

    Example:
        >>> checked_url("http://localhost:8000/v1/")
        'http://localhost:8000/v1'
    """
    try:
        parsed = urlsplit(url.strip())
        is_plain = bool(parsed.hostname) and not (
            parsed.username or parsed.query or parsed.fragment
        )
    except ValueError:
        is_plain = False
    if not is_plain:
        raise RecogniserError(
            "the URL of the recogniser cannot be used: give http(s)://host[:port]/path up to and "
            "including /v1, without a user or a query, and the key apart from it"
        )
    return url.strip().rstrip("/").removesuffix(_PATH)


def _is_private(url: str) -> bool:
    """Whether what is sent cannot be read on the way: https, or this machine."""
    host = urlsplit(url).hostname or ""
    try:
        is_here = ip_address(host).is_loopback
    except ValueError:
        is_here = host == "localhost"
    return url.startswith("https://") or is_here


def encode_wav(samples: AudioSamples) -> bytes:
    """A wav file of 16 bits."""
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(samples.rate_hz)
        file.writeframes((np.clip(samples.samples, -1, 1) * 32767).astype("<i2").tobytes())
    return data.getvalue()


def read_answer(value: Mapping[str, Any], samples: AudioSamples) -> tuple[Segment, ...]:
    """Segments of a `verbose_json` answer, on the clock of `samples` and inside them; an answer
    that is text alone is one segment.

    Example:
        >>> sound = AudioSamples(samples=np.zeros(32_000, np.float32), rate_hz=16_000, start_s=10.0)
        >>> read_answer({"text": "Hello."}, sound)[0].span
        Span(start_s=10.0, end_s=12.0)
    """
    named = str(value.get("language") or "").lower()[:40]
    language = _CODES.get(named, show_line(named))
    words = [
        Word(span, text)
        for item in _items(value, "words")
        if (text := show_line(str(item.get("word", "")))[:200]) and (span := _span(item, samples))
    ]
    segments = []
    for item in _items(value, "segments"):
        text, span = show_line(str(item.get("text", "")))[:5000], _span(item, samples)
        if text and span is not None:
            inside = tuple(word for word in words if span.contains(word.span.middle_s))
            segments.append(
                Segment(span, text, inside, confidence=_confidence(item), language=language)
            )
    text = show_line(str(value.get("text") or ""))[:20_000]
    if not segments and text:
        segments = [Segment(samples.span, text, tuple(words), language=language)]
    return tuple(segments)


def _items(value: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    items = value.get(key)
    rows = items[:_MOST_ITEMS] if isinstance(items, list) else []
    return [item for item in rows if isinstance(item, dict)]


def _span(item: Mapping[str, Any], samples: AudioSamples) -> Span | None:
    start, end = _number(item.get("start")), _number(item.get("end"))
    if start is None or end is None or end < start:
        return None
    return Span(samples.start_s + start, samples.start_s + end).clip(samples.span)


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # An integer of JSON may be longer than any float.
    return float(value) if is_number and abs(value) < 1e9 else None


def _confidence(item: Mapping[str, Any]) -> float | None:
    log_probability = _number(item.get("avg_logprob"))
    if log_probability is None or log_probability > 0:
        return None
    return round(math.exp(max(-30.0, log_probability)), 4)
