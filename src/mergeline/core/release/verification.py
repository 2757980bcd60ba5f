"""Whether a released version holds in its environment what is declared, by its server's counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mergeline.core.declare.environments import Verify

VERIFICATION_TYPE = "application/vnd.mergeline.verification+json"
_NEARLY_ALL = 0.99


@dataclass(frozen=True)
class Traffic:
    """What a server has counted of one version since it started.

    Attributes:
        requests: for predictions.
        failed: those that failed on the server's side (status 500 and above).
        within: how many took at most so many seconds, by rising bounds.
        probabilities: rows by the probability of the positive class, by the lower edge of each of
            the steps that the server counts by; of a binary model only.
    """

    requests: int = 0
    failed: int = 0
    within: tuple[tuple[float, int], ...] = ()
    probabilities: tuple[tuple[float, int], ...] = ()

    def since(self, before: Traffic) -> Traffic:
        """What came after another look; a server that started anew counts from nothing."""
        if self.requests < before.requests:
            return self
        within, rows = dict(before.within), dict(before.probabilities)
        return Traffic(
            self.requests - before.requests,
            self.failed - before.failed,
            tuple((bound, count - within.get(bound, 0)) for bound, count in self.within),
            tuple((edge, count - rows.get(edge, 0)) for edge, count in self.probabilities),
        )


@dataclass(frozen=True)
class Verification:
    """What was seen of a release for a while.

    Attributes:
        page: of the ledger, that is of the release.
        at: when it ended; ISO 8601, UTC.
        seconds: how long it was looked at.
        errors: share of the requests that failed; None without any.
        latency_ms: bound that 99 % of them kept, of those that the server counts by; None without
            any, or where they took longer than the largest.
        problem: what did not hold; empty if all did.
        positives: share of the rows that the model says yes to; None where none was counted.
    """

    page: str
    environment: str
    at: str
    seconds: float
    requests: int
    errors: float | None
    latency_ms: float | None
    problem: str = ""
    positives: float | None = None


def verified(
    seen: Traffic, declared: Verify, *, decision: float, page: str, environment: str, at: str
) -> Verification:
    """Hold what was counted for a while against what is declared.

    Args:
        seen: between two looks.
        declared: what must hold.
        decision: probability from which the model says yes. The share of yes is that of the steps
            from there on, so one that is no edge of a step is taken for the next edge below.
        page: of the ledger.
        environment: where it was seen.
        at: when it ended.
    """
    requests = seen.requests
    errors = seen.failed / requests if requests else None
    kept = (bound for bound, count in seen.within if requests and count >= _NEARLY_ALL * requests)
    latency = next((bound * 1_000 for bound in kept), None)
    found = Verification(
        page, environment, at, declared.seconds, requests, errors, latency,
        positives=_positives(seen, decision),
    )  # fmt: skip
    return replace(found, problem=next(_problems(found, seen, declared), ""))


def _positives(seen: Traffic, decision: float) -> float | None:
    rows = sum(count for _, count in seen.probabilities)
    edges = [edge for edge, _ in seen.probabilities if edge <= decision]
    if not rows or not edges:
        return None
    return sum(count for edge, count in seen.probabilities if edge >= max(edges)) / rows


def _problems(found: Verification, seen: Traffic, declared: Verify) -> Iterator[str]:
    requests, most = found.requests, declared.latency_ms
    if requests < declared.requests:
        yield f"{requests} requests in {declared.seconds:g} s, and {declared.requests} must be"
    if not requests:
        return
    if declared.errors is not None and (found.errors or 0) > declared.errors:
        yield f"{seen.failed} of {requests} requests failed, and at most {declared.errors:.2%} may"
    if most is not None and (found.latency_ms is None or found.latency_ms > most):
        took = f"up to {found.latency_ms:g} ms" if found.latency_ms else "longer than is counted"
        yield f"99 % of the requests took {took}, and {most:g} ms are allowed"
    if declared.positives is not None:
        low, high = declared.positives
        if found.positives is None:
            yield "the server counts no answers of a binary model"
        elif not low <= found.positives <= high:
            yield (
                f"it says yes to {found.positives:.1%} of the rows, and {low:.1%} to {high:.1%} "
                "are expected"
            )
