"""What must be done so that live becomes target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mergeline.core.gate.verdict import Situation
from mergeline.core.release.bundle import Evaluation
from mergeline.core.release.ledger import Entry, next_sequence, page_name
from mergeline.core.release.version import Version

StepKind = Literal["evaluate", "register", "smoke test", "promote", "deploy", "record"]


@dataclass(frozen=True)
class Target:
    """What Git says should serve; `gate` is the digest of its gate, None if not looked up."""

    model: str
    fingerprint: str
    commit: str
    gate: str | None = None


@dataclass(frozen=True)
class Live:
    """What the registry, the ledger and the server say.

    Attributes:
        registered: the version that carries the target's fingerprint.
        candidate: whether a complete run of the target's fingerprint is tracked.
        evaluation: its newest.
        ledger: of this model, oldest first.
        served: digest of the model that the server answers with; None if no server is configured,
            empty if it serves none.
    """

    champion: Version | None
    registered: Version | None
    candidate: bool
    evaluation: Evaluation | None
    ledger: tuple[Entry, ...]
    served: str | None


@dataclass(frozen=True)
class Step:
    """One thing to do, and why."""

    kind: StepKind
    text: str


@dataclass(frozen=True)
class ReleasePlan:
    """The steps from live to target; none if they agree, or if there is a refusal by the gate."""

    kind: Situation
    steps: tuple[Step, ...]
    refusal: tuple[str, ...] = ()


def plan_release(target: Target, live: Live, *, override: str | None = None) -> ReleasePlan:
    """Decide the steps. Applied, they leave a state for which this returns no steps."""
    in_production = live.champion is not None and live.champion.fingerprint == target.fingerprint
    recorded = bool(live.ledger) and live.ledger[-1].fingerprint == target.fingerprint
    kind = _kind(target, live, in_production=in_production, recorded=recorded)
    steps: list[Step] = []
    if not in_production:
        if kind is not Situation.RESTORE and (why := _must_evaluate(target, live)):
            steps.append(Step("evaluate", why))
        elif kind is not Situation.RESTORE and not override and (refusal := _refusal(live)):
            return ReleasePlan(kind, (), refusal)
        if live.registered is None:
            steps.append(Step("register", "the reviewed model becomes a version"))
        name = f"v{live.registered.number}" if live.registered else "the new version"
        steps.append(Step("smoke test", f"{name} must answer as it did when it was evaluated"))
        replaced = f" in place of v{live.champion.number}" if live.champion else ""
        steps.append(Step("promote", f"{name} to Production{replaced}"))
    digest = live.registered.model_digest if live.registered else None
    if live.served is not None and (live.served != digest or not in_production):
        steps.append(Step("deploy", "the server must answer with it"))
    if not recorded:
        page = page_name(target.model, next_sequence(live.ledger))
        steps.append(Step("record", f"in the ledger: {page}"))
    return ReleasePlan(kind, tuple(steps))


def _kind(target: Target, live: Live, *, in_production: bool, recorded: bool) -> Situation:
    earlier = live.ledger[:-1] if recorded else live.ledger
    if live.registered and any(entry.fingerprint == target.fingerprint for entry in earlier):
        return Situation.RESTORE
    if live.champion and not in_production:  # recorded: somebody moved the alias by hand
        return Situation.RESTORE if recorded else Situation.CHANGE
    return Situation.CHANGE if live.ledger else Situation.FIRST


def _must_evaluate(target: Target, live: Live) -> str:
    if not live.candidate:
        return "this tree was never evaluated: train it and hold it against production"
    champion = live.champion.fingerprint if live.champion else None
    if live.evaluation is None:
        return "the candidate was never compared"
    if live.evaluation.champion != champion:
        return "production has changed since the candidate was compared: compare again"
    if target.gate is not None and live.evaluation.gate_digest != target.gate:
        return "the gate has changed since the candidate was judged: judge again"
    return ""


def _refusal(live: Live) -> tuple[str, ...]:
    evaluation = live.evaluation
    if evaluation is None or evaluation.verdict == "pass":
        return ()
    return (f"the gate said {evaluation.verdict}", *evaluation.reasons)
