"""What the gate promises to the champion's callers is what the server does."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from mergeline.core.compare.result import InputColumn
from mergeline.core.declare.model import Gate
from mergeline.core.gate.judge import judge
from mergeline.core.gate.verdict import Context, Situation
from mergeline.errors import InputError
from mergeline.serving.rows import KINDS, to_batch
from tests.core.gate.test_gate import comparison, facts

VALUES = (1, 2**31, 2**62, 0.5, 1e300, True, "JFK", "2013-07-01", None)
ROWS: list[dict[str, Any]] = [{"it": value} for value in VALUES] + [{}]
SENT = {"other": 1.0}  # which the champion takes, and the candidate no longer
PAIRS = list(itertools.product(itertools.product(sorted(KINDS), (False, True)), repeat=2))


def gate_passes(candidate: InputColumn, champion: InputColumn) -> bool:
    before = (champion, InputColumn("other", "double"))
    taken = facts(inputs=(candidate,)), facts(inputs=before)
    found = comparison(models={"candidate": taken[0], "champion": taken[1]})
    return judge(Gate("roc_auc"), found, Context(Situation.CHANGE)).outcome == "pass"


def column(kind: str, optional: bool) -> InputColumn:
    return InputColumn("it", kind, required=not optional)


def server_answers(row: dict[str, Any], one: InputColumn, **more: InputColumn) -> bool:
    try:
        to_batch([row | SENT], {"it": one, **more})
    except InputError:
        return False
    return True


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_who_may_call_the_champion_may_call_the_candidate_that_the_gate_lets_through(
    before: tuple[str, bool], after: tuple[str, bool]
) -> None:
    champion, candidate = column(*before), column(*after)
    other = InputColumn("other", "double")
    understood = [row for row in ROWS if server_answers(row, champion, other=other)]
    assert understood
    broken = [row for row in understood if not server_answers(row, candidate)]
    if gate_passes(candidate, champion):
        assert broken == []
    elif champion.type == candidate.type:  # else a number may be answered, and rounded
        assert broken
