"""Entries of a table's log: schema, and added files with the statistics that let readers skip."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pyarrow.parquet as pq
from deltalake import Schema
from deltalake.transaction import AddAction, RemoveAction

from mergeline.core.declare.columns import ColumnType
from mergeline.core.declare.contract import Contract

# A decimal has the same name in both.
DELTA_TYPES: Mapping[ColumnType, str] = {
    "bool": "boolean",
    "int8": "byte",
    "int16": "short",
    "int32": "integer",
    "int64": "long",
    "float32": "float",
    "float64": "double",
    "string": "string",
    "date": "date",
    "datetime": "timestamp",
    "binary": "binary",
}
_LONGEST_TEXT = 64


def delta_schema(contract: Contract) -> Schema:
    """The contract's columns as Delta types."""
    fields = [
        {
            "name": name,
            "type": DELTA_TYPES.get(column.type, column.type),
            "nullable": True,
            "metadata": {},
        }
        for name, column in contract.columns.items()
    ]
    return Schema.from_json(json.dumps({"type": "struct", "fields": fields}))


def add_action(name: str, size: int, footer: pq.FileMetaData) -> AddAction:
    """The entry that adds a Parquet file."""
    return AddAction(
        path=name,
        size=size,
        partition_values={},
        modification_time=_now(),
        data_change=True,
        # delta-rs reads a letter beyond 16 bits wrongly where it is written as an escape.
        stats=json.dumps(statistics(footer), ensure_ascii=False),
    )


def remove_action(name: str, size: int) -> RemoveAction:
    """The entry that removes a file."""
    return RemoveAction(name, True, _now(), size, {})  # noqa: FBT003


def statistics(footer: pq.FileMetaData) -> dict[str, Any]:
    """Delta's statistics of a file, from the footer's of its row groups.

    A column gets no bounds if a row group lacks them: no bounds are better than wrong ones.
    """
    least: dict[str, Any] = {}
    most: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    for index in range(footer.num_columns):
        name = footer.schema.column(index).path
        chunks = [
            footer.row_group(group).column(index).statistics
            for group in range(footer.num_row_groups)
        ]
        if any(chunk is None or not chunk.has_null_count for chunk in chunks):
            continue
        nulls[name] = sum(chunk.null_count for chunk in chunks)
        bounded = [chunk for chunk in chunks if chunk.num_values]
        if not bounded or not all(chunk.has_min_max for chunk in bounded):
            continue
        low, high = min(c.min for c in bounded), max(c.max for c in bounded)
        # A decimal's digits are more than JSON's numbers keep, as Python writes them.
        if isinstance(low, bytes | Decimal) or _is_long(low) or _is_long(high):
            continue
        least[name], most[name] = _json_bound(low), _json_bound(high)
    return {
        "numRecords": footer.num_rows,
        "minValues": least,
        "maxValues": most,
        "nullCount": nulls,
    }


def _is_long(bound: object) -> bool:
    return isinstance(bound, str) and len(bound) > _LONGEST_TEXT


def _json_bound(value: Any) -> Any:  # noqa: ANN401 - a JSON scalar
    """A bound as the Delta protocol writes it."""
    if isinstance(value, dt.datetime):
        # Not strftime, whose years before 1000 have three digits: no reader takes them for a bound.
        moment = value.astimezone(dt.UTC).replace(tzinfo=None)
        return moment.isoformat(timespec="microseconds") + "Z"
    return value.isoformat() if isinstance(value, dt.date) else value


def _now() -> int:
    return time.time_ns() // 1_000_000
