"""The files of rows that stages leave: the holdout, and the keys of the rows trained on."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from mergeline.core.compare.holdout_changes import HoldoutRows
from mergeline.core.compare.prepare import rows_digest
from mergeline.core.compare.result import Example, Holdout, InputColumn
from mergeline.core.compare.row_hashes import row_hashes
from mergeline.core.compare.slices import slice_labels
from mergeline.core.declare.model import Model
from mergeline.core.declare.private import words_of_others
from mergeline.errors import BundleError, StageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    import polars as pl

Frame: TypeAlias = "pd.DataFrame | pl.DataFrame"
INPUTS_HASH = "inputs_hash"
"""The column of `training_rows.parquet` that holds the hash of each row's inputs."""
_SEPARATOR = "\x1f"


@dataclass(frozen=True)
class HoldoutFile:
    """A holdout as its file has it: all columns, what a comparison needs, the cluster column."""

    frame: pd.DataFrame
    rows: Holdout
    cluster: str | None

    @cached_property
    def oldest(self) -> dt.date | None:
        """Date of the oldest row, where the cluster column is one of dates."""
        return _date_of(min(self._clusters, default=None))

    @cached_property
    def newest(self) -> dt.date | None:
        """Date of the newest row, where the cluster column is one of dates."""
        return _date_of(max(self._clusters, default=None))

    @property
    def _clusters(self) -> Sequence[Any]:
        return self.frame[self.cluster].dropna().tolist() if self.cluster else []

    def content(self, model: Model) -> HoldoutRows:
        """What of it can move: all columns but the key, which tells which row is which."""
        known = {*model.key, model.label}
        columns = {
            name: self.frame[name].to_numpy() for name in self.frame.columns if name not in known
        }
        return HoldoutRows(self.rows.row_id, self.rows.labels, columns)

    def inputs_hashes(self, inputs: Iterable[InputColumn]) -> npt.NDArray[np.uint64]:
        """The hash of each row's inputs, as `hash_inputs` makes it of training rows."""
        return hash_inputs(self.frame[[column.name for column in inputs]])

    def without(self, row_id: npt.NDArray[np.uint64]) -> HoldoutFile:
        """The same but for some rows, e.g. those that a model was fitted on."""
        import numpy as np

        kept = ~np.isin(self.rows.row_id, row_id)
        all_rows = self.rows
        rows = Holdout(
            row_id=all_rows.row_id[kept],
            labels=all_rows.labels[kept],
            digest=rows_digest(all_rows.row_id[kept]),
            cluster=None if all_rows.cluster is None else all_rows.cluster[kept],
            slices={name: labels[kept] for name, labels in all_rows.slices.items()},
            shown={name: values[kept] for name, values in all_rows.shown.items()},
        )
        return HoldoutFile(self.frame[kept], rows, self.cluster)


def read_holdout(path: Path, model: Model) -> HoldoutFile:
    """Read `holdout.parquet` as the declaration of `model` says.

    Raises:
        StageError: the file is missing or unreadable, or lacks a declared column.
    """
    import pandas as pd

    needed = [*model.key, model.label, *([model.cluster] if model.cluster else [])]
    needed += [choice.column for choice in model.slices]
    _require(path, needed, model)
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise _unusable(
            path, f"cannot be read: {words_of_others(str(error), model.private)}", model
        ) from error
    row_id = _row_ids(path, model)
    cluster = frame[model.cluster] if model.cluster else None
    rows = Holdout(
        row_id=row_id,
        labels=frame[model.label].to_numpy(),
        digest=rows_digest(row_id),
        cluster=None if cluster is None else _as_text(cluster),
        slices={
            choice.column: slice_labels(frame[choice.column].to_numpy(), choice)
            for choice in model.slices
        },
        shown={name: frame[name].to_numpy() for name in _shown(frame.columns.tolist(), model)},
    )
    return HoldoutFile(frame, rows, model.cluster)


def _as_text(column: pd.Series[Any]) -> npt.NDArray[Any]:
    """The values as text, None for a missing one: all missing together are not one cluster."""
    return column.astype(str).astype(object).where(column.notna(), None).to_numpy()


def read_training_rows(path: Path, model: Model) -> npt.NDArray[np.uint64]:
    """Row ids of the rows that a model was fitted on, out of `training_rows.parquet`.

    Raises:
        StageError: the file is missing, unreadable or empty, or lacks a key column.
    """
    _require(path, model.key, model)
    rows = _row_ids(path, model)
    if not len(rows):
        raise _unusable(path, "names no row, and a model is fitted on some", model)
    return rows


def write_training_rows(
    path: Path, frame: Frame, key: Sequence[str], inputs: Sequence[str]
) -> None:
    """Write the key and the hash of the inputs of each row that a model was fitted on."""
    import pandas as pd
    import polars as pl

    keys, hashes = frame[list(key)], hash_inputs(frame[list(inputs)])
    if isinstance(keys, pd.DataFrame):
        write_frame(path, keys.assign(**{INPUTS_HASH: hashes}))
    else:
        write_frame(path, keys.with_columns(pl.Series(INPUTS_HASH, hashes)))


def write_frame(path: Path, frame: Frame) -> None:
    """Write a frame as Parquet, in the types that its own library gives it."""
    import pandas as pd

    if isinstance(frame, pd.DataFrame):
        frame.to_parquet(path, index=False)
    else:
        frame.write_parquet(path)


def hash_inputs(frame: Frame) -> npt.NDArray[np.uint64]:
    """The hash of each row of a frame of input columns, shape (n,); see `row_hashes`."""
    columns = {name: frame[name].to_numpy() for name in frame.columns}
    return row_hashes(columns, rounded=True)


def read_inputs_hashes(path: Path, model: Model) -> npt.NDArray[np.uint64] | None:
    """The hashes of the inputs of the rows in `training_rows.parquet`; None if it carries none.

    Raises:
        StageError: they are no whole numbers of 64 bits, or cannot be read.
    """
    import polars as pl

    try:
        rows = pl.scan_parquet(path)
        if INPUTS_HASH not in rows.collect_schema():
            return None
        hashes = rows.select(INPUTS_HASH).collect()[INPUTS_HASH]
    except (OSError, pl.exceptions.PolarsError) as error:
        message = words_of_others(str(error).strip().partition("\n")[0], model.private)
        raise _unusable(path, f"cannot be read: {message}", model) from error
    if hashes.dtype != pl.UInt64 or hashes.null_count():
        raise _unusable(path, f"has a column {INPUTS_HASH} that hash_inputs did not make", model)
    return hashes.to_numpy()


def check_keys(holdout: Path, training_rows: Path, model: Model) -> None:
    """Check that both files have the key in the same types.

    Rows are the same if the text of their keys is, and 1 as a float has another text than 1.

    Raises:
        StageError: they differ, so that a row of both would pass for two.
    """
    import pyarrow.parquet as pq

    holdout_schema, training_schema = pq.read_schema(holdout), pq.read_schema(training_rows)
    for name in model.key:
        kinds = holdout_schema.field(name).type, training_schema.field(name).type
        if _type_name(kinds[0]) != _type_name(kinds[1]):
            problem = f"has the key {name!r} as {kinds[1]}, and {holdout.name} has it as {kinds[0]}"
            raise _unusable(training_rows, problem, model)


def _type_name(kind: Any) -> str:  # noqa: ANN401 - pyarrow.DataType
    """A type's name, the same for types whose values have the same text."""
    return str(kind).removeprefix("large_").replace("string_view", "string")


def _row_ids(path: Path, model: Model) -> npt.NDArray[np.uint64]:
    """Shape (n,): the first 8 bytes of BLAKE2b over the key columns as text, row by row."""
    import numpy as np
    import polars as pl

    columns = [pl.col(name).cast(pl.String).fill_null("\x00") for name in model.key]
    key = pl.concat_str(columns, separator=_SEPARATOR).alias("key")
    try:
        texts = pl.scan_parquet(path).select(key).collect()["key"]
    except (OSError, pl.exceptions.PolarsError) as error:
        message = words_of_others(str(error).strip().partition("\n")[0], model.private)
        raise _unusable(path, f"has no keys that can be read: {message}", model) from error
    digests = b"".join(
        hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts.to_list()
    )
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def write_predictions(
    path: Path,
    holdout: HoldoutFile,
    model: Model,
    predictions: Mapping[str, Any],
    *,
    labelled: bool = True,
) -> None:
    """Write key, label (if `labelled`) and each model's predictions on the holdout's rows.

    The rows are in the holdout's order; a private column of the key is left out.
    """
    import numpy as np

    label = [model.label] if labelled else []
    frame = holdout.frame[[*_shown(model.key, model), *label]].copy()
    for role, values in predictions.items():
        if values is None:
            continue
        if np.ndim(values) == 1:
            frame[role] = values
        else:
            frame[[f"{role}: {name}" for name in model.classes]] = values
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(path, index=False)


def write_examples(
    path: Path, holdout: HoldoutFile, model: Model, rows: Sequence[Example], other: str
) -> None:
    """Write the rows that moved most as Parquet.

    A row has its key, label, slices and all else that the holdout has of it but private columns;
    what the candidate and the other model predict; and which inputs are unusual, in words.
    """
    frame = holdout.frame.iloc[[example.row for example in rows]]
    first = [*model.key, model.label, *(choice.column for choice in model.slices)]
    frame = frame[list(dict.fromkeys(_shown([*first, *frame.columns], model)))].copy()
    frame["candidate"] = [example.candidate for example in rows]
    frame[other] = [example.other for example in rows]
    frame["unusual"] = [
        "; ".join(f"{one.name} {one.value} (typical {one.typical})" for one in example.unusual)
        for example in rows
    ]
    frame.to_parquet(path, index=False)


def _shown(names: Sequence[str], model: Model) -> list[str]:
    return [name for name in names if name not in model.private]


def read_predictions(path: Path, role: str) -> npt.NDArray[Any]:
    """What a model said, as `write_predictions` left it: shape (n,), or (n, classes).

    Raises:
        BundleError: the file is missing or unreadable, or has nothing of that role.
    """
    import pandas as pd

    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise BundleError(f"{path.name} cannot be read: {error}", where=str(path.parent)) from error
    if role in frame:
        return frame[role].to_numpy()
    columns = [name for name in frame.columns if name.startswith(f"{role}: ")]
    if not columns:
        raise BundleError(f"{path.name} has no predictions of the {role}", where=str(path.parent))
    return frame[columns].to_numpy()


def _require(path: Path, columns: Sequence[str], model: Model) -> None:
    import pyarrow.parquet as pq
    from pyarrow.lib import ArrowInvalid

    try:
        names = pq.read_schema(path).names
    except FileNotFoundError as error:
        raise _unusable(path, "was not left by the stages", model) from error
    except (OSError, ArrowInvalid) as error:
        raise _unusable(
            path, f"cannot be read: {words_of_others(str(error), model.private)}", model
        ) from error
    missing = [name for name in columns if name not in names]
    if missing:
        raise _unusable(path, f"lacks the declared column {missing[0]!r}", model)


def _unusable(path: Path, problem: str, model: Model) -> StageError:
    return StageError(
        f"{path.name} {problem}",
        stage=model.stage,
        where=f"{model.outputs}/{path.name}",
        next_step=f"Correct stage {model.stage}, or models/{model.name}.yaml",
    )


def _date_of(cluster: object) -> dt.date | None:
    try:
        return dt.date.fromisoformat(str(cluster)[:10])
    except ValueError:
        return None


def content_digest(frame: pd.DataFrame) -> str:
    """SHA-256 of the names, types and values of a frame's columns."""
    import pyarrow as pa

    table = pa.Table.from_pandas(frame)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return hashlib.sha256(sink.getvalue()).hexdigest()
