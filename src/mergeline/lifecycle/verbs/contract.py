"""`contract check`: hold contracts and drops against what they must be, before a commit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from mergeline.adapters.drops.convert import convert
from mergeline.core.data.snapshot import Drop
from mergeline.core.declare.contract import parse_contract
from mergeline.core.declare.pointer import parse_pointer
from mergeline.core.numbers import counted
from mergeline.errors import DeclarationError, InputError, NotFoundError
from mergeline.lifecycle.steps.project import Project


def check_files(project: Project, files: Sequence[Path]) -> Iterator[str]:
    """Check contracts, and drops or their pointers against the contract of their table.

    Raises:
        DeclarationError: a contract cannot be read as it stands, or no contract is about a drop.
        DropError: a drop breaks its contract.
    """
    root = project.repository.root.resolve()
    tree = project.working_tree()
    for file in files:
        if not file.resolve().is_relative_to(root):
            raise InputError("lies outside of the project", where=str(file))
        path = file.resolve().relative_to(root).as_posix()
        if path.endswith(".yaml"):
            text = (root / path).read_bytes()
            parse_contract(PurePosixPath(path).stem, text)
            yield f"{path}: a contract"
            continue
        drop = path.removesuffix(".dvc")
        about = [
            contract
            for contract in tree.contracts.values()
            if drop.startswith(f"{contract.source}/") or contract.source == f"{drop}.dvc"
        ]
        if not about:
            raise DeclarationError(
                "no contract is about it",
                where=path,
                next_step="Write one: mergeline contract infer FILE > data/TABLE.yaml",
            )
        with TemporaryDirectory(prefix="mergeline-check-") as scratch:
            target = Path(scratch) / "rows.parquet"
            content = _content(project, root, drop, path)
            hidden = project.private_columns(tree)
            rows = convert(content, Drop(drop, ""), about[0], target, private=hidden)
        yield f"{drop}: {counted(rows, 'row')}, as {about[0].path} says"


def _content(project: Project, root: Path, drop: str, named: str) -> Path:
    """The drop's own file; where only its pointer is here, as DVC has it."""
    if named.endswith(".dvc") and (root / named).is_file():
        pointer = parse_pointer(named, (root / named).read_bytes())
        if pointer.is_folder:
            raise InputError(
                "it stands for a folder of drops",
                where=named,
                next_step="Bring them (dvc pull), and name the files in it",
            )
        return project.drops.fetch(pointer.md5, pointer=drop)
    if not (root / drop).is_file():
        raise NotFoundError("there is no such file", where=drop)
    return root / drop
