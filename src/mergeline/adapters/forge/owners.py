"""Who must look at a change of a file, by CODEOWNERS."""

from __future__ import annotations

import re
from collections.abc import Iterator

_WORD = re.compile(r"(?:\\.|[^\s\\])+")


def owners_on_github(text: str, path: str) -> tuple[str, ...]:
    """Who owns a file by GitHub's rules: the last line that matches counts, also one without owner.

    Source: https://docs.github.com/articles/about-code-owners.
    """
    owners: tuple[str, ...] = ()
    for pattern, named in _lines(text):
        if _matches(pattern, path):
            owners = tuple(named)
    return owners


def owners_on_gitea(text: str, path: str) -> tuple[str, ...]:
    """Who owns a file by Gitea's rules: the owners of each line whose regular expression matches.

    Source: https://docs.gitea.com/usage/code-owners.
    """
    owners: list[str] = []
    for pattern, named in _lines(text):
        without = pattern.startswith("!")
        try:
            matched = re.fullmatch(pattern.removeprefix("!"), path) is not None
        except re.error:
            continue
        if matched != without:
            owners += named
    return tuple(dict.fromkeys(owners))


def _lines(text: str) -> Iterator[tuple[str, list[str]]]:
    """Pattern and owners of each line that has a pattern."""
    for line in text.splitlines():
        pattern, *named = _WORD.findall(re.split(r"(?<!\S)#", line)[0]) or [""]
        if pattern:
            yield pattern, named


def _matches(pattern: str, path: str) -> bool:
    """As `.gitignore` has it; but a `*` at the end does not reach into folders."""
    from pathspec import GitIgnoreSpec

    if pattern.startswith("!") or "[" in pattern:  # GitHub passes over them
        return False
    if pattern.endswith("/*") and "**" not in pattern:
        anchored = pattern if pattern.startswith("/") else f"/{pattern}"
        if path.count("/") != anchored.count("/") - 1:
            return False
    return GitIgnoreSpec.from_lines([pattern]).match_file(path)
