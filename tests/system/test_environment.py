"""What a command for another repository inherits."""

from __future__ import annotations

import subprocess

from mergeline.system.environment import without_repository

KEPT = {"GIT_CONFIG_COUNT", "GIT_CONFIG_PARAMETERS"}


def test_all_that_git_calls_local_is_dropped_but_for_settings() -> None:
    said = subprocess.run(
        ["git", "rev-parse", "--local-env-vars"], capture_output=True, text=True, check=True
    )
    environment = dict.fromkeys([*said.stdout.split(), "GIT_CONFIG_KEY_0", "PATH"], "x")
    assert without_repository(environment).keys() == {*KEPT, "GIT_CONFIG_KEY_0", "PATH"}
