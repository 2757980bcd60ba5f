"""The verdict on what an untrusted job left: computed here, whatever the job says of itself."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

from mergeline.adapters.bundles import digests
from mergeline.adapters.models.folder import model_digest
from mergeline.core.gate.verdict import Situation
from mergeline.core.report.content import Report, read_report
from mergeline.errors import BundleError, MergelineError
from mergeline.lifecycle.steps.evaluation import Evaluated
from mergeline.lifecycle.verbs.judge import judge
from mergeline.lifecycle.verbs.track import track
from mergeline.system.digests import file_sha256
from tests.support.line import Line
from tests.support.parcels import WORSE


@pytest.fixture
def court(line: Line) -> Line:
    """The line with the bundle of pull request 3 and its tree checked out."""
    line.check_out_pull(3)
    return line


def judged(line: Line, bundle: Path | None = None) -> list[Evaluated]:
    return judge(line.project(), bundle or line.bundle, into=line.root / "judged", say=line.say)


def report_of(line: Line) -> Report:
    path = line.root / "judged" / "evaluation" / "report.json"
    return read_report(path.read_bytes(), where=str(path))


def worse_bundle(line: Line) -> Path:
    """What a job leaves of a worse model, on a pull request of its own that is checked out."""
    number = line.propose("even-worse", WORSE)
    line.check_out_pull(number)
    bundle = line.root / "forged"
    line.evaluate(bundle=bundle, MERGELINE_PULL_REQUEST=str(number))
    return bundle


def test_the_court_comes_to_the_jobs_verdict_by_itself(court: Line) -> None:
    [evaluated] = judged(court)
    theirs = read_report((court.bundle / "evaluation" / "report.json").read_bytes(), where="it")
    assert evaluated.report.fingerprint == theirs.fingerprint
    assert evaluated.report.judgement == theirs.judgement
    assert not court.quick.runs  # nothing was trained


def test_a_verdict_that_a_job_wrote_itself_is_never_read(line: Line) -> None:
    bundle = worse_bundle(line)
    for name in ("evaluation.json", "evaluation/report.json"):
        path = bundle / name
        path.write_text(path.read_text().replace('"fail"', '"pass"'))
    [evaluated] = judged(line, bundle)
    assert not evaluated.passed
    assert evaluated.exit_code == 1
    left = json.loads((line.root / "judged" / "evaluation.json").read_text())
    assert left["verdict"] == "fail"


def _another_fingerprint(bundle: Path) -> None:
    path = bundle / "manifest.json"
    document = json.loads(path.read_text())
    document["candidate"]["fingerprint"] = "0" * 64
    path.write_text(json.dumps(document))


def _another_model(bundle: Path) -> None:
    pickled = next((bundle / "candidate" / "model").glob("*.pkl"))
    pickled.write_bytes(pickled.read_bytes() + b"more")
    _write_digests(bundle)


def _a_link(bundle: Path) -> None:
    (bundle / "candidate" / "shadow").symlink_to("/etc/passwd")


def _a_command_for_a_name(bundle: Path) -> None:
    (bundle / "candidate" / "a\n::error::owned").write_text("x")


def _a_manifest_that_is_none(bundle: Path) -> None:
    (bundle / "manifest.json").write_text("[" * 100_000)


def _not_a_number(bundle: Path) -> None:
    path = bundle / "manifest.json"
    document = json.loads(path.read_text())
    document["candidate"]["metrics"] = {"roc_auc": float("nan")}
    path.write_text(json.dumps(document))


def _an_mlmodel_that_explodes(bundle: Path) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for before, after in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]")
    (bundle / "candidate" / "model" / "MLmodel").write_text("\n".join(lines))
    _write_digests(bundle)


def _no_candidate(bundle: Path) -> None:
    (bundle / "manifest.json").unlink()


def _write_digests(bundle: Path, **candidate: str) -> None:
    """As a forger does: the manifest names what the files are now."""
    path = bundle / "manifest.json"
    document = json.loads(path.read_text())
    document["files"] = digests(bundle, "candidate")
    document["candidate"].update(candidate)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    "forge",
    [
        _another_fingerprint, _another_model, _a_link, _a_command_for_a_name,
        _a_manifest_that_is_none, _not_a_number, _an_mlmodel_that_explodes, _no_candidate,
    ],
)  # fmt: skip
def test_a_bundle_that_is_not_what_it_should_be_is_told_and_not_judged(
    court: Line, forge: Callable[[Path], None]
) -> None:
    forge(court.bundle)
    with pytest.raises(MergelineError) as refused:
        judged(court)
    assert refused.value.exit_code == 2
    assert "\n" not in str(refused.value)
    report = report_of(court)
    assert report.kind is Situation.FAILED
    assert report.verdict is None
    assert not (court.root / "judged" / "manifest.json").exists()


def test_a_bundle_of_another_commit_is_refused(line: Line) -> None:
    line.check_out_pull(1)
    with pytest.raises(BundleError, match="of another fingerprint than the tree"):
        judged(line)


def test_a_job_that_failed_is_told(court: Line) -> None:
    shutil.rmtree(court.bundle)
    court.check_out_pull(3)
    failed = court.root / "failed"
    (failed / "evaluation").mkdir(parents=True)
    report = {
        "model": "late", "kind": "failed", "subject": {"tree": "0" * 40},
        "evaluated_at": "2026-01-01T00:00:00+00:00",
        "failure": {"stage": "train", "message": "no memory left"},
    }  # fmt: skip
    (failed / "evaluation" / "report.json").write_text(json.dumps(report))
    assert judged(court, failed) == []
    failure = report_of(court).failure
    assert failure is not None
    assert "no memory left" in failure.message


def test_what_the_court_leaves_is_tracked_and_shown(court: Line) -> None:
    judged(court)
    [run] = track(court.project(), court.root / "judged", say=court.say)
    assert run.fingerprint == report_of(court).fingerprint


def test_code_of_the_tree_is_not_run(court: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    ran = court.root / "ran"
    for path in ("pipelines/__init__.py", "sitecustomize.py", "numpy.py"):
        (court.root / "runner" / path).write_text(f"open({str(ran)!r}, 'w')")
    court.git("add", "-A", at="runner")
    court.git("commit", "-qm", "code", at="runner")
    with pytest.raises(MergelineError):
        judged(court)
    assert not ran.exists()
    assert os.environ["PYTHONDONTWRITEBYTECODE"]


def test_rows_that_a_job_adds_to_its_holdout_do_not_outvote_the_bases(line: Line) -> None:
    bundle = worse_bundle(line)
    path = bundle / "candidate" / "holdout.parquet"
    rows = pd.read_parquet(path)
    easy = pd.concat([rows] * 20, ignore_index=True)
    easy["id"] = range(10_000_000, 10_000_000 + len(easy))
    easy["late"] = easy["weight"] > easy["weight"].median()
    pd.concat([rows, easy]).to_parquet(path, index=False)
    _write_digests(bundle, holdout_digest=file_sha256(path))
    [evaluated] = judged(line, bundle)
    assert not evaluated.passed
    verdict = evaluated.report.verdict
    assert verdict is not None
    assert "base_holdout" in {reason.rule for reason in verdict.reasons}


def test_a_model_with_the_champions_bytes_is_asked_by_its_own_description(court: Line) -> None:
    champion = next((court.state / "candidates").glob("late-*/candidate/model"))
    model = court.bundle / "candidate" / "model"
    shutil.rmtree(model)
    shutil.copytree(champion, model)
    described = model / "MLmodel"
    broken = yaml.safe_load(described.read_text())
    inputs = json.loads(broken["signature"]["inputs"])
    broken["signature"]["inputs"] = json.dumps(inputs[:1])
    described.write_text(yaml.safe_dump(broken))
    _write_digests(court.bundle, model_digest=model_digest(model))
    [evaluated] = judged(court)
    assert not evaluated.passed


def test_what_a_job_says_of_its_origin_and_metrics_is_not_taken_over(court: Line) -> None:
    path = court.bundle / "manifest.json"
    document = json.loads(path.read_text())
    document["candidate"]["metrics"] = {"roc_auc": 0.999}
    document["candidate"]["origin"]["author"] = "Maintainer"
    path.write_text(json.dumps(document))
    judged(court)
    left = json.loads((court.root / "judged" / "manifest.json").read_text())["candidate"]
    assert left["metrics"]["roc_auc"] < 0.99
    assert left["origin"]["author"] != "Maintainer"


def test_a_model_under_a_new_name_needs_a_person(line: Line) -> None:
    line.branch("renamed")
    line.git("mv", "models/late.yaml", "models/tardy.yaml")
    line.edit("models/tardy.yaml", "  metrics:", "  inconclusive: pass\n  metrics:")
    line.commit("A new name")
    found = line.review(line.push("renamed"))
    judgement = found.report.judgement
    assert judgement is not None
    assert judgement.verdict.outcome == "inconclusive"
    assert "renamed" in {reason.rule for reason in judgement.verdict.reasons}
    assert "inconclusive" in {moved.key for moved in judgement.moved}
    assert "late is gone and tardy is new" in [one.text for one in found.report.moved]


def test_the_report_and_the_evaluation_say_how_strong_the_walls_were(court: Line) -> None:
    [evaluated] = judged(court)
    assert evaluated.report.walls == str(court.project().walls)
    assert evaluated.evaluation.walls == evaluated.report.walls
    assert f"models asked behind {evaluated.report.walls}" in court.markdown(evaluated)


def test_the_judge_leaves_rows_that_it_wrote_itself(court: Line) -> None:
    before = court.bundle / "candidate" / "holdout.parquet"
    judged(court)
    after = court.root / "judged" / "candidate" / "holdout.parquet"
    assert before.read_bytes() != after.read_bytes()
    pd.testing.assert_frame_equal(pd.read_parquet(before), pd.read_parquet(after))
