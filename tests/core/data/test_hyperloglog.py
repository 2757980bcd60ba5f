import numpy as np
import pytest

from mergeline.core.data import hyperloglog


@pytest.mark.parametrize("count", [1, 10, 300, 2_048, 5_000, 10_000, 300_000])
def test_the_estimate_is_within_four_standard_errors(count: int) -> None:
    """Also where the classic estimator is biased, between 2 and 5 times the registers."""
    hashes = hyperloglog.hash_numbers(np.arange(count, dtype=np.int64) * 7919)
    error = hyperloglog.estimate(hyperloglog.sketch(hashes)) / count - 1
    assert abs(error) < 4 * hyperloglog.STANDARD_ERROR


def test_no_value_is_zero() -> None:
    assert hyperloglog.estimate(hyperloglog.empty()) == 0


def test_merging_is_the_sketch_of_all_values() -> None:
    hashes = hyperloglog.hash_texts(f"plane {n}" for n in range(9_000))
    parts = [hyperloglog.sketch(hashes[:5_000]), hyperloglog.sketch(hashes[4_000:])]
    merged = hyperloglog.merge(parts)
    assert np.array_equal(merged, hyperloglog.sketch(hashes))


def test_repeated_values_change_nothing_and_text_reads_back() -> None:
    hashes = hyperloglog.hash_numbers(np.arange(1_000, dtype=np.float64))
    once = hyperloglog.sketch(hashes)
    assert np.array_equal(once, hyperloglog.sketch(np.concatenate([hashes, hashes])))
    assert np.array_equal(hyperloglog.from_text(hyperloglog.to_text(once)), once)


def test_hashes_are_the_same_on_every_machine() -> None:
    """They are kept in files: another value here means another edition of the profiles."""
    assert hyperloglog.hash_numbers(np.array([0, 1], dtype=np.int64)).tolist() == [
        16294208416658607535,
        10451216379200822465,
    ]
    assert hyperloglog.hash_texts(["EWR"]).tolist() == [12011206863962458]
    zeros = hyperloglog.hash_numbers(np.array([0.0, -0.0]))
    assert zeros[0] == zeros[1]
