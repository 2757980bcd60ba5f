"""`plan`: what a change will cause and why, in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from mergeline.cli.show import change_plan_lines
from mergeline.errors import DeclarationError
from mergeline.lifecycle.verbs.plan import plan
from tests.support.line import Line
from tests.support.parcels import MODEL

APPROVAL = "a person with write access must approve that the bar moves: /mergeline approve REASON"
NOTHING = f"{MODEL}: nothing that determines the model changes; nothing runs"


def lines(line: Line) -> list[str]:
    [one] = plan(line.project())
    return change_plan_lines(one)


def test_a_tree_like_main_causes_nothing(line: Line) -> None:
    line.merge(line.propose("words", ("README.md", "late?", "late?!")))
    assert lines(line) == [NOTHING]


def test_a_changed_parameter_is_told_with_both_values(clone: Line) -> None:
    clone.edit("params.yaml", "C: 1.0", "C: 0.25", at="runner")
    assert lines(clone) == [
        "params.yaml: train.C 1.0 → 0.25: train and evaluate run; snapshots stay"
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("C: 1.0", "C: 1.0  # strength"),
        ("  C: 1.0\n", "  C: 1.0\n  unused: 3\n"),
        ("train:", "unread: {a: 1}\ntrain:"),
    ],
    ids=["a comment", "a key of a section that is read", "a section that nobody reads"],
)
def test_what_no_stage_reads_causes_nothing(clone: Line, old: str, new: str) -> None:
    clone.edit("params.yaml", old, new, at="runner")
    expected = [NOTHING]
    if "unused" in new:  # a stage that names a section reads all of it
        expected = ["params.yaml: train.unused absent → 3: train and evaluate run; snapshots stay"]
    assert lines(clone) == expected


def test_a_parameter_of_the_holdout_moves_the_bar(clone: Line) -> None:
    clone.edit("params.yaml", "holdout_every: 4", "holdout_every: 5", at="runner")
    assert lines(clone) == [
        "params.yaml: evaluate.holdout_every 4 → 5: train and evaluate run; snapshots stay",
        "the bar moves: params.yaml: evaluate.holdout_every 4 → 5: it makes the holdout",
        APPROVAL,
    ]


def test_other_outputs_move_the_bar(clone: Line) -> None:
    out = "build/late/holdout.parquet"
    clone.edit("dvc.yaml", f"[{out}]", f"[{out}, build/alt]", at="runner")
    clone.edit("models/late.yaml", "outputs: build/late", "outputs: build/alt", at="runner")
    assert lines(clone) == [
        "models/: outputs build/late → build/alt: evaluate runs; snapshots stay",
        "the bar moves: models/: outputs build/late → build/alt: it makes the holdout",
        APPROVAL,
    ]


def test_a_new_drop_is_told_by_its_pointer(line: Line) -> None:
    line.add_drops(4, at="runner")
    assert lines(line) == [
        "data/raw/parcels/2024-04.csv.dvc: drop 2024-04.csv added: snapshot, train and evaluate run"
    ]


def test_a_withdrawn_drop_is_told(clone: Line) -> None:
    pointer = "data/raw/parcels/2024-03.csv.dvc"
    (clone.runner.root / pointer).unlink()
    said = "drop 2024-03.csv removed: snapshot, train and evaluate run"
    assert lines(clone) == [f"{pointer}: {said}"]


def test_changed_code_is_told_with_the_stages_that_read_it(clone: Line) -> None:
    clone.edit("pipelines/evaluate.py", "def main", "# The rows.\ndef main", at="runner")
    assert lines(clone) == [
        "pipelines/evaluate.py: evaluate.py changed: evaluate runs; snapshots stay",
        "the bar moves: pipelines/evaluate.py: evaluate.py changed: it makes the holdout",
        APPROVAL,
    ]


def test_a_changed_contract_moves_the_bar(clone: Line) -> None:
    clone.edit("data/parcels.yaml", "weight: {type: float64, min: 0}",
              "weight: {type: float64}", at="runner")  # fmt: skip
    assert lines(clone) == [
        "data/parcels.yaml: contract of parcels changed: snapshot, train and evaluate run",
        "the bar moves: data/parcels.yaml: contract of parcels changed",
    ]


def test_a_changed_gate_runs_nothing_and_moves_the_bar(clone: Line) -> None:
    clone.edit("models/late.yaml", "margin: 0.05", "margin: 0.5", at="runner")
    assert lines(clone) == [
        NOTHING,
        "the bar moves: models/late.yaml: the gate changed; the base's still judges",
        APPROVAL,
    ]


def test_a_changed_metric_and_key_move_the_bar(clone: Line) -> None:
    clone.edit("models/late.yaml", "metrics: [roc_auc, neg_log_loss]",
              "metrics: [roc_auc]\ndecision: 0.3", at="runner")  # fmt: skip
    assert lines(clone) == [
        "models/: decision 0.5 → 0.3: another model, though no stage reads it",
        "the bar moves: models/late.yaml: metrics changed",
        "the bar moves: models/late.yaml: decision changed",
        APPROVAL,
    ]


def test_a_tree_that_was_evaluated_is_told(line: Line) -> None:
    line.check_out_pull(1)
    line.evaluate()
    assert lines(line) == [
        "params.yaml: train.C 1.0 → 0.5",
        f"{MODEL}: this tree was trained already (in the store); nothing trains",
    ]


def test_a_tree_that_was_trained_here_and_is_not_tracked_is_told(line: Line) -> None:
    line.check_out_pull(line.propose("mine", ("params.yaml", "C: 1.0", "C: 4.0")))
    line.evaluate(bundle=line.root / "found")
    assert "(on this machine, not in the store yet); nothing trains" in lines(line)[-1]


def test_an_unchanged_tree_that_was_never_trained_is_trained(line: Line, tmp_path: Path) -> None:
    [one] = plan(line.project(MERGELINE_STATE=str(tmp_path / "empty")))
    assert change_plan_lines(one) == [
        f"{MODEL}: no base to compare with; snapshot, train and evaluate run"
    ]
    line.merge(line.propose("words", ("README.md", "late?", "late?!")))
    [one] = plan(line.project(MERGELINE_STATE=str(tmp_path / "empty")))
    said = "it was never trained: snapshot, train and evaluate run"
    [unknown, told] = change_plan_lines(one)
    assert "what is in production is not known here" in unknown
    assert told == f"{MODEL}: nothing that determines the model changes; {said}"


def test_a_drop_without_a_pointer_is_told(clone: Line) -> None:
    folder = clone.runner.root / "data/raw/parcels"
    (folder / "2024-04.csv").write_text("id\n1\n")
    [said] = [text for text in lines(clone) if "pointer" in text]
    assert said.endswith("1 file has no pointer, so no model sees it: dvc add "
                         "data/raw/parcels/2024-04.csv …")  # fmt: skip


def test_the_first_commit_has_no_base(clone: Line, tmp_path: Path) -> None:
    clone.check_out("origin/main")
    [said] = lines(clone)
    assert said.startswith(f"{MODEL}: no base to compare with; this tree was trained already (in")


def test_a_change_on_an_unreleased_main_is_held_against_what_is_in_production(line: Line) -> None:
    released = line.git("rev-parse", "origin/main", at="runner")
    onto = line.merge(line.propose("unreleased", ("params.yaml", "C: 1.0", "C: 3.0")))
    line.check_out_pull(line.propose("words", ("README.md", "late?", "late?!")))
    [one] = plan(line.project())
    assert change_plan_lines(one) == [
        (
            f"{MODEL}: {onto[:7]} is not what is in production, so this is what differs from "
            f"{released[:7]}, the last release"
        ),
        "params.yaml: train.C 1.0 → 3.0: train and evaluate run; snapshots stay",
    ]
    assert not one.touched, "the pull request itself changes no model"


def test_where_the_store_is_another_the_base_is_compared_with(line: Line, tmp_path: Path) -> None:
    line.check_out_pull(1)
    [one] = plan(line.project(MERGELINE_STORE=str(tmp_path / "other")))
    told, change, *_ = change_plan_lines(one)
    assert told.startswith(f"{MODEL}: what is in production is not known here, so the base is: ")
    assert change.startswith("params.yaml: train.C 1.0 → 0.5")


def test_planning_writes_nothing(clone: Line) -> None:
    clone.edit("params.yaml", "C: 1.0", "C: 0.25", at="runner")
    before = clone.kept()
    plan(clone.project())
    assert clone.kept() == before


def test_planning_needs_no_state_at_all(clone: Line, tmp_path: Path) -> None:
    clone.edit("params.yaml", "C: 1.0", "C: 0.25", at="runner")
    [one] = plan(clone.project(MERGELINE_STATE=str(tmp_path / "none")))
    assert change_plan_lines(one)[1].startswith("params.yaml: train.C 1.0 → 0.25: ")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ([("label: late", "label: latee")], r"label: no column 'latee' \(did you mean 'late'\?\)"),
        ([("key: [id]", "key: [day, ids]")], r"key: no column 'ids'"),
        ([("key: [id]", "key: [id]\ncluster: weak")], r"cluster: no column 'weak'"),
        ([("key: [id]", "key: [id]\nslices: [wieght]")], r"slices: .* mean 'weight'"),
        ([("key: [id]", "key: [id]\nprivate: [dya]")], r"private: .* mean 'day'"),
        ([("[roc_auc, neg", "[roc_acu, neg")], r"metric"),
    ],
)
def test_what_would_cost_a_training_to_find_out_is_refused_before_it(
    clone: Line, edits: list[tuple[str, str]], said: str
) -> None:
    for old, new in edits:
        clone.edit("models/late.yaml", old, new, at="runner")
    with pytest.raises(DeclarationError, match=said):
        plan(clone.project())
    with pytest.raises(DeclarationError, match=said):
        clone.evaluate(bundle=clone.root / "found")
    assert clone.quick.runs == []


def test_a_column_that_code_makes_is_one(clone: Line) -> None:
    clone.edit("models/late.yaml", "key: [id]", "key: [id]\ncluster: week", at="runner")
    clone.edit("pipelines/rows.py", "import", "# week: of the day\nimport", at="runner")
    plan(clone.project())


def test_a_lock_that_leaves_a_version_open_is_told(clone: Line) -> None:
    (clone.runner.root / "uv.lock").unlink()
    clone.write("requirements.txt", "numpy==2.0\npandas\n", at="runner")
    [said] = [text for text in lines(clone) if "without a version" in text]
    assert "requirements.txt names pandas without a version" in said


def test_the_same_drop_under_two_names_is_told_before_anything_runs(clone: Line) -> None:
    pointer = clone.runner.root / "data/raw/parcels/2024-03.csv.dvc"
    text = pointer.read_text().replace("2024-03", "again")
    clone.write("data/raw/parcels/again.csv.dvc", text, at="runner")
    [said] = [text for text in lines(clone) if "one drop under 2 names" in text]
    assert "2024-03.csv and data/raw/parcels/again.csv" in said


def test_what_a_revert_of_a_drop_leaves_is_neither_in_the_plan_nor_in_the_way(line: Line) -> None:
    line.add_drops(4, at="runner")
    assert (line.runner.root / "data/raw/parcels/.gitignore").read_text().count("2024-04") == 1
    line.commit("A month", at="runner")
    line.git("revert", "--no-edit", "HEAD", at="runner")
    assert (line.runner.root / "data/raw/parcels/2024-04.csv").is_file()
    said, *_ = lines(line)
    assert said == NOTHING
    assert line.runner.is_clean()
