"""Axes: from values to places, round numbers to mark on them, and numbers in words.

Pure arithmetic; nothing is drawn here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mmreason.viz.drawing import Anchor


@dataclass(frozen=True, slots=True)
class AxisTick:
    """A marked value."""

    value: float
    text: str
    anchor: Anchor = "middle"
    """Which part of the text stands at the value, along a horizontal axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """The values `low` to `high` along a side of a chart."""

    low: float
    high: float
    ticks: tuple[AxisTick, ...]
    scale: Literal["linear", "log"] = "linear"
    about: str = ""
    """What the values are."""

    def fraction(self, value: float) -> float:
        """0 at `low`, 1 at `high`; values beyond an end stand at it, and an axis without length has
        all its values in the middle.

        Example:
            >>> Axis(low=8, high=32, ticks=(), scale="log").fraction(16)
            0.5
        """
        if self.low == self.high:
            return 0.5
        value = min(max(value, self.low), self.high)
        if self.scale == "log":
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def axis_from_zero(largest: float) -> Axis:
    """From 0 to the first round number that is not below `largest`.

    Example:
        >>> [tick.text for tick in axis_from_zero(0.9).ticks]
        ['0.00', '0.25', '0.50', '0.75', '1.00']
    """
    # Values that are all 0 need an axis too.
    largest = largest if largest > 0 else 1.0
    step = _round_step(0, largest)
    high = math.ceil(largest / step - 1e-9) * step
    values = _multiples(step, 0, high)
    ticks = map(AxisTick, values, format_ticks(values))
    return Axis(low=0.0, high=high, ticks=tuple(ticks))


def doubling_axis(smallest: float, largest: float, about: str) -> Axis:
    """Logarithmic between the powers of two around the values, each of them marked.

    Example:
        >>> [tick.text for tick in doubling_axis(10, 60, "frames").ticks]
        ['8', '16', '32', '64']
    """
    low = math.floor(math.log2(smallest))
    # One doubling at least, so that the axis has a length.
    high = max(low + 1, math.ceil(math.log2(largest)))
    ticks = tuple(AxisTick(2.0**power, f"{2**power:,}") for power in range(low, high + 1))
    return Axis(low=2.0**low, high=2.0**high, ticks=ticks, scale="log", about=about)


def round_ticks(low: float, high: float) -> list[float]:
    """Two to five round numbers inside low..high, which must differ.

    Example:
        >>> round_ticks(3, 103)
        [25.0, 50.0, 75.0, 100.0]
    """
    return _multiples(_round_step(low, high), low, high)


def _multiples(step: float, low: float, high: float) -> list[float]:
    # A billionth of a step is rounding, not another tick.
    start, end = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(start, end + 1)]


def _round_step(low: float, high: float) -> float:
    # Rounded up from a quarter of the range, which leaves two to five ticks.
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    return next(n * power for n in (1, 2, 2.5, 5, 10) if n * power >= rough * (1 - 1e-9))


def format_ticks(values: Sequence[float]) -> list[str]:
    """Texts of the same precision for two ticks or more at even distances.

    Example:
        >>> format_ticks([0.0, 0.5, 1.0])
        ['0.0', '0.5', '1.0']
    """
    step = values[1] - values[0]
    largest = max(abs(v) for v in values)
    if largest >= 1e5 or largest < 1e-3:
        # A zero that is off by rounding would be told as 1e-20.
        return [format_number(v if abs(v) > step / 2 else 0.0) for v in values]
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    # A step such as 0.25 needs one digit more than its power of ten.
    if any(abs(v * 10**digits - round(v * 10**digits)) > 1e-6 for v in values):
        digits += 1
    # Adding 0.0 turns -0.0 into 0.0.
    return [f"{v + 0.0:,.{digits}f}" for v in values]


def format_number(value: float) -> str:
    """A number in about three digits.

    Example:
        >>> [format_number(value) for value in (0.51234, 12_400.4, 2.6e-4)]
        ['0.512', '12,400', '2.6e-4']
    """
    if 1_000 <= abs(value) < 1e6:
        return f"{value:,.0f}"
    text = f"{value:.3g}"
    # Down to 1e-4 the format `g` writes zeros in place of a power.
    if 0 < abs(value) < 1e-3 and "e" not in text:
        digits, _, power = f"{value:.2e}".partition("e")
        text = digits.rstrip("0").rstrip(".") + f"e{power}"
    # "2.6e-04" is written "2.6e-4".
    for long, short in (("e-0", "e-"), ("e+0", "e"), ("e+", "e")):
        text = text.replace(long, short)
    return text
