"""Connections to the scoring server: their limits, and how they end.

uvicorn's fast HTTP parser has no limits of its own, and its server cuts kept connections when it is
told to stop. Both are mended here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
import time
from asyncio import TimerHandle
from collections.abc import Awaitable, Callable
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from mergeline.serving.http import Answer, Receive, Scope, Send, head_of, send_answer

HEAD_LIMIT = 16_384  # bytes
HEAD_TIME = 10.0  # seconds
GRACE = 2  # seconds for requests under way to end
_DRAIN = 0.75  # seconds for clients to be told: with the listener open, then without
_MOST_CONNECTIONS = 1_000
_LOGGED = 20  # lines of one kind
_LOG_PERIOD = 60.0  # seconds
_BUSY = b'{"error":{"message":"too many connections","where":"","next_step":"Ask again later"}}'


class Connection(HttpToolsProtocol):
    """One connection, with limits on the head of a request.

    A head of two lengths is refused: whoever stands in front of this server may have believed the
    other one (RFC 9112, 6.1).

    A request that comes in one piece, and whose answer has to wait for nothing, is answered as it
    is read: a task and the messages between server and application would take as long again.
    """

    _head_bytes = 0
    _in_head = True
    _head_timer: TimerHandle | None = None
    _most = 0
    _at_once: Callable[[Scope, bytes], Answer | None] | None = None
    _first = True  # of the requests that came in one piece
    _held: list[bytes] | None = None  # the body of one that may be answered as it is read

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the client a while for its first request."""
        super().connection_made(transport)
        self._most = most_connections()
        self._at_once = getattr(self.config.app, "answer_at_once", None)
        self._head_timer = self.loop.call_later(HEAD_TIME, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless the head of a request grows or takes too long."""
        self._first = True
        super().data_received(data)
        if self._held is not None:  # there is more to come
            self._let_go(self._held)
        if not self._in_head:
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_LIMIT and not self.transport.is_closing():
            self.send_400_response(f"The head of a request is larger than {HEAD_LIMIT} bytes.")
        elif self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(HEAD_TIME, self._head_is_late)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        """Refuse a head of two lengths, and one too many connections."""
        self._in_head = False
        self._head_bytes = 0
        self._stop_timer()
        lengths = [name for name, _ in self.headers if name in _LENGTHS]
        if len(lengths) > 1:
            raise ValueError("two lengths")
        crowded = len(self.connections) > self._most
        self.app = _busy if crowded else self.config.loaded_app
        if not crowded and self._may_answer_at_once():
            self._held = []
        else:
            super().on_headers_complete()

    def _may_answer_at_once(self) -> bool:
        """Whether nothing stands before an answer, and nobody else waits for this connection."""
        first, self._first = self._first, False
        return (
            first
            and self.parser.get_method() == b"POST"
            and self._at_once is not None
            and (self.cycle is None or self.cycle.response_complete)
            and self.parser.should_keep_alive()
            and self.parser.get_http_version() == "1.1"
            and not self.parser.should_upgrade()
            and not self.expect_100_continue
            and not self.flow.write_paused
            and _CLOSE not in self.server_state.default_headers
            and not any(name in _APART for name, _ in self.headers)
        )

    def _let_go(self, body: list[bytes]) -> None:
        """Leave the request to the application, with as much of its body as is there."""
        self._held = None
        super().on_headers_complete()
        for part in body:
            super().on_body(part)

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self._held is None:
            super().on_body(body)
        else:
            self._held.append(body)

    def on_message_complete(self) -> None:
        """Answer the request, if that has not begun."""
        if self._held is not None and not self._answers_at_once(b"".join(self._held)):
            self._let_go(self._held)
        if self._held is None:
            super().on_message_complete()
        self._held = None

    def _answers_at_once(self, body: bytes) -> bool:
        assert self._at_once is not None  # noqa: S101 - it was looked at before
        address = httptools.parse_url(self.url)
        scope = {"method": "POST", "raw_path": address.path, "headers": self.headers}
        answer = self._at_once(scope, body)
        if answer is None:
            return False
        parts = [STATUS_LINE[answer.status]]
        for name, value in self.server_state.default_headers:
            parts += [name, b": ", value, b"\r\n"]
        self.transport.write(b"".join([*parts, head_of(answer), b"\r\n", answer.body]))
        self.on_response_complete()
        return True

    def end_after_answer(self) -> None:
        """Close the connection after the answer that is under way."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False

    def _head_is_late(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


_LENGTHS = {b"content-length", b"transfer-encoding"}
_CLOSE = (b"connection", b"close")
_APART = {b"content-encoding", b"upgrade"}  # headers of a request that takes longer to read


async def _busy(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
    headers = {"connection": "close", "retry-after": "1"}
    await send_answer(Answer(_BUSY, 503, headers=headers), scope, send)


class Server(uvicorn.Server):
    """A server that tells its clients that it stops, before it does."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End every connection after an answer that says so; then stop to listen.

        Clients that ask nothing more meanwhile are closed without one.
        """
        state = self.server_state
        state.default_headers = [*state.default_headers, _CLOSE]
        for connection in list(state.connections):
            if isinstance(connection, Connection):
                connection.end_after_answer()
        await self._until_closed(_DRAIN)
        await self._stop_listening(sockets or [])
        await self._until_closed(_DRAIN)
        await super().shutdown(sockets)

    async def _until_closed(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while self.server_state.connections and time.monotonic() < end:
            await asyncio.sleep(0.02)

    async def _stop_listening(self, sockets: list[socket.socket]) -> None:
        """Take what waits to be accepted, which the kernel would reset."""
        loop = asyncio.get_running_loop()
        kept = [one.dup() for one in sockets]
        for server in self.servers:
            server.close()
        for listener in kept:
            listener.settimeout(0)
            with contextlib.suppress(BlockingIOError, OSError):
                while True:
                    client, _ = listener.accept()
                    client.settimeout(0)
                    await loop.connect_accepted_socket(self._connection, client)
            listener.close()

    def _connection(self) -> Connection:
        return Connection(self.config, self.server_state, app_state={})


def uvicorn_settings(app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> uvicorn.Config:
    """Uvicorn's settings of the scoring server."""
    logging.getLogger("uvicorn.error").addFilter(_FEW)
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE,
        # As many are accepted at once, before a limit is looked at.
        backlog=max(16, most_connections() // 4),
    )


def most_connections() -> int:
    """A third of the files that the process may open, since it needs some for itself."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return max(2, min(_MOST_CONNECTIONS, files // 3))


class _Few(logging.Filter):
    """Lets a few records of one kind pass, so that a flood of requests fills no disk."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[Any, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is written."""
        now = time.monotonic()
        since, count = self._seen.get(record.msg, (now, 0))
        if now - since > _LOG_PERIOD:
            since, count = now, 0
        self._seen = {**self._seen, record.msg: (since, count + 1)} if len(self._seen) < 100 else {}
        if count == _LOGGED:
            record.msg = f"{record.msg} (more of these are left out for a minute)"
        return count <= _LOGGED


_FEW = _Few()
