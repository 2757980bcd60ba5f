"""What the server says of itself: OpenAPI for machines, a page for people."""

from __future__ import annotations

import html
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from mergeline.core.compare.result import InputColumn
from mergeline.serving.rows import ROW_LIMIT
from mergeline.serving.served_versions import Routing, ServedModel, ServedVersion

if TYPE_CHECKING:
    from mergeline.serving.routes import Route

_TYPES: Mapping[str, dict[str, Any]] = {
    "double": {"type": "number", "format": "double"},
    "float": {"type": "number", "format": "float"},
    "long": {"type": "integer", "format": "int64"},
    "integer": {"type": "integer", "format": "int32"},
    "boolean": {"type": "boolean"},
    "string": {"type": "string"},
    "datetime": {"type": "string", "format": "date-time"},
}
_EXAMPLES: Mapping[str, Any] = {
    "double": 0.5, "float": 0.5, "long": 1, "integer": 1, "boolean": True, "string": "text",
    "datetime": "2013-07-01T17:00:00",
}  # fmt: skip
_NUMBERS = {"type": "array", "items": {"type": "number"}}
_ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {key: {"type": "string"} for key in ("message", "where", "next_step")},
            "required": ["message", "where", "next_step"],
        }
    },
    "required": ["error"],
}


def openapi(routing: Routing, routes: Sequence[Route]) -> dict[str, Any]:
    """The OpenAPI 3.1 document: each address, and each loaded version with its own rows."""
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    for path, served, model in _predictions(routing):
        paths[path] = {"post": _prediction(path, served, model)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mergeline",
            "version": version("mergeline"),
            "description": "The released models of this server, each under its version and stage.",
        },
        "paths": paths,
        "components": {"schemas": {"Error": _ERROR}},
    }


def page(routing: Routing) -> str:
    """The same for a person: each model, its columns, and a request to copy."""
    parts = [_model_section(path, served, model) for path, served, model in _predictions(routing)]
    body = "".join(parts) or "<p>No model is loaded.</p>"
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>mergeline</title>"
        "<meta name=viewport content='width=device-width'>"
        f"<style>{_STYLE}</style><h1>Models of this server</h1>"
        "<p>Machines read <a href=/openapi.json>/openapi.json</a>. "
        "What is served and why not: <a href=/models>/models</a>, <a href=/readyz>/readyz</a>; "
        f"counts: <a href=/metrics>/metrics</a>.</p>{body}"
    )


def _predictions(routing: Routing) -> Iterator[tuple[str, ServedVersion, ServedModel]]:
    for (name, stage), served in sorted(routing.stages.items()):
        if served.model:
            yield f"/models/{name}/stages/{stage.lower()}/predict", served, served.model
    for (name, number), served in routing.versions.items():
        if served.model:
            yield f"/models/{name}/versions/{number}/predict", served, served.model


def example(model: ServedModel) -> dict[str, Any]:
    """One row that the model takes: the one saved with it, or made up from its types."""
    saved = model.loaded.example or {}
    return {
        name: saved.get(name, _EXAMPLES[kind.type]) if saved else _EXAMPLES[kind.type]
        for name, kind in model.inputs.items()
    }


def _row(inputs: Mapping[str, InputColumn]) -> dict[str, Any]:
    properties = {}
    for name, kind in inputs.items():
        described = dict(_TYPES[kind.type])
        if not kind.required or kind.type in {"double", "float"}:
            described["type"] = [described["type"], "null"]
        properties[name] = described
    required = [name for name, kind in inputs.items() if kind.required]
    return {"type": "object", "properties": properties, "required": required}


def _prediction(path: str, served: ServedVersion, model: ServedModel) -> dict[str, Any]:
    predictions = {"type": "array", "items": _NUMBERS if model.classes else {"type": "number"}}
    said = {
        "type": "object",
        "properties": {
            "model": {"type": "string"},
            "version": {"type": "integer"},
            "stage": {"type": "string"},
            "fingerprint": {"type": "string"},
            "model_digest": {"type": "string"},
            "classes": {"type": "array"},
            "predictions": predictions,
        },
    }
    return {
        "operationId": re.sub(r"\W+", "_", path.strip("/")),
        "summary": f"Predictions of {served.version.model} v{served.version.number}",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _rows_body(_row(model.inputs)),
                    "example": {"rows": [example(model)]},
                }
            },
        },
        "responses": {
            "200": _content("The predictions, in the order of the rows.", said),
            **_FAILS,
        },
    }


def _content(text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": dict(schema)}}}


_FAILS = {
    code: _content(text, {"$ref": "#/components/schemas/Error"})
    for code, text in {
        "400": "The body is not of the protocol.",
        "404": "There is no such model, version or stage.",
        "408": "The body did not come in time.",
        "413": "The body is too large.",
        "415": "The body is packed or written in another way.",
        "422": "The rows are not what the model takes.",
        "503": "Not now; Retry-After says when.",
    }.items()
}


def _operation(route: Route) -> dict[str, Any]:
    names = re.findall(r"{(\w+)}", route.path)
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{route.method.lower()}_{route.path.strip('/')}"),
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in names
        ],
        "responses": {
            "200": {"description": "The answer."},
            "default": {"description": "An error."},
        },
    }
    if route.method == "POST":
        body = _BODIES[route.path.rpartition("/")[2]]
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": body}},
        }
    return operation


def _rows_of(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": dict(row), "minItems": 1, "maxItems": ROW_LIMIT}


def _rows_body(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a request of mergeline's own protocol holds, where a row is of this schema."""
    return {
        "type": "object",
        "properties": {"rows": _rows_of(row)},
        "required": ["rows"],
        "additionalProperties": False,
    }


def _one_of_mlflows(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    properties = {name: dict(schema), "params": {"type": ["object", "null"]}}
    return {"type": "object", "properties": properties, "required": [name]}


_ANY_ROW = {"type": "object"}
_NAMES = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
_TENSOR = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "datatype": {"type": "string"},
        "shape": {
            "type": "array",
            "items": {"type": "integer", "minimum": 1},
            "minItems": 1,
            "maxItems": 2,
        },
        "data": {"type": "array"},
    },
    "required": ["name", "datatype", "shape"],
}
# What a request of each protocol holds, whatever the model's columns are; by the address's end.
_BODIES: Mapping[str, Mapping[str, Any]] = {
    "predict": _rows_body(_ANY_ROW),
    "invocations": {
        "oneOf": [
            _one_of_mlflows("dataframe_records", _rows_of(_ANY_ROW)),
            _one_of_mlflows(
                "dataframe_split",
                {
                    "type": "object",
                    "properties": {
                        "columns": _NAMES,
                        "data": _rows_of({"type": "array"}),
                        "index": {"type": "array"},
                    },
                    "required": ["columns", "data"],
                    "additionalProperties": False,
                },
            ),
            _one_of_mlflows("instances", {"type": ["array", "object"]}),
            _one_of_mlflows("inputs", {"type": ["array", "object"]}),
        ]
    },
    "infer": {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "inputs": {"type": "array", "items": _TENSOR, "minItems": 1},
        },
        "required": ["inputs"],
    },
}


def _model_section(path: str, served: ServedVersion, model: ServedModel) -> str:
    body = json.dumps({"rows": [example(model)]}, indent=2, default=str)
    command = f"curl -s http://localhost:8000{path} \\\n  -H 'content-type: application/json' \\\n"
    command += f"  -d {shlex.quote(body)}"
    rows = "".join(
        f"<tr><td>{html.escape(name)}<td>{kind.type}<td>{'yes' if kind.required else 'no'}"
        for name, kind in model.inputs.items()
    )
    answer = (
        "probabilities of " + ", ".join(map(str, model.classes)) if model.classes else "a number"
    )
    return (
        f"<section><h2><code>POST {html.escape(path)}</code></h2>"
        f"<p>{html.escape(served.version.model)} v{served.version.number}, model "
        f"<code>{served.version.model_digest[:12]}</code>, asked as {model.form.name}. "
        f"A row gives {html.escape(answer)}.</p>"
        f"<table><tr><th>column<th>type<th>required{rows}</table>"
        f"<pre>{html.escape(command)}</pre></section>"
    )


_STYLE = (
    "body{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color-scheme:light dark}pre{overflow:auto;padding:1rem;border:1px solid #8888}"
    "td,th{text-align:left;padding:.1rem 1rem .1rem 0}h2{margin-top:2.5rem;font-size:1.1rem}"
)
