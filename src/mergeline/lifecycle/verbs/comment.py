"""`comment`: show a bundle's reports on its pull request.

This runs where a token may write, on what an untrusted job left. So it reads `report.json` only,
strictly, and takes neither text nor code nor a model from the bundle; and a bundle's word about
whose report it is counts only if that pull request proposes the commit that was evaluated.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mergeline.adapters.forge.base import Comment, Forge, PullRequest, State, standing_report
from mergeline.core.release.bundle import EVALUATION_FILES, REPORT
from mergeline.core.report.content import Report
from mergeline.core.report.one_comment import ROOM, Stamp, read_stamp
from mergeline.core.report.render.markdown import to_markdown
from mergeline.errors import BundleError, NotFoundError, StoreError, TrackingError
from mergeline.lifecycle.steps.bundle_folders import read_reports
from mergeline.lifecycle.steps.project import Project, Say

MARKER = "report"


UNCHANGED: tuple[State, str] = ("success", "no model changes")


@dataclass(frozen=True)
class Commented:
    """What a pull request is told, or would be with `--plan`.

    Attributes:
        pull_request: None if none proposes the commit, as that of a merge queue.
        head: the evaluated commit.
        newer_head: what the pull request proposes instead of `head`; then nothing is posted.
        status: state and text beside the commit.
        url: the comment's address; None if nothing was posted.
    """

    pull_request: int | None
    head: str
    status: tuple[State, str]
    newer_head: str | None = None
    url: str | None = None


def comment(
    project: Project, bundle: Path | None, *, plan_only: bool = False, say: Say
) -> Commented:
    """Post the reports of a bundle, or of a folder of bundles, as the pull request's one report.

    The state of each verdict is set beside the evaluated commit too. Without a bundle that commit
    changes no model: its state is success, nothing is posted, and a report that stands shrinks to
    a line. With `plan_only` nothing is posted.

    Raises:
        NotFoundError: there is no forge, or nothing says which commit was evaluated.
        BundleError: there is no report, or it cannot be one.
        ForgeError: the forge refuses.
    """
    reports = [] if bundle is None else read_reports(bundle)
    forge = project.forge
    if forge is None:
        raise NotFoundError(
            "there is no forge to comment on",
            next_step="Set GITHUB_TOKEN and GITHUB_REPOSITORY, or MERGELINE_FORGE to a folder",
        )
    head = _head(project, reports)
    pull = _pull_request(project, forge, reports, head)
    number = pull.number if pull else None
    status = state(reports) if reports else UNCHANGED
    newer = pull.head_sha if pull and pull.head_sha != head else None
    if project.pull_request is not None:
        newer = None  # a trial merge, which no branch has as its head
    told = Commented(number, head, status, newer_head=newer)
    if plan_only:
        return told
    if pull is None or newer:
        say(f"no pull request proposes {head[:8]}" if pull is None else f"{newer} is proposed now")
        forge.set_status(head, *status)
        return told
    say(f"reporting on pull request {pull.number}")
    if not reports:
        return replace(told, url=_shrink(forge, pull.number, head))
    return replace(told, url=_show(project, forge, pull.number, head, reports=reports, say=say))


def _show(
    project: Project, forge: Forge, number: int, head: str, *, reports: list[Report], say: Say
) -> str:
    """Post the reports as one, and set their state unless a later report stands."""
    reports = [_completed(project, report, head, number, say) for report in reports]
    evaluated_at = _evaluated_at(reports)
    between, end = "\n---\n\n", _where_the_page_is(project.environment)
    room = (ROOM - len(between) * (len(reports) - 1) - len(end)) // len(reports)
    text = between.join(to_markdown(report, limit=room) for report in reports) + end
    shown = forge.upsert_report(number, text, Stamp(MARKER, head, evaluated_at))
    stamp = read_stamp(shown.body, MARKER)
    if stamp is None or stamp.head_sha != head or stamp.evaluated_at <= evaluated_at:
        forge.set_status(head, *state(reports), _web(shown))
    return shown.url


def _where_the_page_is(environment: Mapping[str, str]) -> str:
    """Where a job leaves the report as a page; empty where this is no job."""
    server, run = environment.get("GITHUB_SERVER_URL"), environment.get("GITHUB_RUN_ID")
    repository = environment.get("GITHUB_REPOSITORY")
    if not server or not run or not repository:
        return ""
    url = f"{server}/{repository}/actions/runs/{run}"
    return f"\nThe whole report as a page: artifact `judged` of [this run]({url}), for two weeks.\n"


def _shrink(forge: Forge, number: int, head: str) -> str | None:
    """Let a report that stands say that nothing is left to report."""
    shown = None
    if standing_report(forge, number, MARKER) is not None:
        text = f"At `{head[:7]}` this pull request changes no model."
        stamp = Stamp(MARKER, head, dt.datetime.now(dt.UTC))
        shown = forge.upsert_report(number, text, stamp).url
    forge.set_status(head, *UNCHANGED)
    return shown


def _web(shown: Comment) -> str | None:
    return shown.url if shown.url.startswith("http") else None


def _completed(project: Project, report: Report, head: str, number: int, say: Say) -> Report:
    """The report with what only the trusted side knows: the head, and where the run is.

    A candidate that is not in the store, as none of a fork is, trains again when it is merged.
    """
    subject = replace(report.subject, commit=head, pull_request=number)
    report = replace(report, subject=subject)
    shown, fingerprint = report.run, report.fingerprint
    if shown is None or fingerprint is None or report.on_merge is None:
        return report
    try:
        if project.store.find(report.model, fingerprint) is None:
            report = replace(report, on_merge=replace(report.on_merge, trains=True))
        run = project.mlflow.find(report.model, fingerprint) if project.mlflow else None
    except (StoreError, TrackingError) as error:
        say(f"where the candidate is kept is not known: {error}")
        return report
    return replace(report, run=replace(shown, id=run.run_id, url=run.url)) if run else report


def state(reports: list[Report]) -> tuple[State, str]:
    """What stands beside the commit: the worst of the reports, and each in a word."""
    states: set[State] = set()
    words = []
    for report in reports:
        if report.verdict is None:
            states.add("error")
            words.append(f"{report.model}: could not be evaluated")
        else:
            states.add("success" if report.verdict.outcome == "pass" else "failure")
            words.append(f"{report.model}: {report.verdict.outcome}")
    order: tuple[State, ...] = ("error", "failure", "success")
    return min(states, key=order.index), ", ".join(words)


def _head(project: Project, reports: list[Report]) -> str:
    """The commit that was evaluated, by the forge's word (MERGELINE_HEAD) before the bundle's.

    On GitHub a pull request's job evaluates a trial merge, which is no commit of the branch.
    """
    head = project.environment.get("MERGELINE_HEAD")
    if not head and not reports:
        raise NotFoundError(
            "nothing says which commit was evaluated", next_step="Set MERGELINE_HEAD to it"
        )
    head = head or reports[0].subject.commit
    if not head:
        raise NotFoundError(
            "the report is of files that are not committed",
            next_step="Commit, push, and evaluate again",
        )
    return head


def _pull_request(
    project: Project, forge: Forge, reports: list[Report], head: str
) -> PullRequest | None:
    number = project.pull_request or next((it.subject.pull_request for it in reports), None)
    return forge.pull_request(number) if number else forge.pull_request_of(head)


def _evaluated_at(reports: list[Report]) -> dt.datetime:
    """When the evaluation began; a bundle cannot place itself in the future."""
    try:
        began = [dt.datetime.fromisoformat(report.evaluated_at) for report in reports]
        return min(*began, dt.datetime.now(dt.UTC))
    except (ValueError, TypeError) as error:
        raise BundleError(
            "the time of the evaluation is invalid or has no time zone",
            where=f"{EVALUATION_FILES}/{REPORT}",
            next_step="Evaluate again",
        ) from error
