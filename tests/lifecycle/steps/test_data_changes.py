"""What a report says of a change of data."""

from __future__ import annotations

import pytest

from tests.support.line import Line
from tests.support.parcels import drop


@pytest.mark.slow
def test_the_report_of_a_new_drop_says_the_balance_of_the_label_and_that_it_came_twice(
    line: Line,
) -> None:
    line.branch("more")
    line.add_drops(4)
    april = "data/raw/parcels/2024-04.csv"
    pointer = (line.root / "author" / f"{april}.dvc").read_text()
    line.write("data/raw/parcels/copy.csv.dvc", pointer.replace("2024-04.csv", "copy.csv"))
    line.commit("A month more")
    line.check_out_pull(line.push("more"))
    [change] = line.evaluate(bundle=line.root / "found").report.data
    assert (change.table, change.rows_added, change.rows) == ("parcels", 400, 1600)
    balance, twice = change.notes
    assert balance.startswith("label late: false ")
    assert balance.count("→") == 2
    same = f"{april} and data/raw/parcels/copy.csv are one drop under 2 names"
    assert twice == f"{same}: its rows count once"


def in_grams(month: int) -> str:
    """A month's drop, of which the first two parcels weigh otherwise."""
    head, *rows = drop(month).splitlines()
    for number in range(2):
        name, day, _, *rest = rows[number].split(",")
        rows[number] = ",".join([name, day, f"{number}.125", *rest])
    return "\n".join([head, *rows]) + "\n"


@pytest.mark.slow
@pytest.mark.parametrize("is_private", [False, True])
def test_the_report_of_a_corrected_drop_shows_the_rows_that_changed(
    line: Line, is_private: bool
) -> None:
    line.branch("corrected")
    if is_private:
        line.edit("models/late.yaml", "key: [id]", "key: [id]\nprivate: [weight]")
    line.add_drops(3, made=in_grams)
    line.commit("March was weighed again")
    line.check_out_pull(line.push("corrected"))
    evaluated = line.evaluate(bundle=line.root / "found")
    [change] = evaluated.report.data
    weights = [row.split(",")[2] for row in drop(3).splitlines()[1:3]]
    shown = [f"weight {float(was)} → {number}.125" for number, was in enumerate(weights)]
    lines = [
        "2 rows changed under the same key (weight 2)",
        *(f"id {30_000 + n}: {'weight (private)' if is_private else shown[n]}" for n in range(2)),
    ]
    assert [note for note in change.notes if note in lines] == lines
    assert all(one in line.markdown(evaluated) for one in lines)
    page = (evaluated.folder / "evaluation" / "report.html").read_text(encoding="utf-8")
    assert [text in page for text in weights] == [not is_private] * 2
