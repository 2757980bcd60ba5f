"""What a change cannot hide by moving the rows that it is judged on."""

from __future__ import annotations

import shutil

import pytest

from mergeline.core.compare.result import Comparison
from mergeline.lifecycle.steps.evaluation import Evaluated
from tests.support.line import Line, judgement_of
from tests.support.parcels import WORSE, drop

ROWS = ("pipelines/rows.py", 'rows.sort("id").collect()')
ZONE = 'rows.sort("id").with_columns(zone=(pl.col("id") % 5 == 0).cast(pl.String)).collect()'


def refused(found: Evaluated) -> set[str]:
    assert found.evaluation.verdict == "fail"
    return {
        reason.rule for reason in judgement_of(found).verdict.reasons if reason.outcome == "fail"
    }


def comparison_of(found: Evaluated) -> Comparison:
    assert found.report.comparison is not None
    return found.report.comparison


def moved(found: Evaluated) -> list[str]:
    return [one.text for one in found.report.moved]


@pytest.mark.slow
def test_a_column_that_gives_the_label_away_by_now_is_found_though_production_takes_it(
    line: Line,
) -> None:
    told = 'pl.when("late").then(pl.col("distance") + 2000).otherwise("distance")'
    leaky = f'rows.sort("id").with_columns(distance={told}).collect()'
    found = line.review(line.propose("leak", (*ROWS, leaky)))
    assert "leak" in refused(found)
    [said] = moved(found)
    assert said.startswith("of the 300 rows before: ")
    assert said.endswith(" with another distance")


@pytest.mark.slow
def test_a_column_that_gives_it_away_by_replaced_drops_is_found_too(line: Line) -> None:
    def leaky(month: int) -> str:
        head, *rows = drop(month).splitlines()
        cells = [row.split(",") for row in rows]
        for row in cells:
            row[3] = f"{float(row[3]) + 2000 * (row[4] == 'true'):.3f}"
        return "\n".join([head, *(",".join(row) for row in cells)]) + "\n"

    line.branch("leaky")
    line.add_drops(1, 2, 3, made=leaky)
    line.commit("Corrected distances")
    assert "leak" in refused(line.review(line.push("leaky")))


def test_another_decision_threshold_is_a_change_that_is_compared(line: Line) -> None:
    line.branch("with-recall")
    line.edit("models/late.yaml", "metrics: [roc_auc,", "metrics: [roc_auc, recall,")
    line.commit("Recall")
    line.land(line.push("with-recall"))
    found = line.review(
        line.propose("decide", ("models/late.yaml", "task: binary", "task: binary\ndecision: 0.2"))
    )
    assert found.report.kind == "change"
    assert [str(change) for change in found.report.changes] == ["models/: decision 0.5 → 0.2"]
    comparison = comparison_of(found)
    recall, auc = comparison.metric("recall"), comparison.metric("roc_auc")
    assert recall is not None
    assert auc is not None
    assert recall.differences["champion"].outcome == "better"
    assert auc.differences["champion"].outcome == "same"
    assert comparison.flips["champion"].changed > 0
    page = line.markdown(found)
    assert "decision changed" in page
    assert "`decision` 0.5 → 0.2" in page


@pytest.mark.slow
def test_what_the_changes_since_the_reference_add_up_to_is_shown_and_held(line: Line) -> None:
    first = line.review(1)
    assert first.report.reference is None  # production is the reference itself
    assert "reference" not in comparison_of(first).models
    line.land(1)
    second = line.review(line.propose("on", ("params.yaml", "C: 0.5", "C: 0.4")))
    reference = second.report.reference
    assert reference is not None
    assert (reference.version, reference.why, reference.releases) == (1, "first", 1)
    held = [one for one in judgement_of(second).verdict.reasons if one.rule == "margin"]
    assert [one.against for one in held] == ["champion", "reference"]
    assert (
        "since the reference, **v1** (the first release, 1 release ago): ROC AUC "
        in line.markdown(second)
    )
    worse = line.review(line.propose("worse-since", WORSE))
    assert {one.against for one in judgement_of(worse).verdict.reasons if one.outcome == "fail"} > {
        "reference"
    }


@pytest.mark.slow
def test_a_reference_that_is_gone_is_said_and_leaves_production_to_compare_with(
    line: Line,
) -> None:
    line.land(1)
    number = line.propose("on", ("params.yaml", "C: 0.5", "C: 0.4"))
    assert line.review(number).passed
    [entry, _] = line.project().ledger("late")
    store = line.project().store
    stored = store.find("late", entry.fingerprint)
    assert stored is not None
    lost = store._layers(stored.digest)["candidate/model"].digest.removeprefix("sha256:")
    (line.state / "store/blobs/sha256" / lost).unlink()
    shutil.rmtree(line.project().candidate_folder("late", entry.fingerprint))
    found = line.review(number)
    [reason] = [one for one in judgement_of(found).verdict.reasons if one.outcome != "pass"]
    assert (reason.rule, reason.outcome) == ("reference_unscored", "inconclusive")
    assert reason.text.startswith("the reference could not score the rows: ")
    assert f"{lost} is missing" in reason.text


@pytest.mark.slow
def test_slices_that_a_change_renames_are_judged_as_they_were(line: Line) -> None:
    line.branch("slices")
    line.edit(
        "models/late.yaml",
        "metrics: [roc_auc, neg_log_loss]",
        "metrics: [roc_auc, neg_log_loss]\nslices: [zone]\nslice_minimum: 50",
    )
    bar = "    roc_auc: {at_least: 0.6, margin: 0.05}"
    line.edit(
        "models/late.yaml",
        bar,
        "    roc_auc: {at_least: 0.6, margin: 0.1}\n  slices:\n    roc_auc: {at_least: 0.8}",
    )
    line.edit(*ROWS, ZONE)
    line.commit("Slices")
    number = line.push("slices")
    line.review(number)
    line.merge(number)
    line.check_out("origin/main")
    line.evaluate()
    line.release(override="the first with slices")
    old = ".cast(pl.String)).collect()"
    renamed = ".cast(pl.String)).with_columns(zone=pl.lit('all')).collect()"
    found = line.review(line.propose("hidden", ("pipelines/rows.py", old, renamed)))
    assert moved(found) == ["of the 300 rows before: 300 with another zone"]
    judgement = judgement_of(found)
    assert judgement.on_base_rows
    judged = {reason.text for reason in judgement.on_base_rows.reasons if reason.rule == "slices"}
    assert judged == {"ROC AUC holds its bar in 2 of 2 slices"}
    assert judgement.base_rows == 300


@pytest.mark.slow
def test_new_rows_do_not_outvote_those_before_where_more_than_drops_came(line: Line) -> None:
    """The label of the new parcels follows their weight, which is all that the model looks at."""

    def by_weight(month: int) -> str:
        head, *rows = drop(month, 4_000).splitlines()
        cells = [row.split(",") for row in rows]
        for row in cells:
            row[4] = "true" if float(row[2]) > 15 else "false"
        return "\n".join([head, *(",".join(row) for row in cells)]) + "\n"

    line.branch("diluted")
    line.edit(*WORSE)
    line.add_drops(4, made=by_weight)
    line.commit("April")
    found = line.review(line.push("diluted"))
    assert "base_holdout" in refused(found)
    assert moved(found) == []
    assert "the holdout goes from 300 to 1,300 rows" in line.markdown(found)


@pytest.mark.slow
def test_a_drop_that_only_adds_rows_is_judged_on_all_of_them_at_once(line: Line) -> None:
    line.branch("april")
    line.add_drops(4)
    line.commit("April")
    found = line.review(line.push("april"))
    assert found.passed
    assert judgement_of(found).base_rows is None
    assert "the holdout goes from 300 to 400 rows" in line.markdown(found)
