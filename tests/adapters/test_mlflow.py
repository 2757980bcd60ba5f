"""Runs and registered versions, on real SQLite stores."""

from __future__ import annotations

import contextlib
import datetime as dt
import http.server
import importlib.util
import json
import platform
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import mlflow
import polars as pl
import pytest
import requests

from mergeline.adapters.bundles import read_candidate
from mergeline.adapters.mlflow.runs import Run
from mergeline.adapters.mlflow.tracking import Tracking
from mergeline.errors import NotFoundError, TrackingError
from tests.support.line import Line, run_id_of
from tests.support.parcels import MODEL

AT = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)

# MLflow's own calls of SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    folder = tmp_path_factory.mktemp("registry")
    return Tracking(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts")


def register(store: Tracking, model: str, stages: list[str]) -> None:
    store.client.create_registered_model(model)
    for number, stage in enumerate(stages, 1):
        tags = {"mergeline.stage": stage, "mergeline.model_digest": "d"}
        store.client.create_model_version(model, source="somewhere", tags=tags)
        if stage in {"Production", "Staging"}:
            store.client.set_registered_model_alias(model, stage.lower(), str(number))


def standing(store: Tracking, model: str) -> list[tuple[int, str]]:
    return [(one.number, one.stage) for one in store.standing() if one.model == model]


def test_a_store_that_is_not_there_yet_has_nothing_standing(tmp_path: Path) -> None:
    assert Tracking(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path).standing() == []
    assert not (tmp_path / "mlflow.db").exists()


def test_reading_makes_no_store(tmp_path: Path) -> None:
    store = Tracking(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path)
    assert (store.find(MODEL, "f"), store.champion(MODEL)) == (None, None)
    for found in (store.candidates(MODEL), store.tracked(), store.versions(MODEL)):
        assert not found
    for run_id in ("0" * 32, "0"):
        with pytest.raises(NotFoundError, match="no run"):
            store.run(run_id)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_error_without_a_text_is_named_by_its_type(tmp_path: Path, text: str) -> None:
    with (
        pytest.raises(TrackingError, match="the tracking store failed: ChunkedEncodingError"),
        Tracking("http://127.0.0.1:9", tmp_path).translating(),
    ):
        raise requests.exceptions.ChunkedEncodingError(text)


@pytest.mark.slow
def test_what_stands_is_all_that_is_not_archived(store: Tracking) -> None:
    register(store, "delay", ["Archived", "Production", "Staging", "None", "None"])
    assert standing(store, "delay") == [
        (2, "Production"), (3, "Staging"), (4, "None"), (5, "None"),
    ]  # fmt: skip


@pytest.mark.slow
def test_a_version_that_somebody_else_registered_does_not_stand(store: Tracking) -> None:
    store.client.create_registered_model("theirs")
    store.client.create_model_version("theirs", source="somewhere")
    assert standing(store, "theirs") == []


@pytest.mark.parametrize("holder", [1, 2])
def test_of_two_that_carry_the_tag_of_a_stage_its_alias_decides(
    store: Tracking, holder: int
) -> None:
    name = f"cut-off-{holder}"
    register(store, name, ["Production", "Production", "Staging"])
    store.client.set_registered_model_alias(name, "production", str(holder))
    other = 3 - holder
    assert sorted(standing(store, name)) == sorted(
        [(holder, "Production"), (other, "None"), (3, "Staging")]
    )


def test_production_that_is_archived_while_it_is_looked_for_still_stands(
    store: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow has found the version, and then no more of its tags: the alias is moved last."""
    monkeypatch.setattr("mergeline.adapters.mlflow.registry.read_standing", lambda *_: None)
    register(store, "amid", ["Production", "None"])
    real = store.client.search_model_versions

    def late(*arguments: object, **named: object) -> object:
        found = real(*arguments, **named)
        for one in found:
            if (one.name, int(one.version)) == ("amid", 1):
                one.tags.clear()
        return found

    monkeypatch.setattr(store.client, "search_model_versions", late)
    assert standing(store, "amid") == [(1, "Production"), (2, "None")]


def test_a_look_is_one_query_whatever_lies_in_the_archive(
    store: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mergeline.adapters.mlflow.registry.read_standing", lambda *_: None)
    register(store, "old", ["Archived"] * 5 + ["Production"])
    real, asked = store.client.search_model_versions, []

    def counted(*arguments: object, **named: object) -> object:
        found = real(*arguments, **named)
        asked.append(len([one for one in found if one.name == "old"]))
        return found

    monkeypatch.setattr(store.client, "search_model_versions", counted)
    assert standing(store, "old") == [(6, "Production")]
    assert asked == [1]


# --- stages ---------------------------------------------------------------------------------------


def stages(store: Tracking, model: str) -> list[str]:
    return [one.stage for one in store.versions(model)]


def tags(store: Tracking, model: str) -> list[str]:
    """The stages as MLflow's own pages show them."""
    found = store.client.search_model_versions(f"name='{model}'")
    return [one.tags["mergeline.stage"] for one in sorted(found, key=lambda one: int(one.version))]


def test_a_stage_has_one_holder_and_who_held_it_is_archived(store: Tracking) -> None:
    register(store, "moved", ["None"] * 3)
    for number, stage, after in [
        (1, "Staging", ["Staging", "None", "None"]),
        (1, "Production", ["Production", "None", "None"]),
        (2, "Staging", ["Production", "Staging", "None"]),
        (2, "Production", ["Archived", "Production", "None"]),
        (2, "Production", ["Archived", "Production", "None"]),
        (3, "Archived", ["Archived", "Production", "Archived"]),
        (1, "Production", ["Production", "Archived", "Archived"]),
        (1, "None", ["None", "Archived", "Archived"]),
    ]:
        store.move("moved", number, stage)  # type: ignore[arg-type]
        assert stages(store, "moved") == tags(store, "moved") == after
        champion = store.champion("moved")
        held = [n for n, one in enumerate(after, 1) if one == "Production"]
        assert [champion.number] if champion else held == []


def test_a_version_that_is_not_there_cannot_be_moved(store: Tracking) -> None:
    register(store, "lonely", ["Production"])
    with pytest.raises(NotFoundError, match="no version 7 of lonely"):
        store.move("lonely", 7, "Production")
    with pytest.raises(NotFoundError):
        store.move("nobody", 1, "Production")
    assert stages(store, "lonely") == ["Production"]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["a file", "a server"])
def test_stages_stay_exclusive_under_four_movers_at_once(
    store: Tracking, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    name = f"raced-on-{how[2:]}"
    register(store, name, ["None"] * 4)
    store.move(name, 1, "Production")
    start = threading.Barrier(4)

    def mover(own: int) -> None:
        mine = Tracking(store.uri, Path("unused"))
        if how == "a server":
            monkeypatch.setattr(mine, "alone", contextlib.nullcontext)
        start.wait()
        for turn in range(4):
            mine.move(name, (own + turn) % 4 + 1, "Production" if turn % 2 else "Staging")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(mover, range(4)))
    found = stages(store, name)
    assert found.count("Production") == 1
    assert found.count("Staging") <= 1
    assert found == tags(store, name)
    champion = store.champion(name)
    assert champion is not None
    assert found[champion.number - 1] == "Production"


# --- what a run holds -----------------------------------------------------------------------------


def run_of(line: Line, version: int = 1) -> Run:
    tracking = line.project().tracking
    return tracking.run(tracking.versions(MODEL)[version - 1].run_id)


def test_a_run_carries_params_metrics_and_where_it_comes_from(line: Line) -> None:
    run = run_of(line)
    logged = line.project().tracking.client.get_run(run.run_id)
    assert logged.info.status == "FINISHED"
    assert logged.data.params == {
        "train.C": "1.0",
        "train.use": '["weight", "distance"]',
        "evaluate.holdout_every": "4",
        "fingerprint": run.fingerprint,
    }
    assert {"roc_auc", "neg_log_loss", "holdout_rows", "seconds.train", "seconds.evaluate"} <= set(
        logged.data.metrics
    )
    assert logged.data.metrics["holdout_rows"] == 300
    assert 0.9 < logged.data.metrics["roc_auc"] < 1
    tags = logged.data.tags
    assert tags["mergeline.fingerprint"] == run.fingerprint
    assert tags["mergeline.commit"] == line.git("rev-parse", "origin/main")
    assert tags["mlflow.source.git.commit"] == tags["mergeline.commit"]
    assert tags["mergeline.author"] == "Ana <ana@example.org>"
    assert tags["mergeline.verdict"] == "pass"
    assert tags["mergeline.python"] == platform.python_version()


def test_a_run_looks_as_one_of_mlflow_s_own(line: Line) -> None:
    tracking = line.project().tracking
    logged = tracking.client.get_run(run_of(line, 1).run_id)
    seconds = sum(v for name, v in logged.data.metrics.items() if name.startswith("seconds."))
    assert logged.info.end_time - logged.info.start_time == round(seconds * 1000)
    tags = logged.data.tags
    assert tags["mlflow.user"] == "Ana <ana@example.org>"
    assert (tags["mlflow.source.type"], tags["mlflow.source.name"]) == ("PROJECT", "dvc.yaml")
    assert "`late` may be the first model in production" in tags["mlflow.note.content"]
    experiment = tracking.client.get_experiment(logged.info.experiment_id)
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"


@pytest.mark.slow
def test_a_run_whose_logging_was_killed_is_ended_by_the_next(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = read_candidate(line.bundle)
    store = Tracking(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts")
    experiment = store.client.create_experiment(MODEL, tmp_path.as_uri())
    theirs = store.client.create_run(experiment).info.run_id
    with monkeypatch.context() as patch:
        patch.setattr(store.client, "log_model_artifacts", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.log(candidate, line.bundle, AT)
    assert store.find(MODEL, candidate.fingerprint) is None
    run = store.log(candidate, line.bundle, AT)
    found = store.client.search_runs([store.client.get_experiment_by_name(MODEL).experiment_id])
    status = {one.info.run_id: one.info.status for one in found}
    assert status.pop(run.run_id) == "FINISHED"
    assert status.pop(theirs) == "RUNNING"
    assert list(status.values()) == ["KILLED"]


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_run_of_a_pull_request_carries_its_number(line: Line) -> None:
    tracking = line.project().tracking
    assert {run.pull_request for run in tracking.candidates(MODEL)} == {None, 1, 2}


def test_a_run_names_its_snapshot_by_digest_and_version_also_version_0(line: Line) -> None:
    logged = line.project().tracking.client.get_run(run_of(line).run_id)
    [used] = logged.inputs.dataset_inputs
    source = json.loads(used.dataset.source)
    digest = logged.data.tags["mergeline.snapshot.parcels"]
    assert (used.dataset.name, used.dataset.source_type) == ("parcels", "delta")
    assert len(digest) == 64
    assert used.dataset.digest == digest[:36]
    assert source["delta_table_version"] == 0
    assert json.loads(used.dataset.profile) == {"num_rows": 1200}
    assert {tag.key: tag.value for tag in used.tags} == {"mlflow.data.context": "training"}
    rows = pl.scan_delta(source["path"], version=0).select(pl.len()).collect().item()
    assert rows == 1200


@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
def test_a_run_holds_the_model_with_signature_and_example(line: Line) -> None:
    run = run_of(line)
    line.project().tracking.champion(MODEL)  # MLflow's functions ask the store last opened
    info = mlflow.models.get_model_info(run.model_uri)
    assert [column.name for column in info.signature.inputs] == ["weight", "distance"]
    assert info.signature.outputs is not None
    assert info.saved_input_example_info is not None
    loaded = mlflow.pyfunc.load_model(run.model_uri)
    answer = loaded.predict(loaded.input_example)
    assert answer.shape == (3, 2)


@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
def test_the_champion_can_be_loaded_by_its_alias_with_mlflow_alone(line: Line) -> None:
    line.project().tracking.champion(MODEL)
    loaded = mlflow.pyfunc.load_model(f"models:/{MODEL}@production")
    assert loaded.predict(loaded.input_example).shape == (3, 2)


def test_a_run_holds_curves_report_and_predictions_of_its_evaluation(
    line: Line, tmp_path: Path
) -> None:
    tracking = line.project().tracking
    run = tracking.candidates(MODEL)[0]
    folder = tracking.evaluation_files(run, tmp_path)
    names = {path.name for path in folder.iterdir()}
    assert {
        "roc.svg", "precision_recall.svg", "calibration.svg", "confusion_matrix.svg",
        "report.json", "report.md", "report.html", "predictions.parquet",
    } <= names  # fmt: skip
    predictions = pl.read_parquet(folder / "predictions.parquet")
    assert predictions.height == 300
    assert {"id", "late", "candidate: True", "champion: True"} <= set(predictions.columns)
    evaluation = tracking.evaluation(run)
    assert evaluation is not None
    assert set(evaluation.files) == {f"evaluation/{name}" for name in names}


@pytest.mark.slow
def test_a_registered_version_leads_back_to_run_tree_and_pull_request(line: Line) -> None:
    line.merge(1)
    line.release()
    tracking = line.project().tracking
    version = tracking.client.get_model_version(MODEL, "2")
    run = tracking.run(version.run_id)
    assert version.tags["mergeline.fingerprint"] == run.fingerprint
    assert version.tags["mergeline.model_digest"] == run.model_digest
    assert version.tags["mergeline.commit"] == run.commit == line.git("rev-parse", "better")
    assert version.tags["mergeline.pull_request"] == "1"


def origin_of(line: Line, run_id: str) -> tuple[str, str]:
    """Commit and pull request of a run, as its tags have them."""
    tags = line.project().tracking.client.get_run(run_id).data.tags
    assert tags["mlflow.source.git.commit"] == tags["mergeline.commit"]
    return tags["mergeline.commit"], tags["mergeline.pull_request"]


@pytest.mark.slow
def test_a_candidate_evaluated_before_its_pull_request_learns_commit_and_number(line: Line) -> None:
    edit = ("params.yaml", "C: 1.0", "C: 0.7")
    line.edit(*edit, at="runner")
    run = run_id_of(line.evaluate())
    assert origin_of(line, run) == ("", "")
    line.git("checkout", "--quiet", "--force", "HEAD", at="runner")
    number = line.propose("early", edit)
    assert run_id_of(line.review(number)) == run
    assert line.quick.runs == [line.quick.runs[0]]
    known = (line.git("rev-parse", "early"), str(number))
    assert origin_of(line, run) == known
    line.check_out("origin/main")
    line.edit(*edit, at="runner")
    line.evaluate()
    assert origin_of(line, run) == known  # which an evaluation that knows less does not blank
    line.git("checkout", "--quiet", "--force", "HEAD", at="runner")
    line.review(line.propose("early-again", edit))
    assert origin_of(line, run) == known  # nor does one of another pull request take it over
    line.git("checkout", "--quiet", "--force", "HEAD", at="runner")
    line.merge(number)
    line.release()
    tags = line.project().tracking.client.get_model_version(MODEL, "2").tags
    assert (tags["mergeline.commit"], tags["mergeline.pull_request"]) == known


@pytest.mark.slow
def test_a_version_of_a_tree_evaluated_before_its_commit_alone_names_the_released_one(
    line: Line,
) -> None:
    line.edit("params.yaml", "C: 1.0", "C: 0.7", at="runner")
    run = run_id_of(line.evaluate())
    head = line.commit("Calm", at="runner")
    line.git("push", "--quiet", "origin", "HEAD:main", at="runner")
    line.release()
    tracking = line.project().tracking
    assert tracking.versions(MODEL)[-1].run_id == run
    assert tracking.client.get_model_version(MODEL, "2").tags["mergeline.commit"] == head


def test_a_registered_version_learns_what_its_run_knows_later(line: Line) -> None:
    tracking = line.project().tracking
    run = run_of(line)
    assert tracking.register(replace(run, pull_request=7), 1).number == 1
    assert tracking.register(replace(run, commit=None, pull_request=None), 1).number == 1
    tags = tracking.client.get_model_version(MODEL, "1").tags
    assert (tags["mergeline.commit"], tags["mergeline.pull_request"]) == (run.commit, "7")
    assert tracking.register(replace(run, pull_request=9), 1).number == 1
    tags = tracking.client.get_model_version(MODEL, "1").tags
    assert tags["mergeline.pull_request"] == "7"  # a revert's finds it, and does not take it over


@pytest.mark.slow
def test_any_number_of_params_of_any_name_is_logged(line: Line, tmp_path: Path) -> None:
    bundle = line.bundle
    candidate = read_candidate(bundle)
    many = {f"train.p{n}": n for n in range(250)} | {"train.größe+(x)": 1, "train.n": None}
    store = Tracking(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts")
    run = store.log(replace(candidate, params=many), bundle, AT)
    params = store.client.get_run(run.run_id).data.params
    assert len(params) == 253
    assert params["train.größe__x_-d855cc31"] == "1"
    assert params["train.n"] == "null"
    assert store.find(MODEL, candidate.fingerprint) == run
    assert store.find(MODEL, "f" * 64) is None
    with pytest.raises(NotFoundError, match="was never held against another"):
        store.evaluation_files(run, tmp_path)


@pytest.mark.slow
def test_params_whose_names_mlflow_would_make_one_stay_two(line: Line, tmp_path: Path) -> None:
    candidate = read_candidate(line.bundle)
    odd = {"a|b": 1, "a_b": 2, "a:b": 3, "a+b": 4, "s3://x//y/": 5, "../x": 6, "/": 7, "": 8}
    long = {"p" * 300 + "1": 9, "p" * 300 + "2": 10}
    store = Tracking(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts")
    run = store.log(replace(candidate, params=odd | long), line.bundle, AT)
    params = store.client.get_run(run.run_id).data.params
    del params["fingerprint"]
    assert sorted(map(int, params.values())) == list(range(1, 11))
    assert (params["a_b"], params["a:b"]) == ("2", "3")
    assert (params["s3___x__y_-9ce754de"], params["_x-d6b96a97"]) == ("5", "6")


def test_a_run_that_somebody_else_logged_is_no_candidate(line: Line) -> None:
    tracking = line.project().tracking
    experiment = tracking.client.get_experiment_by_name(MODEL).experiment_id
    theirs = tracking.client.create_run(experiment).info.run_id
    assert theirs not in {run.run_id for run in tracking.candidates(MODEL)}
    with pytest.raises(NotFoundError, match="carries no fingerprint"):
        tracking.run(theirs)
    with pytest.raises(NotFoundError, match="'nope'"):
        tracking.run("nope")


# --- a store that is not as it should be ----------------------------------------------------------


class Answers(http.server.BaseHTTPRequestHandler):
    """A web server that is no tracking server."""

    def do_GET(self) -> None:
        self.send_response(int(self.server.code))  # type: ignore[attr-defined]
        self.end_headers()
        self.wfile.write(b"<html>Hello</html>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("code", [200, 403, 404])
def test_a_server_of_another_kind_has_no_champion_to_tell_of(tmp_path: Path, code: int) -> None:
    """Law 6: nothing was found there, and nothing follows from it."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.code = code  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        store = Tracking(f"http://127.0.0.1:{server.server_port}", tmp_path)
        with pytest.raises(TrackingError, match="the tracking store failed"):
            store.champion(MODEL)
        server.shutdown()


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:9", "http://nowhere.invalid:5000", "https://me:secret@127.0.0.1:9"]
)
def test_a_server_out_of_reach_is_said_within_seconds(tmp_path: Path, uri: str) -> None:
    since = time.monotonic()
    with pytest.raises(TrackingError) as caught:
        Tracking(uri, tmp_path).champion(MODEL)
    assert time.monotonic() - since < 8
    assert "the tracking server does not answer. Start it, or correct" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_server_that_says_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mergeline.adapters.mlflow.store._PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = Tracking(f"http://127.0.0.1:{silent.getsockname()[1]}", tmp_path)
        with pytest.raises(TrackingError, match="does not answer"):
            store.champion(MODEL)


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 1000)
    with pytest.raises(TrackingError, match="not a database"):
        Tracking(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path).champion(MODEL)


def test_an_address_of_no_kind_is_said(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="unsupported URI"):
        Tracking("htp://x", tmp_path).champion(MODEL)


def test_an_address_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"does not answer\. Start it, or correct MLFLOW_"):
        Tracking("http://[::1", tmp_path).champion(MODEL)


def test_a_driver_that_is_not_installed_is_said_without_the_password(tmp_path: Path) -> None:
    if importlib.util.find_spec("psycopg"):
        pytest.skip("it is installed")
    with pytest.raises(TrackingError, match="psycopg") as caught:
        Tracking("postgresql://me:secret@127.0.0.1/mlflow", tmp_path).champion(MODEL)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, b"You are not authenticated."),
        (403, b"Permission denied"),
        (403, b'{"error_code": "PERMISSION_DENIED", "message": "no"}'),
    ],
)
def test_a_server_that_refuses_is_said_with_the_variables_that_name_a_user(
    tmp_path: Path, status: int, body: bytes
) -> None:
    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        store = Tracking(f"http://127.0.0.1:{server.server_port}", tmp_path)
        with pytest.raises(TrackingError) as caught:
            store.candidates(MODEL)
        server.shutdown()
    assert "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in caught.value.next_step


def test_a_store_in_a_folder_that_cannot_be_is_said(line: Line, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Tracking(f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}", tmp_path)
    assert store.champion(MODEL) is None
    with pytest.raises(TrackingError, match="the tracking store's files"):
        store.log(read_candidate(line.bundle), line.bundle, AT)
