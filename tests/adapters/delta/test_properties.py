"""Random changes to a table's drops, against a plain model of its rows."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from mergeline.core.data.snapshot import Drop
from mergeline.core.declare.contract import parse_contract
from tests.adapters.delta.conftest import CONTRACT
from tests.support.properties import few_or_many

MONTHS = st.integers(0, 4)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), MONTHS, st.just(0)),
        st.tuples(st.just("replace"), MONTHS, st.integers(1, 3)),
        st.tuples(st.just("withdraw"), MONTHS, st.just(0)),
        st.tuples(st.just("revert"), st.integers(0, 6), st.just(0)),
    ),
    min_size=1,
    max_size=9,
)


def apply(
    state: dict[int, int], past: list[dict[int, int]], operation: tuple[str, int, int]
) -> None:
    """Change the model: edition by month."""
    kind, number, edition = operation
    if kind == "withdraw":
        state.pop(number, None)
    elif kind == "revert":
        state.clear()
        state.update(past[-1 - number % len(past)] if past else {})
    else:
        state[number] = edition


def hold_changes(
    operations: list[tuple[str, int, int]], new_world: Callable[[str | Path], Any]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = new_world(folder)
        state: dict[int, int] = {}
        past: list[dict[int, int]] = []
        held: dict[frozenset[str], int] = {}
        rows: dict[int, pl.DataFrame] = {}
        for operation in operations:
            apply(state, past, operation)
            past.append(dict(state))
            drops: list[Drop] = [
                world.drop(month, rows=3 + edition, edition=f"e{edition}")
                for month, edition in state.items()
            ]
            built = world.build(*drops)
            content = frozenset(drop.md5 for drop in drops)
            assert built.found == (content in held)
            assert held.setdefault(content, built.version) == built.version
            rows[built.version] = world.rows(drops)
            assert world.scanned(built.version).equals(rows[built.version])
        # Every version is still what it was, no drop was written twice, and nothing is left over.
        for version, expected in rows.items():
            assert world.scanned(version).equals(expected)
        assert len(world.written) == len(set(world.written))
        assert DeltaTable(f"{folder}/t").version() == len(held) - 1
        files = {path.name.partition("-")[0] for path in Path(folder, "t").glob("*.parquet")}
        assert files == set().union(*held)
        assert not list(Path(folder, "t", "_incoming").glob("*"))


@few_or_many(3, 200)
def test_any_sequence_of_changes_holds_what_the_model_holds(
    new_world: Callable[[str | Path], Any], examples: settings
) -> None:
    examples(given(OPERATIONS, st.just(new_world))(hold_changes))()


CONTRACTS = (
    CONTRACT,
    CONTRACT.replace("  b: {type: bool}\n", ""),
    CONTRACT.replace("{type: int8}", "{type: int8, max: 99}"),  # other rules, the same columns
    CONTRACT.replace("f: {type: float32}", "f: {type: float64}"),
)


CHANGES = st.lists(
    st.tuples(st.sampled_from(range(len(CONTRACTS))), st.frozensets(MONTHS)),
    min_size=1,
    max_size=7,
)


def hold_contracts(
    changes: list[tuple[int, frozenset[int]]], new_world: Callable[[str | Path], Any]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        worlds = []
        for text in CONTRACTS:
            world = new_world(folder)
            world.contract = parse_contract("t", text)
            worlds.append(world)
        held: dict[tuple[int, frozenset[int]], int] = {}
        for number, months in changes:
            world = worlds[number]
            drops = [world.drop(month, rows=3) for month in months]
            built = world.build(*drops)
            assert built.found == ((number, months) in held)
            assert held.setdefault((number, months), built.version) == built.version
        for (number, months), version in held.items():
            world = worlds[number]
            expected = world.rows([world.drop(month, rows=3) for month in months])
            found = world.scanned(version)
            assert found.columns == list(world.contract.columns)
            assert found.equals(expected)
        for world in worlds:
            assert len(world.written) == len(set(world.written))
        entries = DeltaTable(f"{folder}/t").history()
        digests = {entry["snapshot"] for entry in entries if "snapshot" in entry}
        assert len(digests) == len(held)


@few_or_many(3, 200)
def test_any_sequence_of_drops_and_contracts_holds_what_the_model_holds(
    new_world: Callable[[str | Path], Any], examples: settings
) -> None:
    examples(given(CHANGES, st.just(new_world))(hold_contracts))()


@few_or_many(3, 100)
def test_rows_come_in_one_order_whatever_the_history(
    new_world: Callable[[str | Path], Any], examples: settings
) -> None:
    @examples
    @given(months=st.permutations(range(4)), cut=st.integers(0, 4))
    def hold(months: list[int], cut: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            world = new_world(folder)
            drops = [world.drop(month, rows=3) for month in months]
            world.build(*drops[:cut])
            assert world.scanned(world.build(*drops).version).equals(world.rows(drops))

    hold()
