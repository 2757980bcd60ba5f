"""The floors of the house: imports go down only, and what is pure stays pure."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.line import Line

SOURCE = Path(__file__).parent.parent / "src" / "mergeline"
FLOORS = ["errors", "system", "core", "adapters", "lifecycle", "serving", "demo", "cli"]
BELOW_LIFECYCLE = {"adapters", "core", "system", "errors"}
MAY_IMPORT = {
    "errors": set(),
    "system": {"errors"},
    "core": {"errors"},
    "adapters": {"core", "system", "errors"},
    "lifecycle": BELOW_LIFECYCLE,
    "serving": {"lifecycle", *BELOW_LIFECYCLE},
    "demo": {"lifecycle", *BELOW_LIFECYCLE},
    "cli": {"demo", "serving", "lifecycle", *BELOW_LIFECYCLE},
}
# The rooms of the core in the order of the steps; each may import those before it.
ROOMS = ["declare", "fingerprint", "data", "compare", "gate", "release", "report", "begin"]
HEAVY = {
    "mlflow", "dvc", "sklearn", "deltalake", "polars", "pandas", "pyarrow", "scipy", "numpy",
    "matplotlib", "github", "starlette", "uvicorn", "httpx", "jinja2", "rich", "pydantic",
}  # fmt: skip
# What reaches files, processes, networks or clocks, and so has no place in the core.
OUTSIDE = {
    "os", "shutil", "subprocess", "tempfile", "socket", "http", "urllib.request", "sqlite3", "time",
    "threading", "logging", "glob", "filelock", "requests", "httpx", "github", "mlflow", "dvc",
    "deltalake", "polars", "pandas", "pyarrow", "matplotlib", "starlette", "uvicorn", "duckdb",
}  # fmt: skip
CLOCKS = {"now", "today", "utcnow", "fromtimestamp"}
# Plays the reference project's people, so it names what they work on.
KNOWS_THE_REFERENCE_PROJECT = {"demo/flights.py", "demo/play.py"}


@dataclass(frozen=True)
class Import:
    """One imported name: `module` is what stands after `import` or `from`."""

    module: str
    name: str
    line: int
    late: bool


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


each_module = pytest.mark.parametrize(
    "path", modules(), ids=lambda path: path.relative_to(SOURCE).as_posix()
)


def unit(parts: tuple[str, ...]) -> str | None:
    """The floor of a module by its path below mergeline; None for the package itself."""
    if not parts or parts[0] in {"__init__", "__main__"}:
        return None
    return parts[0]


def place(path: Path) -> tuple[str, ...]:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def imports(path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.walk(node)
    }
    at_top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        late = id(node) not in at_top or id(node) in typing_only
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, "", node.lineno, late)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            for alias in node.names:
                yield Import(node.module or "", alias.name, node.lineno, late)


def own(path: Path) -> Iterator[tuple[tuple[str, ...], int]]:
    """Imported modules of mergeline, as paths below it, with their lines."""
    for found in imports(path):
        if found.module.split(".")[0] == "mergeline":
            yield (*found.module.split(".")[1:], found.name), found.line


@each_module
def test_imports_go_down_only(path: Path) -> None:
    floor = unit(place(path))
    if floor is None:
        return
    for target, line in own(path):
        other = unit(target)
        if other is None:
            continue
        assert other in FLOORS, f"{path}:{line}: {other} is on no floor"
        assert other == floor or other in MAY_IMPORT[floor], f"{path}:{line}: {floor} → {other}"


@each_module
def test_rooms_of_the_core_import_earlier_rooms_only(path: Path) -> None:
    here = place(path)
    if here[:1] != ("core",) or len(here) < 2 or here[1] not in ROOMS:
        return
    for target, line in own(path):
        if target[0] == "core" and target[1] in ROOMS:
            order = ROOMS.index(target[1]), ROOMS.index(here[1])
            assert order[0] <= order[1], f"{path}:{line}: {here[1]} → {target[1]}"


@each_module
def test_what_verbs_share_is_a_step(path: Path) -> None:
    here = place(path)
    if here[:1] != ("lifecycle",) or len(here) < 3:
        return
    for target, line in own(path):
        if target[:2] == ("lifecycle", "verbs"):
            assert here[1:3] == ("verbs", target[2]), f"{path}:{line}: {target[2]}"


@each_module
def test_adapters_do_not_know_each_other(path: Path) -> None:
    here = place(path)
    if here[:1] != ("adapters",) or len(here) < 2:
        return
    for target, line in own(path):
        if target[0] == "adapters":
            assert target[1] == here[1], f"{path}:{line}: {here[1]} → {target[1]}"


@each_module
def test_the_core_reaches_nothing_outside(path: Path) -> None:
    if place(path)[:1] not in {("core",), ("errors",)}:
        return
    for found in imports(path):
        package = found.module.split(".")[0]
        named = {package, found.module, f"{found.module}.{found.name}"}
        assert named.isdisjoint(OUTSIDE), f"{path}:{found.line}: {found.module}"
        assert found.late or package != "sklearn", f"{path}:{found.line}: {package} at the top"
        assert (package, found.name) != ("pathlib", "Path"), f"{path}:{found.line}: Path"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"open", "print", "input"}, f"{path}:{node.lineno}: {called}"
            assert called.split(".")[-1] not in CLOCKS, f"{path}:{node.lineno}: {called}"


@each_module
def test_nothing_knows_what_the_reference_project_predicts(path: Path) -> None:
    name = path.relative_to(SOURCE).as_posix()
    if name in KNOWS_THE_REFERENCE_PROJECT:
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            _drop_docstring(node)  # which may give an example
    code = ast.unparse(tree).lower()
    assert "flight" not in code
    assert "nycflights" not in code


def test_every_module_says_what_it_is_for() -> None:
    for path in modules():
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


def test_help_imports_nothing_heavy() -> None:
    check = (
        "import sys; sys.argv = ['mergeline', '--help']; from mergeline.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as done: assert not done.code, done.code\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert "Merge is the release" in done.stdout
    assert HEAVY.isdisjoint(done.stderr.split())


@pytest.mark.parametrize(
    "verb", ["plan", "status", "release --plan", "history", "why late", "store gc --plan"]
)
def test_verbs_that_ask_git_ledger_and_store_import_nothing_heavy(clone: Line, verb: str) -> None:
    check = (
        f"import sys; sys.argv = ['mergeline', *{verb.split()}]\n"
        "from mergeline.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as done: assert not done.code, done.code\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", check],
        cwd=clone.runner.root, env={**os.environ, **clone.environment},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout
    assert not {"mlflow", "polars", "deltalake"}.intersection(done.stderr.split())


def _drop_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> None:
    if ast.get_docstring(node) is not None:
        node.body = node.body[1:] or [ast.Pass()]
