"""What reads a drop is held against a second, independent reader, on generated files.

Where the drop is accepted, the two must see the same values. Where it is refused, nothing is
claimed. What other readers see differently, and why ours is right, stands at the end.
"""

import csv
import datetime as dt
import io
import json
import tempfile
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mergeline.adapters.drops.casting import cast_to
from mergeline.adapters.drops.check import Findings, check_batch
from mergeline.adapters.drops.csv_text import is_plainly_quoted
from mergeline.adapters.drops.read import read_batches
from mergeline.core.data.snapshot import Drop
from mergeline.core.declare.columns import Column
from mergeline.core.declare.contract import Contract, Dialect, Format
from mergeline.errors import DropError
from tests.support.properties import few_or_many

Rows = list[tuple[Any, ...]]
NAMES = ("x", "y", "z")


@pytest.fixture(scope="module")
def file() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder, "a")


def contract_of(columns: dict[str, Column], form: Format = "csv", **other: Any) -> Contract:
    return Contract("t", "d", form, columns, **other)


def accepted(file: Path, content: bytes, contract: Contract) -> Rows | None:
    """The rows that a drop of this content becomes, or None if it is refused."""
    file.write_bytes(content)
    findings = Findings()
    try:
        batches = read_batches(file, Drop(f"a.{contract.format}", ""), contract)
        frames = [check_batch(batch, "a", contract, findings) for batch in batches]
    except DropError:
        return None
    return None if findings.counts else [row for frame in frames for row in frame.rows()]


# --- CSV: the standard library, and DuckDB -------------------------------------------------------


class Uncommented:
    """The lines of a text without those that are comments: none inside of a row is one."""

    def __init__(self, text: str, comment: str) -> None:
        self.lines, self.comment, self.row = io.StringIO(text, newline=""), comment, 0
        self.at = -1

    def __iter__(self) -> Iterator[str]:
        for line in self.lines:
            is_first_of_its_row = self.at != self.row
            if is_first_of_its_row and self.comment and line.startswith(self.comment):
                continue
            self.at = self.row
            yield line


def by_the_standard_library(content: bytes, dialect: Dialect, width: int) -> Rows:
    text = content.decode(dialect.encoding).removeprefix("\ufeff")
    lines = Uncommented(text, dialect.comment)
    rows = []
    for row in csv.reader(
        lines,
        delimiter=dialect.delimiter,
        quotechar=dialect.quote or None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        escapechar=dialect.escape or None,
    ):
        rows.append(row)
        lines.row += 1
    rows = rows[int(dialect.header) :]
    return [tuple(value or None for value in row or [""]) for row in rows if row or width == 1]


def by_duckdb(file: Path, dialect: Dialect, names: Sequence[str]) -> Rows | None:
    def quoted(text: str) -> str:
        return "'" + text.replace("'", "''") + "'"

    query = f"""
        select * from read_csv(
            {quoted(str(file))}, auto_detect=false, columns={dict.fromkeys(names, "VARCHAR")},
            header={dialect.header}, delim={quoted(dialect.delimiter)}, nullstr='',
            quote={quoted(dialect.quote)}, escape={quoted(dialect.quote)}, strict_mode=true)
    """
    try:
        rows: Rows = duckdb.sql(query).fetchall()
    except duckdb.Error:
        return None
    return rows


DIALECTS = [
    Dialect(),
    Dialect(delimiter=";", quote="'"),
    Dialect(escape="\\"),
    Dialect(header=False),
    Dialect(delimiter="\t", quote=""),
    Dialect(delimiter="\t", quote="", escape="\\"),
    Dialect(encoding="utf-16"),
    Dialect(encoding="latin-1", delimiter=";"),
    Dialect(encoding="cp1252"),
    Dialect(comment="#"),
    Dialect(comment="#", header=False, quote="'", delimiter="|"),
    Dialect(comment="##", encoding="utf-16", escape="\\"),
]
PIECES = [
    '"',
    '"',
    '""',
    ",",
    ",",
    "\n",
    "\n",
    "\r\n",
    "\r",
    "a",
    " ",
    "\\",
    "ä",
    '\\"',
    '"x"',
    "#",
]


@st.composite
def csv_texts(draw: st.DrawFn) -> tuple[Dialect, tuple[str, ...], bytes]:
    """A dialect, columns and a file: quotes anywhere, or values as a careful writer writes them."""
    dialect, names = draw(st.sampled_from(DIALECTS)), NAMES[: draw(st.integers(1, 3))]
    pieces = st.lists(st.sampled_from(PIECES), max_size=4).map("".join)
    bare = pieces.map(lambda text: text.translate({ord(c): None for c in '\n\r,"'}))
    careful = st.one_of(bare, pieces.map(lambda text: '"' + text.replace('"', '""') + '"'))
    row = st.lists(careful, min_size=len(names), max_size=len(names)).map(",".join)
    ends = st.sampled_from(["", "\n", "\r\n"])
    rows = st.lists(row, min_size=1, max_size=3).map("\n".join)
    body = draw(st.one_of(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), rows))
    header = ",".join(names) + "\n" if dialect.header else ""
    text = header + body + draw(ends)
    swap = {ord(","): dialect.delimiter, ord('"'): dialect.quote or '"'}
    return dialect, names, text.translate(swap).encode(dialect.encoding)


@few_or_many(30, 6000)
def test_a_csv_is_read_as_the_standard_library_and_duckdb_read_it(
    file: Path, examples: settings
) -> None:
    accepts: list[bool] = []

    @examples
    @given(csv_texts())
    def hold(written: tuple[Dialect, tuple[str, ...], bytes]) -> None:
        dialect, names, content = written
        columns = dict.fromkeys(names, Column("string", nullable=True))
        ours = accepted(file, content, contract_of(columns, dialect=dialect))
        accepts.append(ours is not None)
        if ours is None:
            return
        assert ours == by_the_standard_library(content, dialect, len(names))
        is_plain = is_plainly_quoted(file, dialect) and dialect.encoding == "utf-8"
        # DuckDB takes an empty line with \r\n for two, and an escape has another meaning to it.
        is_plain &= not dialect.comment and not dialect.escape
        if is_plain and b"\r" not in content:
            theirs = by_duckdb(file, dialect, names)
            assert theirs is None or ours == theirs

    hold()
    # A property of accepted drops says nothing if most are refused.
    assert sum(accepts) > len(accepts) / 20


# --- texts as numbers, dates and moments: Python's own types -------------------------------------


def by_python(text: str, column: Column, dialect: Dialect) -> Any:
    if column.type == "date":
        if column.format:
            return dt.datetime.strptime(text, column.format).date()  # noqa: DTZ007
        return dt.date.fromisoformat(text)
    if column.type == "bool":
        word = text if column.true else text.lower()
        words = {column.true or ("true", "1"): True, column.false or ("false", "0"): False}
        return next(meaning for said, meaning in words.items() if word in said)
    if column.type == "datetime":
        if column.format:
            moment = dt.datetime.strptime(text, column.format)  # noqa: DTZ007
        else:
            moment = dt.datetime.fromisoformat(text)
        is_named = column.zone and column.offset is None
        zone = ZoneInfo(column.zone) if is_named else dt.timezone(column.offset or dt.timedelta())
        if moment.tzinfo is None and is_named:
            back = moment.replace(tzinfo=zone).astimezone(dt.UTC).astimezone(zone)
            assert back.replace(tzinfo=None) == moment, "an hour that there never was"
            either = {moment.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1)}
            assert len(either) == 1, "an hour that there was twice"
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(dt.UTC)
    number = text.replace(dialect.thousands or "\0", "").replace(dialect.decimal, ".")
    kind = {"i": int, "f": float}.get(column.type[0], Decimal)
    return kind(number)


TEXTS = {
    "number": st.one_of(
        st.from_regex(r"\A[+-]?[0-9]{0,4}[.,]?[0-9]{0,4}([eE][+-]?[0-9]{1,2})?\Z"),
        st.floats(allow_nan=False, allow_infinity=False).map(repr),
        st.integers(-(10**20), 10**20).map(str),
        st.decimals(-9999, 9999, places=2).map(str),
        st.text("0123456789.,+-e_ '", max_size=8),
    ),
    "date": st.one_of(
        st.dates().map(str),
        st.dates(dt.date(1000, 1, 1)).flatmap(
            lambda day: st.sampled_from(["%d/%m/%Y", "%d %b %Y", "%Y%m%d", "%Y-%j"]).map(
                day.strftime
            )
        ),
        st.text("0123456789-/ ", max_size=10),
    ),
    "datetime": st.one_of(
        st.datetimes(timezones=st.sampled_from([None, dt.UTC])).map(str),
        st.datetimes().map(lambda moment: moment.isoformat()),
        st.datetimes(dt.datetime.fromtimestamp(0)).map(  # noqa: DTZ006
            lambda moment: moment.strftime("%d.%m.%Y %H:%M")
        ),
        # Around the hours that clocks in Europe have twice, or never.
        st.builds(
            "2013-{} 0{}:{:02}".format,
            st.sampled_from(["03-31", "10-27"]),
            st.integers(0, 4),
            st.integers(0, 59),
        ),
        st.from_regex(
            r"\A2013-(0?2|06)-(28|30)[T ]([01]?[0-9]|24)(:[0-6]?[0-9]){1,2}"
            r"([.][0-9]{1,7})?(Z|[+-][0-2][0-9]:?[0-6][0-9])?\Z"
        ),
        st.text("0123456789-:T Z+.", max_size=20),
    ),
    "bool": st.sampled_from(["Y", "N", "y", "yes", "1", "0", "true", "FALSE", "False", "", "Ja"]),
}
COLUMNS = [
    ("number", Column("int8"), Dialect()),
    ("number", Column("int64"), Dialect()),
    ("number", Column("int32"), Dialect(delimiter=";", thousands=",")),
    ("number", Column("float64"), Dialect()),
    ("number", Column("float64"), Dialect(delimiter=";", decimal=",", thousands=".")),
    ("number", Column("decimal(6,2)"), Dialect()),
    ("number", Column("decimal(38,0)"), Dialect()),
    ("number", Column("decimal(9,2)"), Dialect(delimiter=";", decimal=",")),
    ("date", Column("date"), Dialect()),
    ("date", Column("date", format="%d/%m/%Y"), Dialect()),
    ("datetime", Column("datetime"), Dialect()),
    ("datetime", Column("datetime", zone="-05:30"), Dialect()),
    ("datetime", Column("datetime", zone="Europe/Berlin"), Dialect()),
    ("datetime", Column("datetime", format="%d.%m.%Y %H:%M"), Dialect()),
    ("datetime", Column("datetime", format="%d.%m.%Y %H:%M", zone="Europe/Berlin"), Dialect()),
    ("date", Column("date", format="%d %b %Y"), Dialect()),
    ("date", Column("date", format="%Y%m%d"), Dialect()),
    ("date", Column("date", format="%Y-%j"), Dialect()),
    ("number", Column("int16"), Dialect(thousands="'")),
    ("number", Column("float64"), Dialect(delimiter=";", decimal=",", thousands=" ")),
    ("number", Column("decimal(9,2)"), Dialect(delimiter=";", decimal=",", thousands=".")),
    ("bool", Column("bool"), Dialect()),
    ("bool", Column("bool", true=("Y", "Ja"), false=("N", "0")), Dialect()),
]


@pytest.mark.parametrize(("kind", "column", "dialect"), COLUMNS, ids=map(str, range(len(COLUMNS))))
@few_or_many(10, 1000)
def test_a_text_that_is_accepted_has_the_value_that_python_reads(
    kind: str, column: Column, dialect: Dialect, examples: settings
) -> None:
    @examples
    @given(st.lists(TEXTS[kind], min_size=1, max_size=20))
    def hold(texts: list[str]) -> None:
        values = cast_to(pl.Series("x", texts, dtype=pl.String), column, dialect).to_list()
        for text, value in zip(texts, values, strict=True):
            if value is not None:
                assert value == by_python(text, column, dialect), text

    hold()


# --- each declared dialect at once: what Python wrote -------------------------------------------

TYPED = {
    "n": (Column("int64"), st.integers(-(10**12), 10**12)),
    "f": (Column("float64"), st.floats(-1e6, 1e6).map(lambda number: round(number, 3))),
    "q": (Column("decimal(9,2)", nullable=True), st.none() | st.decimals(-9999, 9999, places=2)),
    "o": (Column("bool", true=("Y", "ja"), false=("N", "näh")), st.booleans()),
    "d": (Column("date", format="%d/%m/%Y"), st.dates(dt.date(1000, 1, 1))),
    "t": (Column("datetime", format="%d.%m.%Y %H:%M:%S", zone="America/New_York"),
          st.integers(0, 2 * 10**9).map(lambda second: dt.datetime.fromtimestamp(second, dt.UTC))),
    "s": (Column("string"),
          st.text(st.sampled_from("aä#,;|\t'\"\\ \n0"), min_size=1, max_size=6)
          # Readers agree neither on a value's \r nor on a comment in a line of its own.
          .filter(lambda text: "\n#" not in text)),
}  # fmt: skip


@st.composite
def dialects(draw: st.DrawFn) -> Dialect:
    decimal = draw(st.sampled_from([".", ","]))
    thousands = draw(st.sampled_from(sorted({"", ".", ",", " ", "'", "_"} - {decimal})))
    return Dialect(
        delimiter=draw(st.sampled_from(",;|\t")),
        quote=draw(st.sampled_from("\"'")),
        escape=draw(st.sampled_from(["", "\\"])),
        encoding=draw(st.sampled_from(["utf-8", "utf-16", "latin-1", "cp1252"])),
        header=draw(st.booleans()),
        comment=draw(st.sampled_from(["", "#", "//"])),
        decimal=decimal,
        thousands=thousands,
    )


def text_of(value: Any, column: Column, dialect: Dialect) -> str:
    """The value as a program of that place writes it."""
    if value is None:
        return ""
    if column.type == "bool":
        return (column.true if value else column.false)[-1]
    if column.type == "date":
        return f"{value:%d/%m/%Y}"
    if column.type == "datetime":
        return f"{value.astimezone(ZoneInfo(column.zone)):%d.%m.%Y %H:%M:%S}"
    if column.type == "string":
        return str(value)
    swap = {ord(","): dialect.thousands, ord("."): dialect.decimal}
    return f"{value:,}".translate(swap)


def is_told_twice(moment: dt.datetime, zone: str) -> bool:
    local = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    either = {local.replace(tzinfo=ZoneInfo(zone), fold=fold).utcoffset() for fold in (0, 1)}
    return len(either) > 1


@few_or_many(20, 4000)
def test_values_that_python_wrote_in_a_declared_dialect_are_read_as_they_were(
    file: Path, examples: settings
) -> None:
    columns = {name: column for name, (column, _) in TYPED.items()}
    row = st.tuples(*(values for _, values in TYPED.values()))

    @examples
    @given(dialects(), st.lists(row, min_size=1, max_size=6))
    def hold(dialect: Dialect, rows: Rows) -> None:
        text = io.StringIO(newline="")
        writer = csv.writer(
            text,
            delimiter=dialect.delimiter,
            quotechar=dialect.quote,
            escapechar=dialect.escape or None,
            doublequote=not dialect.escape,
            quoting=csv.QUOTE_ALL if dialect.comment else csv.QUOTE_MINIMAL,
        )
        if dialect.header:
            writer.writerow(columns)
        for values in rows:
            text.write(f"{dialect.comment} a note\n" if dialect.comment else "")
            writer.writerow(map(text_of, values, columns.values(), [dialect] * len(columns)))
        content = text.getvalue().encode(dialect.encoding)
        ours = accepted(file, content, contract_of(columns, dialect=dialect))
        if any(is_told_twice(values[5], columns["t"].zone) for values in rows):
            assert ours is None
        else:
            assert ours == rows

    hold()


# --- Parquet: pyarrow against Polars -------------------------------------------------------------

PARQUET = {
    "n": (pa.int64(), Column("int64", nullable=True), st.integers(-(2**63), 2**63 - 1)),
    "f": (pa.float64(), Column("float64", nullable=True), st.floats(-1e300, 1e300)),
    "s": (pa.string(), Column("string", nullable=True), st.text(max_size=5)),
    "b": (pa.binary(), Column("binary", nullable=True), st.binary(max_size=5)),
    "q": (pa.decimal128(12, 3), Column("decimal(12,3)", nullable=True),
          st.decimals(-999_999_999, 999_999_999, places=3)),
    "d": (pa.date32(), Column("date", nullable=True), st.dates()),
    "t": (pa.timestamp("us", "UTC"), Column("datetime", nullable=True),
          st.datetimes(timezones=st.just(dt.UTC))),
    "o": (pa.bool_(), Column("bool", nullable=True), st.booleans()),
}  # fmt: skip


@st.composite
def parquet_files(draw: st.DrawFn) -> tuple[bytes, Rows]:
    rows = draw(st.integers(1, 20))
    values = {
        name: draw(st.lists(st.none() | value, min_size=rows, max_size=rows))
        for name, (_, _, value) in PARQUET.items()
    }
    schema = pa.schema({name: kind for name, (kind, _, _) in PARQUET.items()})
    sink = io.BytesIO()
    pq.write_table(
        pa.table(values, schema),
        sink,
        row_group_size=draw(st.integers(1, 20)),
        compression=draw(st.sampled_from(["none", "snappy", "gzip", "zstd", "lz4", "brotli"])),
        use_dictionary=draw(st.booleans()),
        data_page_version=draw(st.sampled_from(["1.0", "2.0"])),
        data_page_size=draw(st.sampled_from([1, 1 << 20])),
        write_page_checksum=draw(st.booleans()),
        store_schema=draw(st.booleans()),
    )
    return sink.getvalue(), list(zip(*values.values(), strict=True))


@few_or_many(8, 2000)
def test_parquet_is_read_as_it_was_written_and_as_polars_reads_it(
    file: Path, examples: settings
) -> None:
    columns = {name: column for name, (_, column, _) in PARQUET.items()}

    @examples
    @given(parquet_files())
    def hold(written: tuple[bytes, Rows]) -> None:
        content, rows = written
        assert accepted(file, content, contract_of(columns, "parquet", null=())) == rows
        assert pl.read_parquet(io.BytesIO(content)).rows() == rows

    hold()


# --- JSON lines: DuckDB --------------------------------------------------------------------------

JSON_VALUES = st.fixed_dictionaries(
    {},
    optional={
        "n": st.none() | st.integers(-(2**63), 2**63 - 1),
        "f": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "s": st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
        "o": st.none() | st.booleans(),
        "q": st.none() | st.decimals(-9999, 9999, places=2).map(float),
        "d": st.none() | st.dates().map(str),
        "t": st.none() | st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"),
    },
)


@few_or_many(10, 2000)
def test_json_lines_are_read_as_duckdb_reads_them(file: Path, examples: settings) -> None:
    columns = {
        "n": Column("int64", nullable=True), "f": Column("float64", nullable=True),
        "s": Column("string", nullable=True), "o": Column("bool", nullable=True),
        "q": Column("decimal(6,2)", nullable=True), "d": Column("date", nullable=True),
        "t": Column("datetime", nullable=True),
    }  # fmt: skip
    kinds = {
        "n": "BIGINT", "f": "DOUBLE", "s": "VARCHAR", "o": "BOOLEAN", "q": "DECIMAL(6,2)",
        "d": "DATE", "t": "TIMESTAMP",
    }  # fmt: skip
    query = f"""select * from read_json(
        '{file}', columns={kinds}, format='newline_delimited', records=true)"""

    @examples
    @given(st.lists(JSON_VALUES, min_size=1, max_size=8), st.booleans())
    def hold(objects: list[dict[str, Any]], ascii_only: bool) -> None:
        lines = [json.dumps(one, ensure_ascii=ascii_only) + "\n" for one in objects]
        ours = accepted(file, "".join(lines).encode(), contract_of(columns, "jsonl", null=()))
        assert ours is not None
        without_utc = [(*row[:-1], row[-1] and row[-1].replace(tzinfo=None)) for row in ours]
        assert without_utc == duckdb.sql(query).fetchall()

    hold()


# --- what differs, and why -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "ours"),
    [
        # DuckDB drops blanks before a quote, and then the quotes. RFC 4180: blanks are of a value.
        (b'x,y\n1, "a"\n', [("1", ' "a"')]),
        # DuckDB takes the line end \r\n of an empty line for two, where the header ends in \n.
        (b"x\n\r\na\n", [(None,), ("a",)]),
    ],
)
def test_what_duckdb_reads_differently_is_as_the_rfc_has_it(
    file: Path, content: bytes, ours: Rows
) -> None:
    names = content.decode().partition("\n")[0].split(",")
    columns = dict.fromkeys(names, Column("string", nullable=True))
    assert accepted(file, content, contract_of(columns)) == ours
    assert by_duckdb(file, Dialect(), names) != ours
    assert by_the_standard_library(content, Dialect(), len(names)) == ours
