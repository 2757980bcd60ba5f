"""What a smoke test says of what the server answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from mergeline.core.release.bundle import Candidate
from mergeline.lifecycle.steps.smoke_test import serving_versions, smoke_test
from mergeline.lifecycle.steps.trained import Trained


class _Candidate:
    model_digest = "d" * 64


TRAINED = Trained(cast(Candidate, _Candidate()), Path(), None, fresh=True)
HEARD = np.array([[0.25, 0.75], [0.5, 0.5]])


def test_the_same_answers_pass_rounding_aside() -> None:
    tested = smoke_test(TRAINED, [[0.25, 0.75], [0.5, 0.5 + 1e-13]], HEARD)
    assert (tested.model_digest, tested.problem) == ("d" * 64, "")
    assert tested.versions == serving_versions()
    assert {"python", "mergeline", "scikit-learn"} <= tested.versions.keys()


@pytest.mark.parametrize("served", [[[0.25, 0.75]], [[0.25, 0.75], [0.4, 0.6]], [0.75, 0.5], []])
def test_other_answers_are_a_problem(served: list[Any]) -> None:
    assert "answers otherwise" in smoke_test(TRAINED, served, HEARD).problem


def test_a_server_that_fails_is_a_problem_with_its_words() -> None:
    assert smoke_test(TRAINED, "it does not start", HEARD).problem.endswith("it does not start")


def test_a_model_that_does_not_answer_has_nothing_to_be_held_against() -> None:
    assert "does not answer" in smoke_test(TRAINED, [[0.25, 0.75]], None).problem
