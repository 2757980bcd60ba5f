"""Where a release goes: it is told, looked at, and taken back where it fails."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest

from mergeline.adapters.git.repository import Repository
from mergeline.adapters.scoring_server import Client
from mergeline.cli.main import main
from mergeline.cli.show import release_lines
from mergeline.core.release.bundle import CANDIDATE_FILES
from mergeline.core.release.bundle import MODEL as MODEL_FOLDER
from mergeline.core.release.ledger import page_name, page_text
from mergeline.core.release.verification import Traffic
from mergeline.core.release.version import Version
from mergeline.errors import DeployError, InputError
from mergeline.lifecycle.steps.deploying import is_verified
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.verbs.promote import promote
from mergeline.lifecycle.verbs.release import _Job, release
from mergeline.lifecycle.verbs.status import status
from mergeline.serving.served_versions import ServedVersions
from tests.support.images import push_base, run
from tests.support.line import Line, entry_of
from tests.support.model_server import Registry, listening
from tests.support.parcels import BETTER, MODEL
from tests.support.registries import registry

HOLDOUT = f"{CANDIDATE_FILES}/holdout.parquet"
OLD = "sha256:" + "a" * 64


class Place(ThreadingHTTPServer):
    """A real scoring server, and an address at which one says what it shall serve.

    Attributes:
        told: the versions that it was told of.
        heeds: whether it takes them up.
        stage: that it serves.
    """

    stage = "Production"

    def __init__(self, line: Line, folder: Path) -> None:
        self.line = line
        self.folder = folder
        self.told: list[int] = []
        self.heeds = True
        self.registry = Registry()
        self.served = ServedVersions(self.registry)
        super().__init__(("127.0.0.1", 0), _Handler)

    def take_up(self, number: int, fingerprint: str) -> None:
        """Serve a version, and no other."""
        store = self.line.project().store
        stored = store.find(MODEL, fingerprint)
        assert stored is not None
        into = self.folder / fingerprint[:8]
        if not into.exists():
            store.fetch(stored, into)
        version = Version(MODEL, number, self.stage, fingerprint, stored.model_digest, "")
        self.put_away()
        self.registry.known[MODEL, number] = version
        self.registry.folders[MODEL, number] = into / CANDIDATE_FILES / MODEL_FOLDER
        self.served.reconcile()

    def put_away(self) -> None:
        """Have nothing to serve any more."""
        known = self.registry.known.items()
        self.registry.known = {key: replace(one, stage="Archived") for key, one in known}


class _Handler(BaseHTTPRequestHandler):
    server: Place

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.told.append(body["version"])
        if self.server.heeds:
            self.server.take_up(body["version"], body["fingerprint"])
        self.send_response(202)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def place(line: Line, tmp_path: Path) -> Iterator[Place]:
    """Serves v1."""
    with Place(line, tmp_path / "served") as place:
        thread = threading.Thread(target=place.serve_forever)
        thread.start()
        try:
            place.take_up(1, line.project().ledger(MODEL)[0].fingerprint)
            yield place
        finally:
            place.shutdown()
            thread.join()


@pytest.fixture
def server(place: Place) -> Iterator[str]:
    with listening(place.served) as address:
        yield address


def merge_with(line: Line, place: Place, server: str, more: str = "") -> int:
    """Merge the better model together with the environment that it goes to."""
    url = f"http://127.0.0.1:{place.server_port}/"
    line.branch("deployed")
    line.write(
        "environments.yaml",
        f"production: {{server: '{server}', deploy: {{webhook: {{url: '{url}'}}}}, "
        f"patience: 1{more}}}\n",
    )
    line.edit(*BETTER)
    line.commit("Better, and deployed")
    number = line.push("deployed")
    assert line.review(number).passed
    line.merge(number)
    return number


def stages(line: Line) -> list[tuple[int, str]]:
    return [(one.number, one.stage) for one in line.project().tracking.versions(MODEL)]


def digest_at(server: str) -> str:
    return str(Client(server).versions(MODEL)[0]["model_digest"])


@pytest.mark.slow
def test_a_release_is_told_to_its_target_and_done_when_the_server_answers_with_it(
    line: Line, place: Place, server: str
) -> None:
    merge_with(line, place, server)
    done = line.release()
    assert release_lines(done) == ["late v2 is in production"]
    assert [step.kind for step in done.plan.steps][-1] == "deploy"
    assert place.told == [2]
    assert digest_at(server) == entry_of(done).model_digest
    assert release_lines(line.release()) == ["late: live is target; nothing to do"]
    assert place.told == [2]


def test_a_version_that_fails_where_it_is_deployed_is_taken_back_and_everybody_is_told(
    line: Line, place: Place, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = merge_with(line, place, server)
    place.heeds = False
    before = digest_at(server)
    done = line.release()
    assert done.former is not None
    assert done.former.taken_back.startswith("the server did not take up late v2 within 1 s")
    assert digest_at(server) == before
    assert place.told == [2, 1]
    pages = line.project().ledger(MODEL)
    assert [(page.kind, page.version) for page in pages] == [
        ("first", 1), ("change", 2), ("restore", 1),
    ]  # fmt: skip
    assert pages[2].replaced == 2
    assert stages(line) == [(1, "Production"), (2, "Archived")]
    client = line.project().tracking.client
    assert (
        "what was deployed failed, the server did not"
        in client.get_model_version(MODEL, "1").description
    )
    [told] = line.forge.comments(number)
    assert "late v2 was taken back: the server did not take up late v2" in told.body
    assert "v1 is in production" in told.body

    # Run again it tries once more: it was judged, and was never really in production.
    place.heeds = True
    [seen] = status(line.project())
    assert seen.drift[0].startswith("record: v2 in the ledger: release/late/0004")
    again = line.release()
    assert again.plan.kind == "change"
    assert release_lines(again) == ["late v2 is in production"]
    assert stages(line) == [(1, "Archived"), (2, "Production")]
    [told] = line.forge.comments(number)
    assert told.body.endswith("late v2 is in production.")


@pytest.mark.slow
def test_a_failed_deployment_ends_with_exit_code_3(
    line: Line, place: Place, server: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    merge_with(line, place, server)
    place.heeds = False
    monkeypatch.chdir(line.root / "runner")
    for name, value in line.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["mergeline", "release"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 3
    assert "late v2 was taken back" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("step", ["_promote", "_describe", "_take_back"])
def test_killed_in_a_failing_deployment_and_run_again_all_agree(
    line: Line, place: Place, server: str, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    merge_with(line, place, server)
    place.heeds = False
    with monkeypatch.context() as patch:
        patch.setattr(_Job, step, _killed)
        with pytest.raises(KeyboardInterrupt):
            line.release()
    done = line.release()
    assert done.former is not None
    assert stages(line) == [(1, "Production"), (2, "Archived")]
    assert [page.version for page in line.project().ledger(MODEL)][-1] == 1


@pytest.mark.slow
def test_a_server_that_loses_what_it_had_for_long_is_no_reason_to_go_back(
    line: Line, place: Place, server: str
) -> None:
    merge_with(line, place, server)
    line.release()
    place.put_away()
    place.served.reconcile()
    place.heeds = False
    with pytest.raises(Exception, match="did not take up late v2"):
        line.release()
    assert stages(line) == [(1, "Archived"), (2, "Production")]
    place.heeds = True
    assert release_lines(line.release()) == ["late: deployed again"]


@pytest.mark.slow
def test_a_release_is_looked_at_before_it_counts_and_that_is_kept(
    line: Line, place: Place, server: str
) -> None:
    merge_with(line, place, server, ", verify: {seconds: 0.2, requests: 0, errors: 0.01}")
    done = line.release()
    assert [step.kind for step in done.plan.steps][-2:] == ["deploy", "verify"]
    assert is_verified(line.project(), entry_of(done))
    assert release_lines(line.release()) == ["late: live is target; nothing to do"]


@pytest.mark.slow
def test_a_release_that_nobody_asks_or_that_is_worse_than_declared_is_taken_back(
    line: Line, place: Place, server: str
) -> None:
    merge_with(line, place, server, ", verify: {seconds: 0.2, requests: 5}")
    done = line.release()
    assert done.former is not None
    assert done.former.taken_back == "0 requests in 0.2 s, and 5 must be"
    assert place.told == [2, 1]
    assert stages(line) == [(1, "Production"), (2, "Archived")]
    assert digest_at(server) == done.former.model_digest


@pytest.mark.slow
def test_what_it_answered_is_held_against_the_share_that_is_expected(
    line: Line, place: Place, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody asks it while it is looked at."""
    merge_with(line, place, server, ", verify: {seconds: 0.2, requests: 1, positives: [0.99, 1]}")
    rows = pd.read_parquet(place.folder / line.project().ledger(MODEL)[0].fingerprint[:8] / HOLDOUT)
    first = Client.traffic

    def asked(self: Client, model: str, version: int) -> Traffic:
        before = first(self, model, version)
        self.predict(model, rows.head(20)[list(self.versions(model)[0]["inputs"])])
        return before

    monkeypatch.setattr(Client, "traffic", asked)
    done = line.release()
    assert done.former is not None
    said = re.fullmatch(
        r"it says yes to (\d+\.\d)% of the rows, and 99.0% to 100.0% are expected",
        done.former.taken_back,
    )
    assert said is not None
    assert 0 < float(said[1]) < 99


@pytest.mark.slow
def test_killed_while_it_is_looked_at_it_is_looked_at_again(
    line: Line, place: Place, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge_with(line, place, server, ", verify: {seconds: 0.2, requests: 5}")
    with monkeypatch.context() as patch:
        patch.setattr(_Job, "_verify", _killed)
        with pytest.raises(KeyboardInterrupt):
            line.release()
    done = line.release()
    assert [step.kind for step in done.plan.steps] == ["verify"]
    assert done.former is not None
    assert stages(line) == [(1, "Production"), (2, "Archived")]


@pytest.mark.slow
def test_what_enters_staging_is_deployed_there_and_taken_back_where_it_fails(
    line: Line, place: Place, server: str
) -> None:
    url = f"http://127.0.0.1:{place.server_port}/"
    line.branch("staging")
    line.write(
        "environments.yaml",
        f"staging: {{server: '{server}', deploy: {{webhook: {{url: '{url}'}}}}, patience: 1}}\n",
    )
    line.commit("Where staging is")
    line.merge(line.push("staging"))
    place.stage = "Staging"
    promote(line.project(), MODEL, "origin/better", "Staging", plan_only=False, say=line.say)
    assert (place.told, stages(line)) == ([2], [(1, "Production"), (2, "Staging")])
    v2 = digest_at(server)

    number = line.propose("again", ("params.yaml", "C: 1.0", "C: 2.5"))
    assert line.review(number).passed
    line.check_out("origin/main")
    place.heeds = False
    with pytest.raises(DeployError, match=r"late v3 was taken back: the server did not take up"):
        promote(line.project(), MODEL, "origin/again", "Staging", plan_only=False, say=line.say)
    assert stages(line) == [(1, "Production"), (2, "Staging"), (3, "Archived")]
    assert digest_at(server) == v2

    promote(line.project(), MODEL, "v2", "Archived", plan_only=False, say=line.say)
    with pytest.raises(DeployError, match="late v3 was taken back"):
        promote(line.project(), MODEL, "v3", "Staging", plan_only=False, say=line.say)
    assert stages(line) == [(1, "Production"), (2, "Archived"), (3, "None")]
    [seen] = status(line.project())
    assert (seen.champion, seen.staging, seen.doubts) == (1, None, ())


@pytest.mark.slow
def test_production_is_entered_from_staging_after_its_time_and_by_a_person(line: Line) -> None:
    line.branch("rules")
    line.write("environments.yaml", "production: {enter: {hours: 1, approval: true}}\n")
    line.edit(*BETTER)
    line.commit("Better, by way of staging")
    number = line.push("rules")
    assert line.review(number).passed
    line.merge(number)
    with pytest.raises(InputError, match="staging has nothing of late"):
        release(line.project(), by_hand=True, say=line.say)
    done = line.release()
    assert done.sentence.startswith("late is in staging: production takes it from ")
    assert stages(line) == [(1, "Production"), (2, "Staging")]
    [told] = line.forge.comments(number)
    assert "late is in staging: production takes it from" in told.body
    assert line.release().plan.steps == ()
    [seen] = status(line.project())
    assert seen.drift == ()
    assert seen.waits.startswith("production takes it from")

    # An hour later: a page as it would be then.
    [page] = [move for move in line.project().ledger_of(MODEL).moves if move.stage == "Staging"]
    hour = dt.timedelta(hours=1)
    then = (dt.datetime.fromisoformat(page.released_at) - hour).isoformat()
    name = page_name(MODEL, page.sequence)
    repository = line.project().repository
    repository.git("push", "--quiet", "origin", f":refs/tags/{name}")
    text = page_text(replace(page, released_at=then))
    assert repository.add_page(name, text, page.commit, time="1 +0000")
    assert "a person moves it on" in line.release().sentence
    line.git("config", "user.name", "Rex", at="runner")
    [moved] = release(line.project(), by_hand=True, say=line.say)
    assert moved.sentence == "late v2 is in production"
    assert entry_of(moved).moved_by == "Rex"
    assert stages(line) == [(1, "Archived"), (2, "Production")]
    with pytest.raises(InputError, match="staging has nothing"):
        release(line.project(), by_hand=True, say=line.say)


@pytest.fixture
def ops(tmp_path: Path) -> Path:
    """A second repository whose file says what runs."""
    folder = tmp_path / "ops"
    folder.mkdir()
    ops = Repository(folder)
    ops.git("init", "--quiet", "--initial-branch", "main")
    ops.git("config", "receive.denyCurrentBranch", "updateInstead")
    (folder / "late.yaml").write_text(f"image: acme/late@{OLD}  # mergeline: late\n")
    ops.git("add", "--all")
    ops.git("-c", "user.name=Ops", "-c", "user.email=ops@example.org", "commit", "-qm", "Late")
    return folder


@contextlib.contextmanager
def followed(file: Path, place: Place, fingerprint: str) -> Iterator[None]:
    """Plays Argo CD: what the file says is made so."""
    done = threading.Event()

    def follow() -> None:
        while not done.wait(0.1):
            if OLD not in file.read_text():
                place.take_up(2, fingerprint)

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.mark.slow
def test_a_release_builds_the_image_names_it_and_a_second_repository_gets_its_digest(
    line: Line, place: Place, server: str, ops: Path, tmp_path: Path
) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/base").write_text("what any base has")
    with registry(tmp_path / "registry") as host:
        base = push_base(host, tmp_path / "root", tmp_path, "amd64")
        gitops = f"{{gitops: {{repository: '{ops}', file: late.yaml}}}}"
        production = f"{{server: '{server}', patience: 20, deploy: {gitops}}}"
        line.branch("deployed")
        declared = (line.root / "author/models/late.yaml").read_text()
        line.write("models/late.yaml", f"{declared}serving: {{base: '{base}'}}\n")
        line.write("environments.yaml", f"production: {production}\n")
        line.edit(*BETTER)
        line.commit("Better, in an image")
        number = line.push("deployed")
        assert line.review(number).passed
        line.merge(number)
        store = {"MERGELINE_STORE": f"oci://{host}/acme/parcels"}
        move_store(line.project(), line.project(**store), tmp_path / "moved")
        tree = line.project().tree("HEAD")
        fingerprint = tree.ingredients(tree.models[MODEL]).fingerprint

        [planned] = release(line.project(**store), plan_only=True, say=line.say)
        step = planned.plan.steps[0]
        assert step.kind == "image"
        assert line.project(**store).images.find(MODEL, fingerprint) is None
        with followed(ops / "late.yaml", place, fingerprint):
            [released] = release(line.project(**store), say=line.say)
        page = entry_of(released)
        assert page.image == step.text
        written = f"image: acme/late@{page.image.partition('@')[2]}  # mergeline: late\n"
        assert (ops / "late.yaml").read_text() == written
        described = line.project().tracking.client.get_model_version(MODEL, "2").description
        assert f"- Image: `{page.image.rpartition(':')[2]}`" in described
        source = f"docker://{page.image}"
        labels = json.loads(run("skopeo", "inspect", "--tls-verify=false", source))["Labels"]
        assert labels["dev.mergeline.model-digest"] == page.model_digest
        [again] = release(line.project(**store), say=line.say)
        assert again.plan.steps == ()


def move_store(before: Project, after: Project, scratch: Path) -> None:
    """Put every candidate with its evaluations into another store."""
    for model, fingerprint in before.store.known():
        stored = before.store.find(model, fingerprint)
        assert stored is not None
        folder = scratch / fingerprint
        before.store.fetch(stored, folder)
        moved = after.store.put_candidate(before.store.read_candidate(stored), folder)
        for number, evaluation in enumerate(before.store.evaluations(stored)):
            before.store.fetch_evaluation(stored, evaluation, folder / str(number))
            after.store.put_evaluation(moved, evaluation, folder / str(number))


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
