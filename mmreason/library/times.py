"""Times and dates as people type them."""

from __future__ import annotations

import re
from datetime import datetime

from mmreason.types import UsageError

_CLOCK = re.compile(r"(?:(\d{1,4}):)?(\d{1,4}):(\d{1,2}(?:\.\d+)?)")
_SECONDS = re.compile(r"(\d{1,9}(?:\.\d+)?)s?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?)?")


def read_time_or_date(text: str, option: str) -> float | datetime:
    """Seconds of `90`, `90s`, `1:30` or `1:02:05.5`; a local date of `2026-11-30` or
    `2026-11-30T14:30`. UsageError that names `option` for what is neither.

    Example:
        >>> read_time_or_date("1:02:05.5", "--since"), read_time_or_date("2026-11-30", "--since")
        (3725.5, datetime.datetime(2026, 11, 30, 0, 0))
    """
    if match := _CLOCK.fullmatch(text):
        hours, minutes, seconds = match.groups()
        return 3600.0 * int(hours or 0) + 60.0 * int(minutes) + float(seconds)
    if match := _SECONDS.fullmatch(text):
        return float(match[1])
    if _DATE.fullmatch(text):
        try:
            return datetime.fromisoformat(text)
        except ValueError as error:
            raise UsageError(f"{option} {text}: {error}") from error
    raise UsageError(
        f"{option} takes a time (90, 1:30, 1:02:05) or a date (2026-11-30), got {text[:100]!r}"
    )
