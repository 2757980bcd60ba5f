"""How long versions were in their stages."""

from __future__ import annotations

from dataclasses import replace

from mergeline.core.gate.verdict import Situation
from mergeline.core.release.facts import times_of
from mergeline.core.release.ledger import Entry
from tests.core.release.test_release import NEW, OLD, page


def at(day: int, entry: Entry) -> Entry:
    return replace(entry, released_at=f"2026-01-{day:02d}T00:00:00+00:00")


def days(*entries: Entry) -> list[float | None]:
    return [time.seconds and time.seconds / 86_400 for time in times_of(entries)]


def test_a_release_lasts_until_the_next_and_the_last_one_still_does() -> None:
    back = at(8, replace(page(OLD, 3), kind=Situation.RESTORE))
    assert days(at(1, page(OLD, 1)), at(3, page(NEW, 2)), back) == [2, 5, None]


def test_models_end_only_their_own_times() -> None:
    other = at(2, replace(page(OLD, 1), model="other"))
    assert days(at(1, page(OLD, 1)), other, at(3, page(NEW, 2))) == [2, None, None]


def test_a_staged_version_leaves_staging_by_its_release_and_ends_what_was_in_production() -> None:
    staged = at(2, replace(page(NEW, 2), stage="Staging"))
    archived = at(3, replace(page(replace(NEW, number=3), 3), stage="Archived"))
    assert days(at(1, page(OLD, 1)), staged, archived, at(5, page(NEW, 4))) == [4, 3, None, None]


def test_clocks_of_two_machines_make_no_time_negative() -> None:
    assert days(at(3, page(OLD, 1)), at(1, page(NEW, 2))) == [0, None]
