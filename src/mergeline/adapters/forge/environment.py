"""Which forge the environment names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from mergeline.adapters.forge.base import Forge
from mergeline.errors import ForgeError

_GITHUB_API = "https://api.github.com"
_GITHUB_URL = re.compile(
    r"(?:https://(?:[^@/]+@)?|ssh://git@|git@)github\.com[/:](?P<name>[\w.-]+/[\w.-]+?)(?:\.git)?/?"
)


def forge_from_environment(env: Mapping[str, str], remote_url: str | None) -> Forge | None:
    """The forge that the environment names; None if it names none.

    `MERGELINE_FORGE` is the folder of a `FolderForge`. Otherwise `GITHUB_TOKEN` with
    `GITHUB_REPOSITORY` (or a remote at github.com) and, for another server, `GITHUB_API_URL`: that
    of Gitea or Forgejo ends in `/api/v1`.

    Raises:
        ForgeError: the folder is not a forge's, or `GITHUB_REPOSITORY` is not `owner/name`.
    """
    if folder := env.get("MERGELINE_FORGE"):
        from mergeline.adapters.forge.folder import FolderForge

        return FolderForge(Path(folder))
    token = env.get("GITHUB_TOKEN")
    at_github = _GITHUB_URL.fullmatch(remote_url or "")
    repository = env.get("GITHUB_REPOSITORY") or (at_github and at_github["name"])
    if not token or not repository:
        return None
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise ForgeError(
            f"{repository!r} is not the name of a repository",
            where="GITHUB_REPOSITORY",
            next_step="Write it as owner/name",
        )
    api = env.get("GITHUB_API_URL") or _GITHUB_API
    if api.rstrip("/").endswith("/api/v1"):
        from mergeline.adapters.forge.gitea import GiteaForge

        return GiteaForge(repository, token, api)
    from mergeline.adapters.forge.github import GitHubForge

    return GitHubForge(repository, token, api)
