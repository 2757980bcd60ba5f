"""The forms that csv-spectrum and parquet-testing collect, made here: values or a refusal."""

import datetime as dt
import io
import json
import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mergeline.adapters.drops.convert import convert
from mergeline.adapters.drops.infer import infer
from mergeline.core.data.first_contract import to_yaml
from mergeline.core.data.snapshot import Drop
from mergeline.core.data.violations import RefusedDropError
from mergeline.core.declare.contract import parse_contract
from mergeline.errors import DropError

Rows = list[tuple[Any, ...]]
Run = Callable[..., Rows]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Rows of a drop under a contract of these columns, by another reader than wrote them."""

    def rows_of(content: bytes, columns: str, form: str = "parquet", more: str = "") -> Rows:
        source, target = tmp_path / f"a.{form}", tmp_path / "out"
        source.write_bytes(content)
        contract = f"source: d\nformat: {form}\n{more}columns: {{{columns}}}\n"
        convert(source, Drop(f"d/a.{form}", ""), parse_contract("t", contract), target)
        return pl.read_parquet(target).rows()

    return rows_of


def said(run: Run, *arguments: Any) -> list[str]:
    with pytest.raises(RefusedDropError) as caught:
        run(*arguments)
    return [str(violation) for violation in caught.value.refusal.violations]


# --- CSV -----------------------------------------------------------------------------------------

TEXT = "{type: string, nullable: true}"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["lf", "crlf", "cr"])
@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["1,2"], [("1", "2")]),
        (['Ann,"Main Street 1, Springfield"'], [("Ann", "Main Street 1, Springfield")]),
        (['1,""', '"",2'], [("1", None), (None, "2")]),
        (['1,"he said ""no"" twice"', "3,4"], [("1", 'he said "no" twice'), ("3", "4")]),
        (['7,"{""a"": [1.5, null]}"'], [("7", '{"a": [1.5, null]}')]),
        (['"Ms. ""X"", PhD","48.1, 11.5"'], [('Ms. "X", PhD', "48.1, 11.5")]),
        (['1,"one|and|two"', '"3|",4'], [("1", "one|and|two"), ("3|", "4")]),
        (['1,"ha |""ha"" |ha"', "3,4"], [("1", 'ha |"ha" |ha'), ("3", "4")]),
        (["1,ʤ", "2,你"], [("1", "ʤ"), ("2", "你")]),
        (["", "1,2", "", "", "3,4", ""], [("1", "2"), ("3", "4")]),
        ([" 1,2 "], [(" 1", "2 ")]),
        (["1,x\0y\x0bz\x85\u2028w"], [("1", "x\0y\x0bz\x85\u2028w")]),
        ([f"1,{'z' * 10_000}"], [("1", "z" * 10_000)]),
    ],
    ids=range(13),
)
def test_a_csv_of_a_known_form_has_its_values(
    run: Run, rows: list[str], expected: Rows, end: str
) -> None:
    """`|` stands for the end of a line."""
    text = end.join(["a,b", *rows]).replace("|", end)
    wanted = [tuple(v.replace("|", end) if v else v for v in row) for row in expected]
    for last in ("", end):
        for mark in ("", "\ufeff"):
            content = f"{mark}{text}{last}".encode()
            assert run(content, f"a: {TEXT}, b: {TEXT}", "csv") == wanted


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"a,b\n1,2\n\x1a", "line 3: '\\x1a' has too few fields for the 2 columns"),
        (b"a,b\n1,\xed\xa0\x80\n", "line 2: is not UTF-8 text"),
        (b"a,b\n1,\xc0\x80\n", "line 2: is not UTF-8 text"),
        (b"a,b,\n1,2,\n", "line 1, column : is not declared (unknown_columns: refuse)"),
    ],
)
def test_a_csv_that_others_read_in_their_own_ways_is_refused(
    run: Run, content: bytes, line: str
) -> None:
    assert said(run, content, f"a: {TEXT}, b: {TEXT}", "csv") == [line]


@pytest.mark.parametrize(
    "text",
    [
        "2013-06-30T23:59:60Z", "2013-06-30T23:59:60", "2013-06-30T23:59:60.5Z",
        "2013-06-30T24:00:00Z", "2013-06-30T0:0:0", "2013-06-30T00:00:0", "2013-06-30T00Z",
        "2013-06-30T00+01:00", "2013-06-30T00:00:00+25:00", "2013-06-30T00:00:00.Z",
    ],
)  # fmt: skip
def test_a_moment_that_would_become_another_is_refused(run: Run, text: str) -> None:
    """Polars makes the next minute of second 60. Alone, or among others of the usual form."""
    usual = "2013-06-30T00:00:00+00:00"
    for rows in ([text], [usual, text]):
        found = said(run, "\n".join(["x", *rows]).encode(), "x: {type: datetime}", "csv")
        assert found == [f"line {len(rows) + 1}, column x: {text!r} is not a datetime"]
    declared = 'x: {type: datetime, format: "%H:%M:%S %d.%m.%Y"}'
    [other] = said(run, b"x\n23:59:60 30.06.2013\n", declared, "csv")
    assert "is not a datetime of the format" in other


def test_digits_of_other_scripts_are_no_numbers(run: Run) -> None:
    for kind in ("int64", "float64", "'decimal(5,2)'", "date", "datetime"):
        [found] = said(run, "x\n１２\n".encode(), f"x: {{type: {kind}}}", "csv")
        assert "'１２' is not a" in found, kind


NAMES = ["select", "from", "order by", "ä ö", "名前", "a.b", "*", "^.*$", "a'b", 'a"b', "{x}",
         "$1", "__index_level_0__", "row", "line", "nan", "null", "1", "#", " lead",
         "tab\there"]  # fmt: skip


@pytest.mark.slow
def test_columns_may_have_any_name_and_be_a_thousand(run: Run) -> None:
    wide = [*NAMES, *(f"c{n}" for n in range(1000 - len(NAMES)))]
    header = ",".join('"' + name.replace('"', '""') + '"' for name in wide)
    cells = ",".join(map(str, range(1000)))
    declared = ", ".join(f"{json.dumps(name)}: {{type: int16}}" for name in wide)
    for form, content in {
        "csv": f"{header}\n{cells}\n".encode(),
        "jsonl": json.dumps({name: n for n, name in enumerate(wide)}).encode(),
        "parquet": written(pa.table({name: [n] for n, name in enumerate(wide)})),
    }.items():
        assert run(content, declared, form) == [tuple(range(1000))]


# --- Parquet -------------------------------------------------------------------------------------


def written(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def one(values: Any, kind: pa.DataType | None = None) -> pa.Table:
    return pa.table({"x": pa.array(values, kind)})


@pytest.mark.parametrize(
    ("encoding", "values", "kind"),
    [
        ("DELTA_BINARY_PACKED", [1, None, -(2**31), 2**31 - 1], "int32"),
        ("BYTE_STREAM_SPLIT", [1, None, -4], "int32"),
        ("BYTE_STREAM_SPLIT", [0.1, None, -0.0], "float64"),
        ("DELTA_LENGTH_BYTE_ARRAY", ["x", "ab", None, "ä"], "string"),
        ("DELTA_BYTE_ARRAY", ["abc", "abd", None, "b"], "string"),
        ("RLE", [True, None, False], "bool"),
        ("PLAIN", [True, None, False], "bool"),
    ],
)
def test_each_encoding_has_its_values(
    run: Run, encoding: str, values: list[Any], kind: str
) -> None:
    for version in ("1.0", "2.0"):
        content = written(
            one(values, pa.type_for_alias(kind)), use_dictionary=False,
            column_encoding={"x": encoding}, data_page_version=version,
        )  # fmt: skip
        found = [x for (x,) in run(content, f"x: {{type: {kind}, nullable: true}}")]
        assert found == values


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "brotli", "zstd", "lz4"])
def test_each_compression_has_its_values(run: Run, compression: str) -> None:
    content = written(
        one([5, None, 7] * 40), compression=compression, row_group_size=7, data_page_size=1,
        write_page_index=True,
    )  # fmt: skip
    assert run(content, "x: {type: int8, nullable: true}") == [(5,), (None,), (7,)] * 40


@pytest.mark.parametrize("digits", [5, 18, 38])
@pytest.mark.parametrize("as_integer", [True, False])
def test_a_decimal_has_its_digits_however_it_is_held(
    run: Run, digits: int, as_integer: bool
) -> None:
    values = [Decimal("1.10"), None, Decimal("-0.01")]
    content = written(one(values, pa.decimal128(digits, 2)), store_decimal_as_integer=as_integer)
    assert run(content, "x: {type: 'decimal(5,2)', nullable: true}") == [(v,) for v in values]


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        (one([None], pa.int32()), "int32", None),
        (one([None]), "date", None),
        (one([255], pa.uint8()), "int16", 255),
        (one([1.5], pa.float16()), "float32", 1.5),
        (one([b"abcd"], pa.binary(4)), "binary", b"abcd"),
        (one([b"abcd"], pa.binary(4)), "string", "abcd"),
        (one(["a"], pa.large_string()), "string", "a"),
        (one(["a"], pa.string_view()), "string", "a"),
        (one(['{"a": 1}'], pa.json_()), "string", '{"a": 1}'),
        (one([b"0123456789abcdef"], pa.uuid()), "binary", b"0123456789abcdef"),
        (one([0], pa.date64()), "date", dt.date(1970, 1, 1)),
        (one([1], pa.timestamp("ms", "Europe/Berlin")), "datetime",
         dt.datetime(1970, 1, 1, 0, 0, 0, 1000, dt.UTC)),
        (pa.table({"x": pa.array(["a"]).dictionary_encode()}), "string", "a"),
    ],
    ids=range(13),
)  # fmt: skip
def test_a_type_that_a_contract_s_type_can_hold_keeps_its_value(
    run: Run, table: pa.Table, column: str, value: object
) -> None:
    for stored in (True, False):  # with Arrow's own schema in the file, or without
        content = written(table, store_schema=stored)
        assert run(content, f"x: {{type: {column}, nullable: true}}") == [(value,)]


@pytest.mark.parametrize(
    ("table", "column", "found"),
    [
        (one([2**64 - 1], pa.uint64()), "int64", "'18446744073709551615' is not an int64"),
        (one([math.nan]), "float64", "'nan' is not a finite number"),
        (one([dt.time(1, 2)]), "string", "'01:02:00' is not a string"),
        (one([1], pa.duration("us")), "int64", "'0:00:00.000001' is not an int64"),
        (one([[1]]), "int64", "'[1]' is not an int64"),
        (one([{"a": 1}]), "string", "\"{'a': 1}\" is not a string"),
    ],
    ids=range(6),
)
def test_a_type_that_no_contract_s_type_can_hold_is_refused(
    run: Run, table: pa.Table, column: str, found: str
) -> None:
    columns = f"x: {{type: {column}}}"
    assert said(run, written(table), columns) == [f"row 1, column x: {found}"]


def not_utf_8(kind: pa.DataType) -> pa.Array:
    """Three texts that are marked as UTF-8, of which the second is not."""
    made = pa.array([b"a", b"\xff", None], pa.large_binary()).cast(pa.binary())
    if kind == pa.large_string():
        return made.cast(pa.large_binary()).view(kind)
    return made.view(pa.string())


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()], ids=str)
@pytest.mark.parametrize("use_dictionary", [True, False])
def test_texts_that_are_marked_as_utf_8_and_are_not_are_refused_by_row(
    run: Run, kind: pa.DataType, use_dictionary: bool
) -> None:
    """Arrow and Polars take them as they are, and the table could not be read."""
    content = written(pa.table({"x": not_utf_8(kind)}), use_dictionary=use_dictionary)
    assert said(run, content, f"x: {TEXT}") == ["row 2, column x: \"b'\\\\xff'\" is not a string"]
    both = pa.table({"x": pa.DictionaryArray.from_arrays(pa.array([0, 1]), not_utf_8(kind)[:2])})
    with pytest.raises(DropError, match=r"^d/a\.parquet: "):
        run(written(both), f"x: {TEXT}")


def test_texts_of_an_absent_value_are_those_of_bytes_too(run: Run) -> None:
    content = written(one([b"NA", b"a"]))
    assert run(content, f"x: {TEXT}", "parquet", "null: [NA]\n") == [(None,), ("a",)]
    binary = "x: {type: binary}"
    assert run(content, binary, "parquet", "null: [NA]\n") == [(b"NA",), (b"a",)]


GOOD = written(one([1, 2]))


@pytest.mark.parametrize(
    "content",
    [
        b"", GOOD[:-10], GOOD[:-4] + b"XXXX", GOOD[:4] + GOOD[30:],
        b"PARE" + GOOD[4:-4] + b"PARE",  # encrypted
    ],
    ids=range(5),
)  # fmt: skip
def test_a_file_that_is_no_whole_parquet_ends_in_a_sentence(
    run: Run, tmp_path: Path, content: bytes
) -> None:
    with pytest.raises(DropError, match=r"(?s)^d/a\.parquet: .*Get the drop again from its"):
        run(content, "x: {type: int64}")
    with pytest.raises(DropError, match=r"^d/a\.parquet: "):
        infer(tmp_path / "a.parquet", "d/a.parquet")


def test_no_rows_and_the_same_name_twice(run: Run) -> None:
    assert run(written(one([], pa.int64())), "x: {type: int64}") == []
    twice = pa.table([pa.array([1]), pa.array([2])], names=["x", "x"])
    assert said(run, written(twice), "x: {type: int64}") == ["column x: stands twice in the header"]
    cased = pa.table([pa.array([1]), pa.array([2])], names=["x", "X"])
    assert run(written(cased), "x: {type: int8}", "parquet", "unknown_columns: ignore\n") == [(1,)]


def test_texts_that_are_marked_as_utf_8_and_are_not_suggest_binary(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"x": not_utf_8(pa.string())}), path)
    assert "  x: {type: binary, nullable: true}" in to_yaml(infer(path, "d/x.parquet"))
