"""What GitHub says to a job in a file (`GITHUB_EVENT_PATH`), for which no token is needed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mergeline.errors import ForgeError


@dataclass(frozen=True)
class Written:
    """A comment that was written under a pull request."""

    pull_request: int
    author: str
    text: str


def comment_of_event(env: Mapping[str, str]) -> Written | None:
    """The comment whose being written started a job; None if something else did.

    Raises:
        ForgeError: the file cannot be read, or is not of the form that GitHub gives it.
    """
    match _event(env):
        case {
            "action": "created",
            "issue": {"number": int(number), "pull_request": {}},
            "comment": {"body": str(text), "user": {"login": str(author)}},
        }:
            return Written(number, author, text)
    return None


def labels_of_event(env: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the labels of the pull request that a job runs for; empty if it runs for none.

    Raises:
        ForgeError: the file cannot be read, or is not of the form that GitHub gives it.
    """
    path = env.get("GITHUB_EVENT_PATH", "")
    match _event(env):
        case {"pull_request": {"labels": [*labels]}}:
            entries = [label.get("name") for label in labels if isinstance(label, dict)]
            names = tuple(name for name in entries if isinstance(name, str))
            if len(names) != len(labels):
                raise _unreadable(path, "a label has no name")
            return names
        case {"pull_request": pull_request} if pull_request is not None:
            raise _unreadable(path, "its pull request has no list of labels")
        case _:  # a push, or a merge queue's group
            return ()


def _event(env: Mapping[str, str]) -> dict[str, Any]:
    """What the file holds; empty where this is no job."""
    path = env.get("GITHUB_EVENT_PATH")
    if not path:
        return {}
    try:
        event = json.loads(Path(path).read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise _unreadable(path, str(error)) from error
    if not isinstance(event, dict):
        raise _unreadable(path, "it is not a JSON object")
    return event


def _unreadable(path: str, why: str) -> ForgeError:
    return ForgeError(
        f"not readable as GitHub's event: {why}",
        where=path,
        next_step="Check GITHUB_EVENT_PATH",
    )
