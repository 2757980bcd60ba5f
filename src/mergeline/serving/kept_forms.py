"""Compiled forms on disk, so that a server needs neither the estimator nor what it is made of.

    python -m mergeline.serving.kept_forms MODEL DIGEST INTO [HOLDOUT]

To choose a form takes scikit-learn, pandas and the estimator: seconds, and memory that no process
gives back. So a process that ends does it, and writes what it proved to INTO: how raw columns
become a matrix, and trees or weights. A file is named by the model's digest, mergeline's code and
the libraries that compute, and is of no use to others.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from mergeline.adapters.models.folder import LoadedModel, is_pickle, load, load_when_asked
from mergeline.serving.forms import Form, Linear, OnArrays, Trees
from mergeline.serving.proof import choose
from mergeline.serving.steps import Source, ToMatrix
from mergeline.serving.tables import proof_rows
from mergeline.system.atomic_writes import file_written_whole
from mergeline.system.child_process import end_child, start_child
from mergeline.system.digests import file_sha256
from mergeline.system.locks import file_lock

_COMPUTE = ("numpy", "scikit-learn", "scipy", "treelite")
_DECIDE = ("forms", "kept_forms", "many_rows", "proof", "steps")  # modules beside this one
_PLAIN = {bool, float, int, str, type(None)}  # of categories and classes
_PATIENCE = 600.0  # seconds for one proof


class _Trees(msgspec.Struct, tag="trees"):
    digest: str
    single: bool
    boosted: bool


class _Linear(msgspec.Struct, tag="linear"):
    weights: list[list[float]]
    start: list[float]


class _Source(msgspec.Struct):
    column: int
    numeric: bool
    changes: list[list[Any]]
    place: int
    width: int
    codes: list[tuple[Any, float]] | None
    unknown: float | None


class _Form(msgspec.Struct):
    """A form that was chosen; without a kernel it is none that can be kept."""

    reason: str
    kernel: _Trees | _Linear | None = None
    classes: list[Any] = []
    sources: list[_Source] = []
    refused: list[int] = []
    size_bytes: int = 0
    quick: bool = False
    labels: bool = False
    exact: bool = False


class KeptForms:
    """The compiled forms that a folder keeps; a new one is made where it is asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(
        self, model: Path, digest: str, holdout: Callable[[], Path | None]
    ) -> tuple[LoadedModel, Form] | None:
        """A model in its compiled form, its estimator not loaded; None if it has no such form.

        Args:
            model: its MLflow folder, which must stay.
            digest: that its bytes must have.
            holdout: puts rows for a proof on disk.

        Raises:
            BundleError: not the folder of an MLflow model, or its bytes are others.
        """
        if not is_pickle(model):
            return None
        file = self._folder / f"{digest}-{_computed_with()}.form"
        with contextlib.suppress(OSError):  # nobody can write there
            if not (kept := _read(file)):
                with file_lock(f"{file}.lock"):
                    if not (kept := _read(file)):
                        _in_a_process(model, digest, file, holdout())
                        kept = _read(file)
            return _opened(kept, file, model, digest) if kept and kept.kernel else None
        return None


@functools.cache
def _computed_with() -> str:
    """What else than its model decides a form."""
    libraries = [f"{name} {version(name)}" for name in _COMPUTE]
    here = Path(__file__).parent
    code = [(here / f"{name}.py").read_bytes() for name in _DECIDE]
    said = f"{libraries} {platform.python_version()} {platform.machine()}".encode()
    return hashlib.sha256(b"\0".join([said, *code])).hexdigest()[:16]


def _in_a_process(model: Path, digest: str, file: Path, holdout: Path | None) -> None:
    """Choose the form of a model in a process that ends. It leaves a file, unless it fails."""
    command = [sys.executable, "-P", "-m", "mergeline.serving.kept_forms", model, digest, file]
    process = start_child(
        [*map(str, command), *([str(holdout)] if holdout else [])],
        cwd=Path.cwd(),
        env=os.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)
    finally:
        end_child(process)
        assert process.stdin is not None  # noqa: S101 - it is a pipe
        process.stdin.close()


def _read(file: Path) -> _Form | None:
    """What a file says; None if it is not there, or damaged."""
    try:
        kept = msgspec.msgpack.decode(file.read_bytes(), type=_Form)
        kernel = kept.kernel
        if isinstance(kernel, _Trees) and file_sha256(_trees_of(file)) != kernel.digest:
            return None
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    return kept


def _opened(kept: _Form, file: Path, model: Path, digest: str) -> tuple[LoadedModel, Form]:
    """The model and the form that a file describes."""
    assert kept.kernel is not None  # noqa: S101 - for the type checker
    kernel = _kernel(kept.kernel, file, len(kept.classes))
    loaded = load_when_asked(model, digest, tuple(kept.classes), kept.size_bytes)
    ask = kernel.asked()
    form = OnArrays(
        "compiled",
        ToMatrix(list(map(_source, kept.sources)), loaded.inputs),
        ask,
        ask,
        refused=frozenset(kept.refused),
        reason=kept.reason,
        quick=kept.quick,
        labels=kept.labels,
        exact=kept.exact,
        kernel=kernel,
    )
    return loaded, form


def _kernel(kept: _Trees | _Linear, file: Path, classes: int) -> Trees | Linear:
    if isinstance(kept, _Linear):
        import numpy as np

        return Linear(np.array(kept.weights), np.array(kept.start), classes)
    import treelite

    trees = treelite.Model.deserialize(str(_trees_of(file)))
    return Trees(trees, single=kept.single, boosted=kept.boosted, classes=classes)


def _trees_of(file: Path) -> Path:
    return file.with_suffix(".trees")


def _source(kept: _Source) -> Source:
    return Source(
        kept.column,
        numeric=kept.numeric,
        changes=tuple(map(tuple, kept.changes)),
        place=kept.place,
        width=kept.width,
        codes=None if kept.codes is None else dict(kept.codes),
        unknown=kept.unknown,
    )


def keep(model: LoadedModel, form: Form, file: Path) -> None:
    """Write a form, or that it is none that can be kept."""
    kept = _Form("")
    if isinstance(form, OnArrays) and form.kernel is not None:
        classes = [one.item() if hasattr(one, "item") else one for one in model.classes]
        sources = [_to_keep(source) for source in form.to_matrix.sources]
        known = [code for source in sources for code, _ in source.codes or ()]
        changed = [one for source in sources for change in source.changes for one in change]
        if {type(one) for one in [*classes, *known, *changed]} <= _PLAIN:
            kept = _Form(
                reason=form.reason,
                kernel=_write_kernel(form.kernel, file),
                classes=classes,
                sources=sources,
                refused=sorted(form.refused),
                quick=form.quick,
                labels=form.labels,
                exact=form.exact,
            )
            if _trees_of(file).exists():
                kept.size_bytes = _trees_of(file).stat().st_size
    with file_written_whole(file) as part:
        part.write_bytes(msgspec.msgpack.encode(kept))


def _to_keep(source: Source) -> _Source:
    return _Source(
        source.column,
        source.numeric,
        [list(change) for change in source.changes],
        source.place,
        source.width,
        None if source.codes is None else list(source.codes.items()),
        source.unknown,
    )


def _write_kernel(kernel: Trees | Linear, file: Path) -> _Trees | _Linear:
    if isinstance(kernel, Linear):
        return _Linear(kernel.weights.tolist(), kernel.start.tolist())
    with file_written_whole(_trees_of(file)) as part:
        kernel.trees.serialize(str(part))
    return _Trees(file_sha256(_trees_of(file)), kernel.single, kernel.boosted)


def main() -> None:
    """Choose a model's form, and keep it."""
    folder, digest, into, *rows = sys.argv[1:]
    model = load(Path(folder), digest)
    keep(
        model, choose(model, proof_rows(Path(rows[0]), model.inputs) if rows else None), Path(into)
    )


if __name__ == "__main__":
    main()
