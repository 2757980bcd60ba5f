"""A refused report ends with what its author can do."""

from __future__ import annotations

import dataclasses

import pytest

from mergeline.core.gate.verdict import Judgement, Reason, Verdict, VerdictWord
from mergeline.core.report.advice import ADVICE, what_next
from mergeline.core.report.content import Report
from tests.core.gate.test_verdict_page import rule_names
from tests.core.report.examples import ALL, PASS


def steps(report: Report) -> list[str]:
    return ["".join(span.text for span in step) for step in what_next(report)]


def refused_by(*rules: str, outcome: VerdictWord = "fail") -> Report:
    reasons = tuple(Reason(rule, outcome, "so it is") for rule in rules)
    return dataclasses.replace(PASS, judgement=Judgement(Verdict(outcome, reasons)))


def test_each_rule_has_an_advice() -> None:
    assert not rule_names() - set(ADVICE)


@pytest.mark.parametrize("name", ALL)
def test_a_report_that_passes_or_has_no_verdict_has_none(name: str) -> None:
    report = ALL[name]
    refused = report.verdict is not None and report.verdict.outcome != "pass"
    assert bool(steps(report)) == refused


def test_rules_that_need_the_same_say_it_once() -> None:
    told = steps(refused_by("margin", "slice_margin", "leak"))
    assert len(told) == 3
    assert told[1] == "take that column out of the model's inputs"
    assert told[2].startswith("or merge it and release it knowingly: mergeline release --override")


def test_where_the_rows_cannot_tell_more_rows_would() -> None:
    assert steps(refused_by("margin", outcome="inconclusive"))[0].startswith("add drops: ")
    [approve, _] = steps(refused_by("holdout_moved", "bar_moved", outcome="inconclusive"))
    assert approve.endswith("/mergeline approve REASON")
