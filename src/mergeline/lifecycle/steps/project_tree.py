"""What one Git tree declares: models, contracts, pointers, and what its models are made of."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from mergeline.adapters.dvc.reading import DvcReading
from mergeline.adapters.git.tree import Tree
from mergeline.core.data.snapshot import pointers_digest
from mergeline.core.declare.contract import Contract, parse_contract
from mergeline.core.declare.model import DECISION, Model, parse_model
from mergeline.core.declare.model_columns import check_columns
from mergeline.core.declare.pointer import Pointer, parse_pointer, without_replaced
from mergeline.core.declare.strict import did_you_mean
from mergeline.core.fingerprint.ingredients import Ingredients, TableInput
from mergeline.core.fingerprint.read_ingredients import IngredientReader
from mergeline.errors import DeclarationError, NotFoundError


@dataclass(frozen=True)
class Declared:
    """A model as a tree declares it, and what the tree makes it of."""

    model: Model
    ingredients: Ingredients


class ProjectTree:
    """The declarations of one Git tree, each read when it is first asked for, and once."""

    def __init__(self, files: Tree) -> None:
        self.files = files
        self._pointers: dict[str, Pointer] = {}
        self._ingredients: dict[str, Ingredients] = {}

    @cached_property
    def models(self) -> Mapping[str, Model]:
        """The declared models, by name.

        Raises:
            DeclarationError: one of the files cannot be read as it stands.
        """
        paths = [path for path in self.files.list("models") if path.endswith(".yaml")]
        for path in paths:
            if path.count("/") > 1:
                raise DeclarationError(
                    "a model is declared in models/ itself, not in a folder of it",
                    where=path,
                    next_step="Move it there, or out of models/",
                )
        self.files.read_ahead(paths)
        named = {PurePosixPath(path).stem: path for path in paths}
        return {name: parse_model(name, self._text(path)) for name, path in named.items()}

    def choose_models(self, name: str | None) -> Mapping[str, Model]:
        """The model of that name; without a name, all.

        Raises:
            DeclarationError: the tree declares no model.
            NotFoundError: it declares none of that name.
        """
        if not self.models:
            raise DeclarationError(
                "the project declares no model",
                where="models/",
                next_step="Write models/<name>.yaml",
            )
        if name is None:
            return self.models
        if name not in self.models:
            near = did_you_mean(name, sorted(self.models))
            raise NotFoundError(f"no model {name!r} ({near})", where="models/")
        return {name: self.models[name]}

    @cached_property
    def contracts(self) -> Mapping[str, Contract]:
        """The contracts, by table.

        Raises:
            DeclarationError: one of the files cannot be read as it stands.
        """
        paths = [path for path in self.files.list("data") if path.endswith(".yaml")]
        named = {PurePosixPath(path).stem: path for path in paths if path.count("/") == 1}
        self.files.read_ahead(named.values())
        return {table: parse_contract(table, self._text(path)) for table, path in named.items()}

    def pointers_of(self, contract: Contract) -> Sequence[Pointer]:
        """The pointers that a contract's source names, without those that others replace.

        Raises:
            DeclarationError: there are none, one cannot be read as it stands, or one replaces what
                is not there.
        """
        source = contract.source.rstrip("/")
        paths = [path for path in self.files.list(source) if path.endswith(".dvc")]
        if not paths and self.files.blob(f"{source}.dvc") is not None:
            paths = [f"{source}.dvc"]
        if not paths:
            raise DeclarationError(
                f"no pointers under {source}",
                where=contract.path,
                next_step=f"Add a drop: dvc add {source}/<file>",
            )
        return without_replaced(self._pointers_at(paths))

    def pointers_behind(self, ingredients: Ingredients) -> Sequence[Pointer]:
        """The pointers of everything that a model is made of."""
        snapshots = ingredients.snapshots.values()
        paths = [path for snapshot in snapshots for path in snapshot.pointers]
        paths += [f"{path}.dvc" for stage in ingredients.stages for path in stage.data]
        return self._pointers_at([*dict.fromkeys(paths)])

    def ingredients(self, model: Model) -> Ingredients:
        """What a model is made of; no data are needed.

        Raises:
            DeclarationError: something that the model is made of cannot be read as it stands.
        """
        if model.name not in self._ingredients:
            decision = model.decision if model.task == "binary" else DECISION
            read = self._reader.read(model.stage, outputs=model.outputs, decision=decision)
            self._ingredients[model.name] = read
        return self._ingredients[model.name]

    def check_columns(self, model: Model) -> Sequence[str]:
        """What is worth a look of a model's columns and classes, a sentence each.

        Where it is made of files without a contract, their columns are not known.

        Raises:
            DeclarationError: it names a column that there is not, or a class that never occurs.
        """
        ingredients = self.ingredients(model)
        if not ingredients.snapshots or ingredients.tracked_data():
            return ()
        paths = [path for stage in ingredients.stages for path in stage.code]
        words = [str(ingredients.params()), *(stage.command for stage in ingredients.stages)]

        def is_named(name: str) -> bool:
            word = re.compile(rb"(?<!\w)" + re.escape(name.encode()) + rb"(?!\w)")
            texts = itertools.chain(map(str.encode, words), map(self._text, paths))
            return any(map(word.search, texts))

        return check_columns(model, [*self.contracts.values()], is_named)

    def declared(self, name: str) -> Declared | None:
        """A model and its ingredients; None if the tree has no such model."""
        model = self.models.get(name)
        return Declared(model, self.ingredients(model)) if model else None

    @cached_property
    def _reader(self) -> IngredientReader:
        tables = {}
        for table, contract in self.contracts.items():
            pointers = {pointer.path: pointer.md5 for pointer in self.pointers_of(contract)}
            digest = pointers_digest(contract, pointers.values())
            tables[table] = TableInput(digest, contract.digest, pointers)
        return IngredientReader(self.files, tables, DvcReading(self.files))

    def _pointers_at(self, paths: Sequence[str]) -> Sequence[Pointer]:
        unread = [path for path in paths if path not in self._pointers]
        self.files.read_ahead(unread)
        for path in unread:
            self._pointers[path] = parse_pointer(path, self._text(path))
        return [self._pointers[path] for path in paths]

    def _text(self, path: str) -> bytes:
        return self.files.read(path) or b""
