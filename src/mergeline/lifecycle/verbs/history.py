"""`history`: the ledger as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mergeline.core.gate.verdict import Situation
from mergeline.core.release.ledger import Entry
from mergeline.lifecycle.steps.project import Project

if TYPE_CHECKING:
    from rich.console import RenderableType


def read(project: Project, model: str | None) -> tuple[Entry, ...]:
    """The ledger, of one model where it is named.

    Raises:
        NotFoundError: nothing is declared, nor was ever released, by that name.
    """
    entries = project.ledger(model)
    if model is not None and not entries:
        tree, _ = project.target_tree()
        tree.choose_models(model)
    return entries


def as_table(entries: Sequence[Entry]) -> RenderableType:
    """The releases, newest last, for a rich console."""
    from rich.table import Table

    if not entries:
        return "no release yet"
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("release", "what", "why", "commit", "verdict", "when (UTC)"):
        table.add_column(name, no_wrap=name != "why", ratio=1 if name == "why" else None)
    for entry in entries:
        table.add_row(*_cells(entry))
    return table


def _cells(entry: Entry) -> tuple[str, ...]:
    from rich.markup import escape

    pull = f" (#{entry.pull_request})" if entry.pull_request else ""
    subject = entry.subject if pull.strip() in entry.subject else f"{entry.subject}{pull}"
    what = f"v{entry.version}"
    if entry.replaced:
        what += f" {'back for' if entry.kind is Situation.RESTORE else 'for'} v{entry.replaced}"
    verdict = entry.verdict or "exempt"
    if entry.override:
        verdict = f"{verdict}, overridden: {entry.override}"
    return (
        f"{entry.model} {entry.sequence}",
        what,
        escape(subject),
        entry.commit[:8],
        escape(verdict),
        entry.released_at[5:16].replace("T", " "),
    )
