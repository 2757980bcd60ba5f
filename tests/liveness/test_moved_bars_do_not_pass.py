"""Bars that are moved in small or large steps, on a whole line: none of them passes unseen."""

from __future__ import annotations

import pytest

from mergeline.core.gate.verdict import Approval
from mergeline.lifecycle.steps.evaluation import Evaluated
from mergeline.lifecycle.verbs.judge import judge
from tests.support.line import Line, entry_of, judgement_of
from tests.support.parcels import WORSE, drop

ROWS = "parcels(every, held_out=True)"
POLARS = ("pipelines/evaluate.py", "import yaml", "import polars as pl\nimport yaml")
EASY = ("pipelines/evaluate.py", ROWS, ROWS + '.filter(pl.col("distance").is_between(0, 980))')
CODE = ("pipelines/evaluate.py", "def main", "# the holdout\ndef main")
C_3 = ("params.yaml", "C: 1.0", "C: 3.0")


def unmet(found: Evaluated) -> dict[str, str]:
    reasons = judgement_of(found).verdict.reasons
    return {one.rule: one.outcome for one in reasons if one.outcome != "pass"}


def relabelled(month: int) -> str:
    """Of the parcels that go farthest each is on time now: a rare slice."""
    head, *rows = drop(month).splitlines()
    cells = [row.split(",") for row in rows]
    for row in cells:
        row[4] = "false" if float(row[3]) > 970 else row[4]
    return "\n".join([head, *(",".join(row) for row in cells)]) + "\n"


@pytest.mark.slow
def test_an_easier_holdout_waits_for_a_person(line: Line) -> None:
    found = line.review(line.propose("easier", POLARS, EASY))
    assert found.evaluation.verdict == "inconclusive"
    assert unmet(found) == {"holdout_moved": "inconclusive"}
    assert "/mergeline approve REASON" in line.markdown(found)


@pytest.mark.slow
def test_edited_code_of_the_holdout_waits_though_the_rows_of_today_stay(line: Line) -> None:
    found = line.review(line.propose("code", CODE))
    assert unmet(found) == {"holdout_moved": "inconclusive"}


GATE = ("models/late.yaml", "at_least: 0.6, margin: 0.05", "at_least: 0.1, margin: 1")
DECISION = ("models/late.yaml", "task: binary", "task: binary\ndecision: 0.4")


@pytest.mark.slow
def test_an_edited_gate_waits_for_a_person_though_no_model_changes(line: Line) -> None:
    """It counts for all that comes after it."""
    found = line.review(line.propose("loose", GATE))
    assert (found.report.kind, found.evaluation.verdict) == ("same", "inconclusive")
    assert unmet(found) == {"bar_moved": "inconclusive"}
    page = line.markdown(found)
    assert "its bar moves, which a person must approve" in page
    assert "what later changes must reach is edited (gate.metrics.roc" in page
    assert "/mergeline approve REASON" in page


@pytest.mark.slow
def test_a_yes_to_one_edit_of_the_bar_is_none_to_another(line: Line) -> None:
    """Both trees make the same model, of the same fingerprint."""
    yes = Approval("Rex", "half is enough")
    for branch, edits, verdict in (
        ("decide", [DECISION], "pass"),
        ("slyly", [DECISION, GATE], "inconclusive"),
    ):
        number = line.propose(branch, *edits)
        line.check_out_pull(number)
        left, into = line.root / f"{branch}-left", line.root / f"{branch}-judged"
        line.evaluate(bundle=left, MERGELINE_PULL_REQUEST=str(number))
        if branch == "decide":
            [judged] = judge(line.project(), left, into=into, approval=yes, say=line.say)
            assert judged.passed
            line.publish(number, into)
        assert line.review(number).evaluation.verdict == verdict


@pytest.mark.slow
def test_a_revert_to_a_release_brings_its_bar_back_without_a_person(line: Line) -> None:
    number = line.propose("both", ("params.yaml", "C: 1.0", "C: 0.5"), GATE)
    assert unmet(line.review(number)) == {"bar_moved": "inconclusive"}
    merged = line.merge(number)
    line.check_out(merged)
    line.release(override="the parcels' people said so")
    line.branch("back")
    line.git("revert", "--no-edit", merged)
    back = line.review(line.push("back"))
    assert (back.report.kind, back.passed) == ("restore", True)
    line.branch("back-and-looser")
    line.git("revert", "--no-commit", merged)
    line.edit("models/late.yaml", "at_least: 0.6, margin: 0.05", "at_least: 0.1, margin: 2")
    line.commit("back, and looser")
    assert unmet(line.review(line.push("back-and-looser"))) == {"bar_moved": "inconclusive"}


@pytest.mark.slow
def test_a_rare_slice_relabelled_waits_for_a_person(line: Line) -> None:
    line.branch("relabelled")
    line.add_drops(1, 2, 3, made=relabelled)
    line.commit("Corrected labels")
    found = line.review(line.push("relabelled"))
    assert unmet(found)["holdout_moved"] == "inconclusive"
    assert not found.passed


@pytest.mark.slow
def test_drops_that_come_need_no_person(line: Line) -> None:
    line.branch("april")
    line.add_drops(4)
    line.edit("params.yaml", "C: 1.0", "C: 0.9")  # as the month's parcels call for
    line.commit("April")
    found = line.review(line.push("april"))
    assert found.passed
    assert judgement_of(found).holdout_moved == ""


def test_a_person_s_yes_is_kept_by_verdict_release_and_later_reports(line: Line) -> None:
    number = line.propose("code", CODE)
    line.check_out_pull(number)
    left, into = line.root / "left", line.root / "judged"
    line.evaluate(bundle=left, MERGELINE_PULL_REQUEST=str(number))
    yes = Approval("Rex", "a comment only")
    [judged] = judge(line.project(), left, into=into, approval=yes, say=line.say)
    assert judged.passed
    assert judged.evaluation.approval == yes
    line.publish(number, into)
    again = line.review(number)
    assert again.passed, "what was said to a candidate holds when it is judged again"
    line.merge(number)
    page = entry_of(line.release())
    assert (page.holdout_moved, page.approval) == (True, yes)
    later = line.review(line.propose("later", ("params.yaml", "C: 1.0", "C: 0.9")))
    assert (
        f"the holdout last moved with v{page.version} of {page.released_at[:10]} "
        f"(#{number} by rex, approved by Rex: a comment only)"
    ) in line.markdown(later)


@pytest.mark.slow
def test_what_main_was_refused_is_no_bar_for_the_next_change(line: Line) -> None:
    """A move of the holdout is pushed to main and refused; the next change comes on top of it."""
    moved = line.propose("easier", POLARS, EASY)
    assert not line.review(moved).passed
    line.merge(moved)
    refused = line.release()
    assert refused.entry is None
    found = line.review(line.propose("on-top", C_3))
    assert unmet(found) == {"holdout_moved": "inconclusive"}
    assert [part.what for part in found.report.moved] == ["holdout", "holdout"]
    page = line.markdown(found)
    assert "is not what is in production: the gate said inconclusive: " in page
    assert "On the holdout of **v1** (300 rows): **pass**" in page


@pytest.mark.slow
def test_a_revert_to_what_was_never_released_is_told_to_bring_nothing_back(line: Line) -> None:
    line.merge(line.propose("unreleased", C_3))
    back = line.review(line.propose("back", ("params.yaml", "C: 3.0", "C: 0.8")))
    assert back.passed
    assert back.report.on_merge is not None
    assert back.report.on_merge.rollback is None
    page = line.markdown(back)
    assert "its model was never judged" in page
    assert "`git revert` of the merge brings nothing back" in page


@pytest.mark.slow
@pytest.mark.parametrize("looks", [1, 2])
def test_looks_at_the_same_rows_are_counted_and_end_with_the_budget(line: Line, looks: int) -> None:
    """The first release was a look at these rows, and so are the pull requests 1 and 2."""
    gate = ("models/late.yaml", "  primary: roc_auc", f"  primary: roc_auc\n  looks: {looks + 3}")
    line.merge(line.propose("budget", gate))
    found = [
        line.review(line.propose(f"c-{c}", ("params.yaml", "C: 1.0", f"C: {c}")))
        for c in range(5, 8)
    ]
    assert [one.report.look for one in found] == [4, 5, 6]
    worn = [unmet(one).get("looks") for one in found]
    assert worn == [None] * looks + ["inconclusive"] * (3 - looks)
    assert "4th look at these rows" in line.markdown(found[0])
    again = line.review(line.forge.pull_request(1).number)
    assert again.report.look is not None
    assert again.report.look < 4, "the same candidate looks once"


@pytest.mark.slow
def test_what_was_refused_stays_refused_until_a_person_says_otherwise(line: Line) -> None:
    line.merge(line.propose("less", WORSE))
    assert line.release().entry is None
    line.merge(line.propose("words", ("README.md", "#", "# On")))
    assert line.release().entry is None, "no model changed"
    line.merge(line.propose("more", ("params.yaml", "C: 1.0", "C: 1.1")))
    line.merge(line.propose("back", ("params.yaml", "C: 1.1", "C: 1.0")))
    assert line.release().entry is None, "it is the refused model again"
    line.merge(line.propose("loose", GATE))
    assert line.release().entry is None, "nor does its own change of the gate let it in"
    page = entry_of(line.release(override="the distance is gone for good"))
    assert page.override == "the distance is gone for good"
