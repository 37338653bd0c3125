"""Timecode: frames counted as hours, minutes, seconds and frames (SMPTE 12M). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from mmreason.types import UsageError

_RATES = {
    Fraction(24000, 1001): (24, False),
    Fraction(24): (24, False),
    Fraction(25): (25, False),
    Fraction(30000, 1001): (30, True),
    Fraction(30): (30, False),
    Fraction(48): (48, False),
    Fraction(50): (50, False),
    Fraction(60000, 1001): (60, True),
    Fraction(60): (60, False),
}
"""Frames a second, with the frames that are counted in one and whether numbers are dropped."""
_NEAR = 0.004
"""How far a measured rate may be from one of these, as a share: 29.9 is 29.97, 28 is none."""


@dataclass(frozen=True, slots=True)
class FrameRate:
    """A rate of timecode.

    Example:
        >>> rate = find_frame_rate(29.97)
        >>> rate.counted, rate.is_drop, rate.to_timecode(1800)
        (30, True, '00:01:00;02')
    """

    exact_hz: Fraction
    counted: int
    """Frames that a second of timecode counts."""
    is_drop: bool
    """Whether numbers of frames are left out, so that timecode keeps up with the clock."""

    def to_frames(self, time_s: float) -> int:
        """The number of the frame at `time_s`, to the nearest."""
        return round(Fraction(time_s) * self.exact_hz)

    def to_timecode(self, frames: int) -> str:
        """`HH:MM:SS:FF`, with a semicolon before the frames where numbers are dropped; a day at
        most, then it starts anew."""
        if self.is_drop:
            # Two (of 60: four) numbers are left out each minute but every tenth.
            dropped = self.counted // 15
            ten_minutes = 600 * self.counted - 9 * dropped
            tens, inside = divmod(frames, ten_minutes)
            frames += 9 * dropped * tens
            if inside >= 60 * self.counted:
                a_minute = 60 * self.counted - dropped
                frames += dropped * (1 + (inside - 60 * self.counted) // a_minute)
        seconds, number = divmod(frames, self.counted)
        hours, minutes = seconds // 3600 % 24, seconds // 60 % 60
        mark = ";" if self.is_drop else ":"
        return f"{hours:02d}:{minutes:02d}:{seconds % 60:02d}{mark}{number:02d}"


def find_frame_rate(fps_hz: float) -> FrameRate:
    """The rate of timecode nearest to `fps_hz`. Raises UsageError where none is near.

    Example:
        >>> find_frame_rate(23.976).exact_hz
        Fraction(24000, 1001)
    """
    exact_hz = min(_RATES, key=lambda rate: abs(float(rate) - fps_hz))
    if not fps_hz > 0 or abs(float(exact_hz) - fps_hz) > _NEAR * fps_hz:
        known = ", ".join(f"{float(rate):.5g}" for rate in _RATES)
        raise UsageError(
            f"timecode counts {known} frames a second; {fps_hz:g} is none of these: give the rate "
            "of the project that the list is for"
        )
    counted, is_drop = _RATES[exact_hz]
    return FrameRate(exact_hz, counted, is_drop)
