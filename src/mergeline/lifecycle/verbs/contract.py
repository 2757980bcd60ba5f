"""`contract infer`: a first contract, out of a drop."""

from __future__ import annotations

from pathlib import Path

from mergeline.adapters.drops.infer import infer
from mergeline.core.data.first_contract import to_yaml


def first_contract(drop: Path) -> str:
    """A contract that the drop meets, as YAML with what was seen.

    Raises:
        DropError: the file cannot be read.
    """
    return to_yaml(infer(drop, drop.as_posix()))
