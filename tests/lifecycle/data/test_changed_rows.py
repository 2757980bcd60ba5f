"""Late corrections: what changed in the rows of a drop that was replaced, by key."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from mergeline.core.data.changed_rows import ChangedRow, changed_lines
from mergeline.errors import NotFoundError
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.verbs.data import diff, diff_rows
from tests.support.shop import Shop

HEADER = b"id,shop,amount,big\n"


def add(shop: Shop, month: str, *rows: str) -> None:
    content = HEADER + "".join(f"{row}\n" for row in rows).encode()
    shop.point(f"data/raw/sales/{month}.csv", shop.store(content))


def project(shop: Shop) -> Project:
    return Project.at(shop.root, {"MERGELINE_STATE": str(shop.state)})


@pytest.fixture
def corrected(shop: Shop) -> Shop:
    """January is corrected: a value, an absent one, one row more and one less; February stays."""
    add(shop, "01", "1,N,1.5,true", "2,W,2,false", "3,S,3,true", "4,S,4,true")
    add(shop, "02", "20,N,1.5,true")
    shop.build(shop.commit())
    add(shop, "01", "1,N,1.5,true", "2,W,9,true", "3,,3,true", "5,S,4,true")
    shop.build(shop.commit())
    return shop


def test_rows_that_changed_under_the_same_key_are_counted_and_shown(corrected: Shop) -> None:
    found = diff_rows(project(corrected), "sales", "0", "1")
    assert (found.changed, found.added, found.removed) == (2, 1, 1)
    assert found.columns == {"shop": 1, "amount": 1, "big": 1}
    assert found.examples == (
        ChangedRow(
            {"id": "2"}, {"amount": "2.0", "big": "False"}, {"amount": "9.0", "big": "True"}
        ),
        ChangedRow({"id": "3"}, {"shop": "S"}, {"shop": None}),
    )
    assert changed_lines(found) == (
        "2 rows changed under the same key (shop 1, amount 1, big 1)",
        "id 2: amount 2.0 → 9.0, big False → True",
        "id 3: shop S → absent",
    )


def test_of_private_columns_no_value_is_told(corrected: Shop) -> None:
    found = diff_rows(project(corrected), "sales", "0", "1")
    assert changed_lines(found, most=1, private=["amount"]) == (
        "2 rows changed under the same key (shop 1, amount 1, big 1)",
        "id 2: amount (private), big False → True",
    )
    assert len(changed_lines(found, private=["id"])) == 1


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_all_changed_rows_can_be_written_to_a_file(
    corrected: Shop, tmp_path: Path, suffix: str
) -> None:
    target = tmp_path / f"changed.{suffix}"
    diff_rows(project(corrected), "sales", "0", "1", target=target)
    scans: dict[str, Callable[..., pl.LazyFrame]] = {
        "csv": pl.scan_csv,
        "parquet": pl.scan_parquet,
        "jsonl": pl.scan_ndjson,
    }
    frame = scans[suffix](target).collect()
    assert frame.columns == [
        "id", "shop before", "shop after", "amount before", "amount after", "big before",
        "big after",
    ]  # fmt: skip
    assert frame.rows() == [(2, "W", "W", 2, 9, False, True), (3, "S", None, 3, 3, True, True)]


def test_drops_that_are_only_added_change_no_row(shop: Shop) -> None:
    add(shop, "01", "1,N,1.5,true")
    shop.build(shop.commit())
    add(shop, "02", "20,N,1.5,true")
    shop.build(shop.commit())
    found = diff_rows(project(shop), "sales", "0", "1")
    assert (found.changed, found.added, found.removed, found.examples) == (0, 1, 0, ())
    assert changed_lines(found) == ()


def test_a_table_without_a_key_has_no_rows_to_compare(corrected: Shop) -> None:
    contract = corrected.root / "data" / "sales.yaml"
    contract.write_text(contract.read_text().replace("key: [id]\n", ""))
    with pytest.raises(NotFoundError, match="by the contract's key"):
        diff_rows(project(corrected), "sales", "0", "1")


def test_a_column_added_later_is_told_with_the_drops_that_lack_it(shop: Shop) -> None:
    add(shop, "01", "1,N,1.5,true")
    add(shop, "02", "2,N,1.5,true")
    shop.build(shop.commit())
    contract = shop.root / "data" / "sales.yaml"
    contract.write_text(
        contract.read_text() + "  tax: {type: float64, nullable: true, default: null}\n"
    )
    content = b"id,shop,amount,big,tax\n3,N,1.5,true,0.2\n"
    shop.point("data/raw/sales/03.csv", shop.store(content))
    shop.build(shop.commit())
    found = diff(project(shop), "sales", "0", "1")
    assert list(map(str, found.schema)) == [
        "column tax is new (float64); 2 of 3 drops without a value in it"
    ]
