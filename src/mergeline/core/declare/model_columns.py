"""Hold a model's declaration against the contracts of its tables, before anything trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from mergeline.core.declare.columns import Column
from mergeline.core.declare.contract import Contract
from mergeline.core.declare.model import Model
from mergeline.core.declare.strict import did_you_mean
from mergeline.errors import DeclarationError


def check_columns(
    model: Model, contracts: Sequence[Contract], is_named: Callable[[str], bool]
) -> list[str]:
    """What is worth a look of the classes, a sentence each.

    A column may be one that code makes: `is_named` says whether the model's code or parameters have
    such a word.

    Raises:
        DeclarationError: a declared column is neither in a contract nor named by code, or a class
            is a value that the contract does not allow.
    """
    known = {name for contract in contracts for name in contract.columns}
    for part, name in _columns(model):
        if name not in known and not is_named(name):
            near = did_you_mean(name, sorted(known))
            raise DeclarationError(
                f"{part}: no column {name!r} ({near})",
                where=f"models/{model.name}.yaml",
                next_step="Correct it; where a stage's code makes the column, write its name there",
            )
    notes: list[str] = []
    for contract in contracts:
        if label := contract.columns.get(model.label):
            notes += _class_notes(model, contract.path, label)
    if model.classes and not _is_rising(model.classes):
        told = ", ".join(map(str, model.classes))
        notes.append(
            f"classes [{told}] do not rise, as those of a scikit-learn, XGBoost or LightGBM "
            "classifier do: such a model would be refused once it is trained"
        )
    return notes


def _columns(model: Model) -> Iterator[tuple[str, str]]:
    """The columns that a declaration names, each with its key."""
    yield "label", model.label
    yield from (("key", name) for name in model.key)
    if model.cluster is not None:
        yield "cluster", model.cluster
    yield from (("slices", choice.column) for choice in model.slices)
    yield from (("private", name) for name in model.private)


def _class_notes(model: Model, where: str, label: Column) -> Iterator[str]:
    """Refuse a class that the label never is; of another type it may be what code makes of it."""
    for one in model.classes:
        if not label.is_of_type(one):
            yield (
                f"class {one!r} is no {label.type}, which {where} says {model.label} is: code must "
                "make it so"
            )
            return
        if not label.allows(one):
            near = did_you_mean(str(one), [*map(str, label.allowed)])
            raise DeclarationError(
                f"classes: by {where} {model.label} is never {one!r}"
                + (f" ({near})" if label.allowed else ""),
                where=f"models/{model.name}.yaml",
                next_step="Correct the class, or the contract",
            )
    classes = [] if not model.classes else label.allowed
    if more := [value for value in classes if value not in model.classes]:
        yield f"{where} allows {model.label} to be {more[0]!r}, which is none of the classes"


def _is_rising(classes: Sequence[bool | int | str]) -> bool:
    return [*classes] == sorted(classes, key=lambda one: (type(one).__name__, one))
