"""Rows of two versions side by side, by key; only drops that differ are read."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from mergeline.adapters.delta.state import State
from mergeline.core.data.changed_rows import EXAMPLES, ChangedRow, RowsDiff
from mergeline.core.data.snapshot import drop_md5


class ChangedRows:
    """The rows that drops of two versions have under the same key with other values.

    Inside, columns are numbered: a name may be a pattern to Polars.
    """

    def __init__(self, before: State, after: State, key: Sequence[str]) -> None:
        both = [name for name in after.types if name in before.types and name not in key]
        self._key, self._columns = tuple(key), tuple(both)
        old = {drop_md5(name): name for name in before.files}
        new = {drop_md5(name): name for name in after.files}
        self._old = self._rows(before, [old[md5] for md5 in sorted(old.keys() - new.keys())])
        self._new = self._rows(after, [new[md5] for md5 in sorted(new.keys() - old.keys())])

    def summary(self, table: str) -> RowsDiff:
        """How many rows changed, by column, and the first of them."""
        keys = self._keys()
        added = self._new.join(self._old, on=keys, how="anti").select(pl.len())
        removed = self._old.join(self._new, on=keys, how="anti").select(pl.len())
        changed = self._changed()
        counts = changed.select(
            pl.len().alias("rows"),
            *(self._differs(at).sum().alias(f"c{at}") for at in range(len(self._columns))),
        ).collect(engine="streaming")
        first = changed.sort(keys).head(EXAMPLES).collect(engine="streaming")
        return RowsDiff(
            table=table,
            key=self._key,
            changed=counts["rows"].item(),
            added=added.collect(engine="streaming").item(),
            removed=removed.collect(engine="streaming").item(),
            columns={
                name: counts[f"c{at}"].item()
                for at, name in enumerate(self._columns)
                if counts[f"c{at}"].item()
            },
            examples=tuple(self._example(row) for row in first.iter_rows(named=True)),
        )

    def wide(self) -> pl.LazyFrame:
        """The changed rows: their key, and each column that they share before and after."""
        names = [
            *(
                pl.col(inner).alias(name)
                for inner, name in zip(self._keys(), self._key, strict=True)
            ),
            *(
                pl.col(f"c{at}{side}").alias(f"{name} {when}")
                for at, name in enumerate(self._columns)
                for side, when in (("", "before"), (" after", "after"))
            ),
        ]
        return self._changed().sort(self._keys()).select(names)

    def _rows(self, state: State, files: Sequence[str]) -> pl.LazyFrame:
        """The rows of files, each key once."""
        state.refuse_deleted()
        named = [*zip(self._keys(), self._key, strict=True)]
        named += [(f"c{at}", name) for at, name in enumerate(self._columns)]
        rows = state.storage.scan(*(files or sorted(state.files)))
        place = rows.collect_schema().names().index
        picked = rows.select(pl.nth(place(name)).alias(inner) for inner, name in named)
        picked = picked if files else picked.clear()
        return picked.unique(self._keys(), keep="first", maintain_order=True)

    def _changed(self) -> pl.LazyFrame:
        both = self._old.join(self._new, on=self._keys(), suffix=" after")
        differs = [self._differs(at) for at in range(len(self._columns))]
        return both.filter(pl.any_horizontal(differs) if differs else pl.lit(value=False))

    def _differs(self, at: int) -> pl.Expr:
        """Where a column changed; as texts, for its type may have changed too."""
        before, after = pl.col(f"c{at}"), pl.col(f"c{at} after")
        if self._dtypes_differ(at):
            before, after = before.cast(pl.String), after.cast(pl.String)
        return before.ne_missing(after)

    def _dtypes_differ(self, at: int) -> bool:
        old, new = self._old.collect_schema(), self._new.collect_schema()
        return bool(old[f"c{at}"] != new[f"c{at}"])

    def _example(self, row: dict[str, object]) -> ChangedRow:
        moved = [
            (name, row[f"c{at}"], row[f"c{at} after"])
            for at, name in enumerate(self._columns)
            if row[f"c{at}"] != row[f"c{at} after"]
        ]
        return ChangedRow(
            key={n: str(row[inner]) for inner, n in zip(self._keys(), self._key, strict=True)},
            before={name: _text(value) for name, value, _ in moved},
            after={name: _text(value) for name, _, value in moved},
        )

    def _keys(self) -> list[str]:
        return [f"key{at}" for at in range(len(self._key))]


def _text(value: object) -> str | None:
    return None if value is None else str(value)
