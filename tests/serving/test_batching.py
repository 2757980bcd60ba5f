"""Requests that wait for the same model are asked together, and each gets its own answer."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from mergeline.core.compare.result import InputColumn
from mergeline.errors import BundleError
from mergeline.serving.batching import Batcher
from mergeline.serving.rows import Batch

INPUTS = {"number": InputColumn("number", "double")}


@dataclass
class Slow:
    """Doubles numbers, refuses 13, and waits until it is let go."""

    joins: bool = True
    name: str = "frame"
    reason: str = ""
    quick: bool = False
    labels: bool = False
    exact: bool = True
    asked: list[int] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)

    def answer(self, batch: Batch) -> Any:
        self.go.wait(10)
        self.asked.append(batch.size)
        numbers = np.array(batch.columns[0])
        if 13 in numbers:
            raise BundleError("unlucky")
        return numbers * 2.0


def ask_all(form: Slow, batches: list[list[float]]) -> list[Any]:
    async def all_at_once() -> list[Any]:
        with ThreadPoolExecutor(1) as workers:
            batcher = Batcher(form, workers, 1)
            questions = [
                asyncio.ensure_future(batcher.ask(Batch(INPUTS, [numbers], len(numbers))))
                for numbers in batches
            ]
            await asyncio.sleep(0.05)
            form.go.set()
            return await asyncio.gather(*questions, return_exceptions=True)

    return asyncio.run(all_at_once())


def test_those_that_wait_are_asked_together() -> None:
    form = Slow()
    answers = ask_all(form, [[1.0], [2.0, 3.0], [4.0], [5.0]])
    assert [answer.tolist() for answer in answers] == [[2.0], [4.0, 6.0], [8.0], [10.0]]
    assert form.asked == [1, 4]


def test_one_that_the_model_refuses_spoils_no_other() -> None:
    first, lucky, unlucky = ask_all(Slow(), [[1.0], [2.0], [13.0]])
    assert (first.tolist(), lucky.tolist()) == ([2.0], [4.0])
    with pytest.raises(BundleError, match="unlucky"):
        raise unlucky


@pytest.mark.parametrize(("joins", "asked"), [(False, [1, 1, 1]), (True, [1, 2])])
def test_a_model_that_answers_otherwise_to_rows_together_is_asked_one_by_one(
    joins: bool, asked: list[int]
) -> None:
    form = Slow(joins=joins)
    ask_all(form, [[1.0], [2.0], [3.0]])
    assert form.asked == asked


def test_a_batch_has_a_limit() -> None:
    form = Slow()
    ask_all(form, [[1.0], *[[1.0] * 100] * 4])
    assert form.asked == [1, 200, 200]
