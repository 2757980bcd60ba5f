"""A working copy: its commits and trees, its origin, and tags as a ledger's pages."""

from __future__ import annotations

import datetime as dt
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mergeline.adapters.git.signatures import Signing, is_signed, signed_tags
from mergeline.adapters.git.tree import Tree, listed
from mergeline.core.release.ledger import Tag
from mergeline.errors import GitError, InputError, RepositoryError
from mergeline.system.git_command import run_git

_DENIED = re.compile(
    "denied|declined|rejected|protected|not permitted|not allowed|could not read Username"
    "|Authentication failed|error: 40[13]",
    re.IGNORECASE,
)
_OWN_ORIGIN = (
    "Get the right to do that at origin, or work in a repository of your own: "
    "git remote set-url origin ADDRESS, or git remote remove origin"
)
_CHECK_ORIGIN = (
    "Check the address (git remote -v) and the network, then run again; "
    "where there is no forge: git remote remove origin"
)
_FETCHED = "refs/mergeline"  # what origin has as tags, as it was last fetched
_DEEPEN = "Deepen it: git fetch --unshallow (actions/checkout: fetch-depth: 0)"


@dataclass(frozen=True)
class Commit:
    """A commit's name and what people see of it."""

    sha: str
    subject: str
    author: str
    parents: tuple[str, ...]


# What verbs leave beside the sources; a project need not tell git to ignore it. Where it does, git
# would refuse a pattern that begins with the folder's own name.
_OWN_FILES = (":(exclude,glob)[.]mergeline/**", ":(exclude,glob)data/*.snapshot.json")


class Repository:
    """One working copy of a project: of a whole repository, or of a folder in one.

    Attributes:
        root: the project's folder.
        folder: the same, seen from the repository's own root; empty if it is that.
    """

    def __init__(self, root: Path, folder: str = "") -> None:
        self.root = root
        self.folder = folder

    @classmethod
    def at(cls, path: Path) -> Repository:
        """The project that `path` lies in: the nearest folder with `models/*.yaml`, or all.

        Raises:
            RepositoryError: it lies in no repository.
        """
        try:
            out = run_git(["rev-parse", "--show-toplevel"], cwd=path)
        except GitError as error:
            if not re.search("not a git repository|must be run in a work tree", error.message):
                raise
            raise RepositoryError(
                "not a Git repository with a working tree",
                where=str(path),
                next_step="Run mergeline inside a clone of the project",
            ) from error
        top = Path(out.decode().rstrip("\n"))
        below = path.resolve().relative_to(top.resolve())
        for folder in (below, *below.parents):
            if any((top / folder / "models").glob("*.yaml")):
                return cls(top / folder, "" if folder == Path() else folder.as_posix())
        return cls(top)

    def git(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        """One git command's output as text."""
        return run_git(arguments, cwd=self.root, env=env).decode(errors="surrogateescape").strip()

    def _ask(self, *arguments: str) -> str | None:
        """What git answers a question; None for its "no": exit code 1, and nothing else."""
        try:
            return self.git(*arguments)
        except GitError as error:
            failed = error.__cause__
            if isinstance(failed, subprocess.CalledProcessError) and failed.returncode == 1:
                return None
            raise

    @property
    def main_root(self) -> Path:
        """The project's folder in the main working tree, also when this is a linked worktree."""
        common = Path(self.git("rev-parse", "--path-format=absolute", "--git-common-dir"))
        return common.parent / self.folder if common.name == ".git" else self.root

    def commit(self, revision: str = "HEAD") -> Commit:
        """Resolve a revision.

        Raises:
            RepositoryError: it names no commit.
        """
        form = "%H%x00%s%x00%an <%ae>%x00%P"
        try:
            name = f"{_revision(revision)}^{{commit}}"
            out = self.git("show", "-s", f"--format={form}", name, "--")
            # A range shows several, an excluded commit none.
            sha, subject, author, parents = out.split("\0")
        except (GitError, ValueError) as error:
            hint = "Make a first commit" if revision == "HEAD" else "Fetch it, or name another"
            raise RepositoryError(
                f"no commit {revision!r} here", where=str(self.root), next_step=hint
            ) from error
        return Commit(sha, subject, author, tuple(parents.split()))

    def tree(self, revision: str = "HEAD") -> Tree:
        """The project's tree at a commit (or a tree's own name)."""
        try:
            name = f"{_revision(revision)}^{{tree}}"
            sha = self.git("rev-parse", "--verify", name)
            return self._within(sha) if self._exists(revision) else Tree(self.root, sha)
        except (GitError, ValueError) as error:
            raise RepositoryError(
                f"no commit or tree {revision!r} here",
                where=str(self.root),
                next_step="Fetch it, or name another",
            ) from error

    def _within(self, sha: str) -> Tree:
        """The project's own tree in one of the whole repository; empty if it is not there."""
        if not self.folder:
            return Tree(self.root, sha)
        inner = self._ask("rev-parse", "--quiet", "--verify", f"{sha}:{self.folder}")
        return Tree(
            self.root, inner or run_git(["mktree"], cwd=self.root, stdin=b"").decode().strip()
        )

    def working_tree(self) -> Tree:
        """The working tree as it stands: tracked and new files, ignored ones left out.

        Written as Git objects through an index of its own; the user's index and branch stay.
        """
        with tempfile.TemporaryDirectory(prefix="mergeline-") as folder:
            env = {"GIT_INDEX_FILE": f"{folder}/index"}
            if self._exists("HEAD"):
                self.git("read-tree", "HEAD", env=env)
            left = [
                f":(exclude,literal){path}" for path in self._left_by_reverts(self._untracked())
            ]
            self.git("add", "--all", "--", ".", *_OWN_FILES, *left, env=env)
            return self._within(self.git("write-tree", env=env))

    def compose(self, revision: str, overlay: Tree | None, paths: Sequence[str]) -> Tree:
        """The tree of `revision` with the files at `paths` (and below) as `overlay` has them.

        Without an overlay those files are left out.
        """
        within = tuple(path.rstrip("/") + "/" for path in paths)
        lines = [
            line
            for tree, taken in ((self.tree(revision), False), (overlay, True))
            if tree is not None
            for path, line in listed(self.root, tree.sha)
            if f"{path}/".startswith(within) == taken
        ]
        with tempfile.TemporaryDirectory(prefix="mergeline-") as folder:
            env = {"GIT_INDEX_FILE": f"{folder}/index"}
            entries = "".join(f"{line}\0" for line in lines).encode(errors="surrogateescape")
            run_git(["update-index", "-z", "--index-info"], cwd=self.root, stdin=entries, env=env)
            return Tree(self.root, self.git("write-tree", env=env))

    def is_clean(self) -> bool:
        """Whether the working tree is HEAD's; see `changed_files`."""
        return not self.changed_files()

    def changed_files(self) -> list[str]:
        """Paths in which the working tree differs from HEAD's, sorted.

        A hand-made `dvc.lock` is none of them, nor is what reverts have left (`_left_by_reverts`).
        """
        paths = ("--", ".", *_OWN_FILES)
        new = self._untracked()
        if self._exists("HEAD"):
            changed = self._names("diff", "-z", "--name-only", "--relative", "HEAD", *paths)
        else:
            changed = self._names("ls-files", "-z", *paths)
        return sorted({*changed, *new} - {*self._left_by_reverts(new), "dvc.lock"})

    def _untracked(self) -> list[str]:
        listed = ("ls-files", "-z", "--others", "--exclude-standard", "--", ".", *_OWN_FILES)
        return self._names(*listed)

    def _left_by_reverts(self, untracked: Sequence[str]) -> list[str]:
        """Those of the files that a pointer named which the history before HEAD took away.

        With a pointer a revert takes its line in `.gitignore` away, and leaves the drop: it is no
        part of the project any more. A new pointer is, and so is what lies beside tracked files.
        """
        if not untracked or not self._exists("HEAD"):
            return []
        form = ("-z", "--format=", "--name-only", "--relative", "--no-renames", "--diff-filter=D")
        listed = ("log", *form, "HEAD", "--", "*.dvc")
        gone = {path.removesuffix(".dvc") for path in self._names(*listed)}
        left = [
            (path, folder)
            for path in untracked
            for folder in (path, *map(str, PurePosixPath(path).parents))
            if folder in gone and not path.endswith(".dvc")
        ]
        in_use = {folder for _, folder in left if self._names("ls-files", "-z", "--", folder)}
        return [path for path, folder in left if folder not in in_use]

    def _names(self, *arguments: str) -> list[str]:
        """The paths that a git command lists, each ended by a NUL."""
        return [path for path in self.git(*arguments).split("\0") if path]

    def branch(self) -> str | None:
        """The branch that is checked out; None when HEAD is detached."""
        return self._ask("symbolic-ref", "--quiet", "--short", "HEAD")

    def main_branch(self) -> str:
        """The branch that pull requests merge onto.

        Raises:
            RepositoryError: neither this clone nor origin says which, and none of the usual names
                exists.
        """
        if self._exists("origin/HEAD"):
            return self.git("symbolic-ref", "--short", "refs/remotes/origin/HEAD")
        for name in ("origin/main", "origin/master", "main", "master"):
            if self._exists(name):
                return name
        if self.remote_url() is not None:  # a job's clone knows branches, and not which is main
            answer = self._with_origin("ls-remote", "--symref", "origin", "HEAD").partition("\t")[0]
            name = answer.removeprefix("ref: refs/heads/")
            if name != answer and self._exists(f"origin/{name}"):
                return f"origin/{name}"
        way_out = "Fetch it, or give yours that name: git branch main"
        raise RepositoryError(
            "no main branch found (origin/HEAD, main or master)",
            where=str(self.root),
            next_step=_DEEPEN if self.is_shallow() else way_out,
        )

    def merge_base(self, revision: str, onto: str) -> Commit:
        """Where `revision` left `onto`.

        Raises:
            RepositoryError: the clone is too shallow to tell, or the histories are unrelated.
        """
        tip = self.commit(onto)
        try:
            return self.commit(self.git("merge-base", revision, tip.sha))
        except GitError as error:
            problem, next_step = f"{revision} and {onto} have no common commit", ""
            if self.is_shallow():
                problem = f"this shallow clone does not reach the merge base with {onto}"
                next_step = _DEEPEN
            raise RepositoryError(problem, where=str(self.root), next_step=next_step) from error

    def parent(self, commit: Commit) -> Commit | None:
        """The first parent of a commit; None of the very first one.

        Raises:
            RepositoryError: the clone is too shallow to tell.
        """
        if commit.parents:
            return self.commit(commit.parents[0])
        cut = Path(self.git("rev-parse", "--path-format=absolute", "--git-path", "shallow"))
        if cut.is_file() and commit.sha in cut.read_text().split():
            raise RepositoryError(
                f"this shallow clone does not have the parent of {commit.sha[:8]}",
                where=str(self.root),
                next_step=_DEEPEN,
            )
        return None

    def tip_at(self, branch: str, moment: dt.datetime) -> Commit | None:
        """What a branch was at a moment: its last commit, as merged, of then or before."""
        until = f"--min-age={max(0, int(moment.timestamp()))}"
        sha = self.git("rev-list", "-1", "--first-parent", until, branch)
        return self.commit(sha) if sha else None

    def is_ancestor(self, commit: str, of: str) -> bool:
        """Whether `commit` is in the history of `of`; one that this clone lacks is not."""
        command = ("merge-base", "--is-ancestor", commit, of)
        return self._exists(commit) and self._ask(*command) is not None

    def count_between(self, older: str, newer: str) -> int:
        """How many commits `newer` has beyond `older`."""
        return int(self.git("rev-list", "--count", f"{older}..{newer}"))

    def export(self, tree: Tree, folder: Path) -> None:
        """Check a tree out into `folder`, a private repository that borrows this one's objects.

        The user's working tree, index and list of worktrees are not touched.
        """
        if not (folder / ".git").exists():
            run_git(["init", "--quiet", str(folder)], cwd=folder.parent)
        objects = self.git("rev-parse", "--path-format=absolute", "--git-path", "objects")
        info = folder / ".git" / "objects" / "info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "alternates").write_text(objects + "\n")
        (folder / ".git" / "index.lock").unlink(missing_ok=True)
        run_git(["read-tree", "--reset", "-u", tree.sha], cwd=folder)

    def config(self, key: str) -> str | None:
        """A value of git's configuration."""
        return self._ask("config", "--get", key)

    def remote_url(self) -> str | None:
        """Where `origin` is."""
        return self.config("remote.origin.url")

    def remote_tip(self, branch: str) -> str | None:
        """The commit that `origin` has as `branch` now; None without that remote or branch."""
        return self._at_origin(f"refs/heads/{branch}") if self.remote_url() else None

    def branches(self) -> dict[str, str]:
        """The tip of each branch, by its ref: as `origin` has its own now, fetched; others as here.

        A branch that origin has no more is none, although this clone may remember it.
        """
        form = "--format=%(objectname) %(refname)"
        lines = self.git("for-each-ref", form, "refs/heads", "refs/remotes").splitlines()
        if self.remote_url() is not None:
            heads = self.git("ls-remote", "--heads", "origin").splitlines()
            new = [ref for sha, ref in map(str.split, heads) if not self._exists(sha)]
            if new:
                self.git("fetch", "--quiet", "--no-tags", "origin", *new)
            lines = [line for line in lines if " refs/remotes/origin/" not in line]
            lines += [line.replace("\trefs/heads/", " refs/remotes/origin/") for line in heads]
        return {ref: sha for sha, ref in map(str.split, lines)}

    def fetch_pages(self, namespace: str) -> None:
        """Bring the tags under `refs/tags/<namespace>/` as origin has them, where there is one.

        They are kept apart from this clone's own tags: one that was moved, or that stands only
        here, must neither stop the fetch nor be taken for origin's.
        """
        if self.remote_url() is not None:
            spec = f"+refs/tags/{namespace}/*:{_FETCHED}/{namespace}/*"
            self._with_origin("fetch", "--quiet", "--no-tags", "--prune", "origin", spec)

    def fetch_branch(self, branch: str) -> None:
        """Bring a branch from origin."""
        self._with_origin("fetch", "--quiet", "origin", branch)

    def pages(self, namespace: str) -> dict[str, Tag]:
        """The tags under a namespace by name: origin's as last fetched, else this clone's."""
        place = "refs/tags" if self.remote_url() is None else _FETCHED
        fields = (
            "refname:lstrip=2", "objectname", "*objectname", "contents", "contents:signature",
        )  # fmt: skip
        form = "".join(f"%({field})%00" for field in fields)
        out = run_git(["for-each-ref", f"--format={form}", f"{place}/{namespace}/"], cwd=self.root)
        parts = out.decode(errors="replace").split("\0")
        return {
            name.strip(): Tag(text.removesuffix(signature), commit, sha)
            for name, sha, commit, text, signature in zip(
                *(parts[at::5] for at in range(5)), strict=False
            )
        }

    def moved_pages(self, namespace: str) -> list[str]:
        """Names of the tags that this clone knows otherwise than origin has them, or has lost."""
        if self.remote_url() is None:
            return []
        places = (_FETCHED, "refs/tags")
        wanted = (f"{place}/{namespace}/" for place in places)
        lines = self.git("for-each-ref", "--format=%(objectname) %(refname)", *wanted).splitlines()
        shas = {name: sha for sha, name in (line.split(" ", 1) for line in lines)}
        now, known = (
            {name.removeprefix(place): sha for name, sha in shas.items() if name.startswith(place)}
            for place in places
        )
        return sorted(name[1:] for name, sha in known.items() if now.get(name) != sha)

    def rehearse_page(self, tag: str, commit: str) -> None:
        """Find out whether origin lets us push a tag, before anything is done that needs it.

        Its hooks, and its rules on the names of tags, speak up at the push itself only.

        Raises:
            GitError: origin does not answer, or does not let us push.
        """
        if self.remote_url() is not None:
            ref = f"{commit}:refs/tags/{tag}"
            self._with_origin("push", "--quiet", "--dry-run", "--no-verify", "origin", ref)

    def commits_with(self, path: str, commits: Sequence[str]) -> set[str]:
        """Those of the commits at which the project has such a file."""
        place = f"{self.folder}/{path}".lstrip("/")
        asked = dict.fromkeys(commits)
        names = "".join(f"{commit}:{place}\n" for commit in asked).encode()
        out = run_git(["cat-file", "--batch-check"], cwd=self.root, stdin=names).decode()
        found = zip(asked, out.splitlines(), strict=True)
        return {commit for commit, line in found if not line.endswith(" missing")}

    def signed_tags(self, tags: Sequence[str], signers: bytes) -> set[str]:
        """Those of the tag objects with a good SSH signature by one of the signers."""
        return signed_tags(self.root, tags, signers)

    def is_signed(self, tag: str, signers: bytes) -> bool:
        """Whether a tag object has a good SSH signature by one of the signers."""
        return is_signed(self.root, tag, signers)

    def add_page(
        self, tag: str, message: str, commit: str, *, time: str, signing: Signing | None = None
    ) -> bool:
        """Write an annotated tag, at origin first; False when another has taken its name.

        The tag object is pushed before any local ref exists, so a lost race leaves nothing behind.
        `time` is in git's own form (`<seconds> +0000`).

        Raises:
            GitError: git or origin refuses, or the key cannot sign.
            InputError: the key's signature is of nobody among the signers.
        """
        name = self.config("user.name") or "mergeline"
        email = self.config("user.email") or "mergeline@localhost"
        tagger = f"{name} <{email}> {time}"
        body = f"object {commit}\ntype commit\ntag {tag}\ntagger {tagger}\n\n{message}"
        content = signing.signed(body.encode()) if signing else body.encode()
        tag_object = run_git(["mktag"], cwd=self.root, stdin=content).decode().strip()
        if signing and not self.is_signed(tag_object, signing.signers):
            raise InputError(
                "the key of MERGELINE_SIGNING_KEY is of none of the signers",
                where=str(self.root),
                next_step="Take another key, or have the key added to the file of signers",
            )
        ref = f"refs/tags/{tag}"
        if self.remote_url() is not None:
            try:
                self._with_origin("push", "--quiet", "--no-verify", "origin", f"{tag_object}:{ref}")
            except GitError:
                taken = self._at_origin(ref)
                if taken is None:
                    raise
                if taken != tag_object:
                    return False
            # A tag of that name that only this clone has is in nobody's way.
            self.git("update-ref", f"{_FETCHED}/{tag}", tag_object)
            self.git("update-ref", ref, tag_object)
            return True
        try:
            self.git("update-ref", ref, tag_object, "0" * 40)
        except GitError:
            return self.git("rev-parse", ref) == tag_object
        return True

    def _at_origin(self, ref: str) -> str | None:
        """The object that a ref names at origin now, if it is there."""
        out = self._with_origin("ls-remote", "origin", ref)
        return out.split()[0] if out else None

    def _with_origin(self, *arguments: str) -> str:
        """One git command that needs origin; why it failed is told from git's words."""
        try:
            return self.git(*arguments)
        except GitError as error:
            way_out = _OWN_ORIGIN if _DENIED.search(error.message) else _CHECK_ORIGIN
            next_step = error.next_step or way_out
            raise GitError(error.message, where=error.where, next_step=next_step) from error

    def is_shallow(self) -> bool:
        """Whether the clone lacks older commits."""
        return self.git("rev-parse", "--is-shallow-repository") == "true"

    def _exists(self, revision: str) -> bool:
        name = f"{revision}^{{commit}}"
        return self._ask("rev-parse", "--quiet", "--verify", name) is not None


def _revision(name: str) -> str:
    """The name; ValueError for one that git would take for an option, or for nothing."""
    if not name or name.startswith("-"):
        raise ValueError(f"invalid revision: {name!r}")
    return name
