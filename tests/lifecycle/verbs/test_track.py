"""`track`: what an untrusted job left is checked, never run, and then found by everyone."""

from __future__ import annotations

import dataclasses
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mergeline.adapters.bundles import (
    digests,
    manifest_digest,
    read_candidate,
    read_evaluation,
    write_candidate,
    write_evaluation,
)
from mergeline.adapters.forge.base import PullRequest
from mergeline.adapters.forge.folder import FolderForge
from mergeline.adapters.models.folder import model_digest
from mergeline.cli.show import planned_tracking_lines, release_lines
from mergeline.core.release.bundle import EVALUATION_FILES, Candidate, Evaluation
from mergeline.errors import BundleError, DeclarationError, MergelineError
from mergeline.lifecycle.verbs.comment import comment
from mergeline.lifecycle.verbs.track import plan_tracking, track
from tests.support.line import Line, content_of, entry_of
from tests.support.parcels import MODEL


@pytest.fixture
def bundle(clone: Line) -> Path:
    """What the job of pull request 3 left."""
    return clone.bundle


def test_a_tracked_bundle_is_released_without_training(line: Line) -> None:
    bundle = line.bundle
    fingerprint = read_candidate(bundle).fingerprint
    [tracked] = track(line.project(), bundle, say=line.say)
    assert tracked.fingerprint == fingerprint
    assert tracked.run_id is not None
    assert line.project().tracking.run(tracked.run_id).pull_request == 3
    line.merge(3)
    done = line.release()
    assert release_lines(done) == ["late v2 is in production"]
    assert entry_of(done).run_id == tracked.run_id
    assert line.quick.runs == []


def test_the_candidate_of_a_fork_stays_out_of_the_store(
    clone: Line, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = PullRequest(3, "a" * 40, open=True, fork=True)
    monkeypatch.setattr(FolderForge, "pull_request_of", lambda *_: found)
    assert track(clone.project(MERGELINE_HEAD="a" * 40), bundle, say=clone.say) == []
    fingerprint = read_candidate(bundle).fingerprint
    assert clone.project().store.find(MODEL, fingerprint) is None


def test_a_bundle_is_tracked_once(line: Line) -> None:
    bundle = line.bundle
    [first] = track(line.project(), bundle, say=line.say)
    [again] = track(line.project(), bundle, say=line.say)
    assert again == first
    assert len(line.project().store.known()) == 4
    assert len(line.project().tracking.candidates(MODEL)) == 4


def planned_line(line: Line) -> str:
    [planned] = plan_tracking(line.project(), line.bundle, say=line.say)
    [text] = planned_tracking_lines(planned)
    return text


def test_what_is_tracked_already_leaves_an_empty_plan_and_is_not_logged_again(line: Line) -> None:
    planned = planned_line(line)
    assert planned.endswith("and its evaluation (pass) would be stored")
    track(line.project(), line.bundle, say=line.say)
    before = content_of(line.state / "artifacts"), content_of(line.state / "store")
    planned = planned_line(line)
    assert planned.endswith("are in the store; nothing to do")
    said: list[str] = []
    track(line.project(), line.bundle, say=said.append)
    assert said == [planned]
    assert (content_of(line.state / "artifacts"), content_of(line.state / "store")) == before


def test_another_evaluation_of_a_tracked_candidate_is_planned_and_logged(line: Line) -> None:
    track(line.project(), line.bundle, say=line.say)
    reasons = tuple(f"{number}: {'because ' * 100}" for number in range(20))
    forge(line.bundle, evaluation=lambda one: dataclasses.replace(one, reasons=reasons))
    planned = planned_line(line)
    assert planned.endswith("its evaluation (pass) would be stored")
    said: list[str] = []
    track(line.project(), line.bundle, say=said.append)
    assert said[0].startswith("storing the evaluation of late")
    planned = planned_line(line)
    assert planned.endswith("nothing to do")


def test_what_was_tracked_comes_back_byte_for_byte(line: Line) -> None:
    bundle = line.bundle
    from mergeline.lifecycle.steps.candidates import fetch

    [tracked] = track(line.project(), bundle, say=line.say)
    shutil.rmtree(line.state / "candidates")
    stored = line.project().store.find(MODEL, tracked.fingerprint)
    assert stored is not None
    fetched = fetch(line.project(), stored)
    assert content_of(fetched.folder / "candidate") == content_of(bundle / "candidate")


# --- a bundle that is not what it says ------------------------------------------------------------

FILES = [
    "candidate/model/model.pkl",
    "candidate/model/MLmodel",
    "candidate/holdout.parquet",
    "candidate/training_rows.parquet",
    "evaluation/report.json",
    "evaluation/report.md",
    "evaluation/report.html",
    "evaluation/predictions.parquet",
]


def refuses(line: Line, bundle: Path, match: str) -> None:
    """Nothing is logged, and the reason is said."""
    before = line.kept()
    with pytest.raises(MergelineError, match=match) as caught:
        track(line.project(), bundle, say=line.say)
    assert isinstance(caught.value, BundleError | DeclarationError)
    assert line.kept() == before


@pytest.mark.parametrize("name", FILES)
def test_an_altered_file_is_refused(clone: Line, bundle: Path, name: str) -> None:
    file = bundle / name
    file.write_bytes(file.read_bytes() + b" ")
    refuses(clone, bundle, f"{name} is not what the bundle's digests say")
    file.unlink()
    refuses(clone, bundle, f"{name} is missing")
    file.mkdir()
    (file / "more").write_text("")
    refuses(clone, bundle, "is missing|is named nowhere")


def test_a_file_that_no_digest_names_is_refused(clone: Line, bundle: Path) -> None:
    (bundle / "candidate" / "model" / "more.py").write_text("")
    refuses(clone, bundle, "more.py is named nowhere")


def test_a_link_is_refused(clone: Line, bundle: Path) -> None:
    file = bundle / "evaluation" / "report.md"
    file.unlink()
    file.symlink_to("/etc/hostname")
    refuses(clone, bundle, "not a plain file")


def test_an_altered_manifest_is_refused(clone: Line, bundle: Path) -> None:
    file = bundle / "manifest.json"
    file.write_text(file.read_text().replace('"roc_auc": 0.', '"roc_auc": 1.'))
    refuses(clone, bundle, "the evaluation is of another candidate")


@pytest.mark.parametrize("name", ["manifest.json", "evaluation.json"])
@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', "\udcff", '{"surprise": 1}'])
def test_a_document_that_cannot_be_read_is_refused(
    clone: Line, bundle: Path, name: str, text: str
) -> None:
    (bundle / name).write_bytes(text.encode(errors="surrogateescape"))
    refuses(clone, bundle, name)


def test_another_form_of_bundle_is_refused(clone: Line, bundle: Path) -> None:
    file = bundle / "manifest.json"
    file.write_text(file.read_text().replace('"format": 1', '"format": 2'))
    refuses(clone, bundle, "format 2 is not format 1")


def forge(
    bundle: Path,
    candidate: Callable[[Candidate], Candidate] = lambda one: one,
    evaluation: Callable[[Evaluation], Evaluation] = lambda one: one,
) -> None:
    """Write a bundle whose digests agree, as somebody does who knows how."""
    one, other = read_candidate(bundle), read_evaluation(bundle)
    write_candidate(bundle, candidate(one))
    files = digests(bundle, EVALUATION_FILES)
    whole = dataclasses.replace(other, manifest=manifest_digest(bundle), files=files)
    write_evaluation(bundle, evaluation(whole))


FORGED: dict[str, tuple[dict[str, Any], str]] = {
    "a fingerprint": ({"fingerprint": "f" * 64}, "fingerprint is not that of the ingredients"),
    "params": ({"params": {"train.C": 7}}, "params are not those of the ingredients"),
    "a model digest": ({"model_digest": "d" * 64}, "model is not the one that the manifest names"),
    "a model's name": ({"model": "../../up"}, "is no model's name"),
    "another's name": ({"model": "other"}, "the declaration is another model's"),
}


@pytest.mark.parametrize(("parts", "match"), FORGED.values(), ids=FORGED.keys())
def test_a_forged_manifest_is_refused(
    clone: Line, bundle: Path, parts: dict[str, Any], match: str
) -> None:
    forge(bundle, candidate=lambda one: dataclasses.replace(one, **parts))
    refuses(clone, bundle, match)


@pytest.mark.parametrize("said", ["../../up", "2024-01-01", "yesterday", ""])
def test_a_forged_time_is_refused(clone: Line, bundle: Path, said: str) -> None:
    forge(bundle, evaluation=lambda one: dataclasses.replace(one, evaluated_at=said))
    refuses(clone, bundle, "invalid or has no time zone")


def test_a_bundle_does_not_replace_the_model_that_was_tracked(line: Line) -> None:
    """The same fingerprint with other bytes: one of the two is not what its tree makes."""
    bundle = line.bundle
    track(line.project(), bundle, say=line.say)
    model = bundle / "candidate" / "model"
    estimator = pickle.loads((model / "model.pkl").read_bytes())
    estimator[-1].coef_ = estimator[-1].coef_ * 2
    (model / "model.pkl").write_bytes(pickle.dumps(estimator))
    digest = model_digest(model)
    forge_files(bundle, lambda one: dataclasses.replace(one, model_digest=digest))
    refuses(line, bundle, "is stored with another model already")


def forge_files(bundle: Path, candidate: Callable[[Candidate], Candidate]) -> None:
    """As `forge`, where the candidate's files were altered too."""
    from mergeline.core.declare.strict import read_json
    from mergeline.core.release.bundle import Manifest

    manifest = read_json(Manifest, (bundle / "manifest.json").read_text(), where="manifest")
    evaluation = read_json(Evaluation, (bundle / "evaluation.json").read_text(), where="evaluation")
    write_candidate(bundle, candidate(manifest.candidate))
    write_evaluation(bundle, dataclasses.replace(evaluation, manifest=manifest_digest(bundle)))


class Trap:
    """Writes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.path, "sprung"))


def test_a_model_is_neither_loaded_by_track_nor_by_comment(line: Line, tmp_path: Path) -> None:
    bundle = line.bundle
    sprung = tmp_path / "sprung"
    model = bundle / "candidate" / "model"
    (model / "model.pkl").write_bytes(pickle.dumps(Trap(sprung)))
    digest = model_digest(model)
    forge_files(bundle, lambda one: dataclasses.replace(one, model_digest=digest))
    track(line.project(), bundle, say=line.say)
    comment(line.project(), bundle, say=line.say)
    assert not sprung.exists()
    pickle.loads((model / "model.pkl").read_bytes())
    assert sprung.exists()


def test_a_folder_that_is_no_bundle_is_refused(clone: Line, tmp_path: Path) -> None:
    refuses(clone, tmp_path / "nothing", "no bundle here")
    (tmp_path / "folder").mkdir()
    refuses(clone, tmp_path / "folder", "no bundle here")


def test_a_bundle_of_a_failed_run_has_nothing_to_track(clone: Line, tmp_path: Path) -> None:
    (tmp_path / "bundle" / "evaluation").mkdir(parents=True)
    (tmp_path / "bundle" / "evaluation" / "report.json").write_text("{}")
    said: list[str] = []
    assert track(clone.project(), tmp_path / "bundle", say=said.append) == []
    assert said == ["the evaluation failed: there is no candidate to track"]


def test_a_folder_of_bundles_is_tracked_one_by_one(line: Line) -> None:
    bundle = line.bundle
    (bundle.parent / "both").mkdir()
    bundle.rename(bundle.parent / "both" / "late")
    [run] = track(line.project(), bundle.parent / "both", say=line.say)
    assert run.model == "late"
