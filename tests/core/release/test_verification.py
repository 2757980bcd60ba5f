"""Whether a release holds what is declared, by what its server counted before and after."""

from __future__ import annotations

from typing import Any

import pytest

from mergeline.core.declare.environments import Verify
from mergeline.core.release.verification import Traffic, Verification, verified


def look(
    before: Traffic,
    after: Traffic,
    *,
    requests: int = 1,
    errors: float | None = None,
    latency_ms: float | None = None,
    positives: tuple[float, float] | None = None,
    decision: float = 0.5,
) -> Verification:
    wanted = Verify(60, requests, errors, latency_ms, positives)
    return verified(
        after.since(before), wanted, decision=decision, page="release/late/0002", environment="p",
        at="now",
    )  # fmt: skip


QUICK = Traffic(1_000, 10, ((0.01, 500), (0.05, 995), (0.1, 1_000)))


def test_what_was_counted_in_between_is_told() -> None:
    found = look(QUICK, Traffic(3_000, 30, ((0.01, 1_500), (0.05, 2_990), (0.1, 3_000))))
    assert (found.requests, found.errors, found.latency_ms) == (2_000, 0.01, 50)
    assert found.problem == ""


@pytest.mark.parametrize(
    ("after", "declared", "problem"),
    [
        (QUICK, {}, "0 requests in 60 s, and 1 must be"),
        (QUICK, {"requests": 0, "errors": 0.0, "latency_ms": 1}, ""),
        (Traffic(1_100, 20, QUICK.within), {"errors": 0.05}, "10 of 100 requests failed, and at"),
        (Traffic(1_100, 15, QUICK.within), {"errors": 0.05}, ""),
        (
            Traffic(1_100, 10, ((0.01, 500), (0.05, 1_093), (0.1, 1_100))),
            {"latency_ms": 50},
            "99 % of the requests took up to 100 ms, and 50 ms are allowed",
        ),
        (Traffic(1_100, 10, ((0.01, 500), (0.05, 1_094), (0.1, 1_100))), {"latency_ms": 50}, ""),
        (
            Traffic(1_100, 10, ((0.01, 500), (0.05, 995), (0.1, 1_000))),
            {"latency_ms": 50},
            "took longer than is counted",
        ),
    ],
)
def test_what_does_not_hold_is_said(after: Traffic, declared: dict[str, Any], problem: str) -> None:
    found = look(QUICK, after, **declared)
    assert problem in found.problem
    assert bool(found.problem) == bool(problem)


def test_a_server_that_started_anew_counts_from_nothing() -> None:
    found = look(QUICK, Traffic(10, 5, ((0.01, 10),)), errors=0.1)
    assert found.problem.startswith("5 of 10 requests failed")


def test_the_share_of_positive_answers_is_told_and_held() -> None:
    before = Traffic(10, 0, (), ((0.0, 5), (0.5, 5)))
    after = Traffic(20, 0, (), ((0.0, 14), (0.45, 3), (0.5, 7), (0.95, 6)))
    assert look(before, after, positives=(0.4, 0.5)).positives == 0.4
    assert look(before, after, decision=0.45).positives == 0.55
    assert look(before, after, decision=0.9).positives == 0.4  # no such step was counted
    found = look(before, after, positives=(0.0, 0.35))
    assert found.problem == "it says yes to 40.0% of the rows, and 0.0% to 35.0% are expected"
    none = look(Traffic(), Traffic(20), positives=(0.0, 1.0))
    assert none.problem == "the server counts no answers of a binary model"
