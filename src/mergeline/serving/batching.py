"""Requests that wait for the same model are asked together.

Eight rows cost a data frame hardly more than one. While a model is at work on some requests, others
arrive; they wait, and are asked about at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mergeline.serving.forms import Form
from mergeline.serving.rows import Batch

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_MOST_ROWS = 256  # at once


@dataclass(frozen=True, slots=True)
class _Question:
    batch: Batch
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Any]


class Batcher:
    """Asks one model in the threads of an executor.

    Args:
        form: how the model is asked.
        workers: whose threads.
        threads: how many of them at once.
    """

    def __init__(self, form: Form, workers: Executor, threads: int) -> None:
        self._form = form
        self._workers = workers
        self._threads = threads
        self._lock = threading.Lock()
        self._waiting: deque[_Question] = deque()
        self._working = 0

    async def ask(self, batch: Batch) -> npt.NDArray[np.float64]:
        """What the model answers.

        Raises:
            BundleError: it fails on these rows.
        """
        loop = asyncio.get_running_loop()
        question = _Question(batch, loop, loop.create_future())
        with self._lock:
            self._waiting.append(question)
            start = self._working < self._threads
            self._working += start
        if start:
            self._workers.submit(self._work)
        return await question.answer  # type: ignore[no-any-return]

    def _work(self) -> None:
        while True:
            with self._lock:
                questions = self._next()
                if not questions:
                    self._working -= 1
                    return
            for question, answer in zip(questions, self._answers(questions), strict=True):
                question.loop.call_soon_threadsafe(_settle, question.answer, answer)

    def _next(self) -> list[_Question]:
        questions: list[_Question] = []
        rows = 0
        while self._waiting and (not questions or self._form.joins):
            rows += self._waiting[0].batch.size
            if questions and rows > _MOST_ROWS:
                break
            questions.append(self._waiting.popleft())
        return questions

    def _answers(self, questions: list[_Question]) -> list[Any]:
        if len(questions) > 1:
            try:
                together = self._form.answer(_joined([one.batch for one in questions]))
            except Exception:  # noqa: BLE001, S110 - each alone tells which one it is
                pass
            else:
                answers, start = [], 0
                for one in questions:
                    answers.append(together[start : start + one.batch.size])
                    start += one.batch.size
                return answers
        return [self._alone(one.batch) for one in questions]

    def _alone(self, batch: Batch) -> Any:  # noqa: ANN401 - an answer or an error
        try:
            return self._form.answer(batch)
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            return error


def _settle(future: asyncio.Future[Any], answer: Any) -> None:  # noqa: ANN401
    if future.done():  # the client has gone
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def _joined(batches: list[Batch]) -> Batch:
    columns: list[Any] = [[] for _ in batches[0].columns]
    for batch in batches:
        for column, values in zip(columns, batch.columns, strict=True):
            column.extend(values if isinstance(values, list) else values.tolist())
    return Batch(batches[0].inputs, columns, sum(batch.size for batch in batches))
