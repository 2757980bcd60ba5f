"""Drops in the dialect that their contract declares, and what is said of those in another."""

import datetime as dt
import gzip
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mergeline.adapters.drops.convert import convert
from mergeline.core.data.snapshot import Drop
from mergeline.core.data.violations import RefusedDropError
from mergeline.core.declare.contract import parse_contract
from mergeline.errors import DeclarationError, DropError

Run = Callable[..., pl.DataFrame]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def convert_content(
        content: str | bytes, columns: str, dialect: str = "", path: str = "d/a.csv"
    ) -> pl.DataFrame:
        source, target = tmp_path / "source", tmp_path / "out.parquet"
        source.write_bytes(content.encode() if isinstance(content, str) else content)
        form = "jsonl" if path.endswith("jsonl") else "csv"
        said = f"dialect: {{{dialect}}}\n" if dialect else ""
        text = f"source: d\nformat: {form}\n{said}columns: {{{columns}}}\n"
        convert(source, Drop(path, ""), parse_contract("t", text), target)
        return pl.read_parquet(target)

    return convert_content


def said(run: Run, *arguments: Any) -> list[str]:
    """The lines of a refusal, one a place."""
    with pytest.raises(RefusedDropError) as caught:
        run(*arguments)
    return [str(violation) for violation in caught.value.refusal.violations]


XS = "x: {type: int8}, s: {type: string, nullable: true}"
ROWS = [(1, "a,b"), (2, 'say "hi"'), (3, "ä")]


@pytest.mark.parametrize(
    ("content", "dialect"),
    [
        ('x,s\n1,"a,b"\n2,"say ""hi"""\n3,ä\n', ""),
        ('x;s\n1;a,b\n2;"say ""hi"""\n3;ä\n', 'delimiter: ";"'),
        ('x\ts\n1\ta,b\n2\tsay "hi"\n3\tä\n', 'delimiter: "\\t", quote: ""'),
        ("x,s\n1,'a,b'\n2,'say \"hi\"'\n3,ä\n", 'quote: "\'"'),
        ('x,s\n1,a\\,b\n2,"say \\"hi\\""\n3,ä\n', "escape: '\\'"),
        ('1,"a,b"\n2,"say ""hi"""\n3,ä\n', "header: false"),
        ('# of 2013\nx,s\n1,"a,b"\n# and\n2,"say ""hi"""\n3,ä\n', 'comment: "#"'),
        ('x,s\n1,"a,b"\n2,"say ""hi"""\n3,ä\n'.encode("utf-16"), "encoding: utf-16"),
        ('x,s\n1,"a,b"\n2,"say ""hi"""\n3,ä\n'.encode("latin-1"), "encoding: latin-1"),
        ('x,s\n1,"a,b"\n2,"say ""hi"""\n3,ä\n'.encode("cp1252"), "encoding: cp1252"),
    ],
)
def test_the_same_rows_in_each_dialect(run: Run, content: str | bytes, dialect: str) -> None:
    assert run(content, XS, dialect).rows() == ROWS
    content = content.encode() if isinstance(content, str) else content
    assert run(gzip.compress(content, mtime=0), XS, dialect, "d/a.csv.gz").rows() == ROWS


def test_a_comment_inside_of_a_quoted_value_is_of_the_value(run: Run) -> None:
    content = 'x,s\n1,"a\n#b"\n#2,c\n3,\n'
    assert run(content, XS, 'comment: "#"').rows() == [(1, "a\n#b"), (3, None)]


def test_places_are_lines_of_the_file_whatever_the_dialect(run: Run) -> None:
    content = '# one\nx;s\n1;"a\n#b"\n# two\ny;c\n'.encode("utf-16")
    [found] = said(run, content, XS, 'comment: "#", delimiter: ";", encoding: utf-16')
    assert found == "line 6, column x: 'y' is not an int8"
    assert said(run, "1,a\n2\ny,b\n", XS, "header: false") == [
        "line 2: '2' has too few fields for the 2 columns",
        "line 3, column x: 'y' is not an int8",
    ]


def test_a_quote_inside_of_a_quoted_value_is_refused_until_its_escape_is_declared(
    run: Run,
) -> None:
    """Readers make different texts of it, and none says so."""
    content = 'x,s\n2,b\n1,"TV 50\\" wide"\n'
    [found] = said(run, content, XS)
    assert found.startswith("line 3: starts a row with broken quotes: ")
    assert found.endswith("where a backslash stands before a quote, declare dialect.escape")
    assert run(content, XS, "escape: '\\'").rows() == [(2, "b"), (1, 'TV 50" wide')]


def test_quotes_across_the_blocks_of_a_large_file_are_looked_at(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mergeline.adapters.drops.csv_text._SCAN_BYTES", 3)
    good = 'x,s\n1,"a,""b"""\n2,"c\n"\n3,""\n'
    assert run(good, XS).rows() == [(1, 'a,"b"'), (2, "c\n"), (3, None)]
    for at in range(12):
        text = "a" * at
        [found] = said(run, f'{good}4,"{text}"b\n', XS)
        assert found.startswith("line 6: ")


def test_a_file_that_ends_in_the_escape_character_is_refused(run: Run) -> None:
    for quote in ('"', ""):
        [found] = said(run, "x,s\n1,a\\", XS, f"escape: '\\', quote: '{quote}'")
        assert found == "line 2: starts a row with broken quotes: unexpected end of data"
    assert run("x,s\n1,a\\\\", XS, "escape: '\\'").rows() == [(1, "a\\")]


NUMBERS = "i: {type: int32}, f: {type: float64}, q: {type: 'decimal(9,2)'}"


@pytest.mark.parametrize(
    ("row", "dialect"),
    [
        ("-1234;1234,5;1234,50", "decimal: ','"),
        ("-1.234;1.234,5;1.234,5", "decimal: ',', thousands: ."),
        ("-1 234;1 234,5;1234,500", "decimal: ',', thousands: ' '"),
        ("-1,234;1,234.5;1,234.5", "thousands: ','"),
        ("-1'234;1234.5;1'234.5", 'thousands: "\'"'),
        ("-1234;12345e-1;1234.5", ""),
    ],
)
def test_numbers_as_they_are_written_elsewhere(run: Run, row: str, dialect: str) -> None:
    both = ", ".join(filter(None, ['delimiter: ";"', dialect]))
    assert run(f"i;f;q\n{row}\n", NUMBERS, both).rows() == [(-1234, 1234.5, Decimal("1234.50"))]


@pytest.mark.parametrize("value", ["1.5", "12,34.5", "1.23,5", "1.2345", ",", "1,5.000", "1..234"])
def test_a_number_of_another_form_is_refused(run: Run, value: str) -> None:
    dialect = "delimiter: ';', decimal: ',', thousands: ."
    [found] = said(run, f"x\n{value}\n", "x: {type: float64}", dialect)
    assert found == (f"line 2, column x: {value!r} is not a float64 (decimal ',', thousands '.')")


def test_decimals_keep_their_digits_and_none_is_cut(run: Run) -> None:
    column = "q: {type: 'decimal(5,2)', min: -1, max: 100.5}"
    rows = run("q\n1.1\n100.500\n-0\n.5\n", column)
    assert rows.dtypes == [pl.Decimal(5, 2)]
    assert list(map(str, rows["q"])) == ["1.10", "100.50", "0.00", "0.50"]
    assert said(run, "q\n1.125\n12345\n1e1\n100.51\n-1.01\n", column) == [
        "line 2, column q: '1.125' would be rounded to fit a decimal(5,2)",
        "line 3, column q: '12345' is not a decimal(5,2)",
        "line 4, column q: '1e1' is not a decimal(5,2)",
        "line 5, column q: '100.51' is above 100.50",
        "line 6, column q: '-1.01' is below -1.00",
    ]
    json_rows = run('{"q": 1.1}\n{"q": 2}\n', column, "", "d/a.jsonl")
    assert list(map(str, json_rows["q"])) == ["1.10", "2.00"]
    wide = "q: {type: 'decimal(38,20)'}"
    digits = "123456789012345678.12345678901234567890"
    assert str(run(f'{{"q": {digits}}}', wide, "", "d/a.jsonl")["q"][0]) == digits


def test_booleans_in_the_words_that_the_contract_declares(run: Run) -> None:
    column = "b: {type: bool, nullable: true, true: [Y, J], false: [N]}"
    assert run("b,c\nY,1\nN,1\nJ,1\n,1\n", column + ", c: {type: int8}")["b"].to_list() == [
        True, False, True, None,
    ]  # fmt: skip
    assert said(run, "b\ny\ntrue\n", column) == [
        "line 2, column b: 'y' is not one of Y, J, N",
        "line 3, column b: 'true' is not one of Y, J, N",
    ]
    assert run('{"b": "Y"}', column, "", "d/a.jsonl")["b"].to_list() == [True]
    assert said(run, '{"b": true}', column, "", "d/a.jsonl")


@pytest.mark.parametrize(
    ("form", "text", "day"),
    [
        ("%d/%m/%Y", "03/04/2013", dt.date(2013, 4, 3)),
        ("%d/%m/%Y", "3/4/2013", dt.date(2013, 4, 3)),
        ("%m/%d/%Y", "03/04/2013", dt.date(2013, 3, 4)),
        ("%d.%m.%y", "03.04.13", dt.date(2013, 4, 3)),
        ("%d-%b-%Y", "03-APR-2013", dt.date(2013, 4, 3)),
        ("%B %d %Y", "April 3 2013", dt.date(2013, 4, 3)),
        ("%Y%m%d", "20130403", dt.date(2013, 4, 3)),
        ("%Y-%j", "2013-093", dt.date(2013, 4, 3)),
    ],
)
def test_dates_in_the_form_that_the_contract_declares(
    run: Run, form: str, text: str, day: dt.date
) -> None:
    column = f'x: {{type: date, format: "{form}"}}'
    assert run(f"x\n{text}\n", column)["x"].to_list() == [day]
    [found] = said(run, "x\n2013/04/03 \n", column)
    assert found == f"line 2, column x: '2013/04/03 ' is not a date of the format {form}"


@pytest.mark.parametrize(
    ("form", "text"), [("%d/%m/%Y", "03/04/13"), ("%Y%m%d", "2013043"), ("%d/%m/%Y", "31/02/2013")]
)
def test_a_date_of_another_form_is_refused(run: Run, form: str, text: str) -> None:
    [found] = said(run, f"x\n{text}\n", f'x: {{type: date, format: "{form}"}}')
    assert "is not a date of the format" in found


@pytest.mark.parametrize(
    ("settings", "text", "hour"),
    [
        ('format: "%d.%m.%Y %H:%M"', "03.07.2013 05:00", 5),
        ('format: "%m/%d/%Y %I:%M:%S %p"', "07/03/2013 05:00:00 PM", 17),
        ('format: "%d/%b/%Y:%H:%M:%S %z"', "03/Jul/2013:05:00:00 +0200", 3),
        ('zone: "+02:00"', "2013-07-03T05:00:00", 3),
        ('zone: "+02:00"', "2013-07-03T05:00:00Z", 5),
        ("zone: Europe/Berlin", "2013-07-03 05:00", 3),
        ("zone: Europe/Berlin", "2013-01-03T05:00:00.5", 4),
        ("zone: Europe/Berlin", "2013-01-03T05:00:00-01:00", 6),
        ('zone: Europe/Berlin, format: "%d.%m.%Y %H:%M"', "03.07.2013 05:00", 3),
    ],
)
def test_moments_in_the_form_and_zone_that_the_contract_declares(
    run: Run, settings: str, text: str, hour: int
) -> None:
    column = f"x: {{type: datetime, {settings}}}"
    assert run(f"x\n{text}\n", column)["x"].dt.hour().to_list() == [hour]
    assert run(f'{{"x": "{text}"}}', column, "", "d/a.jsonl")["x"].dt.hour().to_list() == [hour]


def test_an_hour_that_the_clocks_have_twice_or_never_is_refused(run: Run) -> None:
    column = "x: {type: datetime, zone: Europe/Berlin}"
    rows = ["2013-10-27T02:30:00", "2013-10-27T03:30:00", "2013-03-31T02:30:00", "noon"]
    rows += ["2099-07-01T12:00:00", "2100-07-01T12:00:00"]
    clocks = "(clocks change; from 2100 on it is not known when)"
    rule = f"is two moments or none in Europe/Berlin {clocks}"
    assert said(run, "x\n" + "\n".join(rows) + "\n", column) == [
        f"line 2, column x: '2013-10-27T02:30:00' {rule}",
        f"line 4, column x: '2013-03-31T02:30:00' {rule}",
        "line 5, column x: 'noon' is not a datetime",
        f"line 7, column x: '2100-07-01T12:00:00' {rule}",
    ]


def test_a_zone_that_there_is_not_is_the_contract_s_fault(run: Run) -> None:
    with pytest.raises(DeclarationError, match=r"^data/t\.yaml: columns\.x\.zone: 'Europe/Berln'"):
        run("x\n2013-01-01T00:00\n", "x: {type: datetime, zone: Europe/Berln}")


# --- a column added later -------------------------------------------------------------------------

LATER = "x: {type: int8}, tax: {type: float64, nullable: true, default: null}"


def test_a_drop_that_lacks_a_column_added_later_has_no_value_in_it(run: Run) -> None:
    assert run("x,tax\n1,2.5\n", LATER).rows() == [(1, 2.5)]
    assert run("x\n1\n2\n", LATER).rows() == [(1, None), (2, None)]
    assert run("1\n2\n", LATER, "header: false").rows() == [(1, None), (2, None)]
    assert run('{"x": 1}\n', LATER, "", "d/a.jsonl").rows() == [(1, None)]
    assert said(run, "tax\n1\n", LATER) == ["line 1, column x: is missing"]


# --- another dialect than declared ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x;s\n1;a\n", "line 1: has values separated by semicolons: declare dialect.delimiter ';'"),
        ("x\ts\n1\ta\n", "line 1: has values separated by tabs: declare dialect.delimiter '\\t'"),
        (
            "x,s\n1,a\n".encode("utf-16"),
            "line 1: is text in UTF-16: declare dialect.encoding utf-16",
        ),
    ],
)  # fmt: skip
def test_what_another_dialect_would_explain_is_said(
    run: Run, content: str | bytes, message: str
) -> None:
    assert said(run, content, XS) == [message]


def test_text_that_is_not_of_its_declared_encoding_is_refused(run: Run) -> None:
    assert said(run, "x,s\n1,a\n", XS, "encoding: utf-16") == [
        "line 1: does not begin with the mark of UTF-16"
    ]
    assert said(run, "x,s\n1,a\n2,b".encode("utf-16") + b"\0", XS, "encoding: utf-16") == [
        "is not UTF-16 text (after line 3)"
    ]
    assert said(run, b"x,s\n1,\x81\n", XS, "encoding: cp1252") == [
        "line 2: is not Windows-1252 text"
    ]


@pytest.mark.parametrize(
    ("content", "problem", "next_step"),
    [
        (b"PK\x03\x04....", "a zip archive or a workbook of Excel", ".zip"),
        (b"\xd0\xcf\x11\xe0....", "a workbook of Excel", "Save the sheet as CSV"),
        (gzip.compress(b"x,s\n1,a\n", mtime=0), "compressed by gzip", "Let its name end in .gz"),
        (b"PAR1\x15\x00", "a Parquet file", "format: parquet"),
        (b'<?xml version="1.0"?>', "XML", "Convert it"),
    ],
)
def test_a_file_of_another_kind_is_named_with_what_to_do(
    run: Run, content: bytes, problem: str, next_step: str
) -> None:
    with pytest.raises(DropError, match=rf"^d/a\.csv: is not csv but {problem}") as caught:
        run(content, XS)
    assert next_step in caught.value.next_step


def test_an_object_that_has_a_key_twice_is_refused(run: Run) -> None:
    """Python keeps the last value, others the first."""
    [found] = said(run, '{"x": 1}\n{"x": 1, "x": 2}\n', "x: {type: int8}", "", "d/a.jsonl")
    assert found == "line 2: is not JSON: the key 'x' is given twice"
