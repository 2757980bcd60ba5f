from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mergeline.core.compare.result import Measured
from mergeline.core.declare.strict import json_schema, write_json
from mergeline.core.report.content import DataChange, Report, read_report
from mergeline.core.report.context import table_summary
from mergeline.errors import BundleError, DeclarationError
from tests.core.report.examples import ALL, PASS

SCHEMA = Path(__file__).parents[3] / "docs" / "report.schema.json"


@pytest.mark.parametrize("name", ALL)
def test_a_report_is_read_back_as_it_was_written(name: str) -> None:
    assert read_report(write_json(ALL[name]), where="report.json") == ALL[name]


def test_the_published_schema_is_that_of_the_report() -> None:
    schema = json.dumps(json_schema(Report), indent=2, ensure_ascii=False) + "\n"
    if os.environ.get("MERGELINE_GOLDEN") == "write":
        SCHEMA.write_text(schema, encoding="utf-8")
    assert SCHEMA.read_text(encoding="utf-8") == schema


def test_a_report_of_another_format_is_refused() -> None:
    document = {**json.loads(write_json(PASS)), "format": 2}
    with pytest.raises(BundleError, match="report of format 2"):
        read_report(json.dumps(document), where="report.json")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1, "model": "delay"}', "null"])
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(DeclarationError):
        read_report(text, where="report.json")


def test_an_unknown_key_is_refused_with_the_nearest_known_one() -> None:
    document = json.loads(write_json(PASS))
    document["verdicts"] = []
    with pytest.raises(DeclarationError, match="unknown key 'verdicts'"):
        read_report(json.dumps(document), where="report.json")


def test_no_nan_is_ever_written() -> None:
    assert PASS.comparison is not None
    metric = dataclasses.replace(
        PASS.comparison.metrics[0], values={"candidate": Measured(math.nan)}
    )
    report = dataclasses.replace(
        PASS, comparison=dataclasses.replace(PASS.comparison, metrics=(metric,))
    )
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(report)


def test_reading_a_report_imports_no_library_of_models() -> None:
    code = (
        "import sys, mergeline.core.report.content, mergeline.core.report.render.markdown\n"
        "print([m for m in ('numpy', 'scipy', 'jinja2', 'rich', 'mlflow') if m in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "[]"


def test_a_table_of_the_same_drops_in_another_snapshot_changed_its_contract() -> None:
    summary = table_summary(DataChange("flights", notes=("the contract changed: …",)))
    assert "".join(span.text for span in summary) == "flights contract changed"
