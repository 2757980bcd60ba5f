"""`status`: what Git says should serve, what does, and their difference."""

from __future__ import annotations

import pytest

from mergeline.lifecycle.verbs.status import status
from tests.support.line import Line
from tests.support.parcels import MODEL


def test_status_is_without_drift_after_a_release(line: Line) -> None:
    [found] = status(line.project())
    assert (found.champion, found.drift, found.releases) == (1, (), 1)
    assert found.target == found.fingerprint


def test_status_shows_what_a_merge_would_have_released(line: Line) -> None:
    line.merge(1)
    [found] = status(line.project())
    assert found.champion == 1
    assert [text.split(":")[0] for text in found.drift] == [
        "record", "register", "promote", "describe",
    ]  # fmt: skip


@pytest.mark.slow
def test_status_shows_an_alias_that_somebody_moved(line: Line) -> None:
    line.merge(1)
    line.release()
    line.project().tracking.move(MODEL, 1, "Production")
    [found] = status(line.project())
    assert found.champion == 2  # by the ledger
    assert [text.split(":")[0] for text in found.drift] == ["promote", "describe"]
    line.release()
    champion = line.project().tracking.champion(MODEL)
    assert champion is not None
    assert champion.number == 2


def test_status_says_that_the_server_does_not_answer(line: Line) -> None:
    [found] = status(line.project(MERGELINE_SERVER="http://127.0.0.1:9"))
    assert "does not answer" in found.server_problem
    assert found.champion == 1


def test_status_in_a_shallow_clone_says_how_to_get_what_is_in_production(line: Line) -> None:
    line.merge(1)
    line.release()
    line.merge(line.propose("words", ("README.md", "late?", "late?!")))
    address = (line.root / "forge" / "repository.git").as_uri()
    line.git("clone", "--quiet", "--depth", "1", address, "clone", at=".")
    [found] = status(line.project("clone"))
    assert [text for text in found.drift if text.endswith(": git fetch --unshallow")]
