"""What only the folder does: it merges by itself, and its files can be read by anyone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mergeline.adapters.forge.folder import FolderForge
from mergeline.errors import DeclarationError, ForgeError, NotFoundError
from tests.support.forge_worlds import FolderWorld


def test_a_folder_without_a_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ForgeError, match=r"repository\.git"):
        FolderForge(tmp_path)


def test_a_squash_merge_leaves_one_commit_with_the_pull_requests_name(folder: FolderWorld) -> None:
    number = folder.open("More trees")
    folder.push(number)
    commit = folder.forge().merge(number)
    assert folder._git("log", "-1", "--format=%s", commit) == f"More trees (#{number})"
    assert len(folder._git("ls-tree", "--name-only", commit).split()) == 3
    assert folder._git("rev-parse", "main") == commit


def test_a_merged_pull_request_keeps_its_head_when_the_branch_is_gone(folder: FolderWorld) -> None:
    number = folder.open("More trees")
    head = folder.push(number)
    branch = folder._branch(number)
    folder.merge(number, "squash")
    folder._git("update-ref", "-d", f"refs/heads/{branch}")
    found = folder.forge().pull_request(number)
    assert (found.head_sha, found.open) == (head, False)


def test_a_second_merge_is_refused(folder: FolderWorld) -> None:
    number = folder.open("More trees")
    folder.merge(number, "squash")
    with pytest.raises(ForgeError, match="merged"):
        folder.forge().merge(number)


def test_what_stands_red_beside_the_head_keeps_it_from_being_merged(folder: FolderWorld) -> None:
    number = folder.open("Fewer trees")
    forge = folder.forge()
    before = folder._git("for-each-ref")
    forge.set_status(forge.pull_request(number).head_sha, "failure", "delay: fail")
    with pytest.raises(ForgeError, match=r"mergeline says failure \(delay: fail\)"):
        forge.merge(number)
    assert folder._git("for-each-ref") == before
    folder.push(number)
    forge.set_status(forge.pull_request(number).head_sha, "success", "delay: pass")
    assert forge.merge(number)


def test_a_conflict_leaves_both_branches_as_they_were(folder: FolderWorld, tmp_path: Path) -> None:
    one, other = folder.open("One"), folder.open("Other")
    for number, text in ((one, "one"), (other, "other")):
        branch = folder._branch(number)
        blob = folder._git("hash-object", "-w", "--stdin", stdin=text)
        tree = folder._git("mktree", stdin=f"100644 blob {blob}\tshared\n")
        sha = folder._git("commit-tree", tree, "-p", "main", "-m", text)
        folder._git("update-ref", f"refs/heads/{branch}", sha)
    folder.merge(one, "squash")
    before = folder._git("for-each-ref")
    with pytest.raises(ForgeError, match="cannot be merged") as caught:
        folder.forge().merge(other)
    assert "Merge main" in caught.value.next_step
    assert folder._git("for-each-ref") == before
    assert folder.forge().pull_request(other).open


def test_a_pull_request_needs_a_branch_that_was_pushed(folder: FolderWorld) -> None:
    with pytest.raises(NotFoundError, match="no-such-branch"):
        folder.forge().open("More trees", head="no-such-branch")


def test_comments_are_files_that_a_person_can_read(folder: FolderWorld) -> None:
    number = folder.open("More trees")
    comment = folder.forge().as_user("ana").comment(number, "# Looks *good*\n")
    pulls = folder.path / "pulls" / str(number)
    assert json.loads((pulls / "pull.json").read_text())["title"] == "More trees"
    assert (pulls / "comments" / f"{comment.id:07}.md").read_text() == "# Looks *good*\n"
    assert comment.author == "ana"


def test_a_status_is_read_back(folder: FolderWorld) -> None:
    commit = folder.direct_commit()
    assert folder.forge().status(commit) is None
    folder.forge().set_status(commit, "success", "better")
    assert folder.forge().status(commit) == ("success", "better")


def test_a_damaged_file_is_named(folder: FolderWorld) -> None:
    number = folder.open("More trees")
    file = folder.path / "pulls" / str(number) / "pull.json"
    file.write_text('{"titel": "x"}')
    with pytest.raises(DeclarationError, match=r"pull\.json"):
        folder.forge().pull_request(number)
