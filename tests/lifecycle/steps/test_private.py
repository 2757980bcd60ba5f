"""Columns that a declaration calls private: their values stay where models are judged."""

from __future__ import annotations

import contextlib
import dataclasses
import re

import polars as pl
import pytest

from mergeline.adapters.git.repository import Repository
from mergeline.adapters.row_files import read_holdout
from mergeline.core.release.bundle import EVALUATION_FILES, FLIPPED_ROWS, PREDICTIONS
from mergeline.core.report.content import read_report
from mergeline.errors import BundleError, DeclarationError, DropError
from mergeline.lifecycle.steps import scoring
from mergeline.lifecycle.steps.candidates import find
from mergeline.lifecycle.steps.case import read_cases
from mergeline.lifecycle.steps.evaluation import Evaluated
from tests.support.line import Line
from tests.support.parcels import WORSE, drop


@pytest.fixture
def found(line: Line) -> Evaluated:
    """A change that flips rows, in a project whose key and weights are private."""
    line.branch("private")
    line.edit("models/late.yaml", "key: [id]", "key: [id]\nprivate: [id, weight]")
    line.edit(*WORSE)
    line.add_drops(4)
    line.commit("Another model, of private columns")
    line.check_out_pull(line.push("private"))
    return line.evaluate(bundle=line.root / "found")


@pytest.mark.slow
def test_no_value_of_a_private_column_is_in_what_an_evaluation_leaves(found: Evaluated) -> None:
    files = found.folder / EVALUATION_FILES
    texts = [path.read_text() for path in files.iterdir() if path.suffix != ".parquet"]
    assert len(texts) >= 3
    assert not [found for text in texts for found in re.findall(r"(?<!-)weight[ :=]{1,3}\d", text)]
    assert "distance" in pl.read_parquet_schema(files / FLIPPED_ROWS)
    for name in (PREDICTIONS, FLIPPED_ROWS):
        assert {"id", "weight"}.isdisjoint(pl.read_parquet_schema(files / name))
    report = found.report
    assert report.comparison
    rows = report.comparison.examples["champion"]
    assert rows
    assert all(row.key == {} for row in rows)
    assert {one.name for row in rows for one in row.unusual} <= {"distance"}
    [data] = report.data
    assert not [line for line in (*data.drift, *data.notes) if "weight" in line]


@pytest.mark.slow
def test_the_page_and_the_table_show_the_rows_that_moved_most(line: Line) -> None:
    found = line.review(line.propose("by-weight", WORSE))
    files = found.folder / EVALUATION_FILES
    report = read_report((files / "report.json").read_bytes(), where="there")
    assert report.comparison
    rows = report.comparison.examples["champion"]
    table = pl.read_parquet(files / FLIPPED_ROWS)
    assert table["id"].to_list() == [int(row.key["id"]) for row in rows]
    assert table["champion"].to_list() == [row.other for row in rows]
    assert {"late", "weight", "distance", "candidate", "unusual"} <= set(table.columns)
    assert f"id {rows[0].key['id']}" in (files / "report.html").read_text()


def test_a_refused_drop_of_private_columns_is_told_without_its_cells(
    line: Line, capfd: pytest.CaptureFixture[str]
) -> None:
    line.branch("refused")
    line.edit("models/late.yaml", "key: [id]", "key: [id]\nprivate: [weight]")
    line.add_drops(5, made=lambda month: drop(month) + "5099,2024-05-31,secret,far,true\n")
    line.commit("A drop that breaks the contract")
    line.check_out_pull(line.push("refused"))
    with pytest.raises(DropError, match=r"column distance: 'far' is not") as caught:
        line.evaluate(bundle=line.root / "found")
    assert "column weight: a private value is not a float64" in str(caught.value)
    left = [path for path in (line.root / "found").rglob("*") if path.is_file()]
    texts = [path.read_bytes() for path in left]
    assert any(b"is refused" in text or b"a private value" in text for text in texts)
    assert not [
        text for text in (*texts, *map(str.encode, capfd.readouterr())) if b"secret" in text
    ]


@pytest.mark.parametrize("declared", ["private: [weight]", "privat: [weight]"])
def test_what_main_or_an_unreadable_declaration_may_hide_is_not_quoted(
    line: Line, monkeypatch: pytest.MonkeyPatch, declared: str
) -> None:
    line.branch("hides")
    line.edit("models/late.yaml", "key: [id]", f"key: [id]\n{declared}")
    line.commit("Another declaration")
    line.check_out_pull(line.push("hides"))
    project = line.project()
    shows, hides = project.tree("origin/main"), project.tree("HEAD")
    for main, tree in ((shows, hides), (hides, shows)):
        monkeypatch.setattr(Repository, "main_branch", lambda _, of=main: of.files.sha)
        assert "weight" in project.private_columns(tree)


@pytest.mark.parametrize("private", [(), ("weight",)])
def test_a_model_s_own_words_are_told_only_where_no_column_is_private(
    line: Line, monkeypatch: pytest.MonkeyPatch, private: tuple[str, ...]
) -> None:
    line.check_out("origin/main")
    [case] = read_cases(line.project(), None, None)
    trained = find(line.project(), "late", case.ingredients.fingerprint)
    assert trained
    declared = dataclasses.replace(case.model, private=private)

    def failing(*_: object, **__: object) -> contextlib.AbstractContextManager[object]:
        raise BundleError("could not convert 'secret' to float")

    monkeypatch.setattr(scoring, "confined_model", failing)
    holdout = read_holdout(trained.holdout, declared)
    asked = scoring.score_models(line.project(), {"candidate": trained}, holdout, declared)
    assert ("secret" in asked["candidate"].problem) == (not private)
    assert asked["candidate"].problem


def test_a_private_column_that_nothing_has_is_refused(line: Line) -> None:
    line.branch("misspelt")
    line.edit("models/late.yaml", "key: [id]", "key: [id]\nprivate: [wieght]")
    line.commit("Weights are private")
    line.check_out_pull(line.push("misspelt"))
    with pytest.raises(DeclarationError, match="private: no column 'wieght'"):
        line.evaluate(bundle=line.root / "found")
