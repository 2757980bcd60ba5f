"""What only GitHub does: pages, identities, races between requests, refusals."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from mergeline.adapters.forge.base import Settings
from mergeline.adapters.forge.github import GitHubForge
from mergeline.core.report.one_comment import Stamp
from mergeline.errors import ForgeError, MergelineError, NotFoundError
from tests.support.forge_worlds import GitHubWorld
from tests.support.github_server import REPOSITORY

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_who_approved_last_and_did_not_take_it_back_is_an_approver(github: GitHubWorld) -> None:
    number = github.open("More trees")
    github.server.rules = {
        f"/pulls/{number}/reviews": [
            {"user": {"login": login}, "state": state}
            for login, state in [
                ("bo", "CHANGES_REQUESTED"), ("bo", "APPROVED"), ("bo", "COMMENTED"),
                ("cy", "APPROVED"), ("cy", "DISMISSED"), ("di", "COMMENTED"), ("al", "APPROVED"),
            ]
        ]
    }  # fmt: skip
    assert github.forge().approvers(number) == ("al", "bo")
    url = f"https://github.com/{REPOSITORY}/pull/{number}"
    assert github.forge().pull_request(number).url == url


def test_two_runs_that_both_saw_no_report_leave_one(github: GitHubWorld) -> None:
    number = github.open("More trees")
    head = github.server.pulls[number].head
    both_looked = threading.Barrier(2, timeout=10)
    looks = Counter[int]()

    def before(line: str) -> None:
        if line.startswith("POST") and line.endswith("/comments"):
            looks[threading.get_ident()] += 1
            both_looked.wait()

    github.server.before = before
    runs = [
        threading.Thread(
            target=github.forge().upsert_report,
            args=(
                number,
                f"Report {index}.",
                Stamp("report", head, NOON + timedelta(minutes=index)),
            ),
        )
        for index in (1, 0)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert len(looks) == 2
    assert [note.body.split("\n")[1] for note in github.server.notes] == ["Report 1."]


def test_a_token_that_is_no_jobs_keeps_one_report_too() -> None:
    world = GitHubWorld(token="a-robot")
    number = world.open("More trees")
    head = world.server.pulls[number].head
    for text in ("One.", "Two."):
        world.forge().upsert_report(number, text, Stamp("report", head, datetime.now(UTC)))
    world.server.close()
    notes = [(note.author, note.body.split("\n")[1]) for note in world.server.notes]
    assert notes == [("robot", "Two.")]


def test_the_second_report_takes_no_more_requests_than_it_needs(github: GitHubWorld) -> None:
    number = github.open("More trees")
    head = github.server.pulls[number].head
    github.forge().upsert_report(number, "One.", Stamp("report", head, NOON))
    github.server.requests.clear()
    later = NOON + timedelta(seconds=1)
    github.forge().upsert_report(number, "Two.", Stamp("report", head, later))
    kinds = Counter(line.split("/")[0] + line.rsplit("/", 1)[1] for line in github.server.requests)
    assert kinds["PATCH 1"] == 1
    assert sum(kinds.values()) == 7  # who we are (2), look and head twice, write


def test_a_comment_that_another_run_removed_meanwhile_is_written_again(github: GitHubWorld) -> None:
    number = github.open("More trees")
    head = github.server.pulls[number].head
    github.forge().upsert_report(number, "One.", Stamp("report", head, NOON))

    def remove_before_edit(line: str) -> None:
        if line.startswith("PATCH"):
            github.server.notes.clear()

    github.server.before = remove_before_edit
    later = NOON + timedelta(seconds=1)
    github.forge().upsert_report(number, "Two.", Stamp("report", head, later))
    assert [note.body.split("\n")[1] for note in github.server.notes] == ["Two."]


def test_the_status_says_what_was_meant_in_one_line(github: GitHubWorld) -> None:
    head = github.server.pulls[github.open("More trees")].head
    github.forge().set_status(head, "failure", "worse\n" * 100, "https://example.org/run")
    (status,) = github.server.statuses
    assert (status["sha"], status["state"], status["context"]) == (head, "failure", "mergeline")
    assert status["target_url"] == "https://example.org/run"
    assert len(status["description"]) == 140
    assert status["description"].endswith("…")


def test_a_merged_pull_request_wins_over_an_open_one_stacked_on_it(github: GitHubWorld) -> None:
    number = github.open("Base of the stack")
    (commit,) = github.merge(number, "squash")
    stacked = github.open("On top")
    github.server.pulls[stacked].commits.insert(0, commit)
    found = github.forge().pull_request_of(commit)
    assert found is not None
    assert found.number == number


def test_the_pull_request_of_a_forks_commit_is_found_although_github_names_none(
    github: GitHubWorld,
) -> None:
    number = github.open("From afar")
    github.open("Another")
    github.server.pulls[number].fork = True
    found = github.forge().pull_request_of(github.server.pulls[number].head)
    assert found is not None
    assert (found.number, found.fork) == (number, True)
    assert not github.forge().pull_request(number + 1).fork


def test_a_fault_that_passes_is_ridden_out(github: GitHubWorld) -> None:
    number = github.open("More trees")
    github.server.faults = [(502, {"message": "Server Error"}, {})] * 2
    assert github.forge().pull_request(number).number == number


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, {"message": "Bad credentials"}, ForgeError, ("token", "GITHUB_TOKEN")),
        (
            403,
            {"message": "Resource not accessible by integration"},
            ForgeError,
            ("not accessible", "permissions"),
        ),
        (404, {"message": "Not Found"}, NotFoundError, ("no such", "token may read")),
        (
            410,
            {"message": "This issue was deleted"},
            NotFoundError,
            ("deleted", "Check the number"),
        ),
        (
            422,
            {"message": "Validation Failed", "errors": [{"code": "x"}]},
            ForgeError,
            ("Failed (x)", "Correct"),
        ),
        (500, {"message": "Oh no"}, ForgeError, ("errors of its own", "Run again")),
        (200, ["not", "a", "pull"], ForgeError, ("form", "GITHUB_API_URL")),
        (200, {"number": "seven", "title": None}, ForgeError, ("form", "GITHUB_API_URL")),
    ],
)
def test_a_refusal_is_one_line_with_the_next_step(
    github: GitHubWorld,
    status: int,
    body: object,
    kind: type[MergelineError],
    words: tuple[str, str],
) -> None:
    number = github.open("More trees")
    github.server.faults = [(status, body, {})] * 9
    with pytest.raises(kind) as caught:
        github.forge().pull_request(number)
    assert words[0] in caught.value.message
    assert words[1] in caught.value.next_step
    assert "\n" not in str(caught.value)


def test_an_answer_of_another_form_is_said_while_a_report_is_kept(github: GitHubWorld) -> None:
    number = github.open("More trees")
    head = github.server.pulls[number].head

    def before(line: str) -> None:
        if line.startswith("GET /user"):
            github.server.faults = [(200, ["another", "form"], {})]

    github.server.before = before
    with pytest.raises(ForgeError, match="in a form that is not its API's"):
        github.forge().upsert_report(number, "One.", Stamp("report", head, NOON))


def test_a_mistake_of_our_own_is_not_said_to_be_githubs(
    github: GitHubWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("ours")

    number = github.open("More trees")
    monkeypatch.setattr("mergeline.adapters.forge.base.converge", broken)
    with pytest.raises(KeyError, match="ours"):
        github.forge().upsert_report(number, "One.", Stamp("report", "a" * 40, NOON))


def test_a_used_up_rate_limit_is_said_at_once(github: GitHubWorld) -> None:
    number = github.open("More trees")
    reset = int((datetime.now(UTC) + timedelta(hours=1)).timestamp())
    message = {"message": "API rate limit exceeded for installation ID 1."}
    github.server.faults = [(403, message, {"X-RateLimit-Reset": str(reset)})]
    with pytest.raises(ForgeError, match="rate limit") as caught:
        github.forge().pull_request(number)
    assert "hour" in caught.value.next_step


def test_no_server_there_is_said(github: GitHubWorld) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        forge = GitHubForge(REPOSITORY, "a-job", url, patient=False)
        with pytest.raises(ForgeError, match="cannot be reached") as caught:
            forge.pull_request(1)
    assert url in str(caught.value)


def test_the_token_never_appears_in_an_error(github: GitHubWorld) -> None:
    forge = GitHubForge(REPOSITORY, "s3cr3t-token", github.url, patient=False)
    with pytest.raises(ForgeError) as caught:
        forge.pull_request(1)
    assert "s3cr3t" not in f"{caught.value!r}{caught.value.__cause__!r}"


@pytest.mark.slow
def test_prism_would_tell_a_request_that_github_does_not_take(described: GitHubWorld) -> None:
    head = described.server.pulls[described.open("More trees")].head
    with pytest.raises(ForgeError, match="422"):
        described.forge().set_status(head, "excellent", "Better")  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_rules_of_a_repository_are_read_as_github_describes_them(
    examples: GitHubForge,
) -> None:
    found = examples.settings("main")
    seen = (found.public, found.required, found.protected_tags, found.environments)
    assert None not in (*seen, found.jobs_may_write), found
    assert found.environments


@pytest.mark.slow
def test_a_run_is_started_again_and_a_writer_known_as_github_describes_it(
    examples: GitHubForge,
) -> None:
    assert examples.run_again("pull-request.yml", "a" * 40).startswith("https://github.com/")
    assert examples.may_write("ana")
    examples.note("a" * 40, "asked", "ana: attribution")


def test_the_rules_of_a_repository_are_read_from_rulesets(github: GitHubWorld) -> None:
    checks = {
        "strict_required_status_checks_policy": True,
        "required_status_checks": [{"context": "mergeline"}, {"context": "ci"}],
    }
    ruleset = {
        "id": 5,
        "enforcement": "active",
        "rules": [{"type": "creation"}],
        "conditions": {"ref_name": {"include": ["refs/tags/release/**"], "exclude": []}},
    }
    policies = {"production": {"protected_branches": True}, "tracking": None}
    github.server.rules = {
        "": {"private": False},
        "/rules/branches/main": [
            {"type": "required_status_checks", "parameters": checks},
            {"type": "pull_request", "parameters": {"require_code_owner_review": True}},
        ],
        "/rulesets": [{"id": 5}, {"id": 6}],
        "/rulesets/5": ruleset,
        "/rulesets/6": {**ruleset, "id": 6, "enforcement": "disabled"},
        "/environments": {
            "environments": [
                {"name": name, "deployment_branch_policy": policy}
                for name, policy in policies.items()
            ]
        },
        "/actions/permissions/workflow": {"default_workflow_permissions": "read"},
    }
    assert github.forge().settings("main") == Settings(
        public=True,
        required=("mergeline", "ci"),
        up_to_date=True,
        owners_review=True,
        protected_tags=("release/**",),
        environments={"production": True, "tracking": False},
        jobs_may_write=False,
    )


def test_the_rules_of_an_older_kind_are_read_too(github: GitHubWorld) -> None:
    github.server.rules = {
        "/branches/main": {"protection": {"required_status_checks": {"contexts": ["mergeline"]}}},
        "/branches/main/protection": {
            "required_status_checks": {"strict": True},
            "required_pull_request_reviews": {"require_code_owner_reviews": True},
        },
    }
    found = github.forge().settings("main")
    assert (found.required, found.up_to_date, found.owners_review) == (("mergeline",), True, True)
    assert (found.environments, found.jobs_may_write) == (None, None)


def test_the_newest_run_for_a_commit_is_started_again(github: GitHubWorld) -> None:
    runs = "/repos/octo/flights/actions/runs"
    newest = {"id": 9, "url": github.url + runs + "/9", "html_url": "https://github.com/r/9"}
    github.server.rules = {
        "/actions/workflows/pull-request.yml/runs": {
            "total_count": 2,
            "workflow_runs": [newest, {**newest, "id": 8}],
        },
    }
    assert github.forge().run_again("pull-request.yml", "a" * 40) == "https://github.com/r/9"
    assert github.server.requests[-1] == f"POST {runs}/9/rerun"


def test_a_workflow_that_never_ran_for_a_commit_is_said_to_be_missing(github: GitHubWorld) -> None:
    github.server.rules = {
        "/actions/workflows/pull-request.yml/runs": {"total_count": 0, "workflow_runs": []},
    }
    with pytest.raises(NotFoundError, match=r"pull-request\.yml never ran") as caught:
        github.forge().run_again("pull-request.yml", "a" * 40)
    assert caught.value.next_step


@pytest.mark.parametrize(("level", "may"), [("admin", True), ("write", True), ("read", False)])
def test_who_may_push_may_write(github: GitHubWorld, level: str, *, may: bool) -> None:
    github.server.rules = {"/collaborators/ana/permission": {"permission": level, "user": {}}}
    assert github.forge().may_write("ana") is may
    assert not github.forge().may_write("nobody")
