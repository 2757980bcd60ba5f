"""What `init` was told, or took by default: all that its files are written from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mergeline.core.begin.scripts import Value
from mergeline.core.declare.model import Task

RECORD = ".mergeline-init.json"
"""Kept in Git: the answers, and the digests of the files that `init` wrote."""


@dataclass(frozen=True)
class ModelAnswer:
    """One model that is to be trained.

    Attributes:
        inputs: columns that it takes.
        texts: those of them that are no numbers.
        gaps: whether an input may lack a value.
        unlabelled: whether the label may.
        one_of_a_kind: whether the key names a row; else the same row twice counts once.
        left_out: columns that it does not take, and why.
        estimator: by import path; `params` is what it is made with.
        stage: of `dvc.yaml`, and its section of `params.yaml`.
        script: that the stage runs.
    """

    name: str
    label: str
    task: Task
    classes: tuple[bool | int | str, ...]
    key: tuple[str, ...]
    inputs: tuple[str, ...]
    texts: tuple[str, ...]
    estimator: str
    stage: str
    script: str
    params: Mapping[str, Value] = field(default_factory=dict)
    gaps: bool = False
    unlabelled: bool = False
    one_of_a_kind: bool = True
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answers:
    """What the project is about.

    Attributes:
        table: its name; `source` is where its pointers stand.
        drops: the files that are the table's first drops.
        remote: the URL of DVC's default remote.
        models: none where the project declares its own.
    """

    table: str = ""
    source: str = ""
    drops: tuple[str, ...] = ()
    remote: str = "../.mergeline/dvc-remote"
    models: tuple[ModelAnswer, ...] = ()


@dataclass(frozen=True)
class Record:
    """What `init` did.

    Attributes:
        version: of mergeline, that wrote the files last.
        files: SHA-256 of each file as it was written.
    """

    version: str
    answers: Answers
    files: Mapping[str, str] = field(default_factory=dict)
