"""The rows of the delay model: what is known of a flight before it departs, and was it late?

Which flights count: those that departed. A cancelled flight never arrives, late or not; whether one
is cancelled is another question, so those rows are left out, and the model answers "if it flies,
will it be late?". A flight that departed and was diverted has no arrival delay in the data; it did
not arrive as planned, so it counts as late.

What the model may see: the plan, the plane and the weather of the hour of departure. Columns known
only after departure (dep_time, dep_delay, arr_time, arr_delay, air_time) make the label at most.
Missing values stay missing: the model has a branch for them, and no number is made up.

What is held out: whole days. Flights of one day share its storms and queues; a random split would
put a day's flights on both sides and flatter the model. The day's number decides, nothing else, so
a day is on the same side in each snapshot and the holdout grows with the data.
"""

from __future__ import annotations

import polars as pl

import mergeline

LATE = 15  # minutes
KEY = ["flight_date", "carrier", "flight", "origin"]
LABEL = "late"
SLICES = ["hour"]  # beside origin and carrier, which the model takes

CATEGORIES = ["carrier", "origin", "dest"]
PLAN = ["month", "weekday", "sched_dep_time", "sched_arr_time", "distance"]
PLANE = ["plane_year", "seats", "engines"]
WEATHER = [
    "temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib",
]  # fmt: skip
NUMBERS = [*PLAN, *PLANE, *WEATHER]
INPUTS = [*CATEGORIES, *NUMBERS]

HURRICANE = 120  # miles an hour; New York had none in 2013: a faster wind is a broken instrument


def flights() -> pl.LazyFrame:
    """Key, label, slices and inputs of each flight that departed, sorted by key."""
    weather = mergeline.table("weather").select(
        "origin",
        "time_hour",  # UTC in both tables: local hours come twice when summer time ends
        *[name for name in WEATHER if name != "wind_speed"],
        pl.when(pl.col("wind_speed") <= HURRICANE).then("wind_speed"),
    )
    date = pl.date("year", "month", "day")
    return (
        mergeline.table("flights")
        .filter(pl.col("dep_time").is_not_null())
        .join(weather, on=["origin", "time_hour"], how="left")
        .with_columns(
            flight_date=date,
            weekday=date.dt.weekday(),
            late=(pl.col("arr_delay") >= LATE).fill_null(value=True),
        )
        .with_columns(pl.col(NUMBERS).cast(pl.Float64))  # one that may be missing is no integer
        .select(*KEY, LABEL, *SLICES, *[name for name in INPUTS if name not in KEY])
        .sort(KEY)
    )


def held_out(every: int) -> pl.Expr:
    """Whether a flight's day is held out: every n-th day since 1970-01-01.

    Of an `every` that 7 does not divide, each day of the week gets its turn.
    """
    return pl.col("flight_date").dt.epoch("d") % every == 0
