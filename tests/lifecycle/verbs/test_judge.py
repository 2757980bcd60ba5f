"""The verdict on what an untrusted job left: computed here, whatever the job says of itself."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mergeline.adapters.bundles import digests, read_candidate, read_evaluation
from mergeline.adapters.models.confined import confined_model
from mergeline.adapters.models.folder import model_digest
from mergeline.core.gate.verdict import Situation
from mergeline.core.report.content import Report, read_report
from mergeline.errors import BundleError, MergelineError
from mergeline.lifecycle.steps import scoring
from mergeline.lifecycle.steps.evaluation import Evaluated
from mergeline.lifecycle.steps.smoke_test import ask_its_server
from mergeline.lifecycle.verbs.judge import judge
from mergeline.lifecycle.verbs.track import track
from mergeline.system.digests import file_sha256
from tests.adapters.models.test_confined import by_value, hostile
from tests.support.line import Line
from tests.support.parcels import WORSE
from tests.support.stand_ins import smoke_test_by


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


@pytest.mark.slow
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


def test_other_bytes_of_a_fingerprint_that_the_store_knows_are_refused(court: Line) -> None:
    """Only training again could tell which of the two the tree makes."""
    track(court.project(), court.bundle, say=court.say)
    pickled = next((court.bundle / "candidate" / "model").glob("*.pkl"))
    estimator = cloudpickle.loads(pickled.read_bytes())
    estimator[-1].coef_ = estimator[-1].coef_ * 2
    pickled.write_bytes(cloudpickle.dumps(estimator))
    _write_digests(court.bundle, model_digest=model_digest(pickled.parent))
    with pytest.raises(BundleError, match=r"the store has model .* of this fingerprint") as caught:
        judged(court)
    assert "mergeline reproduce" in str(caught.value)
    assert report_of(court).kind == "failed"


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow  # real children
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os; os._exit(0)", "ends its process instead of answering"),
        ("import os; os.kill(os.getppid(), 9)", "Operation not permitted"),
        ("while True: __import__('os').fork()", "Operation not permitted"),
        ("held = [bytearray(10**8) for _ in range(200)]", "MemoryError"),
        ("print('::error::owned'); raise ValueError('\\n::error::owned')", ":error:owned"),
        (f"open({str(Path.cwd() / '.git/config')!r}).read()", "cannot score these rows"),
    ],
)
def test_what_a_hostile_model_does_is_a_finding_of_the_report(
    court: Line,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    code: str,
    said: str,
) -> None:
    # The stand-ins would load it in this process.
    monkeypatch.setattr(scoring, "confined_model", confined_model)
    smoke_test_by(monkeypatch, ask_its_server)
    pickled = next((court.bundle / "candidate" / "model").glob("*.pkl"))
    with by_value():
        pickled.write_bytes(cloudpickle.dumps(hostile(code)))
    _write_digests(court.bundle, model_digest=model_digest(pickled.parent))
    [evaluated] = judged(court)
    assert not evaluated.passed
    verdict = evaluated.report.verdict
    assert verdict is not None
    assert said in " ".join(reason.text for reason in verdict.reasons)
    shown = court.markdown(evaluated) + "".join(court.said) + "".join(capfd.readouterr())
    assert "::error" not in shown


ODD: st.SearchStrategy[Any] = st.sampled_from([
    None, True, -1, 0, 1.5, 2**70, "", "x", "a/../../b", "::error::x", "\ud800", "\x00", "0" * 64,
    [], {}, [[]], {"": ""}, "9" * 5_000,
])  # fmt: skip


@dataclass(frozen=True)
class Mangling:
    """Something that a job could have done to the bundle that it leaves."""

    how: str
    pick: int
    odd: Any
    name: str
    with_digests: bool

    def __call__(self, bundle: Path) -> None:
        if self.how == "value":
            path = bundle / "manifest.json"
            document = json.loads(path.read_text())
            places = [*_places(document)]
            holder, key = places[self.pick % len(places)]
            holder[key] = self.odd
            path.write_text(json.dumps(document))
            return
        files = sorted(path for path in bundle.rglob("*") if path.is_file())
        self._change(files[self.pick % len(files)])
        if self.with_digests:  # as a forger does, where what is left is a candidate at all
            candidate = bundle / "candidate"
            with contextlib.suppress(ValueError, KeyError, OSError, BundleError):
                rows = file_sha256(candidate / "holdout.parquet")
                digest = model_digest(candidate / "model")
                _write_digests(bundle, model_digest=digest, holdout_digest=rows)

    def _change(self, path: Path) -> None:
        content = path.read_bytes()
        at = self.pick % (len(content) + 1)
        if self.how == "byte":
            path.write_bytes(content[:at] + bytes([self.pick % 256]) + content[at + 1 :])
        elif self.how == "cut":
            path.write_bytes(content[:at])
        elif self.how == "another":
            with contextlib.suppress(OSError, UnicodeEncodeError):
                (path.parent / self.name).write_bytes(content)
        else:
            path.unlink()
            if self.how == "folder":
                path.mkdir()
            elif self.how == "link":
                path.symlink_to("/etc/passwd")


MANGLINGS = st.builds(
    Mangling,
    how=st.sampled_from(["value", "byte", "cut", "gone", "another", "folder", "link"]),
    pick=st.integers(0, 10**6),
    odd=ODD,
    name=st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=80),
    with_digests=st.booleans(),
)


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, inner in [*items]:
        yield document, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


@pytest.mark.slow  # judges a bundle a hundred times
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(mangle=MANGLINGS)
def test_a_mangled_bundle_is_judged_rightly_or_refused_in_one_line(
    clone: Line, mangle: Mangling
) -> None:
    clone.check_out_pull(3)
    with tempfile.TemporaryDirectory(dir=clone.root) as scratch:
        bundle, into = Path(scratch) / "bundle", Path(scratch) / "judged"
        shutil.copytree(clone.bundle, bundle)
        mangle(bundle)
        refused, evaluated = "", []
        try:
            evaluated = judge(clone.project(), bundle, into=into, say=clone.say)
        except MergelineError as error:
            refused = str(error)
        report = read_report((into / "evaluation/report.json").read_bytes(), where="it")
        assert "\n" not in refused
        assert (report.kind is Situation.FAILED) == (refused != "")
        if evaluated:
            assert evaluated[0].report.fingerprint == read_candidate(clone.bundle).fingerprint
            read_candidate(into)
            read_evaluation(into)


@pytest.mark.slow  # evaluates twice
def test_a_metric_that_a_change_adds_waits_and_one_that_it_edits_is_the_base_s(line: Line) -> None:
    """The judge runs neither: the change's own job runs what it likes."""
    ran = line.root / "ran"
    running = f"def rate(labels, probabilities):\n    open({str(ran)!r}, 'w')\n    return 0.25\n"
    line.branch("metric")
    line.write("pipelines/scores.py", running)
    own = "{name: pipelines.scores.rate, greater_is_better: true}"
    line.edit("models/late.yaml", "neg_log_loss]", f"neg_log_loss, {own}]")
    line.commit("A metric of our own")
    number = line.push("metric")
    added, said = judged_without(line, number, ran)
    assert added == {}
    assert "pipelines.scores.rate is new: it is measured once merged" in said
    line.merge(number)
    line.branch("better-metric")
    line.edit("pipelines/scores.py", "return 0.25", "return 1.0")
    line.edit("params.yaml", "C: 1.0", "C: 3.0")
    line.commit("A better metric")
    edited, said = judged_without(line, line.push("better-metric"), None)
    assert edited == {"pipelines.scores.rate": 0.25}
    assert "the code of pipelines.scores.rate changed" in said


def judged_without(line: Line, number: int, ran: Path | None) -> tuple[dict[str, Any], list[str]]:
    """What the judge measures of the project's own, and says of the bar; its job ran before."""
    line.check_out_pull(number)
    bundle = line.root / f"bundle-{number}"
    line.evaluate(bundle=bundle, MERGELINE_PULL_REQUEST=str(number))
    if ran:
        ran.unlink()
    [evaluated] = judged(line, bundle)
    assert ran is None or not ran.exists()
    assert evaluated.report.comparison is not None
    values = {
        one.name: one.values["candidate"].value
        for one in evaluated.report.comparison.metrics
        if one.name.startswith("pipelines.")
    }
    return values, [moved.text for moved in evaluated.report.moved]
