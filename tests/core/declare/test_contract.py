import datetime as dt

import pytest

from mergeline.core.declare.contract import parse_contract
from mergeline.errors import DeclarationError

TEXT = """\
description: Flights.
source: data/raw/flights
format: csv
null: [NA, ""]
key: [day, flight]
columns:
  day: {type: date, min: 2013-01-01, description: Local date}
  flight: {type: int16, min: 1}
  origin: {type: string, allowed: [EWR, JFK]}
  delay: {type: float64, nullable: true, min: 0, max: 100}
"""


def parse(text: str = TEXT) -> str:
    return parse_contract("flights", text).digest


def test_a_contract_is_read_with_values_of_its_types() -> None:
    contract = parse_contract("flights", TEXT)
    assert contract.null == ("NA", "")
    assert contract.unknown_columns == "refuse"
    assert list(contract.columns) == ["day", "flight", "origin", "delay"]
    assert contract.columns["day"].min == dt.date(2013, 1, 1)
    assert isinstance(contract.columns["delay"].max, float)
    assert contract.columns["delay"].nullable
    assert not contract.columns["day"].nullable


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("description: Flights.", "description: All flights."),
        ("description: Flights.", "# a comment"),
        (", description: Local date", ""),
        ('null: [NA, ""]\nkey: [day, flight]', 'key: [day, flight]\nnull: [NA, ""]'),
        ("key: [day, flight]", "key: [flight, day]"),
        ('null: [NA, ""]', 'null: ["", NA]'),
        ("allowed: [EWR, JFK]", "allowed: [JFK, EWR]"),
        ("source: data/raw/flights", "source: data/raw/other/"),
        ("min: 0, max: 100", "min: 0.0, max: 100.0"),
        ("{type: int16, min: 1}", "{min: 1, type: int16, nullable: false}"),
        ("min: 2013-01-01", 'min: "2013-01-01"'),
    ],
)
def test_what_changes_no_row_and_no_refusal_leaves_the_digest(old: str, new: str) -> None:
    assert old in TEXT
    assert parse(TEXT.replace(old, new)) == parse()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("format: csv", "format: jsonl"),
        ('null: [NA, ""]', "null: [NA]"),
        ("key: [day, flight]", "key: [flight]"),
        ("format: csv", "format: csv\nunknown_columns: ignore"),
        ("type: int16", "type: int32"),
        ("min: 1}", "min: 2}"),
        ("max: 100", "max: 101"),
        ("allowed: [EWR, JFK]", "allowed: [EWR]"),
        ("nullable: true, ", ""),
        ("  day: {", "  date: {type: date}\n  day: {"),
    ],
)
def test_what_changes_rows_or_refusals_changes_the_digest(old: str, new: str) -> None:
    assert old in TEXT
    assert parse(TEXT.replace(old, new)) != parse()


def test_the_order_of_columns_changes_the_digest() -> None:
    lines = TEXT.splitlines()
    assert parse("\n".join([*lines[:-2], lines[-1], lines[-2]])) != parse()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("format: csv", "format: xml", "format"),
        ("format: csv", "format: csv\nnulls: [x]", "did you mean 'null'?"),
        ("type: int16", "typ: int16", "did you mean 'type'?"),
        ("type: int16", "type: int", "columns.flight"),
        ("source: data/raw/flights", "source: /data", "source"),
        ("source: data/raw/flights", "source: ../data", "source"),
        ("source: data/raw/flights\n", "", "'source' is missing"),
        ("key: [day, flight]", "key: [day, fligth]", "'fligth' is not one of the columns"),
        ("key: [day, flight]", "key: [day, day]", "twice"),
        ("key: [day, flight]", "key: [delay]", "nullable"),
        ("min: 0, max: 100", "min: 1, max: 0", "min is greater than max"),
        ("min: 1}", "min: 40000}", "40000 is not a value of type int16"),
        ("min: 1}", "min: 1.5}", "1.5 is not a value of type int16"),
        ("min: 1}", "min: true}", "True is not a value of type int16"),
        ("min: 2013-01-01", "min: 2013-13", "not a value of type date"),
        ("allowed: [EWR, JFK]", "allowed: [EWR, 1]", "1 is not a value of type string"),
        ("allowed: [EWR, JFK]", "min: A", "a string has no min or max"),
        ("  day: {", "  DAY: {type: date}\n  day: {", "differ in case"),
        ("columns:", "table: flights\ncolumns:", "unknown key 'table'"),
    ],
)
def test_a_contract_that_contradicts_itself_is_refused(old: str, new: str, said: str) -> None:
    assert old in TEXT
    with pytest.raises(DeclarationError, match=r"data/flights\.yaml") as caught:
        parse(TEXT.replace(old, new))
    assert said in str(caught.value)


def test_a_table_name_that_no_path_can_hold_is_refused() -> None:
    with pytest.raises(DeclarationError, match="table's name"):
        parse_contract("../x", TEXT)


def test_a_datetime_bound_without_a_zone_is_in_utc() -> None:
    text = "source: d\nformat: csv\ncolumns: {t: {type: datetime, min: 2013-01-01 05:00:00}}\n"
    with_zone = text.replace("05:00:00", "07:00:00+02:00")
    bound = dt.datetime(2013, 1, 1, 5, tzinfo=dt.UTC)
    assert parse_contract("t", text).columns["t"].min == bound
    assert parse_contract("t", with_zone).digest == parse_contract("t", text).digest


def test_what_older_contracts_could_not_say_changes_none_of_their_digests() -> None:
    """Their snapshots, and the models trained on them, keep their digests."""
    assert parse() == "9790377e2e282b8a39c62447ed2db1061fc648a0d73871e4de25f34f6b09fbfa"
    assert parse(f"{TEXT}unique: drop\ndialect: {{delimiter: ','}}\n") == parse()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("key: [day, flight]", "key: [day, flight]\nunique: table"),
        ("key: [day, flight]", "key: [day, flight]\ndialect: {delimiter: ;}"),
        ("key: [day, flight]", "key: [day, flight]\ndialect: {header: false}"),
        ("type: date,", "type: date, format: '%d/%m/%Y',"),
        ("nullable: true,", "nullable: true, default: null,"),
        ("  origin:", "  b: {type: bool}\n  origin:"),
    ],
)
def test_what_newer_contracts_say_changes_the_digest(old: str, new: str) -> None:
    assert old in TEXT
    assert parse(TEXT.replace(old, new)) != parse()


def test_words_of_a_boolean_are_a_set_each() -> None:
    text = TEXT + "  b: {type: bool, true: [Y, J], false: [N]}\n"
    contract = parse_contract("flights", text)
    assert contract.columns["b"].true == ("Y", "J")
    assert contract.columns["b"].false == ("N",)
    assert parse(text.replace("[Y, J]", "[J, Y]")) == contract.digest
    assert parse(text.replace("[Y, J]", "[Y]")) != contract.digest


def test_a_decimal_has_bounds_of_its_digits() -> None:
    column = parse_contract(
        "t", "source: d\nformat: csv\ncolumns: {q: {type: 'decimal(5,2)', min: 0.1, max: 100}}\n"
    ).columns["q"]
    assert column.digits == (5, 2)
    assert (str(column.min), str(column.max)) == ("0.10", "100.00")


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("{type: 'decimal(39,2)'}", "a decimal has 1 to 38 digits"),
        ("{type: 'decimal(3,4)'}", "a decimal has 1 to 38 digits"),
        ("{type: decimal(3,4)}", "inside of braces, quote it"),
        ("{type: 'decimal(5,2)', max: 0.125}", "0.125 is not a value of type decimal(5,2)"),
        ("{type: 'decimal(5,2)', max: 1000}", "1000 is not a value of type decimal(5,2)"),
        ("{type: binary}", "csv has no binary values"),
        ("{type: number}", "columns.x.type: 'number' is no type"),
        ("{type: int8, default: 0, nullable: true}", "columns.x.default: only null"),
        ("{type: int8, default: null}", "say `nullable: true` too"),
        ("{type: bool, true: [Y]}", "`true` and `false` go together"),
        ("{type: int8, true: [Y], false: [N]}", "for a bool"),
        ("{type: bool, true: [Y], false: [Y]}", "a text means both true and false"),
        ("{type: bool, true: [1], false: [0]}", "Input should be a valid string"),
        ("{type: int8, format: '%Y'}", "columns.x.format: is of a date or datetime"),
        ("{type: date, format: '%Y'}", "it does not say year, month and day"),
        ("{type: date, format: '%Y-%m-%d %H:%M'}", "a date has no time"),
        ("{type: datetime, format: '%Y-%m-%d'}", "it does not say hour and minute"),
        ("{type: datetime, format: '%Y-%m-%d %I:%M'}", "it does not say hour and minute"),
        ("{type: date, format: '%Y-%m-%q'}", "%q is not one of its directives"),
        ("{type: date, format: '%Y-%m-%d %'}", "% is not one of its directives"),
        ("{type: date, format: '%Y-%m-%d %d'}", "a directive stands twice"),
        ("{type: datetime, format: '%Y-%m-%d %H:%M%f'}", "%f is a part of a second"),
        ("{type: date, zone: UTC}", "columns.x.zone: is of a datetime"),
        ("{type: datetime, zone: Berlin}", "'Berlin' is neither an offset such as +01:00"),
    ],
)
def test_settings_of_a_column_that_contradict_each_other_are_refused(
    column: str, said: str
) -> None:
    with pytest.raises(DeclarationError, match=r"^data/t\.yaml: ") as caught:
        parse_contract("t", f"source: d\nformat: csv\ncolumns:\n  x: {column}\n")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("dialect: {delimiter: ''}", "dialect.delimiter: '' is not one ASCII character"),
        ("dialect: {delimiter: '::'}", "dialect.delimiter: '::' is not one ASCII character"),
        ("dialect: {delimiter: '§'}", "dialect.delimiter: '§' is not one ASCII character"),
        ('dialect: {escape: "\\n"}', "dialect.escape: '\\n' is not one ASCII character"),
        ("dialect: {quote: ','}", "delimiter, quote, escape and comment must differ"),
        ("dialect: {comment: '\"x'}", "delimiter, quote, escape and comment must differ"),
        ("dialect: {decimal: x}", "dialect.decimal: is a point or a comma"),
        ("dialect: {thousands: '.'}", "dialect.thousands: is one of"),
        ("dialect: {encoding: ebcdic}", "dialect.encoding"),
        ("dialect: {seperator: ;}", "unknown key 'seperator'"),
        ("unique: table", "unique: table needs a key"),
    ],
)
def test_a_dialect_that_contradicts_itself_is_refused(setting: str, said: str) -> None:
    with pytest.raises(DeclarationError, match=r"^data/t\.yaml: ") as caught:
        parse_contract("t", f"source: d\nformat: csv\n{setting}\ncolumns: {{x: {{type: int8}}}}\n")
    assert said in str(caught.value)


def test_a_dialect_is_of_csv_alone() -> None:
    text = "source: d\nformat: jsonl\ndialect: {delimiter: ;}\ncolumns: {x: {type: int8}}\n"
    with pytest.raises(DeclarationError, match="dialect: is of CSV, and the format is jsonl"):
        parse_contract("t", text)
