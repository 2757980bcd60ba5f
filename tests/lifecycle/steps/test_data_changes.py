"""What a report says of a change of data."""

from __future__ import annotations

from tests.support.line import Line


def test_the_report_of_a_new_drop_says_the_balance_of_the_label(line: Line) -> None:
    line.branch("more")
    line.add_drops(4)
    line.commit("A month more")
    line.check_out_pull(line.push("more"))
    [change] = line.evaluate(bundle=line.root / "found").report.data
    assert (change.table, change.rows_added, change.rows) == ("parcels", 400, 1600)
    [note] = change.notes
    assert note.startswith("label late: false ")
    assert note.count("→") == 2
