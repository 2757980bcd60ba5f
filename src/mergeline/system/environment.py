"""What a command for one Git repository may inherit of an environment made for another."""

from __future__ import annotations

from collections.abc import Mapping

# `git rev-parse --local-env-vars` of git 2.39 and later: what git sets for hooks, and asks to be
# cleared before another repository is entered. GIT_CONFIG_PARAMETERS and GIT_CONFIG_COUNT are in
# its list and not in this one: they carry a person's or a workflow's settings and credentials.
_OF_ONE_REPOSITORY = frozenset({
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_CONFIG", "GIT_DIR",
    "GIT_GRAFT_FILE", "GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NO_REPLACE_OBJECTS", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE", "GIT_WORK_TREE",
})  # fmt: skip


def without_repository(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without what leads git back to the repository whose hook runs."""
    return {name: value for name, value in environment.items() if name not in _OF_ONE_REPOSITORY}
