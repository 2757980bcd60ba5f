"""What `history`, `status` and `release --plan` cost once a model was released thousands of times.

    python benchmarks/ledger.py [pages]

Makes a copy of this project in a temporary folder with that many releases (by default 5,000), each
of another fingerprint: a page signed by an SSH key, a candidate in a store that is a folder, and an
evaluation of it. The last is of the project's own tree. Then it runs the verbs as a person would,
first where no page was looked at before, then again, and prints the seconds that each takes and its
processor time, Git's included. Exits with 1 where a verb that has looked at the pages before takes
more than two seconds of processor time, does not know all releases, or believes one of them not.
"""
# ruff: noqa: ANN401, ARG002 - of another class

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mergeline.adapters.store.artifact import Descriptor, described
from mergeline.adapters.store.folder import Folder
from mergeline.adapters.store.layout import Layout
from mergeline.adapters.store.store import Store
from mergeline.core.declare.strict import write_json
from mergeline.core.gate.verdict import Situation
from mergeline.core.release.bundle import (
    CANDIDATE_FILES,
    EVALUATION,
    Evaluation,
    Origin,
    SmokeTest,
)
from mergeline.core.release.ledger import FORMAT, Entry, page_name, page_text
from mergeline.lifecycle.steps.smoke_test import serving_versions

PAGES = 5_000
GOAL = 2.0  # seconds of processor time, all pages known
MODEL = "delay"
VERBS = "history", "status", "release --plan"
HERE = Path(__file__).parents[1]
PROJECT = ["models", "data", "pipelines", "params.yaml", "dvc.yaml", ".dvc", ".gitignore"]


_TAG = "org.opencontainers.image.ref.name"


class Unhurried(Layout):
    """A layout whose index is written once, at the end: to write it 15,000 times takes an hour."""

    def __init__(self, folder: Path) -> None:
        self._place = Folder(folder)
        super().__init__(self._place)
        self._held: dict[str | None, Descriptor] = {}

    def put_manifest(
        self, content: bytes, media_type: str, tag: str, *, instead_of: str | None
    ) -> bool:
        """Write a manifest, and hold its tag."""
        kind = json.loads(content).get("artifactType")
        entry = described(content, media_type)
        self._held[tag] = replace(entry, artifact_type=kind, annotations={_TAG: tag})
        self._place.put(f"blobs/{entry.digest.replace(':', '/')}", content)
        return False

    def finish(self) -> None:
        """Write the index."""
        self._change(lambda _: [*self._held.values()])

    def _read_index(self) -> Any:
        return ([*self._held.values()], self._held), None


def digest(number: int) -> str:
    """Of the model of that release."""
    return hashlib.sha256(f"model {number}".encode()).hexdigest()


def fill_store(folder: Path, scratch: Path, fingerprints: list[str]) -> None:
    """A candidate and an evaluation that passed for each release."""
    place = Unhurried(folder)
    store = Store(place)
    (scratch / CANDIDATE_FILES).mkdir(parents=True)
    (scratch / CANDIDATE_FILES / "rows").write_text("rows")
    (scratch / "evaluation").mkdir()
    (scratch / EVALUATION).parent.mkdir(exist_ok=True)
    for number, fingerprint in enumerate(fingerprints, start=1):
        (scratch / "manifest.json").write_text(str(number))
        candidate: Any = SimpleNamespace(
            model=MODEL, fingerprint=fingerprint, model_digest=digest(number)
        )
        stored = store.put_candidate(candidate, scratch)
        evaluation = Evaluation(
            "pass", (), "g" * 64, digest(number - 1), Origin("t"),
            "2026-01-01T00:00:00+00:00", f"{number:064d}",
            smoke_test=SmokeTest(digest(number), serving_versions()),
        )  # fmt: skip
        (scratch / EVALUATION).write_text(write_json(evaluation))
        store.put_evaluation(stored, evaluation, scratch)
    place.finish()


def git(root: Path, *arguments: str, text: str = "") -> str:
    """What a git command prints."""
    author = ["-c", "user.name=a", "-c", "user.email=a@localhost"]
    command = ["git", *author, *arguments]
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True, input=text)
    return done.stdout.strip()


def commit_project(root: Path, key: Path) -> None:
    """The project on its main branch, with the key that may sign pages."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    public = Path(f"{key}.pub").read_text()
    (root / ".mergeline-signers").write_text(f"a@localhost {public}")
    git(root, "init", "--quiet", "--initial-branch", "main")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "The project")


def write_pages(root: Path, scratch: Path, key: Path, fingerprints: list[str]) -> None:
    """A signed tag for each release."""
    commit = git(root, "rev-parse", "HEAD")
    started = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    files, names = [], []
    for number, fingerprint in enumerate(fingerprints, start=1):
        moment = started + dt.timedelta(hours=number)
        entry = Entry(
            FORMAT, MODEL, number, Situation.CHANGE if number > 1 else Situation.FIRST, number,
            fingerprint, digest(number), "", commit, "The project", "a", None,
            number - 1 or None, "pass", None, moment.isoformat(timespec="seconds"),
        )  # fmt: skip
        names.append(page_name(MODEL, number))
        head = f"object {commit}\ntype commit\ntag {names[-1]}\n"
        tagger = f"tagger a <a@localhost> {int(moment.timestamp())} +0000\n\n"
        file = scratch / f"page-{number}"
        file.write_text(head + tagger + page_text(entry))
        files.append(file)
    for at in range(0, len(files), 500):
        sign = ["ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", str(key)]
        subprocess.run([*sign, *map(str, files[at : at + 500])], check=True, capture_output=True)
    for file in files:
        file.write_text(file.read_text() + Path(f"{file}.sig").read_text())
    listed = "".join(f"{file}\n" for file in files)
    shas = git(root, "hash-object", "-t", "tag", "-w", "--stdin-paths", text=listed).split()
    refs = "".join(
        f"create refs/tags/{name} {sha}\n" for name, sha in zip(names, shas, strict=True)
    )
    git(root, "update-ref", "--stdin", text=refs)


def run(root: Path, state: Path, *verb: str) -> tuple[Any, str, float]:
    """Run a verb: what it prints, what it says on the way, and its processor time."""
    command = [str(Path(sys.executable).with_name("mergeline")), *verb, "--json"]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MERGELINE_", "MLFLOW_"))}
    environment = {**kept, "MERGELINE_STATE": str(state)}
    before = os.times()
    done = subprocess.run(
        command, cwd=root, env=environment, check=False, capture_output=True, text=True
    )
    after = os.times()
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    used = after.children_user + after.children_system - before.children_user
    return json.loads(done.stdout), done.stderr, used - before.children_system


def measured(root: Path, state: Path, pages: int, verb: str) -> float:
    """Run a verb; its processor time."""
    since = time.perf_counter()
    document, said, used = run(root, state, *verb.split())
    seconds = time.perf_counter() - since
    if verb == "history":
        known, doubts = len(document), "not believed" in said
    elif verb == "status":
        known, doubts = document[0]["releases"], bool(document[0]["doubts"])
    else:  # it would release something else if it did not believe the last page
        known, doubts = pages, bool(document[0]["plan"]["missing"])
    if known != pages or doubts:
        raise SystemExit(f"{verb} knows {known} of {pages} releases: {said[-2000:]}{document}")
    print(f"{verb:>16}  {seconds:7.1f} s, {used:6.1f} s of processor time", flush=True)
    return used


def main() -> int:
    """Print what each verb takes."""
    pages = int(sys.argv[1]) if len(sys.argv) > 1 else PAGES
    with tempfile.TemporaryDirectory(prefix="mergeline-") as folder:
        root, state, scratch = (Path(folder) / name for name in ("project", "state", "scratch"))
        root.mkdir()
        archive = subprocess.run(
            ["git", "archive", "HEAD", "--", *PROJECT], cwd=HERE, check=True, capture_output=True
        )
        subprocess.run(["tar", "-x"], cwd=root, input=archive.stdout, check=True)
        key = Path(folder) / "key"
        commit_project(root, key)
        status, _, _ = run(root, state, "status")
        others = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(1, pages)]
        fingerprints = [*others, status[0]["target"]]
        fill_store(state / "store", scratch, fingerprints)
        write_pages(root, scratch, key, fingerprints)
        print(f"{pages:,} signed pages; no page was looked at before:")
        measured(root, state, pages, "history")
        print("all were:")
        used = [measured(root, state, pages, verb) for verb in VERBS]
    print(f"goal: {GOAL:.0f} s of processor time where all were")
    return int(max(used) > GOAL)


if __name__ == "__main__":
    sys.exit(main())
