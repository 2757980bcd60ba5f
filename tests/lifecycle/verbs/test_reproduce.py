"""`reproduce`: a candidate trained again, and held against what the store has of it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mergeline.adapters.bundles import write_candidate
from mergeline.cli.show import reproduction_lines
from mergeline.errors import BundleError, NotFoundError, StoreError
from mergeline.lifecycle.steps.candidates import fetch, find_by
from mergeline.lifecycle.verbs.reproduce import Reproduced, reproduce
from tests.support.line import Line, run_id_of
from tests.support.parcels import MODEL


def run_id(line: Line, pull_request: int | None = 1) -> str:
    candidates = line.project().tracking.candidates(MODEL)
    return next(run.run_id for run in candidates if run.pull_request == pull_request)


def again(line: Line, run: str) -> Reproduced:
    return reproduce(line.project(), run, say=line.say)


def test_a_run_trained_again_agrees_in_bytes_and_metrics(line: Line) -> None:
    before = line.kept()
    done = again(line, run_id(line))
    assert done.agrees
    assert done.same_bytes
    assert done.same_predictions
    assert done.metrics["roc_auc"][0] == done.metrics["roc_auc"][1]
    assert reproduction_lines(done)[-1] == "reproduced"
    assert len(line.quick.runs) == 1
    assert line.kept() == before


def test_a_run_can_be_reproduced_whatever_is_checked_out_or_changed(line: Line) -> None:
    line.check_out_pull(2)
    line.write("params.yaml", "nonsense: {", at="runner")
    assert again(line, run_id(line)).agrees


@pytest.mark.slow
def test_a_run_of_a_dirty_tree_is_reproduced_from_its_tree(line: Line) -> None:
    line.edit("params.yaml", "C: 1.0", "C: 3.0", at="runner")
    run = run_id_of(line.evaluate())
    line.git("checkout", "--quiet", "--force", "HEAD", at="runner")
    assert again(line, run).agrees


def trial_merge(line: Line, number: int) -> str:
    """As GitHub's `refs/pull/<n>/merge`: a commit that the runner alone ever has."""
    head = line.forge.pull_request(number).head_sha
    line.check_out("origin/main")
    line.git("merge", "--quiet", "--no-ff", "-m", "trial", head, at="runner")
    return run_id_of(line.evaluate(MERGELINE_PULL_REQUEST=str(number)))


@pytest.mark.slow
@pytest.mark.parametrize("meanwhile", ["nothing", "a README"])
def test_a_merged_run_is_reproduced_in_a_fresh_clone_that_never_had_its_commit(
    line: Line, meanwhile: str
) -> None:
    number = line.propose("calm", ("params.yaml", "C: 1.0", "C: 0.7"))
    run = trial_merge(line, number)
    if meanwhile == "a README":
        line.merge(line.propose("words", ("README.md", "parcel", "letter")))
    line.merge(number)
    line.release()
    line.git("push", "--quiet", "origin", "--delete", "calm")
    line.git("clone", "--quiet", "forge/repository.git", "fresh", at=".")
    done = reproduce(line.project("fresh"), run, say=line.say)
    assert done.agrees
    assert done.same_bytes


@pytest.mark.slow
def test_training_that_depends_on_more_than_its_tree_is_not_reproduced(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.edit("pipelines/train.py", '=params["train"]["C"]', '=float(os.environ["LUCK"])')
    line.edit("pipelines/train.py", "import logging", "import logging\nimport os")
    monkeypatch.setenv("LUCK", "1")
    line.git("checkout", "--quiet", "-b", "lucky")
    line.commit("lucky")
    found = line.review(line.push("lucky"))
    monkeypatch.setenv("LUCK", "0.001")
    done = again(line, run_id_of(found))
    assert not done.agrees
    assert not done.same_bytes
    assert reproduction_lines(done)[-1] == "NOT reproduced"


def test_a_candidate_can_be_named_by_its_fingerprint(line: Line) -> None:
    fingerprint = line.project().tracking.run(run_id(line)).fingerprint
    assert again(line, fingerprint[:8]).fingerprint == fingerprint


def test_a_candidate_whose_manifest_was_altered_is_refused(line: Line) -> None:
    run = run_id(line)
    shutil.rmtree(line.state / "candidates")
    for file in (line.state / "store/blobs/sha256").iterdir():
        file.write_bytes(file.read_bytes().replace(b'"train.C": 0.5', b'"train.C": 0.6'))
    with pytest.raises(StoreError, match="is not what it was when it was written"):
        again(line, run)
    assert line.quick.runs == []


def test_a_candidate_that_names_another_tree_is_refused(line: Line) -> None:
    project, run = line.project(), run_id(line)
    stored = find_by(project, run)
    candidate = fetch(project, stored).candidate
    worse = line.git("rev-parse", "worse^{tree}")
    other = replace(candidate, origin=replace(candidate.origin, tree=worse))
    folder = project.candidate_folder(MODEL, stored.fingerprint)
    write_candidate(folder, other)
    project.store.remove(MODEL, stored.fingerprint)
    project.store.put_candidate(other, folder)
    with pytest.raises(BundleError, match="that the candidate names has fingerprint"):
        again(line, run)
    assert line.quick.runs == []


def test_a_tree_that_is_not_here_is_said(line: Line, tmp_path: Path) -> None:
    run = run_id(line)
    other = tmp_path / "other"
    source = (line.root / "forge" / "repository.git").as_uri()
    line.git("clone", "--quiet", "--depth=1", "--single-branch", source, str(other), at=".")
    with pytest.raises(NotFoundError, match="is not in this repository"):
        reproduce(line.project(str(other)), run, say=line.say)


def test_a_run_that_does_not_exist_is_said(line: Line) -> None:
    with pytest.raises(NotFoundError, match="nope"):
        again(line, "nope")
