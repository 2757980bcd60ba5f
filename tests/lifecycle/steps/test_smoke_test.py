"""What the process that loads an unreviewed model gets to see."""

from __future__ import annotations

from mergeline.lifecycle.steps.smoke_test import without_secrets


def test_a_smoke_test_sees_none_of_the_release_s_secrets() -> None:
    needed = {"PATH": "/bin", "LC_ALL": "C", "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
    others = {
        "GITHUB_TOKEN": "t", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s",
        "MLFLOW_TRACKING_URI": "postgresql://user:password@host/db", "PGPASSWORD": "p",
        "GITHUB_ENV": "what later steps read", "SSH_AUTH_SOCK": "/agent", "HOME": "/netrc/there",
        "https_proxy": "http://user:password@proxy", "SOMETHING_NEW": "x",
    }  # fmt: skip
    assert without_secrets({**needed, **others}) == needed
