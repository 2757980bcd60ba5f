"""Modules that are imported from one folder, and forgotten afterwards."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from types import ModuleType


@contextlib.contextmanager
def isolated_imports(
    folder: Path, names: Collection[str] | None = None, *, bytecode: bool = True
) -> Iterator[None]:
    """Within, top-level modules in `folder` are imported anew; afterwards nobody finds them.

    Of two folders with modules of the same name, the second would run with the first one's.
    `names` limits it to some modules; `bytecode` says whether compiled ones are read and written.
    """
    isolated = {path.stem for path in folder.glob("*") if names is None or path.stem in names}
    others = _take_out([name for name in sys.modules if name.partition(".")[0] in isolated])
    before, path = set(sys.modules), list(sys.path)
    settings = sys.pycache_prefix, sys.dont_write_bytecode
    sys.path.insert(0, str(folder))
    if not bytecode:
        sys.pycache_prefix, sys.dont_write_bytecode = str(folder / "none"), True
    try:
        yield
    finally:
        sys.pycache_prefix, sys.dont_write_bytecode = settings
        sys.path[:] = path
        _take_out([
            name
            for name, module in sys.modules.items()
            if name not in before
            and (name.partition(".")[0] in isolated or _is_below(module, folder))
        ])  # fmt: skip
        sys.modules.update(others)


def _take_out(names: Collection[str]) -> dict[str, ModuleType]:
    return {name: sys.modules.pop(name) for name in names}


def _is_below(module: ModuleType, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    places = [file] if file else [*getattr(module, "__path__", [])]  # a folder without __init__
    return any(Path(place).is_relative_to(folder) for place in places)
