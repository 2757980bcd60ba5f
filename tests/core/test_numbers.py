from __future__ import annotations

import math

import pytest
from hypothesis import given as over
from hypothesis import settings
from hypothesis import strategies as st

from mergeline.core import numbers
from mergeline.core.compare import digits
from mergeline.core.compare.result import Difference, Measured

NOISE = 1e-15  # so much of a number its last bits may be off by
_SIZES = st.floats(-1e300, 1e300, allow_subnormal=False)
PAIRS = st.tuples(_SIZES, _SIZES) | st.builds(
    lambda value, apart: (value, value * (1 + apart)),
    _SIZES,
    st.integers(-15, 0).map(lambda power: 3.7 * 10.0**power),
)
"""Two numbers of any size, and two that are as close as one likes."""


def difference(estimate: float | None, low: float | None, high: float | None) -> Difference:
    return Difference(estimate, low, high, 0.95, "as given", "same")


@pytest.mark.parametrize(
    ("estimate", "low", "high", "expected"),
    [
        (0.0088, 0.0047, 0.0129, "+0.009 ± 0.004"),
        (0.0088, 0.0057, 0.0119, "+0.0088 ± 0.0031"),
        (-0.031, -0.049, -0.013, "−0.031 ± 0.018"),
        (0.009, 0.001, 0.012, "+0.009 (+0.001 to +0.012)"),
        (2e-7, 1e-7, 3e-7, "+2.0e-7 ± 1.0e-7"),
        (1234.5, 1100.0, 1369.0, "+1,230 ± 130"),
        (0.0, -0.005, 0.005, "0.000 ± 0.005"),
        (0.0, 0.0, 0.0, "0"),
        (None, None, None, "—"),
        (0.25, None, None, "+0.25"),
        (math.nan, 1.0, 2.0, "NaN ± 0.500"),
    ],
)
def test_a_difference_has_the_digits_that_its_interval_allows(
    estimate: float | None, low: float | None, high: float | None, expected: str
) -> None:
    assert digits.change(difference(estimate, low, high)) == expected


def test_rounding_does_not_hide_on_which_side_of_zero_an_interval_ends() -> None:
    assert digits.change(difference(0.0424, 0.0003, 0.0845)) == "+0.0424 ± 0.0421"
    assert digits.change(difference(-0.0416, -0.0837, 0.0005)) == "−0.0416 ± 0.0421"


def test_numbers_that_differ_are_never_shown_as_the_same() -> None:
    places = digits.decimals(1e-6, 1.2e-6, difference=None)
    assert places is not None
    assert numbers.fixed(1e-6, places) == "1.00e-6"
    assert numbers.fixed(1.2e-6, places) == "1.20e-6"


@settings(deadline=None)
@over(PAIRS)
def test_two_numbers_without_interval_keep_their_difference(pair: tuple[float, float]) -> None:
    one, other = pair
    places = digits.decimals(one, other, difference=None)
    if abs(one - other) > NOISE * max(abs(one), abs(other)):
        assert places is not None
        assert numbers.fixed(one, places) != numbers.fixed(other, places)


@settings(deadline=None)
@over(PAIRS, st.floats(0.0, 0.999), st.floats(0.0, 10.0))
def test_two_numbers_whose_difference_is_told_are_not_shown_as_the_same(
    pair: tuple[float, float], near: float, far: float
) -> None:
    one, other = pair
    estimate = other - one
    ends = sorted((estimate * (1 - near), estimate * (1 + far)))
    told = difference(estimate, *ends)
    if abs(estimate) > NOISE * max(abs(one), abs(other)):
        places = digits.decimals(one, other, difference=told)
        assert places is not None
        places = numbers.told_apart(one, other, places)
        assert numbers.fixed(one, places) != numbers.fixed(other, places)
        assert any(digit in digits.change(told) for digit in "123456789")


@pytest.mark.parametrize(
    ("before", "after", "half", "expected"),
    [
        (0.5, 0.500000012, 2e-9, "0.5000000000 → 0.5000000120, +1.20e-8 ± 2.0e-9"),
        (0.0123456, 0.0123459, 1e-7, "0.01234560 → 0.01234590, +3.0e-7 ± 1.0e-7"),
        (123456.0, 123456.00000012, 5e-8, "123,456.00000000 → 123,456.00000012, +1.2e-7 ± 5e-8"),
        (2e15, 2.00000000004e15, 1e4, "2.000000000000e15 → 2.000000000040e15, +40,000 ± 10,000"),
        (0.7423, 0.7423 + 1.2e-16, None, "0.742 → 0.742, +1.1e-16"),
    ],
)
def test_a_small_change_of_a_large_number_is_seen(
    before: float, after: float, half: float | None, expected: str
) -> None:
    estimate = after - before
    ends = (None, None) if half is None else (estimate - half, estimate + half)
    told = difference(estimate, *ends)
    places = digits.decimals(before, after, difference=told)
    cells = (digits.measured(Measured(value), places) for value in (before, after))
    assert f"{' → '.join(cells)}, {digits.change(told)}" == expected


def read(text: str) -> float:
    return float(text.replace(",", "").replace("−", "-"))


def side(value: float, bar: float) -> int:
    return (value > bar) - (value < bar)


@settings(deadline=None)
@over(PAIRS, st.integers(1, 15))
def test_a_number_beside_its_bar_reads_as_the_side_that_it_is_on(
    pair: tuple[float, float], digits: int
) -> None:
    value, bar = pair[0], float(f"{pair[1]:.{digits}g}")  # as a person writes one
    shown = read(numbers.beside(value, bar))
    assert side(shown, read(numbers.given(bar))) == side(value, bar)


@pytest.mark.parametrize(
    ("value", "bar", "expected"),
    [
        (0.59999, 0.6, "0.59999"),
        (0.6, 0.6, "0.6000"),
        (0.7423456, 0.6, "0.7423"),
        (0.61231, 0.612305, "0.61231"),
        (50.000001, 50.0, "50.000001"),
        (-3.00001, -3.0, "−3.00001"),
        (math.nan, 0.6, "NaN"),
    ],
)
def test_digits_are_added_until_a_number_and_its_bar_differ(
    value: float, bar: float, expected: str
) -> None:
    assert numbers.beside(value, bar) == expected


@pytest.mark.parametrize(
    ("estimate", "low", "high", "margin", "expected"),
    [
        (-0.002, -0.0050001, 0.0010001, 0.005, "−0.0020000 ± 0.0030001"),
        (-0.002, -0.0049, 0.0009, 0.005, "−0.0020 ± 0.0029"),
        (-0.002, -0.005, 0.001, 0.005, "−0.0020 ± 0.0030"),
        (-0.01004, -0.013, -0.00708, 0.01, "−0.01004 ± 0.00296"),
        (-0.01004, -0.01004, -0.01004, 0.01, "−0.01004"),
        (0.0421001, 0.0000001, 0.0842001, None, "+0.0421001 ± 0.0421000"),
    ],
)
def test_a_difference_beside_a_margin_reads_as_the_side_that_it_is_on(
    estimate: float, low: float, high: float, margin: float | None, expected: str
) -> None:
    assert digits.change(difference(estimate, low, high), margin) == expected


def test_an_interval_of_no_width_but_rounding_gives_no_digits() -> None:
    assert digits.change(difference(0.009, 0.009 - 1e-18, 0.009 + 1e-18)) == "+0.0090"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.7423, "0.742"), (1e-6, "1.00e-6"), (0.0, "0"), (-0.0, "0"), (5.0, "5"),
        (123456.789, "123,457"), (1e20, "1.00e20"), (math.nan, "NaN"), (math.inf, "∞"),
        (-math.inf, "−∞"), (None, "—"),
    ],
)  # fmt: skip
def test_a_number_on_its_own_has_three_digits_that_count(
    value: float | None, expected: str
) -> None:
    assert numbers.number(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.05, "0.05"), (1e-6, "1e-6"), (-0.0, "0"), (20.0, "20"), (1e6, "1,000,000")],
)
def test_a_number_that_a_person_wrote_stays_as_short(value: float, expected: str) -> None:
    assert numbers.given(value) == expected


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        (Measured(0.5), "0.500"),
        (Measured(None, "nan", "the scorer returned NaN"), "NaN"),
        (Measured(None, "infinite", "it is"), "∞"),
        (Measured(None, "unscored", "a column is gone"), "not scored"),
        (None, "—"),
    ],
)
def test_an_absent_number_has_a_word_in_its_place(measured: Measured | None, expected: str) -> None:
    assert digits.measured(measured, None) == expected


def test_a_share_is_never_rounded_to_none_or_all() -> None:
    assert numbers.share(1, 100_000) == "0.0010 %"
    assert numbers.share(99_999, 100_000) == "99.99 %"
    assert numbers.share(0, 10) == "0 %"
    assert numbers.share(10, 10) == "100 %"
    assert numbers.share(0, 0) == "—"


def test_a_level_is_never_rounded_to_certainty() -> None:
    levels = (0.95, 0.998, 1 - 0.05 / 72, 1 - 0.05 / 2_000)
    assert [numbers.percent(one) for one in levels] == ["95 %", "99.8 %", "99.931 %", "99.9975 %"]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.41, "0.4 s"),
        (48.2, "48 s"),
        (60, "1 min"),
        (185, "3 min 5 s"),
        (7800, "2 h 10 min"),
        (266_400, "3 days 2 h"),
        (30 * 86_400, "30 days"),
    ],
)
def test_durations_read_as_a_person_writes_them(seconds: float, expected: str) -> None:
    assert numbers.duration(seconds) == expected


def test_ordinals_read_as_english() -> None:
    counts = (1, 2, 3, 4, 11, 12, 13, 21, 112, 1_003)
    assert [numbers.ordinal(count) for count in counts] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th", "1,003rd",
    ]  # fmt: skip
