"""Whether a released version holds in its environment what is declared, by its server's counts."""

from __future__ import annotations

from dataclasses import dataclass

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
    """

    requests: int = 0
    failed: int = 0
    within: tuple[tuple[float, int], ...] = ()


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
    """

    page: str
    environment: str
    at: str
    seconds: float
    requests: int
    errors: float | None
    latency_ms: float | None
    problem: str = ""


def verified(
    before: Traffic, after: Traffic, declared: Verify, *, page: str, environment: str, at: str
) -> Verification:
    """Hold what was counted between two looks against what is declared.

    A server that started anew in between counts from nothing.
    """
    if after.requests < before.requests:
        before = Traffic()
    requests, failed = after.requests - before.requests, after.failed - before.failed
    then = dict(before.within)
    within = [(bound, count - then.get(bound, 0)) for bound, count in after.within]
    errors = failed / requests if requests else None
    kept = (bound for bound, count in within if requests and count >= _NEARLY_ALL * requests)
    latency = next((bound * 1_000 for bound in kept), None)
    most = declared.latency_ms
    problem = ""
    if requests < declared.requests:
        problem = f"{requests} requests in {declared.seconds:g} s, and {declared.requests} must be"
    elif declared.errors is not None and errors is not None and errors > declared.errors:
        problem = f"{failed} of {requests} requests failed, and at most {declared.errors:.2%} may"
    elif most is not None and requests and (latency is None or latency > most):
        took = "longer than is counted" if latency is None else f"up to {latency:g} ms"
        problem = f"99 % of the requests took {took}, and {most:g} ms are allowed"
    return Verification(page, environment, at, declared.seconds, requests, errors, latency, problem)
