"""The same rows as pipelines/features.py gives, read from the CSV files with pandas."""

from pathlib import Path

import pandas as pd

from pipelines.features import HURRICANE, INPUTS, KEY, LABEL, LATE, NUMBERS, WEATHER


def read_rows() -> pd.DataFrame:
    """Each flight that departed, with its weather and its label, sorted by key."""
    flights = _read("flights")
    weather = _read("weather")[["origin", "time_hour", *WEATHER]]
    weather["wind_speed"] = weather["wind_speed"].where(weather["wind_speed"] <= HURRICANE)
    flights = flights[flights["dep_time"].notna()]
    rows = flights.merge(weather, on=["origin", "time_hour"], how="left")
    rows["flight_date"] = pd.to_datetime(rows[["year", "month", "day"]])
    rows["weekday"] = rows["flight_date"].dt.dayofweek + 1
    rows[LABEL] = (rows["arr_delay"] >= LATE) | rows["arr_delay"].isna()
    rows[NUMBERS] = rows[NUMBERS].astype(float)
    return rows[[*dict.fromkeys([*KEY, LABEL, *INPUTS])]].sort_values(KEY)


def held_out(rows: pd.DataFrame, every: int) -> pd.Series:
    """Whether a row's day is held out."""
    days = (rows["flight_date"] - pd.Timestamp("1970-01-01")).dt.days
    return days % every == 0


def _read(table: str) -> pd.DataFrame:
    files = sorted(Path("data/raw", table).glob("*.csv"))
    return pd.concat([pd.read_csv(file) for file in files], ignore_index=True)
