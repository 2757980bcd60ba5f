"""Releases: what must be done so that live becomes target, and the ledger that records it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mergeline.core.declare.strict import read_json, write_json
from mergeline.core.release.bundle import Evaluation
from mergeline.errors import DeclarationError

Stage = Literal["None", "Staging", "Production", "Archived"]
Kind = Literal["first", "release", "restore"]
StepKind = Literal["evaluate", "register", "smoke test", "promote", "deploy", "record"]
LEDGER = "release"  # namespace of the tags
_PAGE_NAME = re.compile(rf"{LEDGER}/[^/]+/\d{{4,}}")
FORMAT = 1


@dataclass(frozen=True)
class Version:
    """A registered version.

    Attributes:
        override: a person's reason to promote it in spite of the verdict.
    """

    model: str
    number: int
    stage: str
    fingerprint: str
    model_digest: str
    run_id: str
    override: str | None = None


@dataclass(frozen=True)
class Entry:
    """One page of the ledger: the message of the tag `release/<model>/<sequence>`.

    Attributes:
        kind: `restore` when an earlier release went back into production.
        replaced: the version that was in production before.
        verdict: of the gate; None for a restore, which is exempt.
        override: a person's reason to release in spite of the verdict.
        released_at: ISO 8601, UTC.
    """

    format: int
    model: str
    sequence: int
    kind: Kind
    version: int
    fingerprint: str
    model_digest: str
    run_id: str
    commit: str
    subject: str
    author: str
    pull_request: int | None
    replaced: int | None
    verdict: str | None
    override: str | None
    released_at: str


@dataclass(frozen=True)
class Target:
    """What Git says should serve.

    Attributes:
        gate: digest of the gate that the commit is to be judged by; None: not looked up.
    """

    model: str
    fingerprint: str
    commit: str
    gate: str | None = None


@dataclass(frozen=True)
class Live:
    """What the registry, the ledger and the server say.

    Attributes:
        champion: the version in production.
        registered: the version that carries the target's fingerprint.
        candidate: whether a complete run of the target's fingerprint is tracked.
        evaluation: its newest.
        ledger: of this model, oldest first.
        served: digest of the model that the server answers with; None where no server is
            configured, empty where it serves none.
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
    """The steps from live to target; none when they agree.

    Attributes:
        refusal: why the gate lets nothing happen; then there are no steps.
    """

    kind: Kind
    steps: tuple[Step, ...]
    refusal: tuple[str, ...] = ()


def plan_release(target: Target, live: Live, *, override: str | None = None) -> ReleasePlan:
    """Decide the steps. Applied, they leave a state for which this returns no steps."""
    kind = _kind(target, live)
    in_production = live.champion is not None and live.champion.fingerprint == target.fingerprint
    steps: list[Step] = []
    if not in_production:
        if kind != "restore" and (why := _must_evaluate(target, live)):
            steps.append(Step("evaluate", why))
        elif kind != "restore" and not override and (refusal := _refusal(live)):
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
    if not live.ledger or live.ledger[-1].fingerprint != target.fingerprint:
        steps.append(Step("record", f"in the ledger: {page_name(target.model, _next(live))}"))
    return ReleasePlan(kind, tuple(steps))


def _kind(target: Target, live: Live) -> Kind:
    earlier = live.ledger[:-1] if _is_last(target, live) else live.ledger
    if live.registered and any(entry.fingerprint == target.fingerprint for entry in earlier):
        return "restore"
    if _is_last(target, live) and live.champion and live.champion.fingerprint != target.fingerprint:
        return "restore"  # somebody moved the alias by hand
    replaces = live.champion is not None and live.champion.fingerprint != target.fingerprint
    return "release" if replaces or live.ledger else "first"


def _is_last(target: Target, live: Live) -> bool:
    return bool(live.ledger) and live.ledger[-1].fingerprint == target.fingerprint


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


def _next(live: Live) -> int:
    return live.ledger[-1].sequence + 1 if live.ledger else 1


def next_entry(
    ledger: Sequence[Entry],
    version: Version,
    kind: Kind,
    *,
    commit: str,
    subject: str,
    author: str,
    pull_request: int | None,
    verdict: str | None,
    override: str | None,
    released_at: str,
) -> Entry:
    """The page that follows a model's ledger."""
    last = ledger[-1] if ledger else None
    return Entry(
        format=FORMAT,
        model=version.model,
        sequence=last.sequence + 1 if last else 1,
        kind=kind,
        version=version.number,
        fingerprint=version.fingerprint,
        model_digest=version.model_digest,
        run_id=version.run_id,
        commit=commit,
        subject=subject,
        author=author,
        pull_request=pull_request,
        replaced=last.version if last else None,
        verdict=verdict,
        override=override,
        released_at=released_at,
    )


def page_name(model: str, sequence: int) -> str:
    """Name of a page's tag."""
    return f"{LEDGER}/{model}/{sequence:04d}"


def page_text(entry: Entry) -> str:
    """Message of a page's tag: a line for people, then JSON."""
    what = {"restore": "goes back into production"}.get(entry.kind, "goes into production")
    return f"{entry.model} v{entry.version} {what}\n\n{write_json(entry)}"


def read_pages(pages: Mapping[str, str]) -> tuple[Entry, ...]:
    """The ledger out of its tags' messages, oldest first; a tag of another form is no page.

    Raises:
        DeclarationError: a page cannot be read, or is another than its name says.
    """
    entries = [_page(name, text) for name, text in pages.items() if _PAGE_NAME.fullmatch(name)]
    return tuple(sorted(entries, key=lambda entry: (entry.model, entry.sequence)))


def _page(name: str, text: str) -> Entry:
    _, _, document = text.partition("{")
    entry = read_json(Entry, "{" + document, where=name)
    if page_name(entry.model, entry.sequence) != name:
        raise DeclarationError("the page is another than its name says", where=name)
    return entry
