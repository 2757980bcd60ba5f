"""`init`: make a repository a project of mergeline, by what it has and a few questions."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import get_args

from mergeline.adapters.drops.infer import infer
from mergeline.adapters.forge.workflow_files import render
from mergeline.adapters.git.repository import Repository
from mergeline.core.begin.answers import RECORD, Answers, Record
from mergeline.core.begin.found import Found, as_name, column_of, likely_label, likely_task, propose
from mergeline.core.begin.plan import INSTALL, InitPlan, Step, digest, plan_init
from mergeline.core.data.first_contract import Inferred
from mergeline.core.declare.model import Task
from mergeline.core.declare.strict import read_json, write_json
from mergeline.errors import ExternalError, GitError, InputError, NotFoundError
from mergeline.lifecycle.steps.survey import survey
from mergeline.system.atomic_writes import write_file_whole
from mergeline.system.environment import without_repository
from mergeline.system.git_command import run_git

Ask = Callable[[str, str, Sequence[str]], str]
"""Question, default, choices (none: any text) → answer."""
_HEAD = 64 << 20  # bytes of a file that are looked at
_TASKS: Mapping[str, Task] = {name: name for name in get_args(Task)}


def by_default(question: str, default: str, choices: Sequence[str]) -> str:  # noqa: ARG001
    """Ask nobody."""
    return default


def plan(
    repository: Repository,
    ask: Ask = by_default,
    *,
    label: str | None = None,
    answers: Answers | None = None,
) -> InitPlan:
    """What the repository lacks; nothing is written.

    Args:
        repository: its working tree.
        ask: how to ask; a project that was begun before is asked nothing.
        label: the column to predict, where it is known.
        answers: all answers, where they are known.

    Raises:
        MergelineError: something that is there cannot be read, or no model can be made of it.
    """
    found = survey(repository)
    record = _record(found)
    table = None
    answers = answers or (record.answers if record else None)
    if answers is None and found.models:
        answers = Answers()
    if answers is None:
        answers, table = _asked(repository, found, ask, label)
    elif answers.drops and f"data/{answers.table}.yaml" not in found.files:
        table = _look_at(repository, answers.drops[0])
    planned = plan_init(found, answers, table, record, _workflows(found))
    _refuse_ignored(repository, planned)
    return planned


def apply(repository: Repository, planned: InitPlan, say: Callable[[str], None]) -> None:
    """Do what was planned; killed anywhere and run again, it goes on.

    Raises:
        ExternalError: git or DVC refuses.
    """
    root = repository.root
    record = _record(survey(repository)) or Record("", planned.answers)
    record = replace(record, version=version("mergeline"), answers=planned.answers)
    write_file_whole(root / RECORD, write_json(record).encode())
    for step in planned.steps:
        if step.action == "run":
            _run(step, root)
        else:
            content = step.text.encode(errors="surrogateescape")
            write_file_whole(root / step.path, content)
        if step.action in {"write", "update"}:
            record = replace(record, files={**record.files, step.path: digest(step.text)})
            write_file_whole(root / RECORD, write_json(record).encode())
        say(f"{step.action} {' '.join(step.command) or step.path}")


def _asked(
    repository: Repository, found: Found, ask: Ask, label: str | None
) -> tuple[Answers, Inferred]:
    if not found.data:
        what = f"only {found.foreign[0]}" if found.foreign else "none"
        raise NotFoundError(
            f"no file of rows (CSV, JSON lines or Parquet) in the repository: {what}",
            next_step="Save its sheet or table as CSV under data/ and run again"
            if found.foreign
            else "Put one under data/ and run again, or begin elsewhere with an example: "
            "mergeline init --example binary",
        )
    paths = [each.path for each in found.data]
    path = ask("Which file has the rows?", paths[0], paths)
    table = _look_at(repository, found.data_file(path).path)
    names = [column.name for column in table.columns]
    if label is None:
        guess = likely_label(table, found.script()[1])
        label = ask("Which column is to be predicted?", guess, names)
    task = _TASKS[ask("What kind of model?", likely_task(column_of(table, label)), [*_TASKS])]
    name = ask("What is the model called?", as_name(label), ())
    told = partial(propose, found, table, label=label, task=task, name=as_name(name))
    guessed = told()
    likely = ", ".join(guessed.models[0].key)
    keys = ask("Which columns name a row?", likely, ())
    if keys != likely:
        guessed = told(key=[each.strip() for each in keys.split(",")])
    if found.has_remote:
        return guessed, table
    remote = ask("Where does DVC keep the files?", guessed.remote, ())
    return replace(guessed, remote=remote), table


def _look_at(repository: Repository, path: str) -> Inferred:
    return infer(repository.root / path, path, most=_HEAD)


def _record(found: Found) -> Record | None:
    text = found.files.get(RECORD)
    return read_json(Record, text, where=RECORD) if text else None


def _workflows(found: Found) -> Mapping[str, str]:
    """The files that the forge runs, if mergeline knows it."""
    if found.forge == "other" or found.forge == "none":  # noqa: PLR1714  mypy narrows by it
        return {}
    inputs = {"install": INSTALL[found.manager]} if found.manager in INSTALL else {}
    return render(found.forge, inputs, branch=found.branch, ref=found.pin)


def _refuse_ignored(repository: Repository, planned: InitPlan) -> None:
    """Refuse a repository in which git would not see what is written."""
    paths = [step.path for step in planned.steps if step.action == "write"]
    paths += [f"{step.path}.dvc" for step in planned.steps if step.command[:2] == ("dvc", "add")]
    if not paths:
        return
    try:
        out = run_git(["check-ignore", "--", *paths], cwd=repository.root).decode()
    except GitError:  # exit code 1: none is
        return
    if ignored := out.split("\n")[0]:
        raise InputError(
            "git ignores it, and it belongs into Git",
            where=ignored,
            next_step=f"Take the line out of .gitignore that says so: "
            f"git check-ignore --verbose {ignored}",
        )


def _run(step: Step, root: Path) -> None:
    """Run a command of git or DVC."""
    program, *words = step.command
    command = [sys.executable, "-m", "dvc", *words] if program == "dvc" else [program, *words]
    done = subprocess.run(
        command, cwd=root, env=without_repository(os.environ), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise ExternalError(
            f"{' '.join(step.command)} failed: {said[0] if said else done.returncode}",
            where=step.path,
            next_step="Mend that, and run `mergeline init` again: it goes on from there",
        )
