"""The workflow files that a repository on a forge needs.

They are made of this repository's own, which lie beside this module. GitHub calls the jobs where
they are; an Enterprise Server cannot reach them, so there they come along; and Gitea and Forgejo
run a called workflow as one job with one token, which would put the rooms together, so there the
jobs stand in the callers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from typing import Literal

import yaml

from mergeline.errors import InputError

ForgeKind = Literal["github", "enterprise", "gitea"]
Value = str | int

SOURCE = "mergeline/mergeline"
CALLED = {
    "pull-request.yml": "on-pull-request.yml",
    "report.yml": "on-evaluated.yml",
    "release.yml": "on-merge.yml",
    "commands.yml": "on-comment.yml",
    "reconcile.yml": "on-reconcile.yml",
}
"""Each workflow that a repository has, and the one whose jobs it runs."""

# GitHub's own refuse to run elsewhere than there (go-gitea/gitea#36024). These are the same, by
# Gitea's release notes, but for that.
_ON_GITEA = {
    "actions/upload-artifact": "christopherhx/gitea-upload-artifact"
    "@81f940d004763f986ba3582c007fd842dd5cb0d7",
    "actions/download-artifact": "christopherhx/gitea-download-artifact"
    "@75635f32b4c1c41c4b3d64e8f85210112ed4c9c7",
}
_LOCAL = re.compile(r"uses: \./(\.github/workflows/on-[\w-]+\.yml).*")
_WITH = re.compile(r"\n    with:\n(?:      .*\n)+\Z")
_REST = "permissions: {}\n\n"  # what follows it: variables of all jobs, and the jobs
_RIGHTS = re.compile(r"    permissions:\n(?:      .*\n)+")


def render(
    forge: ForgeKind,
    inputs: Mapping[str, Value],
    *,
    branch: str = "main",
    source: str = SOURCE,
    ref: str | None = None,
) -> dict[str, str]:
    """The workflow files of a repository, by path.

    Args:
        forge: GitHub, a GitHub Enterprise Server, or Gitea and Forgejo.
        inputs: of the called workflows (`install`, `python`, `runner`, `timeout`, `drops`); each
            goes to those that take it, and what is left out keeps its default.
        branch: the main branch.
        source: repository on GitHub whose jobs are called.
        ref: its commit or tag; by default the tag of this version of mergeline.

    Raises:
        InputError: an input is none that a workflow takes, or of another type.
    """
    known = {name: _inputs(_shipped(called)) for name, called in CALLED.items()}
    _check(inputs, known)
    rendered = {}
    for name, called in CALLED.items():
        asked = known[name]
        given = {key: value for key, value in inputs.items() if key in asked}
        caller = _shipped(name)
        if branch != "main":
            caller = caller.replace("branches: [main]", f"branches: [{json.dumps(branch)}]")
        if forge == "gitea":
            defaults = {key: about["default"] for key, about in asked.items()}
            rendered[f".gitea/workflows/{name}"] = _inlined(
                caller, _shipped(called), {**defaults, **given}
            )
            continue
        if forge == "enterprise":
            rendered[f".github/workflows/{called}"] = _shipped(called)
        else:
            at = ref or f"v{version('mergeline')}"
            caller = _LOCAL.sub(rf"uses: {source}/\1@{at}", caller)
        rendered[f".github/workflows/{name}"] = _with(caller, given)
    return rendered


def _check(
    inputs: Mapping[str, Value], known: Mapping[str, Mapping[str, Mapping[str, str]]]
) -> None:
    types = {key: about["type"] for asked in known.values() for key, about in asked.items()}
    taken = ", ".join(f"{key} ({kind})" for key, kind in types.items())
    for key, value in inputs.items():
        wanted = int if types.get(key) == "number" else str
        if key not in types or type(value) is not wanted:
            raise InputError(
                f"the workflows take no input {key}: {value!r}",
                next_step=f"They take {taken}",
            )


def _with(caller: str, given: Mapping[str, Value]) -> str:
    """A caller that hands over these inputs and no others."""
    lines = [f"      {key}: {json.dumps(value)}\n" for key, value in given.items()]
    block = "".join(["\n    with:\n", *lines]) if lines else "\n"
    return _WITH.sub(lambda _: block, caller)


def _inlined(caller: str, called: str, values: Mapping[str, Value]) -> str:
    """A caller with the jobs of the workflow that it calls, and the inputs' values in them."""
    head, jobs = caller[: caller.index("jobs:\n")], called.partition(_REST)[2]
    jobs = _RIGHTS.sub(lambda block: _rights_on_gitea(block[0]), jobs)
    for action, same in _ON_GITEA.items():
        jobs = re.sub(rf"{action}@[0-9a-f]{{40}} # v\S+", same, jobs)
    jobs = re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda it: json.dumps(values[it[1]]), jobs)
    jobs = re.sub(r"\$\{\{ fromJSON\(inputs\.(\w+)\) \}\}", lambda it: str(values[it[1]]), jobs)
    given = {True: "true", False: "false"}
    return head + re.sub(r"inputs\.(\w+) != ''", lambda it: given[values[it[1]] != ""], jobs)


def _rights_on_gitea(block: str) -> str:
    """A job's rights where a status is part of the contents."""
    if "statuses: write" not in block:
        return block
    kept = re.sub(r" +contents: read.*\n", "", block)
    return kept.replace("statuses: write", "contents: write")


def _inputs(called: str) -> dict[str, dict[str, str]]:
    """The inputs of a called workflow with their types and defaults."""
    # BaseLoader would read numbers as text; here `on` is a truth value.
    asked: dict[str, dict[str, str]] = yaml.safe_load(called)[True]["workflow_call"]["inputs"]
    return asked


def _shipped(name: str) -> str:
    return (files("mergeline.adapters.forge") / "workflows" / name).read_text(encoding="utf-8")
