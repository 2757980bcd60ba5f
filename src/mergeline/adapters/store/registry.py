"""Manifests and blobs in an OCI registry, by the distribution API."""

from __future__ import annotations

import contextlib
import io
import ipaddress
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlencode, urljoin, urlsplit

from mergeline.adapters.store.artifact import (
    Descriptor,
    read_descriptors,
    read_document,
)
from mergeline.core.release.oci import INDEX_TYPE, MANIFEST_TYPE, digest_of
from mergeline.errors import StoreError
from mergeline.system.progress import Step, underway

if TYPE_CHECKING:
    import requests
    from oras.provider import Registry as Client

_GITHUB_REGISTRY = "ghcr.io"
_DOCKER = "application/vnd.docker.distribution.manifest"  # what an image's base may still be
_ACCEPTED = {"Accept": f"{MANIFEST_TYPE}, {INDEX_TYPE}, {_DOCKER}.v2+json, {_DOCKER}.list.v2+json"}
_TIMEOUT = 10.0, 120.0  # seconds to connect, and between two bytes
_TRIES = 3  # of what a busy registry refuses
_BUSY = (429, 500, 502, 503, 504)
_CHUNK = 1_000_000  # bytes
_NOT_ALLOWED = {401, 403}
_READ_ONLY = 405
_BEARER = re.compile(r'Bearer (\w+="[^"]*"[, ]*)+', re.IGNORECASE)


class Registry:
    """A repository of an OCI registry; http on loopback, https elsewhere.

    Args:
        address: host and repository, such as `ghcr.io/owner/repository`.
        environment: holds the credentials, see `_logged_in`.
    """

    def __init__(self, address: str, environment: Mapping[str, str]) -> None:
        self.name = f"oci://{address}"
        self._host, _, self._repository = address.partition("/")
        scheme = "http" if _on_loopback(self._host) else "https"
        self._root = f"{scheme}://{self._host}/v2/{self._repository}"
        self._environment = environment

    def alone(self) -> AbstractContextManager[object]:
        """Nothing: a registry keeps nobody waiting."""
        return nullcontext()

    def tags(self) -> list[str]:
        """All tags."""
        tags: list[str] = []
        url: str | None = f"{self._root}/tags/list?n=1000"
        while url:
            with self._asked("GET", url) as response:
                if response.status_code == 404:  # nothing was ever pushed there
                    return tags
                self._check(response, "list tags")
                tags += self._document(response).get("tags") or []
                following = response.links.get("next", {}).get("url")
            url = urljoin(url, following) if following else None
        return tags

    def manifest(self, reference: str) -> bytes | None:
        """A manifest by its tag or digest; None if there is none."""
        url = f"{self._root}/manifests/{reference}"
        with self._asked("GET", url, headers=_ACCEPTED) as response:
            if response.status_code == 404:
                return None
            self._check(response, f"read {reference}")
            content: bytes = response.content
            return content

    def put_manifest(
        self,
        content: bytes,
        media_type: str,
        tag: str,
        *,
        instead_of: str | None,  # noqa: ARG002 - a registry has no compare-and-swap
    ) -> bool:
        """Write a manifest, and have the tag name it; whether its `subject` will list it."""
        import tenacity

        url, headers = f"{self._root}/manifests/{tag}", {"Content-Type": media_type}

        def put() -> bool:
            with self._asked("PUT", url, headers=headers, data=content) as response:
                self._check(response, f"write {tag}")
                return "OCI-Subject" in response.headers

        # Two that write the same manifest at once disturb each other in a registry over a folder.
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_message(match=".*DIGEST_INVALID"),
            stop=tenacity.stop_after_attempt(5),
            wait=tenacity.wait_random_exponential(multiplier=0.05, max=1),
            reraise=True,
        )(put)

    def referrers(self, digest: str) -> list[Descriptor] | None:
        """The manifests whose subject is this one; None if the registry does not list them."""
        found: list[Descriptor] = []
        url: str | None = f"{self._root}/referrers/{digest}"
        while url:
            with self._asked("GET", url, headers={"Accept": INDEX_TYPE}) as response:
                listed = response.headers.get("Content-Type", "").partition(";")[0] == INDEX_TYPE
                if response.status_code != 200 or not listed:
                    if response.status_code in _NOT_ALLOWED:
                        self._check(response, f"list the referrers of {digest}")
                    return None
                found += read_descriptors(self._document(response), "manifests", where=self.name)
                following = response.links.get("next", {}).get("url")
            url = urljoin(url, following) if following else None
        return found

    def read_blob(self, digest: str, into: Path) -> None:
        """Write a blob to a file; its digest is not looked at."""
        with (
            underway(f"fetching from {self.name}", unit="bytes") as step,
            self._asked("GET", f"{self._root}/blobs/{digest}", stream=True) as response,
        ):
            if response.status_code == 404:
                raise StoreError(f"{digest} is missing", where=self.name)
            self._check(response, f"read {digest}")
            step.total = float(response.headers.get("Content-Length", 0)) or None
            with into.open("wb") as file:
                for chunk in response.iter_content(_CHUNK):
                    file.write(chunk)
                    step.advance(len(chunk))

    def check_writable(self) -> None:
        """Refuse where nothing may be written: an upload is begun, and given up."""
        start = f"{self._root}/blobs/uploads/"
        with self._asked("POST", start) as response:
            self._check(response, "write")
            place = urljoin(start, response.headers.get("Location", ""))
        with self._asked("DELETE", place):
            pass  # a registry that cannot give it up forgets it by itself

    def put_blob(self, file: Path, digest: str) -> None:
        """Write a blob, unless it is there."""
        with self._asked("HEAD", f"{self._root}/blobs/{digest}") as response:
            if response.status_code == 200:
                return
        start = f"{self._root}/blobs/uploads/"
        with self._asked("POST", start) as response:
            self._check(response, f"write {digest}")
            place = urlsplit(urljoin(start, response.headers.get("Location", "")))
        query = "&".join(part for part in (place.query, urlencode({"digest": digest})) if part)
        size = file.stat().st_size
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        uploading = underway(f"uploading to {self.name}", total=size, unit="bytes")
        with uploading as step, _Told(file, step) as content:
            url = place._replace(query=query).geturl()
            with self._asked("PUT", url, headers=headers, data=content) as response:
                self._check(response, f"write {digest}")

    def borrow_blob(self, digest: str, repository: str) -> bool:
        """Whether a blob is here, or in another repository of this registry, which lends it."""
        with self._asked("HEAD", f"{self._root}/blobs/{digest}") as response:
            if response.status_code == 200:
                return True
        host, _, lender = repository.partition("/")
        if host != self._host:
            return False
        query = urlencode({"mount": digest, "from": lender})
        with self._asked("POST", f"{self._root}/blobs/uploads/?{query}") as response:
            return response.status_code == 201

    def remove(self, tags: Collection[str]) -> None:
        """Take manifests away with all their tags."""
        for tag in tags:
            content = self.manifest(tag)
            if content is None:
                continue
            with self._asked("DELETE", f"{self._root}/manifests/{digest_of(content)}") as response:
                if response.status_code != 404:
                    self._check(response, f"delete {tag}")

    def sweep(self) -> None:
        """Nothing: blobs are the registry's to sweep."""

    @cached_property
    def _client(self) -> Client:
        """Knows how a registry wants to be shown credentials."""
        from oras.provider import Registry as Client
        from requests.adapters import HTTPAdapter
        from urllib3.util.retry import Retry

        busy = Retry(
            _TRIES,
            connect=1,
            read=0,
            backoff_factor=0.5,
            status_forcelist=_BUSY,
            allowed_methods=None,
            raise_on_status=False,
        )
        client = self._logged_in(Client(self._host))
        # A server that takes passwords takes them as they are; oras would stumble over one that
        # offers tokens as well.
        if self._password(client) and self._takes_passwords(client):
            client = self._logged_in(Client(self._host, auth_backend="basic"))
        for scheme in ("http://", "https://"):
            client.session.mount(scheme, HTTPAdapter(max_retries=busy))
        return client

    def _logged_in(self, client: Client) -> Client:
        """The client with credentials, if there are any for this registry.

        ORAS_USER and ORAS_PASS come first, then what `docker login` left, then the job's own
        GITHUB_TOKEN where the registry is the forge's.
        """
        from oras.logger import logger

        logger.set_level(100)  # it prints to standard error, where every line would be ours
        known = self._environment
        if known.get("ORAS_USER") and known.get("ORAS_PASS"):
            client.auth.set_basic_auth(known["ORAS_USER"], known["ORAS_PASS"])
            return client
        folder = known.get("DOCKER_CONFIG")
        config = [str(Path(folder) / "config.json")] if folder else None
        client.auth.load_configs(client.get_container(self._host + "/" + self._repository), config)
        server = urlsplit(known.get("GITHUB_SERVER_URL") or "https://github.com").netloc
        forge = _GITHUB_REGISTRY if server == "github.com" else server
        if not self._password(client) and self._host == forge and known.get("GITHUB_TOKEN"):
            user = known.get("GITHUB_ACTOR") or "x-access-token"
            client.auth.set_basic_auth(user, known["GITHUB_TOKEN"])
        return client

    @staticmethod
    def _password(client: Client) -> bool:
        return bool(getattr(client.auth, "_basic_auth", None))

    def _takes_passwords(self, client: Client) -> bool:
        root = self._root.removesuffix(self._repository)
        answer = client.session.get(root, timeout=_TIMEOUT)
        return "basic realm" in answer.headers.get("WWW-Authenticate", "").lower()

    @contextlib.contextmanager
    def _asked(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: bytes | BinaryIO | None = None,
        stream: bool = False,
    ) -> Iterator[requests.Response]:
        """The answer to a request; credentials are shown when they are asked for."""
        import requests
        from oras.auth import BasicAuth

        try:
            client = self._client
            send = partial(
                client.session.request, method, url, data=data, stream=stream, timeout=_TIMEOUT
            )
            basic = isinstance(client.auth, BasicAuth)
            shown = {**(headers or {}), **client.auth.get_auth_header()}
            response = send(headers=shown)
            asks = _BEARER.search(response.headers.get("WWW-Authenticate", ""))
            if response.status_code in _NOT_ALLOWED and asks and not basic:
                # A token is of one scope, and ends; so a new one is asked for.
                response.headers["WWW-Authenticate"] = asks[0]  # oras reads one challenge
                shown, renewed = client.auth.authenticate_request(response, shown, refresh=True)
                if renewed:
                    response.close()
                    if data is not None and not isinstance(data, bytes):
                        data.seek(0)
                    response = send(headers=shown)
            with response:
                yield response
        except requests.RequestException as error:
            raise StoreError(
                f"the store does not answer: {type(error).__name__}",
                where=self.name,
                next_step="Check MERGELINE_STORE and that the registry is up, then run again",
            ) from error
        except OSError as error:
            raise StoreError(
                f"a file for the store: {error.strerror or error}",
                where=self.name,
                next_step="Check who may write there, and the space left; then run again",
            ) from error

    def _check(self, response: requests.Response, what: str) -> None:
        """Refuse an answer that is not a good one."""
        if response.ok:
            return
        status, said = response.status_code, _said(response)
        problem = f"the store answers {status} to: {what}{said}"
        next_step = "Run again; if it stays so, look at the registry's log and the space left there"
        if status in _NOT_ALLOWED:
            problem = f"not allowed to {what}{said}"
            next_step = (
                "Log in with `docker login`, set ORAS_USER and ORAS_PASS, or give the job's "
                "GITHUB_TOKEN the permission `packages`"
            )
        elif status == _READ_ONLY:
            problem = f"the store does not let anybody {what}{said}"
            next_step = "Let the registry take writes and deletions, then run again"
        raise StoreError(problem, where=self.name, next_step=next_step)

    def _document(self, response: requests.Response) -> dict[str, Any]:
        return read_document(response.content, where=self.name)


class _Told(io.FileIO):
    """A file that says how much of it was read."""

    def __init__(self, file: Path, step: Step) -> None:
        super().__init__(file)
        self._step = step

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(-1 if size is None else size)
        self._step.advance(len(content))
        return content


def _said(response: requests.Response) -> str:
    """What the registry gives as its reason."""
    with contextlib.suppress(ValueError, AttributeError, LookupError, TypeError):
        first = response.json()["errors"][0]
        words = " ".join(str(first.get(key) or "") for key in ("code", "message")).split()
        return f" ({' '.join(words)[:200]})" if words else ""
    return ""


def _on_loopback(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
