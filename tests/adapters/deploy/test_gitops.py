"""GitOps against a real second repository."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mergeline.adapters.deploy import Wanted, open_target
from mergeline.adapters.deploy.gitops import GitOpsTarget
from mergeline.core.declare.environments import Deploy, GitOps
from mergeline.errors import DeployError

OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
VALUES = f"""\
# What runs.
late:
    image: ghcr.io/acme/parcels@{OLD} # mergeline: late
    version: "1"   # mergeline: late version
other:
  image: ghcr.io/acme/parcels@{OLD} # mergeline: later
"""
WANTED = Wanted("production", "late", 2, "f" * 64, "d" * 64, f"ghcr.io/acme/parcels@{NEW}")


@pytest.fixture(autouse=True)
def _own_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")


def git(*arguments: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=Ops", "-c", "user.email=ops@example.org", *map(str, arguments)],
        cwd=cwd, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture
def ops(tmp_path: Path) -> Path:
    """A bare repository whose main has the file."""
    bare, clone = tmp_path / "ops.git", tmp_path / "clone"
    git("init", "--quiet", "--bare", "--initial-branch", "main", bare, cwd=tmp_path)
    git("clone", "--quiet", bare, clone, cwd=tmp_path)
    (clone / "apps").mkdir()
    (clone / "apps/values.yaml").write_text(VALUES)
    git("checkout", "--quiet", "-B", "main", cwd=clone)
    git("add", "--all", cwd=clone)
    git("commit", "--quiet", "--message", "Apps", cwd=clone)
    git("push", "--quiet", "origin", "main", cwd=clone)
    return bare


def target(ops: Path, file: str = "apps/values.yaml", branch: str = "main") -> GitOpsTarget:
    made = open_target(Deploy(gitops=GitOps(str(ops), file, branch)), {})
    assert isinstance(made, GitOpsTarget)
    return made


def test_the_marked_lines_get_digest_and_version_and_all_else_stays(ops: Path) -> None:
    target(ops).deploy(WANTED)
    text = VALUES.replace(f"{OLD} # mergeline: late\n", f"{NEW} # mergeline: late\n")
    expected = text.replace('"1"   # mergeline', '"2"   # mergeline')
    assert git("show", "main:apps/values.yaml", cwd=ops) + "\n" == expected
    said = git("log", "-1", "--format=%an|%s|%b", "main", cwd=ops)
    assert said.startswith("mergeline|late v2 in production|Image: ghcr.io/acme/parcels@sha256:bbb")


def test_asked_twice_it_commits_once(ops: Path) -> None:
    target(ops).deploy(WANTED)
    target(ops).deploy(WANTED)
    assert git("rev-list", "--count", "main", cwd=ops) == "2"


def test_who_pushed_meanwhile_is_not_overwritten(
    ops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody pushes between the clone and the push."""
    made, real = target(ops), GitOpsTarget._git
    raced: list[str] = []

    def racing(self: GitOpsTarget, *arguments: str, cwd: Path) -> None:
        if arguments[0] == "push" and not raced:
            raced.append("theirs")
            clone = tmp_path / "clone"
            (clone / "README").write_text("theirs")
            git("add", "--all", cwd=clone)
            git("commit", "--quiet", "--message", "Theirs", cwd=clone)
            git("push", "--quiet", "origin", "HEAD:main", cwd=clone)
        real(self, *arguments, cwd=cwd)

    monkeypatch.setattr(GitOpsTarget, "_git", racing)
    made.deploy(WANTED)
    subjects = git("log", "--format=%s", "main", cwd=ops).splitlines()
    assert subjects == ["late v2 in production", "Theirs", "Apps"]


def test_what_cannot_be_written_is_said_and_changes_nothing(ops: Path, tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="no image to be deployed"):
        target(ops).deploy(Wanted("production", "late", 2, "f" * 64, "d" * 64))
    with pytest.raises(DeployError, match="there is no such file"):
        target(ops, "apps/none.yaml").deploy(WANTED)
    with pytest.raises(DeployError, match="no line is marked for new"):
        target(ops).deploy(Wanted("production", "new", 1, "f" * 64, "d" * 64, WANTED.image))
    with pytest.raises(DeployError, match="Remote branch live not found"):
        target(ops, branch="live").deploy(WANTED)
    with pytest.raises(DeployError, match="does not exist"):
        target(tmp_path / "nowhere.git").deploy(WANTED)
    clone = tmp_path / "clone"
    (clone / "out").symlink_to("/etc/hostname")
    (clone / "plain.yaml").write_text("image: late:latest # mergeline: late\n")
    git("add", "--all", cwd=clone)
    git("commit", "--quiet", "--message", "More", cwd=clone)
    git("push", "--quiet", "origin", "HEAD:main", cwd=clone)
    with pytest.raises(DeployError, match="there is no such file"):
        target(ops, "out").deploy(WANTED)
    with pytest.raises(DeployError, match="marked for late has no digest"):
        target(ops, "plain.yaml").deploy(WANTED)
    assert git("rev-list", "--count", "main", cwd=ops) == "2"


def test_a_branch_that_takes_no_push_is_said_as_such(ops: Path) -> None:
    hook = ops / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'protected branch' >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(DeployError, match="protected branch") as caught:
        target(ops).deploy(WANTED)
    assert "who may push" in caught.value.next_step
    assert git("rev-list", "--count", "main", cwd=ops) == "1"


def test_the_token_is_no_argument_and_only_of_https() -> None:
    secret = {"MERGELINE_DEPLOY_TOKEN": "s3cret"}
    by_https = open_target(Deploy(gitops=GitOps("https://example.org/ops.git", "a")), secret)
    by_http = open_target(Deploy(gitops=GitOps("http://example.org/ops.git", "a")), secret)
    assert isinstance(by_https, GitOpsTarget)
    assert isinstance(by_http, GitOpsTarget)
    assert by_https._environment["GIT_CONFIG_KEY_0"] == "http.extraHeader"
    assert by_http._environment == {}
