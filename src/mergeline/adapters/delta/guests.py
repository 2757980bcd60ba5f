"""What other engines have switched on in a table, looked at before a commit of ours.

delta-rs commits on top of some of it without keeping the promises that it makes to readers.
"""

from __future__ import annotations

from collections.abc import Iterator

from mergeline.adapters.delta.state import State, translated
from mergeline.errors import TableError

# Features whose promises a commit of whole files keeps, or that bind only where a property, which
# `_problems` looks at, or a column, which our schema replaces, makes use of them.
_KEPT = {
    "allowColumnDefaults", "appendOnly", "changeDataFeed", "checkConstraints", "columnMapping",
    "deletionVectors", "domainMetadata", "generatedColumns", "identityColumns",
    "inCommitTimestamp", "invariants", "timestampNtz", "v2Checkpoint", "vacuumProtocolCheck",
}  # fmt: skip


def refuse_unsafe(latest: State, *, removes: bool) -> None:
    """Refuse to commit where that would break the table for somebody.

    Args:
        latest: the version to commit on.
        removes: whether the commit takes files out, or replaces the schema.

    Raises:
        TableError: it would; the message names the feature and the way out.
    """
    with translated(latest.storage):
        problem = next(_problems(latest, removes=removes), None)
    if problem is not None:
        feature, why = problem
        raise TableError(
            f"{feature} is switched on in the table, not by mergeline: {why}",
            where=latest.storage.uri,
            next_step="Switch it off there, or give mergeline tables of its own: set "
            "MERGELINE_TABLES to another place and run `mergeline snapshot`",
        )


def _problems(latest: State, *, removes: bool) -> Iterator[tuple[str, str]]:
    """Features that a commit would break, and how."""
    configuration, protocol = latest.table.metadata().configuration, latest.table.protocol()
    on = {name for name, value in configuration.items() if str(value).lower() == "true"}
    features = {*(protocol.reader_features or ()), *(protocol.writer_features or ())}
    if configuration.get("delta.columnMapping.mode", "none") != "none":
        yield "column mapping", "files of mergeline have columns by their own names"
    if "delta.appendOnly" in on and removes:
        yield "delta.appendOnly", "a snapshot also takes files out"
    if "delta.enableInCommitTimestamps" in on:
        yield "delta.enableInCommitTimestamps", "delta-rs writes none"
    if "rowTracking" in features or "delta.enableRowTracking" in on:
        yield "row tracking", "files of mergeline would have no row ids"
    constraints = [name for name in configuration if name.startswith("delta.constraints.")]
    if constraints:
        yield constraints[0], "mergeline checks rows by their contract, not by this constraint"
    for feature in sorted(features - _KEPT):
        yield f"the feature {feature}", "mergeline does not know what it asks of a commit"
