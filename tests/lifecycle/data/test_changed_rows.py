"""Late corrections: what changed in the rows of a drop that was replaced, by key."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from mergeline.core.data.changed_rows import ChangedRow, changed_lines
from mergeline.core.data.snapshot import pointers_digest
from mergeline.core.data.wording import note_lines
from mergeline.errors import DeclarationError, NotFoundError
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.verbs.data import diff, diff_rows
from tests.support.shop import Shop, md5

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


@pytest.fixture
def replaced(shop: Shop) -> Shop:
    """January's correction comes under a name of its own, and January's pointer stays."""
    add(shop, "01", "1,N,1.5,true", "2,W,2,false")
    add(shop, "02", "20,N,1.5,true")
    shop.build(shop.commit())
    add(shop, "01-b", "1,N,1.5,true", "2,W,9,true", "3,S,1,true")
    pointer = shop.root / "data/raw/sales/01-b.csv.dvc"
    pointer.write_text(f"meta:\n  replaces: 01.csv\n{pointer.read_text()}")
    shop.build(shop.commit())
    return shop


def test_a_drop_takes_the_place_of_the_one_that_its_pointer_says_it_replaces(
    replaced: Shop,
) -> None:
    found = diff(project(replaced), "sales", "0", "1")
    [change] = found.drops
    assert change.path == "data/raw/sales/01-b.csv"
    assert change.replaces == "data/raw/sales/01.csv"
    assert (change.change, change.rows_before, change.rows_after) == ("replaced", 2, 3)
    assert note_lines(found) == ("data/raw/sales/01-b.csv replaces data/raw/sales/01.csv",)
    rows = diff_rows(project(replaced), "sales", "0", "1")
    assert (rows.changed, rows.added, rows.removed) == (1, 1, 0)
    assert sorted(replaced.tables.scan("sales", 1).collect()["id"]) == [1, 2, 3, 20]


def test_the_fingerprint_s_snapshot_is_the_one_that_was_built(replaced: Shop) -> None:
    tree = project(replaced).tree("HEAD")
    md5s = [pointer.md5 for pointer in tree.pointers_of(tree.contracts["sales"])]
    digest = pointers_digest(tree.contracts["sales"], md5s)
    assert replaced.tables.at_digest("sales", digest) == 1


def test_what_a_pointer_replaces_must_be_there(replaced: Shop) -> None:
    (replaced.root / "data/raw/sales/01.csv.dvc").unlink()
    with pytest.raises(DeclarationError) as caught:
        replaced.build(replaced.commit())
    assert str(caught.value) == (
        "data/raw/sales/01-b.csv.dvc: replaces data/raw/sales/01.csv, which no pointer of the "
        "table names. Correct the name. The pointer of a replaced drop stays, and counts no more; "
        "if it is gone for good, take `replaces` out."
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of DVC's own dependencies
def test_dvc_itself_keeps_what_a_pointer_replaces(replaced: Shop) -> None:
    """Where the drop is corrected once more, by `dvc add`."""
    from dvc.repo import Repo

    content = HEADER + b"2,W,10,true\n"
    (replaced.root / "data/raw/sales/01-b.csv").write_bytes(content)
    with Repo(str(replaced.root)) as repo:
        repo.add([str(replaced.root / "data/raw/sales/01-b.csv")])
    found = project(replaced).working_tree()
    pointers = found.pointers_of(found.contracts["sales"])
    assert pointers[0].replaces == "data/raw/sales/01.csv"
    assert pointers[0].md5 == md5(content)
