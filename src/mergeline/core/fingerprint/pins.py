"""Whether the files that count as a dependency lock say exact versions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mergeline.core.declare.strict import parse_yaml
from mergeline.errors import DeclarationError

_REQUIREMENTS = re.compile(r"(.*/)?(requirements([-_.][^/]*)?|requirements/[^/]+)\.txt")
_ENVIRONMENT = re.compile(r"(.*/)?environment([-_.][^/]*)?\.ya?ml")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


def unpinned(paths: Iterable[str], read: Callable[[str], bytes | None]) -> tuple[str, str] | None:
    """A package whose version is open, and the file that names it; None if all are pinned.

    Where one of the files is a lock by its kind, such as `uv.lock`, that says the versions.
    """
    found = None
    for path in paths:
        text = (read(path) or b"").decode(errors="replace")
        if _REQUIREMENTS.fullmatch(path):
            names = _open_requirements(text.splitlines())
        elif _ENVIRONMENT.fullmatch(path):
            names = _open_in_environment(text, path)
        else:
            return None
        found = found or next(((name, path) for name in names), None)
    return found


def _open_requirements(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        requirement = re.sub(r"(^|\s)#.*", "", line).strip()
        name = _NAME.match(requirement)  # none of an option, such as `-r` or `--hash`
        if name and not re.search(r"==|\s@\s|://", requirement):
            yield name[0]


def _open_in_environment(text: str, path: str) -> Iterator[str]:
    try:
        listed: Any = parse_yaml(text, where=path).get("dependencies")
    except DeclarationError:  # conda says what is wrong with it
        return
    for item in listed if isinstance(listed, list) else []:
        if isinstance(item, dict):
            yield from _open_requirements(map(str, item.get("pip") or ()))
        elif (name := _NAME.match(str(item).rpartition("::")[2])) and not re.search(
            r"^[^<>!~]*=+\s*[\d]", str(item)
        ):
            yield name[0]
