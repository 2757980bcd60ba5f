"""The files of a Git tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mergeline.errors import RepositoryError
from mergeline.system.git_command import run_git

_LINK = "120000 "  # the mode of a symbolic link


class Tree:
    """The files of one Git tree, read from Git's objects; no checkout is needed."""

    def __init__(self, root: Path, sha: str) -> None:
        self.sha = sha
        self._root = root
        # A line: mode, kind and name of the content, then the path.
        lines = dict(listed(root, sha))
        self._blobs = {path: line.split()[2] for path, line in lines.items()}
        self._links = {path for path, line in lines.items() if line.startswith(_LINK)}
        self._read: dict[str, bytes] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tree) and other.sha == self.sha

    def __hash__(self) -> int:
        return hash(self.sha)

    def list(self, prefix: str = "") -> list[str]:
        """Paths of the files in the folder `prefix` (or the file itself), sorted."""
        folder = prefix.rstrip("/") + "/" if prefix else ""
        return sorted(p for p in self._blobs if p.startswith(folder) or p == prefix)

    def blob(self, path: str) -> str | None:
        """Git's name of a file's content, or None where there is no such file."""
        return self._blobs.get(path)

    def is_link(self, path: str) -> bool:
        """Whether a path is a symbolic link; its content is then where it leads."""
        return path in self._links

    def read(self, path: str) -> bytes | None:
        """A file's content, or None where there is no such file."""
        if path not in self._blobs:
            return None
        if path not in self._read:
            # A thousand pointers one by one would be a thousand processes.
            alike = [p for p in self._blobs if p.endswith(".dvc")] if path.endswith(".dvc") else []
            self._read.update(self._read_all(alike or [path]))
        return self._read[path]

    def _read_all(self, paths: Sequence[str]) -> dict[str, bytes]:
        names = "".join(f"{self._blobs[path]}\n" for path in paths).encode()
        out = run_git(["cat-file", "--batch"], cwd=self._root, stdin=names)
        contents, at = {}, 0
        for path in paths:
            header_end = out.index(b"\n", at)
            header = out[at:header_end].split()
            if header[-1] == b"missing":
                raise RepositoryError(
                    f"the content of {path} is not in this clone",
                    where=str(self._root),
                    next_step="Fetch it: git fetch --refetch",
                )
            size = int(header[2])
            contents[path] = out[header_end + 1 : header_end + 1 + size]
            at = header_end + size + 2
        return contents


def listed(root: Path, tree: str) -> Iterator[tuple[str, str]]:
    """The files of a tree by path, each with its line as git lists it (and takes it again)."""
    out = run_git(["ls-tree", "-r", "-z", "--full-tree", tree], cwd=root)
    for line in out.decode(errors="surrogateescape").split("\0"):
        if line:
            yield line.split("\t", 1)[1], line
