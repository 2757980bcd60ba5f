"""What the verbs share to print as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def document(value: object) -> dict[str, Any]:
    """A dataclass as JSON has it."""
    from mergeline.core.declare.strict import write_json

    found: dict[str, Any] = json.loads(write_json(value))
    return found


def print_json(documents: Iterable[dict[str, Any]]) -> None:
    """Print a list of documents."""
    click.echo(json.dumps(list(documents), indent=2, ensure_ascii=False))
