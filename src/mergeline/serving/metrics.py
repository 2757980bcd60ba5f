"""What `/metrics` shows, for Prometheus."""

from __future__ import annotations

import os
import time
from bisect import bisect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from prometheus_client import Counter, Histogram

    from mergeline.serving.served_versions import ServedModel, ServedVersion, ServedVersions

_LABELS = ["model", "version"]
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_ROWS = (1, 2, 5, 10, 50, 100, 500, 1_000, 5_000, 10_000, 100_000)
STEPS = 20  # of probabilities
_EDGES = [step / STEPS for step in range(STEPS + 1)]
_Key = tuple[str, int, str, int]


class Metrics:
    """Counts the requests for predictions, by version.

    Where PROMETHEUS_MULTIPROC_DIR names a folder, the processes that share it count together.
    """

    def __init__(self) -> None:
        # Once that it is imported, it no longer looks at that variable.
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._registry = CollectorRegistry()
        self._requests = Counter(
            "mergeline_requests",
            "Requests for predictions.",
            [*_LABELS, "protocol", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "mergeline_request_seconds",
            "Seconds from the head of a request to its answer.",
            _LABELS,
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._rows = Histogram(
            "mergeline_batch_rows",
            "Rows of a request that was answered.",
            _LABELS,
            buckets=_ROWS,
            registry=self._registry,
        )
        self._probabilities = Counter(
            "mergeline_probabilities",
            "Rows by the probability of the positive class: at least `from`, in steps of 0.05.",
            [*_LABELS, "from"],
            registry=self._registry,
        )
        self._ready = Gauge(
            "mergeline_ready",
            "Whether it is ready.",
            registry=self._registry,
            multiprocess_mode="livemin",
        )
        self._problems = Gauge(
            "mergeline_problems",
            "Problems that /readyz lists.",
            registry=self._registry,
            multiprocess_mode="livemax",
        )
        # Looking a labelled metric up costs more than counting.
        self._known: dict[_Key, tuple[Counter, Histogram, Histogram]] = {}
        self._steps: dict[tuple[str, int], list[Counter]] = {}

    def count(
        self, served: ServedVersion, protocol: str, status: int, *, since: float, rows: int = 0
    ) -> None:
        """Count one request, which began at `since` by the performance counter."""
        key = (*served.key, protocol, status)
        if key not in self._known:
            self._known[key] = (
                self._requests.labels(*key),
                self._seconds.labels(*served.key),
                self._rows.labels(*served.key),
            )
        requests, seconds, sizes = self._known[key]
        requests.inc()
        seconds.observe(time.perf_counter() - since)
        if rows:
            sizes.observe(rows)

    def count_answers(
        self, served: ServedVersion, model: ServedModel, answers: npt.NDArray[np.float64]
    ) -> None:
        """Count the rows of a binary model by the probability of the positive class."""
        if len(model.classes) != 2 or answers.ndim != 2:
            return
        if served.key not in self._steps:
            self._steps[served.key] = [
                self._probabilities.labels(*served.key, f"{step / STEPS:.2f}")
                for step in range(STEPS + 1)
            ]
        counters = self._steps[served.key]
        if len(answers) == 1:  # as most requests ask, and an array takes its time for it
            counters[step_of(float(answers[0, 1]))].inc()
            return
        import numpy as np

        steps = np.clip(np.searchsorted(_EDGES, answers[:, 1], side="right") - 1, 0, STEPS)
        for step, count in enumerate(np.bincount(steps).tolist()):
            if count:
                counters[step].inc(count)

    def page(self, held: ServedVersions) -> tuple[bytes, str]:
        """The page, and its content type."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.exposition import CONTENT_TYPE_LATEST
        from prometheus_client.multiprocess import MultiProcessCollector

        self._ready.set(held.ready)
        self._problems.set(len(held.problems()))
        registry = self._registry
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry), CONTENT_TYPE_LATEST


def step_of(probability: float) -> int:
    """The step that a probability is in: the last whose lower edge it reaches, from 0 to 1."""
    return min(STEPS, max(0, bisect(_EDGES, probability) - 1))
