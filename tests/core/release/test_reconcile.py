"""What is written so that MLflow shows what store and ledger have; applied, nothing is left."""

from __future__ import annotations

from dataclasses import replace

from mergeline.core.gate.verdict import Situation
from mergeline.core.release.facts import facts_of
from mergeline.core.release.reconcile import Kept, ShownRun, plan_showing, plan_taking_over
from mergeline.core.release.version import Version
from tests.core.release.test_release import NEW, OLD, evaluation, page

AT = "2026-01-01T00:00:00+00:00"
ENTRIES = [page(OLD, 1, Situation.FIRST), page(NEW, 2)]
JUDGED = (replace(evaluation(None), evaluated_at=AT),)
KEPT = {"a" * 64: Kept("d1", JUDGED), "f" * 64: Kept("d2", JUDGED)}
RUNS = {"a" * 64: ShownRun("run1", "d1", AT), "f" * 64: ShownRun("run2", "d2", AT)}
SHOWN = [
    replace(OLD, stage="Archived", described=facts_of(ENTRIES, "a" * 64, JUDGED).digest),
    replace(NEW, stage="Production", described=facts_of(ENTRIES, "f" * 64, JUDGED).digest),
]


def steps(
    runs: dict[str, ShownRun] = RUNS, versions: list[Version] = SHOWN, entries: int = 2
) -> list[tuple[str, str, int]]:
    plan = plan_showing("iris", ENTRIES[:entries], KEPT, runs, versions)
    return [(step.kind, step.fingerprint[:1], step.number) for step in plan.steps]


def test_what_is_shown_as_it_is_needs_nothing() -> None:
    assert steps() == []


def test_an_empty_server_gets_all_in_the_ledger_s_order() -> None:
    assert steps({}, []) == [
        ("log", "a", 0), ("log evaluation", "a", 0), ("log", "f", 0), ("log evaluation", "f", 0),
        ("register", "a", 1), ("move", "a", 1), ("describe", "a", 1),
        ("register", "f", 2), ("promote", "f", 2), ("describe", "f", 2),
    ]  # fmt: skip


def test_a_later_evaluation_is_logged() -> None:
    runs = {**RUNS, "f" * 64: ShownRun("run2", "d2", "2025-01-01T00:00:00+00:00")}
    assert steps(runs) == [("log evaluation", "f", 0)]


def test_a_version_that_holds_another_model_is_registered_again() -> None:
    other = replace(SHOWN[1], model_digest="d9")
    assert steps(versions=[SHOWN[0], other]) == [
        ("register", "f", 2), ("promote", "f", 2), ("describe", "f", 2),
    ]  # fmt: skip


def test_production_that_was_moved_by_hand_goes_back() -> None:
    moved = [replace(SHOWN[0], stage="Production"), replace(SHOWN[1], stage="None")]
    assert steps(versions=moved) == [("move", "a", 1), ("promote", "f", 2)]


def test_a_candidate_that_was_never_released_has_a_run_and_no_version() -> None:
    described = facts_of(ENTRIES[:1], "a" * 64, JUDGED).digest
    assert steps({}, [replace(SHOWN[0], stage="Production", described=described)], entries=1) == [
        ("log", "a", 0), ("log evaluation", "a", 0), ("log", "f", 0), ("log evaluation", "f", 0)
    ]  # fmt: skip


def test_a_description_is_written_again_where_somebody_changed_it_or_a_fact_did() -> None:
    assert steps(versions=[SHOWN[0], replace(SHOWN[1], described="")]) == [("describe", "f", 2)]
    replaced = steps(versions=[replace(SHOWN[0], stage="Production")], entries=1)
    assert ("describe", "a", 1) in replaced  # it was written when v2 stood in its place


def test_only_what_a_page_names_is_taken_over() -> None:
    plan = plan_taking_over("iris", ENTRIES[:1], {}, RUNS)
    assert [(step.kind, step.fingerprint) for step in plan.steps] == [("take over", "a" * 64)]
    assert plan_taking_over("iris", ENTRIES, KEPT, RUNS).steps == ()
    other = {"a" * 64: ShownRun("run1", "d9", AT)}
    assert plan_taking_over("iris", ENTRIES, {}, other).steps == ()
