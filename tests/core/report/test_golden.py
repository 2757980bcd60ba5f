"""The renderers' output, held word for word.

After a change that is meant: MERGELINE_GOLDEN=write pytest tests/core/report/test_golden.py, then
look at what git diff says, and at the page in a browser.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mergeline.core.report.render.formats import RENDERERS
from mergeline.core.report.render.plots import curves
from tests.core.report.examples import ALL, PASS

GOLDEN = Path(__file__).parents[2] / "golden" / "report"
FORMS = {"md": "markdown", "html": "html", "txt": "terminal"}  # by the ending of the golden file
PAGES = ("pass", "moved", "nasty", "failed")  # of which the HTML is kept as well


def held(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("MERGELINE_GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("kind", FORMS)
def test_a_report_renders_as_it_was_last_looked_at(name: str, kind: str) -> None:
    text = RENDERERS[FORMS[kind]](ALL[name])
    if kind != "html" or name in PAGES:
        held(f"{name}.{kind}", text)


def test_the_curves_are_as_they_were_last_looked_at() -> None:
    drawn = curves(PASS)
    assert list(drawn) == [
        "roc.svg", "precision_recall.svg", "calibration.svg", "confusion_matrix.svg",
    ]  # fmt: skip
    for name, svg in drawn.items():
        held(name, svg)


def test_the_machines_report_is_as_published() -> None:
    held("pass.json", RENDERERS["json"](PASS))
