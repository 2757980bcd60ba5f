"""JSON rows become the frame that the model was judged on, or are refused by name."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergeline.core.compare.result import InputColumn
from mergeline.errors import InputError
from mergeline.serving.rows import ROW_LIMIT, RowReader, to_batch
from mergeline.serving.strict_json import read_json

INPUTS = {
    "wind": InputColumn("wind", "double", required=True),
    "small": InputColumn("small", "float", required=False),
    "hour": InputColumn("hour", "long", required=True),
    "seats": InputColumn("seats", "integer", required=False),
    "origin": InputColumn("origin", "string", required=False),
    "holiday": InputColumn("holiday", "boolean", required=True),
    "at": InputColumn("at", "datetime", required=False),
}


def to_frame(rows: object, inputs: dict[str, InputColumn]) -> pd.DataFrame:
    return to_batch(rows, inputs).frame()


ROW: dict[str, Any] = {
    "wind": 8.5, "small": 0.5, "hour": 17, "seats": 180, "origin": "JFK", "holiday": False,
    "at": "2013-07-01T17:00:00",
}  # fmt: skip


def test_each_column_gets_the_type_that_the_signature_says() -> None:
    made = to_frame([ROW, ROW], INPUTS)
    assert list(made) == list(INPUTS)
    assert {name: str(kind) for name, kind in made.dtypes.items() if name != "origin"} == {
        "wind": "float64",
        "small": "float32",
        "hour": "int64",
        "seats": "int32",
        "holiday": "bool",
        "at": "datetime64[us]",
    }
    assert made["origin"].dtype == pd.Series(["JFK"]).dtype


def test_the_order_of_keys_does_not_matter() -> None:
    backwards = dict(reversed(ROW.items()))
    pd.testing.assert_frame_equal(to_frame([backwards], INPUTS), to_frame([ROW], INPUTS))


def test_gaps_are_what_they_are_in_the_evaluated_rows(tmp_path: Any) -> None:
    gaps = {"wind": None, "small": None, "origin": None, "at": None}
    made = to_frame([ROW, ROW | gaps], INPUTS)
    made.to_parquet(tmp_path / "rows.parquet")
    pd.testing.assert_frame_equal(made, pd.read_parquet(tmp_path / "rows.parquet"))
    assert made.isna().sum().to_dict() == {name: int(name in gaps) for name in INPUTS}


def test_a_column_that_may_be_empty_may_be_left_out() -> None:
    short = {name: ROW[name] for name in ("wind", "hour", "holiday")}
    made = to_frame([short], INPUTS)
    assert made[["small", "seats", "origin", "at"]].isna().all(axis=None)


def test_whole_numbers_may_come_as_floats_and_floats_as_whole_numbers() -> None:
    made = to_frame([ROW | {"hour": 17.0, "wind": 8}], INPUTS)
    assert made.loc[0, "hour"] == 17
    assert made.loc[0, "wind"] == 8.0


def test_a_time_in_another_zone_is_converted_to_utc() -> None:
    made = to_frame([ROW | {"at": "2013-07-01T13:00:00-04:00"}], INPUTS)
    assert made.loc[0, "at"] == dt.datetime(2013, 7, 1, 17)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"wind": "8.5"}, "'8.5' is not of type double"),
        ({"wind": True}, "True is not of type double"),
        ({"wind": float("1e400")}, "inf is beyond the largest double"),
        ({"wind": 10**400}, "is beyond the largest double"),
        ({"small": 1e200}, "1e+200 is beyond the largest float"),
        ({"hour": 17.5}, "17.5 is not a whole number"),
        ({"hour": float("1e400")}, "inf is not of type long"),
        ({"hour": 2**63}, "is beyond the 64 bits of long"),
        ({"hour": False}, "False is not of type long"),
        ({"hour": None}, "null, where the model has always had a value"),
        ({"seats": 2**31}, "2147483648 is beyond the 32 bits of integer"),
        ({"origin": 5}, "5 is not of type string"),
        ({"origin": ["JFK"]}, "['JFK'] is not of type string"),
        ({"holiday": 0}, "0 is not of type boolean"),
        ({"holiday": None}, "null, where the model has always had a value"),
        ({"at": "yesterday"}, "'yesterday' is not of type datetime"),
        ({"at": 1372698000}, "1372698000 is not of type datetime"),
    ],
)
def test_a_value_of_another_type_is_refused_by_row_and_column(
    change: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InputError) as refused:
        to_frame([ROW, ROW | change], INPUTS)
    assert problem in refused.value.message
    assert refused.value.where == f"rows[1].{next(iter(change))}"


def test_a_long_value_is_not_repeated_whole() -> None:
    with pytest.raises(InputError) as refused:
        to_frame([ROW | {"hour": "x" * 10_000}], INPUTS)
    assert len(refused.value.message) < 100


def test_a_column_that_the_model_does_not_take_is_let_be() -> None:
    """Production's callers send it on when the next version has no use for it."""
    more = {"dest": ["any", {"thing": 1}], "orgin": "LGA"}
    pd.testing.assert_frame_equal(to_frame([ROW | more, ROW], INPUTS), to_frame([ROW] * 2, INPUTS))
    short = {name: ROW[name] for name in ROW if name != "seats"}
    made = to_frame([short | more], INPUTS)
    assert list(made) == list(INPUTS)
    assert made["seats"].isna().all()


@pytest.mark.parametrize("typed", ["orgin", "Origin", "ORIGIN", "origin "])
def test_a_column_that_resembles_one_which_the_row_lacks_is_a_typing_mistake(typed: str) -> None:
    slip = {name: ROW[name] for name in ROW if name != "origin"} | {typed: "JFK"}
    said = rf"unknown column '{typed}' \(did you mean 'origin'\?\)"
    with pytest.raises(InputError, match=said) as refused:
        to_frame([ROW, slip], INPUTS)
    assert refused.value.where == "rows[1]"


def test_the_nearest_column_that_is_not_there_already_is_the_one_that_was_meant() -> None:
    inputs = {
        name: InputColumn(name, "double", required=False) for name in ("wind_speed", "wind_gust")
    }
    with pytest.raises(InputError, match=r"'wind_speeds' \(did you mean 'wind_speed'"):
        to_frame([{"wind_speeds": 1}], inputs)
    with pytest.raises(InputError, match=r"'wind_speeds' \(did you mean 'wind_gust'"):
        to_frame([{"wind_speeds": 1, "wind_speed": 1}], inputs)


def test_a_request_of_countless_unknown_columns_is_refused_before_all_are_compared() -> None:
    short = {name: ROW[name] for name in ROW if name != "seats"}
    made_up = [short | {f"{row}x{n}": 0 for n in range(101)} for row in range(10)]
    with pytest.raises(InputError, match="more than 1,000 columns that the model does not take"):
        to_frame(made_up, INPUTS)
    assert len(to_frame([made_up[0]] * 20, INPUTS)) == 20


def test_a_missing_column_is_named() -> None:
    with pytest.raises(InputError, match="the column 'holiday' is missing") as refused:
        to_frame([ROW, {name: ROW[name] for name in ROW if name != "holiday"}], INPUTS)
    assert refused.value.where == "rows[1]"


@pytest.mark.parametrize("rows", [None, {}, "rows", 3, [[1]], [None], [ROW, "row"]])
def test_anything_but_a_list_of_objects_is_refused(rows: object) -> None:
    with pytest.raises(InputError, match="object"):
        to_frame(rows, INPUTS)


def test_no_rows_and_too_many_are_refused() -> None:
    with pytest.raises(InputError, match="no rows"):
        to_frame([], INPUTS)
    with pytest.raises(InputError, match="10,001 rows"):
        to_frame([ROW] * (ROW_LIMIT + 1), INPUTS)


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "wind": st.floats() | st.integers(-(2**70), 2**70) | st.none(),
    "small": st.floats() | st.integers() | st.none(),
    "hour": st.integers(-(2**64), 2**64) | st.floats(-9, 9),
    "seats": st.integers(-(2**32), 2**32) | st.none() | st.sampled_from([1.0, 1.5]),
    "origin": st.text(max_size=4) | st.none() | st.sampled_from([":", '":', "\\u003a"]),
    "holiday": st.booleans() | st.none(),
    "at": st.datetimes().map(str) | st.none() | st.just("2013-07-01T13:00:00-04:00") | st.text(),
}


@given(
    st.lists(st.fixed_dictionaries(VALUES), max_size=3),
    st.sampled_from(['"wind": 1, ', '"windy": 1, ', '"wi\\u006ed": 1, ', ""]),
    st.sampled_from([None, 1]),
)
def test_what_the_quick_reader_takes_the_careful_one_takes_as_the_same(
    rows: list[dict[str, Any]], more: str, indent: int | None
) -> None:
    text = json.dumps({"rows": rows}, indent=indent).replace("{", "{" + more).replace(more, "", 1)
    try:
        body = text.encode()
    except UnicodeEncodeError:
        return
    taken = RowReader(INPUTS).quick("rows", body)
    if taken is None:
        return
    careful = to_batch(read_json(body)["rows"], INPUTS)
    assert repr(taken.columns) == repr(careful.columns)


@pytest.mark.parametrize(
    "body",
    [
        {"rows": [ROW, ROW | {"origin": None, "at": None, "small": None}]},
        {"rows": [ROW] * 1_000},
    ],
)
def test_the_quick_reader_takes_what_is_plainly_right(body: Any) -> None:
    reader = RowReader(INPUTS)
    taken = reader.quick("rows", json.dumps(body).encode())
    assert taken
    pd.testing.assert_frame_equal(taken.frame(), to_frame(body["rows"], INPUTS))
    twice = json.dumps(body).replace('"wind"', '"wind": 1.0, "wind"', 1).encode()
    assert reader.quick("rows", twice) is None
