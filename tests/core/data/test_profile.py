import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from mergeline.core.data import hyperloglog
from mergeline.core.data.drift import drift
from mergeline.core.data.profile import (
    MOST_VALUES,
    POINTS,
    ColumnProfile,
    Merged,
    bucket_rows,
    points_of,
)


def numbers(values: npt.ArrayLike, nulls: int = 0) -> ColumnProfile:
    """As the adapter makes it of a float64 column."""
    array = np.sort(np.asarray(values, dtype=np.float64))
    distinct, counts = np.unique(array, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST_VALUES]
    complete = len(distinct) <= MOST_VALUES
    return ColumnProfile(
        type="float64",
        rows=len(array) + nulls,
        nulls=nulls,
        values=tuple(zip(distinct[order].tolist(), counts[order].tolist(), strict=True)),
        complete=complete,
        sketch="" if complete else hyperloglog.to_text(
            hyperloglog.sketch(hyperloglog.hash_numbers(distinct))
        ),
        points=() if complete else points_of(array),
        error=0 if complete else 0.5 / POINTS,
        least=float(array[0]) if len(array) else None,
        most=float(array[-1]) if len(array) else None,
    )  # fmt: skip


def texts(**counts: int) -> ColumnProfile:
    return ColumnProfile("string", sum(counts.values()), 0, tuple(counts.items()))


def test_few_values_are_exact_however_many_drops() -> None:
    merged = Merged("float64", [numbers([1, 1, 2], nulls=1), numbers([2, 3])])
    assert (merged.rows, merged.nulls, merged.distinct, merged.complete) == (6, 1, 3, True)
    assert merged.top(1) == ((1.0, 2),)
    assert (merged.least, merged.most) == (1.0, 3.0)
    assert merged.distribution
    assert [merged.distribution.quantile(q) for q in (0.2, 0.5, 0.9)] == [1.0, 2.0, 3.0]


def test_quantiles_of_many_drops_are_within_their_error_in_rank() -> None:
    random = np.random.default_rng(1)
    drops = [random.gamma(1 + n % 3, size=300 + 500 * n) for n in range(12)]
    merged = Merged("float64", [numbers(drop) for drop in drops])
    everything = np.sort(np.concatenate(drops))
    assert merged.distribution
    for share in (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99):
        found = merged.distribution.quantile(share)
        rank = np.searchsorted(everything, found) / len(everything)
        assert abs(rank - share) <= 0.5 / POINTS + 1 / 300


def test_distinct_values_are_estimated_over_drops_that_share_some() -> None:
    merged = Merged("float64", [numbers(np.arange(5_000)), numbers(np.arange(3_000, 9_000)),
                                numbers([1, 2, 3])])  # fmt: skip
    assert merged.distinct == pytest.approx(9_000, rel=4 * hyperloglog.STANDARD_ERROR)
    assert not merged.complete


def test_equal_samples_do_not_drift() -> None:
    values = np.random.default_rng(2).normal(size=5_000)
    found = drift(Merged("float64", [numbers(values)]), Merged("float64", [numbers(values)]))
    assert found
    assert found.psi == pytest.approx(0, abs=1e-9)
    assert found.p_value == 1


def test_samples_of_one_population_are_rarely_told_apart() -> None:
    random = np.random.default_rng(3)
    alarms = 0
    for _ in range(60):
        before, after = random.normal(size=20_000), random.normal(size=2_000)
        found = drift(Merged("float64", [numbers(before)]), Merged("float64", [numbers(after)]))
        assert found
        alarms += found.p_value is not None and found.p_value < 0.05
        assert found.psi < 0.02
    assert alarms <= 6


def categories(values: npt.ArrayLike) -> Merged:
    """As the adapter makes it of a text column."""
    numbers, counts = np.unique(np.asarray(values), return_counts=True)
    names = np.array([f"c{number}" for number in numbers])
    order = np.argsort(-counts, kind="stable")[:MOST_VALUES]
    kept = zip(names[order].tolist(), counts[order].tolist(), strict=True)
    total = int(counts.sum())
    if len(names) <= MOST_VALUES:
        return Merged("string", [ColumnProfile("string", total, 0, tuple(kept))])
    hashes = hyperloglog.hash_texts(names.tolist())
    sketch = hyperloglog.to_text(hyperloglog.sketch(hashes))
    buckets = tuple(bucket_rows(hashes, counts).tolist())
    part = ColumnProfile("string", total, 0, tuple(kept), False, sketch, buckets)
    return Merged("string", [part])


@pytest.mark.slow
@pytest.mark.parametrize("skewed", [False, True])
@pytest.mark.parametrize("number", [5, 30, 200, 1_500])
def test_categories_of_one_population_are_rarely_told_apart(number: int, skewed: bool) -> None:
    random = np.random.default_rng(5)
    weights = 1 / np.arange(1, number + 1) if skewed else np.ones(number)
    alarms = 0
    for _ in range(100):
        draw = [random.choice(number, n, p=weights / weights.sum()) for n in (4_000, 1_000)]
        found = drift(*map(categories, draw))
        assert found
        assert found.p_value is not None
        alarms += found.p_value < 0.05
        assert found.psi < 0.1
    assert alarms <= 12  # 5 are expected; more than 12 come in one run of 1,000


@pytest.mark.parametrize("number", [30, 200, 1_500])
def test_a_shift_of_one_category_among_many_is_seen(number: int) -> None:
    random = np.random.default_rng(6)
    before, after = random.integers(0, number, (2, 5_000))
    after[:400] = 0
    found = drift(categories(before), categories(after))
    assert found
    assert found.test == ("chi-square" if number < MOST_VALUES else "chi-square over hash buckets")
    assert found.p_value is not None
    assert found.p_value < 1e-6


def test_few_texts_are_compared_with_many_by_their_hashes() -> None:
    found = drift(categories(range(200)), categories(range(2_000)))
    assert found
    assert found.p_value is not None
    assert found.p_value > 0.01


def test_a_shift_is_seen_and_near_scipys_exact_test() -> None:
    random = np.random.default_rng(4)
    before, after = random.normal(size=4_000), random.normal(0.3, size=1_000)
    found = drift(Merged("float64", [numbers(before)]), Merged("float64", [numbers(after)]))
    exact = stats.ks_2samp(before, after)
    assert found
    assert found.test == "Kolmogorov-Smirnov"
    assert found.statistic == pytest.approx(exact.statistic, abs=2 / POINTS)
    assert found.p_value is not None
    assert found.p_value >= exact.pvalue
    assert found.p_value < 1e-8
    assert found.psi > 0.05


def test_the_index_is_that_of_its_definition() -> None:
    before, after = texts(a=600, b=400), texts(a=300, b=700)
    found = drift(Merged("string", [before]), Merged("string", [after]))
    share = [(600.5 / 1001, 300.5 / 1001), (400.5 / 1001, 700.5 / 1001)]
    expected = sum((b - a) * np.log(b / a) for a, b in share)
    table = stats.chi2_contingency([[600, 400], [300, 700]], correction=False)
    assert found
    assert found.psi == pytest.approx(expected)
    assert found.test == "chi-square"
    assert found.statistic == pytest.approx(table.statistic)
    assert found.p_value == pytest.approx(table.pvalue)


def test_absent_values_are_drift_too() -> None:
    before, after = numbers(range(2_000)), numbers(range(1_000), nulls=1_000)
    found = drift(Merged("float64", [before]), Merged("float64", [after]))
    assert found
    assert found.psi > 1


def test_a_new_category_is_seen() -> None:
    found = drift(Merged("string", [texts(a=500)]), Merged("string", [texts(z=500)]))
    assert found
    assert found.psi > 1
    assert found.p_value is not None
    assert found.p_value < 1e-10


def test_a_constant_column_does_not_drift() -> None:
    found = drift(Merged("string", [texts(a=500)]), Merged("string", [texts(a=30)]))
    assert found
    assert found.psi == pytest.approx(0, abs=1e-3)
    assert found.p_value == 1


def test_a_column_that_is_absent_everywhere_has_no_test() -> None:
    nothing = numbers([], nulls=10)
    found = drift(Merged("float64", [numbers(range(500))]), Merged("float64", [nothing]))
    assert found
    assert found.p_value is None or found.p_value < 0.01
    assert drift(Merged("float64", []), Merged("float64", [nothing])) is None
