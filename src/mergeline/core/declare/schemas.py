"""JSON schemas of `models/<name>.yaml` and `data/<table>.yaml`: editors complete and check by them.

They are made of the dataclasses that the strict reader fills, so a key that one knows the other
knows too. What only the reader can tell, such as a key that is no column, stays with it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

from mergeline.core.declare.columns import TYPES
from mergeline.core.declare.contract import Contract
from mergeline.core.declare.model import Model
from mergeline.core.declare.strict import json_schema, reachable

KINDS: Mapping[str, tuple[type[Any], str]] = {
    "model": (Model, "name"),
    "contract": (Contract, "table"),
}
"""What a file declares, and the key whose value is the file's own name."""
_PUBLISHED = (
    "https://raw.githubusercontent.com/mergeline/mergeline/v{version}/docs/{kind}.schema.json"
)
_DRAFT = "http://json-schema.org/draft-07/schema#"  # which every editor's YAML server knows
_DECIMAL = r"^decimal\([0-9]{1,2},[0-9]{1,2}\)$"
_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n {8}.*)*)", flags=re.MULTILINE)


def file_schema(kind: str) -> dict[str, Any]:
    """The schema of a file of that kind, `model` or `contract`, as it may be written."""
    cls, own_name = KINDS[kind]
    schema = described(cls)
    parts = {**schema["$defs"], cls.__name__: schema}
    keys = schema["properties"]
    del keys[own_name]
    schema["required"].remove(own_name)
    for key, short in _SHORT_FORMS.items():
        if key in keys:
            whole = keys[key]["items"]
            name = parts[whole["$ref"].rpartition("/")[2]]["properties"][short]
            keys[key]["items"] = {"anyOf": [name, whole]}
    if kind == "contract":
        settings = parts["Column"]["properties"]
        settings["type"]["anyOf"] = [{"enum": list(TYPES)}, {"pattern": _DECIMAL}]
        settings["default"].pop("anyOf")
        settings["default"] |= {"const": None, "default": None}
    return {"$schema": _DRAFT, **schema}


def described(cls: type[Any]) -> dict[str, Any]:
    """The schema of what a dataclass declares, with what its docstring says of each key."""
    schema = json_schema(cls)
    parts = {**schema["$defs"], cls.__name__: schema}
    for each in reachable(cls):
        _describe(parts[each.__name__], inspect.getdoc(each) or "")
    return schema


# `metrics: [roc_auc]` is short for `metrics: [{name: roc_auc}]`.
_SHORT_FORMS = {"metrics": "name", "slices": "column"}


def _describe(part: dict[str, Any], text: str) -> None:
    """Put what the class's docstring says of each attribute beside it."""
    part["description"] = text.partition("\n\n")[0]
    said = {name: " ".join(words.split()) for name, words in _ATTRIBUTE.findall(text)}
    for name, setting in part["properties"].items():
        setting.pop("title", None)
        if name in said:
            setting["description"] = said[name][:1].upper() + said[name][1:]


def schema_address(kind: str, version: str) -> str:
    """Where the schema of a version of mergeline is published."""
    return _PUBLISHED.format(version=version, kind=kind)
