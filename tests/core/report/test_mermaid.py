"""Every diagram of ours, read by Mermaid itself."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from mergeline.core.report.render.markdown import to_markdown
from tests.core.report.examples import ALL, NASTY_NAME
from tests.core.report.poison import poisoned

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
DOCUMENTS = [
    *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/golden/**/*.md"),
]  # fmt: skip
GOOD = 'xychart-beta\n    x-axis "recall" 0 --> 1\n    line [0, 1]'


def blocks(text: str) -> list[str]:
    return re.findall(r"^```mermaid\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def complaints(diagrams: list[str]) -> list[str]:
    """What Mermaid has against each diagram; nothing where it would draw it."""
    home = os.environ.get("MERMAID_HOME")
    if not home:
        pytest.fail(
            "MERMAID_HOME names no folder; make one: npm install --prefix FOLDER mermaid@11 jsdom"
        )
    program = ["node", str(Path(__file__).with_name("mermaid.mjs")), home]
    sent = json.dumps(diagrams)
    answer = subprocess.run(
        program, input=sent, capture_output=True, text=True, check=False, timeout=120
    )
    assert answer.returncode == 0, answer.stderr
    by_diagram: list[str] = json.loads(answer.stdout)
    assert len(by_diagram) == len(diagrams)
    return by_diagram


def test_mermaid_reads_every_diagram_of_the_reports_and_the_documents() -> None:
    by_document = {path: blocks(path.read_text(encoding="utf-8")) for path in DOCUMENTS}
    with_any = {path.relative_to(ROOT).as_posix() for path, some in by_document.items() if some}
    assert {"docs/project.md", "docs/workflows.md", "tests/golden/report/pass.md"} <= with_any
    all_of_them = list(itertools.chain.from_iterable(by_document.values()))
    named = [path.name for path, some in by_document.items() for _ in some]
    wrong = zip(named, complaints(all_of_them), strict=True)
    assert [(name, complaint) for name, complaint in wrong if complaint] == []


def test_mermaid_reads_the_diagrams_whatever_the_names() -> None:
    text = "\n".join(to_markdown(poisoned(report, lambda: NASTY_NAME)) for report in ALL.values())
    assert not any(complaints(blocks(text)))


@pytest.mark.parametrize(
    "broken",
    [
        GOOD.replace("[0, 1]", "[0, nan]"),
        GOOD.replace("[0, 1]", "[0, 1"),
        GOOD.replace("[0, 1]", "[0, 1e-05]"),
        GOOD.replace('"recall"', '"recall'),
        GOOD.replace("xychart-beta", "xychart-gamma"),
        "flowchart LR\n    a[one] --> b[two",
        "",
    ],
)
def test_a_diagram_that_is_wrong_is_found(broken: str) -> None:
    good, wrong, after = complaints([GOOD, broken, GOOD])
    assert wrong
    assert good == after == ""
