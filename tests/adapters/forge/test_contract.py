"""What every forge must do, shown on each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from mergeline.adapters.forge.base import Comment, Forge
from mergeline.core.report.one_comment import LIMIT, Stamp
from mergeline.errors import ForgeError, NotFoundError
from tests.support.forge_worlds import Method, World

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def bodies(forge: Forge, number: int) -> list[str]:
    return [comment.body for comment in forge.comments(number)]


def test_a_pull_request_is_read_whole(world: World) -> None:
    number = world.open("More trees | `x`", author="ana", labels=("attribution", "data"))
    found = world.forge().pull_request(number)
    assert (found.number, found.open) == (number, True)
    assert found.labels == ("attribution", "data")
    assert len(found.head_sha) == 40


def test_the_head_follows_the_branch(world: World) -> None:
    number = world.open("More trees")
    pushed = world.push(number)
    assert world.forge().pull_request(number).head_sha == pushed


@pytest.mark.parametrize("method", ["squash", "rebase", "merge"])
def test_the_pull_request_of_each_commit_that_a_merge_left_is_found(
    world: World, method: Method
) -> None:
    world.open("Another one")
    number = world.open("More trees")
    world.push(number)
    gained = world.merge(number, method)
    assert len(gained) == {"squash": 1, "rebase": 2, "merge": 3}[method]
    for commit in gained:
        found = world.forge().pull_request_of(commit)
        assert found is not None
        assert (found.number, found.open) == (number, False)


def test_the_pull_request_that_proposes_a_commit_is_found(world: World) -> None:
    number = world.open("More trees")
    head = world.push(number)
    found = world.forge().pull_request_of(head)
    assert found is not None
    assert (found.number, found.open) == (number, True)


def test_a_commit_pushed_to_main_has_no_pull_request(world: World) -> None:
    world.open("More trees")
    assert world.forge().pull_request_of(world.direct_commit()) is None


def test_what_does_not_exist_is_said_to_be_missing(world: World) -> None:
    number = world.open("More trees")
    forge = world.forge()
    for ask in (
        lambda: forge.pull_request(number + 1),
        lambda: forge.comments(number + 1),
        lambda: forge.comment(number + 1, "Hello"),
        lambda: forge.upsert_report(number + 1, "Better.", Stamp("report", "a" * 40, NOON)),
        lambda: forge.pull_request_of("f" * 40),
        lambda: forge.set_status("f" * 40, "success", "Better"),
    ):
        with pytest.raises(NotFoundError) as caught:
            ask()
        assert caught.value.next_step


def test_a_report_is_written_once_and_then_rewritten_in_its_place(world: World) -> None:
    number = world.open("More trees")
    world.say(number, "ana", "Please look.")
    head = world.forge().pull_request(number).head_sha
    first = world.forge().upsert_report(number, "Can't tell.", Stamp("report", head, NOON))
    world.say(number, "ben", "Thanks.")
    head = world.push(number)
    later = NOON + timedelta(minutes=5)
    second = world.forge().upsert_report(number, "Better.", Stamp("report", head, later))
    assert second.id == first.id
    assert (second.author, second.body.split("\n", 1)[1]) == (world.us, "Better.")
    assert len(world.forge().comments(number)) == 3


def test_writing_the_same_report_again_changes_nothing(world: World) -> None:
    number = world.open("More trees")
    head = world.forge().pull_request(number).head_sha
    first = world.forge().upsert_report(number, "Better.", Stamp("report", head, NOON))
    assert world.forge().upsert_report(number, "Better.", Stamp("report", head, NOON)) == first


def test_our_report_is_found_behind_hundreds_of_comments(world: World) -> None:
    number = world.open("More trees")
    head = world.forge().pull_request(number).head_sha
    for count in range(120):
        world.say(number, "ana", f"Thought {count}")
    first = world.forge().upsert_report(number, "One.", Stamp("report", head, NOON))
    for count in range(120):
        world.say(number, "ben", f"Answer {count}")
    later = NOON + timedelta(seconds=1)
    assert world.forge().upsert_report(number, "Two.", Stamp("report", head, later)).id == first.id
    assert len(world.forge().comments(number)) == 241


@pytest.mark.parametrize("author", ["ana", "github-actions"])
def test_a_persons_comment_that_quotes_the_marker_is_never_touched(
    world: World, author: str
) -> None:
    number = world.open("More trees")
    head = world.forge().pull_request(number).head_sha
    line = Stamp("report", head, NOON).line()
    quotes = [f"{line}\nI copied this.", f"> {line}\n> Better.\n\nReally?"]
    for quote in quotes:
        world.say(number, author, quote)
    world.forge().upsert_report(number, "Better.", Stamp("report", head, NOON))
    later = NOON + timedelta(seconds=1)
    world.forge().upsert_report(number, "Worse.", Stamp("report", head, later))
    assert bodies(world.forge(), number)[:2] == quotes
    assert len(world.forge().comments(number)) == 3


def test_our_other_comments_are_no_report(world: World) -> None:
    number = world.open("More trees")
    head = world.forge().pull_request(number).head_sha
    line = Stamp("report", head, NOON).line()
    world.forge().comment(number, "Released as v4.")
    world.forge().comment(number, f"An earlier report began with\n{line}")
    world.forge().upsert_report(number, "Other model.", Stamp("report/other", head, NOON))
    world.forge().upsert_report(number, "Better.", Stamp("report", head, NOON))
    assert len(world.forge().comments(number)) == 4


def test_an_earlier_report_never_overwrites_a_later_one(world: World) -> None:
    number = world.open("More trees")
    head = world.forge().pull_request(number).head_sha
    stands = world.forge().upsert_report(number, "New.", Stamp("report", head, NOON))
    earlier = NOON - timedelta(microseconds=1)
    assert world.forge().upsert_report(number, "Old.", Stamp("report", head, earlier)) == stands
    assert len(world.forge().comments(number)) == 1


def test_a_slow_run_of_an_earlier_push_never_overwrites_the_report_of_the_last(
    world: World,
) -> None:
    number = world.open("More trees")
    old_head = world.forge().pull_request(number).head_sha
    new_head = world.push(number)
    stands = world.forge().upsert_report(
        number, "Of the last push.", Stamp("report", new_head, NOON)
    )
    later = NOON + timedelta(hours=1)
    slow = world.forge().upsert_report(
        number, "Of an earlier push.", Stamp("report", old_head, later)
    )
    assert slow == stands


@pytest.mark.parametrize("runs", [2, 5])
def test_parallel_first_posts_end_at_one_comment_with_the_newest_report(
    world: World, runs: int
) -> None:
    number = world.open("More trees")
    head = world.forge().pull_request(number).head_sha
    barrier = threading.Barrier(runs)

    def run(index: int) -> Comment:
        forge = world.forge()
        barrier.wait()
        when = NOON + timedelta(minutes=index)
        return forge.upsert_report(number, f"Report {index}.", Stamp("report", head, when))

    with ThreadPoolExecutor(runs) as pool:
        list(pool.map(run, range(runs)))
    left = world.forge().comments(number)
    assert [comment.body.split("\n", 1)[1] for comment in left] == [f"Report {runs - 1}."]


@pytest.mark.parametrize("write", ["comment", "report"])
def test_a_comment_that_is_too_long_is_refused_before_anything_is_written(
    world: World, write: str
) -> None:
    number = world.open("More trees")
    forge = world.forge()
    long = "é" * LIMIT
    calls: dict[str, Callable[[], Comment]] = {
        "comment": lambda: forge.comment(number, long + "!"),
        "report": lambda: forge.upsert_report(number, long, Stamp("report", "a" * 40, NOON)),
    }
    with pytest.raises(ForgeError, match="65,536"):
        calls[write]()
    assert forge.comments(number) == ()
    assert forge.comment(number, long).body == long


def test_odd_characters_come_back_as_they_were_sent(world: World) -> None:
    number = world.open("More trees")
    text = "é 🛫 | `x` <!-- --> @ana\n\n\tend"
    assert world.forge().comment(number, text).body == text
    assert bodies(world.forge(), number) == [text]


def test_an_empty_comment_is_refused(world: World) -> None:
    number = world.open("More trees")
    with pytest.raises(ForgeError, match="empty"):
        world.forge().comment(number, " \n")


def test_the_last_note_of_an_approval_stands_beside_its_commit(world: World) -> None:
    head = world.forge().pull_request(world.open("Another holdout")).head_sha
    assert world.forge().noted(head, "approval") is None
    world.forge().note(head, "approval", "ana: it is fine")
    world.forge().set_status(head, "success", "Better")
    world.forge().note(head, "approval", "ana: on second thought")
    assert world.forge().noted(head, "approval") == "ana: on second thought"


def test_a_status_of_any_length_is_set(world: World) -> None:
    head = world.forge().pull_request(world.open("More trees")).head_sha
    world.forge().set_status(head, "pending", "Training")
    world.forge().set_status(head, "failure", "worse " * 100, "https://example.org/run")
