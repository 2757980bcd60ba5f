"""A quick run on part of the data: told, marked, and nothing that could be released."""

from __future__ import annotations

from pathlib import Path

import pytest

from mergeline.core.report.content import read_report
from mergeline.errors import DeclarationError
from mergeline.lifecycle.verbs.evaluate import evaluate
from mergeline.lifecycle.verbs.judge import judge
from mergeline.lifecycle.verbs.track import track
from tests.support.line import Line
from tests.support.parcels import BETTER, MODEL

MARKED = "a sample of 1 of 4 drops was evaluated, which cannot be released: roc_auc 0."


@pytest.fixture
def proposed(line: Line) -> Line:
    """A pull request of a smaller C and a fourth month."""
    line.branch("sampled")
    line.add_drops(4)
    line.edit(*BETTER)
    line.commit("A month more, and a smaller C")
    line.git("push", "--quiet", "origin", "sampled")
    line.check_out("origin/sampled")
    return line


def told(bundle: Path) -> str:
    """The failure that a bundle's report tells of."""
    report = read_report((bundle / "evaluation" / "report.json").read_bytes(), where="report.json")
    assert report.verdict is None
    assert report.failure is not None
    return report.failure.message


@pytest.mark.slow
def test_a_sample_that_a_writer_asks_for_is_told_and_nothing_of_it_goes_on(proposed: Line) -> None:
    head = proposed.git("rev-parse", "HEAD")
    proposed.forge.note(head, "asked", "ana: sample")
    bundle, judged = proposed.root / "found", proposed.root / "judged-sample"
    before = proposed.project().store.known()
    project = proposed.project(MERGELINE_HEAD=head)
    assert evaluate(project, bundle=bundle, say=lambda _: None) == []
    assert told(bundle).startswith(MARKED)
    assert "(production 0." in told(bundle)
    assert not (bundle / "candidate").exists()

    assert judge(proposed.project(), bundle, into=judged, say=lambda _: None) == []
    assert MARKED in told(judged)
    assert track(proposed.project(), judged, say=lambda _: None) == []
    assert proposed.project().store.known() == before


@pytest.mark.slow
def test_a_sample_is_another_candidate_than_the_whole(proposed: Line) -> None:
    said: list[str] = []
    assert evaluate(proposed.project(), sample=True, say=said.append) == []
    assert any(text.startswith(f"{MODEL}: {MARKED}") for text in said)
    whole = proposed.evaluate(bundle=proposed.root / "whole")
    assert whole.report.run is not None
    assert whole.report.run.trained


def test_where_there_is_no_part_to_take_that_is_said(line: Line) -> None:
    line.branch("single")
    for month in (1, 2):
        line.git("rm", "--quiet", f"data/raw/parcels/2024-{month:02d}.csv.dvc")
    line.commit("One month only")
    line.git("push", "--quiet", "origin", "single")
    line.check_out("origin/single")
    with pytest.raises(DeclarationError, match="each table has a single pointer") as caught:
        evaluate(line.project(), sample=True, say=lambda _: None)
    assert "dvc add" in caught.value.next_step
