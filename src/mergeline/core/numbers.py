"""Numbers as a person reads them: no more digits than their uncertainty allows, never fewer.

The last digit shown is that of the interval's half width, rounded as the Particle Data Group does
(two digits of it where it starts with 100 to 354, else one), and more where rounding would hide on
which side of zero an end lies. A number without interval shows what tells it from its neighbour.
A true minus sign, so that a column of changes reads well.
"""

from __future__ import annotations

import math

from mergeline.core.comparison import Difference, Measured

_FIXED = 6  # decimals beyond which a small number is written with an exponent
_HUGE = 1e15


def number(value: float | None, digits: int = 3) -> str:
    """A number on its own, to so many significant digits."""
    if value is None:
        return "—"
    if not math.isfinite(value) or value == 0:
        return fixed(value, 0)
    if float(value).is_integer() and abs(value) < _HUGE:
        return fixed(value, 0)
    return fixed(value, max(0, digits - 1 - exponent(value)))


def given(value: float) -> str:
    """A number that a person wrote, as short as they would write it."""
    if not math.isfinite(value):
        return fixed(value, 0)
    mantissa, _, power = f"{value + 0.0:,.12g}".partition("e")
    return mantissa.replace("-", "−") + (f"e{int(power)}" if power else "")


def fixed(value: float, decimals: int, *, signed: bool = False) -> str:
    """A number to its n-th decimal; with an exponent where the plain form would be zeros."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "−∞" if value < 0 else "+∞" if signed else "∞"
    if decimals > _FIXED and 0 < abs(value) < 1e-3:
        text = _with_exponent(value, max(0, decimals + exponent(value)))
    elif abs(value) >= _HUGE:
        text = _with_exponent(value, 2)
    else:
        text = f"{round(value, decimals):,.{min(max(decimals, 0), _FIXED)}f}"
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


def _decimals_told(difference: Difference, half: float) -> int:
    """As `decimals_of`, and up to two more where the ends would round to zero or across it."""
    places = decimals_of(half)
    estimate, low, high = difference.estimate or 0.0, difference.low or 0.0, difference.high or 0.0
    for more in range(2):
        middle, around = round(estimate, places + more), round(half, places + more)
        shown = (middle - around, middle + around)
        if all(
            (end > 0) - (end < 0) == (true > 0) - (true < 0) or not true
            for end, true in zip(shown, (low, high), strict=True)
        ):
            return places + more
    return places + 2


def decimals(*values: float | None, difference: Difference | None) -> int | None:
    """The decimal for numbers that stand side by side; None: each as it is."""
    if difference is not None and (half := half_width(difference)):
        return _decimals_told(difference, half)
    known = [value for value in values if value is not None and math.isfinite(value)]
    apart = max(known, default=0.0) - min(known, default=0.0)
    if apart:
        return 1 - exponent(apart)
    return None


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


def change(difference: Difference | None) -> str:
    """`+0.009 ± 0.003`; with both ends where the interval is not even about the estimate."""
    if difference is None or difference.estimate is None:
        return "—"
    estimate, half = difference.estimate, half_width(difference)
    if half is None:
        return fixed(estimate, _places_alone(estimate), signed=True)
    if not half:
        return "0" if not estimate else fixed(estimate, _places_alone(estimate), signed=True)
    places = _decimals_told(difference, half)
    shown = fixed(estimate, places, signed=True)
    low, high = difference.low or 0.0, difference.high or 0.0
    if abs((high + low) / 2 - estimate) > 0.15 * half:
        ends = f"{fixed(low, places, signed=True)} to {fixed(high, places, signed=True)}"
        return f"{shown} ({ends})"
    return f"{shown} ± {fixed(half, places)}"


def _places_alone(value: float) -> int:
    if not value or not math.isfinite(value):
        return 0
    return max(0, 1 - exponent(value))


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
    """An interval's level: `95 %`, `99.8 %`."""
    text = f"{100 * level:.2f}".rstrip("0").rstrip(".")
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
