"""What `import mergeline` offers, and what it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import mergeline


def test_the_package_offers_a_table_and_a_client() -> None:
    names = ["Client", "hash_inputs", "held_out", "load", "save", "table"]
    assert sorted(mergeline.__all__) == names
    assert mergeline.Client.__name__ == "Client"
    assert callable(mergeline.table)


def test_importing_the_package_imports_none_of_its_modules() -> None:
    check = "import sys, mergeline; print(*(n for n in sys.modules if n.startswith('mergeline.')))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_name_that_the_package_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Clint'"):
        _ = mergeline.Clint
