"""What a training script calls: which rows are held out, and what its stage leaves."""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mergeline.adapters.models.folder import load, model_digest, read_inputs
from mergeline.adapters.models.saving import save_model
from mergeline.adapters.row_files import (
    Frame,
    check_keys,
    read_holdout,
    read_training_rows,
    write_frame,
    write_training_rows,
)
from mergeline.core.compare.arrays import missing_count
from mergeline.core.compare.prepare import prepare, rows_digest
from mergeline.core.compare.result import Holdout, Scored
from mergeline.core.compare.row_hashes import row_hashes
from mergeline.core.declare.model import Model, parse_model
from mergeline.core.declare.strict import did_you_mean
from mergeline.core.numbers import counted
from mergeline.core.release.bundle import HOLDOUT, MODEL, TRAINING_ROWS
from mergeline.errors import BundleError, DeclarationError, InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    import polars as pl

_ASKED = 1_000  # rows that a saved model is asked for
_WITH_PROBABILITIES = (
    "Save a classifier with predict_proba; scikit-learn's CalibratedClassifierCV gives it to one "
    "that has none"
)
_FIXES = {
    "wrong_classes": "Declare `classes` in the model's own order, or fit it on the declared ones",
    "hard_labels": _WITH_PROBABILITIES,
    "not_probabilities": _WITH_PROBABILITIES,
    "nan_predictions": "Let it answer with a number for every row, missing values or not",
    "infinite_predictions": "Let it answer with finite numbers",
}


def held_out(
    frame: Frame | pl.LazyFrame,
    key: str | Sequence[str] | None,
    *,
    share: float,
    group: str | Sequence[str] | None,
    after: tuple[str, dt.date | str] | None,
) -> npt.NDArray[np.bool_]:
    """Which rows are held out, shape (n,); see `mergeline.held_out`."""
    import numpy as np

    ways = {"key": key, "group": group, "after": after}
    [way, *more] = [name for name, value in ways.items() if value is not None] or [""]
    if more or not way:
        raise InputError(
            "rows are held out by exactly one of key, group and after",
            next_step='Write, for example, mergeline.held_out(frame, key="id")',
        )
    if after is not None:
        column, moment = after
        since = _moment(moment)
        # In the unit of the moment: 2013-08-31 at noon is not after the day 2013-08-31.
        mask = _times(_columns(frame, [column])[column]).astype(since.dtype) > since
    else:
        if not 0 < share < 1:
            raise InputError(f"share: between 0 and 1, not {share}")
        named = key if key is not None else group
        names = [named] if isinstance(named, str) else list(named or ())
        values = _columns(frame, names).values()
        # A row's own values decide, whatever their columns are called: no other row moves it.
        hashes = row_hashes({str(place): one.to_numpy() for place, one in enumerate(values)})
        mask = hashes < np.uint64(int(share * 2**64))
    if mask.all() or not mask.any():
        which = "all are" if len(mask) and mask.all() else "none is"
        raise InputError(
            f"of {len(mask):,} rows {which} held out by {way}={ways[way]!r}",
            next_step="Take a column with more values, another share or another moment",
        )
    return mask


def _columns(frame: Frame | pl.LazyFrame, names: Sequence[str]) -> dict[str, pd.Series[Any]]:
    """The columns that say on which side a row is, none of them without a value."""
    import polars as pl

    known = frame.collect_schema().names() if isinstance(frame, pl.LazyFrame) else frame.columns
    _require(names, known, "the frame")
    if isinstance(frame, pl.LazyFrame):
        frame = frame.select(names).collect()
    pandas = _pandas(frame, names)
    for name in names:
        if missing := missing_count(pandas[name].to_numpy()):
            raise InputError(
                f"{name} lacks a value in {counted(missing, 'row')}: nothing says on which side",
                next_step="Leave them out, or take another column",
            )
    return {name: pandas[name] for name in names}


def _moment(moment: dt.date | str) -> np.datetime64:
    import numpy as np

    if isinstance(moment, dt.datetime) and moment.tzinfo is not None:
        moment = moment.astimezone(dt.UTC).replace(tzinfo=None)
    try:
        return np.datetime64(str(moment).replace(" ", "T"))
    except ValueError as error:
        raise InputError(
            f"after: {moment!r} is no date or time", next_step="Write it as 2024-06-30"
        ) from error


def _times(values: pd.Series[Any]) -> npt.NDArray[np.datetime64]:
    import pandas as pd

    try:
        times = pd.to_datetime(values, utc=True)
    except (ValueError, TypeError) as error:
        raise InputError(f"{values.name} holds no dates or times: {error}") from error
    found: npt.NDArray[np.datetime64] = times.dt.tz_localize(None).to_numpy()
    return found


def save(
    model: Any,  # noqa: ANN401 - of any library
    *,
    name: str,
    train: Frame,
    holdout: Frame | None,
    inputs: Sequence[str] | None,
    optional: Sequence[str] | None,
    project: Path,
) -> None:
    """Leave what the stages of a model must leave; see `mergeline.save`."""
    declared = _declaration(project, name)
    outputs = project / declared.outputs
    taken = _inputs_of(model, inputs)
    _require([*declared.key, *taken], train.columns, "train")
    if holdout is not None:
        cluster = [declared.cluster] if declared.cluster else []
        slices = [choice.column for choice in declared.slices]
        needed = [*declared.key, declared.label, *cluster, *slices, *taken]
        _require(needed, holdout.columns, "holdout")
    rows = holdout if holdout is not None else train
    outputs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=outputs) as folder:
        scratch = Path(folder)
        fitted_on = _pandas(train, taken)
        save_model(
            model,
            scratch / MODEL,
            _with_gaps(fitted_on, optional),
            classes=declared.classes,
            example=fitted_on.head(3) if set(declared.private).isdisjoint(taken) else None,
            project=project,
        )
        _check_answers(scratch / MODEL, _pandas(rows, list(rows.columns)), declared)
        write_training_rows(scratch / TRAINING_ROWS, train, declared.key, taken)
        if holdout is not None:
            write_frame(scratch / HOLDOUT, holdout)
            _check_apart(scratch, declared)
        for path in sorted(scratch.iterdir()):
            place = outputs / path.name
            if place.is_dir():
                shutil.rmtree(place)
            path.replace(place)


def _declaration(project: Path, name: str) -> Model:
    path = project / "models" / f"{name}.yaml"
    try:
        return parse_model(name, path.read_bytes())
    except FileNotFoundError as error:
        known = sorted(other.stem for other in path.parent.glob("*.yaml"))
        raise DeclarationError(
            f"no model {name!r} is declared",
            where=str(path),
            next_step=f"Write that file, or name another model ({did_you_mean(name, known)})",
        ) from error


def _inputs_of(model: object, inputs: Sequence[str] | None) -> list[str]:
    """The columns that a model takes: as told, as it was fitted, or by its signature."""
    if inputs is not None:
        return list(inputs)
    if isinstance(model, str | Path):
        return list(read_inputs(Path(model)))
    fitted = getattr(model, "feature_names_in_", None)
    if fitted is None:
        raise InputError(
            f"{type(model).__name__} was not fitted on a frame, so its columns are not known",
            next_step="Fit it on a pandas frame, or name them: mergeline.save(…, inputs=[…])",
        )
    return [str(column) for column in fitted]


def _require(names: Iterable[str], known: Iterable[str], what: str) -> None:
    columns = list(known)
    for name in names:
        if name not in columns:
            raise InputError(f"{what} has no column {name!r} ({did_you_mean(name, columns)})")


def _pandas(frame: Frame, names: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    selected = frame[list(names)]
    return selected if isinstance(selected, pd.DataFrame) else selected.to_pandas()


def _with_gaps(inputs: pd.DataFrame, optional: Sequence[str] | None) -> pd.DataFrame:
    """Some rows of which every optional column lacks a value in one."""
    missing = [str(name) for name in inputs if inputs[name].isna().any()]
    lacking = missing if optional is None else list(optional)
    _require(lacking, inputs.columns, "what the model takes")
    if unsaid := [name for name in missing if name not in lacking]:
        raise InputError(
            f"{unsaid[0]} lacks values in train, and is not among the optional columns",
            next_step="Name it in optional, or fill it before the model is fitted",
        )
    some = inputs.head(_ASKED).copy()
    for name in lacking:
        some[name] = some[name].mask(some.index == some.index[0])
    return some


def _check_answers(folder: Path, rows: pd.DataFrame, declared: Model) -> None:
    """Ask the saved model as a judge does, and say what is wrong with its answers."""
    import numpy as np

    rows = rows.head(_ASKED)
    where = f"models/{declared.name}.yaml"
    saved = load(folder, model_digest(folder))
    expected = (
        "a regression" if declared.task == "regression" else f"{len(declared.classes)} classes"
    )
    if bool(saved.classes) != bool(declared.classes):
        own = f"classes {list(saved.classes)}" if saved.classes else "numbers, not probabilities"
        raise DeclarationError(
            f"the model answers with {own}, and the declaration says {expected}",
            where=where,
            next_step=_WITH_PROBABILITIES if declared.classes else "Declare its task and classes",
        )
    try:
        answers = saved.predict(rows)
    except BundleError as error:
        fix = "Let it take a frame of its input columns and answer with a row for each of them"
        raise InputError(error.message, where=where, next_step=fix) from error
    row_id = np.arange(len(rows), dtype=np.uint64)
    labels = rows[declared.label].to_numpy() if declared.label in rows else np.zeros(len(rows))
    digest = rows_digest(row_id)
    scored = Scored(digest, answers, classes=saved.classes)
    found = prepare(Holdout(row_id, labels, digest), {"model": scored}, declared)
    if (why := found.unusable.get("model")) is not None:
        raise DeclarationError(why.text, where=where, next_step=_FIXES.get(why.kind, ""))


def _check_apart(folder: Path, declared: Model) -> None:
    """No row is on both sides."""
    import numpy as np

    check_keys(folder / HOLDOUT, folder / TRAINING_ROWS, declared)
    held = read_holdout(folder / HOLDOUT, declared).rows.row_id
    both = np.isin(held, read_training_rows(folder / TRAINING_ROWS, declared))
    if twice := int(np.count_nonzero(both)):
        raise InputError(
            f"{counted(twice, 'row')} of the holdout stand among the training rows too, by key",
            next_step="Part them: held = mergeline.held_out(frame, key=…); "
            "train, holdout = frame[~held], frame[held]",
        )
