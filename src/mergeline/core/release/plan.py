"""What must be done so that live becomes target."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from mergeline.core.declare.environments import Enter
from mergeline.core.gate.verdict import Situation
from mergeline.core.release.bundle import Evaluation
from mergeline.core.release.ledger import Entry, Ledger, page_name
from mergeline.core.release.stages import holder
from mergeline.core.release.version import Version

StepKind = Literal[
    "image", "register", "record", "promote", "describe", "deploy", "verify", "stage"
]


@dataclass(frozen=True)
class Target:
    """What Git says should serve.

    Attributes:
        gate: digest of its gate; None if not looked up.
        enter: what must have happened in staging before; None if nothing.
        moved_by: who moves it into production by hand; empty if nobody does.
    """

    model: str
    fingerprint: str
    commit: str
    gate: str | None = None
    enter: Enter | None = None
    moved_by: str = ""


@dataclass(frozen=True)
class Live:
    """What the ledger, the registry and the server say.

    Attributes:
        ledger: of this model. Its last page says who is champion.
        registry: whether there is a registry for people to look at and servers to follow.
        promoted: the version that the registry has in production.
        registered: the version of the target's candidate; the ledger's, if that names one.
        model_digest: of the target's candidate; None if the store has none.
        evaluation: the candidate's newest; None if there is none.
        serving: versions of the packages that serve models here, by name.
        served: digest of the model that the server answers with; None if no server is configured,
            empty if it serves none.
        versions: all that the registry has of the model.
        described: whether the registry's page of the target's version says what the ledger says.
        image: that serves the target's candidate, by its digest, whether it is built yet or not;
            empty where none is declared.
        image_built: whether the store has it.
        verified: whether what is in production was looked at after its release as long as is
            declared.
        staged: whether staging is as the page of the version in it says, in registry and server,
            and what must hold there was seen to hold.
        now: the time; ISO 8601, UTC.
    """

    ledger: Ledger
    registry: bool
    promoted: Version | None
    registered: Version | None
    model_digest: str | None
    evaluation: Evaluation | None
    serving: Mapping[str, str]
    served: str | None
    described: bool = True
    versions: tuple[Version, ...] = ()
    image: str = ""
    image_built: bool = True
    verified: bool = True
    staged: bool = True
    now: str = ""


@dataclass(frozen=True)
class Step:
    """One thing to do, and why."""

    kind: StepKind
    text: str


@dataclass(frozen=True)
class ReleasePlan:
    """The steps from live to target; none if they agree, or if something stands against it.

    Attributes:
        refusal: by the gate, with its reasons.
        missing: what must be judged or tested before; a release does neither (law 9).
        waits: what keeps it in staging for now, once the steps are taken; empty if nothing.
    """

    kind: Situation
    steps: tuple[Step, ...]
    refusal: tuple[str, ...] = ()
    missing: str = ""
    waits: str = ""


def plan_release(target: Target, live: Live, *, override: str | None = None) -> ReleasePlan:
    """Decide the steps. Applied, they leave a state for which this returns no steps.

    The page comes first. Whoever writes it has the release, so of two machines that
    release one commit only one does, and what the registry says follows the ledger.
    """
    champion = live.ledger.champion
    recorded = champion is not None and champion.fingerprint == target.fingerprint
    numbers = {version.number if version else None for version in (live.promoted, live.registered)}
    promoted = not live.registry or (len(numbers) == 1 and None not in numbers)
    kind = champion.kind if champion and recorded else _kind(target, live.ledger)
    name = f"v{live.ledger.number_of(target.fingerprint)}"
    shown = tuple(_shown(live, name, promoted=promoted))
    image = _image(live)
    if champion and recorded and promoted:
        last = (*_deploy(live, champion.model_digest), *_verify(live))
        return ReleasePlan(kind, (*image, *shown, *last))
    refusal: tuple[str, ...] = ()
    missing = ""
    if kind is not Situation.RESTORE and not recorded:
        refusal, missing = _judged(target, champion, live.evaluation, override=override)
    if not refusal and not missing:
        refusal, missing = _tested(live)
    if refusal or missing:
        return ReleasePlan(kind, (), refusal, missing)
    if not recorded and kind is not Situation.RESTORE and target.enter:
        staging, waits = _staging(target, target.enter, live)
        if waits:
            return ReleasePlan(kind, staging, waits=waits)
    steps = [*image]
    if not recorded:
        page = page_name(target.model, live.ledger.next)
        steps.append(Step("record", f"{name} in the ledger: {page}"))
    last = (*_deploy(live, live.model_digest if promoted else None), *_verify(live))
    return ReleasePlan(kind, (*steps, *shown, *last))


def _kind(target: Target, ledger: Ledger) -> Situation:
    if not ledger.entries:
        return Situation.FIRST
    released = ledger.has_released(target.fingerprint)
    return Situation.RESTORE if released else Situation.CHANGE


_Obstacle = tuple[tuple[str, ...], str]
"""The reasons of a refusal, and what is missing."""


def _judged(
    target: Target,
    champion: Entry | None,
    evaluation: Evaluation | None,
    *,
    override: str | None,
) -> _Obstacle:
    """What the verdict has against a release: it must be of today's champion and today's gate."""
    if evaluation is None:
        return (), "this tree was never evaluated"
    if evaluation.champion != (champion.fingerprint if champion else None):
        return (), "production has changed since this tree was evaluated"
    if target.gate is not None and evaluation.gate_digest != target.gate:
        return (), "the gate has changed since this tree was evaluated"
    if evaluation.verdict == "pass" or override:
        return (), ""
    return (f"the gate said {evaluation.verdict}", *evaluation.reasons), ""


def _tested(live: Live) -> _Obstacle:
    """What the smoke test has against a release; a revert is not exempt from it."""
    tested = live.evaluation.smoke_test if live.evaluation else None
    if tested is None or tested.model_digest != live.model_digest:
        return (), "its model was never smoke-tested"
    for name in sorted({*tested.versions, *live.serving}):
        then, now = tested.versions.get(name, "none"), live.serving.get(name, "none")
        if then != now:
            return (), f"its model was smoke-tested with {name} {then}, and here is {now}"
    return (("the smoke test failed", tested.problem) if tested.problem else ()), ""


def _shown(live: Live, name: str, *, promoted: bool) -> Iterator[Step]:
    """What must be written for people to look at, and for servers to follow."""
    if not live.registry:
        return
    if live.registered is None:
        yield Step("register", f"{name} where people look at it")
    if not promoted:
        replaced = f" in place of v{live.promoted.number}" if live.promoted else ""
        yield Step("promote", f"{name} to Production{replaced}")
    if not promoted or not live.described:
        yield Step("describe", f"{name} on the registry's pages")


def _staging(target: Target, enter: Enter, live: Live) -> tuple[tuple[Step, ...], str]:
    """What must be done in staging, and what production waits for; both may be nothing."""
    steps: tuple[Step, ...] = ()
    page = holder(live.ledger.moves, "Staging")
    now = dt.datetime.fromisoformat(live.now)
    since = now
    if page is None or page.fingerprint != target.fingerprint or not live.staged:
        number = live.ledger.number_of(target.fingerprint)
        steps = (Step("stage", f"v{number} in staging"),)
    if page is not None and page.fingerprint == target.fingerprint:
        since = dt.datetime.fromisoformat(page.released_at)
    until = since + dt.timedelta(hours=enter.hours)
    if until > now:
        return steps, f"production takes it from {until:%Y-%m-%d %H:%M} UTC on"
    if enter.approval and not target.moved_by:
        return steps, f"a person moves it on: mergeline promote {target.model} staging production"
    return steps, "production takes it as soon as it stands there" if steps else ""


def _image(live: Live) -> tuple[Step, ...]:
    return () if live.image_built else (Step("image", live.image or "what serves it"),)


def _verify(live: Live) -> tuple[Step, ...]:
    return () if live.verified else (Step("verify", "what it answers in production"),)


def _deploy(live: Live, promoted: str | None) -> tuple[Step, ...]:
    """The step of the server, unless it has the digest of what is promoted already."""
    if live.served is None or live.served == promoted:
        return ()
    return (Step("deploy", "the server must answer with it"),)
