"""`history`: the ledger as a table."""

from __future__ import annotations

import pytest
from rich.console import Console

from mergeline.cli.tables import ledger_table
from mergeline.errors import NotFoundError
from mergeline.lifecycle.verbs.history import read
from tests.support.line import Line


def shown(line: Line, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", "160")
    Console().print(ledger_table(read(line.project(), None).moves))
    return capsys.readouterr().out


@pytest.mark.slow
def test_each_release_is_a_line_with_what_why_and_verdict(
    line: Line, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    merged = line.merge(1)
    line.release()
    line.merge(2)
    line.release(override="the [bold]old[/] one is on fire")
    line.branch("back")
    line.git("revert", "--no-edit", "HEAD")
    line.merge(line.push("back", "Back to the better one"))
    line.release()
    head, *rows = shown(line, capsys, monkeypatch).splitlines()
    assert head.split()[:4] == ["release", "what", "why", "commit"]
    assert [row[:6] for row in rows] == ["late 1", "late 2", "late 3", "late 4"]
    assert "v2 for v1" in rows[1]
    assert "better (#1)" in rows[1]
    assert merged[:8] in rows[1]
    assert "fail, overridden: the [bold]old[/] one is on fire" in rows[2]
    assert "v2 back for v3" in rows[3]
    assert "exempt" in rows[3]


def test_an_empty_ledger_says_so(
    line: Line, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line.git("push", "--quiet", "origin", ":refs/tags/release/late/0001", at="runner")
    line.git("tag", "--delete", "release/late/0001", at="runner")
    assert shown(line, capsys, monkeypatch) == "no release yet\n"


def test_a_model_that_was_never_there_is_said(line: Line) -> None:
    with pytest.raises(NotFoundError, match="lte"):
        read(line.project(), "lte")
