"""Who asks for the split of a difference into the data's part and the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mergeline.errors import GitError
from tests.support.line import Line
from tests.support.parcels import BETTER, drop


@pytest.fixture
def mixed(line: Line) -> Line:
    """A branch with a new drop and another param, pushed."""
    line.branch("mixed")
    line.add_drops(4)
    line.edit(*BETTER)
    line.commit("A month more, and a smaller C")
    line.git("push", "--quiet", "origin", "mixed")
    return line


def opened(line: Line, *labels: str) -> int:
    return line.forge.as_user("ana").open("Mixed", head="mixed", labels=labels).number


def event(line: Line, *labels: str) -> str:
    """Of a job without a forge, as a pull request's job on GitHub is."""
    path = line.root / "event.json"
    pull = {"number": 7, "labels": [{"name": name} for name in labels]}
    path.write_text(json.dumps({"action": "labeled", "pull_request": pull}))
    return str(path)


def evaluated(line: Line, **environment: str) -> Any:
    line.check_out("origin/mixed")
    return line.evaluate(bundle=line.root / "found", **environment).report.attribution


def test_the_label_of_a_pull_request_on_the_forge_asks_for_it(mixed: Line) -> None:
    number = opened(mixed, "data", "attribution")
    found = evaluated(mixed, MERGELINE_PULL_REQUEST=str(number))
    assert [share.metric for share in found.shares] == ["roc_auc", "neg_log_loss"]
    assert len(mixed.quick.runs) == 2


@pytest.mark.slow
def test_a_comment_of_a_writer_asks_for_it(mixed: Line) -> None:
    head = mixed.git("rev-parse", "HEAD")
    mixed.forge.note(head, "asked", "ana: attribution")
    assert evaluated(mixed, MERGELINE_HEAD=head).shares
    assert len(mixed.quick.runs) == 2


@pytest.mark.slow
def test_the_label_in_the_event_file_asks_for_it_without_a_token(mixed: Line) -> None:
    found = evaluated(
        mixed, MERGELINE_FORGE="", GITHUB_EVENT_PATH=event(mixed, "data", "attribution")
    )
    assert [share.metric for share in found.shares] == ["roc_auc", "neg_log_loss"]
    assert len(mixed.quick.runs) == 2


@pytest.mark.slow
def test_the_declaration_asks_for_it_too(mixed: Line) -> None:
    mixed.edit("models/late.yaml", "task: binary", "task: binary\nattribution: true")
    mixed.commit("Always split")
    mixed.git("push", "--quiet", "origin", "mixed")
    found = evaluated(mixed, MERGELINE_PULL_REQUEST=str(opened(mixed)))
    assert [share.metric for share in found.shares] == ["roc_auc", "neg_log_loss"]
    assert len(mixed.quick.runs) == 2


@pytest.mark.slow
def test_nobody_need_ask_where_the_data_alone_were_trained_on_before(mixed: Line) -> None:
    mixed.branch("april")
    mixed.add_drops(4)
    mixed.commit("The month alone")
    mixed.review(mixed.push("april"))
    assert evaluated(mixed, MERGELINE_PULL_REQUEST=str(opened(mixed))).shares
    assert len(mixed.quick.runs) == 2  # the month alone, and all


@pytest.mark.slow
def test_a_replaced_drop_and_another_contract_are_split_too(line: Line) -> None:
    line.branch("mixed")
    line.add_drops(3, made=lambda month: drop(month, rows=300))
    line.edit("data/parcels.yaml", "weight: {type: float64, min: 0}", "weight: {type: float64}")
    line.edit(*BETTER)
    line.commit("Another March, another contract, and a smaller C")
    line.git("push", "--quiet", "origin", "mixed")
    found = evaluated(line, MERGELINE_PULL_REQUEST=str(opened(line, "attribution")))
    assert [share.metric for share in found.shares] == ["roc_auc", "neg_log_loss"]


@pytest.mark.slow
def test_a_split_that_fails_costs_no_verdict(mixed: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise GitError("no luck")

    monkeypatch.setattr("mergeline.lifecycle.steps.attribution._data_only", fails)
    number = opened(mixed, "attribution")
    assert evaluated(mixed, MERGELINE_PULL_REQUEST=str(number)) is None
    assert "the difference is not split: no luck" in mixed.said


@pytest.mark.slow
def test_without_the_label_nothing_more_is_trained(mixed: Line) -> None:
    number = opened(mixed, "data")
    path = event(mixed, "data")
    assert evaluated(mixed, MERGELINE_PULL_REQUEST=str(number), GITHUB_EVENT_PATH=path) is None
    assert len(mixed.quick.runs) == 1


@pytest.mark.slow
def test_an_event_file_that_cannot_be_read_is_said_and_asks_for_nothing(
    mixed: Line, tmp_path: Path
) -> None:
    broken = tmp_path / "event.json"
    broken.write_text("{")
    assert evaluated(mixed, GITHUB_EVENT_PATH=str(broken)) is None
    assert any("GITHUB_EVENT_PATH" in text for text in mixed.said)
