"""Which versions are served, through everything that a registry may do."""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mergeline.adapters.models.folder import own_size
from mergeline.errors import DeployError, NotFoundError, TrackingError
from mergeline.serving import native
from mergeline.serving.rows import Batch
from mergeline.serving.served_versions import ServedVersion, ServedVersions, model_of
from mergeline.serving.served_versions import predict as ask
from tests.support.model_server import Registry
from tests.support.models import ROW, save


def predict(served: ServedVersion, rows: list[Any]) -> dict[str, Any]:
    model = model_of(served)
    asking = native.answer(served, model, json.dumps({"rows": rows}).encode())
    batch = next(asking)
    assert isinstance(batch, Batch)
    with pytest.raises(StopIteration) as end:
        asking.send(ask(model, batch))
    said: dict[str, Any] = json.loads(end.value.value.body)
    return said


def ready(served_versions: ServedVersions) -> bool:
    return served_versions.ready


def test_every_version_that_is_not_archived_is_served(
    registry: Registry, served_versions: ServedVersions, first: Path, second: Path, numbers: Path
) -> None:
    old, new, other = registry.register(first), registry.register(second), registry.register(first)
    registry.register(numbers, "Production", model="arrivals")
    registry.move(old, "Archived")
    registry.move(new, "Production")
    registry.move(other, "Staging")
    served_versions.reconcile()
    assert list(served_versions.routing.versions) == [("arrivals", 1), ("delay", 2), ("delay", 3)]
    assert served_versions.by_stage("delay", "production").version.number == 2
    assert served_versions.by_stage("delay", "STAGING").version.number == 3
    assert served_versions.by_stage("delay", "staging").model
    with pytest.raises(NotFoundError, match=r"delay v1 is not served \(served: v2, v3\)"):
        served_versions.by_version("delay", 1)


def test_what_is_loaded_is_not_fetched_again(
    registry: Registry, served_versions: ServedVersions, first: Path
) -> None:
    version = registry.register(first)
    served_versions.reconcile()
    registry.move(version, "Production")
    served_versions.reconcile()
    served_versions.reconcile()
    assert registry.fetched == [("delay", 1)]
    assert served_versions.by_stage("delay", "production").version.stage == "Production"


def test_a_version_whose_bytes_are_others_is_reported_and_the_old_one_answers_on(
    registry: Registry, served_versions: ServedVersions, first: Path, second: Path, tmp_path: Path
) -> None:
    good = registry.register(first, "Production")
    served_versions.reconcile()
    tampered = Path(shutil.copytree(second, tmp_path / "tampered"))
    bad = registry.register(tampered)
    with (tampered / "model.pkl").open("ab") as stream:
        stream.write(b"\0")
    registry.move(bad, "Production")  # which archives the good one
    served_versions.reconcile()
    answer = predict(served_versions.by_stage("delay", "production"), [ROW])
    assert (answer["version"], answer["model_digest"]) == (1, good.model_digest)
    assert "bytes are" in served_versions.problems()[0]
    assert served_versions.problems()[0].startswith("delay v2: ")
    assert ready(served_versions)
    with pytest.raises(DeployError, match="bytes are"):
        predict(served_versions.by_version("delay", 2), [ROW])
    registry.register(second)
    registry.move(registry.known["delay", 3], "Production")
    served_versions.reconcile()
    assert served_versions.by_stage("delay", "production").version.number == 3
    assert list(served_versions.routing.versions) == [("delay", 3)]


def test_bytes_that_are_not_the_registered_ones_are_never_unpickled(
    registry: Registry, served_versions: ServedVersions, first: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(first, tmp_path / "folder"))
    registry.register(folder, "Production")
    trace = tmp_path / "ran"
    payload = f"cos\nsystem\n(S'touch {trace}'\ntR.".encode()
    (folder / "model.pkl").write_bytes(payload)
    served_versions.reconcile()
    assert not trace.exists()
    assert not ready(served_versions)
    with pytest.raises(DeployError, match="bytes are"):
        predict(served_versions.by_stage("delay", "production"), [ROW])


def test_a_version_without_a_digest_is_not_served(
    registry: Registry, served_versions: ServedVersions, first: Path
) -> None:
    version = registry.register(first, "Production")
    registry.known["delay", 1] = replace(version, model_digest="")
    served_versions.reconcile()
    assert not ready(served_versions)
    assert "no digest" in served_versions.problems()[0]


def test_a_version_that_cannot_be_loaded_is_tried_again_after_a_growing_pause(
    registry: Registry, first: Path, tmp_path: Path
) -> None:
    now = [0.0]
    served_versions = ServedVersions(registry, clock=lambda: now[0])
    registry.register(first, "Production")
    registry.folders["delay", 1] = tmp_path / "not-uploaded-yet"
    for second in range(20):
        now[0] = float(second)
        served_versions.reconcile()
    assert len(registry.fetched) == 4  # at 0, 2, 6 and 14
    assert not ready(served_versions)
    registry.folders["delay", 1] = first
    now[0] = 100.0
    served_versions.reconcile()
    assert ready(served_versions)
    assert served_versions.problems() == []


@pytest.mark.parametrize("trouble", [TrackingError("gone"), ValueError("odd")])
def test_a_registry_out_of_reach_changes_nothing_but_what_readiness_says(
    registry: Registry, served_versions: ServedVersions, first: Path, trouble: Exception
) -> None:
    assert not ready(served_versions)
    registry.register(first, "Production")
    served_versions.reconcile()
    registry.trouble = trouble
    served_versions.reconcile()
    assert predict(served_versions.by_stage("delay", "production"), [ROW])["version"] == 1
    assert ready(served_versions)
    assert served_versions.problems() == [f"the registry cannot be read: {trouble}"]
    registry.trouble = None
    served_versions.reconcile()
    assert served_versions.problems() == []


LOST = "delay v2: the registry no longer names it"


def emptied(registry: Registry) -> None:
    registry.known.clear()


def restored_from_before_the_release(registry: Registry) -> None:
    registry.known = {("delay", 1): replace(registry.known["delay", 1], stage="Production")}


@pytest.mark.parametrize("happens", [emptied, restored_from_before_the_release])
def test_a_registry_that_forgets_what_is_served_ends_nothing(
    registry: Registry,
    served_versions: ServedVersions,
    first: Path,
    second: Path,
    happens: Callable[[Registry], None],
) -> None:
    registry.register(first)
    registry.register(second, "Production")
    served_versions.reconcile()
    happens(registry)
    for _ in range(2):
        served_versions.reconcile()
        answer = predict(served_versions.by_stage("delay", "production"), [ROW])
        assert answer["version"] == 2
        assert ready(served_versions)
        (problem,) = served_versions.problems()
        assert problem.startswith(LOST)


def test_what_the_registry_forgot_ends_when_it_is_archived_or_a_later_one_takes_its_stage(
    registry: Registry, served_versions: ServedVersions, first: Path, second: Path
) -> None:
    registry.register(first)
    lost = registry.register(second, "Production")
    served_versions.reconcile()
    known = registry.known
    restored_from_before_the_release(registry)
    served_versions.reconcile()
    registry.known = {**registry.known, ("delay", 2): replace(lost, stage="Archived")}
    served_versions.reconcile()
    assert served_versions.by_stage("delay", "production").version.number == 1
    assert served_versions.problems() == []

    registry.known = known
    served_versions.reconcile()
    emptied(registry)
    registry.known["delay", 3] = replace(lost, number=3)
    registry.folders["delay", 3] = second
    served_versions.reconcile()
    assert served_versions.by_stage("delay", "production").version.number == 3


def test_a_server_that_should_serve_and_has_nothing_is_not_ready(
    served_versions: ServedVersions,
) -> None:
    served_versions.reconcile()
    assert not ready(served_versions)


def test_versions_without_a_stage_are_loaded_when_asked_for_and_share_a_memory(
    registry: Registry, first: Path, second: Path
) -> None:
    now = [0.0]
    size = own_size(first)
    served_versions = ServedVersions(registry, memory=2 * size, clock=lambda: now[0])
    registry.register(second, "Production")
    for _ in range(4):
        registry.register(first)
    served_versions.reconcile()
    assert registry.fetched == [("delay", 1)]

    def loaded() -> list[int]:
        versions = served_versions.routing.versions.values()
        return [one.version.number for one in versions if one.model]

    for number in (2, 3, 2, 4):  # 3 was asked for least lately
        now[0] += 1
        assert served_versions.on_demand(served_versions.by_version("delay", number)).model
    assert loaded() == [1, 2, 4]
    served_versions.reconcile()
    assert loaded() == [1, 2, 4]
    assert registry.fetched == [("delay", number) for number in (1, 2, 3, 4)]


def test_missing_files_are_called_that(
    registry: Registry, served_versions: ServedVersions, first: Path, tmp_path: Path
) -> None:
    registry.register(first, "Production")
    registry.folders["delay", 1] = tmp_path / "empty"
    (tmp_path / "empty").mkdir()
    served_versions.reconcile()
    assert served_versions.problems()[0].startswith("delay v1: its files are missing")


def test_a_stage_that_is_emptied_on_purpose_has_no_answer(
    registry: Registry, served_versions: ServedVersions, first: Path
) -> None:
    version = registry.register(first, "Production")
    served_versions.reconcile()
    registry.move(version, "None")
    served_versions.reconcile()
    with pytest.raises(NotFoundError, match="no version of delay is in Production"):
        served_versions.by_stage("delay", "production")


def test_an_unknown_model_or_stage_is_named_with_the_nearest_known_one(
    registry: Registry, served_versions: ServedVersions, first: Path
) -> None:
    registry.register(first, "Production")
    served_versions.reconcile()
    with pytest.raises(NotFoundError, match=r"no model 'dealy' \(did you mean 'delay'\?\)"):
        served_versions.by_stage("dealy", "production")
    with pytest.raises(NotFoundError, match=r"no stage 'prodution' \(did you mean 'production'"):
        served_versions.by_stage("delay", "prodution")


def test_a_type_that_json_cannot_carry_is_a_reason_not_to_serve(
    registry: Registry, served_versions: ServedVersions, tmp_path: Path
) -> None:
    import pandas as pd
    from sklearn.dummy import DummyClassifier

    rows = pd.DataFrame({"photo": [b"1", b"2"]})
    model = DummyClassifier().fit(rows, [0, 1])
    registry.register(save(model, tmp_path / "model", rows), "Production")
    served_versions.reconcile()
    assert "column 'photo' is of type binary" in served_versions.problems()[0]


@pytest.mark.filterwarnings("ignore")  # MLflow's advice on how to write such models
def test_a_model_that_reads_its_files_late_keeps_them_as_long_as_it_is_served(
    registry: Registry, served_versions: ServedVersions, tmp_path: Path
) -> None:
    import mlflow.pyfunc
    import numpy as np
    import pandas as pd
    from mlflow.models import infer_signature

    class Late(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
        def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
            place = Path(context.artifacts["number"])
            Path(tmp_path / "place").write_text(str(place))
            return model_input["hour"].to_numpy() * float(place.read_text())

    (tmp_path / "number.txt").write_text("3")
    rows = pd.DataFrame({"hour": [1.0]})
    mlflow.pyfunc.save_model(
        tmp_path / "model",
        python_model=Late(),
        artifacts={"number": str(tmp_path / "number.txt")},
        signature=infer_signature(rows, np.zeros(1)),
        pip_requirements=["mlflow"],
    )
    version = registry.register(tmp_path / "model", "Production")
    served_versions.reconcile()
    served = served_versions.by_stage("delay", "production")
    assert predict(served, [{"hour": 2.0}])["predictions"] == [6.0]
    place = Path((tmp_path / "place").read_text())
    assert place.is_file()
    assert tmp_path not in place.parents
    registry.move(version, "Archived")
    served_versions.reconcile()
    del served
    gc.collect()
    assert not place.exists()


def test_what_is_served_is_said_in_a_line(
    registry: Registry, served_versions: ServedVersions, first: Path
) -> None:
    assert served_versions.summary() == "the registry was not read yet"
    served_versions.reconcile()
    assert served_versions.summary() == "nothing to serve yet: release a model"
    registry.register(first, "Production")
    broken = registry.register(first)
    registry.known["delay", 2] = replace(broken, model_digest="0" * 64)
    registry.register(first, model="other")
    served_versions.reconcile()
    assert served_versions.summary() == "delay v1 (production), v2; other v1"
    served_versions.on_demand(served_versions.by_version("delay", 2))
    assert served_versions.summary() == "delay v1 (production), v2 (not loaded); other v1"
    registry.trouble = OSError("away")
    served_versions.reconcile()
    assert served_versions.summary() == "delay v1 (production), v2 (not loaded); other v1"
