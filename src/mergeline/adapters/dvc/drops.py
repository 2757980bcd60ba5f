"""DVC: the drops behind pointers, from its cache and its remote."""

from __future__ import annotations

import json
import logging
import shutil
import threading
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from mergeline.core.declare.pointer import Pointer
from mergeline.errors import DropError, RemoteError, RepositoryError
from mergeline.system.atomic_writes import file_written_whole
from mergeline.system.digests import file_md5
from mergeline.system.progress import underway

_log = logging.getLogger(__name__)
_OLD_HASH = "md5-dos2unix"  # of pointers that DVC 2 made, whose objects lie in another place


class DropStore:
    """The drops of a repository, by md5; one that the cache lacks comes from the default remote."""

    def __init__(self, repository: Path) -> None:
        self._root = repository
        self._one_at_a_time = threading.RLock()  # DVC's objects are of one thread

    def __reduce__(self) -> tuple[type[DropStore], tuple[Path]]:
        """Another process opens the repository for itself."""
        return DropStore, (self._root,)

    def fetch(self, md5: str, *, pointer: str = "") -> Path:
        """A file with this content: in DVC's cache, in the working tree, or else fetched.

        `pointer` is the path of the pointer, or of the drop, which is looked for in the working
        tree and named if it is missing. The md5 of a folder ends in `.dir`.

        Raises:
            DropError: neither cache nor remote holds it, or what they hold is something else.
            RemoteError: the remote cannot be reached.
        """
        with self._one_at_a_time:
            return self._fetch(md5, pointer)

    def _fetch(self, md5: str, pointer: str) -> Path:
        for cache, hash_name in ((self._cache, "md5"), (self._repo.cache.legacy, _OLD_HASH)):
            cached = Path(cache.oid_to_path(md5))
            if cached.is_file():
                if _hash(cached, hash_name) == md5.removesuffix(".dir"):
                    return cached
                _log.warning("the cache file %s is damaged; fetching it again", cached)
        here = self._root / pointer
        if pointer and here.is_file() and md5 in {_hash(here, "md5"), _hash(here, _OLD_HASH)}:
            return here  # as whoever made the drop left it, before any `dvc add` or `dvc pull`
        return self._download(md5, pointer or md5)

    def put(self, md5: str, place: Path, *, path: str) -> None:
        """Copy the file or folder behind a pointer to a place; `path` is where it lies in the tree.

        Raises:
            DropError: neither cache nor remote holds it, or what they hold is something else.
            RemoteError: the remote cannot be reached.
        """
        files = [("", md5)]
        if md5.endswith(".dir"):
            files = [(f"/{name}", each) for name, each in self.listing(md5, pointer=f"{path}.dvc")]
        with underway(f"fetching {path}", total=len(files), unit="files") as step:
            for name, each in files:
                target = Path(f"{place}{name}")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.fetch(each, pointer=f"{path}{name}"), target)
                step.advance()

    def differing(self, pointers: Iterable[Pointer]) -> list[str]:
        """Files of the working tree whose content is not what their pointer says, sorted.

        A file that is missing does not differ. Only files of the pointer's size are read, and only
        if DVC has not read them before: its state knows them by time, inode and size.

        Raises:
            DropError: a file cannot be read.
        """
        files = [file for pointer in pointers for file in self._files_here(pointer)]
        if not files:
            return []
        from dvc_data.hashfile.hash import hash_file

        local, state = self._cache.fs, self._repo.state
        differing = []
        try:
            for path, md5, size in files:
                file = self._root / path
                try:
                    if size not in {None, file.stat().st_size} or not any(
                        hash_file(str(file), local, name, state)[1].value == md5
                        for name in ("md5", _OLD_HASH)
                    ):
                        differing.append(path)
                except PermissionError as error:
                    raise DropError("the file cannot be read", where=path) from error
        finally:
            state.close()
        return sorted(differing)

    def _files_here(self, pointer: Pointer) -> list[tuple[str, str, int | None]]:
        """Path, md5 and size of what a pointer stands for, of files that lie in the working tree.

        Of a folder only if its list is in the cache, as it is when DVC has put the files there.
        """
        files: list[tuple[str, str, int | None]] = []
        target = self._root / pointer.target
        if not pointer.is_folder:
            files = [(pointer.target, pointer.md5, pointer.size)]
        elif target.is_dir() and self.has(pointer.md5):
            listed = self.listing(pointer.md5, pointer=pointer.path)
            files = [(f"{pointer.target}/{path}", md5, None) for path, md5 in listed]
        return [file for file in files if (self._root / file[0]).is_file()]

    def listing(self, md5: str, *, pointer: str = "") -> list[tuple[str, str]]:
        """(path in the folder, md5) of every drop of a folder pointer, sorted.

        Raises:
            DropError: the list is neither in cache nor remote.
            RemoteError: the remote cannot be reached.
        """
        entries = json.loads(self.fetch(md5, pointer=pointer).read_bytes())
        return sorted((entry["relpath"], entry["md5"]) for entry in entries)

    def has(self, md5: str) -> bool:
        """Whether the cache holds it, unread."""
        caches = (self._cache, self._repo.cache.legacy)
        return any(Path(cache.oid_to_path(md5)).is_file() for cache in caches)

    def cache_folder(self) -> Path:
        """The folder of the repository's DVC cache.

        Raises:
            RepositoryError: DVC is not set up in the repository.
        """
        return Path(self._repo.cache.local_cache_dir).resolve()

    def remote(self) -> str | None:
        """The address of DVC's default remote, which was opened; None if there is none.

        Raises:
            RemoteError: it cannot be opened.
            RepositoryError: DVC is not set up in the repository.
        """
        remote = self._remote("md5")
        return None if remote is None else str(remote.fs.unstrip_protocol(remote.path))

    @cached_property
    def _repo(self) -> Any:  # noqa: ANN401 - dvc.repo.Repo
        from dvc.exceptions import DvcException, NotDvcRepoError
        from dvc.repo import Repo

        try:
            return Repo(str(self._root))
        except DvcException as error:
            problem, next_step = f"DVC cannot open the repository: {error}", "Correct .dvc/config"
            if isinstance(error, NotDvcRepoError):
                problem, next_step = "DVC is not set up here", "Run `dvc init`"
            raise RepositoryError(problem, where=str(self._root), next_step=next_step) from error

    @cached_property
    def _cache(self) -> Any:  # noqa: ANN401 - dvc_data.hashfile.db.HashFileDB
        return self._repo.cache.local

    def _remote(self, hash_name: str) -> Any:  # noqa: ANN401 - dvc_data's HashFileDB, or None
        """Where the default remote keeps what is known by such a hash."""
        from dvc.config import NoRemoteError, RemoteConfigError
        from dvc.exceptions import DvcException

        try:
            remote = self._repo.cloud.get_remote_odb(hash_name=hash_name)
        except NoRemoteError:
            return None
        except RemoteConfigError as error:
            raise RemoteError(
                "the DVC remote keeps drops by the versions of a bucket, not by their md5",
                next_step="Run `dvc pull`, which brings them into DVC's cache, and then again",
            ) from error
        except (DvcException, OSError, ValueError) as error:
            raise RemoteError(
                f"the DVC remote cannot be opened: {error}", next_step="Run `dvc remote list`"
            ) from error
        # If the folder is missing (not mounted, not made), that is why it holds nothing.
        folder = Path(remote.path) if hash_name == _OLD_HASH else Path(remote.path).parents[1]
        if remote.fs.protocol == "local" and not folder.is_dir():
            raise RemoteError(
                "the DVC remote's folder does not exist",
                where=str(folder),
                next_step="Mount it, or say where it is: dvc remote modify "
                f"{self._repo.config['core']['remote']} url URL",
            )
        return remote

    def _download(self, md5: str, pointer: str) -> Path:
        """Put the remote's object into the cache, checked and whole, or not at all; where it is."""
        cached = Path(self._cache.oid_to_path(md5))
        cache = f"{'damaged in' if cached.exists() else 'not in'} the DVC cache"
        for place, hash_name in ((self._cache, "md5"), (self._repo.cache.legacy, _OLD_HASH)):
            remote = self._remote(hash_name)
            if remote is None:
                raise DropError(
                    f"the content (md5 {md5}) is {cache} and no DVC remote is configured",
                    where=pointer,
                    next_step=self._how_to_name_a_remote(),
                )
            target = Path(place.oid_to_path(md5))
            if self._get(remote, md5, hash_name, target, pointer):
                return target
        raise DropError(
            f"the content (md5 {md5}) is {cache} and not in the DVC remote",
            where=pointer,
            next_step="Ask whoever added it to run `dvc push`",
        )

    def _how_to_name_a_remote(self) -> str:
        known = [*self._repo.config["remote"]]
        if known:
            return f"Say which has it: dvc remote default {' or '.join(known)}"
        return (
            "Name the one that has it: dvc remote add -d NAME URL (a folder, s3://…); if there "
            "is none yet, ask whoever added the drop to do that and then `dvc push`"
        )

    def _get(
        self,
        remote: Any,  # noqa: ANN401 - dvc_data's HashFileDB
        md5: str,
        hash_name: str,
        target: Path,
        pointer: str,
    ) -> bool:
        """Bring an object; False if the remote does not have it."""
        source = remote.oid_to_path(md5)
        try:
            with file_written_whole(target) as part:
                part.touch()  # else a remote that has a folder in its place makes one here
                _bring(remote, source, part, pointer)
                actual = _hash(part, hash_name)
                if actual != md5.removesuffix(".dir"):
                    raise DropError(
                        "the remote's content is not what the pointer says: "
                        f"md5 {actual}, not {md5}",
                        where=pointer,
                        next_step="Ask whoever added it to run `dvc push` again",
                    )
                part.chmod(0o444)
        except FileNotFoundError:
            return False
        return True


def _bring(
    remote: Any,  # noqa: ANN401 - dvc_data's HashFileDB
    source: str,
    part: Path,
    what: str,
) -> None:
    from fsspec.callbacks import Callback

    try:
        with underway(f"fetching {what.removesuffix('.dvc')}", unit="bytes") as step:

            def reached(size: int | None, value: int, **_: object) -> None:
                step.total = size
                step.reach(value)

            remote.fs.get_file(source, str(part), callback=Callback(hooks={"step": reached}))
    except FileNotFoundError:
        raise
    except Exception as error:  # each backend has its own
        raise RemoteError(
            f"the DVC remote cannot be read: {type(error).__name__}: {error}",
            where=str(source),
            next_step="Check the address, your access and the network, then run again",
        ) from error


def _hash(file: Path, name: str) -> str:
    """The md5 of a file; as DVC 2 took it, line ends of Windows count as others."""
    if name == "md5":
        return file_md5(file)
    from dvc_data.hashfile.hash import file_md5 as dvc_md5

    return str(dvc_md5(str(file), name=name))
