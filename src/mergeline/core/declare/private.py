"""What a message may quote: never a value of a column that a model declares `private`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from mergeline.core.declare.contract import Contract
from mergeline.core.declare.model import Model

NOT_SHOWN = "why is not shown here, since the message may hold values of private columns"
"""Stands for a message that tells of cells, where a declaration names private columns."""


def words_of_others(words: str, private: Collection[str]) -> str:
    """What a library or a model says of rows; not where one of their columns is private."""
    return NOT_SHOWN if private else words


def private_columns(models: Mapping[str, Model]) -> frozenset[str]:
    """The columns that any of the models declares private."""
    return frozenset(name for model in models.values() for name in model.private)


@dataclass(frozen=True)
class Quoting:
    """Which values of a table a message may quote."""

    contract: Contract
    private: frozenset[str] = frozenset()

    @property
    def is_free(self) -> bool:
        """Whether the table has no private column, so that a whole row may be quoted."""
        return self.private.isdisjoint(self.contract.columns)

    def allows(self, *columns: str) -> bool:
        """Whether a value of these columns may be quoted; without columns, a whole row."""
        known = bool(columns) and self.contract.columns.keys() >= set(columns)
        return self.is_free or (known and self.private.isdisjoint(columns))
