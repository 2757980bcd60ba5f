"""`answer`: do what a comment under a pull request asks for, if its author may write."""

from __future__ import annotations

from mergeline.adapters.forge.base import Forge
from mergeline.adapters.forge.event import Written, comment_of_event
from mergeline.errors import MergelineError, NotFoundError
from mergeline.lifecycle.steps.approvals import record_approval
from mergeline.lifecycle.steps.asked import record_asked
from mergeline.lifecycle.steps.project import Project

_CALL = "/mergeline"
_COMMANDS = ("evaluate", "retry", "approve REASON", "attribution", "sample")
_EVALUATION = "pull-request.yml"


def answer(project: Project) -> str:
    """Read the comment that started this job, do what it asks for, and say so beneath it.

    A comment of somebody who may not write is not answered. Returns what was done.

    Raises:
        NotFoundError: there is no forge, or no comment started this job.
        ForgeError: the forge refuses.
    """
    written, forge = comment_of_event(project.environment), project.forge
    if forge is None or written is None:
        raise NotFoundError(
            "no comment started this job" if forge else "there is no forge to answer on",
            next_step="Run it in a workflow that issue_comment starts, with GITHUB_TOKEN",
        )
    called, _, asked = written.text.partition("\n")[0].strip().partition(" ")
    if called != _CALL:
        return f"not a command: it does not begin with {_CALL}"
    if not forge.may_write(written.author):
        return f"{written.author} may not write here, so nothing is done"
    done = _obey(forge, written, *asked.strip().partition(" ")[::2])
    forge.comment(written.pull_request, done)
    return done


def _obey(forge: Forge, written: Written, command: str, rest: str) -> str:
    if command not in {name.split()[0] for name in _COMMANDS}:
        known = ", ".join(f"`{_CALL} {name}`" for name in _COMMANDS)
        return f"There is no such command. These are: {known}."
    number = written.pull_request
    head = forge.pull_request(number).head_sha
    try:
        if command == "approve":
            record_approval(forge, number, head, by=written.author, reason=rest)
        if command != "retry":  # what was asked for before is not asked for now
            record_asked(forge, head, by=written.author, what=command)
        url = forge.run_again(_EVALUATION, head)
    except MergelineError as error:
        return f"`{head[:7]}` is not evaluated again: {error.message}. {error.next_step}."
    return f"`{head[:7]}` is evaluated again: {url}"
