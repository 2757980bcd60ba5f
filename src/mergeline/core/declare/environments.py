"""`environments.yaml`: where models in staging and in production serve, and what must hold there.

Without the file, one server follows the registry (MERGELINE_SERVER) and has both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from math import isfinite
from pathlib import PurePosixPath
from typing import Literal

from mergeline.core.declare.strict import CORRECT, parse_yaml, read
from mergeline.errors import DeclarationError

ENVIRONMENTS = "environments.yaml"
Name = Literal["staging", "production"]
_ADDRESS = re.compile(r"https?://[^\s/]+(/\S*)?")

_BRANCH = re.compile(r"[\w][\w./-]*")


@dataclass(frozen=True)
class Webhook:
    """An address that is told what shall serve, and sees to it.

    Attributes:
        url: that a release is posted to, as JSON.
    """

    url: str


@dataclass(frozen=True)
class GitOps:
    """A file of a Git repository that says what runs; Argo CD or Flux make it so.

    Attributes:
        repository: its address, as git takes it.
        file: in it. A line that ends with `# mergeline: MODEL` has the image's digest.
        branch: that the file is changed on.
    """

    repository: str
    file: str
    branch: str = "main"


@dataclass(frozen=True)
class Deploy:
    """Who is told what shall serve; at most one. Nobody: the server follows the registry.

    Attributes:
        webhook: an address.
        gitops: a file of a Git repository.
    """

    webhook: Webhook | None = None
    gitops: GitOps | None = None


@dataclass(frozen=True)
class Verify:
    """What must hold for a while after a release; else the former version goes back.

    Attributes:
        seconds: how long it is looked at.
        requests: how many must have been answered, else nothing is known.
        errors: the largest share of requests that fail on the server's side.
        latency_ms: at most so many milliseconds for nearly all (99 %) of the requests.
        positives: the least and the largest share of rows that a binary model says yes to.
    """

    seconds: float
    requests: int = 1
    errors: float | None = None
    latency_ms: float | None = None
    positives: tuple[float, float] | None = None


@dataclass(frozen=True)
class Enter:
    """When a version that was merged goes from staging into production; without it, at once.

    What `staging.verify` declares must have held there in any case.

    Attributes:
        hours: that it must have been in staging.
        approval: whether a person must move it: `mergeline promote MODEL staging production`.
    """

    hours: float = 0.0
    approval: bool = False


@dataclass(frozen=True)
class Environment:
    """Where a model serves.

    Attributes:
        server: address of what answers there.
        deploy: who is told of a release.
        patience: seconds until the server must answer with it.
        verify: what must hold afterwards.
        enter: of production, what must have happened in staging before.
    """

    server: str | None = None
    deploy: Deploy = Deploy()
    patience: float = 60.0
    verify: Verify | None = None
    enter: Enter | None = None


@dataclass(frozen=True)
class Environments:
    """The environments of a project.

    Attributes:
        staging: where a version is tried.
        production: where the champion serves.
    """

    staging: Environment = Environment()
    production: Environment = Environment()

    def named(self, name: Name) -> Environment:
        """The environment of that name."""
        return self.production if name == "production" else self.staging


def parse_environments(text: bytes | str) -> Environments:
    """Read `environments.yaml`.

    Raises:
        DeclarationError: unknown or missing keys, wrong types, or parts that contradict each other.
    """
    found = read(Environments, parse_yaml(text, where=ENVIRONMENTS), where=ENVIRONMENTS)
    both: tuple[Name, Name] = ("staging", "production")
    problems = (f"{name}: {problem}" for name in both for problem in _problems(found.named(name)))
    if problem := next(chain(problems, _enter_problems(found)), None):
        raise DeclarationError(problem, where=ENVIRONMENTS, next_step=CORRECT)
    return found


def _problems(environment: Environment) -> Iterator[str]:
    deploy = environment.deploy
    if environment.server is not None and not _ADDRESS.fullmatch(environment.server):
        yield "server: an address, https://HOST"
    if not (isfinite(environment.patience) and environment.patience > 0):
        yield "patience: above 0, and finite"
    if (deploy != Deploy() or environment.verify) and environment.server is None:
        yield "server: say it, for what answers there is asked"
    if environment.verify:
        yield from _verify_problems(environment.verify)
    yield from _deploy_problems(deploy)


def _enter_problems(found: Environments) -> Iterator[str]:
    enter = found.production.enter
    if found.staging.enter is not None:
        yield "staging: enter: staging is entered at the merge"
    if enter and not (isfinite(enter.hours) and enter.hours >= 0):
        yield "production: enter.hours: 0 or more, and finite"


def _deploy_problems(deploy: Deploy) -> Iterator[str]:
    webhook, gitops = deploy.webhook, deploy.gitops
    if webhook and gitops:
        yield "deploy: one of webhook and gitops"
    if webhook and not _ADDRESS.fullmatch(webhook.url):
        yield "deploy.webhook.url: an address, https://HOST/PATH"
    if gitops:
        file = PurePosixPath(gitops.file)
        if file.is_absolute() or {"..", ".git"} & {*file.parts} or not file.parts:
            yield "deploy.gitops.file: a file of the repository"
        if gitops.repository.startswith("-") or "::" in gitops.repository:
            yield "deploy.gitops.repository: an address, as git takes it"
        if not _BRANCH.fullmatch(gitops.branch) or ".." in gitops.branch:
            yield "deploy.gitops.branch: the name of a branch"


def _verify_problems(verify: Verify) -> Iterator[str]:
    low, high = verify.positives or (0.0, 1.0)
    if not 0 <= low <= high <= 1:
        yield "verify.positives: the least share and the largest, from 0 to 1"
    if not (isfinite(verify.seconds) and verify.seconds > 0):
        yield "verify.seconds: above 0, and finite"
    if verify.requests < 0:
        yield "verify.requests: 0 or more"
    if verify.errors is not None and not 0 <= verify.errors <= 1:
        yield "verify.errors: a share, from 0 to 1"
    if verify.latency_ms is not None and not (
        isfinite(verify.latency_ms) and verify.latency_ms > 0
    ):
        yield "verify.latency_ms: above 0, and finite"
