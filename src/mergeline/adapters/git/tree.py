"""The files of a Git tree."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from mergeline.errors import RepositoryError
from mergeline.system.git_command import run_git

_LINK = "120000 "  # the mode of a symbolic link


class Tree:
    """The files of one Git tree, read from Git's objects; no checkout is needed."""

    def __init__(self, root: Path, sha: str) -> None:
        self.sha = sha
        self._root = root
        self._read: dict[str, bytes] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tree) and other.sha == self.sha

    def __hash__(self) -> int:
        return hash(self.sha)

    @cached_property
    def _lines(self) -> dict[str, str]:
        """By path: mode, kind and name of the content, then the path."""
        return dict(listed(self._root, self.sha))

    @cached_property
    def _paths(self) -> Sequence[str]:
        return sorted(self._lines)

    def list(self, prefix: str = "") -> list[str]:
        """Paths of the files in the folder `prefix` (or the file itself), sorted."""
        if not prefix:
            return [*self._paths]
        folder = prefix.rstrip("/") + "/"
        below = self._paths[
            bisect_left(self._paths, folder) : bisect_left(self._paths, folder[:-1] + "0")
        ]  # "0" is the character after "/"
        return [prefix, *below] if prefix in self._lines else [*below]

    def blob(self, path: str) -> str | None:
        """Git's name of a file's content; None if there is no such file."""
        line = self._lines.get(path)
        return line.split(maxsplit=3)[2] if line else None

    def is_link(self, path: str) -> bool:
        """Whether a path is a symbolic link; its content is then where it leads."""
        return self._lines.get(path, "").startswith(_LINK)

    def read(self, path: str) -> bytes | None:
        """A file's content; None if there is no such file."""
        if path not in self._lines:
            return None
        self.read_ahead([path])
        return self._read[path]

    def read_ahead(self, paths: Iterable[str]) -> None:
        """Read files that will be asked for with one process; one by one each takes its own.

        Raises:
            RepositoryError: the content of one is not in this clone.
        """
        unread = [path for path in paths if path in self._lines and path not in self._read]
        if not unread:
            return
        names = "".join(f"{self.blob(path)}\n" for path in unread).encode()
        out = run_git(["cat-file", "--batch"], cwd=self._root, stdin=names)
        at = 0
        for path in unread:
            header_end = out.index(b"\n", at)
            header = out[at:header_end].split()
            if header[-1] == b"missing":
                raise RepositoryError(
                    f"the content of {path} is not in this clone",
                    where=str(self._root),
                    next_step="Fetch it: git fetch --refetch",
                )
            size = int(header[2])
            self._read[path] = out[header_end + 1 : header_end + 1 + size]
            at = header_end + size + 2


def listed(root: Path, tree: str) -> Iterator[tuple[str, str]]:
    """The files of a tree by path, each with its line as git lists it (and takes it again)."""
    out = run_git(["ls-tree", "-r", "-z", "--full-tree", tree], cwd=root)
    for line in out.decode(errors="surrogateescape").split("\0"):
        if line:
            yield line.split("\t", 1)[1], line
