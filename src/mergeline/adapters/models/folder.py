"""MLflow model folders on disk: the digest of the model, and loading it for predictions.

A pickled scikit-learn estimator is loaded and asked directly. All else is loaded by MLflow: with
its own code beside it, in another format than pickle, or of another flavour (`mlflow.pyfunc`).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import yaml

from mergeline.core.compare.result import InputColumn
from mergeline.errors import BundleError
from mergeline.system.digests import file_sha256
from mergeline.system.import_isolation import isolated_imports

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

_LATENCY_ROWS = 30
# Flavours whose pyfunc gives a classifier's classes; its own `predict_proba` gives probabilities.
_ANSWER_WITH_CLASSES = {"catboost", "lightgbm", "xgboost"}
_PICKLES = {"cloudpickle", "pickle"}
# What MLflow writes around a model: ids, times and environments, which differ for the same model.
_AROUND = {
    "MLmodel", "conda.yaml", "input_example.json", "python_env.yaml", "registered_model_meta",
    "requirements.txt", "serving_input_example.json",
}  # fmt: skip
# What MLmodel says that serving needs: no ids, no times.
_SERVED = (
    "flavors", "is_signature_from_type_hint", "metadata", "mlflow_version",
    "saved_input_example_info", "signature", "type_hint_from_example",
)  # fmt: skip
_MOST_DESCRIPTION = 1_000_000  # characters
_PLACES = {"env", "python_version", "uri"}
_PART = 1 << 20  # bytes of a file that are read at once


@dataclass(frozen=True)
class _Held:
    """An estimator in memory, how it is asked, and the threads of the libraries that it uses."""

    raw: Any
    ask: Callable[[pd.DataFrame], Any]
    threads: Any  # threadpoolctl.ThreadpoolController


@dataclass(frozen=True)
class LoadedModel:
    """A model that can be asked.

    Attributes:
        inputs: the columns it takes, in order.
        classes: order of the probability columns; empty for a regression.
        size_bytes: of the estimator's own files.
        folder: that it may still read from, if it is not all in memory.
        example: the row that was saved with it, by column; empty if none was.
        description: what its MLmodel says.
    """

    inputs: Mapping[str, InputColumn]
    classes: tuple[Any, ...]
    size_bytes: int
    folder: Path | None
    example: Mapping[str, Any]
    description: Mapping[str, Any]
    _held: Callable[[], _Held]
    _alone: threading.Lock = field(default_factory=threading.Lock)

    def predict(self, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Probabilities, shape (n, classes), or numbers, shape (n,), for rows of raw columns.

        Raises:
            BundleError: the model fails on these rows, or answers in another shape.
        """
        import numpy as np

        try:
            # Threads of its own make one row several times slower; outside the main thread most.
            with self.one_thread():
                answer = np.asarray(self._held().ask(self._inputs_of(frame)), dtype=np.float64)
        except (Exception, SystemExit) as error:
            raise BundleError(f"the model cannot score these rows: {_first_line(error)}") from error
        shape = (len(frame), len(self.classes)) if self.classes else (len(frame),)
        if answer.shape != shape:
            raise BundleError(f"the model answers in shape {answer.shape}, not {shape}")
        return answer

    @property
    def raw(self) -> Any:  # noqa: ANN401
        """The scikit-learn estimator, or else MLflow's `PyFuncModel`."""
        return self._held().raw

    @property
    def is_sklearn(self) -> bool:
        """Whether it is a scikit-learn estimator."""
        return "sklearn" in self.description["flavors"]

    @property
    def estimator(self) -> Any:  # noqa: ANN401 - of scikit-learn
        """The scikit-learn estimator, if it is one."""
        return self.raw if self.is_sklearn else None

    @property
    def scoring_function(self) -> str:
        """The method by which MLflow's scoring server asks the model."""
        described = self.description["flavors"].get("python_function") or {}
        return str(described.get("predict_fn") or "predict")

    @functools.cached_property
    def pyfunc(self) -> Any:  # noqa: ANN401 - mlflow.pyfunc.PyFuncModel
        """The model as MLflow's own scoring server holds it."""
        if self.estimator is None:
            return self.raw
        import mlflow.pyfunc
        from mlflow.models import Model
        from mlflow.sklearn import _SklearnModelWrapper  # no public way from a loaded estimator

        described = Model.from_dict(dict(self.description))
        wrapped = _SklearnModelWrapper(self.raw)
        return mlflow.pyfunc.PyFuncModel(described, wrapped, self.scoring_function)

    def one_thread(self) -> AbstractContextManager[object]:
        """Within, libraries use no threads of their own."""
        limit: AbstractContextManager[object] = self._held().threads.limit(limits=1)
        return limit

    def predict_as_mlflow(self, frame: pd.DataFrame, params: Mapping[str, Any] | None) -> Any:  # noqa: ANN401
        """What MLflow's scoring server answers, before it writes it as JSON.

        Raises:
            BundleError: the model fails on these rows, or does not take these parameters.
        """
        try:
            with self.one_thread(), self._alone:
                return self.pyfunc.predict(frame, params=dict(params) if params else None)
        except (Exception, SystemExit) as error:
            raise BundleError(f"the model cannot score these rows: {_first_line(error)}") from error

    def _inputs_of(self, frame: pd.DataFrame) -> pd.DataFrame:
        names = list(self.inputs)
        return frame if frame.columns.tolist() == names else frame[names]

    def latency_ms(self, sample: pd.DataFrame) -> float:
        """Median milliseconds of predictions of single rows of `sample`."""
        import statistics

        rows = [sample.iloc[[i % len(sample)]] for i in range(_LATENCY_ROWS)]
        self.predict(rows[0])
        times = []
        for row in rows:
            since = time.perf_counter()
            self.predict(row)
            times.append((time.perf_counter() - since) * 1000)
        return statistics.median(times)


def model_digest(folder: Path) -> str:
    """SHA-256 of the estimator's own bytes; the folder around it carries ids and times.

    For a model that MLflow loads: of the paths and digests of all its files, its code among them,
    and of what MLmodel says of its flavours.

    Raises:
        BundleError: it is not the folder of an MLflow model.
    """
    description = _description(folder)
    pickled = _pickle_of(folder, description)
    if pickled is not None:
        return file_sha256(pickled)
    return _digest_of_all(folder, description)


def load(folder: Path, expected_digest: str) -> LoadedModel:
    """Load a model; nothing is unpickled unless its bytes are the expected ones.

    Raises:
        BundleError: not an MLflow model, without a signature of named columns, other bytes than
            expected, or it cannot be loaded.
    """
    description = _description(folder)
    inputs = _inputs(description, folder)
    pickled = _pickle_of(folder, description)
    needed = None if pickled else folder
    if pickled is not None:
        with _own_copy(pickled) as (copy, digest):
            _check_digest(digest, expected_digest, folder)
            loaded = _translating_errors(lambda: _unpickle(copy), folder)
        size = pickled.stat().st_size
    else:
        _check_digest(_digest_of_all(folder, description), expected_digest, folder)
        loaded = _translating_errors(lambda: _load_by_mlflow(folder, description), folder)
        size = sum(file.stat().st_size for file in _digested_files(folder))
    import threadpoolctl

    # Looks for the libraries that are loaded now; doing that at each call costs 5 ms.
    threads = threadpoolctl.ThreadpoolController()
    raw, classes, ask = loaded
    held = _Held(raw, ask, threads)
    example = _example(folder, description)
    return LoadedModel(inputs, classes, size, needed, example, description, lambda: held)


def is_pickle(folder: Path) -> bool:
    """Whether the model is one pickle, of a scikit-learn estimator.

    Raises:
        BundleError: not the folder of an MLflow model.
    """
    return _pickle_of(folder, _description(folder)) is not None


def load_when_asked(
    folder: Path, expected_digest: str, classes: tuple[Any, ...], size_bytes: int
) -> LoadedModel:
    """A model whose estimator is loaded when it is first asked for, from its folder.

    Args:
        folder: of the MLflow model, which must stay.
        expected_digest: that its bytes must have, now and when they are loaded.
        classes: as the estimator names them.
        size_bytes: that it takes until then.

    Raises:
        BundleError: not an MLflow model, or other bytes than expected.
    """
    _check_digest(model_digest(folder), expected_digest, folder)
    description = _description(folder)
    alone = threading.Lock()
    loaded: list[LoadedModel] = []

    def held() -> _Held:
        with alone:
            if not loaded:
                loaded.append(load(folder, expected_digest))
        return loaded[0]._held()  # noqa: SLF001

    inputs, example = _inputs(description, folder), _example(folder, description)
    return LoadedModel(inputs, classes, size_bytes, folder, example, description, held)


@dataclass(frozen=True)
class Servable:
    """What of a model's folder a server needs.

    Attributes:
        files: by path; the same for the same model, however often it is saved.
        needs: the packages that it asks for, by name, maybe with bounds.
    """

    files: Mapping[str, Path | bytes]
    needs: tuple[str, ...]


def servable(folder: Path) -> Servable:
    """What of a folder a server needs; the model is not loaded.

    Raises:
        BundleError: not the folder of an MLflow model.
    """
    description = _description(folder)
    pickled = _pickle_of(folder, description)
    named = [pickled] if pickled else _digested_files(folder)
    info = description.get("saved_input_example_info") or {}
    example = (folder / str(info.get("artifact_path"))).resolve()
    if example.is_relative_to(folder.resolve()) and example.is_file():
        named.append(example)
    files: dict[str, Path | bytes] = {
        file.resolve().relative_to(folder.resolve()).as_posix(): file for file in named
    }
    said = {key: description[key] for key in _SERVED if description.get(key) is not None}
    files["MLmodel"] = yaml.safe_dump(said, sort_keys=True).encode()
    return Servable(files, tuple(_needs(folder, by_mlflow=pickled is None)))


def _needs(folder: Path, *, by_mlflow: bool) -> Iterator[str]:
    """The lines of requirements.txt; MLflow, which it always names, only where it loads the model.

    A pickled estimator needs scikit-learn, whatever the file says.
    """
    try:
        text = (folder / "requirements.txt").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""
    yield "mlflow" if by_mlflow else "scikit-learn"
    for line in text.splitlines():
        plain = line.partition("#")[0].strip()
        if plain and (by_mlflow or not re.match(r"mlflow(-skinny)?\b", plain)):
            yield plain


def own_size(folder: Path) -> int:
    """Bytes of the estimator's own files.

    Raises:
        BundleError: not the folder of an MLflow model.
    """
    pickled = _pickle_of(folder, _description(folder))
    return sum(file.stat().st_size for file in ([pickled] if pickled else _digested_files(folder)))


def read_inputs(folder: Path) -> dict[str, InputColumn]:
    """The columns that a model takes, by its signature; the model is not loaded.

    Raises:
        BundleError: not the folder of an MLflow model, or its signature names no columns.
    """
    return _inputs(_description(folder), folder)


_Loaded = tuple[Any, tuple[Any, ...], "Callable[[pd.DataFrame], Any]"]


@contextlib.contextmanager
def _own_copy(file: Path) -> Iterator[tuple[BinaryIO, str]]:
    """A file that nobody else can open, so that what was checked is what is loaded; its digest.

    It is not read into memory: a model would be there twice while it is loaded. One on a file
    system that nobody can write to, as in an image, needs no copy.
    """
    with file.open("rb") as original:
        if os.fstatvfs(original.fileno()).f_flag & os.ST_RDONLY:
            checked = hashlib.file_digest(original, "sha256").hexdigest()
            original.seek(0)
            yield original, checked
            return
        digest = hashlib.sha256()
        with tempfile.TemporaryFile() as copy:
            while part := original.read(_PART):
                digest.update(part)
                copy.write(part)
            copy.seek(0)
            yield copy, digest.hexdigest()


class _Parts(io.RawIOBase):
    """A file that is read by way of Python, where other threads get their turn.

    The unpickler alone would keep all others waiting until a large model is loaded.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, place: Any) -> int:  # noqa: ANN401 - a buffer
        return self._file.readinto(place)  # type: ignore[attr-defined, no-any-return]


def _unpickle(content: BinaryIO) -> _Loaded:
    import pickle

    file = io.BufferedReader(_Parts(content), _PART)
    return _how_to_ask(pickle.load(file))  # noqa: S301 - its digest is the expected one


def _how_to_ask(estimator: Any) -> _Loaded:  # noqa: ANN401 - of scikit-learn
    if hasattr(estimator, "predict_proba"):
        return estimator, tuple(estimator.classes_), estimator.predict_proba
    return estimator, (), estimator.predict


def _load_by_mlflow(folder: Path, description: Mapping[str, Any]) -> _Loaded:
    # MLflow leaves its code on sys.path for good. No digest covers bytecode beside it.
    with isolated_imports(folder / "code", bytecode=False):
        if "sklearn" in description["flavors"]:
            import mlflow.sklearn

            return _how_to_ask(mlflow.sklearn.load_model(str(folder)))
        import mlflow.pyfunc

        model = mlflow.pyfunc.load_model(str(folder))
        if _ANSWER_WITH_CLASSES & set(description["flavors"]):
            own = model.get_raw_model()
            if hasattr(own, "predict_proba"):
                return model, tuple(own.classes_), _one_at_a_time(own.predict_proba)
        classes = (description.get("metadata") or {}).get("classes") or ()
        return model, tuple(classes), _one_at_a_time(model.predict)


def _one_at_a_time(ask: Callable[[pd.DataFrame], Any]) -> Callable[[pd.DataFrame], Any]:
    """Let one thread at a time ask: not every kind of model can be asked by several at once."""
    lock = threading.Lock()

    def asked(frame: pd.DataFrame) -> Any:  # noqa: ANN401 - whatever the model gives
        with lock:
            return ask(frame)

    return asked


def _translating_errors(load_model: Callable[[], _Loaded], folder: Path) -> _Loaded:
    try:
        return load_model()
    except ModuleNotFoundError as error:
        raise BundleError(
            f"the model cannot be loaded: {_first_line(error)}",
            where=str(folder),
            next_step="Install it; or, if it is the project's own, let the model carry it: "
            "cloudpickle.register_pickle_by_value(module) before it is saved",
        ) from error
    except (Exception, SystemExit) as error:
        raise BundleError(
            f"the model cannot be loaded: {_first_line(error)}",
            where=str(folder),
            next_step="Load it with the versions that its requirements.txt names",
        ) from error


def _check_digest(actual: str, expected: str, folder: Path) -> None:
    if actual != expected:
        raise BundleError(
            f"the model's bytes are {actual[:12]}, not {expected[:12]}",
            where=str(folder),
            next_step="Take the model from its run again",
        )


class _PlainLoader(yaml.SafeLoader):
    """Without aliases, which MLflow writes none of: a few nested ones hold gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it has an alias")
        return super().compose_node(parent, index)


def _description(folder: Path) -> dict[str, Any]:
    try:
        with (folder / "MLmodel").open(encoding="utf-8") as file:
            text = file.read(_MOST_DESCRIPTION + 1)
        if len(text) > _MOST_DESCRIPTION:
            raise BundleError("MLmodel is too large to be one", where=str(folder))
        document = yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - a safe loader
    except FileNotFoundError as error:
        raise BundleError(
            "its files are missing: there is no MLmodel", where=str(folder)
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise BundleError("not the folder of an MLflow model", where=str(folder)) from error
    if not isinstance(document, dict) or not isinstance(document.get("flavors"), dict):
        raise BundleError("invalid MLmodel: it names no flavour", where=str(folder))
    return document


def _pickle_of(folder: Path, description: Mapping[str, Any]) -> Path | None:
    """The file of a pickled scikit-learn estimator, if the model is that and no more."""
    flavour = description["flavors"].get("sklearn") or {}
    if flavour.get("serialization_format") not in _PICKLES or flavour.get("code"):
        return None
    name = flavour.get("pickled_model")
    file = (folder / str(name)).resolve()
    if not name or not file.is_relative_to(folder.resolve()) or not file.is_file():
        raise BundleError("its scikit-learn estimator is missing", where=str(folder))
    return file


def _digest_of_all(folder: Path, description: Mapping[str, Any]) -> str:
    flavours, files = description["flavors"], _digested_files(folder)
    if not (flavours.get("python_function") or {}).get("loader_module") or not files:
        raise BundleError("neither a scikit-learn estimator nor a pyfunc model", where=str(folder))
    # The flavours name the files that are unpickled and the module that does it.
    loading = json.dumps(_without_place(flavours), sort_keys=True, default=str)
    named = [f"{file.relative_to(folder).as_posix()} {file_sha256(file)}" for file in files]
    return hashlib.sha256("\n".join([loading, *named]).encode()).hexdigest()


def _without_place(value: Any) -> Any:  # noqa: ANN401 - what YAML holds
    """Without what depends on where and with which Python a model was saved."""
    if not isinstance(value, dict):
        return value
    return {k: _without_place(v) for k, v in value.items() if k not in _PLACES}


def _digested_files(folder: Path) -> list[Path]:
    return sorted(
        file
        for file in folder.rglob("*")
        if file.is_file()
        and "__pycache__" not in file.parts
        and file.relative_to(folder).parts[0] not in {*_AROUND, "metadata"}
    )


def _inputs(description: Mapping[str, Any], folder: Path) -> dict[str, InputColumn]:
    try:
        columns = json.loads((description.get("signature") or {})["inputs"])
        inputs = {
            column["name"]: InputColumn(
                column["name"], str(column["type"]), required=bool(column.get("required", True))
            )
            for column in columns
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        inputs = {}
    if not inputs:
        raise BundleError(
            "its signature names no columns",
            where=str(folder),
            next_step="Save it with signature=infer_signature(frame, predictions)",
        )
    return inputs


def _example(folder: Path, description: Mapping[str, Any]) -> Mapping[str, Any]:
    """The first row of the input example, as MLflow writes one of a data frame."""
    try:
        saved = description["saved_input_example_info"]
        content = json.loads((folder / str(saved["artifact_path"])).read_bytes())
        return dict(zip(content["columns"], content["data"][0], strict=True))
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        return {}


def _first_line(error: Exception | SystemExit) -> str:
    if isinstance(error, SystemExit):  # let through, it would end a verb or a server, maybe with 0
        return f"it ends the process ({error!r:.200})"
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
