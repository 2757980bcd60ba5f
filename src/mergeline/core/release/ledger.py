"""The ledger: the append-only record of releases, one page a release."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mergeline.core.declare.strict import read_json, write_json
from mergeline.core.gate.verdict import Situation
from mergeline.errors import DeclarationError

LEDGER = "release"  # namespace of the tags
_PAGE_NAME = re.compile(rf"{LEDGER}/[^/]+/\d{{4,}}")
FORMAT = 1


@dataclass(frozen=True)
class Entry:
    """One page of the ledger: the message of the tag `release/<model>/<sequence>`.

    Attributes:
        kind: first, change, or restore when an earlier release went back into production.
        replaced: the version that was in production before.
        verdict: of the gate; None for a restore, which is exempt.
        override: a person's reason to release in spite of the verdict.
        released_at: ISO 8601, UTC.
        better: whether its evaluation showed it better than what it replaced; pages that were
            written before this was noted say no.
    """

    format: int
    model: str
    sequence: int
    kind: Situation
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
    better: bool = False


def next_sequence(ledger: Sequence[Entry]) -> int:
    """The number of the page that follows a model's ledger."""
    return ledger[-1].sequence + 1 if ledger else 1


def page_name(model: str, sequence: int) -> str:
    """Name of a page's tag."""
    return f"{LEDGER}/{model}/{sequence:04d}"


def page_text(entry: Entry) -> str:
    """Message of a page's tag: a line for people, then JSON."""
    back = "back " if entry.kind is Situation.RESTORE else ""
    document = json.loads(write_json(entry))
    if entry.kind is Situation.CHANGE:
        document["kind"] = "release"  # what every page so far calls it
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return f"{entry.model} v{entry.version} goes {back}into production\n\n{text}\n"


def read_pages(pages: Mapping[str, str]) -> tuple[Entry, ...]:
    """The ledger out of its tags' messages, oldest first; a tag of another form is no page.

    Raises:
        DeclarationError: a page cannot be read, or is another than its name says.
    """
    entries = []
    for name, text in pages.items():
        if not _PAGE_NAME.fullmatch(name):
            continue
        entry = read_json(Entry, "{" + text.partition("{")[2], where=name)
        if page_name(entry.model, entry.sequence) != name:
            raise DeclarationError("the page is another than its name says", where=name)
        entries.append(entry)
    return tuple(sorted(entries, key=lambda entry: (entry.model, entry.sequence)))
