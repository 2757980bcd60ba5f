"""Numbers as a person reads them: no more digits than their uncertainty allows, never fewer.

The last digit shown is that of the interval's half width, rounded as the Particle Data Group does
(two digits of it where it starts with 100 to 354, else one), and more where rounding would hide on
which side of zero or of a margin an end lies. A number without interval shows what tells it from
its neighbour. A true minus sign, so that a column of changes reads well.
"""

from __future__ import annotations

import itertools
import math

from mergeline.core.comparison import Difference, Measured

_FIXED = 6  # decimals beyond which a small number is written with an exponent
_HUGE = 1e15
_EXACT = 17  # significant digits that tell any two floats apart
_NOISE = 1e-15  # of a number's size: what its last bits may be off by


def number(value: float | None, digits: int = 3) -> str:
    """A number on its own, to so many significant digits."""
    if value is None:
        return "—"
    if not math.isfinite(value) or value == 0:
        return fixed(value, 0)
    if float(value).is_integer() and abs(value) < _HUGE:
        return fixed(value, 0)
    return fixed(value, _places(value, digits))


def beside(value: float, bar: float, digits: int = 4) -> str:
    """A number held against a bar: as printed, too, it is on the side of it that it is on."""
    if not math.isfinite(value) or not value:
        return number(value, digits)
    places = _places_beside(value, (bar,), digits)
    return number(value, digits) if places == _places(value, digits) else fixed(value, places)


def _places_beside(value: float, bars: tuple[float, ...], digits: int) -> int:
    least = _places(value, digits)
    for places in range(least, least + _EXACT):
        shown = round(value, places)
        if all(_side(shown, bar) == _side(value, bar) for bar in bars):
            return places
    return least


def given(value: float) -> str:
    """A number that a person wrote, as short as they would write it."""
    if not math.isfinite(value):
        return fixed(value, 0)
    mantissa, _, power = f"{value + 0.0:,.15g}".partition("e")
    return mantissa.replace("-", "−") + (f"e{int(power)}" if power else "")


def fixed(value: float, decimals: int, *, signed: bool = False) -> str:
    """A number to its n-th decimal; with an exponent where the plain form would be zeros."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "−∞" if value < 0 else "+∞" if signed else "∞"
    small = decimals > _FIXED and 0 < abs(value) < 1e-3
    if small or abs(value) >= _HUGE:
        digits = min(max(0, decimals + exponent(value)), _EXACT - 1)
        text = _with_exponent(value, digits)
    else:
        most = max(_FIXED, _EXACT - 1 - exponent(value)) if value else _FIXED
        text = f"{round(value, decimals):,.{min(max(decimals, 0), most)}f}"
    minus = text.startswith("-")
    text = text.lstrip("-")
    if not any(digit in text for digit in "123456789"):
        return text
    return f"{'−' if minus else '+' if signed else ''}{text}"


def exponent(value: float) -> int:
    """Power of ten of the first significant digit; of a number that is not 0."""
    return math.floor(math.log10(abs(value)))


def decimals_of(half_width: float) -> int:
    """The decimal that a number with this uncertainty is worth showing to."""
    power = exponent(half_width)
    return -power + 1 if half_width / 10.0**power < 3.55 else -power


def _decimals_told(difference: Difference, half: float, margin: float | None) -> int:
    """As `decimals_of`, and more where rounding would move something across zero or the margin."""
    least = decimals_of(half)
    for places in range(least, least + _EXACT):
        if _agrees(difference, half, places, margin or 0.0):
            return places
    return least + 2


def _agrees(difference: Difference, half: float, places: int, margin: float) -> bool:
    """Whether the numbers as printed lie where the true ones do."""
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
    return all(_side(end, bar, grain) == _side(true, bar, grain) for end, true, bar in pairs)


def _uneven(difference: Difference, half: float) -> bool:
    """Whether the estimate is not in the middle of its interval."""
    low, high = difference.low or 0.0, difference.high or 0.0
    return abs((high + low) / 2 - (difference.estimate or 0.0)) > 0.15 * half


def _side(value: float, bar: float, grain: float = 0.0) -> int:
    """−1, 0 or 1: below the bar, on it, above."""
    return (value - bar > grain) - (value - bar < -grain)


def decimals(*values: float | None, difference: Difference | None) -> int | None:
    """The decimal for numbers that stand side by side; None: each as it is."""
    known = sorted({value for value in values if value is not None and math.isfinite(value)})
    noise = _NOISE * max(map(abs, known), default=0.0)
    if difference is not None and (half := half_width(difference) or 0.0) > noise:
        return _decimals_told(difference, half, difference.margin)
    apart = [high - low for low, high in itertools.pairwise(known) if high - low > noise]
    return 1 - exponent(min(apart)) if apart else None


def told_apart(one: float, other: float, places: int) -> int:
    """So many decimals, and more until the two numbers differ as printed."""
    if abs(one - other) > _NOISE * max(abs(one), abs(other)):
        for more in range(places, places + _EXACT):
            if fixed(one, more) != fixed(other, more):
                return more
    return places


def half_width(difference: Difference) -> float | None:
    """Half of the interval; None where there is none."""
    low, high = difference.low, difference.high
    if low is None or high is None or not math.isfinite(high - low):
        return None
    return (high - low) / 2


def measured(value: Measured | None, places: int | None) -> str:
    """A cell: the number, or what stands in its place."""
    if value is None:
        return "—"
    if value.value is not None:
        return number(value.value) if places is None else fixed(value.value, places)
    return {"nan": "NaN", "infinite": "∞", "unscored": "not scored", "": "absent"}.get(
        value.absent, value.absent
    )


def change(difference: Difference | None, margin: float | None = None) -> str:
    """`+0.009 ± 0.003`; with both ends where the interval is not even about the estimate.

    Args:
        difference: what to show.
        margin: what it is held against; the difference's own where there is none.
    """
    if difference is None or difference.estimate is None:
        return "—"
    estimate, half = difference.estimate, half_width(difference)
    margin = difference.margin if margin is None else margin
    if half is None or half <= _NOISE * abs(estimate):
        exact = half is not None and not estimate
        return "0" if exact else fixed(estimate, _places_alone(estimate, margin), signed=True)
    places = _decimals_told(difference, half, margin)
    shown = fixed(estimate, places, signed=True)
    low, high = difference.low or 0.0, difference.high or 0.0
    if _uneven(difference, half):
        ends = f"{fixed(low, places, signed=True)} to {fixed(high, places, signed=True)}"
        return f"{shown} ({ends})"
    return f"{shown} ± {fixed(half, places)}"


def _places_alone(value: float, margin: float | None) -> int:
    bars = (-margin, margin) if margin else ()
    return _places_beside(value, bars, 2) if value and math.isfinite(value) else 0


def _places(value: float, digits: int) -> int:
    """Decimals for so many significant digits; what comes before the point is cut only if huge."""
    places = digits - 1 - exponent(value)
    return places if abs(value) >= _HUGE else max(0, places)


def count(value: int) -> str:
    """`61,204`."""
    return f"{value:,}".replace("-", "−")


def counted(value: int, one: str, many: str | None = None) -> str:
    """`1 row`, `61,204 rows`."""
    return f"{count(value)} {one if abs(value) == 1 else many or one + 's'}"


def signed_count(value: int) -> str:
    """`+29,425`."""
    return f"{value:+,}".replace("-", "−")


def share(part: float, whole: float) -> str:
    """`0.67 %`; two significant digits, and never 0 % or 100 % of what is neither."""
    if not whole:
        return "—"
    percent = 100 * part / whole
    if percent in {0.0, 100.0}:
        return f"{percent:.0f} %"
    if percent > 99:
        return f"{min(percent, 99.99):.2f} %"
    return f"{fixed(percent, max(0, 1 - exponent(percent)))} %"


def percent(level: float) -> str:
    """An interval's level: `95 %`, `99.8 %`; of many intervals `99.9975 %`, never 100."""
    digits = max(2, 1 - exponent(100 * (1 - level)))
    text = f"{100 * level:.{digits}f}".rstrip("0").rstrip(".")
    return f"{text} %"


def duration(seconds: float) -> str:
    """`48 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds < 10:
        return f"{fixed(seconds, 1)} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def size(count_of_bytes: int) -> str:
    """`1.4 MB`; decimal units, as the gate's `size_mb`."""
    value = float(count_of_bytes)
    for unit in ("B", "kB", "MB"):
        if abs(value) < 1000:
            return f"{number(value)} {unit}"
        value /= 1000
    return f"{number(value)} GB"


def _with_exponent(value: float, digits: int) -> str:
    mantissa, _, power = f"{value:.{digits}e}".partition("e")
    return f"{mantissa}e{int(power)}"
