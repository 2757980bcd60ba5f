"""Spans of requests for OpenTelemetry, where somebody has configured it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from mergeline.serving.http import Scope, header

_CONTEXT = ("traceparent", "tracestate")  # W3C trace context


class Tracing:
    """Makes a span of each request for predictions, below the caller's own.

    It is at work where the process has a tracer provider (`opentelemetry-instrument mergeline …`).
    """

    def __init__(self) -> None:
        self._tracer: Any = None
        if not any(name.startswith("OTEL_") for name in os.environ):
            return
        from opentelemetry import trace

        if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            self._tracer = trace.get_tracer("mergeline")

    @property
    def on(self) -> bool:
        """Whether somebody has configured it."""
        return self._tracer is not None

    @contextlib.contextmanager
    def span(self, scope: Scope, name: str) -> Iterator[Any]:
        """The span of a request; None where nobody has configured any."""
        if self._tracer is None:
            yield None
            return
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        sent = {key: value for key in _CONTEXT if (value := header(scope, key.encode()))}
        context = TraceContextTextMapPropagator().extract(sent)
        kind = trace.SpanKind.SERVER
        with self._tracer.start_as_current_span(name, context=context, kind=kind) as span:
            yield span
