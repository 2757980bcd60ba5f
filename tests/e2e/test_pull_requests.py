"""The shipped workflows on a real forge: what a pull request is told."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.hosted import Hosted

pytestmark = [pytest.mark.forge, pytest.mark.timeout(1800)]
BOT = "gitea-actions"
# What a pull request may write into its own workflow: it calls a refused model a passed one.
FORGE_THE_VERDICT = """\
      - name: Forge the verdict
        if: ${{ !cancelled() }}
        run: |
          cd "$RUNNER_TEMP/bundle"
          sed -i 's/"fail"/"pass"/g' evaluation/*.json
      - name: Leave the bundle
"""
# A fork's job writes with the token that it has.
WRITE_WITH_THE_TOKEN = """\
      - name: Write with the token
        env:
          TOKEN: ${{ github.token }}
          HEAD_SHA: ${{ github.event.pull_request.head.sha }}
        run: |
          curl --silent --header "Authorization: token $TOKEN" \\
            --header "Content-Type: application/json" \\
            --data '{"context": "mergeline", "state": "success", "description": "forged"}' \\
            "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/statuses/$HEAD_SHA"
      - name: Leave the bundle
"""


def add_july(clone: Path) -> None:
    """The README's July: a drop for each table, known by its pointer."""
    script = [sys.executable, "data/drops.py", "--months", "2013-07:2013-07"]
    subprocess.run(script, cwd=clone, check=True, capture_output=True)
    for drop in sorted(clone.glob("data/raw/*/2013-07.csv")):
        content = drop.read_bytes()
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        pointer = f"outs:\n- md5: {md5}\n  size: {len(content)}\n  hash: md5\n  path: {drop.name}\n"
        drop.with_name(f"{drop.name}.dvc").write_text(pointer)


def test_a_pull_request_has_one_comment_and_a_status_from_start_to_end(hosted: Hosted) -> None:
    hosted.branch("july-$(touch${IFS}pwned)-`id`;'\"&|")
    add_july(hosted.clone)
    first = hosted.commit("July")
    number = hosted.propose("July `$(id)` <!-- mergeline:report --> | <b>")
    assert hosted.judged(first) == ("success", "delay: pass"), hosted.tell()
    assert hosted.states(first)[0] == ("pending", "being evaluated")
    [said] = hosted.comments(number)
    assert said["user"]["login"] == BOT
    assert f"head `{first[:7]}`" in said["body"]
    assert "`2013-07.csv`" in said["body"]

    hosted.edit("params.yaml", "max_iter: 60", "max_iter: 50")
    second = hosted.commit("Fewer trees")
    hosted.push()
    assert hosted.judged(second) == ("success", "delay: pass"), hosted.tell()
    [again] = hosted.comments(number)
    assert again["id"] == said["id"]
    assert f"head `{second[:7]}`" in again["body"]

    hosted.edit("params.yaml", "max_iter: 50", "max_iter: 60")
    hosted.git("rm", "-q", *map(str, hosted.clone.glob("data/raw/*/2013-07.csv.dvc")))
    third = hosted.commit("As it was")
    hosted.push()
    assert hosted.judged(third) == ("success", "no model changes"), hosted.tell()
    [shrunk] = hosted.comments(number)
    assert shrunk["id"] == said["id"]
    assert shrunk["body"].endswith(f"At `{third[:7]}` this pull request changes no model.")


def test_a_pull_request_that_changes_no_model_has_a_green_status_and_no_comment(
    hosted: Hosted,
) -> None:
    hosted.branch("words")
    hosted.edit("README.md", "Merge is the release", "A merge is the release")
    head = hosted.commit("Words")
    number = hosted.propose("Words")
    assert hosted.judged(head) == ("success", "no model changes"), hosted.tell()
    assert hosted.states(head)[0] == ("pending", "being evaluated")
    assert hosted.comments(number) == []


def test_a_push_meanwhile_leaves_no_commit_pending_and_one_verdict(hosted: Hosted) -> None:
    hosted.branch("twice")
    hosted.edit("README.md", "Merge is the release", "The merge is the release")
    first = hosted.commit("Words")
    hosted.propose("Words, twice")
    hosted.edit("README.md", "The merge is the release", "A merge releases")
    second = hosted.commit("Better words")
    hosted.push()
    assert hosted.judged(second) == ("success", "no model changes"), hosted.tell()
    assert hosted.judged(first)[0] in {"error", "success"}, hosted.tell()


def test_a_job_that_cannot_be_installed_ends_in_an_error(hosted: Hosted) -> None:
    hosted.branch("broken")
    hosted.edit("uv.lock", "version = 1", "version = 999")
    head = hosted.commit("Break the lock")
    hosted.propose("Break the lock")
    assert hosted.judged(head)[0] == "error", hosted.tell()


def test_a_refused_model_stays_refused_whatever_its_own_job_says(hosted: Hosted) -> None:
    hosted.branch("forged")
    hosted.edit("params.yaml", "min_samples_leaf: 100", "min_samples_leaf: 100000000")
    workflow = ".gitea/workflows/pull-request.yml"
    hosted.edit(workflow, "      - name: Leave the bundle\n", FORGE_THE_VERDICT)
    head = hosted.commit("No tree")
    number = hosted.propose("No tree")
    assert hosted.judged(head) == ("failure", "delay: fail"), hosted.tell()
    [said] = hosted.comments(number)
    assert "❌" in said["body"]


def test_a_fork_is_judged_once_approved_and_its_token_writes_nothing(hosted: Hosted) -> None:
    hosted.branch("from-afar")
    hosted.edit("README.md", "Merge is the release", "Merged is released")
    workflow = ".gitea/workflows/pull-request.yml"
    hosted.edit(workflow, "      - name: Leave the bundle\n", WRITE_WITH_THE_TOKEN)
    head = hosted.commit("From afar", author="mallory")
    number = hosted.propose_from_fork("From afar", "mallory")
    hosted.approve_runs(head)
    assert hosted.judged(head) == ("success", "no model changes"), hosted.tell()
    assert "forged" not in str(hosted.states(head))
    assert hosted.comments(number) == []


def test_a_writer_has_a_broken_evaluation_started_again_by_a_comment(hosted: Hosted) -> None:
    hosted.branch("again")
    hosted.edit("README.md", "Merge is the release", "Merging is the release")
    head = hosted.commit("Other words")
    number = hosted.propose("Other words")
    assert hosted.judged(head) == ("success", "no model changes"), hosted.tell()
    before = len(hosted.states(head))
    hosted.say(number, "mallory", "/mergeline evaluate")
    hosted.say(number, "ben", "/mergeline evaluate")
    answered = hosted.answered(number, beyond=2)
    assert answered["user"]["login"] == BOT
    assert f"`{head[:7]}` is evaluated again" in answered["body"]
    assert hosted.judged(head, beyond=before) == ("success", "no model changes"), hosted.tell()
