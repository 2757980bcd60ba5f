"""What is Gitea's own, on a real one."""

from __future__ import annotations

import pytest
import requests

from mergeline.adapters.forge.gitea import GiteaForge
from mergeline.errors import ForgeError, NotFoundError
from tests.support.forge_worlds import GiteaWorld


@pytest.mark.forge
def test_the_rules_of_a_repository_are_read_by_its_administrator(gitea: GiteaWorld) -> None:
    rule = {
        "rule_name": "main",
        "enable_status_check": True,
        "status_check_contexts": ["mergeline"],
        "block_on_outdated_branch": True,
    }
    gitea.call("POST", "/branch_protections", rule)
    tags = {"name_pattern": "release/**", "whitelist_usernames": ["owner"]}
    gitea.call("POST", "/tag_protections", tags)
    found = gitea.forge("owner").settings("main")
    assert (found.required, found.up_to_date) == (("mergeline",), True)
    assert found.protected_tags == ("release/**",)
    assert not found.has_environments
    seen = gitea.forge().settings("main")
    assert (seen.required, seen.up_to_date, seen.protected_tags) == (("mergeline",), None, None)


@pytest.mark.forge
def test_who_may_push_may_write(gitea: GiteaWorld) -> None:
    forge = gitea.forge("owner")
    assert forge.may_write("owner")
    assert forge.may_write("ana")
    assert not forge.may_write("github-actions")
    assert not forge.may_write("nobody")
    for_a_job = gitea.forge()  # whose token is not an administrator's either
    assert for_a_job.may_write("ana")
    assert not for_a_job.may_write("github-actions")


@pytest.mark.forge
def test_a_workflow_that_never_ran_for_a_commit_is_said_to_be_missing(gitea: GiteaWorld) -> None:
    with pytest.raises(NotFoundError, match=r"pull-request\.yml never ran"):
        gitea.forge().run_again("pull-request.yml", "a" * 40)


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"number": "seven"}', b"null"])
def test_an_answer_of_another_form_is_refused_in_one_line(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = requests.Response()
    found.status_code, found._content = 200, answer
    monkeypatch.setattr(requests.Session, "request", lambda *_, **__: found)
    with pytest.raises(ForgeError, match="in a form that is not its API's") as caught:
        GiteaForge("a/b", "secret", "http://forge.example.org/api/v1").pull_request(1)
    assert "GITHUB_API_URL" in caught.value.next_step
    assert "secret" not in str(caught.value)


def test_a_forge_that_is_not_there_is_said_in_one_line() -> None:
    forge = GiteaForge("a/b", "secret", "http://127.0.0.1:9/api/v1", patient=False)
    with pytest.raises(ForgeError, match="cannot be reached") as caught:
        forge.pull_request(1)
    assert "secret" not in str(caught.value)
