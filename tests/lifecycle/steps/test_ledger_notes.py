"""What backs a ledger's page is noted, and the store is asked again only for what decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mergeline.adapters.git.repository import Repository
from mergeline.adapters.store.store import Store, Stored
from mergeline.core.declare.strict import write_json
from mergeline.core.gate.verdict import Situation
from mergeline.core.release.bundle import EVALUATION, EVALUATION_FILES, Evaluation, Origin
from mergeline.core.release.ledger import FORMAT, Entry, page_name, page_text
from mergeline.lifecycle.steps.project import Project
from mergeline.system.git_command import run_git

MODEL = "late"


def digest(number: int) -> str:
    return f"{number:064x}"


class Releases:
    """A repository and a store with three releases of a model."""

    def __init__(self, root: Path) -> None:
        self.root, self.scratch = root / "project", root / "scratch"
        self.root.mkdir()
        run_git(["init", "--quiet", "--initial-branch", "main"], cwd=self.root)
        self.repository = Repository(self.root)
        self.repository.git("config", "user.name", "Ana")
        self.repository.git("config", "user.email", "ana@example.org")
        self.repository.git("commit", "--quiet", "--allow-empty", "--message", "First")
        for number in (1, 2, 3):
            self.store(number)
            self.page(number)

    def project(self) -> Project:
        return Project.at(self.root, {})

    def store(self, number: int) -> None:
        """Keep a candidate and an evaluation that passed."""
        folder = self.scratch / str(number)
        (folder / "candidate").mkdir(parents=True)
        (folder / "candidate" / "rows").write_text("rows")
        (folder / "manifest.json").write_text(str(number))
        (folder / EVALUATION).parent.mkdir(exist_ok=True)
        (folder / EVALUATION_FILES).mkdir(exist_ok=True)
        candidate: Any = SimpleNamespace(
            model=MODEL, fingerprint=digest(number), model_digest=digest(90 + number)
        )
        stored = self.project().store.put_candidate(candidate, folder)
        evaluation = Evaluation(
            "pass", (), "g" * 64, None, Origin("t"), "2026-01-01T00:00:00+00:00", "r" * 64
        )
        (folder / EVALUATION).write_text(write_json(evaluation))
        self.project().store.put_evaluation(stored, evaluation, folder)

    def entry(self, number: int) -> Entry:
        return Entry(
            FORMAT, MODEL, number, Situation.CHANGE if number > 1 else Situation.FIRST, number,
            digest(number), digest(90 + number), "", self.repository.commit().sha, "First", "Ana",
            None, number - 1 or None, "pass", None, f"2026-01-0{number}T00:00:00+00:00",
        )  # fmt: skip

    def page(self, number: int, **changed: Any) -> None:
        entry = replace(self.entry(number), **changed)
        name, text = page_name(MODEL, number), page_text(entry)
        assert self.repository.add_page(name, text, entry.commit, time="1 +0000")


@pytest.fixture
def releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Releases:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    return Releases(tmp_path)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the releases that the store is asked for, in order."""
    numbers: list[int] = []
    find: Callable[[Store, str, str], Stored | None] = Store.find

    def noting(store: Store, model: str, fingerprint: str) -> Stored | None:
        numbers.append(int(fingerprint, 16))
        return find(store, model, fingerprint)

    monkeypatch.setattr(Store, "find", noting)
    return numbers


def test_the_store_is_asked_again_for_the_last_release_only(
    releases: Releases, asked: list[int]
) -> None:
    first = releases.project().ledger_of(MODEL)
    assert sorted(asked) == [1, 2, 3]
    asked.clear()
    assert releases.project().ledger_of(MODEL) == first
    assert asked == [3]
    assert [entry.version for entry in first.entries] == [1, 2, 3]


def test_another_store_is_asked_for_all(releases: Releases, asked: list[int]) -> None:
    releases.project().ledger_of(MODEL)
    asked.clear()
    other = releases.root.parent / "other"
    (releases.root / ".mergeline" / "store").rename(other)
    project = Project.at(releases.root, {"MERGELINE_STORE": str(other)})
    assert len(project.ledger_of(MODEL).entries) == 3
    assert sorted(asked) == [1, 2, 3]


@pytest.mark.parametrize(
    ("changed", "doubt"),
    [
        ({}, "release/late/0004: the store has no candidate"),
        ({"fingerprint": digest(1)}, "release/late/0004: the store has model"),
    ],
    ids=["of nothing", "of other bytes"],
)
def test_a_forged_page_is_not_believed_after_the_others_were_noted(
    releases: Releases, changed: dict[str, Any], doubt: str
) -> None:
    known = releases.project().ledger_of(MODEL)
    releases.page(4, **changed)
    for _ in range(2):  # nor noted
        ledger = releases.project().ledger_of(MODEL)
        assert ledger.entries == known.entries
        assert [said[: len(doubt)] for said in ledger.doubts] == [doubt]


def test_a_page_that_takes_a_noted_one_s_name_is_looked_at(releases: Releases) -> None:
    releases.project().ledger_of(MODEL)
    releases.repository.git("update-ref", "-d", f"refs/tags/{page_name(MODEL, 2)}")
    releases.page(2, model_digest=digest(7))
    ledger = releases.project().ledger_of(MODEL)
    assert [entry.version for entry in ledger.entries] == [1, 3]
    assert "release/late/0002: the store has model" in ledger.doubts[0]


def test_the_release_in_production_that_the_store_lost_is_not_believed(releases: Releases) -> None:
    releases.project().ledger_of(MODEL)
    releases.project().store.remove(MODEL, digest(3))
    ledger = releases.project().ledger_of(MODEL)
    assert [entry.version for entry in ledger.entries] == [1, 2]


def test_the_pages_of_other_models_are_not_read(releases: Releases) -> None:
    releases.repository.git("tag", "--annotate", "--message", "{", "release/other/0001")
    project = releases.project()
    assert [page.sequence for page in project.pages_of(MODEL)] == [1, 2, 3]
    assert "pages" not in vars(project)
    assert {page.model for page in project.pages} == {MODEL, "other"}


def test_notes_that_are_damaged_or_cannot_be_written_are_done_without(releases: Releases) -> None:
    known = releases.project().ledger_of(MODEL)
    [notes] = (releases.root / ".mergeline" / "stored").iterdir()
    notes.write_bytes(b"\xff\x00")
    assert releases.project().ledger_of(MODEL) == known
    notes.unlink()
    notes.mkdir()
    assert releases.project().ledger_of(MODEL) == known
