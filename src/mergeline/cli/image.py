"""`mergeline image`: build, show and verify what serves a model."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from mergeline.cli.data import this_project
from mergeline.cli.output import JSON, REFUSED, print_results, say, set_output

if TYPE_CHECKING:
    from mergeline.lifecycle.verbs.image import Built, Inspected, Verified

_CANDIDATE = click.argument("name", metavar="MODEL[@VERSION|@FINGERPRINT]")
_IMAGE = click.argument("name", metavar="MODEL[@VERSION|@FINGERPRINT|@DIGEST]")
_MB = 1_000_000


@click.group()
def image() -> None:
    """Build images that serve a model, without a container engine."""


@image.command("build")
@_CANDIDATE
@click.option("--plan", "plan_only", is_flag=True, help="Print the digest only; send nothing.")
@JSON
def build(name: str, plan_only: bool, as_json: bool) -> None:  # noqa: FBT001
    """Build a candidate's image into the store.

    Its base is that of `serving` in the working tree's declaration. In a job the output `image`
    is its name by digest.
    """
    from mergeline.lifecycle.verbs.image import build as run

    built = run(this_project(), name, plan_only=plan_only, say=say)
    set_output("image", built.image)
    print_results([built], built_lines, as_json=as_json)


@image.command("inspect")
@_IMAGE
@JSON
def inspect(name: str, as_json: bool) -> None:  # noqa: FBT001
    """Show what an image is made of."""
    from mergeline.lifecycle.verbs.image import inspect as run

    print_results([run(this_project(), name)], inspected_lines, as_json=as_json)


@image.command("verify")
@_IMAGE
@JSON
def verify(name: str, as_json: bool) -> None:  # noqa: FBT001
    """Check an image, and build it again to compare.

    Exit code 1: it is not what its candidate, base and packages make.
    """
    from mergeline.lifecycle.verbs.image import verify as run

    verified = run(this_project(), name, say=say)
    print_results([verified], verified_lines, as_json=as_json)
    if verified.problems:
        sys.exit(REFUSED)


def built_lines(built: Built) -> list[str]:
    """What was built; its name by digest is the first line."""
    done = "not sent: --plan" if built.sent is None else f"{built.sent / _MB:,.2f} MB sent"
    return [built.image, _about(built), *_sizes(built), f"  {done}"]


def inspected_lines(inspected: Inspected) -> list[str]:
    """What an image is made of."""
    beside = "with provenance" if inspected.has_provenance else "without provenance"
    return [
        inspected.image,
        _about(inspected),
        *_sizes(inspected),
        f"  base {inspected.base}",
        f"  Python {inspected.python}, {len(inspected.packages)} packages, {beside}",
        *(f"    {package}" for package in inspected.packages),
    ]


def verified_lines(verified: Verified) -> list[str]:
    """Whether an image is what it should be."""
    said = "as its candidate, base and packages make it"
    return [
        f"{verified.image}: {'NOT ' if verified.problems else ''}{said}",
        *(f"  {problem}" for problem in verified.problems),
    ]


def _about(described: Built | Inspected) -> str:
    digest, fingerprint = described.model_digest[:8], described.fingerprint[:8]
    return f"  {described.model} {digest}, fingerprint {fingerprint}"


def _sizes(described: Built | Inspected) -> list[str]:
    sizes = described.platforms.items()
    return [f"  {platform}: {size / _MB:,.1f} MB in layers" for platform, size in sizes]
