"""From live to target: which steps a release takes, and that it ends with none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mergeline.core.gate.verdict import Situation
from mergeline.core.release.bundle import Evaluation, Origin
from mergeline.core.release.ledger import FORMAT, Entry, page_name, page_text, read_pages
from mergeline.core.release.plan import Live, Target, plan_release
from mergeline.core.release.version import Version
from mergeline.errors import DeclarationError

TARGET = Target("iris", "f" * 64, "c" * 40)
OLD = Version("iris", 1, "Production", "a" * 64, "d1", "run1")
NEW = Version("iris", 2, "None", "f" * 64, "d2", "run2")
NOTHING = Live(None, None, candidate=False, evaluation=None, ledger=(), served=None)


def evaluation(champion: str | None, verdict: str = "pass") -> Evaluation:
    return Evaluation(
        verdict=verdict,  # type: ignore[arg-type]
        reasons=() if verdict == "pass" else ("recall is worse",),
        gate_digest="g",
        champion=champion,
        origin=Origin("t"),
        evaluated_at="2026-01-01T00:00:00+00:00",
        manifest="m",
    )


def page(version: Version, sequence: int) -> Entry:
    return Entry(
        format=FORMAT, model=version.model, sequence=sequence, kind=Situation.CHANGE,
        version=version.number, fingerprint=version.fingerprint, model_digest=version.model_digest,
        run_id=version.run_id, commit="c" * 40, subject="s", author="a", pull_request=None,
        replaced=None, verdict="pass", override=None, released_at="2026-01-01T00:00:00+00:00",
    )  # fmt: skip


IN_PRODUCTION = replace(
    NOTHING, champion=OLD, ledger=(page(OLD, 1),), candidate=True, evaluation=evaluation("a" * 64)
)


def steps(live: Live, **options: str) -> list[str]:
    return [step.kind for step in plan_release(TARGET, live, **options).steps]


def test_the_first_model_is_evaluated_registered_tested_promoted_and_recorded() -> None:
    plan = plan_release(TARGET, NOTHING)
    assert plan.kind == "first"
    assert [step.kind for step in plan.steps] == [
        "evaluate", "register", "smoke test", "promote", "record",
    ]  # fmt: skip


def test_a_reviewed_model_is_promoted_without_training() -> None:
    assert steps(IN_PRODUCTION) == ["register", "smoke test", "promote", "record"]


def test_a_verdict_against_another_champion_is_made_again() -> None:
    live = replace(IN_PRODUCTION, evaluation=evaluation("b" * 64))
    assert steps(live)[0] == "evaluate"


def test_a_verdict_by_another_gate_is_made_again() -> None:
    by_another = plan_release(replace(TARGET, gate="h"), IN_PRODUCTION)
    assert next(step.kind for step in by_another.steps) == "evaluate"
    by_the_same = plan_release(replace(TARGET, gate="g"), IN_PRODUCTION)
    assert next(step.kind for step in by_the_same.steps) == "register"


def test_a_first_release_that_was_promoted_but_not_recorded_is_still_the_first() -> None:
    champion = replace(NEW, stage="Production")
    live = replace(NOTHING, champion=champion, registered=champion, candidate=True)
    assert plan_release(TARGET, live).kind == "first"


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
    assert steps(live, override="the old one is on fire")[-2:] == ["promote", "record"]


def test_an_earlier_release_goes_back_without_a_verdict_but_with_a_smoke_test() -> None:
    back = replace(NEW, stage="Archived")
    other = Version("iris", 3, "Production", "e" * 64, "d3", "run3")
    live = Live(
        other, back, candidate=True, evaluation=evaluation("a" * 64, "fail"),
        ledger=(page(NEW, 1), page(other, 2)), served=None,
    )  # fmt: skip
    plan = plan_release(TARGET, live)
    assert plan.kind == "restore"
    assert [step.kind for step in plan.steps] == ["smoke test", "promote", "record"]


def test_a_registered_version_that_was_never_released_must_still_pass_the_gate() -> None:
    live = replace(IN_PRODUCTION, registered=NEW, evaluation=evaluation("a" * 64, "fail"))
    assert plan_release(TARGET, live).refusal


def test_killed_after_promotion_only_the_record_is_left() -> None:
    live = replace(IN_PRODUCTION, champion=replace(NEW, stage="Production"), registered=NEW)
    assert steps(live) == ["record"]


def test_applied_twice_leaves_an_empty_plan() -> None:
    live = replace(
        IN_PRODUCTION, champion=NEW, registered=NEW, ledger=(page(OLD, 1), page(NEW, 2)),
        served="d2",
    )  # fmt: skip
    assert steps(live) == []


def test_a_server_that_answers_with_another_model_is_deployed_to() -> None:
    live = replace(
        IN_PRODUCTION, champion=NEW, registered=NEW, ledger=(page(OLD, 1), page(NEW, 2)),
        served="d1",
    )  # fmt: skip
    assert steps(live) == ["deploy"]


def test_an_alias_moved_by_hand_is_put_right() -> None:
    live = Live(
        OLD, NEW, candidate=True, evaluation=evaluation("a" * 64),
        ledger=(page(OLD, 1), page(NEW, 2)), served=None,
    )  # fmt: skip
    plan = plan_release(TARGET, live)
    assert [step.kind for step in plan.steps] == ["smoke test", "promote"]


def test_the_ledger_is_read_back_in_order_from_its_tags() -> None:
    entries = [page(OLD, 1), page(NEW, 10), page(NEW, 2)]
    pages = {page_name("iris", entry.sequence): page_text(entry) for entry in entries}
    assert [entry.sequence for entry in read_pages(pages)] == [1, 2, 10]
    assert read_pages(pages)[0] == page(OLD, 1)


def test_a_tag_of_another_form_is_no_page() -> None:
    pages = {page_name("iris", 1): page_text(page(OLD, 1)), "release/1.0": "One point zero"}
    assert read_pages({**pages, "release/iris/notes": "none"}) == (page(OLD, 1),)


def test_a_page_under_another_name_is_refused() -> None:
    with pytest.raises(DeclarationError, match="another than its name says"):
        read_pages({page_name("iris", 2): page_text(page(OLD, 1))})


def test_a_page_that_cannot_be_read_is_refused_by_its_name() -> None:
    with pytest.raises(DeclarationError, match="release/iris/0001"):
        read_pages({page_name("iris", 1): "nothing"})


def test_a_page_calls_a_change_a_release_and_is_read_so() -> None:
    entry = page(OLD, 1)
    assert '"kind": "release"' in page_text(entry)
    assert read_pages({"release/iris/0001": page_text(entry)}) == (entry,)
