"""The contract of a table, `data/<table>.yaml`: what its drops must be."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Literal

from mergeline.core.declare.columns import (
    Column,
    canonical,
    column_problem,
    with_typed_values,
)
from mergeline.core.declare.strict import CORRECT, parse_yaml, read_named
from mergeline.errors import DeclarationError

Format = Literal["csv", "jsonl", "parquet"]
FOLDER = "data"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
# The YAML word `null` as a key is no text; in a contract it is the name of the setting.
_NULL_KEY = re.compile(r"^null(?=\s*:)", flags=re.MULTILINE)
# Raised when the same drop under the same contract would become other rows: no table converted
# before is then mistaken for one converted after.
_EDITION = 1


@dataclass(frozen=True)
class Dialect:
    """How the text of a CSV is written; by default as RFC 4180 says.

    Attributes:
        delimiter: between the values of a row.
        quote: around a value that holds a delimiter, a quote or the end of a line; empty if no
            value does.
        escape: before a character that is to lose its meaning; a quote may also be doubled.
        encoding: of the file's bytes; that of UTF-16 is told by its mark.
        header: whether the first line names the columns; else the contract does, in its order.
        comment: how a line begins that is no row.
        decimal: between the whole and the fraction of a number.
        thousands: between each 3 digits of the whole.
    """

    delimiter: str = ","
    quote: str = '"'
    escape: str = ""
    encoding: Literal["utf-8", "utf-16", "latin-1", "cp1252"] = "utf-8"
    header: bool = True
    comment: str = ""
    decimal: str = "."
    thousands: str = ""


@dataclass(frozen=True)
class Contract:
    """The declared columns, types, keys and bounds that a table's drops must meet.

    Attributes:
        table: the file's name without `.yaml`.
        source: folder in Git whose `.dvc` pointers are the drops, or one folder pointer.
        format: of the drops; a name ending in `.gz` or `.zip` says the compression.
        columns: in the order that the table has them.
        description: for people.
        null: texts that stand for an absent value.
        key: columns that together name a row; no two rows of a drop share one.
        unique: whether the rows of one drop are meant, or those of all drops of the table.
        unknown_columns: what a column that is not declared means.
        dialect: of the text of a CSV.
    """

    table: str
    source: str
    format: Format
    columns: Mapping[str, Column]
    description: str = ""
    null: tuple[str, ...] = ("",)
    key: tuple[str, ...] = ()
    unknown_columns: Literal["refuse", "ignore"] = "refuse"
    unique: Literal["drop", "table"] = "drop"
    dialect: Dialect = field(default_factory=Dialect)

    @property
    def path(self) -> str:
        """Of the contract in the repository."""
        return contract_path(self.table)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over what determines the rows that a drop becomes, or its refusal."""
        dialect = _declared(self.dialect, _DIALECT_SETTINGS)
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
                    canonical(column.min),
                    canonical(column.max),
                    sorted(json.dumps(canonical(value)) for value in set(column.allowed)),
                    *_declared(column, _LATER_SETTINGS),
                ]
                for name, column in self.columns.items()
            ],
            # What older contracts could not say stands here only if it is said: they keep theirs.
            **({"unique": self.unique} if self.unique != "drop" else {}),
            **({"dialect": dialect} if dialect else {}),
        }
        text = json.dumps(determining, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


_LATER_SETTINGS = ("format", "zone", "true", "false", "default")
_DIALECT_SETTINGS = tuple(setting.name for setting in fields(Dialect))


def _declared(part: Column | Dialect, settings: tuple[str, ...]) -> list[dict[str, Any]]:
    """The settings that say something else than they do by default, in a list; empty if none do."""
    usual = {setting.name: setting.default for setting in fields(part)}
    said = {name: getattr(part, name) for name in settings}
    other = {
        name: sorted(set(value)) if isinstance(value, tuple) else value
        for name, value in said.items()
        if value != usual[name]
    }
    return [other] if other else []


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
    _name_settings(document, where)
    contract = read_named(Contract, {"table": table}, document, where=where)
    try:
        _check(contract)
        columns = {
            name: with_typed_values(name, column) for name, column in contract.columns.items()
        }
    except ValueError as error:
        raise DeclarationError(str(error), where=where, next_step=CORRECT) from error
    return replace(contract, source=contract.source.rstrip("/"), columns=columns)


def _name_settings(document: dict[str, Any], where: str) -> None:
    """Make texts of a column's settings `true` and `false`, which YAML reads as two values."""
    columns: dict[str, Any] = document.get("columns") or {}
    for name, column in columns.items() if isinstance(columns, dict) else ():
        if not isinstance(column, dict):
            continue
        if column.get("default") is not None:
            problem = f"columns.{name}.default: only null; no drop has a value that it lacks"
            raise DeclarationError(problem, where=where, next_step=CORRECT)
        if str(column.get("type")).startswith("decimal(") and column["type"][-1] != ")":
            problem = f"columns.{name}.type: inside of braces, quote it: 'decimal(10,2)'"
            raise DeclarationError(problem, where=where, next_step=CORRECT)
        if not column.keys().isdisjoint(_BOOLEANS):
            columns[name] = {_BOOLEANS.get(key, key): value for key, value in column.items()}


_BOOLEANS: Mapping[Any, str] = {True: "true", False: "false"}


def _check(contract: Contract) -> None:
    """Raise ValueError for parts that contradict each other."""
    names = list(contract.columns)
    if not names:
        raise ValueError("columns: declare at least one")
    if contract.source.startswith("/") or ".." in contract.source.split("/"):
        raise ValueError("source: a folder or a `.dvc` file in the repository")
    if len({name.lower() for name in names}) != len(names):
        raise ValueError("columns: two names differ in case only, which a Delta table cannot hold")
    _check_key(contract)
    _check_dialect(contract)
    for name, column in contract.columns.items():
        if problem := column_problem(column):
            raise ValueError(f"columns.{name}{problem}")
        if column.type == "binary" and contract.format != "parquet":
            raise ValueError(f"columns.{name}.type: {contract.format} has no binary values")


def _check_key(contract: Contract) -> None:
    if len(set(contract.key)) != len(contract.key):
        raise ValueError("key: a column is named twice")
    for name in contract.key:
        if name not in contract.columns:
            raise ValueError(f"key: {name!r} is not one of the columns")
        if contract.columns[name].nullable:
            raise ValueError(f"key: column {name!r} is nullable, and a row without a name is none")
    if contract.unique == "table" and not contract.key:
        raise ValueError("unique: table needs a key, the columns that together name a row")


def _check_dialect(contract: Contract) -> None:
    dialect, usual = contract.dialect, Dialect()
    if contract.format != "csv" and dialect != usual:
        raise ValueError(f"dialect: is of CSV, and the format is {contract.format}")
    single = {name: getattr(dialect, name) for name in ("delimiter", "decimal")}
    optional = {name: getattr(dialect, name) for name in ("quote", "escape", "thousands")}
    for name, character in {**single, **optional}.items():
        # Arrow splits and unquotes by one byte.
        least = 0 if name in optional else 1
        if not least <= len(character) <= 1 or not character.isascii() or character in {"\r", "\n"}:
            raise ValueError(f"dialect.{name}: {character!r} is not one ASCII character")
    told_apart = [dialect.delimiter, *filter(None, [dialect.quote, dialect.escape])]
    if dialect.comment:
        told_apart.append(dialect.comment[0])
    if len(set(told_apart)) != len(told_apart):
        raise ValueError("dialect: delimiter, quote, escape and comment must differ")
    if dialect.decimal not in {".", ","}:
        raise ValueError("dialect.decimal: is a point or a comma")
    if dialect.thousands not in {"", ".", ",", " ", "'", "_"} - {dialect.decimal}:
        raise ValueError("dialect.thousands: is one of . , ' _ or a blank, and not the decimal")
