"""Modules of the same name in two folders."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from mergeline.system.import_isolation import isolated_imports


@pytest.mark.parametrize("bytecode", [True, False])
def test_two_folders_have_modules_of_the_same_name(tmp_path: Path, *, bytecode: bool) -> None:
    path = list(sys.path)
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "sought.py").write_text(f"import beside\nnumber = beside.number + {number}\n")
        (folder / "beside.py").write_text("number = 40\n")
        with isolated_imports(folder, {"sought", "json"}, bytecode=bytecode):
            assert importlib.import_module("sought").number == 40 + number
            assert importlib.import_module("json") is sys.modules["json"]
        assert bytecode or not (folder / "__pycache__").exists()
    assert not {"sought", "beside"} & sys.modules.keys()
    assert sys.path == path


def test_a_module_that_was_there_before_comes_back(tmp_path: Path) -> None:
    (tmp_path / "sought.py").write_text("")
    before = sys.modules["sought"] = ModuleType("sought")
    try:
        with isolated_imports(tmp_path):
            assert importlib.import_module("sought") is not before
        assert sys.modules["sought"] is before
    finally:
        del sys.modules["sought"]
