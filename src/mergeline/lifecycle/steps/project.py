"""A project as its verbs see it: the repository, its declarations, and where state lives."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from mergeline.adapters.forge.base import Forge
from mergeline.adapters.forge.environment import forge_from_environment
from mergeline.adapters.git.repository import Commit, Repository
from mergeline.adapters.git.tree import Tree
from mergeline.adapters.mlflow.tracking import Tracking
from mergeline.core.data.snapshot import pointers_digest
from mergeline.core.declare.contract import Contract, parse_contract
from mergeline.core.declare.model import Model, parse_model
from mergeline.core.declare.pointer import Pointer, parse_pointer
from mergeline.core.declare.strict import did_you_mean
from mergeline.core.fingerprint.ingredients import Ingredients, TableInput
from mergeline.core.fingerprint.read_ingredients import read_ingredients
from mergeline.core.release.bundle import Origin
from mergeline.core.release.plan import LEDGER, Entry, read_pages
from mergeline.errors import DeclarationError, InputError, NotFoundError, RepositoryError
from mergeline.lifecycle.steps.places import state_folder, tables_root

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
        return state_folder(self.environment, lambda: self.repository.main_root)

    @cached_property
    def tables(self) -> str:
        """Root of the Delta tables: MERGELINE_TABLES, any URI that delta-rs speaks."""
        return tables_root(self.environment, lambda: self.repository.main_root)

    @cached_property
    def tracking(self) -> Tracking:
        """The tracking store: MLFLOW_TRACKING_URI, or a SQLite file in the state folder."""
        named = self.environment.get("MLFLOW_TRACKING_URI")
        return Tracking(named or f"sqlite:///{self.state / 'mlflow.db'}", self.state / "artifacts")

    @cached_property
    def forge(self) -> Forge | None:
        """Where pull requests are, if anywhere."""
        return forge_from_environment(self.environment, self.repository.remote_url())

    def candidate_folder(self, model: str, fingerprint: str) -> Path:
        """Where this machine keeps the files of a trained candidate."""
        return self.state / "candidates" / f"{model}-{fingerprint[:20]}"

    def without_server(self) -> Project:
        """The same, with no server to deploy to."""
        return replace(self, environment={**self.environment, "MERGELINE_SERVER": ""})

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
    def pull_request(self) -> int | None:
        """Number of the pull request that is evaluated: MERGELINE_PULL_REQUEST, or GitHub's ref.

        Raises:
            InputError: the variable is set, and to no number.
        """
        named = self.environment.get("MERGELINE_PULL_REQUEST", "")
        ref = self.environment.get("GITHUB_REF", "")
        if not named and ref.startswith("refs/pull/"):
            named = ref.split("/")[2]
        elif named and not _NUMBER.fullmatch(named):
            raise InputError(
                f"MERGELINE_PULL_REQUEST is {named!r}, which is no number",
                next_step="Set it to the pull request's number, or leave it out",
            )
        return int(named) if _NUMBER.fullmatch(named) else None

    def ledger(self, model: str | None = None) -> tuple[Entry, ...]:
        """The releases so far, oldest first."""
        self.repository.fetch_pages(LEDGER)
        entries = read_pages(self.repository.pages(LEDGER))
        return tuple(entry for entry in entries if model in {None, entry.model})

    def target_tree(self) -> tuple[Tree, Origin]:
        """The working tree as it stands, with the commit where it is exactly one."""
        tree = self.repository.working_tree()
        branch = self.repository.branch()
        try:
            head = self.repository.commit()
        except RepositoryError:
            return tree, Origin(tree.sha, ref=branch, pull_request=self.pull_request)
        committed = self.repository.tree(head.sha) == tree or self.repository.is_clean()
        if committed:
            tree = self.repository.tree(head.sha)
        commit = head.sha if committed else None
        author = head.author if committed else self.repository.config("user.name")
        return tree, Origin(tree.sha, commit, branch, author, self.pull_request)

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


def declared_models(tree: Tree) -> dict[str, Model]:
    """The models that a tree declares, by name.

    Raises:
        DeclarationError: one of the files cannot be read as it stands.
    """
    paths = [path for path in tree.list("models") if path.endswith(".yaml")]
    for path in paths:
        if path.count("/") > 1:
            raise DeclarationError(
                "a model is declared in models/ itself, not in a folder of it",
                where=path,
                next_step="Move it there, or out of models/",
            )
    named = {PurePosixPath(path).stem: path for path in paths}
    return {name: parse_model(name, tree.read(path) or b"") for name, path in named.items()}


def chosen_models(tree: Tree, name: str | None) -> dict[str, Model]:
    """The model of that name; without a name, all.

    Raises:
        NotFoundError: there is no such model, or none at all.
    """
    models = declared_models(tree)
    if not models:
        raise DeclarationError(
            "the project declares no model", where="models/", next_step="Write models/<name>.yaml"
        )
    if name is None:
        return models
    if name not in models:
        raise NotFoundError(
            f"no model {name!r} ({did_you_mean(name, sorted(models))})", where="models/"
        )
    return {name: models[name]}


def declared_tables(tree: Tree) -> dict[str, Contract]:
    """The contracts of a tree, by table."""
    found = {}
    for path in tree.list("data"):
        place = PurePosixPath(path)
        if place.parent == PurePosixPath("data") and place.suffix == ".yaml":
            found[place.stem] = parse_contract(place.stem, tree.read(path) or b"")
    return found


def pointers_of(tree: Tree, contract: Contract) -> list[Pointer]:
    """The pointers that a contract's source names.

    Raises:
        DeclarationError: there are none.
    """
    source = contract.source.rstrip("/")
    paths = [p for p in tree.list(source) if p.endswith(".dvc")]
    if not paths and tree.blob(f"{source}.dvc") is not None:
        paths = [f"{source}.dvc"]
    if not paths:
        raise DeclarationError(
            f"no pointers under {source}",
            where=contract.path,
            next_step=f"Add a drop: dvc add {source}/<file>",
        )
    return [parse_pointer(path, tree.read(path) or b"") for path in paths]


def read_model_ingredients(tree: Tree, model: Model) -> Ingredients:
    """The ingredients of a model in a tree; no data are needed."""
    return read_ingredients(
        tree,
        model.stage,
        {table: _table_input(tree, contract) for table, contract in declared_tables(tree).items()},
        outputs=model.outputs,
    )


def _table_input(tree: Tree, contract: Contract) -> TableInput:
    pointers = {pointer.path: pointer.md5 for pointer in pointers_of(tree, contract)}
    return TableInput(pointers_digest(contract, pointers.values()), contract.digest, pointers)
