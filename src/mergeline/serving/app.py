"""The served versions over HTTP.

    GET  /healthz                                     the process lives
    GET  /readyz                                      what should be served can be asked
    GET  /models                                      each model, its versions and their stages
    GET  /models/{model}                              one of them
    POST /models/{model}/versions/{version}/predict   {"rows": [{column: value, …}, …]}
    POST /models/{model}/stages/{stage}/predict       the same, of the version in a stage

An answer names the version and the digest of the model that made it. An error is
`{"error": {"message", "where", "next_step"}}`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.applications import Starlette
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mergeline.errors import BundleError, InputError, MergelineError, NotFoundError
from mergeline.serving.served_versions import Routing, ServedVersion, ServedVersions, plain, predict

BODY_LIMIT = 16_000_000  # bytes
BODY_TIME = 30.0  # seconds
_CLIENT_GONE = 499
_TOO_SLOW = 408
VERSION_NUMBER = "[0-9]{1,18}"  # Python refuses to read thousands of digits
_log = logging.getLogger("uvicorn.error")


class BodyError(InputError):
    """A body that is not a prediction request; `status` is the answer's."""

    def __init__(self, message: str, *, status: int = 400, next_step: str = "") -> None:
        super().__init__(message, where="body", next_step=next_step)
        self.status = status


class _VersionNumber(IntegerConvertor):
    regex = VERSION_NUMBER


def make_app(served_versions: ServedVersions) -> Starlette:
    """The application over the served versions."""
    # More predictions at once than processors only wait for each other.
    workers = ThreadPoolExecutor(max(2, os.cpu_count() or 1), "predict")

    async def ready(request: Request) -> Response:  # noqa: ARG001
        document = {"ready": served_versions.ready, "problems": served_versions.problems()}
        return JSONResponse(document, status_code=200 if served_versions.ready else 503)

    async def models(request: Request) -> Response:  # noqa: ARG001
        routing = served_versions.routing
        return JSONResponse({"models": [_model(routing, name) for name in routing.models()]})

    async def model(request: Request) -> Response:
        try:
            return JSONResponse(_model(served_versions.routing, request.path_params["model"]))
        except NotFoundError as error:
            return _refusal(error)

    async def by_version(request: Request) -> Response:
        name, number = request.path_params["model"], request.path_params["version"]
        return await _answer(request, lambda: served_versions.by_version(name, number), workers)

    async def by_stage(request: Request) -> Response:
        name, stage = request.path_params["model"], request.path_params["stage"]
        return await _answer(request, lambda: served_versions.by_stage(name, stage), workers)

    register_url_convertor("count", _VersionNumber())
    return Starlette(
        routes=[
            Route("/healthz", _health),
            Route("/readyz", ready),
            Route("/models", models),
            Route("/models/{model}", model),
            Route("/models/{model}/versions/{version:count}/predict", by_version, methods=["POST"]),
            Route("/models/{model}/stages/{stage}/predict", by_stage, methods=["POST"]),
        ],
        exception_handlers={HTTPException: _no_route},
    )


async def _health(request: Request) -> Response:  # noqa: ARG001
    return JSONResponse({"live": True})


async def _answer(
    request: Request, find: Callable[[], ServedVersion], workers: ThreadPoolExecutor
) -> Response:
    try:
        body = await _body(request)
        # Parsed, predicted and written outside the event loop, which others wait for.
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            workers, lambda: JSONResponse(predict(find(), _rows(body)))
        )
    except ClientDisconnect:
        return Response(status_code=_CLIENT_GONE)
    except asyncio.CancelledError:  # the stopping server waits for nobody
        return _refusal(MergelineError("the server is stopping", next_step="Ask again"), 503)
    except MergelineError as error:
        return _refusal(error)
    except Exception:  # noqa: BLE001 - uvicorn would cut the connection
        _log.exception("a request failed")
        return _refusal(MergelineError("the server failed", next_step="Look at its log"), 500)


async def _body(request: Request) -> bytes:
    next_step = "Send fewer rows at once"
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIME):
            async for part in request.stream():
                body += part
                if len(body) > BODY_LIMIT:
                    message = f"larger than {BODY_LIMIT:,} bytes"
                    raise BodyError(message, status=413, next_step=next_step)
    except TimeoutError as error:
        message = f"not complete after {BODY_TIME:g} seconds"
        raise BodyError(message, status=_TOO_SLOW, next_step=next_step) from error
    return bytes(body)


def _rows(body: bytes) -> object:
    try:
        document = json.loads(
            body, parse_constant=_refuse_constant, object_pairs_hook=_refuse_repetition
        )
    except (ValueError, RecursionError) as error:
        raise BodyError(f"not JSON: {error}", next_step='Send {"rows": [...]}') from error
    if not isinstance(document, dict) or set(document) != {"rows"}:
        raise BodyError('must be {"rows": [...]} and nothing else')
    return document["rows"]


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not a JSON number; send null for a missing one")


def _refuse_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        ((name, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise BodyError(f"{name!r:.80} appears more than once in one object", status=422)
    return content


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - for the type checker
    status = error.status_code
    request_line = f"{request.method} {request.url.path[:200]}"
    message = "unknown address" if status == 404 else "this address takes another method"
    next_step = "GET /models lists the models; POST /models/<model>/stages/production/predict"
    return _refusal(NotFoundError(message, where=request_line, next_step=next_step), status)


def _refusal(error: MergelineError, status: int | None = None) -> Response:
    document = {"message": error.message, "where": error.where, "next_step": error.next_step}
    if status is None:
        match error:
            case BodyError():
                status = error.status
            case NotFoundError():
                status = 404
            case InputError() | BundleError():
                status = 422
            case _:
                status = 503
    # A kept connection would wait for the rest of the body before the next request.
    headers = {"connection": "close"} if status == _TOO_SLOW else None
    return JSONResponse({"error": document}, status_code=status, headers=headers)


def _model(routing: Routing, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "stages": {
            stage.lower(): holder.version.number
            for (model, stage), holder in routing.stages.items()
            if model == name
        },
        "versions": [_version(served) for served in routing.of(name)],
    }


def _version(served: ServedVersion) -> dict[str, Any]:
    version, model = served.version, served.model
    return {
        "version": version.number,
        "stage": version.stage,
        "fingerprint": version.fingerprint,
        "model_digest": version.model_digest,
        "loaded": model is not None,
        "problem": served.problem,
        "classes": [plain(label) for label in model.classes] if model else [],
        "inputs": {column: kind.type for column, kind in model.inputs.items()} if model else {},
    }
