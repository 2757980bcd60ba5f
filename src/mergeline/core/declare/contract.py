"""The contract of a table, `data/<table>.yaml`: what its drops must be."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from mergeline.core.declare.strict import CORRECT, parse_yaml, read_named
from mergeline.errors import DeclarationError

Format = Literal["csv", "jsonl", "parquet"]
ColumnType = Literal[
    "bool", "int8", "int16", "int32", "int64", "float32", "float64", "string", "date", "datetime"
]
Value = bool | int | float | str | dt.date | dt.datetime
FOLDER = "data"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
# The YAML word `null` as a key is no text; in a contract it is the name of the setting.
_NULL_KEY = re.compile(r"^null(?=\s*:)", flags=re.MULTILINE)
_INTEGER_BITS = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}
# Raised when the same drop under the same contract would become other rows: no table converted
# before is then mistaken for one converted after.
_EDITION = 1


@dataclass(frozen=True)
class Column:
    """What one column's values must be.

    Attributes:
        nullable: whether a value may be absent.
        min: the least value allowed; for a number, date or datetime.
        max: the greatest value allowed.
        allowed: the only values allowed.
    """

    type: ColumnType
    nullable: bool = False
    min: Value | None = None
    max: Value | None = None
    allowed: tuple[Value, ...] = ()
    description: str = ""


@dataclass(frozen=True)
class Contract:
    """The declared columns, types, keys and bounds that a table's drops must meet.

    Attributes:
        table: the file's name without `.yaml`.
        source: folder in Git whose `.dvc` pointers are the drops, or one folder pointer.
        format: of the drops; a name ending in `.gz` or `.zip` says the compression.
        columns: in the order that the table has them.
        null: texts that stand for an absent value.
        key: columns that together name a row; no two rows of a drop share one.
        unknown_columns: what a column that is not declared means.
    """

    table: str
    source: str
    format: Format
    columns: Mapping[str, Column]
    description: str = ""
    null: tuple[str, ...] = ("",)
    key: tuple[str, ...] = ()
    unknown_columns: Literal["refuse", "ignore"] = "refuse"

    @property
    def path(self) -> str:
        """Of the contract in the repository."""
        return contract_path(self.table)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over what determines the rows that a drop becomes, or its refusal."""
        determining = {
            "edition": _EDITION,
            "format": self.format,
            "null": sorted(set(self.null)),
            "key": sorted(set(self.key)),
            "unknown_columns": self.unknown_columns,
            "columns": [
                [
                    name,
                    column.type,
                    column.nullable,
                    _canonical(column.min),
                    _canonical(column.max),
                    sorted(json.dumps(_canonical(value)) for value in set(column.allowed)),
                ]
                for name, column in self.columns.items()
            ],
        }
        text = json.dumps(determining, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def contract_path(table: str) -> str:
    """Where the contract of a table stands in the repository."""
    return f"{FOLDER}/{table}.yaml"


def parse_contract(table: str, text: bytes | str) -> Contract:
    """Read `data/<table>.yaml`.

    Raises:
        DeclarationError: unknown or missing keys, wrong types, or parts that contradict each other.
    """
    where = contract_path(table)
    if not _NAME.fullmatch(table):
        raise DeclarationError(
            "a table's name is lower-case letters, digits and _, at most 63",
            where=where,
            next_step="Rename the file",
        )
    try:
        decoded = text.decode() if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        raise DeclarationError("is not UTF-8 text", where=where) from error
    document = parse_yaml(_NULL_KEY.sub('"null"', decoded), where=where)
    contract = read_named(Contract, {"table": table}, document, where=where)
    try:
        _check(contract)
        columns = {name: _typed(name, column) for name, column in contract.columns.items()}
    except ValueError as error:
        raise DeclarationError(str(error), where=where, next_step=CORRECT) from error
    return replace(contract, source=contract.source.rstrip("/"), columns=columns)


def _check(contract: Contract) -> None:
    """Raise ValueError for parts that contradict each other."""
    names = list(contract.columns)
    if not names:
        raise ValueError("columns: declare at least one")
    if contract.source.startswith("/") or ".." in contract.source.split("/"):
        raise ValueError("source: a folder or a `.dvc` file in the repository")
    if len(set(contract.key)) != len(contract.key):
        raise ValueError("key: a column is named twice")
    for name in contract.key:
        if name not in names:
            raise ValueError(f"key: {name!r} is not one of the columns")
        if contract.columns[name].nullable:
            raise ValueError(f"key: column {name!r} is nullable, and a row without a name is none")
    if len({name.lower() for name in names}) != len(names):
        raise ValueError("columns: two names differ in case only, which a Delta table cannot hold")


def _typed(name: str, column: Column) -> Column:
    """The column with its bounds and allowed values as values of its type."""

    def typed(value: Value, setting: str) -> Any:  # noqa: ANN401
        converted = _convert(value, column.type)
        if converted is None:
            raise ValueError(
                f"columns.{name}.{setting}: {value!r} is not a value of type {column.type}"
            )
        return converted

    least = None if column.min is None else typed(column.min, "min")
    most = None if column.max is None else typed(column.max, "max")
    if (least, most) != (None, None) and column.type in {"bool", "string"}:
        raise ValueError(f"columns.{name}: a {column.type} has no min or max (use allowed)")
    if least is not None and most is not None and least > most:
        raise ValueError(f"columns.{name}: min is greater than max")
    allowed = tuple(typed(value, "allowed") for value in column.allowed)
    return replace(column, min=least, max=most, allowed=allowed)


def _convert(value: Value, kind: ColumnType) -> Value | None:
    """The value as one of the type, or None if it is not one."""
    if kind == "bool":
        return value if isinstance(value, bool) else None
    if kind == "string":
        return value if isinstance(value, str) else None
    if kind in {"date", "datetime"}:
        return _moment(value, kind)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if kind in _INTEGER_BITS:
        limit = 2 ** (_INTEGER_BITS[kind] - 1)
        return value if isinstance(value, int) and -limit <= value < limit else None
    return float(value) if math.isfinite(value) else None


def _moment(value: Value, kind: str) -> Value | None:
    """The value as a date, or as a datetime in UTC (one without a zone is in UTC)."""
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            return None
        if kind == "date" and value.time() == dt.time():
            value = value.date()
    if not isinstance(value, dt.date):
        return None
    if kind == "date":
        return None if isinstance(value, dt.datetime) else value
    if not isinstance(value, dt.datetime):
        value = dt.datetime.combine(value, dt.time())
    return value.astimezone(dt.UTC) if value.tzinfo else value.replace(tzinfo=dt.UTC)


def _canonical(value: Value | None) -> Any:  # noqa: ANN401 - a JSON scalar
    return value.isoformat() if isinstance(value, dt.date) else value
