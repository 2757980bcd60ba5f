"""`approval`: who approved that a pull request moves the bar that it is judged by."""

from __future__ import annotations

from mergeline.core.gate.verdict import Approval
from mergeline.errors import NotFoundError
from mergeline.lifecycle.steps.approvals import find_approval
from mergeline.lifecycle.steps.project import Project


def approval(project: Project) -> Approval | None:
    """Who approved that the pull request which proposes MERGELINE_HEAD moves its bar, and why.

    Raises:
        NotFoundError: there is no forge, or no commit is named.
        ForgeError: the forge refuses.
    """
    forge, head = project.forge, project.environment.get("MERGELINE_HEAD")
    if forge is None or not head:
        raise NotFoundError(
            "no forge or no commit is named", next_step="Set GITHUB_TOKEN and MERGELINE_HEAD"
        )
    pull = forge.pull_request_of(head)
    if pull is None:
        return None
    # A commit that was merged is not what was approved, but what became of it.
    return find_approval(forge, head if pull.open else pull.head_sha)
