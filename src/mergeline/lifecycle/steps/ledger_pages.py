"""Write the ledger's next page."""

from __future__ import annotations

import datetime as dt
import uuid
from contextlib import AbstractContextManager
from dataclasses import replace

from mergeline.adapters.git.signatures import Signing
from mergeline.core.release.ledger import Entry, page_name, page_text
from mergeline.errors import TrackingError
from mergeline.lifecycle.steps.project import Project
from mergeline.system.locks import file_lock


def releasing(project: Project) -> AbstractContextManager[object]:
    """Keep other processes of this machine from writing pages meanwhile.

    Of two machines one is told that its page is taken.
    """
    project.state.mkdir(parents=True, exist_ok=True)
    return file_lock(project.state / "release.lock")


def write_page(project: Project, entry: Entry, signing: Signing | None) -> Entry | None:
    """Write a page, and return it; None where another one has been written under its number.

    Raises:
        GitError: origin refuses.
        TrackingError: it is written, and not believed.
    """
    name = page_name(entry.model, entry.sequence)
    entry = replace(entry, attempt=uuid.uuid4().hex)
    seconds = int(dt.datetime.fromisoformat(entry.released_at).timestamp())
    text, time = page_text(entry), f"{seconds} +0000"
    if not project.repository.add_page(name, text, entry.commit, time=time, signing=signing):
        return None
    project.forget_ledger()
    ledger = project.ledger_of(entry.model)
    if entry not in ledger.moves:  # it would be promoted, and taken back by everybody else
        doubt = next((doubt for doubt in ledger.doubts if doubt.startswith(name)), name)
        raise TrackingError(f"the page that was written is not believed: {doubt}")
    return entry
