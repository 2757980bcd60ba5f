"""An image as a container of a real engine: it answers as the model was heard to answer."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from mergeline.adapters.models.folder import load
from mergeline.adapters.row_files import read_holdout
from mergeline.adapters.scoring_server import Client, records
from mergeline.lifecycle.verbs.image import build
from tests.support.images import push_base, run
from tests.support.line import Line
from tests.support.parcels import MODEL
from tests.support.registries import registry

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]
PACKAGES = "python3-minimal,libpython3-stdlib,python3"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Runs docker's commands against an engine of its own."""
    folder = tmp_path_factory.mktemp("engine")
    address = f"unix://{folder}/socket"
    program = shutil.which("dockerd")
    if program is None:
        pytest.fail("dockerd is not on the PATH: apt-get install docker.io")
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [program, "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec",
             "--pidfile", f"{folder}/pid", "--host", address],
            stdout=log, stderr=log,
        )  # fmt: skip

    def docker(*arguments: str) -> str:
        return run("docker", "--host", address, *arguments).strip()

    try:
        for _ in range(300):
            if (folder / "socket").exists():
                break
            assert process.poll() is None, (folder / "log").read_text()[-2000:]
            time.sleep(0.1)
        yield docker
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Debian with Python and nothing else."""
    folder = tmp_path_factory.mktemp("system") / "root"
    run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", folder)
    for left in ("var/cache/apt", "var/lib/apt/lists"):
        shutil.rmtree(folder / left, ignore_errors=True)
    for device in (folder / "dev").iterdir():
        plain = device.is_symlink() or not device.is_dir()
        device.unlink() if plain else shutil.rmtree(device)
    return folder


@contextlib.contextmanager
def running(docker: Callable[..., str], image: str, *options: str) -> Iterator[tuple[str, str]]:
    """A container with nothing to write to; its name and the server's address."""
    name = docker(
        "run", "--detach", "--read-only", "--cap-drop", "ALL", "--publish", "127.0.0.1::8000",
        *options, image,
    )  # fmt: skip
    try:
        port = docker("port", name, "8000").splitlines()[0].rpartition(":")[2]
        yield name, f"http://127.0.0.1:{port}"
    finally:
        docker("rm", "--force", name)


def await_ready(docker: Callable[..., str], name: str, address: str) -> None:
    for _ in range(1200):
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{address}/readyz", trust_env=False).status_code == 200:
                return
        state = docker("inspect", "--format", "{{.State.Running}}", name)
        assert state == "true", docker("logs", name)
        time.sleep(0.1)
    pytest.fail("it did not get ready in time")


def test_a_container_answers_as_the_model_and_refuses_other_bytes(  # noqa: PLR0915 - one build
    line: Line, engine: Callable[..., str], system: Path, tmp_path: Path
) -> None:
    with registry(tmp_path / "registry") as host:
        base = push_base(host, system, tmp_path, "amd64")
        before = line.project()
        declaration = f"models/{MODEL}.yaml"
        text = (line.root / "runner" / declaration).read_text()
        line.write(declaration, f"{text}serving: {{base: '{base}'}}\n", at="runner")
        project = line.project(MERGELINE_STORE=f"oci://{host}/acme/parcels")
        tree, _ = project.target_tree()
        stored = before.store.find(MODEL, tree.ingredients(tree.models[MODEL]).fingerprint)
        assert stored is not None
        folder = tmp_path / "candidate"
        before.store.fetch(stored, folder)
        candidate = before.store.read_candidate(stored)
        project.store.put_candidate(candidate, folder)
        image = build(project, MODEL, say=print).image
        engine("pull", image)
        said = json.loads(engine("image", "inspect", image))[0]
        assert said["Config"]["Labels"]["dev.mergeline.model-digest"] == candidate.model_digest

        model = load(folder / "candidate/model", candidate.model_digest)
        holdout = read_holdout(folder / "candidate/holdout.parquet", candidate.declaration)
        frame = holdout.frame.head(20)[list(model.inputs)]
        with running(engine, image, "--env", "MERGELINE_VERSION=7") as (name, address):
            await_ready(engine, name, address)
            answer = Client(address).predict(MODEL, records(frame))
            assert answer.predictions == model.predict(frame).tolist()
            assert (answer.version, answer.model_digest) == (7, candidate.model_digest)
            assert answer.fingerprint == candidate.fingerprint
            assert engine("exec", name, "id", "-u") == "65532"
            for _ in range(300):
                if engine("inspect", "--format", "{{.State.Health.Status}}", name) == "healthy":
                    break
                time.sleep(0.1)
            assert engine("inspect", "--format", "{{.State.Health.Status}}", name) == "healthy"
            engine("stop", "--time", "10", name)
            assert engine("inspect", "--format", "{{.State.ExitCode}}", name) == "0"

        other = tmp_path / "model.pkl"
        other.write_bytes((folder / "candidate/model/model.pkl").read_bytes() + b".")
        other.chmod(0o644)
        place = "/opt/mergeline/model/model.pkl"
        with running(engine, image, "--volume", f"{other}:{place}:ro") as (name, _):
            assert engine("wait", name) == "2"
            assert "the model's bytes are" in run_logs(engine, name)


def run_logs(docker: Callable[..., str], name: str) -> str:
    """What a container wrote to standard error."""
    path = docker("inspect", "--format", "{{.LogPath}}", name)
    return Path(path).read_text()
