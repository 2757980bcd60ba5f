"""Real MLflow model folders, a registry's list of versions over them, and a real server."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import uvicorn
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from mergeline.adapters.model_folder import model_digest
from mergeline.core.release.version import Version
from mergeline.serving.app import make_app
from mergeline.serving.plane import Plane
from mergeline.serving.server import uvicorn_settings

ROW: dict[str, Any] = {"origin": "JFK", "hour": 17, "wind": 8.5}


def frame(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "origin": random.choice(["EWR", "JFK", "LGA"], rows),
            "hour": random.integers(0, 24, rows),
            "wind": random.normal(8, 3, rows),
        }
    )


def late(rows: pd.DataFrame) -> Any:
    noise = np.random.default_rng(1).normal(0, 5, len(rows))
    return (rows["hour"] + rows["wind"] + noise > 22).to_numpy()


def classifier(strength: float) -> Any:
    rows = frame()
    codes = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["origin"]), remainder="passthrough"
    )
    return make_pipeline(codes, LogisticRegression(C=strength, max_iter=2000)).fit(rows, late(rows))


def regression() -> Any:
    rows = frame()[["hour", "wind"]]
    return LinearRegression().fit(rows, rows["hour"] * 2.0 + rows["wind"])


def save(model: Any, folder: Path, rows: pd.DataFrame, **options: Any) -> Path:
    import mlflow.sklearn
    from mlflow.models import infer_signature

    ask = getattr(model, "predict_proba", model.predict)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            model,
            folder,
            signature=infer_signature(rows, ask(rows)),
            pip_requirements=["scikit-learn"],
            pyfunc_predict_fn=ask.__name__,
            **{"serialization_format": "cloudpickle", **options},
        )
    return folder


@dataclass
class Registry:
    """What a registry says, over real model folders."""

    found: dict[tuple[str, int], Version] = field(default_factory=dict)
    folders: dict[tuple[str, int], Path] = field(default_factory=dict)
    fetched: list[tuple[str, int]] = field(default_factory=list)
    trouble: Exception | None = None

    def register(self, folder: Path, stage: str = "None", model: str = "delay") -> Version:
        number = 1 + sum(name == model for name, _ in self.found)
        digest = model_digest(folder)
        version = Version(model, number, stage, f"print-{digest[:8]}", digest, "run")
        self.found[model, number] = version
        self.folders[model, number] = folder
        return version

    def move(self, version: Version, stage: str) -> None:
        """To a stage; the one that held it is archived, in the same moment."""
        moved = {
            key: replace(one, stage="Archived")
            if one.model == version.model and one.stage == stage
            else one
            for key, one in self.found.items()
        }
        key = version.model, version.number
        self.found = {**moved, key: replace(moved[key], stage=stage)}

    def versions(self) -> list[Version]:
        if self.trouble:
            raise self.trouble
        return list(self.found.values())

    def registered(self, model: str) -> list[Version]:
        return [one for one in self.versions() if one.model == model]

    def fetch(self, version: Version, into: Path) -> Path:
        key = version.model, version.number
        self.fetched.append(key)
        return Path(shutil.copytree(self.folders[key], into / "model"))


@contextlib.contextmanager
def listening(plane: Plane) -> Iterator[str]:
    """A real server in a thread; its address."""
    config = uvicorn_settings(make_app(plane))
    config.port = 0
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
