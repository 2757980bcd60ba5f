import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mergeline.core.compare import intervals as statistics
from mergeline.core.compare.metrics import ranks as ranking

RNG = np.random.default_rng


def read_reference() -> tuple[Any, Any, Any]:
    """Outcome and the scores wfns and s100b of 113 patients.

    Turck et al., Intensive Care Medicine 36 (2010) 107.
    """
    table = np.genfromtxt(Path(__file__).parent / "auc_paired.csv", delimiter=",", names=True)
    return table["outcome"] == 1, table["wfns"], table["s100b"]


def paired_auc(
    positive: Any, first: Any, second: Any, clusters: Any = None, level: float = 0.95
) -> statistics.Interval:
    a, of_first = ranking.placements(first, positive)
    b, of_second = ranking.placements(second, positive)
    return statistics.auc_interval(positive, of_first - of_second, a - b, clusters, level)


def naive_components(scores: Any, positive: Any) -> tuple[Any, Any]:
    """DeLong's structural components by comparing every pair."""
    x, y = scores[positive], scores[~positive]
    wins = (x[:, None] > y).astype(float) + 0.5 * (x[:, None] == y)
    return wins.mean(axis=1), wins.mean(axis=0)


def parts_of_variance(first: Any, second: Any, positive: Any) -> tuple[float, float]:
    """DeLong's variance of a difference: what the rows of either class add."""
    (a10, a01), (b10, b01) = (naive_components(s, positive) for s in (first, second))
    return (
        np.var(a10 - b10, ddof=1) / positive.sum(), np.var(a01 - b01, ddof=1) / (~positive).sum()
    )  # fmt: skip


def welch(of_positive: float, of_negative: float, m: int, n: int) -> float:
    """Degrees of freedom of a sum of two variances from m and n values."""
    whole = of_positive + of_negative
    return float(whole**2 / (of_positive**2 / (m - 1) + of_negative**2 / (n - 1)))


def welch_degrees(first: Any, second: Any, positive: Any) -> float:
    m = int(positive.sum())
    return welch(*parts_of_variance(first, second, positive), m, len(positive) - m)


def standard_error(interval: statistics.Interval, quantile: float) -> float:
    assert interval.low is not None
    assert interval.high is not None
    return (interval.high - interval.low) / 2 / quantile


def tied_scores(rng: Any, rows: int) -> tuple[Any, Any, Any]:
    positive = rng.random(rows) < 0.3
    first = np.round(rng.normal(size=rows) + positive, 1)
    return positive, first, np.round(first + rng.normal(size=rows), 1)


def test_the_published_paired_delong_comparison_is_met_to_the_last_digit() -> None:
    # pROC (Robin et al., BMC Bioinformatics 12 (2011) 77): roc.test of wfns against s100b.
    positive, wfns, s100b = read_reference()
    assert ranking.placements(wfns, positive)[0] == pytest.approx(0.8236789, abs=5e-8)
    assert ranking.placements(s100b, positive)[0] == pytest.approx(0.7313686, abs=5e-8)
    interval = paired_auc(positive, wfns, s100b)
    degrees = welch_degrees(wfns, s100b, positive)
    error = standard_error(interval, stats.t.ppf(0.975, degrees))
    z = interval.estimate / error
    assert z == pytest.approx(2.20898359144091, rel=1e-12)
    assert 2 * stats.norm.sf(z) == pytest.approx(0.0271757822291882, rel=1e-10)
    # pROC's interval is the normal's, and these are its ends; ours is 1.8 % wider, by t.
    normal = stats.norm.ppf(0.975) * error
    assert interval.estimate - normal == pytest.approx(0.0104061769564846, rel=1e-12)
    assert interval.estimate + normal == pytest.approx(0.174214419249478, rel=1e-12)
    assert standard_error(interval, normal) == pytest.approx(1.018, abs=5e-4)


@pytest.mark.parametrize("positives", [5, 40, 75])
def test_a_single_auc_has_the_degrees_of_brunner_and_munzel(positives: int) -> None:
    scores = np.round(RNG(18).normal(size=80) + np.linspace(0.6, 0, 80), 1)
    positive = np.arange(80) < positives
    p = stats.brunnermunzel(scores[positive], scores[~positive], distribution="t").pvalue
    auc, placements = ranking.placements(scores, positive)
    interval = statistics.auc_interval(positive, placements, auc, None, 1 - p)
    end = interval.low if auc > 0.5 else interval.high
    assert end == pytest.approx(0.5)  # the level at which scipy can just not tell it from chance


def test_fast_delong_is_the_comparison_of_every_pair() -> None:
    positive, first, second = tied_scores(RNG(1), 400)
    expected = sum(parts_of_variance(first, second, positive))
    interval = paired_auc(positive, first, second)
    student = stats.t.ppf(0.975, welch_degrees(first, second, positive))
    assert standard_error(interval, student) ** 2 == pytest.approx(expected)


@given(
    st.lists(st.sampled_from([-1.0, -0.0, 0.0, 0.5, 1e-300, 7.0]), min_size=1, max_size=12),
    st.lists(st.sampled_from([-1.0, -0.0, 0.0, 0.5, 1e-300, 7.0]), min_size=1, max_size=12),
)
def test_placements_are_shares_of_pairs_ties_one_half(
    positives: list[float], negatives: list[float]
) -> None:
    scores = np.array(positives + negatives)
    positive = np.arange(len(scores)) < len(positives)
    auc, found = ranking.placements(scores, positive)
    of_positive, of_negative = naive_components(scores, positive)
    assert found[positive] == pytest.approx(of_positive)
    assert found[~positive] == pytest.approx(of_negative)
    assert auc == pytest.approx(of_positive.mean())


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_the_other_way_round_the_interval_is_its_mirror(seed: int, clustered: bool) -> None:
    positive, first, second = tied_scores(RNG(seed), 60)
    positive[:10] = np.arange(10) < 5
    clusters = np.arange(60) % 9 if clustered else None
    there = paired_auc(positive, first, second, clusters)
    back = paired_auc(positive, second, first, clusters)
    assert there.low is not None
    assert back.high is not None
    assert there.low == pytest.approx(-back.high)


def cr2(values: Any, columns: Any, clusters: Any, variances: Any, weights: Any) -> Any:
    """Bell and McCaffrey by whole matrices: least squares, CR2 sums of clusters, their covariance.

    The estimate is `weights` times the coefficients of `values` by `columns`.
    """
    bread = np.linalg.inv(columns.T @ columns)
    left = np.eye(len(values)) - columns @ bread @ columns.T
    of_cluster = []
    for g in np.unique(clusters):
        here = np.flatnonzero(clusters == g)
        own = left[np.ix_(here, here)]
        level, vectors = np.linalg.eigh(own)
        root = (vectors * np.where(level > 1e-9, level, np.inf) ** -0.5) @ vectors.T
        of_cluster.append(weights @ bread @ columns[here].T @ root @ left[here])
    sums = np.array(of_cluster)
    covariance = sums @ np.diag(variances) @ sums.T
    degrees = np.trace(covariance) ** 2 / np.square(covariance).sum()
    return float(np.square(sums @ values).sum()), float(degrees)


def test_a_mean_by_cluster_has_the_variance_and_degrees_of_bell_and_mccaffrey() -> None:
    rng = RNG(2)
    clusters, values = np.repeat(np.arange(8), [1, 2, 3, 4, 5, 6, 9, 60]), rng.normal(size=90)
    one = np.ones((90, 1))
    variance, degrees = cr2(values, one, clusters, np.ones(90), np.ones(1))
    interval = statistics.mean_interval(values, clusters, 0.95)
    assert standard_error(interval, stats.t.ppf(0.975, degrees)) ** 2 == pytest.approx(variance)
    assert degrees < 2  # one of the eight has two thirds of the rows


def test_an_auc_by_cluster_is_two_means_of_placements_by_class() -> None:
    rng = RNG(2)
    positive, first, second = tied_scores(rng, 300)
    clusters = rng.integers(0, 25, 300)
    a, of_first = ranking.placements(first, positive)
    b, of_second = ranking.placements(second, positive)
    placements = of_first - of_second
    columns = np.stack([positive, ~positive], axis=1).astype(float)
    spread = [np.var(placements[rows], ddof=1) for rows in (positive, ~positive)]
    variances = np.where(positive, *spread)
    # Both means estimate the same difference, and their errors add up.
    variance, degrees = cr2(placements, columns, clusters, variances, np.ones(2))
    interval = statistics.auc_interval(positive, placements, a - b, clusters, 0.95)
    error = standard_error(interval, stats.t.ppf(0.975, degrees))
    assert error**2 == pytest.approx(variance, rel=1e-6)
    assert interval.method == "DeLong by cluster"


@pytest.mark.parametrize(("share", "shared"), [(0.5, 0.0), (0.5, 0.1), (0.8, 0.0), (0.8, 0.1)])
def test_one_cluster_with_most_of_the_rows_decides_nothing_alone(
    share: float, shared: float
) -> None:
    """Sandwich variances with one degree less than clusters hold 18 to 90 of 100 here."""
    rng = RNG(22)
    sizes = np.append(np.full(19, round(500 * (1 - share) / 19)), round(500 * share))
    clusters = np.repeat(np.arange(20), sizes)
    missed = 0
    for _ in range(300):
        of_cluster = rng.normal(size=20)[clusters]
        own = rng.normal(size=len(clusters))
        values = np.sqrt(1 - shared) * own + np.sqrt(shared) * of_cluster
        interval = statistics.mean_interval(values, clusters, 0.95)
        assert interval.low is not None
        assert interval.high is not None
        missed += not interval.low <= 0 <= interval.high
    assert missed / 300 <= 0.09


def test_more_than_nine_tenths_in_one_cluster_have_no_interval() -> None:
    values, clusters = RNG(23).normal(size=200), np.zeros(200, dtype=int)
    clusters[:15] = np.arange(15) + 1
    for interval in (
        statistics.mean_interval(values, clusters, 0.95),
        statistics.resampled_interval(200, clusters, lambda rows: values[rows].mean(), 0.95),
    ):
        assert interval.low is None
        assert interval.reason.startswith("one cluster has more than 90 %")


def test_clusters_of_one_row_are_no_clusters() -> None:
    positive, first, second = tied_scores(RNG(3), 500)
    plain = paired_auc(positive, first, second)
    alone = paired_auc(positive, first, second, np.arange(500))
    assert (alone.low, alone.high) == pytest.approx((plain.low, plain.high))


def test_the_interval_of_a_mean_is_scipys_paired_t() -> None:
    rng = RNG(4)
    first, second = rng.normal(size=80), rng.normal(size=80)
    expected = stats.ttest_rel(first, second).confidence_interval(0.9)
    interval = statistics.mean_interval(first - second, None, 0.9)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


def test_clusters_of_one_size_give_the_interval_of_their_means() -> None:
    values = RNG(5).normal(size=(12, 30)) + RNG(6).normal(size=(12, 1))
    expected = stats.ttest_1samp(values.mean(axis=1), 0).confidence_interval(0.95)
    interval = statistics.mean_interval(values.ravel(), np.repeat(np.arange(12), 30), 0.95)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


def test_rows_of_a_cluster_are_not_taken_for_independent() -> None:
    values = np.repeat(RNG(7).normal(size=40), 50)
    alone = statistics.mean_interval(values, None, 0.95)
    together = statistics.mean_interval(values, np.repeat(np.arange(40), 50), 0.95)
    assert standard_error(together, 1) > 6 * standard_error(alone, 1)


def decisions(
    changed: Any, *, of: int, share: float = 1.0, clusters: Any = None
) -> statistics.Interval:
    """A difference of shares: +1 or −1 for rows that only one model decides rightly."""
    influence = np.zeros(of)
    influence[: len(changed)] = changed
    count, weight = of + 1, 1 / share
    estimate = float(np.sum(changed)) / of * weight
    centre = float(np.sum(changed)) / count * weight
    return statistics.decisions_interval(
        (influence - centre * share) * weight, np.array([1.0, -1.0]) * weight, estimate, clusters,
        0.95, kinds=np.zeros(of, dtype=int), kinds_of_added=np.zeros(2, dtype=int), centre=centre,
    )  # fmt: skip


@pytest.mark.parametrize("rows", [10, 40, 300])
def test_where_no_decision_differs_a_score_interval_is_left(rows: int) -> None:
    found = decisions([], of=rows)
    squared = stats.norm.ppf(0.975) ** 2
    wilson = squared / (rows + squared)  # the end of Wilson's interval of 0 in so many
    assert found.estimate == 0
    assert found.high == pytest.approx(-(found.low or 0))
    assert found.high == pytest.approx(wilson, rel=0.15)
    assert found.high >= stats.norm.ppf(0.975) / (rows + 1) ** 0.5 / (rows + 1) ** 0.5


def test_of_many_flips_agresti_and_min_s_interval_is_left() -> None:
    changed = np.repeat([1, -1], [30, 50])
    found = decisions(changed, of=400)
    n, d = 401, -20 / 401
    half = stats.norm.ppf(0.975) * (((81 / n) - d**2) / n) ** 0.5
    assert (found.low, found.high) == pytest.approx((d - half, d + half), rel=0.02)


def test_rows_of_one_cluster_that_flip_together_are_one_flip() -> None:
    changed = np.repeat([1, -1], [60, 20])
    together = decisions(changed, of=400, clusters=np.arange(400) // 20)
    assert standard_error(together, 1) > 2 * standard_error(decisions(changed, of=400), 1)


@pytest.mark.parametrize("clustered", [False, True])
def test_resampling_whole_rows_agrees_with_the_closed_form(clustered: bool) -> None:
    values = np.repeat(RNG(11).normal(size=200), 10) + RNG(12).normal(size=2000)
    clusters = np.repeat(np.arange(200), 10) if clustered else None
    closed = statistics.mean_interval(values, clusters, 0.95)
    resampled = statistics.resampled_interval(
        len(values), clusters, lambda picked: float(values[picked].mean()), 0.95
    )
    assert resampled.estimate == pytest.approx(closed.estimate)
    assert standard_error(resampled, 1) == pytest.approx(standard_error(closed, 1), rel=0.05)


def test_more_rows_than_bearable_are_resampled_in_part_and_scaled_back() -> None:
    values = RNG(13).normal(size=10 * statistics.SUBSAMPLE)
    drawn: list[int] = []

    def mean(picked: Any) -> float:
        drawn.append(len(picked))
        return float(values[picked].mean())

    resampled = statistics.resampled_interval(len(values), None, mean, 0.95)
    closed = statistics.mean_interval(values, None, 0.95)
    assert max(drawn[1:]) == statistics.SUBSAMPLE
    assert len(drawn[1:]) == 1_000
    assert standard_error(resampled, 1) == pytest.approx(standard_error(closed, 1), rel=0.05)


def test_the_rows_scored_in_all_are_bounded_however_few_the_clusters() -> None:
    rows = 100_000
    scored = 0

    def first(picked: Any) -> float:
        nonlocal scored
        scored += len(picked)
        return float(picked[0])

    statistics.resampled_interval(rows, np.arange(rows) % 40, first, 0.95)
    assert scored <= statistics.SCORED_ROWS + rows


@pytest.mark.parametrize("clusters", [None, np.zeros(1, dtype=int)])
def test_one_row_has_no_interval(clusters: Any) -> None:
    one = np.array([0.25])
    for interval in (
        statistics.mean_interval(one, clusters, 0.95),
        decisions([1], of=1, clusters=clusters),
        statistics.resampled_interval(1, clusters, lambda _: 0.25, 0.95),
    ):
        assert (interval.low, interval.high) == (None, None)
        assert "only" in interval.reason


def test_one_cluster_has_no_interval_however_many_rows() -> None:
    positive, first, second = tied_scores(RNG(14), 100)
    together = np.zeros(100, dtype=int)
    for interval in (
        statistics.mean_interval(first - second, together, 0.95),
        paired_auc(positive, first, second, together),
        statistics.resampled_interval(100, together, lambda _: 0.25, 0.95),
    ):
        assert interval.low is None
        assert "cluster" in interval.reason


def test_a_difference_that_never_varies_earns_no_certainty() -> None:
    interval = statistics.mean_interval(np.full(50, 0.3), None, 0.95)
    assert interval.estimate == pytest.approx(0.3)
    assert interval.low is None
    assert interval.reason == "no variation between rows to judge by"


def test_equal_models_differ_by_exactly_nothing() -> None:
    positive, first, _ = tied_scores(RNG(15), 100)
    interval = paired_auc(positive, first, first)
    assert (interval.estimate, interval.low, interval.high) == (0, 0, 0)
    interval = statistics.mean_interval(np.zeros(100), np.arange(100) % 7, 0.95)
    assert (interval.estimate, interval.low, interval.high) == (0, 0, 0)


@pytest.mark.parametrize("positives", [1, 4, 5])
def test_a_class_of_fewer_than_five_rows_or_clusters_has_no_auc_interval(positives: int) -> None:
    _, first, second = tied_scores(RNG(19), 60)
    positive = np.arange(60) < positives
    alone = paired_auc(positive, first, second)
    together = paired_auc(np.repeat(positive, 2), np.repeat(first, 2), np.repeat(second, 2),
                          np.repeat(np.arange(60), 2))  # fmt: skip
    if positives >= 5:
        assert None not in (alone.low, together.low)
        return
    assert (alone.low, together.low) == (None, None)
    assert alone.reason == "fewer than 5 rows of one class"
    assert together.reason == "rows of one class come from fewer than 5 clusters"


def misses(clusters: Any, positive: Any, runs: int) -> float:
    """Share of comparisons of equal models whose 95 % interval leaves zero out."""
    rng = RNG(20)
    missed = 0
    for _ in range(runs):
        own = 0 if clusters is None else rng.normal(size=(2, clusters.max() + 1))[:, clusters]
        score = rng.normal(size=len(positive)) + positive
        first, second = score + 0.5 * (rng.normal(size=(2, len(positive))) + own)
        interval = paired_auc(positive, first, second, clusters)
        assert interval.low is not None
        assert interval.high is not None
        missed += not interval.low <= 0 <= interval.high
    return missed / runs


def test_where_one_class_is_rare_95_of_100_auc_intervals_hold_the_truth() -> None:
    """By the normal quantile, or as many degrees as clusters, 9 of 100 miss here."""
    few = np.arange(200) < 5
    assert 0.03 <= misses(None, few, 400) <= 0.07
    clusters = np.repeat(np.arange(40), 10)
    in_five = (clusters < 5) & (np.arange(400) % 10 < 2)
    assert 0.03 <= misses(clusters, in_five, 400) <= 0.07


def test_a_statistic_that_some_resamples_do_not_define_has_no_interval() -> None:
    def share(rows: Any) -> float:
        return 1.0 if (rows == 0).any() else math.nan

    interval = statistics.resampled_interval(40, None, share, 0.95)
    assert (interval.estimate, interval.low) == (1, None)
    assert "too few rows" in interval.reason


def test_what_is_random_gives_the_same_interval_twice() -> None:
    values = RNG(16).random(50)
    first, second = (
        statistics.resampled_interval(50, None, lambda rows: float(values[rows].mean()), 0.95)
        for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize(
    ("estimate", "half", "margin", "expected"),
    [
        (0.01, 0.02, None, 400),  # four times the rows halve the width
        (0.0, 0.02, None, None),  # no number of rows tells nothing from nothing
        (0.0, 0.02, 0.01, 400),  # but they show that it is within the margin
        (0.001, 0.02, 0.011, 400),
        (1e-9, 0.02, None, None),
    ],
)
def test_rows_that_would_tell(
    estimate: float, half: float, margin: float | None, expected: int | None
) -> None:
    assert statistics.units_that_would_tell(estimate, half, margin, 100) == expected


def test_rows_that_would_tell_are_rounded_up_to_two_digits() -> None:
    assert statistics.units_that_would_tell(0.01, 0.0333, None, 1234) == 14_000


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_intervals_scale_with_the_unit(scale: float) -> None:
    values = RNG(17).normal(size=100)
    plain, scaled = (statistics.mean_interval(v, None, 0.95) for v in (values, values * scale))
    assert standard_error(scaled, 1) == pytest.approx(scale * standard_error(plain, 1))
    assert math.isfinite(scaled.estimate)
