import gzip
import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mergeline.adapters.drops.convert import convert
from mergeline.core.data.snapshot import Drop
from mergeline.core.data.violations import RefusedDropError, Violation
from mergeline.core.declare.contract import Contract, parse_contract
from mergeline.errors import DropError
from tests.support.memory import peak_memory

CONTRACT = parse_contract(
    "t",
    """\
source: data/raw/t
format: csv
null: [NA, ""]
key: [id]
columns:
  id: {type: int32}
  day: {type: date, nullable: true, min: 2013-01-01}
  x: {type: float64, nullable: true, min: 0, max: 10}
  s: {type: string, nullable: true, allowed: [a, "p,q", "l\\nm"]}
  t: {type: datetime, nullable: true}
  b: {type: bool, nullable: true}
""",
)
HEADER = "id,day,x,s,t,b\n"
Convert = Callable[..., pl.DataFrame]


@pytest.fixture
def run(tmp_path: Path) -> Convert:
    def convert_content(
        content: str | bytes, path: str = "data/raw/t/x.csv", contract: Contract = CONTRACT
    ) -> pl.DataFrame:
        source, target = tmp_path / "source", tmp_path / "out.parquet"
        source.write_bytes(content.encode() if isinstance(content, str) else content)
        try:
            rows = convert(source, Drop(path, "0" * 32), contract, target)
        except BaseException:
            assert not target.exists()
            raise
        frame = pl.read_parquet(target)
        assert rows == frame.height
        return frame

    return convert_content


def refusal(run: Convert, content: str | bytes, **other: object) -> tuple[Violation, ...]:
    with pytest.raises(RefusedDropError) as caught:
        run(content, **other)
    return caught.value.refusal.violations


GOOD = (
    HEADER
    + "2,2013-01-01,1.5,a,2013-01-01 05:00:00,true\n"
    + '1,NA,,"l\nm",2013-01-01T05:00:00+02:00,0\n'
    + '\n3,,1e1,"p,q",2013-01-01T05:00Z,FALSE\n'
)


def test_a_csv_becomes_typed_rows_in_its_order(run: Convert) -> None:
    frame = run(GOOD)
    expected = [pl.Int32, pl.Date, pl.Float64, pl.String, pl.Datetime("us", "UTC"), pl.Boolean]
    assert frame.columns == list(CONTRACT.columns)
    assert frame.dtypes == expected
    assert frame["id"].to_list() == [2, 1, 3]
    assert frame["x"].to_list() == [1.5, None, 10.0]
    assert frame["s"].to_list() == ["a", "l\nm", "p,q"]
    assert frame["t"].dt.hour().to_list() == [5, 3, 5]
    assert frame["b"].to_list() == [True, False, False]


def zipped(content: str, *names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, content)
    return buffer.getvalue()


def test_gzip_and_zip_hold_the_same_rows(run: Convert) -> None:
    plain = run(GOOD)
    assert run(gzip.compress(GOOD.encode()), "x.csv.gz").equals(plain)
    assert run(zipped(GOOD, "x.csv"), "x.csv.zip").equals(plain)
    assert run(zipped(GOOD, "x.csv", "__MACOSX/._x.csv"), "x.csv.zip").equals(plain)


@pytest.mark.parametrize(
    ("content", "path"),
    [
        (gzip.compress(GOOD.encode())[:-9], "x.csv.gz"),
        (GOOD.encode(), "x.csv.gz"),
        (GOOD.encode(), "x.csv.zip"),
        (zipped(GOOD, "a.csv", "b.csv"), "x.csv.zip"),
        (zipped(GOOD, "a.csv")[:-40], "x.csv.zip"),
    ],
)
def test_a_damaged_archive_is_said(run: Convert, content: bytes, path: str) -> None:
    with pytest.raises(DropError, match="cannot be decompressed"):
        run(content, path)


def test_a_header_alone_is_no_rows(run: Convert) -> None:
    assert run(HEADER).height == 0


def test_windows_line_ends_a_byte_order_mark_and_other_column_order_are_fine(run: Convert) -> None:
    text = "\ufeffb,t,s,x,day,id\r\ntrue,NA,a,1,2013-01-01,7\r\n"
    assert run(text).row(0)[:4] == (7, run(text)["day"][0], 1.0, "a")


@pytest.mark.parametrize(
    ("row", "column", "rule"),
    [
        ("12x,,,,,", "id", "is not an int32"),
        ("1.0,,,,,", "id", "is not an int32"),
        (" 1,,,,,", "id", "is not an int32"),
        ("3000000000,,,,,", "id", "is not an int32"),
        (",,,,,", "id", "is absent (not nullable)"),
        ("1,2013-02-30,,,,", "day", "is not a date"),
        ("1,2013-1-1,,,,", "day", "is not a date"),
        ("1,2012-12-31,,,,", "day", "is below 2013-01-01"),
        ("1,,-1,,,", "x", "is below 0.0"),
        ("1,,10.01,,,", "x", "is above 10.0"),
        ("1,,NaN,,,", "x", "is not a finite number"),
        ("1,,inf,,,", "x", "is not a finite number"),
        ("1,,,zz,,", "s", "is not one of a, p,q, l\nm"),
        ("1,,,,2013-01-01,", "t", "is not a datetime"),
        ("1,,,,2013-01-01T25:00:00,", "t", "is not a datetime"),
        ("1,,,,,yes", "b", "is not a bool"),
    ],
)
def test_a_value_that_breaks_the_contract_is_refused(
    run: Convert, row: str, column: str, rule: str
) -> None:
    """The place is the line of the file, though a value before it runs over two."""
    text = f'{HEADER}8,,,"l\nm",,\n\n9,,,a,,\n{row}\n'
    [violation] = refusal(run, text)
    value = row.split(",")[list(CONTRACT.columns).index(column)] or None
    assert violation == Violation("data/raw/t/x.csv", rule, 6, 3, column, value)


def test_every_place_is_counted_and_the_first_of_each_kind_are_listed(run: Convert) -> None:
    rows = [f"{n},2012-01-01,{'x' if n % 2 else 1},,,\n" for n in range(1000)]
    with pytest.raises(RefusedDropError) as caught:
        run(HEADER + "".join(rows))
    report = caught.value.refusal
    assert report.total == 1500
    assert {(one.column, one.count) for one in report.counts} == {("day", 1000), ("x", 500)}
    assert [v.line for v in report.violations if v.column == "x"] == [3, 5, 7, 9, 11]
    assert "and 1,495 more" in str(caught.value)


def test_a_row_with_too_few_or_too_many_fields_is_refused(run: Convert) -> None:
    found = refusal(run, HEADER + "1,,,,,\n2,,,\n3,,,,,,\n4x,,,,,\n")
    assert [(v.line, v.rule) for v in found] == [
        (3, "has too few fields for the 6 columns"),
        (4, "has too many fields for the 6 columns"),
        (5, "is not an int32"),
    ]


def test_a_quote_that_is_never_closed_is_refused(run: Convert) -> None:
    contract = replace(CONTRACT, columns={k: CONTRACT.columns[k] for k in ("id", "s")}, key=())
    contract = replace(
        contract, columns={**contract.columns, "s": replace(contract.columns["s"], allowed=())}
    )
    [found] = refusal(run, 'id,s\n1,a\n2,"b\n3,c\n', contract=contract)
    assert found.line == 3
    assert "broken quotes" in found.rule


def test_text_that_is_not_utf8_is_refused_with_its_line(run: Convert) -> None:
    [found] = refusal(run, (HEADER + "1,,,,,\n2,,,").encode() + b"\xff,,\n")
    assert (found.line, found.rule) == (3, "is not UTF-8 text")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("id,day,x,s,t\n", [("b", "is missing")]),
        (HEADER.strip() + ",more\n", [("more", "is not declared (unknown_columns: refuse)")]),
        (HEADER.strip() + ",id\n", [("id", "stands twice in the header")]),
        ("", [(name, "is missing") for name in CONTRACT.columns]),
    ],
)
def test_other_columns_than_declared_are_refused(
    run: Convert, header: str, said: list[tuple[str, str]]
) -> None:
    found = refusal(run, header + "1,2,3,4,5,6,7\n" if header else "")
    assert [(v.column, v.rule) for v in found] == said


def test_unknown_columns_can_be_ignored(run: Convert) -> None:
    contract = replace(CONTRACT, unknown_columns="ignore")
    frame = run("more,id,day,x,s,t,b\nzz,1,,,,,\n", contract=contract)
    assert frame.columns == list(CONTRACT.columns)


def test_a_key_that_names_two_rows_is_refused(run: Convert) -> None:
    found = refusal(run, HEADER + "1,,,,,\n2,,,,,\n1,,3,,,\n2,,,,,\n1,,,,,\n")
    assert [(v.line, v.value) for v in found] == [(4, "1"), (5, "2"), (6, "1")]
    assert "not unique" in found[0].rule


def test_a_single_column_may_have_empty_lines_as_absent_values(run: Convert) -> None:
    contract = parse_contract(
        "t", "source: d\nformat: csv\ncolumns: {a: {type: int8, nullable: true}}\n"
    )
    assert run("a\n1\n\n3\n", contract=contract)["a"].to_list() == [1, None, 3]


JSONL = replace(CONTRACT, format="jsonl")


LINES = '{"id":2,"day":"2013-01-01","x":1,"s":"a","b":true}\n\n{"t":"2013-01-01T00:00:00Z","id":1}'


@pytest.mark.parametrize(
    ("content", "path"),
    [
        (LINES.encode(), "x.jsonl"),
        (gzip.compress(LINES.encode()), "x.jsonl.gz"),
        (zipped(LINES, "x.jsonl"), "x.jsonl.zip"),
    ],
    ids=["plain", "gz", "zip"],
)
def test_json_lines_become_typed_rows(run: Convert, content: bytes, path: str) -> None:
    frame = run(content, path, JSONL)
    assert frame["id"].to_list() == [2, 1]
    assert frame["x"].to_list() == [1.0, None]
    assert frame["t"].null_count() == 1


def test_json_of_another_type_is_refused_with_its_line(run: Convert) -> None:
    lines = [
        '{"id":1.5}', "", '{"id":"1"}', '{"id":1,"x":"1"}', '{"id":2,"s":3}', '{"id":3,"zz":1}',
        "[1]", '{"id":99999999999}', '{"id":1e2}', '{"id":999999999999999999999999}',
        '{"id":4,"x":NaN}', '{"id":5,"day":{"a":1}}', "{",
    ]  # fmt: skip
    found = refusal(run, "\n".join(lines), path="x.jsonl", contract=JSONL)
    assert [v.line for v in found] == [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]
    assert found[1] == Violation("x.jsonl", "is not JSON for a int32", 3, 2, "id", '"1"')


def parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


PARQUET = replace(CONTRACT, format="parquet")


def test_parquet_of_related_types_is_cast_without_loss(run: Convert) -> None:
    frame = pl.DataFrame(
        {
            "id": [1.0, 2.0],
            "day": ["2013-01-01", None],
            "x": [1, 2],
            "s": pl.Series(["a", ""], dtype=pl.Categorical),
            "t": pl.Series([0, None]).cast(pl.Datetime("ns")),
            "b": [True, None],
        }
    )
    rows = run(parquet(frame), "x.parquet", PARQUET)
    assert rows["id"].to_list() == [1, 2]
    assert rows["s"].to_list() == ["a", None]
    assert rows["t"].dtype == pl.Datetime("us", "UTC")


def test_parquet_that_would_lose_something_is_refused(run: Convert) -> None:
    frame = pl.DataFrame(
        {"id": [1.5], "day": [[1]], "x": [1], "s": ["a"], "t": [None], "b": [1]},
    )
    found = refusal(run, parquet(frame), path="x.parquet", contract=PARQUET)
    assert [(v.row, v.column) for v in found] == [(1, "id"), (1, "day"), (1, "b")]
    assert found[0].line is None


def test_a_file_that_is_no_parquet_is_said(run: Convert) -> None:
    with pytest.raises(DropError, match="cannot be read as parquet"):
        run(b"PAR1 and no more of it", "x.parquet", PARQUET)


def write_large(path: Path, rows: int) -> None:
    """A drop of so many rows, in whatever form its name says."""
    if path.suffix == ".parquet":
        # In parts: a process begins with the peak of the one that started it.
        schema = pa.schema({"id": pa.int64(), "s": pa.string()})
        with pq.ParquetWriter(path, schema) as writer:
            for start in range(0, rows, 500_000):
                numbers = range(start, start + 500_000)
                texts = [f"value-{n % 97}" for n in numbers]
                writer.write_table(pa.table({"id": numbers, "s": texts}, schema))
        return
    with gzip.open(path, "wt", compresslevel=1) if path.suffix == ".gz" else path.open("w") as sink:
        if ".csv" in path.name:
            sink.write("id,s\n")
        form = '{{"id":{},"s":"value-{}"}}\n' if ".jsonl" in path.name else "{},value-{}\n"
        for start in range(0, rows, 1_000_000):
            numbers = range(start, min(start + 1_000_000, rows))
            sink.writelines(form.format(n, n % 97) for n in numbers)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("big.csv", 20_000_000),
        ("big.csv.gz", 10_000_000),
        ("big.jsonl", 2_000_000),
        ("big.jsonl.gz", 2_000_000),
        ("big.parquet", 20_000_000),
    ],
)
def test_memory_does_not_grow_with_the_drop(tmp_path: Path, name: str, rows: int) -> None:
    """Whatever its form, it takes less than 600 MB, of which pyarrow and polars alone are 150."""
    source = tmp_path / name
    write_large(source, rows)
    code = """
        import sys
        from pathlib import Path
        from mergeline.adapters.drops.convert import convert
        from mergeline.core.declare.contract import parse_contract
        from mergeline.core.data.snapshot import Drop
        source, target, form = sys.argv[1:]
        contract = parse_contract("t", f'''
            source: d
            format: {form}
            key: [id]
            columns: {{id: {{type: int64}}, s: {{type: string}}}}
        ''')
        done = convert(Path(source), Drop(Path(source).name, ""), contract, Path(target))
        print(done)
    """
    printed, memory = peak_memory(code, source, tmp_path / "out", name.split(".")[1])
    assert int(printed) == rows
    assert memory < 600
