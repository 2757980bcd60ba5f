"""The labels that GitHub names in a job's event file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mergeline.adapters.forge.event import Written, comment_of_event, labels_of_event
from mergeline.errors import ForgeError


def labels(tmp_path: Path, event: Any) -> tuple[str, ...]:
    path = tmp_path / "event.json"
    path.write_text(event if isinstance(event, str) else json.dumps(event))
    return labels_of_event({"GITHUB_EVENT_PATH": str(path)})


def test_the_labels_of_the_pull_request_are_read(tmp_path: Path) -> None:
    named = [{"id": 1, "name": "attribution", "color": "ededed"}, {"id": 2, "name": "data"}]
    event = {"action": "labeled", "pull_request": {"number": 7, "labels": named}}
    assert labels(tmp_path, event) == ("attribution", "data")


@pytest.mark.parametrize(
    "event", [{"ref": "refs/heads/main"}, {"merge_group": {}}, {"pull_request": {"labels": []}}]
)
def test_an_event_without_a_pull_request_or_labels_has_none(tmp_path: Path, event: Any) -> None:
    assert labels(tmp_path, event) == ()


@pytest.mark.parametrize("path", ["", "nowhere.json"])
def test_away_from_github_there_are_none(tmp_path: Path, path: str) -> None:
    assert labels_of_event({}) == ()
    assert labels_of_event({"GITHUB_EVENT_PATH": path and str(tmp_path / path)}) == ()


@pytest.mark.parametrize(
    "event",
    [
        "{",
        "[]",
        {"pull_request": []},
        {"pull_request": {}},
        {"pull_request": {"labels": "attribution"}},
        {"pull_request": {"labels": ["attribution"]}},
        {"pull_request": {"labels": [{"name": None}]}},
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, event: Any) -> None:
    with pytest.raises(ForgeError, match="Check GITHUB_EVENT_PATH") as refusal:
        labels(tmp_path, event)
    assert refusal.value.where.endswith("event.json")


def written(tmp_path: Path, **changes: Any) -> Written | None:
    event = {
        "action": "created",
        "issue": {"number": 7, "pull_request": {"url": "https://forge.example.org"}},
        "comment": {"body": "/mergeline retry", "user": {"login": "ana"}},
    }
    path = tmp_path / "event.json"
    path.write_text(json.dumps(event | changes))
    return comment_of_event({"GITHUB_EVENT_PATH": str(path)})


def test_the_comment_that_started_a_job_is_read(tmp_path: Path) -> None:
    assert written(tmp_path) == Written(7, "ana", "/mergeline retry")


@pytest.mark.parametrize(
    "changes",
    [{"action": "edited"}, {"issue": {"number": 7}}, {"comment": {"body": "Hello", "user": None}}],
)
def test_a_comment_that_was_edited_or_is_of_no_pull_request_is_none(
    tmp_path: Path, changes: Any
) -> None:
    assert written(tmp_path, **changes) is None
