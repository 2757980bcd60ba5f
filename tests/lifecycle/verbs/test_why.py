"""`why`: from a served answer's digest back to pull request, people, data, params and report."""

from __future__ import annotations

import pytest

from mergeline.adapters.forge.folder import FolderForge
from mergeline.cli.show import why_lines
from mergeline.errors import NotFoundError
from mergeline.lifecycle.verbs.promote import promote
from mergeline.lifecycle.verbs.why import why
from tests.support.line import Line, entry_of
from tests.support.parcels import MODEL


def test_an_answer_s_digest_leads_to_pull_request_people_data_params_and_report(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FolderForge, "approvers", lambda *_: ("rex", "bo"))
    merged = line.merge(1)
    page = entry_of(line.release())
    line.branch("back")
    line.git("revert", "--no-edit", merged)
    line.merge(line.push("back"))
    line.release()
    project = line.project(MLFLOW_TRACKING_URI="http://127.0.0.1:9")  # nobody asks MLflow
    [found] = why(project, page.model_digest[:12])
    assert (found.model, found.version, found.fingerprint) == (MODEL, 2, page.fingerprint)
    assert found.brought_by == page
    assert (page.pull_request, page.approved_by) == (1, ("rex", "bo"))
    assert [(time.entry.sequence, time.until is None) for time in found.times] == [(2, False)]
    assert found.params["train.C"] == 0.5
    assert [use.rows for use in found.snapshots] == [1200]
    assert found.evaluation is not None
    assert found.evaluation.verdict == "pass"
    said = "\n".join(why_lines(found))
    for part in (
        "late v2\n", page.model_digest, " s, in place of v1 (release/late/0002)",
        "pull request #1", f"{merged[:12]} better", page.author, "approved by  rex, bo",
        "late may replace v1", "parcels snapshot ", "train.C: 0.5",
        f"mergeline report {page.fingerprint[:12]}",
    ):  # fmt: skip
        assert part in said
    [first] = why(project, MODEL)  # what is in production
    assert [time.entry.sequence for time in first.times] == [1, 3]
    assert first.times[-1].seconds is None


@pytest.mark.slow
def test_a_version_that_was_staged_before_its_release_names_who_brought_it(line: Line) -> None:
    promote(line.project(), MODEL, "origin/better", "Staging", plan_only=False, say=line.say)
    line.merge(1)
    page = entry_of(line.release())
    [found] = why(line.project(), page.model_digest)
    assert [time.entry.stage for time in found.times] == ["Staging", "Production"]
    assert found.brought_by == page


def test_a_candidate_that_was_never_in_a_stage_is_traced_too(line: Line) -> None:
    [candidate] = [
        run for run in line.project().tracking.candidates(MODEL) if run.pull_request == 2
    ]
    [found] = why(line.project(), f"sha256:{candidate.model_digest.upper()}")
    assert (found.version, found.brought_by, found.times) == (None, None, ())
    assert found.evaluation is not None
    assert found.evaluation.verdict == "fail"
    said = "\n".join(why_lines(found))
    assert "never in a stage" in said
    assert "#2" in said


def test_what_is_no_model_and_no_digest_is_said(line: Line) -> None:
    for what in ("lte", "0" * 12, "a"):
        with pytest.raises(NotFoundError, match="nor a model's digest"):
            why(line.project(), what)
