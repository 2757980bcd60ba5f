"""Drops in the working tree that are not what their pointers say."""

from __future__ import annotations

import time

import pytest

from mergeline.adapters.dvc.drops import DropStore
from mergeline.cli.show import change_plan_lines, release_lines
from mergeline.core.declare.pointer import Pointer
from mergeline.errors import DropError
from mergeline.lifecycle.verbs.plan import plan
from mergeline.lifecycle.verbs.snapshot import snapshot
from tests.support.line import Line
from tests.support.parcels import drop

DROP = "data/raw/parcels/2024-01.csv"
NEXT = f"Take it in: dvc add {DROP}; or go back: dvc checkout {DROP}"


@pytest.mark.parametrize(
    "text", [drop(1)[:500], drop(1).replace("true", "Tru3")], ids=["shorter", "of the same size"]
)
def test_a_drop_that_differs_from_its_pointer_is_planned_and_refused(
    clone: Line, text: str
) -> None:
    clone.write(DROP, text, at="runner")
    [one] = plan(clone.project())
    said = f"{DROP} differs from its pointer"
    assert change_plan_lines(one)[-1] == f"{said}, so evaluate and snapshot will refuse. {NEXT}"
    for verb in (lambda: snapshot(clone.project()), clone.evaluate):
        with pytest.raises(DropError) as caught:
            verb()
        assert str(caught.value) == f"{said}. {NEXT}."
        assert caught.value.exit_code == 2
    assert not (clone.runner.root / "data" / "parcels.snapshot.json").exists()


def test_a_drop_as_its_pointer_says_is_not_spoken_of(clone: Line) -> None:
    clone.write(DROP, drop(1), at="runner")
    [one] = plan(clone.project())
    assert one.differing == ()
    assert snapshot(clone.project())[0].found


def test_several_are_said_in_one_line(clone: Line) -> None:
    for month in (1, 2, 3):
        clone.write(f"data/raw/parcels/2024-0{month}.csv", "id\n", at="runner")
    with pytest.raises(DropError, match="3 drops differ from their pointers: data/"):
        snapshot(clone.project())


@pytest.mark.slow
def test_a_release_is_of_a_commit_whatever_lies_among_the_drops(line: Line) -> None:
    line.merge(1)
    line.write(DROP, "id\n", at="runner")
    assert release_lines(line.release()) == ["late v2 is in production"]
    assert line.quick.runs == []


def test_a_drop_that_is_in_no_store_and_differs_is_not_asked_for(clone: Line) -> None:
    """`dvc push`, by whoever added it, is not what mends this."""
    pointer = clone.runner.root / f"{DROP}.dvc"
    lines = pointer.read_text().splitlines()
    lines[1] = f"- md5: {'ab' * 16}"
    pointer.write_text("\n".join(lines) + "\n")
    clone.write(DROP, drop(1), at="runner")
    with pytest.raises(DropError, match="differs from its pointer"):
        snapshot(clone.project())


@pytest.mark.slow
def test_a_thousand_drops_are_read_once(clone: Line) -> None:
    folder = clone.runner.root / "data" / "raw" / "many"
    folder.mkdir()
    pointers = []
    for number in range(1000):
        (folder / f"{number}.csv").write_bytes(b"x" * 100)
        target = f"data/raw/many/{number}.csv"
        pointers.append(Pointer(f"{target}.dvc", target, "ab" * 16, 100 if number else 99))
    store = DropStore(clone.runner.root)
    assert len(store.differing(pointers)) == 1000
    (folder / "7.csv").unlink()
    start = time.process_time()
    assert len(store.differing(pointers)) == 999
    assert time.process_time() - start < 2
    by_size = [Pointer(one.path, one.target, one.md5, 7) for one in pointers]
    start = time.process_time()
    assert len(store.differing(by_size)) == 999
    assert time.process_time() - start < 0.5
