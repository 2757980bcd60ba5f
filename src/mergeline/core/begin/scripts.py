"""What a training script that is there says: what it predicts, and with which estimator."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

Value = bool | int | float | str | None
_LIBRARIES = {"sklearn", "lightgbm", "xgboost", "catboost"}
_ESTIMATOR = re.compile(r"(Classifier|Regressor|Regression|Ridge|Lasso|ElasticNet|NB)$")
_LABEL = re.compile(r"y|y_all|labels?|target")


@dataclass(frozen=True)
class Script:
    """What was found in a script.

    Attributes:
        label: the column that it predicts.
        estimator: by import path, e.g. `sklearn.linear_model.Ridge`.
        params: what it gives the estimator.
    """

    label: str | None = None
    estimator: str | None = None
    params: Mapping[str, Value] = field(default_factory=dict)


def read_script(text: str) -> Script:
    """What a script says plainly; it is not run."""
    try:
        nodes = [*ast.walk(ast.parse(text))]
    except (SyntaxError, ValueError):
        return Script()
    estimator, params = next(_estimators(nodes), (None, {}))
    return Script(next(_labels(nodes), None), estimator, params)


def _labels(nodes: list[ast.AST]) -> Iterator[str]:
    """Columns that are taken as `y = frame["price"]` or `y = frame.pop("price")`."""
    for node in nodes:
        if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)):
            continue
        if not _LABEL.fullmatch(node.targets[0].id):
            continue
        match node.value:
            case ast.Subscript(slice=ast.Constant(value=str(column))):
                yield column
            case ast.Call(func=ast.Attribute(attr="pop"), args=[ast.Constant(value=str(column))]):
                yield column


def _estimators(nodes: list[ast.AST]) -> Iterator[tuple[str, dict[str, Value]]]:
    """Estimators that are made with plain values only."""
    imported = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in nodes
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in _LIBRARIES
        for alias in node.names
    }
    for node in nodes:
        match node:
            case ast.Call(func=ast.Name(id=name), args=[]) if name in imported:
                values = {one.arg: one.value for one in node.keywords if one.arg}
                plain = {
                    key: value.value
                    for key, value in values.items()
                    if isinstance(value, ast.Constant)
                    and isinstance(value.value, bool | int | float | str | None)
                }
                if _ESTIMATOR.search(imported[name]) and len(plain) == len(node.keywords):
                    yield imported[name], plain
