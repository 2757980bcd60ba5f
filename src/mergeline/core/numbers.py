"""Numbers, counts, shares, durations and sizes as a person reads them.

The minus is a true minus sign, so that a column of changes reads well. How many digits a difference
gets is decided in `compare.digits`.
"""

from __future__ import annotations

import math

_MOST_DECIMALS = 6  # with more, a small number is written with an exponent
_HUGE = 1e15
EXACT_DIGITS = 17  # significant digits that tell any two floats apart
NOISE = 1e-15  # relative error that the last bits of a number may have


def number(value: float | None, digits: int = 3) -> str:
    """A number that stands alone, with so many significant digits; — if there is none."""
    if value is None:
        return "—"
    if not math.isfinite(value) or (float(value).is_integer() and abs(value) < _HUGE):
        return fixed(value, 0)
    return fixed(value, _places(value, digits))


def beside(value: float, bar: float, digits: int = 4) -> str:
    """A number beside a bar, with enough digits to stay on its side of the bar as printed."""
    if not math.isfinite(value) or not value:
        return number(value, digits)
    places = places_beside(value, (bar,), digits)
    return number(value, digits) if places == _places(value, digits) else fixed(value, places)


def places_beside(value: float, bars: tuple[float, ...], digits: int) -> int:
    """The decimals that a number needs to stay on its side of each bar."""
    least = _places(value, digits)
    for places in range(least, least + EXACT_DIGITS):
        shown = round(value, places)
        if all(side(shown, bar) == side(value, bar) for bar in bars):
            return places
    return least


def given(value: float) -> str:
    """A number that a person wrote, as briefly as they would write it."""
    if not math.isfinite(value):
        return fixed(value, 0)
    mantissa, _, power = f"{value + 0.0:,.15g}".partition("e")
    return mantissa.replace("-", "−") + (f"e{int(power)}" if power else "")


def fixed(value: float, decimals: int, *, signed: bool = False) -> str:
    """A number with so many decimals; with an exponent if the plain form would be all zeros."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "−∞" if value < 0 else "+∞" if signed else "∞"
    small = decimals > _MOST_DECIMALS and 0 < abs(value) < 1e-3
    if small or abs(value) >= _HUGE:
        digits = min(max(0, decimals + exponent(value)), EXACT_DIGITS - 1)
        mantissa, _, power = f"{value:.{digits}e}".partition("e")
        text = f"{mantissa}e{int(power)}"
    else:
        most = max(_MOST_DECIMALS, EXACT_DIGITS - 1 - exponent(value)) if value else _MOST_DECIMALS
        text = f"{round(value, decimals):,.{min(max(decimals, 0), most)}f}"
    minus = text.startswith("-")
    text = text.lstrip("-")
    if not any(digit in text for digit in "123456789"):
        return text
    return f"{'−' if minus else '+' if signed else ''}{text}"


def ordinal(count: int) -> str:
    """`1st`, `2nd`, `12th`."""
    teens = count % 100 in {11, 12, 13}
    return f"{count:,}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(count % 10, 'th')}"


def exponent(value: float) -> int:
    """Power of ten of the first significant digit; ValueError for 0."""
    return math.floor(math.log10(abs(value)))


def side(value: float, bar: float, grain: float = 0.0) -> int:
    """−1, 0 or 1: below the bar, on it (within `grain`), above."""
    return (value - bar > grain) - (value - bar < -grain)


def told_apart(one: float, other: float, places: int) -> int:
    """The least decimals, from `places` on, with which the two numbers differ as printed."""
    if abs(one - other) > NOISE * max(abs(one), abs(other)):
        for more in range(places, places + EXACT_DIGITS):
            if fixed(one, more) != fixed(other, more):
                return more
    return places


def _places(value: float, digits: int) -> int:
    """Decimals for so many significant digits; at least 0, unless the number is huge."""
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
    """`0.67 %`, with two significant digits; 0 % and 100 % only if it is exactly that."""
    if not whole:
        return "—"
    percent = 100 * part / whole
    if percent in {0.0, 100.0}:
        return f"{percent:.0f} %"
    if percent > 99:
        return f"{min(percent, 99.99):.2f} %"
    return f"{fixed(percent, max(0, 1 - exponent(percent)))} %"


def percent(level: float) -> str:
    """The level of an interval: `95 %`, `99.8 %`, `99.9975 %`; never 100 %."""
    digits = max(2, 1 - exponent(100 * (1 - level)))
    text = f"{100 * level:.{digits}f}".rstrip("0").rstrip(".")
    return f"{text} %"


def duration(seconds: float) -> str:
    """`48 s`, `3 min 5 s`, `2 h 10 min`, `3 days 2 h`."""
    if seconds < 10:
        return f"{fixed(seconds, 1)} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} days {hours} h" if hours else f"{days} days"


def size(count_of_bytes: int) -> str:
    """`1.4 MB`, in decimal units like the gate's `size_mb`."""
    value = float(count_of_bytes)
    for unit in ("B", "kB", "MB"):
        if abs(value) < 1000:
            return f"{number(value)} {unit}"
        value /= 1000
    return f"{number(value)} GB"
