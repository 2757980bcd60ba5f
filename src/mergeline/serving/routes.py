"""The addresses of the scoring server, and what answers there."""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from mergeline.errors import MergelineError, NotFoundError
from mergeline.serving import description, mlflow_protocol, native, open_inference
from mergeline.serving.http import Answer, Scope, header, json_answer
from mergeline.serving.served_versions import (
    Asking,
    Routing,
    ServedModel,
    ServedVersion,
    ServedVersions,
    plain,
)

if TYPE_CHECKING:
    from mergeline.serving.app import Application

VERSION_NUMBER = "[0-9]{1,18}"  # Python refuses to read thousands of digits

Names = Mapping[str, str]
Handler = Callable[["Application", Names], Awaitable[Answer]]
Ask = Callable[[ServedVersion, ServedModel, bytes], Asking]
Refuse = Callable[[MergelineError, int], Answer]
_PRODUCTION = "production"


class MethodError(NotFoundError):
    """The address takes another method: one of `allowed`."""

    def __init__(self, allowed: str, *, where: str, next_step: str) -> None:
        super().__init__("this address takes another method", where=where, next_step=next_step)
        self.allowed = allowed


@dataclass(frozen=True, slots=True)
class Question:
    """What a request for predictions asks.

    Attributes:
        protocol: as it is counted.
        find: the version that is asked.
        ask: that version about a body.
    """

    protocol: str
    find: Callable[[], ServedVersion]
    ask: Ask


@dataclass(frozen=True, slots=True)
class Route:
    """An address, and what answers there: a handler, or a model to a question.

    Attributes:
        refuse: how it says errors.
    """

    method: str
    path: str
    handler: Handler | None = None
    question: Callable[[Application, Scope, Names], Question] | None = None
    refuse: Refuse = native.refusal

    def match(self, parts: list[str]) -> dict[str, str] | None:
        """The names in a path, if it is of this form."""
        own = self.path.split("/")
        if len(own) != len(parts):
            return None
        names = {}
        for mine, part in zip(own, parts, strict=True):
            if mine.startswith("{"):
                names[mine[1:-1]] = part
            elif mine != part:
                return None
        return names if re.fullmatch(VERSION_NUMBER, names.get("version", "0")) else None


def find_route(method: str, raw_path: bytes) -> tuple[Route, Names]:
    """The route of an address, and the names in it.

    Raises:
        NotFoundError: there is none.
        MethodError: it takes another method.
    """
    path = raw_path.decode("latin-1")
    parts = [unquote(part) for part in path.split("/")]
    methods = []
    for route in ROUTES:
        names = route.match(parts)
        if names is not None and route.method == method:
            return route, names
        if names is not None:
            methods.append("GET, HEAD" if route.method == "GET" else route.method)
    where = f"{method} {unquote(path)[:200]}"
    next_step = "GET /models lists the models; POST /models/<model>/stages/production/predict"
    if methods:
        raise MethodError(", ".join(methods), where=where, next_step=next_step)
    raise NotFoundError("unknown address", where=where, next_step=next_step)


def _found(held: ServedVersions, names: Names) -> Callable[[], ServedVersion]:
    """What finds the version that an address names; without a version or stage, in production."""
    model = names["model"]
    if "version" in names:
        return lambda: held.by_version(model, int(names["version"]))
    return lambda: held.by_stage(model, names.get("stage", _PRODUCTION))


# ---- mergeline's own


async def _health(app: Application, names: Names) -> Answer:  # noqa: ARG001
    return json_answer({"live": True})


async def _ready(app: Application, names: Names) -> Answer:  # noqa: ARG001
    held = app.served_versions
    document = {"ready": held.ready, "loading": held.loading, "problems": held.problems()}
    return json_answer(document, 200 if held.ready else 503)


async def _models(app: Application, names: Names) -> Answer:  # noqa: ARG001
    routing = app.served_versions.routing
    return json_answer({"models": [_model(routing, name) for name in routing.models()]})


async def _one_model(app: Application, names: Names) -> Answer:
    return json_answer(_model(app.served_versions.routing, names["model"]))


def _predict(app: Application, scope: Scope, names: Names) -> Question:
    kind, wanted = header(scope, b"content-type"), header(scope, b"accept")

    def ask(served: ServedVersion, model: ServedModel, body: bytes) -> Asking:
        return native.answer(served, model, body, kind=kind, wanted=wanted)

    return Question("native", _found(app.served_versions, names), ask)


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
        "form": model.form.name if model else "",
        "form_reason": model.form.reason if model else "",
        "classes": [plain(label) for label in model.classes] if model else [],
        "inputs": {column: kind.type for column, kind in model.inputs.items()} if model else {},
    }


async def _openapi(app: Application, names: Names) -> Answer:  # noqa: ARG001
    return json_answer(description.openapi(app.served_versions.routing, ROUTES))


async def _docs(app: Application, names: Names) -> Answer:  # noqa: ARG001
    page = description.page(app.served_versions.routing)
    return Answer(page.encode(), kind="text/html; charset=utf-8")


async def _metrics(app: Application, names: Names) -> Answer:  # noqa: ARG001
    body, kind = app.metrics.page(app.served_versions)
    return Answer(body, kind=kind)


# ---- MLflow's scoring protocol


async def _ping(app: Application, names: Names) -> Answer:  # noqa: ARG001
    return Answer(b"\n", 200 if app.served_versions.ready else 503)


async def _mlflow_version(app: Application, names: Names) -> Answer:  # noqa: ARG001
    try:
        return Answer(version("mlflow").encode())
    except PackageNotFoundError:
        raise NotFoundError("this server has no MLflow", next_step="GET /v2 says its own") from None


def _invocations(app: Application, scope: Scope, names: Names) -> Question:
    held = app.served_versions
    kind = header(scope, b"content-type")
    lenient = app.settings.mlflow_lenient

    def find() -> ServedVersion:
        if "model" not in names:
            return held.by_stage(_only_in_production(held.routing), _PRODUCTION)
        which = names.get("which", _PRODUCTION)
        if re.fullmatch(VERSION_NUMBER, which):
            return held.by_version(names["model"], int(which))
        return held.by_stage(names["model"], which)

    def ask(served: ServedVersion, model: ServedModel, body: bytes) -> Asking:  # noqa: ARG001
        return mlflow_protocol.answer(model, body, kind, lenient=lenient)

    return Question("mlflow", find, ask)


def _only_in_production(routing: Routing) -> str:
    """The model that an address without a name means.

    Raises:
        NotFoundError: not exactly one model is in production.
    """
    names = sorted({model for model, stage in routing.stages if stage == "Production"})
    if len(names) == 1:
        return names[0]
    raise NotFoundError(
        f"in production are {', '.join(names) or 'no models'}",
        next_step="Name one: POST /model/<name>/Production/invocations",
    )


# ---- Open Inference Protocol


async def _v2(app: Application, names: Names) -> Answer:  # noqa: ARG001
    return json_answer(open_inference.server_metadata(version("mergeline")))


async def _v2_live(app: Application, names: Names) -> Answer:  # noqa: ARG001
    return json_answer({"live": True})


async def _v2_ready(app: Application, names: Names) -> Answer:  # noqa: ARG001
    ready = app.served_versions.ready
    return json_answer({"ready": ready}, 200 if ready else 503)


async def _v2_model(app: Application, names: Names) -> Answer:
    held = app.served_versions
    served, model = await app.loaded(_found(held, names))
    versions = [one.version.number for one in held.routing.of(served.version.model)]
    return json_answer(open_inference.model_metadata(served, model, versions))


async def _v2_model_ready(app: Application, names: Names) -> Answer:
    served, _ = await app.loaded(_found(app.served_versions, names))
    return json_answer({"name": served.version.model, "ready": True})


def _v2_infer(app: Application, scope: Scope, names: Names) -> Question:
    length = header(scope, open_inference.BINARY.encode())

    def ask(served: ServedVersion, model: ServedModel, body: bytes) -> Asking:
        return open_inference.answer(served, model, body, length)

    return Question("open inference", _found(app.served_versions, names), ask)


_of_mlflow = functools.partial(Route, refuse=mlflow_protocol.refusal)
_of_v2 = functools.partial(Route, refuse=open_inference.refusal)

# Whoever starts servers asks them, and knows no token.
PROBES = {"/healthz", "/readyz", "/ping", "/health", "/v2/health/live", "/v2/health/ready"}
ROUTES = [
    Route("POST", "/models/{model}/versions/{version}/predict", question=_predict),
    Route("POST", "/models/{model}/stages/{stage}/predict", question=_predict),
    Route("GET", "/models", _models),
    Route("GET", "/models/{model}", _one_model),
    Route("GET", "/readyz", _ready),
    Route("GET", "/healthz", _health),
    Route("GET", "/metrics", _metrics),
    Route("GET", "/openapi.json", _openapi),
    Route("GET", "/docs", _docs),
    _of_mlflow("POST", "/invocations", question=_invocations),
    _of_mlflow("POST", "/model/{model}/{which}/invocations", question=_invocations),
    _of_mlflow("POST", "/serving-endpoints/{model}/invocations", question=_invocations),
    _of_mlflow("GET", "/ping", _ping),
    _of_mlflow("GET", "/health", _ping),
    _of_mlflow("GET", "/version", _mlflow_version),
    _of_v2("GET", "/v2", _v2),
    _of_v2("GET", "/v2/health/live", _v2_live),
    _of_v2("GET", "/v2/health/ready", _v2_ready),
    _of_v2("GET", "/v2/models/{model}", _v2_model),
    _of_v2("GET", "/v2/models/{model}/ready", _v2_model_ready),
    _of_v2("POST", "/v2/models/{model}/infer", question=_v2_infer),
    _of_v2("GET", "/v2/models/{model}/versions/{version}", _v2_model),
    _of_v2("GET", "/v2/models/{model}/versions/{version}/ready", _v2_model_ready),
    _of_v2("POST", "/v2/models/{model}/versions/{version}/infer", question=_v2_infer),
]
