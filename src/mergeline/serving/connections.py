"""How many clients the server has, and how long it waits for one to finish asking."""

from __future__ import annotations

import asyncio
import math
import resource

import h11
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_TIME = 40.0  # seconds for all of a request; the body alone has less, and is answered 408
_MOST = 1_000


def settings(app: Starlette, *, grace: int) -> uvicorn.Config:
    """Uvicorn's settings of the scoring server; `grace` is in seconds."""
    limit = most_connections()
    return uvicorn.Config(
        app,
        http=Connection,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=grace,
        limit_concurrency=limit,
        # As many are accepted at once, before a limit is looked at.
        backlog=max(16, limit // 4),
    )


def most_connections() -> int:
    """A part of the files that the process may open: it needs some for itself."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if files == resource.RLIM_INFINITY else max(2, min(_MOST, files // 3))


class Connection(H11Protocol):
    """uvicorn's, but whoever does not finish asking is let go.

    uvicorn's own limits begin when a request's head is whole. Where there are too many connections,
    the one that has been waited for longest makes room, so that /healthz is answered.
    """

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._wait()
        if self.limit_concurrency and len(self.connections) >= self.limit_concurrency:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Wait for what is missing of a request, if anything is."""
        super().data_received(data)
        state = self.conn.their_state
        if state is h11.SEND_BODY or (state is h11.IDLE and self.conn.trailing_data[0]):
            self._wait()
        else:
            self._done()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing."""
        self._done()
        super().connection_lost(exc)

    @property
    def let_go_at(self) -> float:
        """When, by the loop's clock, its client is waited for no more; never while it waits."""
        timer = self._late or self.timeout_keep_alive_task
        return timer.when() if timer and not self.transport.is_closing() else math.inf

    def _wait(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(REQUEST_TIME, self.transport.close)

    def _done(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _make_room(self) -> None:
        others = (one for one in self.connections if isinstance(one, Connection) and one != self)
        first = min(others, key=lambda one: one.let_go_at, default=self)
        if first.let_go_at < math.inf and first != self:
            first.transport.close()
