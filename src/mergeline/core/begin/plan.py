"""What a repository lacks: files to write, lines to add, commands to run, work for a person."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mergeline.core.begin import files as texts
from mergeline.core.begin.answers import Answers, Record
from mergeline.core.begin.found import Found
from mergeline.core.data.first_contract import Inferred, to_yaml
from mergeline.core.declare.strict import parse_yaml
from mergeline.core.numbers import counted, size
from mergeline.errors import DeclarationError


@dataclass(frozen=True)
class Step:
    """One thing that `init` does.

    Attributes:
        action: `write` a file that is missing; `update` one that `init` wrote and nobody changed;
            `add` to one that is a person's; `run` a command.
        path: of the file, or of the drop that a command is about.
        text: the file's whole content; for `run` none.
        command: its words.
        why: what for.
    """

    action: Literal["write", "update", "add", "run"]
    path: str
    why: str
    text: str = ""
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class InitPlan:
    """What `init` would do.

    Attributes:
        notes: what a person should know first.
        kept: files that it leaves as they are, and why.
        by_hand: what only a person can do.
        next_commands: how to go on.
    """

    steps: tuple[Step, ...]
    answers: Answers
    notes: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    by_hand: tuple[str, ...] = ()
    next_commands: tuple[str, ...] = ()


def digest(text: bytes | str) -> str:
    """By which a file is known to be as it was written."""
    content = text.encode() if isinstance(text, str) else text
    return hashlib.sha256(content).hexdigest()


def plan_init(
    found: Found,
    answers: Answers,
    table: Inferred | None,
    record: Record | None,
    workflows: Mapping[str, str],
) -> InitPlan:
    """Hold what the answers ask for against what is there.

    `table` is what the first drop looks like, where its contract is to be written; `workflows` are
    the files that the forge needs.
    """
    written = record.files if record else {}
    by_hand: list[str] = []
    steps: list[Step] = []
    kept: list[str] = []
    wanted = {**_own_files(found, answers, table, record), **workflows}
    for path, text in wanted.items():
        here = found.files.get(path)
        if here is None and path in written:
            kept.append(f"{path} was deleted, and stays so")
        elif here is None:
            steps.append(Step("write", path, _WHY.get(path.partition("/")[0], ""), text))
        elif path in written and here != text.encode():
            if digest(here) == written[path]:
                steps.append(Step("update", path, f"as mergeline {found.version} writes it", text))
            else:
                kept.append(f"{path} was changed by a person, and stays so")
    for path, extended, lines in _additions(found, answers, written):
        if extended is None:
            by_hand.append(f"add to {path}:\n{lines}")
        else:
            steps.append(Step("add", path, lines.rstrip(), extended))
    steps += _commands(found, answers)
    return InitPlan(
        tuple(steps),
        answers,
        notes=tuple(_notes(found, answers, table)),
        kept=tuple(kept),
        by_hand=(*by_hand, *_by_hand(found, answers)),
        next_commands=(
            'git add --all && git commit --message "Set up mergeline"',
            "mergeline evaluate",
            "mergeline release",
        ),
    )


_WHY = {
    "data": "the contract: what the table's files must be",
    "models": "the declaration: what is predicted, and the gate",
    "dvc.yaml": "the stages: a snapshot of the table, then the training",
    "params.yaml": "what the training reads",
    ".dvc": "DVC, with a default remote for the drops",
    ".github": "each step is one mergeline verb",
    ".gitea": "each step is one mergeline verb",
}


def _own_files(
    found: Found, answers: Answers, table: Inferred | None, record: Record | None
) -> dict[str, str]:
    """The files that belong to the project, by path."""
    written = record.files if record else {}
    files: dict[str, str] = {}

    def own(path: str, text: str) -> None:
        if path in written or path not in found.files:
            files[path] = text

    if not found.has_dvc or ".dvc/config" in written:
        own(".dvc/config", texts.dvc_config(answers.remote))
        own(".dvc/.gitignore", texts.DVC_IGNORED)
    own(".dvcignore", "".join(f"{line}\n" for line in texts.IGNORED_BY_DVC))
    own(".gitignore", "".join(f"{line}\n" for line in texts.IGNORED))
    if answers.models:
        contract = f"data/{answers.table}.yaml"
        if table is not None and contract not in found.files:
            key = answers.models[0].key if answers.models[0].one_of_a_kind else ()
            text = to_yaml(table, source=answers.source, key=key)
            own(contract, texts.schema_line("contract", found.version) + text)
        own("params.yaml", texts.params_yaml(answers.models))
        own("dvc.yaml", f"stages:\n{texts.stages_yaml(answers, snapshot=True)}")
        for model in answers.models:
            own(f"models/{model.name}.yaml", texts.model_yaml(model, found.version))
            own(model.script, texts.training_script(model, answers.table))
    return files


def _additions(
    found: Found, answers: Answers, written: Mapping[str, str]
) -> Iterator[tuple[str, str | None, str]]:
    """What files lack that are a person's: path, the whole new text, the lines that it adds.

    The text is None where it cannot be told that the file would still say what it says.
    """
    for path, lines in ((".gitignore", texts.IGNORED), (".dvcignore", texts.IGNORED_BY_DVC)):
        here = found.files.get(path)
        if here is None or path in written:
            continue
        known = {line.strip().strip("/") for line in here.decode(errors="replace").splitlines()}
        lacking = "".join(f"{line}\n" for line in lines if line.strip("/") not in known)
        if lacking:
            yield path, _ended(here) + lacking, lacking
    new = [model for model in answers.models if model.stage not in found.params]
    if new and "params.yaml" in found.files and "params.yaml" not in written:
        lines_ = texts.params_yaml(new)
        yield "params.yaml", _extended(found.files["params.yaml"], lines_, ()), lines_
    pin = f"data/{answers.table}.snapshot.json"
    missing = [model for model in answers.models if model.stage not in found.stages]
    if missing and "dvc.yaml" in found.files and "dvc.yaml" not in written:
        part = Answers(answers.table, models=tuple(missing))
        lines_ = texts.stages_yaml(part, snapshot=pin not in found.outs)
        yield "dvc.yaml", _extended(found.files["dvc.yaml"], lines_, ("stages",)), lines_


def _ended(text: bytes) -> str:
    decoded = text.decode(errors="surrogateescape")
    return decoded if not decoded or decoded.endswith("\n") else f"{decoded}\n"


def _extended(here: bytes, lines: str, within: Sequence[str]) -> str | None:
    """A YAML text with lines at its end, if it then says what it said and what they say."""
    try:
        whole = _ended(here) + lines
        before, after = parse_yaml(here, where=""), parse_yaml(whole, where="")
    except DeclarationError:
        return None
    added: dict[str, Any] = parse_yaml(lines, where="")
    if within:
        [key] = within
        expected = {**before, key: {**before.get(key, {}), **added}}
    else:
        expected = {**before, **added}
    return whole if after == expected else None


def _commands(found: Found, answers: Answers) -> Iterator[Step]:
    if found.has_dvc and not found.has_remote:
        remote = answers.remote.removeprefix("../")  # a command's paths start at the root
        words = ("dvc", "remote", "add", "--default", "storage", remote)
        yield Step("run", ".dvc/config", "DVC's default remote", command=words)
    tracked = {path for each in found.data if each.is_tracked for path in each.drops}
    sizes = {each.path: each.size for each in found.data}
    for drop in answers.drops:
        if f"{drop}.dvc" in found.pointers:
            continue
        if drop in tracked:
            command = ("git", "rm", "--quiet", "--cached", drop)
            yield Step("run", drop, "the file stays; Git keeps a pointer instead", command=command)
        why = f"a pointer to {size(sizes.get(drop, 0))}, which DVC copies into its cache"
        yield Step("run", drop, why, command=("dvc", "add", "--quiet", drop))


def _notes(found: Found, answers: Answers, table: Inferred | None) -> Iterator[str]:
    if found.dirty:
        yield f"{counted(found.dirty, 'file')} changed and not committed: init writes beside them"
    if table is not None and table.head_of is not None:
        seen = f"only the first {table.rows:,} rows of {size(table.head_of)} were looked at"
        yield f"{table.path}: {seen}"
    if len(answers.drops) > 1:
        yield f"{len(answers.drops)} files have the same columns: they are drops of one table"
    path, script = found.script()
    if answers.models and path and path not in {model.script for model in answers.models}:
        taken = [model for model in answers.models if model.estimator == script.estimator]
        what = f", and {taken[0].script} takes its estimator" if taken else ""
        yield f"{path} stays as it is{what}"


def _by_hand(found: Found, answers: Answers) -> Iterator[str]:
    if found.needs_mergeline:
        yield _INSTALLING[found.manager].format(version=found.version)
    if answers.models and answers.remote == Answers.remote and found.forge != "none":
        yield (
            "the DVC remote is a folder of this machine: jobs elsewhere need one that they can "
            "reach (dvc remote add --default --force storage URL)"
        )
    if found.forge == "none":
        yield "there is no remote `origin` yet: run init again when there is, for the workflows"
    elif found.forge == "other":
        yield "workflows are for GitHub, Gitea and Forgejo; elsewhere run the verbs in your own"


_INSTALLING = {
    "uv": "add mergeline to what the project needs: uv add 'mergeline[train]=={version}'",
    "poetry": "add mergeline to what the project needs: poetry add 'mergeline[train]@{version}'",
    "pixi": "add mergeline to what the project needs: "
    "pixi add --pypi 'mergeline[train]=={version}'",
    "conda": "add mergeline[train]=={version} to the pip section of environment.yml",
    "pip": "add mergeline[train]=={version} to requirements.txt",
    "none": "pin what the project needs, in requirements.txt or by `uv init`: "
    "mergeline[train]=={version}",
}
INSTALL: Mapping[str, str] = {
    "poetry": "POETRY_VIRTUALENVS_IN_PROJECT=true uvx poetry sync --without dev",
    "pixi": "curl -fsSL https://pixi.sh/install.sh | bash && "
    '"$HOME/.pixi/bin/pixi" install --locked && ln -sfn .pixi/envs/default .venv',
    "conda": '"$CONDA/bin/conda" env create --quiet --prefix .venv --file environment.yml',
    "pip": "uv venv && uv pip install --compile-bytecode -r requirements.txt",
    "none": "uv venv && uv pip install --compile-bytecode -r requirements.txt",
}
"""By what the project is installed with: the command for its jobs; for uv the workflows' own."""
