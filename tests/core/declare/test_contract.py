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
