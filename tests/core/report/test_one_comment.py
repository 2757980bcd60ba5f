"""One report comment a pull request: the rule by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergeline.core.report.one_comment import (
    LIMIT,
    ROOM,
    Stamp,
    Stamped,
    Steps,
    converge,
    read_stamp,
    stamped,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HEAD, OLD_HEAD = "a" * 40, "b" * 40


def report(number: int, minute: int, head: str = HEAD) -> Stamped:
    stamp = Stamp("report", head, NOON + timedelta(minutes=minute))
    return Stamped(number, stamp, stamped(stamp, f"minute {minute}"))


def test_a_stamp_is_read_back_in_any_time_zone() -> None:
    here = NOON.astimezone(timezone(timedelta(hours=-8)))
    body = stamped(Stamp("report", HEAD, here), "Better.\r\nMuch.")
    assert read_stamp(body, "report") == Stamp("report", HEAD, NOON)
    assert read_stamp(body.replace("\n", "\r\n", 1), "report") == Stamp("report", HEAD, NOON)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "Better.",
        "> " + Stamp("report", HEAD, NOON).line(),
        "Look:\n" + Stamp("report", HEAD, NOON).line(),
        Stamp("report", HEAD, NOON).line() + " trailing",
        Stamp("other", HEAD, NOON).line(),
        f"<!-- mergeline:report head={HEAD} evaluated=yesterday -->",
        f"<!-- mergeline:report head={HEAD} evaluated=2026-03-01 -->",
        "<!-- mergeline:report head=xyz evaluated=2026-03-01T12:00:00+00:00 -->",
    ],
)
def test_anything_else_is_no_stamp(body: str) -> None:
    assert read_stamp(body, "report") is None


@pytest.mark.parametrize("marker", ["", "a b", "-->", "A", "x" * 101, "a\nb"])
def test_a_marker_that_could_break_the_hidden_line_is_refused(marker: str) -> None:
    with pytest.raises(ValueError, match="marker"):
        Stamp(marker, HEAD, NOON)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        Stamp("report", HEAD, NOON.replace(tzinfo=None))


def test_the_longest_stamp_leaves_the_promised_room() -> None:
    body = stamped(Stamp("x" * 100, "a" * 64, NOON), "y" * ROOM)
    assert len(body) <= LIMIT


def test_the_kept_comment_takes_the_newest_report_of_its_later_twins() -> None:
    oldest, newest = report(3, minute=1), report(9, minute=5)
    wanted = report(0, minute=2)
    steps = converge([newest, oldest], wanted.stamp, wanted.body, current_head=HEAD)
    assert steps == Steps(edit=(3, newest.body), delete=(9,))


def test_a_report_on_the_current_head_beats_a_later_one_on_an_earlier_head() -> None:
    stands, wanted = report(3, minute=1), report(0, minute=9, head=OLD_HEAD)
    assert not converge([stands], wanted.stamp, wanted.body, current_head=HEAD)


def test_a_report_on_the_current_head_replaces_a_later_one_on_an_earlier_head() -> None:
    stands, wanted = report(3, minute=9, head=OLD_HEAD), report(0, minute=1)
    steps = converge([stands], wanted.stamp, wanted.body, current_head=HEAD)
    assert steps == Steps(edit=(3, wanted.body))


minutes = st.integers(0, 9)
heads = st.sampled_from([HEAD, OLD_HEAD])
comments = st.lists(st.tuples(st.integers(1, 50), minutes, heads), unique_by=lambda c: c[0])


@given(comments, minutes, heads)
def test_the_steps_leave_one_newest_report_and_nothing_more_to_do(
    there: list[tuple[int, int, str]], minute: int, head: str
) -> None:
    state = {number: report(number, at, on) for number, at, on in there}
    wanted = report(0, minute, head)
    steps = converge(state.values(), wanted.stamp, wanted.body, current_head=HEAD)
    best = max(
        [*state.values(), wanted], key=lambda c: (c.stamp.head_sha == HEAD, c.stamp.evaluated_at)
    )
    after = dict(state)
    if steps.post is not None:
        after[99] = Stamped(99, wanted.stamp, steps.post)
    if steps.edit is not None:
        number, body = steps.edit
        stamp = read_stamp(body, "report")
        assert stamp is not None
        after[number] = Stamped(number, stamp, body)
    for number in steps.delete:
        del after[number]
    (left,) = after.values()
    assert left.id == min(state, default=99)
    assert left.stamp == best.stamp
    assert not converge([left], wanted.stamp, wanted.body, current_head=HEAD)
