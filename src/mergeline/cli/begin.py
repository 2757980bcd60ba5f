"""The commands with which a project begins, and what helps to write its files."""

from __future__ import annotations

import json

import click

from mergeline.core.declare.schemas import KINDS, file_schema


@click.command()
@click.argument("kind", type=click.Choice(list(KINDS)))
def schema(kind: str) -> None:
    """Print the JSON schema of models/<name>.yaml or of data/<table>.yaml."""
    click.echo(json.dumps(file_schema(kind), indent=2, ensure_ascii=False))
