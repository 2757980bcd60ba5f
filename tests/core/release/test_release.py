"""From live to target: which steps a release takes, and that it ends with none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mergeline.core.declare.environments import Enter
from mergeline.core.gate.verdict import Situation
from mergeline.core.release.bundle import Evaluation, Origin, SmokeTest
from mergeline.core.release.ledger import FORMAT, Entry, Ledger
from mergeline.core.release.plan import Live, ReleasePlan, Target, plan_release
from mergeline.core.release.version import Version

TARGET = Target("iris", "f" * 64, "c" * 40)
OLD = Version("iris", 1, "Production", "a" * 64, "d1", "run1")
NEW = Version("iris", 2, "None", "f" * 64, "d2", "run2")
SERVING = {"python": "3.11", "scikit-learn": "1.9"}
NOTHING = Live(
    Ledger(), registry=True, promoted=None, registered=None, model_digest=None, evaluation=None,
    serving=SERVING, served=None,
)  # fmt: skip


def evaluation(
    champion: str | None, verdict: str = "pass", *, digest: str = "d2", problem: str = ""
) -> Evaluation:
    return Evaluation(
        verdict=verdict,  # type: ignore[arg-type]
        reasons=() if verdict == "pass" else ("recall is worse",),
        gate_digest="g",
        champion=champion,
        origin=Origin("t"),
        evaluated_at="2026-01-01T00:00:00+00:00",
        manifest="m",
        smoke_test=SmokeTest(digest, SERVING, problem),
    )


def page(version: Version, sequence: int, kind: Situation = Situation.CHANGE) -> Entry:
    return Entry(
        format=FORMAT, model=version.model, sequence=sequence, kind=kind,
        version=version.number, fingerprint=version.fingerprint, model_digest=version.model_digest,
        run_id=version.run_id, commit="c" * 40, subject="s", author="a", pull_request=None,
        replaced=None, verdict="pass", override=None, released_at="2026-01-01T00:00:00+00:00",
    )  # fmt: skip


def ledger(*entries: Entry) -> Ledger:
    return Ledger(entries, (), len(entries) + 1)


IN_PRODUCTION = replace(
    NOTHING, ledger=ledger(page(OLD, 1)), promoted=OLD, model_digest="d2",
    evaluation=evaluation("a" * 64),
)  # fmt: skip
RELEASED = replace(
    IN_PRODUCTION, ledger=ledger(page(OLD, 1), page(NEW, 2)), promoted=NEW, registered=NEW
)


def steps(live: Live, **options: str) -> list[str]:
    return [step.kind for step in plan_release(TARGET, live, **options).steps]


def test_a_reviewed_model_is_recorded_registered_and_then_promoted() -> None:
    assert steps(IN_PRODUCTION) == ["record", "register", "promote", "describe"]


def test_the_first_model_is_released_by_its_own_verdict() -> None:
    live = replace(NOTHING, model_digest="d2", evaluation=evaluation(None))
    assert plan_release(TARGET, live).kind == "first"
    assert steps(live) == ["record", "register", "promote", "describe"]


@pytest.mark.parametrize(
    ("live", "why"),
    [
        (NOTHING, "never evaluated"),
        (replace(IN_PRODUCTION, evaluation=None), "never evaluated"),
        (replace(IN_PRODUCTION, evaluation=evaluation("b" * 64)), "production has changed"),
        (replace(IN_PRODUCTION, evaluation=evaluation(None)), "production has changed"),
        (
            replace(IN_PRODUCTION, evaluation=replace(evaluation("a" * 64), smoke_test=None)),
            "never smoke-tested",
        ),
        (
            replace(IN_PRODUCTION, evaluation=evaluation("a" * 64, digest="d3")),
            "never smoke-tested",
        ),
        (
            replace(IN_PRODUCTION, serving={**SERVING, "scikit-learn": "1.10"}),
            "smoke-tested with scikit-learn 1.9, and here is 1.10",
        ),
    ],
)
def test_what_was_never_judged_or_tested_is_neither_released_nor_refused(
    live: Live, why: str
) -> None:
    plan = plan_release(TARGET, live)
    assert (plan.steps, plan.refusal) == ((), ())
    assert why in plan.missing


def test_a_verdict_by_another_gate_does_not_count() -> None:
    by_another = plan_release(replace(TARGET, gate="h"), IN_PRODUCTION)
    assert "the gate has changed" in by_another.missing
    by_the_same = plan_release(replace(TARGET, gate="g"), IN_PRODUCTION)
    assert by_the_same.steps[0].kind == "record"


def test_a_failed_verdict_refuses_with_its_reasons() -> None:
    live = replace(IN_PRODUCTION, evaluation=evaluation("a" * 64, "fail"))
    plan = plan_release(TARGET, live)
    assert plan.steps == ()
    assert plan.refusal == ("the gate said fail", "recall is worse")


def test_an_inconclusive_verdict_refuses_too() -> None:
    live = replace(IN_PRODUCTION, evaluation=evaluation("a" * 64, "inconclusive"))
    assert plan_release(TARGET, live).refusal


def test_an_override_releases_against_the_verdict() -> None:
    live = replace(IN_PRODUCTION, evaluation=evaluation("a" * 64, "fail"))
    assert steps(live, override="the old one is on fire")[0] == "record"


def test_an_override_does_not_release_what_was_judged_against_another_champion() -> None:
    live = replace(IN_PRODUCTION, evaluation=evaluation("b" * 64, "fail"))
    assert plan_release(TARGET, live, override="hurry").missing


def test_nothing_is_exempt_from_the_smoke_test() -> None:
    failed = replace(IN_PRODUCTION, evaluation=evaluation("a" * 64, problem="it does not start"))
    for plan in (plan_release(TARGET, failed), plan_release(TARGET, failed, override="hurry")):
        assert plan.refusal == ("the smoke test failed", "it does not start")
    back = replace(
        restoring(), evaluation=evaluation("a" * 64, "fail", problem="it does not start")
    )
    assert plan_release(TARGET, back).refusal[0] == "the smoke test failed"


def restoring() -> Live:
    other = Version("iris", 3, "Production", "e" * 64, "d3", "run3")
    return replace(
        IN_PRODUCTION, ledger=ledger(page(NEW, 1), page(other, 2)), promoted=other,
        registered=replace(NEW, stage="Archived"), evaluation=evaluation("a" * 64, "fail"),
    )  # fmt: skip


def test_an_earlier_release_goes_back_without_a_verdict_but_with_a_smoke_test() -> None:
    plan = plan_release(TARGET, restoring())
    assert plan.kind == "restore"
    assert [step.kind for step in plan.steps] == ["record", "promote", "describe"]


def test_a_registered_version_that_was_never_released_must_still_pass_the_gate() -> None:
    live = replace(IN_PRODUCTION, registered=NEW, evaluation=evaluation("a" * 64, "fail"))
    assert plan_release(TARGET, live).refusal


def test_a_version_that_somebody_promoted_by_hand_must_still_pass_the_gate() -> None:
    by_hand = replace(IN_PRODUCTION, promoted=NEW, registered=NEW)
    refused = replace(by_hand, evaluation=evaluation("a" * 64, "fail"))
    assert plan_release(TARGET, refused).refusal
    assert steps(by_hand) == ["record"]


def test_killed_after_the_record_only_the_promotion_is_left() -> None:
    live = replace(RELEASED, promoted=OLD)
    assert plan_release(TARGET, live).kind == "change"
    assert steps(live) == ["promote", "describe"]


def test_applied_twice_leaves_an_empty_plan() -> None:
    assert plan_release(TARGET, replace(RELEASED, served="d2")) == ReleasePlan(Situation.CHANGE, ())


def test_a_version_that_was_deleted_is_registered_again_under_its_page() -> None:
    live = replace(RELEASED, promoted=None, registered=None)
    assert plan_release(TARGET, live).kind == "change"
    assert steps(live) == ["register", "promote", "describe"]


def test_what_is_in_production_needs_no_evaluation_to_stay_there() -> None:
    assert steps(replace(RELEASED, evaluation=None, model_digest=None)) == []


def test_a_server_that_answers_with_another_model_is_deployed_to() -> None:
    assert steps(replace(RELEASED, served="d1")) == ["deploy"]
    assert steps(replace(IN_PRODUCTION, served="d1"))[-1] == "deploy"


def test_a_page_of_the_registry_that_says_something_else_is_written_again() -> None:
    assert steps(replace(RELEASED, described=False)) == ["describe"]
    assert steps(replace(RELEASED, described=False, registry=False)) == []


def test_the_page_is_the_next_that_no_tag_has() -> None:
    live = replace(IN_PRODUCTION, ledger=replace(IN_PRODUCTION.ledger, next=7))
    assert "v2 in the ledger: release/iris/0007" in [
        step.text for step in plan_release(TARGET, live).steps
    ]


def test_without_a_registry_the_page_is_all() -> None:
    alone = replace(IN_PRODUCTION, registry=False, promoted=None)
    assert steps(alone) == ["record"]
    assert steps(replace(alone, ledger=ledger(page(OLD, 1), page(NEW, 2)))) == []


# --- from staging into production -----------------------------------------------------------------

STAGED = replace(
    IN_PRODUCTION,
    ledger=ledger(page(OLD, 1), replace(page(NEW, 2), stage="Staging")),
    registered=NEW,
    now="2026-01-01T10:00:00+00:00",
)


def waiting(live: Live, *, moved_by: str = "", **enter: Any) -> tuple[list[str], str]:
    target = replace(TARGET, enter=Enter(**enter), moved_by=moved_by)
    plan = plan_release(target, live)
    return [step.kind for step in plan.steps], plan.waits


def test_what_is_merged_enters_staging_first_where_that_is_declared() -> None:
    live = replace(IN_PRODUCTION, now="2026-01-01T10:00:00+00:00")
    steps, waits = waiting(live, hours=24)
    assert (steps, waits) == (["stage"], "production takes it from 2026-01-02 10:00 UTC on")


def test_it_goes_on_when_it_was_there_long_enough() -> None:
    early = replace(STAGED, now="2026-01-01T23:59:59+00:00")
    assert waiting(early, hours=24) == ([], "production takes it from 2026-01-02 00:00 UTC on")
    late = replace(STAGED, now="2026-01-02T00:00:00+00:00")
    assert waiting(late, hours=24) == (["record", "promote", "describe"], "")


def test_it_goes_on_by_a_person_where_one_is_demanded() -> None:
    steps, waits = waiting(STAGED, approval=True)
    assert (steps, waits) == (
        [],
        "a person moves it on: mergeline promote iris staging production",
    )
    assert waiting(STAGED, approval=True, moved_by="Rex")[1] == ""
    assert "from 2026-01-02" in waiting(STAGED, approval=True, hours=24, moved_by="Rex")[1]


def test_staging_that_is_not_as_its_page_says_is_mended_first() -> None:
    steps, waits = waiting(replace(STAGED, staged=False))
    assert (steps, waits) == (["stage"], "production takes it as soon as it stands there")


def test_a_revert_does_not_wait_and_a_refused_tree_enters_nothing() -> None:
    back = replace(STAGED, ledger=ledger(page(NEW, 1), page(OLD, 2)), promoted=OLD, registered=NEW)
    assert waiting(back, hours=24)[1] == ""
    refused = replace(STAGED, evaluation=evaluation("a" * 64, "fail"))
    target = replace(TARGET, enter=Enter(hours=24))
    assert plan_release(target, refused).refusal[0] == "the gate said fail"


def test_a_release_that_was_taken_back_is_no_earlier_release_that_may_go_back() -> None:
    failed = page(NEW, 2)
    back = replace(page(OLD, 3, Situation.RESTORE), replaced=2, taken_back="it did not start")
    live = replace(IN_PRODUCTION, ledger=ledger(page(OLD, 1), failed, back), registered=NEW)
    assert plan_release(TARGET, live).kind == "change"
    refused = replace(live, evaluation=evaluation("a" * 64, "fail"))
    assert plan_release(TARGET, refused).refusal


def test_the_image_is_built_before_anything_is_written() -> None:
    live = replace(IN_PRODUCTION, image="host/late@sha256:1", image_built=False)
    assert plan_release(TARGET, live).steps[0].text == "host/late@sha256:1"
    assert steps(live) == ["image", "record", "register", "promote", "describe"]


def test_what_was_not_looked_at_long_enough_is_looked_at_after_all() -> None:
    assert steps(replace(RELEASED, verified=False)) == ["verify"]
