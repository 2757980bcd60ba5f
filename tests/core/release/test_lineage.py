"""From where small steps are summed, and that they cannot add up unseen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mergeline.core.compare.comparison import compare
from mergeline.core.compare.prepare import rows_digest
from mergeline.core.compare.result import Comparison, Holdout, Scored
from mergeline.core.declare.model import Bar, Gate, MetricChoice, Model, Role
from mergeline.core.gate.judge import judge
from mergeline.core.gate.verdict import Context, Situation, Verdict
from mergeline.core.release.ledger import FORMAT, Entry
from mergeline.core.release.lineage import find_reference


def ledger(*pages: str) -> list[Entry]:
    """Pages by what they are; `back N` restores what page N released."""
    entries: list[Entry] = []
    for number, what in enumerate(pages, 1):
        back = int(what.removeprefix("back ")) if what.startswith("back ") else None
        kinds = {"first": Situation.FIRST, "back": Situation.RESTORE}
        kind = kinds.get(what.split()[0], Situation.CHANGE)
        entries.append(
            Entry(
                format=FORMAT, model="late", sequence=number, kind=kind, version=back or number,
                fingerprint=f"{back or number}" * 64, model_digest="d", run_id="r", commit="c",
                subject="s", author="a", pull_request=None, replaced=None,
                verdict="fail" if what == "knowingly worse" else "pass",
                override="we need it" if what in {"knowingly worse", "approved"} else None,
                released_at="2026-01-01T00:00:00+00:00", better=what == "better",
            )
        )  # fmt: skip
    return entries


@pytest.mark.parametrize(
    ("pages", "version", "why", "releases"),
    [
        (["first"], 1, "first", 0),
        (["first", "same", "same"], 1, "first", 2),
        (["first", "better", "same"], 2, "better", 1),
        (["first", "better", "knowingly worse", "same"], 3, "override", 1),
        (["first", "approved"], 1, "first", 1),  # it passed: nothing was overridden
        (["first", "better", "better", "back 2"], 2, "better", 2),
        (["first", "better", "better", "back 1", "same"], 1, "first", 4),
        (["same", "same"], 1, "first", 1),  # a ledger whose first pages are gone
    ],
)
def test_the_reference_is_the_release_that_was_last_shown_better(
    pages: list[str], version: int, why: str, releases: int
) -> None:
    found = find_reference(ledger(*pages))
    assert found is not None
    assert (found.entry.version, found.why, found.releases) == (version, why, releases)


def test_there_is_no_reference_before_the_first_release() -> None:
    assert find_reference([]) is None


DECLARED = Model(
    "late", "binary", "evaluate", "build", "late", ("id",), (MetricChoice("roc_auc"),),
    Gate("roc_auc", {"roc_auc": Bar(margin=0.02)}), classes=("no", "yes"),
)  # fmt: skip
ROWS = 8_000
RNG = np.random.default_rng(1)
SIGNAL, NOISE = RNG.normal(size=ROWS), RNG.normal(size=ROWS)
LATE = SIGNAL + RNG.normal(size=ROWS) * 1.2 > 0
IDS = np.arange(ROWS, dtype=np.uint64)
HOLDOUT = Holdout(IDS, np.where(LATE, "yes", "no"), rows_digest(IDS))


def model(blur: float) -> Scored:
    """Its score is the signal, blurred."""
    probability = 1 / (1 + np.exp(-(SIGNAL + blur * NOISE)))
    nobody = np.array([], dtype=np.uint64)
    return Scored(HOLDOUT.digest, probability, ("no", "yes"), trained_on=nobody)


def judged(**models: Scored) -> tuple[Comparison, Verdict]:
    scored: dict[Role, Scored] = {**models}  # type: ignore[dict-item]
    comparison = compare(HOLDOUT, scored, DECLARED)
    gate = Gate("roc_auc", {"roc_auc": Bar(margin=0.02)}, schema="any")
    return comparison, judge(gate, comparison, Context(Situation.CHANGE))


def estimate(comparison: Comparison, other: Any) -> float:
    metric = comparison.metric("roc_auc")
    assert metric is not None
    value = metric.differences[other].estimate
    assert value is not None
    return value


def test_ten_steps_down_within_the_margin_are_stopped() -> None:
    """Each is 0.013 below the one before; with the champion alone all ten are released."""
    blurs = [0.0, *np.interp(np.arange(1, 11) * -0.013, _losses(), _BLURS)]
    released, alone = [blurs[0]], 0
    for blur in blurs[1:]:
        only, passes = judged(candidate=model(blur), champion=model(blurs[blurs.index(blur) - 1]))
        assert estimate(only, "champion") == pytest.approx(-0.013, abs=0.002)
        alone += passes.outcome == "pass"
        models = {"candidate": model(blur), "champion": model(released[-1])}
        if len(released) > 1:
            models["reference"] = model(released[0])
        comparison, verdict = judged(**models)
        if verdict.outcome == "pass":
            released.append(blur)
            continue
        if len(released) > 1:
            [sum_since] = [one for one in verdict.reasons if one.against == "reference"]
            assert sum_since.rule == "margin"
            assert sum_since.outcome == "fail"
            assert estimate(comparison, "reference") < -0.02
    assert alone == 10
    assert len(released) == 2


_BLURS = np.linspace(3.0, 0.0, 61)


def _losses() -> list[float]:
    """By how much each blur is below none."""
    return [
        estimate(compare(HOLDOUT, {"candidate": model(blur), "champion": model(0.0)}, DECLARED),
                 "champion")
        for blur in _BLURS
    ]  # fmt: skip


def test_one_small_step_up_does_not_lower_the_reference() -> None:
    low, lower, best = model(0.30), model(0.45), model(0.0)
    comparison, _ = judged(candidate=low, champion=lower, reference=best)
    assert estimate(comparison, "champion") > 0
    assert not comparison.shown_better
    comparison, _ = judged(candidate=best, champion=lower, reference=low)
    assert comparison.shown_better
