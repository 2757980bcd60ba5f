"""What `import mergeline` offers, what it costs, and what is built of it."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from importlib.metadata import metadata, packages_distributions, requires
from pathlib import Path

import pytest

import mergeline
from mergeline.cli.main import EXTRAS

ROOT = Path(__file__).parent.parent
HIDE = f"""
import sys, importlib.abc
class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {sorted(set().union(*EXTRAS.values()))}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
"""


def without_extras(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Python where nothing is installed but what `pip install mergeline` brings."""
    command = [sys.executable, "-c", HIDE + code]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def verb(words: str) -> str:
    return f"sys.argv = {['mergeline', *words.split()]}\nfrom mergeline.cli.main import run; run()"


def needs(extra: str) -> set[str]:
    """The packages that an extra names by itself."""
    names = set()
    for line in requires("mergeline") or []:
        if re.search(rf"extra == ['\"]{extra}['\"]", line):
            names.add(re.split(r"[^\w.-]", line)[0].lower())
    return names


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


def test_the_extras_that_a_message_names_bring_what_it_says() -> None:
    installed = {
        module: {name.lower().replace("_", "-") for name in names}
        for module, names in packages_distributions().items()
    }
    for extra, modules in EXTRAS.items():
        named = needs(extra) - {"mergeline"}
        brought = [installed[module] for module in modules]
        assert all(names & named for names in brought)
        others = needs("serve") | needs("bucket") if extra == "train" else set()  # it brings both
        assert named - others <= set().union(*brought)


def test_every_dependency_is_a_range_with_two_ends() -> None:
    for line in requires("mergeline") or []:
        if line.startswith(("mergeline[", "dvc[s3]")):
            continue
        assert re.match(r"[\w.-]+<[\d.]+,>=[\d.]+", line), line


@pytest.mark.parametrize(
    ("words", "extra"),
    [("snapshot", "train"), ("ui", "train"), ("evaluate", "train"), ("serve", "serve")],
)
def test_a_verb_whose_extra_is_missing_says_in_one_line_what_to_install(
    words: str, extra: str
) -> None:
    done = without_extras(verb(words), ROOT)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert f"pip install 'mergeline[{extra}]'" in done.stderr


@pytest.mark.parametrize(
    "words", ["plan", "status", "history", "store gc --plan", "schema model", "init --help"]
)
def test_what_reads_git_ledger_and_store_needs_no_extra(words: str) -> None:
    done = without_extras(verb(words), ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("words", ["comment", "answer", "approval", "track", "release"])
def test_what_the_clerk_runs_is_imported_without_an_extra(words: str) -> None:
    code = f"import mergeline.lifecycle.verbs.{words}, mergeline.adapters.forge.github"
    done = without_extras(code, ROOT)
    assert done.returncode == 0, done.stderr


def test_the_client_needs_no_extra() -> None:
    done = without_extras("import mergeline; mergeline.Client('http://127.0.0.1:9')", ROOT)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_wheel_and_sdist_are_whole(tmp_path: Path) -> None:
    build = ["uv", "build", "--quiet", "--out-dir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    version = metadata("mergeline")["Version"]
    with (
        zipfile.ZipFile(tmp_path / f"mergeline-{version}-py3-none-any.whl") as wheel,
        tarfile.open(tmp_path / f"mergeline-{version}.tar.gz") as tree,
    ):
        names = set(wheel.namelist())
        inside = {name.removeprefix(f"mergeline-{version}/src/") for name in tree.getnames()}
        text = wheel.read(f"mergeline-{version}.dist-info/METADATA").decode()
    source = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src/mergeline").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    # The workflows in the package are links to the repository's own, so that they cannot differ.
    assert {"mergeline/py.typed", "mergeline/core/report/render/report.html.j2"} <= source
    assert source <= names
    assert {name for name in source if "/workflows/" not in name} <= inside
    said = Parser().parsestr(text)
    assert said["License-Expression"] == "Apache-2.0"
    assert said["Description-Content-Type"] == "text/markdown"
    assert said.get_all("Provides-Extra") == ["bucket", "s3", "serve", "train"]
    classifiers = said.get_all("Classifier") or []
    assert "Typing :: Typed" in classifiers
    urls = dict(line.split(", ") for line in said.get_all("Project-URL") or [])
    assert urls.keys() == {"Documentation", "Changelog", "Issues", "Source"}
    checked = [sys.executable, "-m", "twine", "check", "--strict", *map(str, tmp_path.glob("m*"))]
    subprocess.run(checked, check=True, capture_output=True)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_as_the_documents_say(shell: str) -> None:
    name = f"_MERGELINE_COMPLETE={shell}_source"
    assert name in (ROOT / "docs/install.md").read_text(encoding="utf-8")
    code = f"import os; os.environ.update([{name.split('=')!r}])\n{verb('')}"
    done = without_extras(code, ROOT)
    assert done.returncode == 0, done.stderr
    assert "complete" in done.stdout
