"""Which tags are believed to be pages of the ledger."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mergeline.core.gate.verdict import Situation
from mergeline.core.release.ledger import (
    Entry,
    Judged,
    Ledger,
    Tag,
    believe,
    page_name,
    page_text,
    read_pages,
)
from tests.core.release.test_release import NEW, OLD, page

FIRST = page(OLD, 1, Situation.FIRST)
SECOND = replace(page(NEW, 2), replaced=1)
BACK = replace(page(OLD, 3, Situation.RESTORE), replaced=2)
STORE = {
    "a" * 64: Judged("d1", passed=True),
    "f" * 64: Judged("d2", passed=True),
}


def tags(*entries: Entry) -> dict[str, Tag]:
    return {
        page_name(entry.model, entry.sequence): Tag(page_text(entry), entry.commit)
        for entry in entries
    }


def believed(*entries: Entry, store: dict[str, Judged] = STORE, **others: Tag) -> Ledger:
    named = {f"release/iris/{number[1:]}": tag for number, tag in others.items()}
    return believe(read_pages({**tags(*entries), **named}), store)


def test_the_ledger_is_read_back_in_order_from_its_tags() -> None:
    ledger = believed(BACK, FIRST, SECOND)
    assert ledger == Ledger((FIRST, SECOND, BACK), (), 4)
    assert ledger.champion == BACK


def test_an_empty_ledger_has_no_champion() -> None:
    assert believed() == Ledger((), (), 1)
    assert believed().champion is None


def test_a_tag_of_another_form_is_no_page() -> None:
    others = {"release/1.0": Tag("One", "c"), "release/iris/notes": Tag("none", "c")}
    assert [found.name for found in read_pages({**tags(FIRST), **others})] == ["release/iris/0001"]


def test_a_page_calls_a_change_a_release_and_is_read_so() -> None:
    assert '"kind": "release"' in page_text(SECOND)
    assert read_pages(tags(SECOND))[0].entry == SECOND


@pytest.mark.parametrize(
    ("tag", "doubt"),
    [
        (Tag("One point zero", "c" * 40), "it is no page"),
        (Tag("[" * 100_000, "c" * 40), "it is no page"),
        (Tag("{" * 100_000, "c" * 40), "it is no page"),
        (Tag(page_text(FIRST), "c" * 40), "another than its name says"),
        (Tag(page_text(replace(FIRST, sequence=99)), "d" * 40), "does not name the commit"),
        (Tag(page_text(replace(FIRST, sequence=99)), ""), "does not name the commit"),
        (Tag(page_text(replace(FIRST, sequence=99, format=2)), "c" * 40), "format 2"),
    ],
)
def test_a_tag_that_cannot_be_a_page_is_said_and_stops_nothing(tag: Tag, doubt: str) -> None:
    ledger = believed(FIRST, n0099=tag)
    assert (ledger.entries, ledger.next) == ((FIRST,), 2)
    assert "release/iris/0002: there is no such page, but later ones" in ledger.doubts
    assert any(text.startswith("release/iris/0099: ") and doubt in text for text in ledger.doubts)


@pytest.mark.parametrize(
    ("judged", "doubt"),
    [
        (None, "no candidate of fingerprint ffffffff"),
        (Judged("d9", passed=True), "has model d9 of fingerprint ffffffff, not d2"),
        (Judged("d2", passed=False), "no evaluation of its candidate passed"),
    ],
)
def test_a_page_that_the_store_does_not_back_is_nobody_s_champion(
    judged: Judged | None, doubt: str
) -> None:
    store = {**STORE, SECOND.fingerprint: judged} if judged else {"a" * 64: STORE["a" * 64]}
    ledger = believed(FIRST, SECOND, store=store)
    assert ledger.champion == FIRST
    assert ledger.next == 3  # the tag is there, and none is ever rewritten
    assert doubt in ledger.doubts[0]


def test_a_recorded_override_backs_a_page() -> None:
    overridden = Judged("d2", passed=False, override="the old one is on fire")
    assert believed(FIRST, SECOND, store={**STORE, "f" * 64: overridden}).champion == SECOND


@pytest.mark.parametrize(
    ("entry", "doubt"),
    [
        (replace(SECOND, kind=Situation.RESTORE), "restores what no page before it released"),
        (replace(SECOND, kind=Situation.FIRST), "calls itself the first release"),
        (replace(SECOND, replaced=7), "says that it replaced v7, and v1 was in production"),
        (replace(SECOND, replaced=None), "says that it replaced nothing"),
    ],
)
def test_a_page_that_contradicts_those_before_it_is_not_believed(entry: Entry, doubt: str) -> None:
    ledger = believed(FIRST, entry)
    assert ledger.champion == FIRST
    assert doubt in ledger.doubts[0]


def test_a_page_after_one_that_is_not_believed_replaces_the_last_that_is() -> None:
    forged = replace(SECOND, fingerprint="0" * 64)
    after = replace(page(NEW, 3), replaced=1)
    ledger = believed(FIRST, forged, after)
    assert ledger.entries == (FIRST, after)


def test_a_gap_is_said_and_what_follows_it_is_believed() -> None:
    ledger = believed(FIRST, replace(BACK, replaced=2))
    assert ledger.champion == replace(BACK, replaced=2)
    assert ledger.doubts == ("release/iris/0002: there is no such page, but later ones",)


def test_what_else_speaks_against_a_page_counts_as_well() -> None:
    ledger = believe(
        read_pages(tags(FIRST, SECOND)), STORE, {"release/iris/0002": "it is not signed"}
    )
    assert ledger.champion == FIRST
    assert ledger.doubts == ("release/iris/0002: it is not signed",)
