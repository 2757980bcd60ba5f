"""One report comment a pull request: which comment is ours, and what to do so that one remains.

A forge has no compare-and-swap on comments. So the rule is a function of what is there now, and
whoever writes asks again afterwards: applied to its own result it changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

LIMIT = 65_536
"""Characters that GitHub takes in one comment."""

ROOM = LIMIT - 512
"""Characters that a report may have: the hidden first line comes on top."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._/-]{0,99}")
_FIRST_LINE = re.compile(
    r"<!-- mergeline:(?P<marker>\S+) head=(?P<head>[0-9a-f]{7,64}) evaluated=(?P<when>\S+) -->"
)


@dataclass(frozen=True)
class Stamp:
    """What the hidden first line of a report comment says: whose, on what, and when."""

    marker: str
    head_sha: str
    evaluated_at: datetime

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.marker):
            raise ValueError(f"not a marker: {self.marker!r}")
        if self.evaluated_at.tzinfo is None:
            raise ValueError("evaluated_at needs a time zone")

    def line(self) -> str:
        """The hidden first line."""
        when = self.evaluated_at.astimezone(UTC).isoformat(timespec="microseconds")
        return f"<!-- mergeline:{self.marker} head={self.head_sha} evaluated={when} -->"


@dataclass(frozen=True)
class Stamped:
    """A comment that carries our stamp."""

    id: int
    stamp: Stamp
    body: str


@dataclass(frozen=True)
class Steps:
    """What brings a pull request to exactly one report, the newest. All empty: nothing to do."""

    post: str | None = None
    edit: tuple[int, str] | None = None
    delete: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.post is not None or self.edit or self.delete)


def stamped(stamp: Stamp, markdown: str) -> str:
    """The comment's body: the hidden line, then the report."""
    return f"{stamp.line()}\n{markdown}"


def read_stamp(body: str, marker: str) -> Stamp | None:
    """The stamp on the first line of a body. None if that line has no stamp of this marker.

    A marker further down, or quoted with `>`, was written by a person.
    """
    first, _, _ = body.partition("\n")
    match = _FIRST_LINE.fullmatch(first.rstrip("\r"))
    if match is None or match["marker"] != marker:
        return None
    try:
        return Stamp(marker, match["head"], datetime.fromisoformat(match["when"]))
    except ValueError:
        return None


def order(stamp: Stamp, current_head: str | None) -> tuple[bool, datetime]:
    """Sorts stamps, the newest last: a report on what the pull request is now beats any other.

    The time alone would let a slow run of an earlier push overwrite the report of the last one.
    """
    return stamp.head_sha == current_head, stamp.evaluated_at


def converge(
    ours: Iterable[Stamped], wanted: Stamp, body: str, *, current_head: str | None
) -> Steps:
    """What leaves one report comment: the oldest comment of ours, with the newest report in it.

    Args:
        ours: the comments that we wrote and that carry the marker.
        wanted: the stamp of the report that is to be shown.
        body: its body, stamp line included.
        current_head: the commit that the pull request proposes now.
    """
    oldest_first = sorted(ours, key=lambda comment: comment.id)
    if not oldest_first:
        return Steps(post=body)
    newest = max(oldest_first, key=lambda comment: order(comment.stamp, current_head))
    late = order(wanted, current_head) < order(newest.stamp, current_head)
    best = newest.body if late else body
    keep = oldest_first[0]
    edit = None if same_text(keep.body, best) else (keep.id, best)
    return Steps(edit=edit, delete=tuple(comment.id for comment in oldest_first[1:]))


def same_text(body: str, other: str) -> bool:
    """Whether two bodies are the same, but for what a forge may do to line ends."""
    return body.replace("\r\n", "\n").rstrip() == other.replace("\r\n", "\n").rstrip()
