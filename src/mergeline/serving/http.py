"""Requests and answers as the scoring server has them, over ASGI."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from mergeline.errors import InputError
from mergeline.serving.strict_json import JSONError, RefusedJSONError, read_json

BODY_LIMIT = 16_000_000  # bytes
BODY_TIME = 30.0  # seconds
_PACKED_PART = 4_096  # bytes unpacked at once; a small part may hold much
JSON = "application/json"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class BodyError(InputError):
    """A body that is not a prediction request; `status` is the answer's."""

    def __init__(self, message: str, *, status: int = 400, next_step: str = "") -> None:
        super().__init__(message, where="body", next_step=next_step)
        self.status = status


class ClientGoneError(Exception):
    """The client closed its connection before the body was complete."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with.

    Attributes:
        status: the HTTP status code.
        body: its bytes.
        kind: the content type.
        headers: more of them.
        rows: that a model was asked about.
    """

    body: bytes
    status: int = 200
    kind: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0


def json_answer(
    document: Any,  # noqa: ANN401 - any JSON
    status: int = 200,
    *,
    rows: int = 0,
) -> Answer:
    """A document as JSON; each number to its last digit."""
    return Answer(msgspec.json.encode(document), status, rows=rows)


def parse_json(body: bytes, *, next_step: str, nan: bool = False) -> Any:  # noqa: ANN401 - any JSON
    """A body as JSON; `nan` as in `read_json`.

    Raises:
        BodyError: it is none, has a key twice, or passes a limit.
    """
    try:
        return read_json(body, nan=nan)
    except RefusedJSONError as error:
        raise BodyError(str(error), status=422) from error
    except JSONError as error:
        raise BodyError(f"not JSON: {error}", next_step=next_step) from error


def header(scope: Scope, name: bytes) -> str:
    """A header of the request by its name in lower case; empty if it has none."""
    for found, value in scope["headers"]:
        if found == name:
            return str(value, "latin-1")
    return ""


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """The whole body, unpacked.

    Raises:
        BodyError: it is too large, not complete in time, or not packed as its header says.
        ClientGoneError: the client closed its connection.
    """
    next_step = "Send fewer rows at once"
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_TIME):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
                part = message.get("body", b"")
                size += len(part)
                if size > BODY_LIMIT:
                    raise _too_large()
                parts.append(part)
                if not message.get("more_body"):
                    break
    except TimeoutError as error:
        message_text = f"not complete after {BODY_TIME:g} seconds"
        raise BodyError(message_text, status=408, next_step=next_step) from error
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    packing = header(scope, b"content-encoding").strip().lower()
    return _unpacked(body, packing) if packing not in {"", "identity"} else body


def _unpacked(body: bytes, packing: str) -> bytes:
    """Unpack no more than the limit, whatever the body says that it holds."""
    unpack = {"gzip": _gunzipped, "x-gzip": _gunzipped, "zstd": _unpacked_zstd}.get(packing)
    if unpack is None:
        raise BodyError(
            f"packed as {packing!r:.40}", status=415, next_step="Use gzip or zstd, or none"
        )
    content, complete = unpack(body)
    if len(content) > BODY_LIMIT:
        raise _too_large()
    if not complete:
        raise BodyError(f"not {packing}, or it ends too early")
    return content


def _gunzipped(body: bytes) -> tuple[bytes, bool]:
    unpacker = zlib.decompressobj(31)
    try:
        return unpacker.decompress(body, BODY_LIMIT + 1), unpacker.eof
    except zlib.error:
        return b"", False


def _unpacked_zstd(body: bytes) -> tuple[bytes, bool]:
    import zstandard

    unpacker = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
    content = bytearray()
    try:
        for start in range(0, len(body), _PACKED_PART):
            content += unpacker.decompress(body[start : start + _PACKED_PART])
            if len(content) > BODY_LIMIT:
                break
    except zstandard.ZstdError:
        return b"", False
    return bytes(content), unpacker.eof


def _too_large() -> BodyError:
    return BodyError(
        f"larger than {BODY_LIMIT:,} bytes", status=413, next_step="Send fewer rows at once"
    )


def head_of(answer: Answer) -> bytes:
    """The lines of an answer's own headers."""
    headers = "".join([f"{name}: {text}\r\n" for name, text in answer.headers.items()])
    size = len(answer.body)
    return f"content-type: {answer.kind}\r\ncontent-length: {size}\r\n{headers}".encode("latin-1")


async def send_answer(answer: Answer, scope: Scope, send: Send) -> None:
    """Write an answer; the body of one to HEAD is left out."""
    headers = [
        (b"content-type", answer.kind.encode("latin-1")),
        (b"content-length", b"%d" % len(answer.body)),
        *(
            (name.encode("latin-1"), text.encode("latin-1"))
            for name, text in answer.headers.items()
        ),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    body = b"" if scope["method"] == "HEAD" else answer.body
    await send({"type": "http.response.body", "body": body})
