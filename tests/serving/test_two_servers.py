"""Two servers on one registry: a promotion reaches both, and neither answers with a mix."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from mergeline.adapters.mlflow.tracking import Tracking
from mergeline.adapters.models.folder import load, model_digest
from mergeline.adapters.store.store import open_store
from mergeline.serving.registered import Registered
from mergeline.serving.served_versions import ServedVersions
from tests.support.model_server import listening, until
from tests.support.models import ROW

# MLflow's own calls of SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
PREDICT = "/models/delay/stages/production/predict"
Said = tuple[int, str, str, list[Any]]


def registry(folder: Path) -> Tracking:
    return Tracking(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts")


@contextlib.contextmanager
def following(folder: Path) -> Iterator[str]:
    """A server with a connection of its own to the registry, which it looks at all the time."""
    tracking, stop = registry(folder), threading.Event()
    served_versions = ServedVersions(Registered(tracking, open_store(str(folder / "store"), {})))
    served_versions.reconcile()

    def follow() -> None:
        while not stop.wait(0.05):
            served_versions.reconcile()

    follower = threading.Thread(target=follow)
    follower.start()
    try:
        with listening(served_versions) as address:
            yield address
    finally:
        stop.set()
        follower.join()


def ask(http: httpx.Client) -> Said:
    answer = http.post(PREDICT, json={"rows": [ROW]})
    assert answer.status_code == 200, answer.text
    said = answer.json()
    return said["version"], said["model_digest"], said["fingerprint"], said["predictions"]


@pytest.mark.slow
def test_a_promotion_reaches_two_servers_of_one_registry_and_neither_mixes_versions(
    tmp_path: Path, first: Path, second: Path
) -> None:
    tracking = registry(tmp_path)
    tracking.client.create_registered_model("delay")
    truth: list[Said] = []
    for number, folder in enumerate((first, second), 1):
        digest = model_digest(folder)
        tags = {"model_digest": digest, "fingerprint": f"print{number}", "stage": "None"}
        tracking.client.create_model_version(
            "delay", source=str(folder), tags={f"mergeline.{k}": v for k, v in tags.items()}
        )
        answer = load(folder, digest).predict(pd.DataFrame([ROW])).tolist()
        truth.append((number, digest, f"print{number}", answer))
    tracking.move("delay", 1, "Production")
    with following(tmp_path) as one, following(tmp_path) as other:
        said: dict[str, list[Any]] = {one: [], other: []}
        stop = threading.Event()

        def keep_asking(address: str) -> None:
            with httpx.Client(base_url=address, trust_env=False) as http:
                while not stop.is_set():
                    try:
                        said[address].append(ask(http))
                    except Exception as error:  # noqa: BLE001 - told below, not in a thread
                        said[address].append(error)

        askers = [threading.Thread(target=keep_asking, args=(address,)) for address in said]
        for asker in askers:
            asker.start()
        try:
            until(lambda: all(said.values()))
            tracking.move("delay", 2, "Production")
            until(lambda: all(heard[-1] == truth[1] for heard in said.values()))
        finally:
            stop.set()
            for asker in askers:
                asker.join()
    for heard in said.values():
        assert [one for one in heard if one not in truth] == []
        # The old one, then the new one, and never back.
        turn = heard.index(truth[1])
        assert turn > 0
        assert heard == [truth[0]] * turn + [truth[1]] * (len(heard) - turn)
