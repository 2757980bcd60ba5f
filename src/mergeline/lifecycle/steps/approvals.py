"""A person's recorded yes to a change that moves its own bar.

The record is a status beside the commit: on no forge may a stranger's job set one. The comment is
for people; on Gitea a fork's job may write one in our name, so it proves nothing.
"""

from __future__ import annotations

import datetime as dt

from mergeline.adapters.forge.base import Forge, Topic
from mergeline.core.gate.verdict import Approval
from mergeline.core.report.one_comment import Stamp
from mergeline.errors import InputError

_MARKER: Topic = "approval"
_LONGEST = 90  # with a name of 39 characters it fits a status


def record_approval(forge: Forge, number: int, head: str, *, by: str, reason: str) -> None:
    """Record that somebody approves of what a pull request proposes now.

    Raises:
        InputError: there is no reason.
    """
    # Between backticks nothing is a link, a name that is notified, or HTML.
    said = " ".join(reason.replace("`", "'").split())[:_LONGEST]
    if not said:
        raise InputError("an approval needs a reason", next_step="Write it after the command")
    forge.note(head, _MARKER, f"{by}: {said}")
    text = f"`{by}` approves at `{head[:7]}` that the bar moves: `{said}`"
    forge.upsert_report(number, text, Stamp(_MARKER, head, dt.datetime.now(dt.UTC)))


def find_approval(forge: Forge, head: str) -> Approval | None:
    """Who approved of what a pull request proposes at `head`, and why; None if nobody did."""
    by, _, reason = (forge.noted(head, _MARKER) or "").partition(": ")
    return Approval(by, reason) if by and reason else None
