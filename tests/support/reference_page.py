"""What docs/reference.md has from the code: the help of each verb, each key of the YAML files."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import click

from mergeline.cli.commands import commands
from mergeline.core.declare.environments import Environments
from mergeline.core.declare.schemas import described, file_schema

# Each holds every key of its file.
EXAMPLES = {
    "models/<name>.yaml": """\
description: Will a parcel be late?
task: binary
stage: train
outputs: build/late
label: late
classes: [false, true]
key: [id]
cluster: day
decision: 0.3
metrics: [roc_auc, recall, {name: pipelines.cost.per_parcel, greater_is_better: false}]
slices: [depot, {column: weight, bins: [0, 10, 100]}]
slice_minimum: 500
private: [street]
holdout: stored
attribution: true
serving: {base: "ghcr.io/owner/base@sha256:<64 hex digits>"}
gate:
  primary: roc_auc
  metrics:
    roc_auc: {at_least: 0.6, margin: 0.01}
    recall: {margin: 0.05, against: champion}
    pipelines.cost.per_parcel: {at_most: 3.5}
  slices: {roc_auc: {at_least: 0.5, margin: 0.1}}
  first: {roc_auc: {at_least: 0.6}}
  improve: false
  inconclusive: ask
  latency_ms: 50
  size_mb: 20
  load_s: 10
  memory_mb: 500
  schema: compatible
  freshness_days: 40
  unavailable: [arrived]
  looks: 20
  twin_rows: 0.01
""",
    "data/<table>.yaml": """\
description: Parcels, one file a month.
source: data/raw/parcels
format: csv
null: ["", NA]
key: [id]
unique: table
unknown_columns: refuse
dialect:
  delimiter: ";"
  quote: '"'
  escape: '\\'
  encoding: utf-8
  header: true
  comment: "#"
  decimal: ","
  thousands: "."
columns:
  id: {type: int64, min: 1, max: 999999}
  day: {type: date, format: "%d.%m.%Y", min: 2024-01-01}
  sent: {type: datetime, format: "%d.%m.%Y %H:%M", zone: Europe/Berlin}
  depot: {type: string, allowed: [north, south], description: That it was sent from}
  weight: {type: "decimal(6,2)"}
  insured: {type: bool, nullable: true, default: null, true: [Y], false: [N]}
""",
    "environments.yaml": """\
staging:
  server: https://staging.example.org
  deploy:
    webhook: {url: https://deploy.example.org/late}
production:
  server: https://score.example.org
  deploy:
    gitops:
      repository: https://git.example.org/ops/apps.git
      file: late/values.yaml
      branch: main
  patience: 600
  verify: {seconds: 300, requests: 100, errors: 0.01, latency_ms: 50, positives: [0.1, 0.4]}
  enter: {hours: 24, approval: true}
""",
}
SCHEMAS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "models/<name>.yaml": lambda: file_schema("model"),
    "data/<table>.yaml": lambda: file_schema("contract"),
    "environments.yaml": lambda: described(Environments),
}
_MAPPED = {"Bar": "<metric>", "Column": "<column>"}
"""What the keys of a mapping are, by what it maps them to."""


def made() -> str:
    """All of the page that is not written by hand."""
    verbs = "\n".join(_verb(words, command) for words, command in verbs_of(commands, "mergeline"))
    files = "\n".join(_file(name) for name in SCHEMAS)
    return f"## Verbs\n\n{verbs}\n{files}"


def verbs_of(group: click.Group, words: str) -> Iterator[tuple[str, click.Command]]:
    """Each command that does something, with the words that call it."""
    for name in group.list_commands(click.Context(group)):
        command = group.commands[name]
        if isinstance(command, click.Group):
            yield from verbs_of(command, f"{words} {name}")
        else:
            yield f"{words} {name}", command


def _verb(words: str, command: click.Command) -> str:
    command = copy.copy(command)
    command._help_option = None  # click keeps it as it was first asked for
    settings: dict[str, Any] = {"help_option_names": ["-h", "--help"], "terminal_width": 80}
    context = click.Context(command, info_name=words, **settings)
    return f"### {words}\n\n```\n{command.get_help(context)}\n```\n"


def _file(name: str) -> str:
    example = f"```yaml\n{EXAMPLES[name]}```\n"
    tables = "\n".join(_table(places, part) for places, part in parts_of(SCHEMAS[name]()))
    return f"## `{name}`\n\n{example}\n{tables}"


def parts_of(schema: dict[str, Any]) -> list[tuple[list[str], dict[str, Any]]]:
    """Each part of a file, the whole one first: the places where it may stand, and its schema."""
    places: dict[str, list[str]] = {}
    waiting = [("", schema)]
    for place, part in waiting:
        for key, setting in part["properties"].items():
            for below, name in _references(setting):
                places.setdefault(name, []).append(f"{place}{key}{below}")
                waiting.append((f"{place}{key}{below}.", schema["$defs"][name]))
    return [([], schema), *((where, schema["$defs"][name]) for name, where in places.items())]


def _references(setting: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The parts that a key's value may be, each after what stands between the key and its own."""
    for each in (setting, *setting.get("anyOf", ())):
        if "$ref" in each:
            yield "", each["$ref"].rpartition("/")[2]
    if "items" in setting:
        yield from (("[]", name) for _, name in _references(setting["items"]))
    if isinstance(mapped := setting.get("additionalProperties"), dict):
        yield from ((f".{_MAPPED[name]}", name) for _, name in _references(mapped))


def _table(places: list[str], part: dict[str, Any]) -> str:
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    required = part.get("required", ())
    for key, setting in part["properties"].items():
        default = "must be said" if key in required else _default(setting)
        rows.append(f"| `{key}` | {_type(setting)} | {default} | {setting['description']} |")
    title = ", ".join(f"`{place}`" for place in places)
    return "\n".join([*([f"### {title}", ""] if title else []), *rows, ""])


def _default(setting: dict[str, Any]) -> str:
    value = setting.get("default")
    if value in (None, [], "") or isinstance(value, dict):
        return "none"
    return f"`{value if 'enum' in setting else json.dumps(value)}`"


def _type(setting: dict[str, Any]) -> str:
    for key, words in _TYPES.items():
        if key in setting:
            return words(setting[key])
    return _PLAIN[setting.get("format", setting["type"])]


def _one_of(kinds: list[dict[str, Any]]) -> str:
    return " or ".join(dict.fromkeys(_type(kind) for kind in kinds if kind.get("type") != "null"))


_TYPES: Mapping[str, Callable[[Any], str]] = {
    "pattern": lambda _: "`decimal(p,s)`",
    "enum": lambda words: ", ".join(f"`{word}`" for word in words),
    "anyOf": _one_of,
    "const": lambda value: f"`{json.dumps(value)}`",
    "$ref": lambda _: "the keys below",
    "prefixItems": lambda items: f"{len(items)} numbers",
    "items": lambda item: f"list of {_type(item)}",
    "additionalProperties": lambda value: f"mapping to {_type(value)}",
}
"""How a type is said, by the first of these keys that its schema has."""
_PLAIN = {
    "string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`",
    "date": "date", "date-time": "moment",
}  # fmt: skip
