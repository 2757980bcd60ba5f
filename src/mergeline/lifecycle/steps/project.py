"""A project as its verbs see it: the repository, its declarations, and where state lives."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path

from mergeline.adapters.dvc.drops import DropStore
from mergeline.adapters.forge.base import Forge
from mergeline.adapters.forge.environment import forge_from_environment
from mergeline.adapters.git.repository import Commit, Repository
from mergeline.adapters.git.signatures import Signing
from mergeline.adapters.git.tree import Tree
from mergeline.adapters.mlflow.tracking import Tracking
from mergeline.adapters.store.images import Images
from mergeline.adapters.store.store import Store, open_store
from mergeline.core.declare.private import private_columns
from mergeline.core.release.bundle import Candidate, Origin
from mergeline.core.release.ledger import (
    LEDGER,
    Entry,
    Judged,
    Ledger,
    Page,
    believe,
    read_pages,
    unbacked,
)
from mergeline.errors import DeclarationError, InputError, RepositoryError, StoreError, WallsError
from mergeline.lifecycle.steps.project_tree import ProjectTree
from mergeline.system.atomic_writes import write_file_whole
from mergeline.system.confinement import Walls, find_walls
from mergeline.system.notes import read_notes, write_notes

_GITHUB = "https://github.com"
_AT_ONCE = 8  # requests to the store
SIGNERS = ".mergeline-signers"  # in main's tree, as git's allowed signers file
_SECONDS_TO_ASK = 1_800.0  # half of what the job `judge` has
_NUMBER = re.compile(r"[0-9]{1,18}")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Project:
    """One working copy and the places it works with.

    Attributes:
        environment: as the process got it.
        results: folder of the stages' results that DVC restores; None: the repository's cache.
    """

    repository: Repository
    environment: Mapping[str, str]
    results: Path | None = None
    _trees: dict[str, ProjectTree] = field(default_factory=dict, init=False, repr=False)
    _ledgers: dict[str, Ledger] = field(default_factory=dict, init=False, repr=False)
    _pages: dict[str, tuple[Page, ...]] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def at(cls, path: Path | None = None, environment: Mapping[str, str] | None = None) -> Project:
        """The project that `path` (default: the current folder) lies in.

        Raises:
            RepositoryError: it is not in a Git repository.
        """
        # A copy: MLflow writes the store that it was told of into the process's own.
        outer = dict(os.environ if environment is None else environment)
        return cls(Repository.at(path or Path.cwd()), outer)

    @cached_property
    def state(self) -> Path:
        """Folder of everything that has no place of its own: MERGELINE_STATE, or `.mergeline`.

        The latter carries its own ignore file, so that no project need name it in one.
        """
        named = self.environment.get("MERGELINE_STATE")
        if named:
            return Path(named).absolute()
        state = self.repository.main_root / ".mergeline"
        with contextlib.suppress(OSError):  # a checkout that may only be read
            state.mkdir(exist_ok=True)
            if not (state / ".gitignore").exists():
                write_file_whole(state / ".gitignore", b"*\n")
        return state

    @cached_property
    def tables(self) -> str:
        """Root of the Delta tables: MERGELINE_TABLES, any URI that delta-rs speaks."""
        return self.environment.get("MERGELINE_TABLES") or str(self.state / "tables")

    @cached_property
    def store(self) -> Store:
        """Where candidates and evaluations are found: MERGELINE_STORE.

        Without it, in a workflow on GitHub, the repository's own container registry; elsewhere a
        folder of the state folder.
        """
        known = self.environment
        named = known.get("MERGELINE_STORE")
        if not named and self.in_workflow and known.get("GITHUB_SERVER_URL") == _GITHUB:
            named = f"oci://ghcr.io/{known.get('GITHUB_REPOSITORY', '')}"
        return open_store(named or str(self.state / "store"), known)

    @cached_property
    def images(self) -> Images:
        """Where images are: beside the candidates in the store."""
        return Images(self.store.place, self.environment, self.state / "images")

    @property
    def in_workflow(self) -> bool:
        """Whether this is a job of a forge's workflow."""
        return self.environment.get("GITHUB_ACTIONS") == "true"

    def check_lasting(self) -> None:
        """Refuse to write where it would go away with the runner of a workflow's job.

        Raises:
            InputError: neither MERGELINE_STORE nor MERGELINE_STATE is named, and there is no
                registry that would be the store by itself.
        """
        ours = Path(self.store.name).is_relative_to(self.state)
        if self.in_workflow and ours and not self.environment.get("MERGELINE_STATE"):
            raise InputError(
                f"what is kept here lies in {self.store.name}, which goes away with the runner",
                next_step="Set MERGELINE_STORE to a registry: oci://HOST/OWNER/REPOSITORY",
            )

    @property
    def mlflow(self) -> Tracking | None:
        """MLflow, which is written for people to look at; None in a workflow that names no server.

        What it would keep on a runner is gone with it.
        """
        named = self.environment.get("MLFLOW_TRACKING_URI")
        return self.tracking if named or not self.in_workflow else None

    @cached_property
    def tracking(self) -> Tracking:
        """MLflow at MLFLOW_TRACKING_URI, or in a SQLite file in the state folder."""
        named = self.environment.get("MLFLOW_TRACKING_URI")
        return Tracking(named or f"sqlite:///{self.state / 'mlflow.db'}", self.state / "artifacts")

    @cached_property
    def walls(self) -> Walls:
        """What stands around a model that is asked, as tried on this machine.

        Raises:
            WallsError: MERGELINE_WALLS is `required`, as in the workflows, and there are gaps.
        """
        walls = find_walls()
        if not walls.hold and self.environment.get("MERGELINE_WALLS") == "required":
            raise WallsError(
                f"nothing keeps an untrusted model in its process ({walls})",
                next_step="Install bubblewrap, or use a Linux kernel with Landlock",
            )
        return walls

    @cached_property
    def answers(self) -> dict[tuple[str, str], object]:
        """What models said in this process, by the digests of model and rows."""
        return {}

    @cached_property
    def seconds_asked(self) -> list[float]:
        """How long each model has been asked in this process."""
        return []

    @property
    def seconds_left_to_ask(self) -> float:
        """How long models may still take, all together, so that a report is left in time."""
        return max(1.0, _SECONDS_TO_ASK - sum(self.seconds_asked))

    @cached_property
    def forge(self) -> Forge | None:
        """Where pull requests are, if anywhere."""
        return forge_from_environment(self.environment, self.repository.remote_url())

    def candidate_folder(self, model: str, fingerprint: str) -> Path:
        """Where this machine keeps the files of a trained candidate."""
        return self.state / "candidates" / f"{model}-{fingerprint[:20]}"

    def elsewhere(self, state: Path) -> Project:
        """The same repository with nothing known: tables, candidates and caches in `state`."""
        kept = {k: v for k, v in self.environment.items() if k != "MERGELINE_TABLES"}
        environment = {
            **kept,
            "MERGELINE_STATE": str(state),
            "MERGELINE_STORE": str(state / "store"),
        }
        return Project(self.repository, environment, results=state / "dvc-cache")

    @property
    def server(self) -> str | None:
        """Address of the scoring server that releases deploy to: MERGELINE_SERVER."""
        return self.environment.get("MERGELINE_SERVER") or None

    @property
    def server_token(self) -> str | None:
        """What requests to the scoring server bear: MERGELINE_SERVER_TOKEN."""
        return self.environment.get("MERGELINE_SERVER_TOKEN") or None

    @property
    def pull_request(self) -> int | None:
        """Number of the pull request that is evaluated: MERGELINE_PULL_REQUEST, or GitHub's ref.

        Raises:
            InputError: the variable is set, and not to a number.
        """
        named = self.environment.get("MERGELINE_PULL_REQUEST", "")
        ref = self.environment.get("GITHUB_REF", "")
        if not named and ref.startswith("refs/pull/"):
            named = ref.split("/")[2]
        elif named and not _NUMBER.fullmatch(named):
            raise InputError(
                f"MERGELINE_PULL_REQUEST is {named!r}, which is not a number",
                next_step="Set it to the pull request's number, or leave it out",
            )
        return int(named) if _NUMBER.fullmatch(named) else None

    def ledger(self, model: str | None = None) -> tuple[Entry, ...]:
        """The releases that are believed, of one model or of all, oldest first."""
        names = dict.fromkeys(page.model for page in self.pages) if model is None else [model]
        return tuple(entry for name in names for entry in self.ledger_of(name).entries)

    def ledger_of(self, model: str) -> Ledger:
        """A model's releases and what is not believed, as origin had them when first asked for.

        Raises:
            StoreError: the store knows none of a model's releases: it is another's.
        """
        if model not in self._ledgers:
            self._ledgers[model] = self._read_ledger(model)
        return self._ledgers[model]

    def forget_ledger(self) -> None:
        """Have the ledger fetched anew when it is next asked for."""
        for known in ("pages", "_fetched"):
            self.__dict__.pop(known, None)
        self._pages.clear()
        self._ledgers.clear()

    @cached_property
    def pages(self) -> tuple[Page, ...]:
        """The tags under `release/` that have a page's name, whether they are believed or not."""
        pages = read_pages(self._fetched.pages(LEDGER))
        self._pages.update((of, tuple(its)) for of, its in groupby(pages, lambda page: page.model))
        return pages

    def pages_of(self, model: str) -> tuple[Page, ...]:
        """Those of one model; those of others are not read."""
        if model not in self._pages:
            pages = read_pages(self._fetched.pages(f"{LEDGER}/{model}"))
            self._pages[model] = tuple(page for page in pages if page.model == model)
        return self._pages[model]

    @cached_property
    def _fetched(self) -> Repository:
        """The repository, with the ledger as origin has it."""
        self.repository.fetch_pages(LEDGER)
        return self.repository

    def _read_ledger(self, model: str) -> Ledger:
        """The store is not asked again for what backs a page, but for the last of each stage.

        A page is noted by the name of its tag object, so by all that it says. The notes are of
        this machine: no job of a workflow gets another one's.
        """
        pages = self.pages_of(model)
        notes = self._notes("stored", model, self.store.name)
        known = read_notes(notes)
        noted = {page.sha: page.entry for page in pages if page.entry and page.sha in known}
        last = {entry.stage: entry.fingerprint for entry in noted.values()}
        new = {page.entry.fingerprint for page in pages if page.entry and page.sha not in noted}
        fingerprints = new.union(last.values())
        judged = self._judge(model, fingerprints)
        if noted and not judged:  # the store has lost much, so no note counts
            noted = {}
            fingerprints = {page.entry.fingerprint for page in pages if page.entry}
            judged = self._judge(model, fingerprints)
        if fingerprints and not judged:
            newest = pages[-1].name
            raise StoreError(
                f"the ledger has releases of {model} up to {newest}, and the store knows none",
                where=self.store.name,
                next_step="Point MERGELINE_STORE at the store of the releases. What only MLflow "
                "has, `mergeline reconcile` takes over. If there never was any: "
                f"git push origin :refs/tags/{newest}",
            )
        backed = {
            page.sha: page.entry
            for page in pages
            if page.entry and not unbacked(page.entry, judged.get(page.entry.fingerprint))
        }
        if not backed.keys() <= known:
            write_notes(notes, backed.keys() | noted.keys())
        for entry in noted.values():
            if entry.fingerprint not in fingerprints:
                judged[entry.fingerprint] = Judged(entry.model_digest, passed=True)
        ledger = believe(pages, judged, self._unsigned(model, pages))
        moved = [
            f"{name}: this clone knows another tag of that name than origin, or one that is gone"
            for name in self.repository.moved_pages(f"{LEDGER}/{model}")
        ]
        return replace(ledger, doubts=(*ledger.doubts, *moved))

    def _notes(self, kind: str, model: str, by: str) -> Path:
        """The file of what is known of a model's pages by a store, or by signers."""
        return self.state / kind / hashlib.sha256(f"{model}\n{by}".encode()).hexdigest()

    def _judge(self, model: str, fingerprints: Collection[str]) -> dict[str, Judged]:
        """What the store says of the candidates that pages name, of those that it has."""

        def ask(fingerprint: str) -> Judged | None:
            stored = self.store.find(model, fingerprint)
            return Judged(stored.model_digest, *self.store.backing(stored)) if stored else None

        with ThreadPoolExecutor(_AT_ONCE) as pool:  # a registry takes its time for each
            found = zip(fingerprints, pool.map(ask, fingerprints), strict=True)
            return {of: one for of, one in found if one}

    @cached_property
    def signers(self) -> bytes | None:
        """Whose signatures of pages count, by main's tree; None where pages need no signature."""
        try:
            return self.tree(self.repository.main_branch()).files.read(SIGNERS)
        except RepositoryError:  # before the first commit
            return None

    def signing(self) -> Signing | None:
        """How a page is signed; None where it need not be.

        Raises:
            InputError: it must be, and there is no key.
        """
        if self.signers is None:
            return None
        key = self.environment.get("MERGELINE_SIGNING_KEY")
        if not key:
            raise InputError(
                "the ledger's pages are signed, and no key is set",
                where=SIGNERS,
                next_step="Set MERGELINE_SIGNING_KEY to an SSH key, or to the path of one",
            )
        return Signing(key, self.signers)

    def _unsigned(self, model: str, pages: Sequence[Page]) -> dict[str, str]:
        """What speaks against pages that need a signature and have no good one, by name.

        A page needs one if the tree that it releases has the file of signers, or a page before it
        needs one. A tag object and the file of signers never say anything else later, so what was
        found good is noted.
        """
        signers = self.signers
        if signers is None:
            return {}
        notes = self._notes("signed", model, signers.decode(errors="replace"))
        noted = read_notes(notes)
        known = [page for page in pages if page.entry]
        while known and known[-1].sha in noted:
            known.pop()
        commits = [page.entry.commit for page in known if page.entry]
        with_file = self.repository.commits_with(SIGNERS, commits) if commits else set()
        first = next((n for n, commit in enumerate(commits) if commit in with_file), len(known))
        unknown = [page for page in known[first:] if page.sha not in noted]
        signed = self.repository.signed_tags([page.sha for page in unknown], signers)
        if signed:
            write_notes(notes, noted | signed)
        return {
            page.name: f"it has no signature of anybody in {SIGNERS}"
            for page in unknown
            if page.sha not in signed
        }

    @cached_property
    def drops(self) -> DropStore:
        """The drops of the repository; DVC is opened once."""
        return DropStore(self.repository.root)

    def tree(self, revision: str) -> ProjectTree:
        """What the tree of a commit, or a tree by its own name, declares.

        Raises:
            RepositoryError: there is no such commit or tree here.
        """
        return self.read_tree(self.repository.tree(revision))

    def trees_of(self, candidate: Candidate) -> Iterator[ProjectTree]:
        """The trees here that a candidate was made of, the one that it was trained from first.

        That is found by its content's own name: the commit may be a forge's trial merge, which no
        clone has. A release of the same fingerprint may have another tree, with other files that
        determine nothing.
        """
        for name in (candidate.origin.tree, candidate.origin.commit):
            with contextlib.suppress(RepositoryError):
                yield self.tree(name or "")
        for entry in self.ledger(candidate.model):  # which origin is asked for
            if entry.fingerprint == candidate.fingerprint:
                with contextlib.suppress(RepositoryError):
                    yield self.tree(entry.commit)

    def private_columns(self, tree: ProjectTree) -> frozenset[str]:
        """Columns that a tree or main declares private; all, where a declaration is unreadable.

        A change that would show what main hides does not begin to by itself.
        """
        trees = [tree]
        with contextlib.suppress(RepositoryError):  # before the first commit
            trees.append(self.tree(self.repository.main_branch()))
        hidden: frozenset[str] = frozenset()
        for one in trees:
            try:
                hidden |= private_columns(one.models)
            except DeclarationError:
                hidden |= {name for table in tree.contracts.values() for name in table.columns}
        return hidden

    def working_tree(self) -> ProjectTree:
        """What the working tree declares as it stands."""
        return self.read_tree(self.repository.working_tree())

    def read_tree(self, files: Tree) -> ProjectTree:
        """What a Git tree declares; the same object for the same tree."""
        return self._trees.setdefault(files.sha, ProjectTree(files))

    def target_tree(self) -> tuple[ProjectTree, Origin]:
        """The working tree as it stands, with the commit if it is exactly that of one."""
        repository = self.repository
        files, branch = repository.working_tree(), repository.branch()
        try:
            head = repository.commit()
        except RepositoryError:  # before the first commit
            origin = Origin(files.sha, ref=branch, pull_request=self.pull_request)
            return self.read_tree(files), origin
        commit, author = None, repository.config("user.name")
        at_head = repository.tree(head.sha)
        if at_head == files or repository.is_clean():
            files, commit, author = at_head, head.sha, head.author
        return self.read_tree(files), Origin(files.sha, commit, branch, author, self.pull_request)

    def base(self, onto: str | None) -> Commit | None:
        """The commit that the working tree would be merged onto; None before the first one.

        That is where HEAD left the main branch; for the tip of main itself, its first parent,
        unless the working tree has changes on top of it.

        Raises:
            RepositoryError: there is no such branch, or the clone is too shallow to tell.
        """
        repository = self.repository
        try:
            head = repository.commit()
        except RepositoryError:
            return None
        base = repository.merge_base(head.sha, onto or repository.main_branch())
        if base.sha != head.sha or not repository.is_clean():
            return base
        return repository.parent(head)
