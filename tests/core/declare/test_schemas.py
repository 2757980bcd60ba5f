"""The schemas that editors use know what the strict readers know, and nothing else."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mergeline.core.declare.contract import parse_contract
from mergeline.core.declare.model import parse_model
from mergeline.core.declare.schemas import KINDS, file_schema
from mergeline.core.declare.strict import parse_yaml, reachable
from mergeline.errors import DeclarationError

ROOT = Path(__file__).parents[3]
FILES = sorted(
    path
    for folder in ("", "tests/support/project/")
    for path in [*ROOT.glob(f"{folder}models/*.yaml"), *ROOT.glob(f"{folder}data/*.yaml")]
)
MODEL = """
task: binary
stage: train
outputs: build/late
label: late
classes: [false, true]
key: [id]
metrics: [roc_auc, {name: own.cost, greater_is_better: false}]
slices: [depot, {column: weight, bins: [0, 10]}]
gate:
  primary: roc_auc
  metrics: {roc_auc: {at_least: 0.6, margin: 0.05, against: champion}}
"""
CONTRACT = """
source: data/raw/parcels
format: csv
null: ['', NA]
key: [id]
dialect: {delimiter: ';', header: false}
columns:
  id: {type: int64, min: 0}
  paid: {type: 'decimal(10,2)', nullable: true, default: null}
  late: {type: bool, true: [Y], false: [N]}
  day: {type: date, format: '%d.%m.%Y', min: 2024-01-01}
  depot: {type: string, allowed: [A, B]}
"""


def problems(kind: str, text: str) -> list[str]:
    """What an editor says of a text: to it, keys are texts and a moment is one too."""
    document = as_json(parse_yaml(text, where="a file"))
    return [
        each.message for each in jsonschema.Draft7Validator(file_schema(kind)).iter_errors(document)
    ]


def as_json(value: Any) -> Any:
    if isinstance(value, dict):
        words = {True: "true", False: "false"}
        return {words.get(key, key): as_json(part) for key, part in value.items()}
    if isinstance(value, list):
        return [as_json(part) for part in value]
    return value.isoformat() if isinstance(value, dt.date) else value


def quoted_null(text: str) -> str:
    return text.replace("\nnull:", '\n"null":')


def kind_of(path: Path) -> str:
    return "model" if path.parent.name == "models" else "contract"


def parse(kind: str, text: str) -> object:
    return parse_model("late", text) if kind == "model" else parse_contract("parcels", text)


def keys(schema: Any) -> Iterator[dict[str, Any]]:
    """Each mapping of keys that a schema has."""
    if isinstance(schema, dict):
        if isinstance(named := schema.get("properties"), dict):
            yield named
        for part in schema.values():
            yield from keys(part)


@pytest.mark.parametrize("kind", KINDS)
def test_the_published_schema_is_that_of_the_reader(kind: str) -> None:
    published = ROOT / "docs" / f"{kind}.schema.json"
    schema = json.dumps(file_schema(kind), indent=2, ensure_ascii=False) + "\n"
    if os.environ.get("MERGELINE_GOLDEN") == "write":
        published.write_text(schema, encoding="utf-8")
    assert published.read_text(encoding="utf-8") == schema


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_is_one(kind: str) -> None:
    jsonschema.Draft7Validator.check_schema(file_schema(kind))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_schema_takes_each_declaration_of_this_repository(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    parse(kind_of(path), text)
    assert problems(kind_of(path), quoted_null(text)) == []


@pytest.mark.parametrize(("kind", "text"), [("model", MODEL), ("contract", CONTRACT)])
def test_the_schema_takes_every_way_of_writing_that_the_reader_takes(kind: str, text: str) -> None:
    parse(kind, text)
    assert problems(kind, quoted_null(text)) == []


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("model", "margin: 0.05", "marging: 0.05"),
        ("model", "label: late", "lable: late"),
        ("model", "task: binary", "task: ranking"),
        ("model", "at_least: 0.6", "at_least: much"),
        ("model", "against: champion", "against: winner"),
        ("model", "column: weight", "colum: weight"),
        ("model", "stage: train\n", ""),
        ("model", "key: [id]", "key: id"),
        ("model", "task: binary", "task: binary\nname: late"),
        ("contract", "type: date", "type: day"),
        ("contract", "'decimal(10,2)'", "decimal"),
        ("contract", "default: null", "default: 0"),
        ("contract", "format: csv", "format: excel"),
        ("contract", "header: false", "headers: false"),
        ("contract", "true: [Y]", "yes: [Y]"),
        ("contract", "nullable: true", "nullable: often"),
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(kind: str, old: str, new: str) -> None:
    text = {"model": MODEL, "contract": CONTRACT}[kind]
    assert old in text
    wrong = text.replace(old, new)
    with pytest.raises(DeclarationError):
        parse(kind, wrong)
    assert problems(kind, quoted_null(wrong))


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_of_the_reader_stands_in_the_schema_with_what_it_means(kind: str) -> None:
    cls, own_name = KINDS[kind]
    known = {name for each in reachable(cls) for name in each.__dataclass_fields__} - {own_name}
    described: set[str] = set()
    for named in keys(file_schema(kind)):
        assert [key for key, said in named.items() if not said.get("description")] == []
        described |= named.keys()
    assert described | {own_name} == known | {own_name}
