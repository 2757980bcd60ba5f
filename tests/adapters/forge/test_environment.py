"""Which forge an environment names."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mergeline.adapters.forge.environment import forge_from_environment
from mergeline.adapters.forge.folder import FolderForge
from mergeline.adapters.forge.gitea import GiteaForge
from mergeline.adapters.forge.github import GitHubForge
from mergeline.errors import ForgeError
from tests.support.forge_worlds import FolderWorld


def where(env: dict[str, str], remote: str | None = None) -> str | None:
    forge = forge_from_environment(env, remote)
    assert forge is None or isinstance(forge, GitHubForge)
    return forge.where if forge else None


@pytest.mark.parametrize("api", ["https://git.example.org/api/v1", "http://127.0.0.1/api/v1/"])
def test_gitea_and_forgejo_are_known_by_the_path_of_their_api(api: str) -> None:
    env = {"GITHUB_REPOSITORY": "octo/flights", "GITHUB_TOKEN": "t", "GITHUB_API_URL": api}
    forge = forge_from_environment(env, None)
    assert isinstance(forge, GiteaForge)
    assert forge.where == f"{api.rstrip('/')}/repos/octo/flights"


def test_a_job_on_github_is_known_by_its_variables() -> None:
    env = {"GITHUB_REPOSITORY": "octo/flights", "GITHUB_TOKEN": "t"}
    assert where(env) == "https://api.github.com/repos/octo/flights"
    env["GITHUB_API_URL"] = "https://git.example.org/api/v3"
    assert where(env) == "https://git.example.org/api/v3/repos/octo/flights"


@pytest.mark.parametrize(
    "remote",
    [
        "git@github.com:octo/flights.git",
        "ssh://git@github.com/octo/flights.git",
        "https://github.com/octo/flights",
        "https://x-access-token:abc@github.com/octo/flights.git",
    ],
)
def test_a_clone_of_a_github_repository_needs_the_token_only(remote: str) -> None:
    found = where({"GITHUB_TOKEN": "t"}, remote)
    assert found == "https://api.github.com/repos/octo/flights"


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"GITHUB_REPOSITORY": "octo/flights"},
        {"GITHUB_TOKEN": "t"},
        {"GITHUB_TOKEN": "", "GITHUB_REPOSITORY": "octo/flights", "MERGELINE_FORGE": ""},
    ],
)
def test_without_a_token_or_a_repository_there_is_no_forge(env: dict[str, str]) -> None:
    assert where(env, "https://git.example.org/octo/flights") is None


def test_a_folder_wins(folder: FolderWorld) -> None:
    env = {"MERGELINE_FORGE": str(folder.path), "GITHUB_TOKEN": "t", "GITHUB_REPOSITORY": "a/b"}
    assert isinstance(forge_from_environment(env, None), FolderForge)


def test_a_repository_that_is_no_name_is_refused() -> None:
    with pytest.raises(ForgeError, match="owner/name"):
        where({"GITHUB_TOKEN": "t", "GITHUB_REPOSITORY": "https://github.com/octo/flights"})


def test_asking_for_the_forge_does_not_import_pygithub() -> None:
    check = "import sys, mergeline.adapters.forge; sys.exit('github' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
