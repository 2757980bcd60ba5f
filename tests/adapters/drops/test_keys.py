from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mergeline.adapters.drops import keys
from mergeline.adapters.drops.keys import find_duplicates
from mergeline.core.data.snapshot import Drop
from mergeline.core.declare.columns import Column
from mergeline.core.declare.contract import Contract
from tests.support.memory import peak_memory
from tests.support.properties import few_or_many

NAMES = st.one_of(
    st.sampled_from(["hash", "row", "rows", "len", "count", "index", "0", "1", "literal", "key"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=5),
)
CELLS = st.tuples(st.integers(0, 3), st.sampled_from("ab"))


def expected(rows: Sequence[tuple[object, ...]]) -> list[tuple[int, str]]:
    """Rows whose key stands earlier, as plain Python finds them."""
    found = enumerate(rows, 1)
    return [(at, ", ".join(map(str, row))) for at, row in found if row in rows[: at - 1]]


def contract_of(names: list[str]) -> Contract:
    columns = {name: Column("string") for name in names}
    return Contract("t", "data/raw/t", "csv", columns, key=tuple(names))


@few_or_many(10, 500)
def test_whatever_a_contract_calls_its_columns_the_rows_named_twice_are_found(
    examples: settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "_ROWS_PER_BATCH", 3)
    monkeypatch.setattr(keys, "_ROWS_PENDING", 4)
    path = tmp_path / "a.parquet"

    @examples
    @given(
        names=st.lists(NAMES, min_size=2, max_size=2, unique_by=str.lower),
        rows=st.lists(CELLS, max_size=40),
        per_pass=st.sampled_from([2, 7, 1000]),
    )
    def hold(names: list[str], rows: list[tuple[int, str]], per_pass: int) -> None:
        monkeypatch.setattr(keys, "_ROWS_PER_PASS", per_pass)
        pl.DataFrame(rows, schema=names, orient="row").write_parquet(path)
        found = list(find_duplicates(path, Drop("a.csv", ""), contract_of(names), len(rows)))
        again = expected(rows)
        assert [(violation.row, violation.value) for violation, _ in found] == again[:5]
        assert sum(count for _, count in found) == len(again)

    hold()


@pytest.mark.slow
@pytest.mark.parametrize("distinct", [3, 4_000_000], ids=["a few keys", "each key twice"])
def test_memory_does_not_grow_with_the_rows_that_a_key_names(tmp_path: Path, distinct: int) -> None:
    path, rows = tmp_path / "a.parquet", 8_000_000
    key = pl.format("key-{}", pl.int_range(rows) % distinct).alias("k")
    pl.LazyFrame().select(key).sink_parquet(path, row_group_size=500_000)
    code = """
        import sys
        from pathlib import Path
        from mergeline.adapters.drops.keys import find_duplicates
        from mergeline.core.declare.columns import Column
        from mergeline.core.declare.contract import Contract
        from mergeline.core.data.snapshot import Drop
        contract = Contract("t", "d", "csv", {"k": Column("string")}, key=("k",))
        path, rows = Path(sys.argv[1]), int(sys.argv[2])
        found = list(find_duplicates(path, Drop("a.csv", ""), contract, rows))
        print(sum(count for _, count in found))
    """
    printed, memory = peak_memory(code, path, rows)
    assert int(printed) == rows - distinct
    assert memory < 550
