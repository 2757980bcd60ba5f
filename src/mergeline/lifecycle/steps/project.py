"""A project as its verbs see it: the repository, its declarations, and where state lives."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mergeline.adapters.dvc.drops import DropStore
from mergeline.adapters.forge.base import Forge
from mergeline.adapters.forge.environment import forge_from_environment
from mergeline.adapters.git.repository import Commit, Repository
from mergeline.adapters.git.tree import Tree
from mergeline.adapters.mlflow.tracking import Tracking
from mergeline.core.release.bundle import Origin
from mergeline.core.release.ledger import LEDGER, Entry, read_pages
from mergeline.errors import InputError, RepositoryError, WallsError
from mergeline.lifecycle.steps.project_tree import ProjectTree
from mergeline.system.confinement import Walls, find_walls

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
        """Folder of everything that has no place of its own: MERGELINE_STATE, or `.mergeline`."""
        named = self.environment.get("MERGELINE_STATE")
        return Path(named).absolute() if named else self.repository.main_root / ".mergeline"

    @cached_property
    def tables(self) -> str:
        """Root of the Delta tables: MERGELINE_TABLES, any URI that delta-rs speaks."""
        return self.environment.get("MERGELINE_TABLES") or str(self.state / "tables")

    @cached_property
    def tracking(self) -> Tracking:
        """The tracking store: MLFLOW_TRACKING_URI, or a SQLite file in the state folder."""
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
    def forge(self) -> Forge | None:
        """Where pull requests are, if anywhere."""
        return forge_from_environment(self.environment, self.repository.remote_url())

    def candidate_folder(self, model: str, fingerprint: str) -> Path:
        """Where this machine keeps the files of a trained candidate."""
        return self.state / "candidates" / f"{model}-{fingerprint[:20]}"

    def elsewhere(self, state: Path) -> Project:
        """The same repository with nothing known: tables, candidates and caches in `state`."""
        kept = {k: v for k, v in self.environment.items() if k != "MERGELINE_TABLES"}
        environment = {**kept, "MERGELINE_STATE": str(state)}
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
        """The releases so far, oldest first, as origin had them when they were first asked for."""
        return tuple(entry for entry in self._entries if model in {None, entry.model})

    def forget_ledger(self) -> None:
        """Have the ledger fetched anew when it is next asked for."""
        self.__dict__.pop("_entries", None)

    @cached_property
    def _entries(self) -> tuple[Entry, ...]:
        self.repository.fetch_pages(LEDGER)
        return read_pages(self.repository.pages(LEDGER))

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
