"""What a registry's pages say of a version and of its model."""

from __future__ import annotations

from dataclasses import replace

from mergeline.core.gate.verdict import Approval, Situation
from mergeline.core.release.bundle import evaluation_digest
from mergeline.core.release.facts import facts_of
from mergeline.core.report.render.registered import version_text
from tests.core.release.test_release import NEW, OLD, evaluation, page
from tests.core.report.examples import PASS

EVALUATION = replace(evaluation("a" * 64), evaluated_at="2025-12-31T00:00:00+00:00")
RELEASED = replace(
    page(NEW, 2), pull_request=7, pull_request_url="https://forge.example.org/7",
    approved_by=("bo", "<cy>"), approval=Approval("di", "new rows"), replaced=1,
    override="the old one is on fire", subject="Better (#7)",
)  # fmt: skip


class _Candidate:
    snapshots = ()


def text(*entries: object) -> str:
    facts = facts_of(entries, NEW.fingerprint, [EVALUATION])  # type: ignore[arg-type]
    return version_text(facts, _Candidate(), PASS)  # type: ignore[arg-type]


def test_a_version_s_page_names_people_reasons_and_what_it_replaced() -> None:
    said = text(page(OLD, 1, Situation.FIRST), RELEASED)
    for part in (
        "- Pull request: [7](https://forge.example.org/7) Better\n",
        "Approved by: bo, &#60;cy&#62;",
        "with the approval of: di: new rows", "in spite of the verdict: the old one is on fire",
        "until now, in place of v1",
    ):  # fmt: skip
        assert part in said


def test_a_version_that_came_back_has_both_of_its_times() -> None:
    away = replace(page(OLD, 3, Situation.RESTORE), released_at="2026-02-01T00:00:00+00:00")
    back = replace(page(NEW, 4, Situation.RESTORE), released_at="2026-03-01T00:00:00+00:00")
    said = text(page(OLD, 1, Situation.FIRST), RELEASED, away, back)
    assert "until 2026-02-01 00:00 UTC" in said
    assert "in production again from 2026-03-01 00:00 UTC until now" in said


def test_the_evaluation_that_a_page_names_counts_and_not_a_later_one() -> None:
    later = replace(EVALUATION, evaluated_at="2026-06-01T00:00:00+00:00")
    of_old_page = facts_of([RELEASED], NEW.fingerprint, [EVALUATION, later])
    assert of_old_page.evaluation == EVALUATION
    named = replace(RELEASED, evaluation=evaluation_digest(later))
    assert facts_of([named], NEW.fingerprint, [EVALUATION, later]).evaluation == later
