from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

import mergeline
from mergeline.core.declare.contract import parse_contract
from mergeline.core.declare.model import parse_model
from pipelines import features

ROOT = Path(__file__).resolve().parents[2]
AFTER = {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"}
NOON = dt.datetime(2013, 2, 1, 0, tzinfo=dt.UTC)


def flight(**values: Any) -> dict[str, Any]:
    return {
        "year": 2013, "month": 1, "day": 31, "carrier": "UA", "flight": 7, "origin": "EWR",
        "dest": "IAH", "hour": 19, "sched_dep_time": 1915, "sched_arr_time": 2210,
        "dep_time": 1915, "dep_delay": 0, "arr_time": 2210, "arr_delay": 0, "air_time": 200,
        "distance": 1400, "time_hour": NOON, "plane_year": 1999, "seats": 149, "engines": 2,
        **values,
    }  # fmt: skip


def hour(**values: Any) -> dict[str, Any]:
    return {"origin": "EWR", "time_hour": NOON, **dict.fromkeys(features.WEATHER, 1.0), **values}


def rows_of(
    monkeypatch: pytest.MonkeyPatch, flights: list[dict[str, Any]], weather: list[dict[str, Any]]
) -> pl.DataFrame:
    tables = {"flights": pl.LazyFrame(flights), "weather": pl.LazyFrame(weather)}
    monkeypatch.setattr(mergeline, "table", tables.__getitem__)
    return features.flights().collect()


def test_the_model_takes_no_column_known_only_after_departure() -> None:
    contract = parse_contract("flights", (ROOT / "data/flights.yaml").read_bytes())
    said = {
        name
        for name, column in contract.columns.items()
        if column.description.startswith("Known only after departure")
    }
    model = parse_model("delay", (ROOT / "models/delay.yaml").read_bytes())
    assert said == AFTER == set(model.gate.unavailable)
    assert not AFTER & set(features.INPUTS)


def test_what_happened_after_departure_changes_no_input(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = rows_of(monkeypatch, [flight()], [hour()])
    late = {"dep_time": 2301, "dep_delay": 226, "arr_time": 155, "arr_delay": 225, "air_time": 99}
    came = rows_of(monkeypatch, [flight(**late)], [hour()])
    assert plan.drop("late").equals(came.drop("late"))
    assert plan["late"].to_list() + came["late"].to_list() == [False, True]


@pytest.mark.parametrize(("minutes", "late"), [(-20, False), (14, False), (15, True)])
def test_late_is_fifteen_minutes_or_more(
    minutes: int, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rows_of(monkeypatch, [flight(arr_delay=minutes)], [hour()])["late"].item() is late


def test_a_cancelled_flight_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled = flight(flight=8, dep_time=None, arr_delay=None)
    assert rows_of(monkeypatch, [cancelled, flight()], [hour()])["flight"].to_list() == [7]


def test_a_diverted_flight_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    diverted = flight(flight=8, arr_delay=None, air_time=None)
    assert rows_of(monkeypatch, [flight(), diverted], [hour()])["late"].to_list() == [False, True]


def test_a_missing_value_stays_missing_and_keeps_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = hour(origin="JFK")
    rows = rows_of(monkeypatch, [flight(seats=None, plane_year=1999.0)], [elsewhere])
    assert rows.select("seats", *features.WEATHER).row(0) == (None,) * 10


def test_weather_is_joined_by_the_hour_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    later = hour(time_hour=NOON + dt.timedelta(hours=1), temp=50.0)
    assert rows_of(monkeypatch, [flight()], [hour(temp=30.0), later])["temp"].item() == 30.0


def test_the_wind_of_a_broken_instrument_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(monkeypatch, [flight()], [hour(wind_speed=1048.36058)])
    assert rows["wind_speed"].item() is None


def test_the_order_of_drops_does_not_change_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    flights = [flight(flight=number, day=day) for number in (3, 1) for day in (9, 4)]
    one = rows_of(monkeypatch, flights, [hour()])
    assert one.equals(rows_of(monkeypatch, flights[::-1], [hour()]))


def test_whole_days_are_held_out_by_their_date_alone() -> None:
    every = yaml.safe_load((ROOT / "params.yaml").read_text())["evaluate"]["holdout_every"]
    year = pl.DataFrame(
        {"flight_date": pl.date_range(dt.date(2013, 1, 1), dt.date(2013, 12, 31), eager=True)}
    )
    held = year.filter(features.held_out(every))
    assert {date.isoweekday() for date in held["flight_date"]} == set(range(1, 8))
    assert abs(held.height - year.height / every) < 1
    for date in year["flight_date"]:
        alone = pl.DataFrame({"flight_date": [date]}).filter(features.held_out(every))
        assert (alone.height == 1) is (date in held["flight_date"])
