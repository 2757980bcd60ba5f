"""Drops that almost pass: what would be rounded, lost or raised is refused, with its place."""

import datetime as dt
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mergeline.adapters.drops.convert import convert
from mergeline.core.data.snapshot import Drop
from mergeline.core.data.violations import RefusedDropError
from mergeline.core.declare.contract import Contract, parse_contract
from mergeline.errors import DropError

Convert = Callable[[str | bytes, str, str], pl.DataFrame]


def contract_of(path: str, columns: str) -> Contract:
    form = next(name for name in ("csv", "jsonl", "parquet") if f".{name}" in path)
    return parse_contract("t", f"source: d\nformat: {form}\ncolumns: {{{columns}}}\n")


@pytest.fixture
def run(tmp_path: Path) -> Convert:
    def convert_content(content: str | bytes, path: str, columns: str) -> pl.DataFrame:
        source, target = tmp_path / "source", tmp_path / "out.parquet"
        source.write_bytes(content.encode() if isinstance(content, str) else content)
        convert(source, Drop(path, "0" * 32), contract_of(path, columns), target)
        return pl.read_parquet(target)

    return convert_content


def said(run: Convert, content: str | bytes, path: str, columns: str) -> list[str]:
    """The lines of a refusal, one a place."""
    with pytest.raises(RefusedDropError) as caught:
        run(content, path, columns)
    return [str(violation) for violation in caught.value.refusal.violations]


def parquet(values: pa.Array) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"x": values}), buffer)
    return buffer.getvalue()


# --- nothing is rounded to fit ------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("path", ["a.jsonl", "a.csv"])
def test_an_integer_that_no_float_equals_is_refused(run: Convert, path: str, kind: str) -> None:
    exact = [2**53, -(2**60), 16777216] if kind == "float64" else [16777216, 16777218, -(2**60)]
    lost = [2**53 + 1, -(2**60) - 1] if kind == "float64" else [16777217, 2**31 - 1]
    columns = f"x: {{type: {kind}, nullable: true}}"

    def drop(numbers: list[int]) -> str:
        form = '{{"x":{}}}\n' if path.endswith("jsonl") else "{}\n"
        return "x\n" * (path == "a.csv") + "".join(form.format(number) for number in numbers)

    assert run(drop(exact), path, columns)["x"].to_list() == exact
    shift = 1 + (path == "a.csv") + len(exact)
    quoted = [str(number) for number in lost]
    assert said(run, drop(exact + lost), path, columns) == [
        f"line {shift + at}, column x: {number!r} would be rounded to fit a {kind}"
        for at, number in enumerate(quoted)
    ]


def test_an_integer_beyond_every_float_is_not_absent(run: Convert) -> None:
    nullable = "x: {type: float64, nullable: true}"
    [found] = said(run, '{"x":1}\n{"x":' + "1" * 400 + "}\n", "a.jsonl", nullable)
    assert found.startswith("line 2, column x: '1111")
    assert found.endswith("would be rounded to fit a float64")
    [found] = said(run, "x\n1\n" + "1" * 400 + "\n", "a.csv", nullable)
    assert found.startswith("line 3, column x: '1111")


def test_parts_of_a_microsecond_are_refused(run: Convert) -> None:
    column = "x: {type: datetime}"
    rows = ["2013-01-01T00:00:00.123456", "2013-01-01T00:00:00.123456000Z", "2013-01-01 00:00:00.5"]
    assert run("x\n" + "\n".join(rows), "a.csv", column)["x"].dt.microsecond().to_list() == [
        123456, 123456, 500000,
    ]  # fmt: skip
    text = "2013-01-01T00:00:00.123456789Z"
    rule = "would be rounded to fit a datetime"
    assert said(run, f"x\n{rows[0]}\n{text}\n", "a.csv", column) == [
        f"line 3, column x: {text!r} {rule}"
    ]
    assert said(run, f'{{"x":"{text}"}}', "a.jsonl", column) == [
        f"line 1, column x: {text!r} {rule}"
    ]
    exact = 1_356_998_400_123_456_000
    moments = pa.array([exact, exact + 789], pa.timestamp("ns"))
    [found] = said(run, parquet(moments), "a.parquet", column)
    assert found == f"row 2, column x: '2013-01-01 00:00:00.123456789' {rule}"
    assert run(parquet(moments[:1]), "a.parquet", column).height == 1


def test_a_large_integer_of_parquet_is_refused_as_a_float(run: Convert) -> None:
    content = parquet(pa.array([2**53, 2**53 + 1]))
    assert said(run, content, "a.parquet", "x: {type: float64}") == [
        "row 2, column x: '9007199254740993' would be rounded to fit a float64"
    ]


# --- nothing ends in a traceback ----------------------------------------------------------------


def test_half_of_a_surrogate_pair_is_refused(run: Convert) -> None:
    columns = "x: {type: string, nullable: true}"
    assert said(run, '{"x":"a"}\n{"x":"\\ud800"}\n', "a.jsonl", columns) == [
        "line 2, column x: '\"\\\\ud800\"' is not Unicode text (half of a surrogate pair)"
    ]
    assert run('{"x":"\\ud83d\\ude00"}\n', "a.jsonl", columns)["x"].to_list() == ["\U0001f600"]
    [found] = said(run, '{"x":"a","\\ud800":1}\n', "a.jsonl", columns)
    assert found.encode()


@pytest.mark.parametrize("kind", ["date", "datetime"])
def test_a_duration_is_no_moment(run: Convert, kind: str) -> None:
    content = parquet(pa.array([5], pa.duration("us")))
    [found] = said(run, content, "a.parquet", f"x: {{type: {kind}}}")
    assert found.endswith(f"is not a {kind}")


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pa.array([0, 3_000_000, -800_000], pa.date32()), "date"),
        (pa.array([0, 3_000_000, -800_000], pa.date32()), "datetime"),
        (pa.array([0, 2**62, -(2**62)], pa.timestamp("us", "UTC")), "datetime"),
        (pa.array([0, 2**62, -(2**62)], pa.timestamp("ms")), "datetime"),
        (pa.array([0, 2**62, -(2**62)], pa.timestamp("ms")), "date"),
    ],
)
def test_a_year_beyond_9999_or_before_1_is_refused(
    run: Convert, values: pa.Array, kind: str
) -> None:
    found = said(run, parquet(values), "a.parquet", f"x: {{type: {kind}, min: 1900-01-01}}")
    assert [text.partition(",")[0] for text in found] == ["row 2", "row 3"]
    assert all(text.endswith("is not within the years 1 to 9999") for text in found)


def test_the_first_and_the_last_day_are_fine(run: Convert) -> None:
    days = [dt.date(1, 1, 1), dt.date(9999, 12, 31)]
    assert run(parquet(pa.array(days)), "a.parquet", "x: {type: date}")["x"].to_list() == days
    assert said(run, "x\n0000-01-01\n", "a.csv", "x: {type: date}") == [
        "line 2, column x: '0000-01-01' is not a date"
    ]


def archive(method: int) -> bytearray:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as made:
        made.writestr("a.csv", "x\n" + "1\n" * 5000)
    return bytearray(buffer.getvalue())


def test_an_encrypted_zip_is_said(run: Convert) -> None:
    content = archive(zipfile.ZIP_STORED)
    content[6] |= 1
    content[content.find(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(DropError, match=r"^a\.csv\.zip: cannot be decompressed: it is encrypted"):
        run(bytes(content), "a.csv.zip", "x: {type: int8}")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_that_is_damaged_inside_is_said(run: Convert, method: int) -> None:
    content = archive(method)
    content[50:60] = b"\xff" * 10
    with pytest.raises(DropError, match=r"^a\.csv\.zip: cannot be (decompressed|read)") as caught:
        run(bytes(content), "a.csv.zip", "x: {type: int8}")
    assert "\n" not in str(caught.value).strip()


def test_a_parquet_that_is_damaged_inside_is_the_drop_s_fault(run: Convert) -> None:
    content = bytearray(parquet(pa.array(range(100_000))))
    content[200:5000] = bytes(4800)
    with pytest.raises(DropError, match=r"^a\.parquet: cannot be read as parquet") as caught:
        run(bytes(content), "a.parquet", "x: {type: int64}")
    assert caught.value.next_step.startswith("Get the drop again")


# --- where and how many -------------------------------------------------------------------------


def test_a_quote_left_open_early_in_a_large_csv_is_refused_with_its_line(run: Convert) -> None:
    rows = [f"{n},a\n" for n in range(500_000)]
    rows[100] = '100,"a\n'
    columns = "x: {type: int64}, s: {type: string}"
    [found] = said(run, "x,s\n" + "".join(rows), "a.csv", columns)
    assert found.startswith("line 102: starts a row with broken quotes: a value of more than 2 MB")


def test_absent_values_and_those_of_another_type_are_counted_each(run: Convert) -> None:
    lines = ['{"x":"a"}'] * 6 + ['{"x":null}'] * 100 + ["{"]
    with pytest.raises(RefusedDropError) as caught:
        run("\n".join(lines), "a.jsonl", "x: {type: int64}")
    report = caught.value.refusal
    assert {one.rule.partition(":")[0]: one.count for one in report.counts} == {
        "is absent (not nullable)": 100,
        "is not JSON for a int64": 6,
        "is not JSON": 1,
    }
    absent = [v.line for v in report.violations if v.rule.startswith("is absent")]
    assert absent == [7, 8, 9, 10, 11]
