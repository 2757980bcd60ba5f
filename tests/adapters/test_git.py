"""Trees, bases, checkouts and the ledger's pages, in real repositories."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mergeline.adapters.git.repository import Repository
from mergeline.errors import GitError, RepositoryError
from mergeline.system.git_command import run_git


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make(tmp_path / "project")


def make(root: Path) -> Repository:
    root.mkdir()
    run_git(["init", "--quiet", "--initial-branch", "main"], cwd=root)
    made = Repository(root)
    made.git("config", "user.name", "Ana")
    made.git("config", "user.email", "ana@example.org")
    write(made, "a.txt", "one")
    commit(made, "First")
    return made


def write(repository: Repository, path: str, text: str) -> None:
    place = repository.root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def commit(repository: Repository, message: str) -> str:
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--allow-empty", "--message", message)
    return repository.commit().sha


def with_origin(repository: Repository, name: str = "origin.git") -> Path:
    bare = repository.root.parent / name
    run_git(["init", "--quiet", "--bare", "--initial-branch", "main", str(bare)], cwd=bare.parent)
    repository.git("remote", "add", "origin", str(bare))
    repository.git("push", "--quiet", "--set-upstream", "origin", "main")
    return bare


def clone(bare: Path, name: str, *options: str) -> Repository:
    run_git(["clone", "--quiet", *options, bare.as_uri(), name], cwd=bare.parent)
    made = Repository(bare.parent / name)
    made.git("config", "user.name", name)
    made.git("config", "user.email", f"{name}@example.org")
    return made


# --- where ----------------------------------------------------------------------------------------


def test_a_folder_inside_finds_its_repository(repository: Repository) -> None:
    write(repository, "deep/er/file", "")
    assert Repository.at(repository.root / "deep" / "er").root == repository.root


def test_no_repository_is_said_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError) as caught:
        Repository.at(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: not a Git repository with a working tree. "
        "Run mergeline inside a clone of the project."
    )


def test_a_bare_repository_has_no_working_tree(tmp_path: Path) -> None:
    run_git(["init", "--quiet", "--bare", "bare.git"], cwd=tmp_path)
    with pytest.raises(RepositoryError, match="not a Git repository with a working tree"):
        Repository.at(tmp_path / "bare.git")


def test_git_that_is_not_installed_is_said(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(GitError, match="git is not installed"):
        repository.git("status")


def test_what_git_says_is_one_line_without_its_hints(repository: Repository) -> None:
    bare = with_origin(repository)
    other = clone(bare, "other")
    commit(other, "Theirs")
    other.git("push", "--quiet", "origin", "main")
    commit(repository, "Mine")
    with pytest.raises(GitError) as caught:
        repository.git("push", "--quiet", "origin", "main")
    assert "[rejected]" in caught.value.message
    assert "\n" not in str(caught.value)
    assert "hint" not in str(caught.value)


def test_a_hook_that_names_another_repository_leads_nowhere_else(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other.root / ".git"))
    assert Repository.at(repository.root).root == repository.root


@pytest.mark.parametrize("linked", [False, True])
def test_inside_a_hook_of_commit_all_the_index_of_the_user_stays(
    repository: Repository, tmp_path: Path, *, linked: bool
) -> None:
    write(repository, "other.txt", "other")
    older = commit(repository, "Second")
    if linked:
        repository.git("worktree", "add", "--quiet", "-b", "side", str(tmp_path / "linked"))
        repository = Repository(tmp_path / "linked")
    write(repository, "a.txt", "two")
    hook = repository.main_root / ".git" / "hooks" / "pre-commit"
    hook.write_text(
        f"#!{sys.executable}\n"
        "from pathlib import Path\n"
        "from mergeline.adapters.git.repository import Repository\n"
        "here = Repository.at(Path.cwd())\n"
        f"here.export(here.tree({older + '^'!r}), Path({str(tmp_path / 'out')!r}))\n"
    )
    hook.chmod(0o755)
    (tmp_path / "out").mkdir()
    repository.git("commit", "--quiet", "--all", "--message", "Third")
    assert (tmp_path / "out" / "a.txt").read_text() == "one"
    assert repository.tree().list() == ["a.txt", "other.txt"]
    assert repository.tree().read("a.txt") == b"two"
    assert repository.git("status", "--porcelain") == ""


def test_settings_that_the_environment_gives_reach_git(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "http.extraheader")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "authorization: token")
    assert repository.config("http.extraheader") == "authorization: token"


def test_the_main_working_tree_is_found_from_a_linked_one(
    repository: Repository, tmp_path: Path
) -> None:
    repository.git("worktree", "add", "--quiet", str(tmp_path / "linked"))
    assert Repository.at(tmp_path / "linked").main_root == repository.root


# --- trees ----------------------------------------------------------------------------------------


def test_a_tree_is_read_without_a_checkout(repository: Repository) -> None:
    write(repository, "data/b.dvc", "outs: []\n")
    write(repository, "data/ü.dvc", "outs: [1]\n")
    first = commit(repository, "Pointers")
    (repository.root / "data" / "b.dvc").unlink()
    tree = repository.tree(first)
    assert tree.list("data") == ["data/b.dvc", "data/ü.dvc"]
    assert tree.list("data/b.dvc") == ["data/b.dvc"]
    assert tree.list("dat") == []
    assert tree.read("data/ü.dvc") == b"outs: [1]\n"
    assert tree.read("data/none.dvc") is None
    assert tree.blob("a.txt") == repository.git("hash-object", "a.txt")


def test_the_working_tree_has_new_files_and_no_ignored_ones(repository: Repository) -> None:
    write(repository, ".gitignore", "/build/\n")
    write(repository, "build/model.pkl", "x")
    write(repository, "new.txt", "new")
    (repository.root / "a.txt").unlink()
    before = run_git(["status", "--porcelain=v2"], cwd=repository.root)
    assert repository.working_tree().list() == [".gitignore", "new.txt"]
    assert run_git(["status", "--porcelain=v2"], cwd=repository.root) == before


def test_the_working_tree_before_the_first_commit_is_a_tree_too(tmp_path: Path) -> None:
    run_git(["init", "--quiet"], cwd=tmp_path)
    (tmp_path / "a.txt").write_text("one")
    assert Repository.at(tmp_path).working_tree().list() == ["a.txt"]
    with pytest.raises(RepositoryError, match="Make a first commit"):
        Repository.at(tmp_path).commit()


def test_a_tree_is_exported_without_touching_the_list_of_worktrees(
    repository: Repository, tmp_path: Path
) -> None:
    first = repository.tree()
    write(repository, "a.txt", "two")
    second = repository.tree(commit(repository, "Second"))
    for tree, text in [(first, "one"), (second, "two"), (first, "one")]:
        repository.export(tree, tmp_path / "out")
        assert (tmp_path / "out" / "a.txt").read_text() == text
    assert repository.git("worktree", "list").count("\n") == 0


@pytest.mark.parametrize("revision", ["nope", "0" * 40, "-h", "--all"])
def test_a_revision_that_names_nothing_is_said(repository: Repository, revision: str) -> None:
    with pytest.raises(RepositoryError, match="here"):
        repository.commit(revision)
    with pytest.raises(RepositoryError, match="here"):
        repository.tree(revision)


def test_a_tree_is_composed_with_the_modes_of_its_files(repository: Repository) -> None:
    write(repository, "data/raw/old.dvc", "1")
    write(repository, "data[1]/kept.dvc", "1")
    write(repository, "kept.sh", "base")
    base = commit(repository, "Base")
    write(repository, "data/raw/run.sh", "x")
    (repository.root / "data" / "raw" / "run.sh").chmod(0o755)
    (repository.root / "data" / "raw" / "link").symlink_to("run.sh")
    (repository.root / "data" / "raw" / "old.dvc").unlink()
    write(repository, "kept.sh", "changed")
    change = commit(repository, "Change")
    composed = repository.compose(base, repository.tree(change), ["data/raw/", "data", "none"])
    listed = repository.git("ls-tree", "-r", "--format=%(objectmode) %(path)", composed.sha)
    assert listed.splitlines() == [
        "100644 a.txt",
        "120000 data/raw/link",
        "100755 data/raw/run.sh",
        "100644 data[1]/kept.dvc",
        "100644 kept.sh",
    ]
    assert composed.read("kept.sh") == b"base"


def test_a_tree_of_many_pointers_is_composed_by_a_few_processes(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        write(repository, f"data/{number}.dvc", str(number))
    overlay = repository.tree(commit(repository, "Pointers"))
    started = 0
    run = subprocess.run

    def counted(*args: Any, **options: Any) -> Any:
        nonlocal started
        started += 1
        return run(*args, **options)

    monkeypatch.setattr("subprocess.run", counted)
    assert len(repository.compose("HEAD^", overlay, ["data"]).list("data")) == 30
    assert started < 10


# --- clean ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "clean"),
    [("dvc.lock", True), ("a.txt", False), ("new.txt", False), ("sub/dvc.lock", False)],
)
def test_a_tree_is_clean_but_for_a_hand_made_lock(
    repository: Repository, path: str, clean: bool
) -> None:
    assert repository.is_clean()
    write(repository, path, "changed")
    assert repository.is_clean() is clean


def test_a_committed_lock_that_was_made_again_is_clean(repository: Repository) -> None:
    write(repository, "dvc.lock", "one")
    commit(repository, "A lock")
    write(repository, "dvc.lock", "two")
    assert repository.is_clean()
    write(repository, "a.txt", "two")
    assert not repository.is_clean()


def test_the_files_that_differ_are_named(repository: Repository) -> None:
    write(repository, "b/ü n.txt", "one")
    commit(repository, "Second")
    (repository.root / "b/ü n.txt").unlink()
    write(repository, "a.txt", "changed")
    write(repository, "new/c.txt", "new")
    write(repository, "dvc.lock", "made by hand")
    assert repository.changed_files() == ["a.txt", "b/ü n.txt", "new/c.txt"]


@pytest.mark.parametrize(
    ("pointer", "drop"),
    [("data/d.csv.dvc", "data/d.csv"), ("data/raw.dvc", "data/raw/sub/one.csv")],
)
@pytest.mark.parametrize("folder", ["", "services/late"])
def test_a_drop_that_a_revert_leaves_is_neither_a_change_nor_part_of_the_tree(
    repository: Repository, pointer: str, drop: str, folder: str
) -> None:
    place = Repository(repository.root / folder, folder)
    if folder:
        write(place, "models/late.yaml", "task: binary\n")
        commit(repository, "A project in a folder")
    before = place.tree()
    # As `dvc add` leaves it: the pointer, and a line in the folder's own ignore file.
    write(place, pointer, "outs: []\n")
    write(place, "data/.gitignore", f"/{Path(pointer).stem}\n")
    write(place, drop, "id\n1\n")
    commit(repository, "A drop")
    repository.git("revert", "--no-edit", "HEAD")
    assert (place.root / drop).is_file(), "Git takes the line away that hid it"
    assert place.is_clean()
    assert place.working_tree() == place.tree() == before
    write(place, "data/other.csv", "id\n1\n")
    assert place.changed_files() == ["data/other.csv"]


def test_what_is_new_where_a_pointer_was_once_is_new(repository: Repository) -> None:
    write(repository, "raw.dvc", "outs: []\n")
    commit(repository, "A folder's pointer")
    (repository.root / "raw.dvc").unlink()
    commit(repository, "No pointer")
    write(repository, "raw/one.csv.dvc", "outs: []\n")
    assert repository.changed_files() == ["raw/one.csv.dvc"]
    assert "raw/one.csv.dvc" in repository.working_tree().list()
    commit(repository, "A pointer for each drop")
    write(repository, "raw/notes.py", "")
    assert repository.changed_files() == ["raw/notes.py"]


# --- bases ----------------------------------------------------------------------------------------


def test_the_main_branch_is_origins(repository: Repository) -> None:
    assert repository.main_branch() == "main"
    bare = with_origin(repository)
    assert repository.main_branch() == "origin/main"
    assert clone(bare, "other").main_branch() == "origin/main"


def test_a_default_branch_of_any_name_is_found_in_a_clone(repository: Repository) -> None:
    repository.git("branch", "--move", "trunk")
    assert clone(repository.root / ".git", "other").main_branch() == "origin/trunk"
    with pytest.raises(RepositoryError, match="git branch main"):
        repository.main_branch()


@pytest.mark.parametrize("name", ["--output=left", "-1", "", "HEAD..HEAD", "^HEAD"])
def test_what_names_no_single_commit_is_refused(repository: Repository, name: str) -> None:
    for ask in (repository.commit, lambda name: repository.merge_base("HEAD", name)):
        with pytest.raises(RepositoryError, match="no commit"):
            ask(name)
    assert not (repository.root / "left").exists()


def test_the_merge_base_is_where_a_branch_left(repository: Repository) -> None:
    left = repository.commit().sha
    repository.git("checkout", "--quiet", "-b", "mine")
    commit(repository, "Mine")
    repository.git("checkout", "--quiet", "main")
    commit(repository, "Theirs")
    assert repository.merge_base("mine", "main").sha == left
    assert repository.count_between("mine", "main") == 1


def test_unrelated_histories_have_no_base(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "--orphan", "alone")
    commit(repository, "Alone")
    with pytest.raises(RepositoryError, match="no common commit"):
        repository.merge_base("alone", "main")


def test_a_parent_that_a_shallow_clone_lacks_is_not_taken_for_none(repository: Repository) -> None:
    assert repository.parent(repository.commit()) is None
    second = commit(repository, "Second")
    found = repository.parent(repository.commit(second))
    assert found is not None
    assert found.subject == "First"
    cut = clone(repository.root / ".git", "cut", "--depth=1")
    with pytest.raises(RepositoryError, match="git fetch --unshallow"):
        cut.parent(cut.commit())


@pytest.mark.parametrize("options", [(), ("--depth=1", "--single-branch")], ids=["whole", "CI's"])
def test_branches_are_those_that_origin_has_now_and_those_here(
    repository: Repository, options: tuple[str, ...]
) -> None:
    assert repository.branches() == {"refs/heads/main": repository.commit().sha}
    bare = with_origin(repository)
    repository.git("push", "--quiet", "origin", "main:gone")
    other = clone(bare, "other", *options)
    mine = commit(other, "Mine")
    repository.git("push", "--quiet", "origin", ":gone")
    theirs = commit(repository, "Theirs")
    repository.git("push", "--quiet", "origin", "main", "main:topic")
    assert other.branches() == {
        "refs/heads/main": mine,
        "refs/remotes/origin/main": theirs,
        "refs/remotes/origin/topic": theirs,
    }
    assert other.tree(theirs) == repository.tree(theirs)
    bare.rename(bare.with_name("moved.git"))
    with pytest.raises(GitError):
        other.branches()


def test_the_tip_at_origin_is_asked_for_not_remembered(repository: Repository) -> None:
    assert repository.remote_tip("main") is None
    bare = with_origin(repository)
    other = clone(bare, "other")
    theirs = commit(other, "Theirs")
    other.git("push", "--quiet", "origin", "main")
    assert repository.remote_tip("main") == theirs
    assert repository.remote_tip("none") is None


def test_an_origin_that_does_not_answer_is_said(repository: Repository, tmp_path: Path) -> None:
    repository.git("remote", "add", "origin", str(tmp_path / "gone.git"))
    said = r"gone\.git.* Check the address \(git remote -v\) and the network"
    asked: list[Callable[[], object]] = [
        lambda: repository.remote_tip("main"),
        lambda: repository.fetch_pages("release"),
        lambda: repository.fetch_branch("main"),
        lambda: repository.rehearse_page("release/late/0000", "HEAD"),
    ]
    for ask in asked:
        with pytest.raises(GitError, match=said):
            ask()


def test_a_push_is_rehearsed_without_leaving_anything(repository: Repository) -> None:
    repository.rehearse_page("release/late/0000", "HEAD")  # there is no origin to ask
    bare = with_origin(repository)
    before = run_git(["for-each-ref"], cwd=bare)
    repository.rehearse_page("release/late/0000", "HEAD")
    assert run_git(["for-each-ref"], cwd=bare) == before
    assert repository.pages("release") == {}


@pytest.mark.parametrize("code", [401, 403])
def test_an_origin_that_lets_nobody_push_is_said_with_what_to_do(
    repository: Repository, code: int
) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Denies) as server:
        server.code = code  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/theirs.git"
        repository.git("remote", "add", "origin", address)
        with pytest.raises(GitError, match="work in a repository of your own: git remote set-url"):
            repository.rehearse_page("release/late/0000", "HEAD")
        server.shutdown()


class Denies(http.server.BaseHTTPRequestHandler):
    """A forge that knows nobody here."""

    def do_GET(self) -> None:
        self.send_response(int(self.server.code))  # type: ignore[attr-defined]
        self.send_header("WWW-Authenticate", "Basic")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_what_git_cannot_tell_is_not_taken_for_no(repository: Repository) -> None:
    head = repository.commit().sha
    with (repository.root / ".git" / "config").open("a") as config:
        config.write("[broken\n")
    for question in (
        repository.branch,
        repository.remote_url,
        repository.main_branch,
        lambda: repository.is_ancestor(head, head),
    ):
        with pytest.raises(GitError, match="bad config line"):
            question()


def test_a_no_of_git_is_a_no(repository: Repository) -> None:
    first = repository.commit().sha
    repository.git("checkout", "--quiet", "--detach")
    assert repository.branch() is None
    assert repository.remote_url() is None
    second = commit(repository, "Second")
    assert repository.is_ancestor(first, second)
    assert not repository.is_ancestor(second, first)
    assert not repository.is_ancestor("1234567890" * 4, second)


# --- pages ----------------------------------------------------------------------------------------

TIME = "1700000000 +0000"


def texts(repository: Repository) -> dict[str, str]:
    """The messages of the pages, by name."""
    return {name: tag.text for name, tag in repository.pages("release").items()}


def test_a_page_is_kept_with_its_words(repository: Repository) -> None:
    text = 'late v1\n\n{"é": "two\\nlines", "#": 1}\n'
    assert repository.add_page("release/late/0001", text, repository.commit().sha, time=TIME)
    assert texts(repository) == {"release/late/0001": text}
    assert "Ana <ana@example.org>" in repository.git("cat-file", "tag", "release/late/0001")


def test_a_page_can_be_written_by_who_has_no_name(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.git("config", "--unset", "user.name")
    repository.git("config", "--unset", "user.email")
    assert repository.add_page("release/late/0001", "one\n", repository.commit().sha, time=TIME)


def test_of_two_writers_of_a_page_one_is_told_that_it_was_late(repository: Repository) -> None:
    sha = repository.commit().sha
    assert repository.add_page("release/late/0001", "one\n", sha, time=TIME)
    assert not repository.add_page("release/late/0001", "two\n", sha, time=TIME)
    assert texts(repository) == {"release/late/0001": "one\n"}


def test_a_lost_race_leaves_no_tag_behind(repository: Repository) -> None:
    bare = with_origin(repository)
    other = clone(bare, "other")
    sha = repository.commit().sha
    assert other.add_page("release/late/0001", "theirs\n", sha, time=TIME)
    assert not repository.add_page("release/late/0001", "mine\n", sha, time=TIME)
    assert repository.pages("release") == {}
    repository.fetch_pages("release")
    assert texts(repository) == {"release/late/0001": "theirs\n"}
    assert repository.add_page("release/late/0002", "mine\n", sha, time=TIME)
    other.fetch_pages("release")
    assert other.pages("release") == repository.pages("release")


def test_a_page_pushed_by_who_was_then_cut_off_is_fetched(repository: Repository) -> None:
    with_origin(repository)
    sha = repository.commit().sha
    repository.add_page("release/late/0001", "one\n", sha, time=TIME)
    repository.git("tag", "--delete", "release/late/0001")
    assert repository.add_page("release/late/0001", "one\n", sha, time=TIME)  # the same page
    repository.git("tag", "--delete", "release/late/0001")
    repository.fetch_pages("release")
    assert texts(repository) == {"release/late/0001": "one\n"}


@pytest.mark.slow
def test_twenty_writers_at_once_lose_no_page(repository: Repository) -> None:
    bare = with_origin(repository)
    script = (
        "import sys; from pathlib import Path\n"
        "from mergeline.adapters.git.repository import Repository\n"
        "r = Repository(Path(sys.argv[1])); sha = r.commit().sha; done = 0; n = 0\n"
        "while done < 5:\n"
        "    n += 1\n"
        f"    done += r.add_page(f'release/late/{{n:04d}}', sys.argv[1], sha, time='{TIME}')\n"
    )
    import sys

    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(clone(bare, f"w{n}").root)])
        for n in range(4)
    ]
    assert [writer.wait(60) for writer in writers] == [0] * 4
    repository.fetch_pages("release")
    pages = texts(repository)
    assert sorted(pages) == [f"release/late/{n:04d}" for n in range(1, 21)]
    assert sorted(pages.values()) == sorted([str(bare.parent / f"w{n}") for n in range(4)] * 5)


def test_a_page_says_what_it_is_of_and_a_plain_tag_nothing(repository: Repository) -> None:
    sha = repository.commit().sha
    repository.add_page("release/late/0001", "one\n", sha, time=TIME)
    repository.git("tag", "release/late/0002")
    pages = repository.pages("release")
    assert pages["release/late/0001"].commit == sha
    assert pages["release/late/0002"].commit == ""


def test_a_tag_that_is_moved_at_origin_is_seen_as_it_is_there(repository: Repository) -> None:
    bare = with_origin(repository)
    other = clone(bare, "other")
    sha = repository.commit().sha
    for name in ("release/late/0001", "release/late/0002"):
        repository.add_page(name, "mine\n", sha, time=TIME)
    other.fetch_pages("release")
    assert repository.moved_pages("release") == []
    other.git("tag", "--force", "--annotate", "--message", "theirs", "release/late/0001", sha)
    other.git("push", "--quiet", "--force", "origin", "release/late/0001")
    other.git("push", "--quiet", "origin", ":release/late/0002")
    repository.fetch_pages("release")
    assert texts(repository) == {"release/late/0001": "theirs\n"}
    assert repository.moved_pages("release") == ["release/late/0001", "release/late/0002"]


@pytest.fixture
def service(repository: Repository) -> Repository:
    """A project in a folder of a repository with other things."""
    write(repository, "services/late/models/late.yaml", "task: binary\n")
    write(repository, "services/late/pipelines/train.py", "")
    commit(repository, "A service")
    return Repository.at(repository.root / "services/late/pipelines")


def test_a_project_may_lie_in_a_folder_and_is_found_from_below_it(service: Repository) -> None:
    assert service.folder == "services/late"
    assert service.tree().list() == ["models/late.yaml", "pipelines/train.py"]
    assert service.tree() == service.working_tree()
    assert service.tree(service.tree().sha) == service.tree()
    assert service.main_root == service.root


def test_only_what_lies_in_the_project_makes_it_another_or_unclean(service: Repository) -> None:
    top = Repository.at(service.root.parent)
    assert top.folder == ""
    write(top, "other.txt", "new")
    assert service.is_clean()
    assert service.working_tree() == service.tree()
    write(service, "params.yaml", "a: 1\n")
    assert not service.is_clean()
    assert "params.yaml" in service.working_tree().list()


def test_a_project_is_checked_out_and_composed_from_its_own_root(
    service: Repository, tmp_path: Path
) -> None:
    write(service, "params.yaml", "a: 1\n")
    service.export(service.working_tree(), tmp_path / "out")
    assert (tmp_path / "out/params.yaml").read_text() == "a: 1\n"
    composed = service.compose("HEAD", service.working_tree(), ["params.yaml"])
    assert composed == service.working_tree()


def test_a_commit_from_before_the_project_has_an_empty_tree(service: Repository) -> None:
    first = service.git("rev-list", "--max-parents=0", "HEAD")
    assert service.tree(first).list() == []


@pytest.mark.parametrize("ignored", ["", "/.mergeline/\n/data/*.snapshot.json\n"])
def test_what_verbs_leave_beside_the_sources_is_neither_a_change_nor_part_of_the_tree(
    repository: Repository, ignored: str
) -> None:
    write(repository, ".gitignore", ignored)
    commit(repository, "What git ignores")
    write(repository, ".mergeline/mlflow.db", "state")
    write(repository, "data/flights.snapshot.json", "{}")
    assert repository.is_clean()
    assert repository.working_tree() == repository.tree()


def test_a_main_branch_of_any_name_is_found_where_only_origin_knows_which_it_is(
    tmp_path: Path,
) -> None:
    made = make(tmp_path / "project")
    made.git("branch", "--move", "main", "trunk")
    bare = tmp_path / "origin.git"
    run_git(["init", "--quiet", "--bare", "--initial-branch", "trunk", str(bare)], cwd=tmp_path)
    made.git("remote", "add", "origin", str(bare))
    made.git("push", "--quiet", "origin", "trunk")
    made.git("checkout", "--quiet", "-b", "change")
    assert made.main_branch() == "origin/trunk"
