"""`environments.yaml`: read strictly, and today's way without it."""

from __future__ import annotations

import pytest

from mergeline.core.declare.environments import (
    Deploy,
    Enter,
    Environment,
    Environments,
    GitOps,
    Verify,
    Webhook,
    parse_environments,
)
from mergeline.errors import DeclarationError

AT = "production: {server: http://a"
GIT = "gitops: {repository: a"


def test_without_the_file_servers_follow_the_registry() -> None:
    found = parse_environments("")
    assert found == Environments()
    assert found.production == Environment(None, Deploy(), 60.0, None)


def test_each_environment_says_where_it_serves_who_is_told_and_what_must_hold() -> None:
    found = parse_environments("""
staging:
  server: http://staging:8000
  deploy: {webhook: {url: https://deploy.example.org/late}}
production:
  server: https://score.example.org
  deploy: {gitops: {repository: git@example.org:ops/apps.git, file: late/values.yaml}}
  patience: 600
  verify: {seconds: 300, requests: 100, errors: 0.01, latency_ms: 50}
  enter: {hours: 24, approval: true}
""")
    assert found.staging.deploy == Deploy(webhook=Webhook("https://deploy.example.org/late"))
    assert found.production.deploy.gitops == GitOps(
        "git@example.org:ops/apps.git", "late/values.yaml", "main"
    )
    assert found.production.verify == Verify(300, 100, 0.01, 50)
    assert found.production.enter == Enter(24, approval=True)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("prod: {}", "unknown key 'prod'"),
        ("production: {server: score.example.org}", "production: server: an address"),
        ("staging: {enter: {hours: 1}}", "staging: enter: staging is entered at the merge"),
        ("production: {enter: {hours: -1}}", "production: enter.hours: 0 or more"),
        ("production: {patience: 0}", "production: patience: above 0"),
        ("staging: {verify: {seconds: 60}}", "staging: server: say it"),
        ("production: {deploy: {webhook: {url: https://a.org}}}", "production: server: say it"),
        (
            f"{AT}, deploy: {{webhook: {{url: https://a.org}}, {GIT}, file: b}}}}}}",
            "one of webhook",
        ),
        (f"{AT}, deploy: {{{GIT}, file: ../b}}}}}}", "gitops.file: a file of the repository"),
        (
            f"{AT}, deploy: {{{GIT}, file: b, branch: -f}}}}}}",
            "gitops.branch: the name of a branch",
        ),
        (
            f"{AT}, deploy: {{gitops: {{repository: --upload-pack=x, file: b}}}}}}",
            "gitops.repository: an address",
        ),
        (
            f"{AT}, deploy: {{gitops: {{repository: 'ext::sh -c x', file: b}}}}}}",
            "gitops.repository: an address",
        ),
        ("production: {server: http://a, verify: {seconds: 0}}", "verify.seconds: above 0"),
        (
            "production: {server: http://a, verify: {seconds: 1, errors: 2}}",
            "verify.errors: a share",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, problem: str) -> None:
    with pytest.raises(DeclarationError, match=problem) as caught:
        parse_environments(text)
    assert caught.value.where == "environments.yaml"
