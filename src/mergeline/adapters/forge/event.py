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
    match event:
        case {"pull_request": {"labels": [*labels]}}:
            entries = [label.get("name") for label in labels if isinstance(label, dict)]
            names = tuple(name for name in entries if isinstance(name, str))
            if len(names) != len(labels):
                raise _unreadable(path, "a label has no name")
            return names
        case {"pull_request": pull_request} if pull_request is not None:
            raise _unreadable(path, "its pull request has no list of labels")
        case {}:  # a push, or a merge queue's group
            return ()
        case _:
            raise _unreadable(path, "it is not a JSON object")


def _unreadable(path: str, why: str) -> ForgeError:
    return ForgeError(
        f"not readable as GitHub's event: {why}",
        where=path,
        next_step="Check GITHUB_EVENT_PATH",
    )
