"""What somebody who may write asked an evaluation for in a comment."""

from __future__ import annotations

from mergeline.adapters.forge.base import Forge
from mergeline.lifecycle.steps.project import Project


def record_asked(forge: Forge, head: str, *, by: str, what: str) -> None:
    """Note beside a commit what its evaluation shall do.

    A run that starts again sees its first event; a status beside the head it sees as it is now.
    """
    forge.note(head, "asked", f"{by}: {what}")


def asked_for(project: Project) -> str | None:
    """What the evaluation of MERGELINE_HEAD was asked for; None if for nothing.

    Raises:
        ForgeError: the forge refuses.
    """
    head = project.environment.get("MERGELINE_HEAD")
    noted = project.forge.noted(head, "asked") if project.forge and head else None
    return noted.rpartition(": ")[2] if noted else None
