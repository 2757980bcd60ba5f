"""Have a version serve where it is released to, look at it there, take it back if it fails."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import replace

from mergeline.adapters.deploy import Wanted, open_target
from mergeline.adapters.scoring_server import Client
from mergeline.core.declare.environments import Environment, Name
from mergeline.core.declare.model import DECISION
from mergeline.core.declare.strict import read_json, write_json
from mergeline.core.gate.verdict import Situation
from mergeline.core.release.ledger import Entry, Ledger, page_name
from mergeline.core.release.stages import stages_of
from mergeline.core.release.verification import VERIFICATION_TYPE, Verification, verified
from mergeline.errors import DeployError, MergelineError
from mergeline.lifecycle.steps.ledger_pages import write_page
from mergeline.lifecycle.steps.project import Project

_TRIES = 5
_PAUSE = 0.1  # seconds between looks


def server_of(project: Project, environment: Environment) -> str | None:
    """Address of what answers in an environment; None where nothing is known to."""
    return environment.server or project.server


def ask_server(
    project: Project, environment: Environment, model: str, name: Name = "production"
) -> str | None:
    """Digest of the model that an environment's server answers with; None if there is no server.

    It is empty if the server has none.

    Raises:
        DeployError: the server does not answer.
    """
    address = server_of(project, environment)
    if address is None:
        return None
    for version in Client(address, token=project.server_token).versions(model):
        if str(version.get("stage", "")).lower() == name and version.get("loaded"):
            return str(version["model_digest"])
    return ""


def bring(
    project: Project, environment: Environment, entry: Entry, image: str, name: Name = "production"
) -> None:
    """Tell an environment's target of a release, and wait until its server answers with it.

    Raises:
        DeployError: the target refuses, or the server does not in time.
    """
    wanted = Wanted(name, entry.model, entry.version, entry.fingerprint, entry.model_digest, image)
    open_target(environment.deploy, project.environment).deploy(wanted)
    address = server_of(project, environment)
    if address is None:
        return
    until, problem = time.monotonic() + environment.patience, ""
    while time.monotonic() < until:
        try:
            if ask_server(project, environment, entry.model, name) == entry.model_digest:
                return
            problem = ""
        except DeployError as error:  # a server that is replaced may be away for a moment
            problem = f": {error.message}"
        time.sleep(_PAUSE)
    raise DeployError(
        f"the server did not take up {entry.model} v{entry.version} within "
        f"{environment.patience:g} s{problem}",
        where=address,
        next_step="Look at its log and at /readyz, then run the release again",
    )


def verify(
    project: Project, environment: Environment, entry: Entry, name: Name = "production"
) -> Verification:
    """Look for as long as is declared at what the server counts of a release, and keep what held.

    Raises:
        DeployError: the server does not answer, or what is declared does not hold.
    """
    declared, address = environment.verify, server_of(project, environment)
    assert declared is not None  # noqa: S101 - else nobody asks
    assert address is not None  # noqa: S101 - the reader of the declaration demands it
    client = Client(address, token=project.server_token)
    before = client.traffic(entry.model, entry.version)
    time.sleep(declared.seconds)
    after = client.traffic(entry.model, entry.version)
    found = verified(
        after.since(before), declared, decision=_decision(project, entry),
        page=page_name(entry.model, entry.sequence), environment=name, at=_now(),
    )  # fmt: skip
    if found.problem:
        raise DeployError(found.problem, where=address)
    stored = project.store.find(entry.model, entry.fingerprint)
    if stored is not None:
        project.store.attach(
            project.store.subject(stored), write_json(found).encode(), VERIFICATION_TYPE
        )
    return found


def _decision(project: Project, entry: Entry) -> float:
    """From which probability on a released model says yes, by the tree that it was released of."""
    declared = project.tree(entry.commit).models.get(entry.model)
    return declared.decision if declared else DECISION


def is_verified(project: Project, entry: Entry) -> bool:
    """Whether the release of a page was looked at as long as was declared, and held."""
    stored = project.store.find(entry.model, entry.fingerprint)
    found = project.store.attached(stored.digest, VERIFICATION_TYPE) if stored else []
    name = page_name(entry.model, entry.sequence)
    return any(
        read_json(Verification, each, where=project.store.name).page == name for each in found
    )


def take_back(project: Project, failed: Entry, why: str) -> Entry | None:
    """Write that what a failed version replaced is in its place again.

    In production that is the version before it; in staging it may be none.

    Returns:
        The page; None where there was no other in production, or another page came meanwhile.
    """
    for _ in range(_TRIES):
        project.forget_ledger()
        ledger = project.ledger_of(failed.model)
        former = _former(ledger, failed)
        if former is None:
            return None
        entry = replace(
            former,
            sequence=ledger.next,
            kind=Situation.RESTORE if failed.stage == "Production" else Situation.CHANGE,
            replaced=failed.version if former.version != failed.version else None,
            verdict=None,
            override=None,
            released_at=_now(),
            better=False,
            holdout_moved=False,
            approval=None,
            evaluation="",
            taken_back=why,
        )
        if written := write_page(project, entry, project.signing()):
            return written
    return None


def _former(ledger: Ledger, failed: Entry) -> Entry | None:
    """What a failed page gives way to; None if that is nothing, or the page is not the last."""
    same = [move for move in ledger.moves if move.stage == failed.stage]
    if not same or same[-1] != failed:
        return None
    if failed.stage == "Production":
        return same[-2] if len(same) > 1 else None
    held = stages_of(ledger.moves[: ledger.moves.index(failed)])
    holders = (move for move in reversed(same[:-1]) if held[move.version] == failed.stage)
    return next(holders, replace(failed, stage="None"))


def bring_back(
    project: Project, environment: Environment, former: Entry, name: Name = "production"
) -> str:
    """Have the version before a failed one serve again; why it does not, or nothing.

    Its target is told even if it still serves: it must not go on trying the other.
    """
    try:
        bring(project, environment, former, former.image, name)
    except MergelineError as error:  # the failure itself is what has to be told
        return str(error)
    return ""


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
