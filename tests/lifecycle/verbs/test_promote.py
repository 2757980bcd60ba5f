"""`promote`: the stages beside production, by a page of the ledger, which MLflow follows."""

from __future__ import annotations

import pytest

from mergeline.core.release.version import RegistryStage
from mergeline.errors import InputError, NotFoundError
from mergeline.lifecycle.verbs.history import read
from mergeline.lifecycle.verbs.promote import Promoted, promote
from mergeline.lifecycle.verbs.reconcile import reconcile
from mergeline.lifecycle.verbs.release import release
from mergeline.lifecycle.verbs.status import status
from tests.support.line import Line, entry_of
from tests.support.parcels import MODEL


def move(line: Line, which: str, stage: RegistryStage, *, plan_only: bool = False) -> Promoted:
    return promote(line.project(), MODEL, which, stage, plan_only=plan_only, say=line.say)


def shown(line: Line) -> list[tuple[int, str]]:
    return [(one.number, one.stage) for one in line.project().tracking.versions(MODEL)]


def test_a_judged_candidate_enters_staging_leaves_it_and_is_released_under_its_number(
    line: Line,
) -> None:
    planned = move(line, "origin/better", "Staging", plan_only=True)
    assert (planned.version, planned.before, planned.applied) == (2, "None", False)
    assert shown(line) == [(1, "Production")]
    done = move(line, "origin/better", "Staging")
    assert (done.version, done.page) == (2, "release/late/0002")
    assert shown(line) == [(1, "Production"), (2, "Staging")]
    assert move(line, "v2", "Staging").page is None  # applied twice it changes nothing
    [seen] = status(line.project())
    assert (seen.champion, seen.staging, seen.drift) == (1, 2, ())
    description = line.project().tracking.client.get_model_version(MODEL, "2").description
    assert "- in staging from" in description
    move(line, "staging", "Archived")
    assert shown(line) == [(1, "Production"), (2, "Archived")]
    move(line, "v2", "None")
    assert shown(line) == [(1, "Production"), (2, "None")]
    move(line, "v2", "Staging")
    line.merge(1)
    page = entry_of(line.release())
    assert (page.version, page.replaced) == (2, 1)
    assert shown(line) == [(1, "Archived"), (2, "Production")]
    assert reconcile(line.project(), plan_only=True, say=line.say)[0].steps == ()
    stages = [entry.stage for entry in read(line.project(), MODEL).moves]
    assert stages == ["Production", "Staging", "Archived", "None", "Staging", "Production"]


def test_a_move_by_hand_is_told_and_healed(line: Line) -> None:
    move(line, "origin/better", "Staging")
    line.project().tracking.move(MODEL, 2, "Archived")
    [seen] = status(line.project())
    assert seen.drift == (
        "v2 is in Archived by the registry and in Staging by the ledger: mergeline reconcile",
    )
    reconcile(line.project(), say=line.say)
    assert shown(line) == [(1, "Production"), (2, "Staging")]


def test_killed_after_its_page_and_run_again_it_converges(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("mergeline.lifecycle.verbs.promote.show_model", _killed)
        with pytest.raises(KeyboardInterrupt):
            move(line, "origin/better", "Staging")
    assert shown(line) == [(1, "Production")]
    assert move(line, "origin/better", "Staging").page is None
    assert shown(line) == [(1, "Production"), (2, "Staging")]


def test_what_may_not_be_moved_is_said(line: Line) -> None:
    with pytest.raises(InputError, match="production is never without a model"):
        move(line, "production", "Archived")
    with pytest.raises(InputError, match="goes by a release of main"):
        move(line, "origin/better", "Production")
    with pytest.raises(InputError, match=r"no evaluation of late \w+ passed"):
        move(line, "origin/worse", "Staging")
    with pytest.raises(NotFoundError, match="no version of late is in Staging"):
        move(line, "staging", "Archived")
    with pytest.raises(NotFoundError, match="no version of late is v9"):
        move(line, "v9", "Staging")
    with pytest.raises(NotFoundError, match="was never evaluated"):
        move(line, "origin/other", "Staging")
    assert shown(line) == [(1, "Production")]
    assert release(line.project(), say=line.say)[0].plan.steps == ()


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
