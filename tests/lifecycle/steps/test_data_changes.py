"""What a report says of a change of data."""

from __future__ import annotations

import pytest

from tests.support.line import Line


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
