"""The served versions over HTTP: addresses, status codes, and where the work is done.

Three protocols share the addresses of `routes.py`: mergeline's own (`native.py`), MLflow's scoring
protocol (`mlflow_protocol.py`) and the Open Inference Protocol (`open_inference.py`). Each reads a
body, asks the version that the address names, and says errors in its own form.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar
from weakref import WeakKeyDictionary

from mergeline.errors import BundleError, InputError, MergelineError, NotFoundError
from mergeline.serving import native
from mergeline.serving.batching import Batcher
from mergeline.serving.http import (
    Answer,
    BodyError,
    ClientGoneError,
    Receive,
    Scope,
    Send,
    header,
    read_body,
    send_answer,
)
from mergeline.serving.metrics import Metrics
from mergeline.serving.routes import PROBES, Ask, MethodError, Question, Refuse, Route, find_route
from mergeline.serving.rows import Batch
from mergeline.serving.served_versions import (
    Asking,
    ServedModel,
    ServedVersion,
    ServedVersions,
    finite,
    model_of,
    predict,
)
from mergeline.serving.tracing import Tracing

QUEUE_LIMIT = 256  # requests that wait for a worker
SMALL = 16_384  # bytes of a body that takes less than a millisecond to read
_KNOWN_PATHS = 1_000
_log = logging.getLogger("uvicorn.error")

T = TypeVar("T")


class BusyError(MergelineError):
    """The server has no room for a request now."""


class TokenError(MergelineError):
    """A request does not bear the server's token."""


class FailedError(MergelineError):
    """The server failed; its log says how."""


@dataclass(frozen=True)
class Settings:
    """What a person decides.

    Attributes:
        mlflow_lenient: whether MLflow's own code answers requests of MLflow's protocol.
        token: that a request must bear; empty: none. Probes need none.
    """

    mlflow_lenient: bool = False
    token: str = ""


class Application:
    """The ASGI application over the served versions."""

    def __init__(self, served_versions: ServedVersions, settings: Settings | None = None) -> None:
        self.served_versions = served_versions
        self.settings = settings or Settings()
        self.metrics = Metrics()
        self._tracing = Tracing()
        # More predictions at once than processors only wait for each other.
        self._threads = max(2, os.cpu_count() or 1)
        self._workers = ThreadPoolExecutor(self._threads, "predict")
        self._batchers: WeakKeyDictionary[ServedModel, Batcher] = WeakKeyDictionary()
        self._waiting = 0
        self._found: dict[tuple[str, bytes], tuple[Route, Mapping[str, str]]] = {}

    def answer_at_once(self, scope: Scope, body: bytes) -> Answer | None:
        """The answer to a request for predictions that has to wait for nothing; else None.

        It waits for nothing where its body is small and plain, and the model takes less than a
        millisecond. None leaves the request to `__call__`.
        """
        refuse: Refuse = native.refusal
        try:
            route, names = self._route(scope["method"], scope["raw_path"])
            refuse = route.refuse
            if route.question is None or self._tracing.on:
                return None
            if self.settings.token:
                self._check_token(scope)
            return self._predict_at_once(route.question(self, scope, names), body)
        except MergelineError as error:
            return refusal(error, refuse)
        except Exception:  # noqa: BLE001 - it is asked again, where a failure is logged
            return None

    def _predict_at_once(self, question: Question, body: bytes) -> Answer | None:
        since = time.perf_counter()
        served = self._find_served(question.find)
        model = served.model
        if model is None or not model.form.quick or len(body) > SMALL:
            return None
        asking = question.ask(served, model, body)
        try:
            wanted = next(asking)
            while isinstance(wanted, Batch):
                got = predict(model, wanted)
                self.metrics.count_answers(served, model, got)
                wanted = asking.send(got)
        except StopIteration as end:
            return self._counted(end.value, served, question, since)
        except MergelineError as error:
            self.metrics.count(served, question.protocol, status_of(error), since=since)
            raise
        return None

    def _counted(
        self, said: Answer, served: ServedVersion, question: Question, since: float
    ) -> Answer:
        """An answer that is counted, and says which version gave it."""
        self.metrics.count(served, question.protocol, said.status, since=since, rows=said.rows)
        headers = {**said.headers, **served.headers}
        return Answer(said.body, said.status, said.kind, headers, said.rows)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            await send_answer(await self._answer(scope, receive), scope, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        refuse: Refuse = native.refusal
        try:
            route, names = self._route(scope["method"], scope["raw_path"])
            refuse = route.refuse
            if self.settings.token and route.path not in PROBES:
                self._check_token(scope)
            if route.question is not None:
                return await self._predict(route.question(self, scope, names), scope, receive)
            assert route.handler is not None  # noqa: S101 - it has one or the other
            return await route.handler(self, names)
        except ClientGoneError:
            return Answer(b"", 499)
        except asyncio.CancelledError:  # the stopping server waits for nobody
            return refusal(BusyError("the server is stopping", next_step="Ask again"), refuse)
        except MergelineError as error:
            return refusal(error, refuse)
        except ModuleNotFoundError as error:  # an image has what its model needs, and no more
            problem = f"that needs {error.name}, which is not installed here"
            return refusal(InputError(problem, next_step="Send JSON"), refuse)
        except Exception:  # noqa: BLE001 - uvicorn would cut the connection
            _log.exception("a request failed")
            return refusal(FailedError("the server failed", next_step="Look at its log"), refuse)

    def _route(self, method: str, raw_path: bytes) -> tuple[Route, Mapping[str, str]]:
        place = "GET" if method == "HEAD" else method, raw_path
        if place not in self._found:
            found = find_route(*place)
            if len(self._found) == _KNOWN_PATHS:
                self._found.clear()
            self._found[place] = found
        return self._found[place]

    def _check_token(self, scope: Scope) -> None:
        kind, _, token = header(scope, b"authorization").partition(" ")
        expected = self.settings.token.encode()
        if kind.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), expected):
            next_step = "Send Authorization: Bearer with the server's token"
            raise TokenError("this server needs a token", next_step=next_step)

    async def _predict(self, question: Question, scope: Scope, receive: Receive) -> Answer:
        with self._tracing.span(scope, f"predict ({question.protocol})") as span:
            said = await self._predicted(question, scope, receive)
            if span is not None:
                span.set_attributes({**said.headers, "http.response.status_code": said.status})
            return said

    async def _predicted(self, question: Question, scope: Scope, receive: Receive) -> Answer:
        """Answer a request for predictions, where it takes long in a worker's thread."""
        since = time.perf_counter()
        body = await read_body(scope, receive)
        served = self._find_served(question.find)
        ask = question.ask
        try:
            if served.model and len(body) <= SMALL:
                said = await self._ask_here(served, served.model, ask(served, served.model, body))
            else:
                # Parsed, predicted and written outside the event loop, which others wait for.
                said = await self._in_worker(lambda: self._ask_there(served, ask, body))
        except MergelineError as error:
            self.metrics.count(served, question.protocol, status_of(error), since=since)
            raise
        return self._counted(said, served, question, since)

    async def _ask_here(self, served: ServedVersion, model: ServedModel, asking: Asking) -> Answer:
        """Read and write in the event loop; ask the model there too if that takes no time."""
        try:
            wanted = next(asking)
            while True:
                if not isinstance(wanted, Batch):
                    got = await self._in_worker(wanted)
                elif model.form.quick:
                    got = predict(model, wanted)
                else:
                    with self._place_to_wait():
                        got = finite(await self._batcher(model).ask(wanted))
                if isinstance(wanted, Batch):
                    self.metrics.count_answers(served, model, got)
                wanted = asking.send(got)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def _ask_there(self, served: ServedVersion, ask: Ask, body: bytes) -> Answer:
        served = self.served_versions.on_demand(served)
        model = model_of(served)
        asking = ask(served, model, body)
        try:
            wanted = next(asking)
            while True:
                if isinstance(wanted, Batch):
                    got = predict(model, wanted)
                    self.metrics.count_answers(served, model, got)
                else:
                    got = wanted()
                wanted = asking.send(got)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def _batcher(self, model: ServedModel) -> Batcher:
        if model not in self._batchers:
            self._batchers[model] = Batcher(model.form, self._workers, self._threads)
        return self._batchers[model]

    def _find_served(self, find: Callable[[], ServedVersion]) -> ServedVersion:
        try:
            return find()
        except NotFoundError:
            if self.served_versions.registry_was_read:
                raise
            problem = self.served_versions.problem
            raise BusyError(problem, next_step="Ask again soon; GET /readyz says when") from None

    async def _in_worker(self, work: Callable[[], T]) -> T:
        with self._place_to_wait():
            return await asyncio.get_running_loop().run_in_executor(self._workers, work)

    @contextlib.contextmanager
    def _place_to_wait(self) -> Iterator[None]:
        if self._waiting >= QUEUE_LIMIT:
            raise BusyError("too many requests wait", next_step="Ask again later")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def loaded(self, find: Callable[[], ServedVersion]) -> tuple[ServedVersion, ServedModel]:
        """A version and its model, which is loaded if nobody has asked for it yet.

        Raises:
            NotFoundError: it is not served.
            DeployError: it could not be loaded.
        """
        served = self._find_served(find)
        if served.model is None:
            loop = asyncio.get_running_loop()
            work = self.served_versions.on_demand
            served = await loop.run_in_executor(self._workers, work, served)
        return served, model_of(served)


def status_of(error: MergelineError) -> int:
    """The HTTP status code of an error."""
    match error:
        case BodyError():
            return error.status
        case MethodError():
            return 405
        case NotFoundError():
            return 404
        case InputError() | BundleError():
            return 422
        case TokenError():
            return 401
        case FailedError():
            return 500
        case _:
            return 503


def refusal(error: MergelineError, refuse: Refuse) -> Answer:
    """An error as an answer."""
    status = status_of(error)
    said = refuse(error, status)
    if status == 408:  # a kept connection would wait for the rest of the body
        return replace(said, headers={"connection": "close"})
    if isinstance(error, MethodError):
        return replace(said, headers={"allow": error.allowed})
    if status == 401:
        return replace(said, headers={"www-authenticate": "Bearer"})
    return replace(said, headers={"retry-after": "1"}) if status == 503 else said
