"""The files of a layout in a bucket: Amazon S3 and what speaks like it, Google Cloud, Azure."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mergeline.errors import StoreError
from mergeline.system.progress import underway

if TYPE_CHECKING:
    from obstore import UpdateVersion
    from obstore.store import ObjectStore

SCHEMES = ("s3://", "gs://", "az://")
_SETTLED = dt.timedelta(days=1)  # nobody takes longer from a blob to the index that names it
_PROBE = "mergeline-may-write"
_RETRIES = 3
_RETRY_FOR = dt.timedelta(seconds=30)
_CHUNK = 8 << 20  # bytes
# A server that gives credentials to machines in its own cloud: asked where there are no others.
_MACHINES = "169.254.169.254"
_NO_BUCKET = ("NoSuchBucket", "bucket does not exist", "ContainerNotFound")
_NOT_ALLOWED = re.compile(r"status code: 40[13]\b")
_ANSWER = re.compile(r"status code: (\d+[\w ]*)")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_LOG_IN = (
    "Set the credentials that may do that: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
    "GOOGLE_SERVICE_ACCOUNT, or AZURE_STORAGE_ACCOUNT_NAME and a key"
)


class Bucket:
    """See `layout.Files`. Where two write one file at once, conditional writes let one of them.

    Args:
        address: such as `s3://bucket/prefix`.
        environment: whether it may be asked without TLS: AWS_ALLOW_HTTP. Credentials are taken
            from the process's own environment, under the names that each cloud's tools know.
    """

    def __init__(self, address: str, environment: Mapping[str, str]) -> None:
        self.name = address.rstrip("/")
        self._plain_http = environment.get("AWS_ALLOW_HTTP") == "true"
        self._seen: dict[str, tuple[bytes, UpdateVersion]] = {}

    def alone(self) -> AbstractContextManager[object]:
        """Nothing: a bucket keeps nobody waiting."""
        return nullcontext()

    @cached_property
    def _bucket(self) -> ObjectStore:
        from obstore.store import from_url

        return from_url(
            self.name,
            client_options={
                "allow_http": self._plain_http, "connect_timeout": "10s", "timeout": "1h",
            },
            retry_config={"max_retries": _RETRIES, "retry_timeout": _RETRY_FOR},
        )  # fmt: skip

    def read(self, path: str) -> tuple[bytes, object] | None:
        """See `layout.Files`. An index that is as it was is not sent again."""
        import obstore
        from obstore.exceptions import NotModifiedError

        with self._translating(f"read {path}"):
            seen = self._seen.get(path)
            try:
                found = obstore.get(
                    self._bucket, path, options={"if_none_match": seen[1]["e_tag"]} if seen else {}
                )
                version: UpdateVersion = {}
                if found.meta["e_tag"]:
                    version["e_tag"] = found.meta["e_tag"]
                if found.meta["version"]:
                    version["version"] = found.meta["version"]
                content = bytes(found.bytes())
            except NotModifiedError:
                if seen is None:
                    raise
                return seen
            except FileNotFoundError as error:
                self._check_bucket(error)
                return None
            if version.get("e_tag") and not path.startswith("blobs/"):
                self._seen[path] = content, version
            return content, version

    def write(self, path: str, content: bytes, instead_of: object) -> bool:
        """See `layout.Files`."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._translating(f"write {path}"):
            try:
                mode = "create" if instead_of is None else instead_of
                obstore.put(self._bucket, path, content, mode=mode)  # type: ignore[arg-type]
            except (AlreadyExistsError, PreconditionError):
                return False
            except FileNotFoundError as error:
                self._check_bucket(error)
                return False
        return True

    def fetch(self, path: str, into: Path) -> bool:
        """See `layout.Files`."""
        import obstore

        with self._translating(f"read {path}"):
            try:
                found = obstore.get(self._bucket, path)
            except FileNotFoundError as error:
                self._check_bucket(error)
                return False
            fetching = underway("fetching from the bucket", total=found.meta["size"], unit="bytes")
            with fetching as step, into.open("wb") as file:
                for chunk in found.stream(_CHUNK):
                    file.write(chunk)
                    step.advance(len(chunk))
        return True

    def put(self, path: str, content: bytes | Path) -> None:
        """See `layout.Files`. Written again it is new, so nobody takes it for garbage."""
        import obstore

        with self._translating(f"write {path}"):
            obstore.put(self._bucket, path, content)

    def settled(self, folder: str) -> list[str]:
        """See `layout.Files`. Those that were written a day ago or before."""
        import obstore

        before = dt.datetime.now(dt.UTC) - _SETTLED
        with self._translating(f"list {folder}"):
            listed = obstore.list(self._bucket, folder).collect()
        return [Path(one["path"]).name for one in listed if one["last_modified"] < before]

    def check_writable(self) -> None:
        """See `layout.Files`."""
        self.put(_PROBE, b"")
        self.delete([_PROBE])

    def delete(self, paths: Sequence[str]) -> None:
        """See `layout.Files`."""
        import obstore

        with self._translating("delete"):
            for path in paths:
                with contextlib.suppress(FileNotFoundError):
                    obstore.delete(self._bucket, path)

    def _check_bucket(self, error: FileNotFoundError) -> None:
        """A bucket that is not there is not an empty one."""
        if any(words in str(error) for words in _NO_BUCKET):
            raise StoreError(
                "there is no such bucket",
                where=self.name,
                next_step="Check MERGELINE_STORE, or create the bucket",
            ) from error

    @contextlib.contextmanager
    def _translating(self, what: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except BaseError as error:
            raise self._translated(str(error), what) from error
        except FileNotFoundError as error:
            self._check_bucket(error)
            raise StoreError(f"not there: {what}", where=self.name) from error
        except OSError as error:
            raise StoreError(
                f"a file for the store: {error.strerror or error}",
                where=self.name,
                next_step="Check who may write there, and the space left; then run again",
            ) from error

    def _translated(self, said: str, what: str) -> StoreError:
        """Of the library's words only the server's answer: the others may hold a key's name."""
        if _MACHINES in said:
            return StoreError(f"no credentials to {what}", where=self.name, next_step=_LOG_IN)
        code = _CODE.search(said)
        reason = f" ({code[1]})" if code else ""
        if _NOT_ALLOWED.search(said):
            problem = f"not allowed to {what}{reason}"
            return StoreError(problem, where=self.name, next_step=_LOG_IN)
        if answer := _ANSWER.search(said):
            return StoreError(
                f"the store answers {answer[1].strip()} to: {what}{reason}",
                where=self.name,
                next_step="Check the space left and what the bucket allows, then run again",
            )
        first = said.partition("\n")[0].rpartition(" - ")[2]
        return StoreError(
            f"the store does not answer: {first}",
            where=self.name,
            next_step="Check MERGELINE_STORE, the endpoint and the network, then run again",
        )
