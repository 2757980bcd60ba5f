"""Which reports have a view, and what every renderer does with one that has none."""

from __future__ import annotations

import dataclasses

import pytest

from mergeline.core.gate.verdict import Situation
from mergeline.core.report.render.formats import RENDERERS
from mergeline.core.report.sentences import headline
from mergeline.core.report.view import view_of
from tests.core.report.examples import ALL, PASS


@pytest.mark.parametrize("name", ALL)
def test_a_report_has_a_view_if_it_has_a_comparison(name: str) -> None:
    assert (view_of(ALL[name]) is None) == (ALL[name].comparison is None)


def test_the_base_is_no_model_of_its_own_if_it_is_the_champion() -> None:
    usual, other = view_of(ALL["pass"]), view_of(ALL["regression"])
    assert usual is not None
    assert other is not None
    assert usual.roles == ("champion", "candidate")
    assert other.roles == ("champion", "base", "candidate")
    assert (usual.against, other.against) == ("champion", "champion")


def test_a_first_model_is_compared_with_nothing() -> None:
    first = view_of(ALL["first"])
    assert first is not None
    assert (first.roles, first.others, first.against) == (("candidate",), (), None)


@pytest.mark.parametrize("form", RENDERERS)
@pytest.mark.parametrize("name", ["failed", "same"])
def test_every_form_shows_a_report_without_a_comparison(form: str, name: str) -> None:
    assert "delay" in RENDERERS[form](ALL[name])


@pytest.mark.parametrize(
    ("holds", "kind", "ending"),
    [
        (True, Situation.CHANGE, "worse, within the margin of 0.005"),
        (False, Situation.CHANGE, "worse, which its gate lets pass"),
        (False, Situation.RESTORE, "worse, which a restore may be"),
    ],
)
def test_a_headline_that_passes_says_what_lets_a_worse_model_pass(
    holds: bool, kind: Situation, ending: str
) -> None:
    comparison = PASS.comparison
    assert comparison is not None
    primary = next(one for one in comparison.metrics if one.name == comparison.primary)
    worse = dataclasses.replace(
        primary.differences["champion"], outcome="worse", margin=0.005, margin_holds=holds
    )
    changed = dataclasses.replace(primary, differences={"champion": worse})
    metrics = tuple(changed if one is primary else one for one in comparison.metrics)
    report = dataclasses.replace(
        PASS, kind=kind, comparison=dataclasses.replace(comparison, metrics=metrics)
    )
    assert "".join(span.text for span in headline(report)).endswith(ending)
