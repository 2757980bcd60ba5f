"""A real OCI registry on loopback, and a candidate and its evaluation to put into it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from mergeline.adapters.bundles import digests, manifest_digest, write_candidate, write_evaluation
from mergeline.core.declare.model import parse_model
from mergeline.core.fingerprint.ingredients import Ingredients, Stage
from mergeline.core.release.bundle import EVALUATION_FILES, Candidate, Evaluation, Origin
from tests.support.parcels import MODEL, MODEL_YAML

USER, PASSWORD = "tester", "secret"
_HTPASSWD = f"{USER}:$2b$04$cQ/bJzJcxiQXmrcEpI6aeuCUcZP.IWzrzKilPeKt5X.zI0bC.B2w.\n"


@contextmanager
def registry(folder: Path, *, password: bool = False, read_only: bool = False) -> Iterator[str]:
    """Host and port of a registry that keeps its content in a folder."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.fail("docker-registry is not on the PATH: apt-get install docker-registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "htpasswd").write_text(_HTPASSWD)
    auth = f"auth: {{htpasswd: {{realm: basic-realm, path: {folder}/htpasswd}}}}\n"
    (folder / "config.yml").write_text(
        f"""\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {folder}/content}}
  delete: {{enabled: true}}
  maintenance: {{readonly: {{enabled: {str(read_only).lower()}}}}}
http: {{addr: "{host}"}}
{auth if password else ""}"""
    )
    process = subprocess.Popen(
        [program, "serve", str(folder / "config.yml")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(host.partition(":")[2]))) == 0:
                    break
            time.sleep(0.05)
        yield host
    finally:
        process.terminate()
        process.wait(timeout=20)


def make_bundle(folder: Path, *, answer: str = "yes", pull_request: int | None = 7) -> Candidate:
    """A bundle with a candidate whose model says `answer`, and with one evaluation of it."""
    files = folder / "candidate"
    (files / "model").mkdir(parents=True)
    (files / "model" / "MLmodel").write_text("flavors: {}\n")
    (files / "model" / "model.pkl").write_text(answer * 1000)
    (files / "holdout.parquet").write_bytes(b"rows")
    (files / "training_rows.parquet").write_bytes(b"other rows")
    (files / "artifacts").mkdir()
    (files / "artifacts" / "notes.txt").write_text("a note")
    ingredients = Ingredients((Stage("train", "python -m train"),), {}, {})
    candidate = Candidate(
        model=MODEL,
        fingerprint=ingredients.fingerprint,
        declaration=parse_model(MODEL, MODEL_YAML),
        ingredients=ingredients,
        origin=Origin("a" * 40, pull_request=pull_request),
        model_digest=answer,
        holdout_digest="b" * 64,
        snapshots=(),
        params={},
        metrics={"roc_auc": 0.7},
        seconds={"train": 1.5},
        environment={"python": "3.11"},
    )
    write_candidate(folder, candidate)
    evaluate_bundle(folder, candidate)
    return candidate


def evaluate_bundle(
    folder: Path,
    candidate: Candidate,
    at: str = "2026-01-01T00:00:00+00:00",
    verdict: Literal["pass", "fail"] = "pass",
) -> Evaluation:
    """Write an evaluation of that time into a bundle."""
    (folder / EVALUATION_FILES).mkdir(exist_ok=True)
    (folder / EVALUATION_FILES / "report.md").write_text(f"# evaluated at {at}\n")
    evaluation = Evaluation(
        verdict=verdict,
        reasons=(),
        gate_digest="c" * 64,
        champion=None,
        origin=replace(candidate.origin),
        evaluated_at=at,
        manifest=manifest_digest(folder),
        files=digests(folder, EVALUATION_FILES),
    )
    write_evaluation(folder, evaluation)
    return evaluation
