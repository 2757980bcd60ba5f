"""What a repository has, and what is likely meant by it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

from mergeline.core.begin.answers import Answers, ModelAnswer
from mergeline.core.begin.scripts import Script
from mergeline.core.data.first_contract import Inferred, InferredColumn
from mergeline.core.declare.model import Task, is_name
from mergeline.core.declare.strict import did_you_mean
from mergeline.errors import InputError

Forge = Literal["github", "enterprise", "gitea", "other", "none"]
Manager = Literal["uv", "poetry", "pixi", "conda", "pip", "none"]
_LABELS = re.compile(r"target|label|y|class|outcome|response|diagnosis", re.IGNORECASE)
_NUMBERS = re.compile(r"u?int\d+|float\d+|decimal.*")
_BY_TASK = {"binary": "Classifier", "multiclass": "Classifier", "regression": "Regressor"}
_OF_A_REGRESSION = re.compile(r"(Regressor|Ridge|Lasso|ElasticNet|LinearRegression)$")


@dataclass(frozen=True)
class DataFile:
    """A file that may hold a table's rows.

    Attributes:
        drops: it and the other files of its folder that have the same columns.
        is_tracked: whether Git itself has it.
    """

    path: str
    size: int
    drops: tuple[str, ...]
    is_tracked: bool = False


@dataclass(frozen=True)
class Found:
    """What a repository has.

    Attributes:
        version: of mergeline; `pin` is the commit or tag that workflows are taken from.
        files: content of those files that `init` writes elsewhere and that are here.
        data: largest first; `foreign` are files that no contract suits.
        stages: of `dvc.yaml`, and what they leave (`outs`).
        pointers: `.dvc` files.
        params: the sections of `params.yaml`.
        scripts: by path, what training scripts say.
        needs_mergeline: whether no file of dependencies names mergeline.
        dirty: how many files are changed and not committed.
    """

    version: str
    pin: str
    branch: str = "main"
    forge: Forge = "none"
    manager: Manager = "none"
    files: Mapping[str, bytes] = field(default_factory=dict)
    data: tuple[DataFile, ...] = ()
    foreign: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    contracts: tuple[str, ...] = ()
    stages: frozenset[str] = frozenset()
    outs: frozenset[str] = frozenset()
    params: frozenset[str] = frozenset()
    pointers: frozenset[str] = frozenset()
    paths: frozenset[str] = frozenset()
    scripts: Mapping[str, Script] = field(default_factory=dict)
    has_dvc: bool = False
    has_remote: bool = False
    needs_mergeline: bool = True
    dirty: int = 0

    def data_file(self, path: str) -> DataFile:
        """The data file at a path.

        Raises:
            InputError: there is none.
        """
        for each in self.data:
            if each.path == path:
                return each
        near = did_you_mean(path, [each.path for each in self.data])
        raise InputError(f"no file of rows at {path!r} ({near})")

    def script(self) -> tuple[str, Script]:
        """The training script that says most, and where it is."""
        said = sorted(
            self.scripts.items(),
            key=lambda item: ((item[1].estimator is None) + (item[1].label is None), item[0]),
        )
        return said[0] if said else ("", Script())


def likely_label(table: Inferred, script: Script) -> str:
    """The column that is likely to be predicted."""
    names = [column.name for column in table.columns]
    if script.label in names:
        return script.label
    return next(filter(_LABELS.fullmatch, names), names[-1])


def likely_task(column: InferredColumn) -> Task:
    """What kind of model predicts a column."""
    if column.type == "bool" or (len(column.values) == 2 and not _is_fraction(column)):
        return "binary"
    is_number = _NUMBERS.fullmatch(column.type)
    few = column.values and not _is_fraction(column)
    return "multiclass" if few or not is_number else "regression"


def _is_fraction(column: InferredColumn) -> bool:
    return column.type.startswith(("float", "decimal"))


def column_of(table: Inferred, name: str) -> InferredColumn:
    """A column by its name.

    Raises:
        InputError: the table has none of that name.
    """
    for column in table.columns:
        if column.name == name:
            return column
    near = did_you_mean(name, [column.name for column in table.columns])
    raise InputError(f"no column {name!r} ({near})", where=table.path)


def propose(
    found: Found,
    table: Inferred,
    *,
    label: str,
    task: Task | None = None,
    name: str | None = None,
    key: Sequence[str] = (),
    remote: str = Answers.remote,
    others: Sequence[ModelAnswer] = (),
    labels: Collection[str] = (),
    estimator: str | None = None,
) -> Answers:
    """All answers, by what was asked and by default.

    `others` are models of the same table that were proposed before, `labels` what all of them
    predict.

    Raises:
        InputError: the label cannot be predicted from the table.
    """
    column = column_of(table, label)
    task = task or likely_task(column)
    named = [*key] or ([table.likely_key] if table.likely_key not in {None, label} else [])
    for each in named:
        column_of(table, each)
    labels = {label, *labels}
    inputs, left_out = _inputs(table, labels, named)
    name = name or as_name(label)
    taken = {each.stage for each in others} | found.stages | found.params
    script = found.script()[1]
    fits = bool(_OF_A_REGRESSION.search(script.estimator or "")) == (task == "regression")
    if estimator is None and script.estimator and fits:
        estimator, params = script.estimator, {**script.params}
    else:
        library = "sklearn.ensemble.HistGradientBoosting"
        estimator, params = estimator or library + _BY_TASK[task], {"learning_rate": 0.1}
        params["max_iter" if estimator.startswith(library) else "n_estimators"] = 100
    if not estimator.endswith(("LinearRegression", "NB")):
        params.setdefault("random_state", 0)
    stage = "train" if "train" not in taken and not others else f"train_{name.replace('-', '_')}"
    file = f"{stage}.py"
    model = ModelAnswer(
        name=name,
        label=label,
        task=task,
        classes=_classes(column, task, table.path),
        key=tuple(named or _whole_rows(table, label)),
        inputs=tuple(each.name for each in inputs),
        texts=tuple(each.name for each in inputs if not _NUMBERS.fullmatch(each.type)),
        estimator=estimator,
        stage=stage,
        script=file if file not in found.paths else f"train_{name.replace('-', '_')}.py",
        params=params,
        gaps=any(each.nullable for each in inputs),
        unlabelled=column.nullable,
        one_of_a_kind=bool(named),
        left_out=left_out,
    )
    drops = found.data_file(table.path).drops if found.data else ()
    return Answers(
        table=as_name(_stem(drops, table.path)).replace("-", "_"),
        source=f"{drops[0]}.dvc" if len(drops) == 1 else str(PurePosixPath(table.path).parent),
        drops=drops,
        remote=remote,
        models=(*others, model),
    )


def as_name(text: str) -> str:
    """The text as a name of a model or table: lower-case letters, digits, - and _."""
    plain = re.sub(r"[^a-z0-9_-]+", "_", text.lower()).strip("_-")[:63]
    return plain if is_name(plain) else f"the_{plain}"[:63].rstrip("_-")


def _stem(drops: Sequence[str], path: str) -> str:
    """What the rows are called: by their file, or by the folder of several."""
    whole = PurePosixPath(path)
    folder = whole.parent.name
    return (
        folder if len(drops) > 1 and folder not in {"", "data", "raw"} else whole.name.split(".")[0]
    )


def _inputs(
    table: Inferred, labels: Collection[str], key: Sequence[str]
) -> tuple[list[InferredColumn], dict[str, str]]:
    """The columns that a model can take as they are, and why not the others."""
    inputs, left_out = [], {}
    for column in table.columns:
        if column.name in labels:
            continue
        if column.name in key:
            left_out[column.name] = "names the row"
        elif column.type in {"date", "datetime", "binary"}:
            left_out[column.name] = f"a {column.type}: make a number of it"
        elif column.type == "string" and column.unique:
            left_out[column.name] = "another text in each row"
        else:
            inputs.append(column)
    if not inputs:
        raise InputError(
            f"no column is left to predict {' and '.join(sorted(labels))} from",
            where=table.path,
            next_step="Take another label, or a file with numbers or words beside it",
        )
    return inputs, left_out


def _whole_rows(table: Inferred, label: str) -> list[str]:
    """All columns that always have a value, where none names a row by itself."""
    names = [one.name for one in table.columns if not one.nullable and one.name != label]
    if not names:
        raise InputError(
            "every column lacks values, so nothing names a row",
            where=table.path,
            next_step="Add a column that does, such as a number for each row",
        )
    return names


def _classes(column: InferredColumn, task: Task, where: str) -> tuple[bool | int | str, ...]:
    if task == "regression":
        if not _NUMBERS.fullmatch(column.type):
            raise InputError(f"{column.name!r} is a {column.type}, no number", where=where)
        return ()
    values: tuple[bool | int | str, ...] = column.values
    if column.type == "bool":
        values = (False, True)
    elif column.type == "int64":
        values = tuple(sorted(map(int, column.values)))
    least, most = (2, 2) if task == "binary" else (3, len(values))
    if column.type not in {"bool", "int64", "string"} or not least <= len(values) <= most:
        seen = f"{len(values)} different values" if values else "more than 12 different values"
        raise InputError(
            f"{column.name!r} has {seen}, and a {task} model tells "
            f"{'two' if task == 'binary' else 'three or more'} classes apart",
            where=where,
            next_step="Take another label or task, or group its values",
        )
    return values
