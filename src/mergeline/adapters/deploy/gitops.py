"""A file of a Git repository that says what runs; Argo CD or Flux make it so."""

from __future__ import annotations

import base64
import re
import tempfile
from pathlib import Path

from mergeline.adapters.deploy.base import Wanted
from mergeline.core.declare.environments import GitOps
from mergeline.errors import DeployError, GitError
from mergeline.system.git_command import run_git

_TRIES = 5
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NUMBER = re.compile(r"(?<![\w.])\d+(?![\w.])")
_AUTHOR = ("-c", "user.name=mergeline", "-c", "user.email=mergeline@localhost")


class GitOpsTarget:
    """Changes the marked lines of the file, and pushes that as a commit.

    A line that ends with `# mergeline: MODEL` has the image's digest, one that ends with
    `# mergeline: MODEL version` the version's number. All else in the file stays as it is.

    Args:
        gitops: as it is declared.
        token: of an address by https; None leaves it to git's own credentials.
    """

    def __init__(self, gitops: GitOps, token: str | None) -> None:
        self._declared = gitops
        self._where = f"{gitops.repository} ({gitops.branch}: {gitops.file})"
        self._environment: dict[str, str] = {}
        if token and gitops.repository.lower().startswith("https://"):
            word = base64.b64encode(f"x-access-token:{token}".encode()).decode()
            self._environment = {  # no argument, which other processes could read
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "http.extraHeader",
                "GIT_CONFIG_VALUE_0": f"Authorization: Basic {word}",
            }

    def deploy(self, wanted: Wanted) -> None:
        """Commit the digest, unless the file has it; whoever pushed meanwhile is not overwritten.

        Raises:
            DeployError: there is no image, no marked line, or git refuses.
        """
        if not wanted.image:
            raise DeployError(
                f"{wanted.model} v{wanted.version} has no image to be deployed",
                where=self._where,
                next_step="Name `serving.base` in the model's declaration, and a registry in "
                "MERGELINE_STORE",
            )
        for attempt in range(_TRIES):
            with tempfile.TemporaryDirectory(prefix="mergeline-") as scratch:
                try:
                    self._commit(wanted, Path(scratch))
                except GitError as error:
                    if "[rejected]" in error.message and attempt + 1 < _TRIES:
                        continue  # somebody has pushed meanwhile
                    raise DeployError(
                        error.message,
                        where=self._where,
                        next_step="Check its address and who may push to it; the token of an "
                        "https address is in MERGELINE_DEPLOY_TOKEN",
                    ) from error
                return

    def _commit(self, wanted: Wanted, scratch: Path) -> None:
        declared = self._declared
        clone = scratch / "clone"
        self._git(
            "clone", "--quiet", "--depth", "1", "--single-branch", "--branch", declared.branch,
            "--", declared.repository, str(clone), cwd=scratch,
        )  # fmt: skip
        file = clone / declared.file
        # A link could lead out of the clone.
        if not file.is_file() or not file.resolve().is_relative_to(clone.resolve()):
            raise DeployError(
                "there is no such file", where=self._where, next_step="Correct environments.yaml"
            )
        with file.open(encoding="utf-8", newline="") as opened:
            before = opened.read()
        after = written(before, wanted, where=self._where)
        if after == before:
            return
        file.write_text(after, encoding="utf-8", newline="")
        subject = f"{wanted.model} v{wanted.version} in {wanted.environment}"
        body = f"Image: {wanted.image}\nModel: {wanted.model_digest}\nFrom: mergeline release"
        self._git(*_AUTHOR, "commit", "--quiet", "--all", "-m", subject, "-m", body, cwd=clone)
        self._git("push", "--quiet", "origin", f"HEAD:refs/heads/{declared.branch}", cwd=clone)

    def _git(self, *arguments: str, cwd: Path) -> None:
        run_git(arguments, cwd=cwd, env=self._environment)


def written(text: str, wanted: Wanted, *, where: str) -> str:
    """The file with the digest and the version in its marked lines.

    Raises:
        DeployError: no line is marked for the digest, or one has no digest.
    """
    model = re.escape(wanted.model)
    digest_mark = re.compile(rf"#\s*mergeline:\s*{model}\s*$")
    version_mark = re.compile(rf"#\s*mergeline:\s*{model}\s+version\s*$")
    marked, lines = 0, []
    for line in text.splitlines(keepends=True):
        if digest_mark.search(line):
            marked += 1
            line, changed = _DIGEST.subn(wanted.image.partition("@")[2], line)  # noqa: PLW2901
            if not changed:
                raise DeployError(
                    f"the line that is marked for {wanted.model} has no digest (sha256:…)",
                    where=where,
                    next_step="Name the image there by its digest",
                )
        elif mark := version_mark.search(line):
            value = _NUMBER.sub(str(wanted.version), line[: mark.start()])
            line = value + line[mark.start() :]  # noqa: PLW2901
        lines.append(line)
    if not marked:
        raise DeployError(
            f"no line is marked for {wanted.model}",
            where=where,
            next_step=f"End the line of the image's digest with: # mergeline: {wanted.model}",
        )
    return "".join(lines)
