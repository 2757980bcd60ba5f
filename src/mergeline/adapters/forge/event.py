"""What GitHub says to a job in a file (`GITHUB_EVENT_PATH`), for which no token is needed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from mergeline.errors import ForgeError


def labels_of_event(env: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the labels of the pull request that a job runs for; empty if it runs for none.

    Raises:
        ForgeError: the file cannot be read, or is not of the form that GitHub gives it.
    """
    path = env.get("GITHUB_EVENT_PATH")
    if not path:
        return ()
    try:
        event = json.loads(Path(path).read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise _unreadable(path, str(error)) from error
    if not isinstance(event, dict):
        raise _unreadable(path, "it is not a JSON object")
    if event.get("pull_request") is None:  # a push, or a merge queue's group
        return ()
    return _names(event["pull_request"], path)


def _names(pull: object, path: str) -> tuple[str, ...]:
    labels = pull.get("labels") if isinstance(pull, dict) else None
    if not isinstance(labels, list):
        raise _unreadable(path, "its pull request has no list of labels")
    names = [label.get("name") if isinstance(label, dict) else None for label in labels]
    named = tuple(name for name in names if isinstance(name, str))
    if len(named) != len(labels):
        raise _unreadable(path, "a label has no name")
    return named


def _unreadable(path: str, why: str) -> ForgeError:
    return ForgeError(
        f"not readable as GitHub's event: {why}",
        where=path,
        next_step="Check GITHUB_EVENT_PATH",
    )
