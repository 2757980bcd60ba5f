"""Four stages by the ledger's pages: who stands where, and which pages are not believed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mergeline.core.gate.verdict import Situation
from mergeline.core.release.facts import facts_of
from mergeline.core.release.ledger import Entry, page_text
from mergeline.core.release.stages import moved_by_hand, stages_of
from mergeline.core.release.version import RegistryStage
from tests.core.release.test_ledger import FIRST, believed
from tests.core.release.test_release import NEW, OLD, page


def moved(sequence: int, stage: RegistryStage) -> Entry:
    """A page by which v2 moves."""
    return replace(page(NEW, sequence), stage=stage)


def test_staging_has_one_holder_and_who_enters_production_leaves_it() -> None:
    staged = [FIRST, moved(2, "Staging")]
    assert stages_of(staged) == {1: "Production", 2: "Staging"}
    another = replace(moved(3, "Staging"), version=3)
    assert stages_of([*staged, another]) == {1: "Production", 2: "Archived", 3: "Staging"}
    released = replace(page(NEW, 3), replaced=1)
    assert stages_of([*staged, released]) == {1: "Archived", 2: "Production"}
    assert stages_of([*staged, moved(3, "None")]) == {1: "Production", 2: "None"}


def test_a_page_of_another_stage_is_no_release_and_keeps_its_number() -> None:
    ledger = believed(FIRST, moved(2, "Staging"))
    assert (ledger.entries, ledger.next) == ((FIRST,), 3)
    assert ledger.number_of(NEW.fingerprint) == 2
    assert ledger.champion == FIRST
    released = replace(page(NEW, 3), replaced=1)
    after = believed(FIRST, moved(2, "Staging"), released)
    assert (after.champion, after.doubts) == (released, ())


def test_a_release_after_a_page_of_another_stage_must_say_what_it_replaced() -> None:
    wrong = replace(page(NEW, 3), replaced=7)
    [doubt] = believed(FIRST, moved(2, "Staging"), wrong).doubts
    assert "says that it replaced v7, and v1 was in production" in doubt


@pytest.mark.parametrize("stage", ["Staging", "Archived", "None"])
def test_no_page_takes_production_away_without_a_successor(stage: RegistryStage) -> None:
    ledger = believed(FIRST, replace(page(OLD, 2), stage=stage))
    assert ledger.champion == FIRST
    assert "takes what is in production out of it" in ledger.doubts[0]


def test_a_first_release_may_come_after_staging() -> None:
    first = replace(page(NEW, 2, Situation.FIRST), replaced=None)
    assert believed(moved(1, "Staging"), first).champion == first


def test_a_stage_that_somebody_changed_in_the_registry_is_told() -> None:
    versions = [replace(OLD, stage="Staging"), replace(NEW, stage="None")]
    assert list(moved_by_hand([FIRST, moved(2, "Staging")], versions)) == [
        "v2 is in None by the registry and in Staging by the ledger: mergeline reconcile"
    ]


def test_the_time_in_staging_ends_with_the_next_holder_or_another_stage() -> None:
    at = "2026-02-02T00:00:00+00:00"
    for after in (
        replace(moved(3, "Staging"), version=3, fingerprint="b" * 64, released_at=at),
        replace(page(NEW, 3), released_at=at),
    ):
        first, *_ = facts_of([FIRST, moved(2, "Staging"), after], NEW.fingerprint, ()).times
        assert (first.entry.stage, first.until) == ("Staging", at)


def test_a_page_s_first_line_says_where_a_version_goes() -> None:
    assert page_text(moved(2, "Staging")).startswith("iris v2 goes into staging\n")
    assert page_text(moved(2, "None")).startswith("iris v2 goes out of all stages\n")
