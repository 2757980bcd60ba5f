"""How far long work is: what is said of it, where, and that it is gone when the work is."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import sys
import threading
from pathlib import Path

import pytest

from mergeline.adapters.drops import arrow_csv
from mergeline.adapters.drops.convert import convert
from mergeline.adapters.dvc.stages import _ReproOutput
from mergeline.cli.output import print_json
from mergeline.cli.progress import Bars, lines, print_lines
from mergeline.core.data.snapshot import Drop
from mergeline.core.declare.contract import parse_contract
from mergeline.system import progress
from mergeline.system.progress import Step, running, underway

MB = 1_000_000


@pytest.mark.parametrize(
    ("step", "line"),
    [
        (
            Step("converting a.csv", 4000 * MB, "bytes", began=0, done=1000 * MB, rows=8_000_000),
            "converting a.csv: 1 GB of 4 GB (25 %), 8,000,000 rows, 100 MB/s, 30 s left",
        ),
        (Step("drops of flights", 120, "drops", began=0, done=60),
         "drops of flights: 60 of 120 drops, 10 s left"),
        (Step("stage train", began=-80, note="epoch 3 of 9"),
         "stage train: 1 min 30 s, epoch 3 of 9"),
        (Step("unpacking a.csv.gz", unit="bytes", began=0, done=50 * MB),
         "unpacking a.csv.gz: 50 MB, 5 MB/s, 10 s"),
        (Step("fetching a.csv", 5 * MB, "bytes", began=0),
         "fetching a.csv: 0 B of 5 MB (0 %), 10 s"),
    ],
)  # fmt: skip
def test_a_line_says_how_far_it_is(step: Step, line: str) -> None:
    assert lines([step], now=10.0) == [line]


def test_what_takes_no_two_seconds_is_not_spoken_of() -> None:
    steps = [Step("short", began=8.5), Step("long", began=8.0)]
    assert lines(steps, now=10.0) == ["long: 2.0 s"]


def test_a_last_line_of_a_stage_cannot_command_terminal_or_runner() -> None:
    [line] = lines([Step("stage train", began=0, note="\x1b[2J##[error]" + "x" * 500)], now=10.0)
    assert "\x1b" not in line
    assert "##[" not in line
    assert len(line) < 150


def test_lines_go_to_standard_error_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with underway("work") as step:
        print_lines(step.began + 10)
    print_json([{"the": "product"}])
    out, err = capsys.readouterr()
    assert (json.loads(out), err) == ([{"the": "product"}], "· work: 10 s\n")


def test_on_a_terminal_bars_are_drawn_and_gone_when_the_work_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parent, child = pty.openpty()
    with os.fdopen(child, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        bars = Bars()
        gone = progress.told_at_each_end(bars.end_with_work)
        with gone, underway("drops", total=4, unit="drops") as step:
            step.advance(3)
            bars.show(step.began + 1)
            bars.show(step.began + 4)
    drawn = _all_of(parent)
    assert "━" * 15 + "─" * 5 + " drops: 3 of 4 drops, 1.3 s left" in drawn
    after = drawn.rpartition("1.3 s left")[2]
    assert "\x1b[2K" in after, "the line is cleared"
    assert "\x1b[?25h" in after, "the cursor is back"


def _all_of(terminal: int) -> str:
    content = b""
    with contextlib.suppress(OSError):  # the other end was closed
        while part := os.read(terminal, 10_000):
            content += part
    os.close(terminal)
    return content.decode()


def test_work_that_fails_is_over() -> None:
    with pytest.raises(ValueError, match="no"), underway("work"):
        raise ValueError("no")
    assert not running()


def test_threads_may_work_at_once() -> None:
    with underway("drops", unit="drops") as step:

        def work() -> None:
            for _ in range(1_000):
                step.advance()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert step.done == 4_000


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_drop_that_is_converted_tells_bytes_and_rows(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import polars as pl

    frame = pl.DataFrame({"id": range(400_000), "name": "x" * 10})
    drop = tmp_path / f"drop.{form}"
    if form == "csv":
        frame.write_csv(drop)
    elif form == "jsonl":
        frame.write_ndjson(drop)
    else:
        frame.write_parquet(drop)
    contract = parse_contract(
        "t", f"{{source: raw, format: {form}, columns: {{id: {{type: int64}}, name: "
        "{type: string}}}",
    )  # fmt: skip
    reached: list[tuple[float, int]] = []
    reach = Step.reach

    def noted(step: Step, done: float, *, rows: int = 0) -> None:
        assert step in running()
        assert step.what == f"converting drop.{form}"
        reach(step, done, rows=rows)
        reached.append((done, rows))

    monkeypatch.setattr(Step, "reach", noted)
    monkeypatch.setattr(arrow_csv, "BLOCK_BYTES", 1 << 16)  # Arrow reads some of them ahead
    convert(drop, Drop(f"drop.{form}", "0" * 32), contract, tmp_path / "out.parquet")
    assert sorted(reached) == reached
    assert 0 < reached[0][0] < drop.stat().st_size
    assert [*reached[-1]] == [drop.stat().st_size, 400_000]
    assert not running()


def test_a_stage_is_underway_with_its_last_line_until_the_next_one() -> None:
    said: list[str] = []
    output = _ReproOutput(said.append)
    output.line("Running stage 'train':")
    output.line("epoch 1")
    output.line("epoch 2")
    [step] = running()
    assert (step.what, step.note) == ("stage train", "epoch 2")
    output.line("Running stage 'evaluate':")
    [step] = running()
    assert (step.what, step.note) == ("stage evaluate", "")
    output.end_stage()
    assert not running()
