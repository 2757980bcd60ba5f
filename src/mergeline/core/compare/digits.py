"""The digits of a difference: as many as its uncertainty allows.

The last digit shown is that of the interval's half width, rounded by the rule of the Particle Data
Group (two digits of it if it starts with 100 to 354, else one). More digits are shown if rounding
would hide on which side of zero or of a margin an end lies. Numbers without an interval get enough
digits to differ from their neighbour.
"""

from __future__ import annotations

import itertools
import math

from mergeline.core.compare.result import Difference, Measured
from mergeline.core.numbers import (
    EXACT_DIGITS,
    NOISE,
    exponent,
    fixed,
    number,
    places_beside,
    side,
)


def _decimals_on_side(difference: Difference, half: float, margin: float | None) -> int:
    """The last digit worth showing; more if a number would cross zero or the margin by rounding."""
    power = exponent(half)
    least = -power + 1 if half / 10.0**power < 3.55 else -power
    for places in range(least, least + EXACT_DIGITS):
        if _sides_kept(difference, half, places, margin or 0.0):
            return places
    return least + 2


def _sides_kept(difference: Difference, half: float, places: int, margin: float) -> bool:
    """Whether the printed numbers are on the same sides of zero and the margin as the true ones."""
    ends = (difference.low or 0.0, difference.high or 0.0)
    estimate, grain = difference.estimate or 0.0, 1e-9 * half
    middle, around = round(estimate, places), round(half, places)
    shown = (middle - around, middle + around)
    if _uneven(difference, half):
        shown = (round(ends[0], places), round(ends[1], places))
    pairs = [(end, true, 0.0) for end, true in zip(shown, ends, strict=True) if true]
    for bar in (-margin, margin) if margin else ():
        pairs += [(end, true, bar) for end, true in zip(shown, ends, strict=True)]
        pairs.append((middle, estimate, bar))
    return all(side(end, bar, grain) == side(true, bar, grain) for end, true, bar in pairs)


def _uneven(difference: Difference, half: float) -> bool:
    """Whether the estimate is off the middle of its interval."""
    low, high = difference.low or 0.0, difference.high or 0.0
    return abs((high + low) / 2 - (difference.estimate or 0.0)) > 0.15 * half


def decimals(*values: float | None, difference: Difference | None) -> int | None:
    """The decimals for numbers that stand side by side; None if each is shown by itself."""
    known = sorted({value for value in values if value is not None and math.isfinite(value)})
    noise = NOISE * max(map(abs, known), default=0.0)
    if difference is not None and (half := half_width(difference) or 0.0) > noise:
        return _decimals_on_side(difference, half, difference.margin)
    apart = [high - low for low, high in itertools.pairwise(known) if high - low > noise]
    return 1 - exponent(min(apart)) if apart else None


def half_width(difference: Difference) -> float | None:
    """Half of the interval's width; None if there is no interval."""
    low, high = difference.low, difference.high
    if low is None or high is None or not math.isfinite(high - low):
        return None
    return (high - low) / 2


def measured(value: Measured | None, places: int | None) -> str:
    """A cell of a table: the number, or why there is none."""
    if value is None:
        return "—"
    if value.value is not None:
        return number(value.value) if places is None else fixed(value.value, places)
    return {"nan": "NaN", "infinite": "∞", "unscored": "not scored", "": "absent"}.get(
        value.absent, value.absent
    )


def change(difference: Difference | None, margin: float | None = None) -> str:
    """`+0.009 ± 0.003`; with both ends if the estimate is off the middle of the interval.

    The margin is what it is held against; None: the difference's own.
    """
    if difference is None or difference.estimate is None:
        return "—"
    estimate, half = difference.estimate, half_width(difference)
    margin = difference.margin if margin is None else margin
    if half is None or half <= NOISE * abs(estimate):
        if not estimate or not math.isfinite(estimate):
            return "0" if half is not None and not estimate else fixed(estimate, 0, signed=True)
        bars = (-margin, margin) if margin else ()
        return fixed(estimate, places_beside(estimate, bars, 2), signed=True)
    places = _decimals_on_side(difference, half, margin)
    shown = fixed(estimate, places, signed=True)
    if _uneven(difference, half):
        low, high = (
            fixed(end or 0.0, places, signed=True) for end in (difference.low, difference.high)
        )
        return f"{shown} ({low} to {high})"
    return f"{shown} ± {fixed(half, places)}"
