"""The ledger and the contents of tables, as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mergeline.core import numbers
from mergeline.core.release.facts import times_of

if TYPE_CHECKING:
    from rich.table import Table

    from mergeline.core.data.changed_rows import RowsDiff
    from mergeline.core.data.diff import DataDiff
    from mergeline.core.data.history import HistoryEntry
    from mergeline.core.release.ledger import Entry
    from mergeline.core.report.content import Report


def ledger_table(entries: Sequence[Entry]) -> Table | str:
    """The releases, newest last."""
    from rich.table import Table
    from rich.text import Text

    if not entries:
        return "no release yet"
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("release", "what", "why", "commit", "verdict", "when (UTC)", "for"):
        table.add_column(name, no_wrap=name != "why", ratio=1 if name == "why" else None)
    for time in times_of(entries):
        entry, seconds = time.entry, time.seconds
        suffix = f"(#{entry.pull_request})" if entry.pull_request else ""
        failed = f"what was deployed failed: {entry.taken_back}"
        subject = entry.subject if suffix in entry.subject else f"{entry.subject} {suffix}"
        what = f"v{entry.version}"
        if entry.stage != "Production":
            what += f" to {entry.stage}"
        elif entry.replaced:
            what += f" {'back for' if entry.kind == 'restore' else 'for'} v{entry.replaced}"
        verdict = entry.verdict or "exempt"
        if entry.override:
            verdict = f"{verdict}, overridden: {entry.override}"
        table.add_row(
            f"{entry.model} {entry.sequence}",
            what,
            Text(failed if entry.taken_back else subject),  # brackets in it are no markup
            entry.commit[:8],
            Text(verdict),
            entry.released_at[5:16].replace("T", " "),
            "until now" if seconds is None else numbers.duration(seconds),
        )
    return table


def examples_table(report: Report) -> Table | str:
    """The rows that moved most, the first most of all."""
    from rich.table import Table
    from rich.text import Text

    from mergeline.core.report import safe
    from mergeline.core.report.examples import examples_grid
    from mergeline.core.report.view import view_of

    view = view_of(report)
    grid = examples_grid(view) if view else []
    if not grid:
        return "no row moved, or there was no other model to move from"
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in grid[0]:
        table.add_column(Text(safe.name(name)))
    for row in grid[1:]:
        table.add_row(*(Text(safe.text(cell)) for cell in row))
    return table


def history_table(name: str, entries: Sequence[HistoryEntry]) -> Table:
    """The versions of a Delta table."""
    table = _table(
        name, ">version", "time (UTC)", "who", "operation", ">rows", ">rows ±", ">files ±",
        "pull request", "ref", "commit", "snapshot",
    )  # fmt: skip
    for entry in entries:
        table.add_row(
            str(entry.version),
            f"{entry.time:%Y-%m-%d %H:%M:%S}",
            entry.author.partition(" <")[0],
            entry.operation,
            numbers.count(entry.rows),
            _plus_minus(entry.rows_added, entry.rows_removed),
            _plus_minus(entry.files_added, entry.files_removed),
            f"#{entry.pull_request}" if entry.pull_request else "",
            entry.ref,
            entry.commit[:8],
            (entry.digest or "")[:8],
        )
    return table


def _plus_minus(added: int, removed: int) -> str:
    parts = [numbers.signed_count(n) for n in (added, -removed) if n]
    return " ".join(parts) or "0"


def content_parts(content: DataDiff) -> Iterator[object]:
    """What a snapshot holds: its drops and its columns."""
    from mergeline.core.data import wording

    yield f"{content.table}: {wording.side_line(content.after)}"
    drops = _table("drops", "path", ">rows")
    for name, drop in zip(wording.drop_names(content), content.drops, strict=True):
        drops.add_row(name, numbers.count(drop.rows_after))
    yield drops
    columns = _table("columns", "column", "type", ">absent", ">distinct", "values")
    for column in content.columns:
        facts = column.after
        columns.add_row(
            column.name, column.type, wording.absent(facts), wording.distinct(facts),
            wording.values(facts),
        )  # fmt: skip
    yield columns


def diff_parts(diff: DataDiff) -> Iterator[object]:
    """What differs between two snapshots."""
    from mergeline.core.data import wording

    if diff.before:
        yield f"{diff.table}: {wording.side_line(diff.before)}"
    yield f"{' ' * len(diff.table)}→ {wording.side_line(diff.after)}"
    if not diff:
        yield "  the same rows"
        return
    if diff.drops:
        drops = _table("drops", "path", "change", ">rows ±")
        for name, drop in zip(wording.drop_names(diff), diff.drops, strict=True):
            drops.add_row(name, drop.change, _plus_minus(drop.rows_after, drop.rows_before))
        yield drops
    yield from (f"  {line}" for line in (*map(str, diff.schema), *wording.note_lines(diff)))
    yield _drift_table(diff)


def rows_parts(diff: RowsDiff) -> Iterator[object]:
    """The rows that changed between two snapshots, by key."""
    from mergeline.core.data.changed_rows import changed_lines

    counts = f"{numbers.counted(diff.added, 'row')} added, {numbers.count(diff.removed)} removed"
    yield f"{diff.table}, by {', '.join(diff.key)}: {counts}"
    yield from (f"  {line}" for line in changed_lines(diff) or ["no row changed under its key"])
    if diff.changed > len(diff.examples):
        yield f"  … {numbers.count(diff.changed - len(diff.examples))} more: give --to FILE"


def _drift_table(diff: DataDiff) -> Table:
    """The columns, those that moved most first."""
    from mergeline.core.data import wording

    new = "added rows" if any(column.added for column in diff.columns) else "after"
    table = _table(
        f"columns: {new} against before",
        "column", ">PSI", ">p", ">absent", ">distinct", "values before", f"values {new}",
    )  # fmt: skip
    for column in sorted(diff.columns, key=lambda c: -(c.drift.psi if c.drift else 0.0)):
        drift, after = column.drift, column.added or column.after
        p_value = drift.p_value if drift else None
        p_text = "—" if p_value is None else wording.p_words(p_value)
        table.add_row(
            column.name,
            numbers.number(drift.psi, 2) if drift else "—",
            p_text.removeprefix("p ").removeprefix("= "),
            f"{wording.absent(column.before)} → {wording.absent(after)}",
            f"{wording.distinct(column.before)} → {wording.distinct(after)}",
            wording.values(column.before),
            wording.values(after),
        )
    return table


def _table(title: str, *columns: str) -> Table:
    """A table with a title; a column whose name begins with `>` is of numbers."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for name in columns:
        numeric = name.startswith(">")
        table.add_column(name.lstrip(">"), justify="right" if numeric else "left", no_wrap=numeric)
    return table
