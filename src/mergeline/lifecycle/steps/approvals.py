"""A person's recorded yes to a change that moves its own bar: a comment of ours that holds it."""

from __future__ import annotations

import datetime as dt
import re

from mergeline.adapters.forge.base import Forge
from mergeline.core.gate.verdict import Approval
from mergeline.core.report.one_comment import Stamp, read_stamp
from mergeline.errors import InputError

_MARKER = "approval"
_LONGEST = 300
_RECORD = re.compile(
    r"`(?P<by>[^`]+)` approves at `[0-9a-f]+` that the bar moves: `(?P<reason>[^`]+)`"
)


def record_approval(forge: Forge, number: int, head: str, *, by: str, reason: str) -> str:
    """Record that somebody approves of what a pull request proposes now; returns the record.

    Raises:
        InputError: there is no reason.
    """
    # Between backticks nothing is a link, a name that is notified, or HTML.
    said = " ".join(reason.replace("`", "'").split())[:_LONGEST]
    if not said:
        raise InputError("an approval needs a reason", next_step="Write it after the command")
    text = f"`{by}` approves at `{head[:7]}` that the bar moves: `{said}`"
    forge.upsert_report(number, text, Stamp(_MARKER, head, dt.datetime.now(dt.UTC)))
    return text


def find_approval(forge: Forge, number: int, head: str) -> Approval | None:
    """Who approved of what a pull request proposes at `head`, and why; None if nobody did."""
    for comment in reversed(forge.own_comments(number)):
        stamp = read_stamp(comment.body, _MARKER)
        found = _RECORD.search(comment.body)
        if stamp and stamp.head_sha == head and found:
            return Approval(found["by"], found["reason"])
    return None
