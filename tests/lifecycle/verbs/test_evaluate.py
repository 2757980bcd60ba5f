"""`evaluate`: the candidate of a tree, held against production and base on the same rows."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mergeline.adapters.bundles import read_candidate, read_evaluation
from mergeline.cli.show import change_plan_lines
from mergeline.core.compare.result import Comparison
from mergeline.core.report.content import Failure, Report, read_report
from mergeline.errors import (
    BundleError,
    DeclarationError,
    MergelineError,
    RepositoryError,
    StageError,
    StoreError,
    TrackingError,
)
from mergeline.lifecycle.steps.evaluation import Evaluated
from mergeline.lifecycle.verbs.evaluate import evaluate
from mergeline.lifecycle.verbs.plan import plan
from mergeline.lifecycle.verbs.report import find_reports
from tests.support.line import Line, content_of, judgement_of, run_id_of
from tests.support.parcels import MODEL, MODEL_YAML, OTHER, WORSE, drop
from tests.support.stand_ins import run_stages_by, stages_by_dvc

LOOSE = ("models/late.yaml", "at_least: 0.6, margin: 0.05", "at_least: 0.1, margin: 1")


def candidates(line: Line) -> list[str]:
    return [run.fingerprint for run in line.project().tracking.candidates(MODEL)]


def numbers(report: Report) -> Comparison:
    """The comparison without the models' latencies, which no two runs share."""
    assert report.comparison is not None
    return replace(report.comparison, models={})


# --- law 2: the same fingerprint is never trained twice -------------------------------------------


def test_the_same_tree_is_never_trained_twice(line: Line) -> None:
    found = line.review(1)
    assert line.quick.runs == []
    assert found.report.run
    assert not found.report.run.trained
    assert run_id_of(found)
    assert len(candidates(line)) == 3


@pytest.mark.slow
def test_a_bit_that_fell_over_in_the_table_is_set_right_before_a_model_is_trained(
    line: Line,
) -> None:
    [*files] = sorted((line.state / "tables" / "parcels").glob("*.parquet"))
    sound = files[0].read_bytes()
    files[0].unlink()  # the file may have other names elsewhere
    files[0].write_bytes(sound[:200] + bytes([sound[200] ^ 1]) + sound[201:])
    line.propose("again", ("params.yaml", "C: 1.0", "C: 0.7"))
    line.check_out("origin/again")
    assert line.evaluate().passed
    assert files[0].read_bytes() == sound
    assert any("found" not in text and "1 drop repaired" in text for text in line.said)


def test_another_commit_with_the_same_tree_finds_the_candidate(line: Line) -> None:
    line.check_out_pull(1)
    line.git("commit", "--quiet", "--amend", "--message", "Other words", at="runner")
    assert line.evaluate().passed
    assert line.quick.runs == []


@pytest.mark.slow
def test_another_machine_finds_the_candidate_in_the_store(line: Line) -> None:
    shutil.rmtree(line.state / "candidates")
    shutil.rmtree(line.state / "bundles")
    assert line.review(1).passed
    assert line.quick.runs == []


@pytest.mark.slow
def test_a_dirty_tree_gets_the_report_that_its_commit_will_get(line: Line) -> None:
    line.edit(*OTHER, at="runner")
    dirty = line.evaluate()
    assert dirty.report.subject.commit is None
    line.git("checkout", "--quiet", "--force", "origin/main", at="runner")
    committed = line.review(3)
    assert len(line.quick.runs) == 1
    assert committed.report.subject.commit
    assert committed.report.subject.tree == dirty.report.subject.tree
    assert committed.report.subject.base == dirty.report.subject.base
    assert numbers(committed.report) == numbers(dirty.report)
    assert committed.report.judgement == dirty.report.judgement
    assert committed.report.changes == dirty.report.changes


@pytest.mark.slow
def test_evaluating_touches_neither_the_working_tree_nor_the_index(line: Line) -> None:
    line.edit(*OTHER, at="runner")
    line.write("notes.txt", "mine", at="runner")
    status = line.git("status", "--porcelain", at="runner")
    line.evaluate()
    assert line.git("status", "--porcelain", at="runner") == status
    assert line.git("stash", "list", at="runner") == ""
    assert line.git("worktree", "list", at="runner").count("\n") == 0


@pytest.mark.slow
def test_a_detached_head_is_evaluated_as_its_branch_is(line: Line) -> None:
    detached = line.review(1)
    line.git("checkout", "--quiet", "-b", "better", at="runner")
    assert numbers(line.evaluate().report) == numbers(detached.report)


@pytest.mark.slow
def test_two_machines_that_evaluate_one_tree_at_once_end_with_one_run(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one finds no candidate either, and is done while this one trains."""
    line.check_out_pull(3)
    elsewhere: dict[str, Any] = {
        "MERGELINE_STATE": str(line.root / "other-machine"),
        "MERGELINE_STORE": str(line.state / "store"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{line.state / 'mlflow.db'}",
    }
    other: list[Evaluated] = []

    def stages_run(checkout: Path, stage: str, **named: Any) -> dict[str, float]:
        if not other and "other-machine" not in str(checkout):
            other.append(line.evaluate("runner", None, **elsewhere))
        return line.quick(checkout, stage, **named)

    run_stages_by(monkeypatch, stages_run)
    mine = line.evaluate()
    assert len(line.quick.runs) == 2
    assert run_id_of(mine) == run_id_of(other[0])
    assert len(candidates(line)) == len(set(candidates(line))) == 4


RACER = """
import sys
from dataclasses import replace
from pathlib import Path
from tests.support.line import Line
from tests.support.stand_ins import stages_in_process
line = Line(Path(sys.argv[1]))
with stages_in_process() as quick:
    print("ready", flush=True)
    sys.stdin.readline()
    found = line.evaluate()
print(len(quick.runs), found.report.run.id, found.passed)
"""


@pytest.mark.slow
def test_two_processes_that_evaluate_one_tree_at_once_train_it_once(line: Line) -> None:
    line.check_out_pull(3)
    racers = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", RACER, str(line.root)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[3],
        )
        for _ in range(2)
    ]  # fmt: skip
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    answers = [racer.communicate("go\n")[0].split() for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    assert sorted(answer[0] for answer in answers) == ["0", "1"]  # one of them trained
    assert answers[0][1:] == answers[1][1:]
    assert len(candidates(line)) == len(set(candidates(line))) == 4


# --- which models -------------------------------------------------------------------------------


@pytest.mark.slow
def test_only_the_models_that_a_change_touches_are_evaluated(line: Line) -> None:
    line.branch("second")
    line.write("models/again.yaml", MODEL_YAML)
    line.commit("Another declaration of the same model")
    line.check_out_pull(line.push("second"))
    done = evaluate(line.project(), say=line.say)
    assert [one.report.model for one in done] == ["again"]
    assert done[0].report.kind == "first"


def test_the_first_model_is_not_held_against_itself(line: Line, tmp_path: Path) -> None:
    words = ("README.md", "late?", "late?!")
    line.merge(line.propose("words", words))
    line.git("tag", "--delete", "release/late/0001", at="forge/repository.git")
    line.git("tag", "--delete", "release/late/0001", at="runner")
    found = line.evaluate(MERGELINE_STATE=str(tmp_path / "empty"))
    assert found.report.kind == "first"
    assert set(numbers(found.report).metrics[0].values) == {"candidate"}


@pytest.mark.slow
def test_a_change_that_touches_no_model_says_that_nothing_changes(line: Line) -> None:
    number = line.propose("words", ("README.md", "late?", "late?!"))
    found = line.review(number)
    assert (found.report.kind, found.passed) == ("same", True)
    assert line.quick.runs == []


# --- law 5: the bar is not set by the one who jumps -----------------------------------------------


@pytest.mark.slow
def test_a_loosened_gate_is_judged_by_the_old_one_and_said(line: Line) -> None:
    found = line.review(line.propose("loose", WORSE, LOOSE))
    assert found.evaluation.verdict == "fail"
    judgement = judgement_of(found)
    assert {moved.key for moved in judgement.moved} == {
        "metrics.roc_auc.at_least", "metrics.roc_auc.margin",
    }  # fmt: skip
    assert judgement.as_moved
    assert judgement.as_moved.outcome == "pass"
    text = (found.folder / "evaluation" / "report.md").read_text()
    assert "bar moved" in text.lower() or "moves the bar" in text.lower()


@pytest.mark.slow
def test_a_longer_holdout_is_said_and_judged_on_the_old_one_too(line: Line) -> None:
    found = line.review(line.propose("half", ("params.yaml", "every: 4", "every: 3")))
    assert any("holdout_every 4 → 3" in moved.text for moved in found.report.moved)
    judgement = judgement_of(found)
    assert judgement.on_base_rows is None
    assert judgement.base_problem == "the candidate is fitted on 200 of its 300 rows"
    reasons = {one.rule: one.outcome for one in judgement.verdict.reasons if one.outcome != "pass"}
    assert reasons == {"holdout_moved": "inconclusive", "base_holdout": "inconclusive"}
    assert found.evaluation.verdict == "fail"  # this gate takes what cannot be told for a failure
    assert "of the 300 rows before: 200 gone" in line.markdown(found)


@pytest.mark.slow
def test_a_holdout_that_loses_a_few_rows_is_judged_on_all_of_them(line: Line) -> None:
    rows = "parcels(every, held_out=True)"
    found = line.review(line.propose("few", ("pipelines/evaluate.py", rows, rows + ".head(290)")))
    judgement = judgement_of(found)
    assert judgement.on_base_rows
    assert (judgement.on_base_rows.outcome, judgement.base_rows) == ("pass", 300)
    assert found.evaluation.verdict == "inconclusive"  # until a person approves it
    assert "On the holdout of `main` (300 rows): **pass**" in line.markdown(found)


@pytest.mark.slow
def test_a_worse_model_is_refused_although_its_own_holdout_flatters_it(line: Line) -> None:
    polars = ("pipelines/evaluate.py", "import yaml", "import polars as pl\nimport yaml")
    told_by_weight = '.filter((pl.col("weight") > 15) == pl.col("late"))'
    rows = "parcels(every, held_out=True)"
    flatter = ("pipelines/evaluate.py", rows, rows + told_by_weight)
    found = line.review(line.propose("flattered", WORSE, polars, flatter))
    judgement = judgement_of(found)
    assert found.evaluation.verdict == "fail"
    refused = [reason.rule for reason in judgement.verdict.reasons if reason.outcome == "fail"]
    assert refused == ["leak", "base_holdout"]  # of the rows that are left the weight tells all
    assert judgement.base_rows == 300
    assert "on production's own holdout (300 rows): " in line.markdown(found)


@pytest.mark.slow
def test_a_holdout_moved_by_code_that_training_shares_is_noticed(line: Line) -> None:
    told = '(pl.col("weight") > 15) == pl.col("late")'
    chosen = f"(rows.filter({told}) if held_out else rows)"
    easy = ("pipelines/rows.py", "return rows.sort", f"return {chosen}.sort")
    found = line.review(line.propose("shared", WORSE, easy))
    assert found.evaluation.verdict == "fail"
    [moved] = found.report.moved
    assert (moved.what, moved.where) == ("holdout", "build/late/holdout.parquet")


@pytest.mark.slow
def test_relabelled_drops_are_held_against_the_labels_before(line: Line) -> None:
    """The held-out rows' labels now follow their weight, which is all that the change looks at."""

    def relabelled(month: int) -> str:
        head, *rows = drop(month).splitlines()
        cells = [row.split(",") for row in rows]
        for row in cells:
            if int(row[0]) % 4 == 0:
                row[4] = "true" if float(row[2]) > 15 else "false"
        return "\n".join([head, *(",".join(row) for row in cells)]) + "\n"

    line.branch("relabelled")
    line.edit(*WORSE)
    line.add_drops(1, 2, 3, made=relabelled)
    line.commit("Better labels")
    found = line.review(line.push("relabelled"))
    assert found.evaluation.verdict == "fail"
    assert "with another label" in line.markdown(found)


@pytest.mark.slow
def test_a_base_that_nobody_trained_leaves_production_s_holdout(line: Line) -> None:
    line.merge(line.propose("other-c", ("params.yaml", "C: 1.0", "C: 3.0")))  # and not evaluated
    rows = "parcels(every, held_out=True)"
    easy = rows + '.filter((pl.col("weight") > 15) == pl.col("late"))'
    polars = ("pipelines/evaluate.py", "import yaml", "import polars as pl\nimport yaml")
    flatter = ("pipelines/evaluate.py", rows, easy)
    found = line.review(line.propose("flattered", WORSE, polars, flatter))
    assert found.evaluation.verdict == "fail"


@pytest.mark.slow
def test_rows_given_twice_are_refused(line: Line) -> None:
    rows = "parcels(every, held_out=True)"
    double = ("pipelines/evaluate.py", rows, f"pl.concat([{rows}] * 2)")
    polars = ("pipelines/evaluate.py", "import yaml", "import polars as pl\nimport yaml")
    found = line.review(line.propose("double", polars, double))
    assert found.evaluation.verdict == "fail"
    assert "have the key of another" in line.markdown(found)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ('rows.select("id").cast({"id": float})', "has the key 'id' as double"),
        ('rows.select("id").head(0)', "names no row"),
    ],
    ids=["keys of another type", "no row at all"],
)
def test_rows_trained_on_that_cannot_be_found_in_the_holdout_are_refused(
    line: Line, edit: str, said: str
) -> None:
    hidden = ("pipelines/train.py", 'rows.select("id")', edit)
    with pytest.raises(StageError, match=said):
        line.review(line.propose("hidden", hidden))


@pytest.mark.slow
def test_a_moved_holdout_whose_old_rows_lack_a_new_column_is_said(line: Line) -> None:
    column = 'rows.sort("id").with_columns(heavy=pl.col("weight") > 15).collect()'
    found = line.review(
        line.propose(
            "heavy",
            ("pipelines/rows.py", 'rows.sort("id").collect()', column),
            ("pipelines/train.py", '"weight", "distance")', '"weight", "distance", "heavy")'),
            ("pipelines/evaluate.py", "held_out=True)", "held_out=True).head(290)"),
        )
    )
    judgement = judgement_of(found)
    assert judgement.on_base_rows is None
    assert "'heavy'" in judgement.base_problem
    assert found.evaluation.verdict == "fail"  # a new column is also none that callers send
    assert "No verdict on the holdout of `main`" in line.markdown(found)


METRIC = """\
def rate(labels, predictions):
    return 0.25
"""
DECLARED = "[roc_auc, neg_log_loss, {name: pipelines.scores.rate, greater_is_better: true}]"


def declare_own_metric(line: Line) -> None:
    """Main gets a metric of the project's own."""
    line.branch("metric")
    line.write("pipelines/scores.py", METRIC)
    line.edit("models/late.yaml", "[roc_auc, neg_log_loss]", DECLARED)
    line.commit("A metric of our own")
    number = line.push("metric")
    found = line.review(number)
    assert own_metric(found) == 0.25  # new, so as the change has it
    line.merge(number)
    line.release()


def own_metric(found: Evaluated) -> float | None:
    metrics = {one.name: one.values for one in numbers(found.report).metrics}
    return metrics["pipelines.scores.rate"]["candidate"].value


@pytest.mark.slow
def test_the_code_of_an_own_metric_is_the_base_s_and_an_edit_of_it_is_said(line: Line) -> None:
    declare_own_metric(line)
    found = line.review(line.propose("vain", ("pipelines/scores.py", "0.25", "1.0"), OTHER))
    assert own_metric(found) == 0.25
    assert [one.where for one in found.report.moved] == ["pipelines/scores.py"]
    assert "bar moved" in line.markdown(found)
    assert "pipelines.scores" not in sys.modules
    [planned] = plan(line.project())
    assert any(
        "the code of pipelines.scores.rate changed" in text for text in change_plan_lines(planned)
    )


@pytest.mark.slow
def test_a_trial_merge_is_judged_by_its_first_parent(line: Line) -> None:
    """As GitHub's merge of a pull request: its first parent is what main is now."""
    tight = ("models/late.yaml", "at_least: 0.6, margin: 0.05", "at_least: 0.999")
    line.merge(line.propose("tight", tight))
    head = line.forge.pull_request(1).head_sha
    line.check_out("origin/main")
    line.git("merge", "--quiet", "--no-ff", "--no-edit", head, at="runner")
    found = line.evaluate()
    assert found.evaluation.verdict == "fail"
    assert judgement_of(found).moved == ()


def test_a_shallow_clone_without_the_parent_is_refused(line: Line) -> None:
    """Else the gate would be the tree's own."""
    line.merge(1)
    shallow = clone_shallow(line, "main")
    with pytest.raises(RepositoryError, match="does not have the parent") as caught:
        plan(line.project(shallow.name))
    assert "git fetch --unshallow" in str(caught.value)


def test_a_shallow_clone_without_the_merge_base_is_refused(line: Line) -> None:
    line.merge(2)
    shallow = clone_shallow(line, "better", "--no-single-branch")
    with pytest.raises(RepositoryError, match="does not reach the merge base") as caught:
        plan(line.project(shallow.name))
    assert "fetch-depth: 0" in str(caught.value)


def test_a_shallow_clone_of_one_branch_is_told_to_deepen(line: Line) -> None:
    shallow = clone_shallow(line, "better")
    with pytest.raises(RepositoryError, match="git fetch --unshallow"):
        plan(line.project(shallow.name))


def clone_shallow(line: Line, branch: str, *options: str) -> Path:
    """As `actions/checkout` does without fetch-depth."""
    source = (line.root / "forge" / "repository.git").as_uri()
    line.git("clone", "--quiet", "--depth=1", f"--branch={branch}", *options, source, "cut", at=".")
    if not options:
        line.git("remote", "set-head", "origin", "--delete", at="cut")
    return line.root / "cut"


# --- law 6: absent is not fine --------------------------------------------------------------------


def test_an_empty_store_under_a_ledger_with_releases_is_refused(line: Line, tmp_path: Path) -> None:
    line.check_out_pull(1)
    with pytest.raises(StoreError, match=r"up to release/late/0001, .* knows none"):
        line.evaluate(MERGELINE_STORE=str(tmp_path / "empty"))


@pytest.mark.slow
def test_a_version_that_somebody_else_put_into_production_is_not_the_champion(line: Line) -> None:
    client = line.project().tracking.client
    client.create_model_version(MODEL, source="somewhere")
    client.set_registered_model_alias(MODEL, "production", "2")
    champion = line.review(1).report.champion
    assert champion is not None
    assert champion.version == 1
    line.merge(1)
    with pytest.raises(TrackingError, match="v2 is in production by the registry"):
        line.release()


@pytest.mark.parametrize("part", [b'"train.C": 0.5', b"PAR1"])
def test_a_stored_candidate_that_was_altered_is_refused(line: Line, part: bytes) -> None:
    for file in (line.state / "store/blobs/sha256").iterdir():
        file.write_bytes(file.read_bytes().replace(part, part[:-1] + b"9"))
    shutil.rmtree(line.state / "candidates")
    with pytest.raises(StoreError, match="is not what it was when it was written"):
        line.review(1)
    assert line.quick.runs == []


BREAKS = ("pipelines/train.py", "    rows =", "    raise ValueError('no luck')\n    rows =")


def test_a_failed_stage_leaves_its_report_and_nothing_else(line: Line) -> None:
    number = line.propose("broken", BREAKS)
    before = set(line.kept())
    with pytest.raises(StageError, match="ValueError: no luck"):
        line.review(number)
    left = {path for path in set(line.kept()) - before if not path.endswith(".lock")}
    assert left == {f"bundles/{MODEL}-failed/evaluation/report.json"}
    assert [it.kind for it in find_reports(line.project(), None)] == ["failed"]
    assert not list((line.state / "builds").iterdir())
    assert len(candidates(line)) == 3


def test_a_failed_stage_leaves_a_report_of_the_failure_in_the_bundle(
    line: Line, tmp_path: Path
) -> None:
    line.check_out_pull(line.propose("broken", BREAKS))
    with pytest.raises(StageError):
        line.evaluate(bundle=tmp_path / "bundle")
    assert list(content_of(tmp_path / "bundle")) == ["evaluation/report.json"]
    text = (tmp_path / "bundle" / "evaluation" / "report.json").read_bytes()
    report = read_report(text, where="report.json")
    assert report.kind == "failed"
    assert report.failure is not None
    assert report.failure.stage == "train"
    assert "no luck" in report.failure.message


def failure_in(folder: Path) -> Failure:
    text = (folder / "evaluation" / "report.json").read_bytes()
    failure = read_report(text, where="report.json").failure
    assert failure is not None
    return failure


def test_a_declaration_that_cannot_be_read_leaves_a_report_too(line: Line, tmp_path: Path) -> None:
    typo = ("models/late.yaml", "primary: roc_auc", "primery: roc_auc")
    line.check_out_pull(line.propose("typo", typo))
    with pytest.raises(DeclarationError):
        line.evaluate(bundle=tmp_path / "bundle")
    assert "models/late.yaml" in failure_in(tmp_path / "bundle").message
    assert "primery" in failure_in(tmp_path / "bundle").message


def test_a_defect_of_ours_leaves_a_report_and_its_traceback(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("mergeline.lifecycle.steps.judging.compare", fails)
    line.check_out_pull(1)
    with pytest.raises(ZeroDivisionError):
        line.evaluate(bundle=tmp_path / "bundle")
    assert failure_in(tmp_path / "bundle").message == "ZeroDivisionError: division by zero"
    assert "defect of mergeline" in failure_in(tmp_path / "bundle").next_step


def test_what_would_end_the_process_within_is_an_error_with_a_report(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leaves(*_: Any) -> None:
        sys.exit(0)

    monkeypatch.setattr("mergeline.lifecycle.steps.judging.compare", leaves)
    line.check_out_pull(1)
    with pytest.raises(MergelineError, match="something ends the process") as refused:
        line.evaluate(bundle=tmp_path / "bundle")
    assert refused.value.exit_code == 3
    assert "SystemExit(0)" in failure_in(tmp_path / "bundle").message


@pytest.mark.slow
def test_a_model_that_fails_keeps_no_other_from_its_report(line: Line, tmp_path: Path) -> None:
    line.branch("second")
    early = MODEL_YAML.replace("label: late", "label: nowhere")
    line.write("models/early.yaml", early)
    line.edit(*OTHER)
    line.commit("Two at once, one of which names no label")
    line.check_out_pull(line.push("second"))
    with pytest.raises(MergelineError, match="nowhere"):
        evaluate(line.project(), bundle=tmp_path / "bundle", say=line.say)
    assert "nowhere" in failure_in(tmp_path / "bundle" / "early").message
    assert read_evaluation(tmp_path / "bundle" / "late").verdict == "pass"


# --- what merging does ----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_branch_that_main_moved_away_from_trains_again_when_it_is_merged(line: Line) -> None:
    assert "nothing trains again" in line.markdown(line.review(1))
    line.merge(line.propose("words", ("README.md", "late?", "late?!")))
    assert "nothing trains again" in line.markdown(line.review(1))
    line.merge(line.propose("more", ("params.yaml", "every: 4", "every: 5")))
    text = line.markdown(line.review(1))
    assert "it trains again" in text
    assert "2 commits more" in text


# --- bundles --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_bundle_is_whole_and_nothing_else_is_written(line: Line, tmp_path: Path) -> None:
    line.check_out_pull(3)
    database = (line.state / "mlflow.db").read_bytes()
    artifacts = content_of(line.state / "artifacts")
    found = line.evaluate(bundle=tmp_path / "bundle")
    assert (line.state / "mlflow.db").read_bytes() == database
    assert content_of(line.state / "artifacts") == artifacts
    assert found.folder == tmp_path / "bundle"
    assert found.report.run
    assert found.report.run.id is None
    candidate = read_candidate(found.folder)
    assert read_evaluation(found.folder) == found.evaluation
    assert candidate.params["train.C"] == 2.0
    assert {
        "manifest.json", "evaluation.json", "candidate/holdout.parquet",
        "candidate/training_rows.parquet", "candidate/model/MLmodel",
        "evaluation/predictions.parquet", "evaluation/report.json", "evaluation/report.md",
        "evaluation/report.html", "evaluation/roc.svg",
    } <= set(content_of(found.folder))  # fmt: skip


@pytest.mark.slow
def test_a_bundle_takes_the_place_of_an_earlier_one_whole(line: Line, tmp_path: Path) -> None:
    line.check_out_pull(1)
    line.evaluate(bundle=tmp_path / "bundle")
    line.check_out_pull(2)
    line.evaluate(bundle=tmp_path / "bundle")
    assert read_candidate(tmp_path / "bundle").params["train.use"] == ["weight"]
    assert [path.name for path in tmp_path.iterdir() if "bundle" in path.name] == ["bundle"]


@pytest.mark.parametrize("inside", ["thesis.txt", "evaluation.bak/thesis.txt"])
def test_a_folder_with_other_things_in_it_is_not_replaced(
    line: Line, tmp_path: Path, inside: str
) -> None:
    place = tmp_path / "home" / inside
    place.parent.mkdir(parents=True)
    place.write_text("years of work")
    line.check_out_pull(1)
    with pytest.raises(BundleError, match="holds other things"):
        line.evaluate(bundle=tmp_path / "home")
    assert place.read_text() == "years of work"


@pytest.mark.slow
def test_reports_of_several_models_are_folders_of_one_bundle(line: Line, tmp_path: Path) -> None:
    from mergeline.lifecycle.verbs.evaluate import evaluate

    line.branch("second")
    line.write("models/again.yaml", MODEL_YAML)
    line.edit(*OTHER)
    line.commit("Two at once")
    line.check_out_pull(line.push("second"))
    for _ in range(2):
        done = evaluate(line.project(), bundle=tmp_path / "bundle", say=line.say)
        assert [one.folder.name for one in done] == ["again", "late"]
    assert sorted(path.name for path in (tmp_path / "bundle").iterdir()) == ["again", "late"]


# --- with DVC as it is ----------------------------------------------------------------------------


@pytest.mark.slow
def test_stages_run_by_dvc_make_the_same_model_wherever_they_run(
    line: Line, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    number = line.propose("other-here", OTHER)
    quick = read_candidate(line.review(number).folder)
    monkeypatch.undo()
    from mergeline.lifecycle.steps.candidates import train
    from mergeline.lifecycle.steps.case import read_cases

    stages_by_dvc(monkeypatch)
    made = []
    case = read_cases(line.project(), "late", None)[0]
    for place in ("here", "there"):
        project = line.project().elsewhere(tmp_path / place)
        made.append(train(project, case, line.say).candidate)
    here, there = made
    assert here.model_digest == there.model_digest
    assert here.metrics == there.metrics == quick.metrics
    assert here.fingerprint == there.fingerprint == quick.fingerprint
