import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest

import mergeline
from mergeline.adapters.delta.building import make_file
from mergeline.adapters.delta.storage import open_storage
from mergeline.adapters.dvc.drops import DropStore
from mergeline.adapters.git.repository import Repository
from mergeline.cli.show import planned_snapshot_lines
from mergeline.core.data.snapshot import Built, Drop, Snapshot, pointers_digest
from mergeline.core.data.violations import RefusedDropError
from mergeline.core.declare.contract import parse_contract
from mergeline.errors import DeclarationError, DropError, NotFoundError
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.steps.project_tree import ProjectTree
from mergeline.lifecycle.steps.snapshots import (
    describe_built,
    gather_snapshots,
    write_pins,
    write_rows,
)
from mergeline.lifecycle.verbs.plan import _notes as table_notes
from mergeline.lifecycle.verbs.snapshot import plan_snapshots, snapshot
from tests.support.shop import Shop, sales


def gather(shop: Shop) -> Snapshot:
    tree = Repository.at(shop.root).working_tree()
    [snapshot] = gather_snapshots(ProjectTree(tree), DropStore(shop.root))
    return snapshot


def test_a_pull_request_that_adds_a_month_costs_that_month(shop: Shop) -> None:
    shop.add("2013-01")
    shop.add("2013-02")
    shop.build(shop.commit())
    shop.add("2013-03")
    built = shop.build(shop.commit())
    assert [drop.path for drop in built.converted] == ["data/raw/sales/2013-03.csv"]
    assert (built.version, built.rows) == (1, 15)


def test_a_revert_is_found(shop: Shop) -> None:
    shop.add("2013-01")
    first = shop.build(shop.commit())
    shop.add("2013-02")
    shop.build(shop.commit())
    shop.git("revert", "--no-edit", "HEAD")
    again = shop.build("HEAD")
    assert (again.digest, again.version, again.found) == (first.digest, first.version, True)


def test_two_pull_requests_that_each_add_a_drop_merge_without_a_conflict(shop: Shop) -> None:
    shop.add("2013-01")
    shop.commit()
    for month in ("2013-02", "2013-03"):
        shop.git("checkout", "-q", "-b", month, "main")
        shop.add(month)
        shop.build(shop.commit())
    shop.git("merge", "-q", "--no-edit", "2013-02")
    merged = shop.build("HEAD")
    assert merged.rows == 15
    assert merged.converted == ()


def test_a_folder_pointer_and_file_pointers_make_the_same_table(shop: Shop) -> None:
    shop.add("2013-01")
    shop.add("2013-02")
    files = shop.build()
    digest = gather(shop).digest
    contents = {}
    for pointer in (shop.root / "data" / "raw" / "sales").iterdir():
        name = pointer.read_text().split()[3]
        contents[pointer.stem] = DropStore(shop.root).fetch(name).read_bytes()
        pointer.unlink()
    md5 = shop.add_folder(contents)
    folder = shop.build()
    assert (folder.digest, folder.version, folder.found) == (files.digest, files.version, True)
    snapshot = gather(shop)
    assert snapshot.digest == digest
    assert [drop.path for drop in snapshot.drops] == [
        "data/raw/sales/2013-01.csv",
        "data/raw/sales/2013-02.csv",
    ]
    assert pointers_digest(snapshot.contract, [md5]) != digest


def test_the_source_may_name_the_folder_pointer_itself(shop: Shop) -> None:
    contract = shop.root / "data" / "sales.yaml"
    contract.write_text(contract.read_text().replace("raw/sales", "raw/sales.dvc"))
    shop.add_folder({"a.csv": b"id,shop,amount,big\n1,N,1,true\n"})
    assert shop.build().rows == 1


def test_dvc_add_makes_pointers_that_are_read(shop: Shop) -> None:
    folder = shop.root / "data" / "raw" / "sales"
    folder.mkdir(parents=True)
    (folder / "2013-01.csv").write_bytes(b"id,shop,amount,big\n1,N,1,true\n")
    subprocess.run(
        [sys.executable, "-m", "dvc", "add", "-q", "data/raw/sales/2013-01.csv"],
        cwd=shop.root,
        check=True,
    )
    assert shop.build(shop.commit()).rows == 1


def test_a_refused_drop_leaves_its_table_as_it_was(shop: Shop) -> None:
    shop.add("2013-01")
    shop.build()
    shop.add("2013-02", more="7x,N,1,true\n8,N,-1,true\n")
    with pytest.raises(RefusedDropError) as caught:
        shop.build()
    said = str(caught.value)
    assert said.startswith("data/raw/sales/2013-02.csv: breaks data/sales.yaml in 2 places")
    assert "line 7, column id: '7x' is not an int64" in said
    assert "line 8, column amount: '-1' is below 0.0" in said
    assert gather(shop).digest
    assert len(list((shop.state / "tables" / "sales" / "_delta_log").iterdir())) == 1


@pytest.mark.parametrize("why", ["it is refused", "its content is missing"])
def test_a_drop_that_cannot_be_taken_leaves_the_other_tables_as_they_were_too(
    shop: Shop, why: str
) -> None:
    contract = (shop.root / "data/sales.yaml").read_text()
    (shop.root / "data/early.yaml").write_text(contract.replace("raw/sales", "raw/early"))
    shop.point("data/raw/early/2013-01.csv", shop.add("2013-01"))
    project = Project.at(shop.root)
    assert [built.table for built in snapshot(project)] == ["early", "sales"]
    shop.point("data/raw/early/2013-02.csv", shop.add("2013-02"))
    if why == "it is refused":
        shop.add("2013-02", more="7x,N,1,true\n")
    else:
        shop.point("data/raw/sales/2013-02.csv", "ab" * 16)
    before = commits(shop)
    with pytest.raises(DropError, match="data/raw/sales/2013-02"):
        snapshot(project)
    assert commits(shop) == before
    assert len(before) == 2
    shop.add("2013-02")
    assert [describe_built(built).partition(" rows, ")[2] for built in snapshot(project)] == [
        "0 drops converted, no bytes written", "1 drop converted, 0.0 MB written",
    ]  # fmt: skip


def commits(shop: Shop) -> list[Path]:
    return sorted((shop.state / "tables").glob("*/_delta_log/*.json"))


def test_a_drop_whose_content_is_missing_names_its_pointer(shop: Shop) -> None:
    shop.point("data/raw/sales/2013-01.csv", "ab" * 16)
    with pytest.raises(DropError, match=r"data/raw/sales/2013-01\.csv: .*dvc push"):
        shop.build()


def test_a_drop_edited_in_the_cache_is_refused(shop: Shop) -> None:
    name = shop.add("2013-01")
    path = DropStore(shop.root).fetch(name)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DropError, match="damaged in the DVC cache"):
        shop.build()


def test_a_contract_without_pointers_is_said(shop: Shop) -> None:
    with pytest.raises(DeclarationError, match="no pointers under data/raw/sales"):
        shop.build()


def test_one_line_reads_the_pinned_snapshot(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.add("2013-01")
    shop.build()
    write_pins([gather(shop)], shop.root)
    shop.add("2013-02")
    shop.build()
    assert mergeline.table("sales", shop.root).collect().height == 5
    inside = shop.root / "notebooks"
    inside.mkdir()
    monkeypatch.chdir(inside)
    assert mergeline.table("sales").collect().height == 5


def test_rows_of_a_state_folder_named_from_here_are_read_from_elsewhere_too(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add("2013-01")
    shop.build()
    write_pins([gather(shop)], shop.root)
    monkeypatch.chdir(shop.state.parent)
    monkeypatch.setenv("MERGELINE_STATE", shop.state.name)
    rows = mergeline.table("sales", shop.root)
    monkeypatch.chdir("/")
    assert rows.collect().height == 5


def test_a_pin_is_the_same_bytes_on_every_machine(shop: Shop, tmp_path: Path) -> None:
    shop.add("2013-02")
    shop.add("2013-01")
    [here] = write_pins([gather(shop)], shop.root)
    shop.commit()
    shop.git("clone", "-q", ".", str(tmp_path / "clone"))
    tree = Repository.at(tmp_path / "clone").tree("HEAD")
    [there] = write_pins(
        gather_snapshots(ProjectTree(tree), DropStore(tmp_path / "clone")), tmp_path
    )
    assert here.read_bytes() == there.read_bytes()


def test_nothing_pinned_is_said(shop: Shop) -> None:
    with pytest.raises(
        NotFoundError, match=r"no snapshot of 'sales' is pinned.*mergeline snapshot"
    ):
        mergeline.table("sales", shop.root)


def test_importing_mergeline_loads_no_table_library() -> None:
    code = "import sys, mergeline; print([m for m in ('polars', 'deltalake') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_a_thousand_pointers_stay_quick(shop: Shop) -> None:
    for n in range(1000):
        shop.point(f"data/raw/sales/{n:04}.csv", f"f{n:031x}")
    revision = shop.commit()
    start = time.perf_counter()
    tree = ProjectTree(Repository.at(shop.root).tree(revision))
    [snapshot] = gather_snapshots(tree, DropStore(shop.root))
    took = time.perf_counter() - start
    assert len(snapshot.drops) == 1000
    assert snapshot.digest == pointers_digest(
        parse_contract("sales", (shop.root / "data/sales.yaml").read_text()),
        [f"f{n:031x}" for n in range(1000)],
    )
    assert took < 2


def test_a_file_lost_is_planned_and_said_to_be_made_again(
    shop: Shop,
) -> None:
    shop.add("2013-01")
    shop.add("2013-02")
    shop.commit()
    project = Project(Repository.at(shop.root), {"MERGELINE_STATE": str(shop.state)})
    snapshot(project)
    file, other = (shop.state / "tables" / "sales").glob("*.parquet")
    file.unlink()
    os.truncate(other, 100)
    [planned] = plan_snapshots(project)
    assert planned_snapshot_lines(planned)[0].endswith(
        "2 drops, version 0 holds it; 2 damaged files would be made again"
    )
    [done] = snapshot(project)
    assert describe_built(done).endswith("version 0, 10 rows, 2 drops repaired, 0.0 MB written")
    [planned] = plan_snapshots(project)
    assert planned_snapshot_lines(planned)[0].endswith("2 drops, version 0 holds it")


def test_one_row_and_one_drop_are_said_in_the_singular() -> None:
    built = Built("t", 0, "ab" * 32, rows=1, converted=(Drop("a.csv", "0" * 32),))
    assert (
        describe_built(built) == "t abababab: version 0, 1 row, 1 drop converted, no bytes written"
    )


def project(shop: Shop) -> Project:
    return Project.at(shop.root, {"MERGELINE_STATE": str(shop.state)})


# --- what a person might not expect ---------------------------------------------------------------


def test_the_same_drop_under_two_names_is_said(shop: Shop) -> None:
    shop.add("2013-01")
    name = shop.add("2013-02")
    shop.point("data/raw/sales/copy.csv", name)
    note = (
        "data/raw/sales/2013-02.csv and data/raw/sales/copy.csv are one drop under 2 names: "
        "its rows count once"
    )
    shop.commit()
    [planned] = plan_snapshots(project(shop))
    assert planned_snapshot_lines(planned)[1:] == [note]
    [built] = snapshot(project(shop))
    assert built.notes == (note,)
    assert built.rows == 10


def test_files_in_a_folder_of_drops_that_are_no_data_are_skipped_and_said(shop: Shop) -> None:
    drops = {"2013-01.csv": sales("2013-01"), "more/2013-02.csv": sales("2013-02")}
    others = ["README.md", "LICENSE", ".DS_Store", "more/_SUCCESS", ".tmp/x.csv", "more/Thumbs.db"]
    shop.add_folder(drops | dict.fromkeys(others, b"no data"))
    shop.commit()
    [built] = snapshot(project(shop))
    assert built.rows == 10
    [note] = built.notes
    assert note == (
        "6 files are no drops by their names, and skipped: data/raw/sales/.DS_Store, "
        "data/raw/sales/.tmp/x.csv, data/raw/sales/LICENSE, …"
    )


def test_a_key_is_unique_over_all_drops_if_the_contract_says_so(shop: Shop) -> None:
    contract = shop.root / "data" / "sales.yaml"
    contract.write_text(contract.read_text().replace("key: [id]", "key: [id]\nunique: table"))
    shop.add("2013-01")
    shop.add("2013-02")
    first = shop.build(shop.commit())
    shop.add("again", first=201301003)
    problem = (
        r"^data/raw/sales: 2 keys \(id\) stand in more than one drop, for example 201301003; "
        r"201301004, and data/sales\.yaml says `unique: table`\. Mend or withdraw"
    )
    with pytest.raises(DropError, match=problem):
        shop.build(shop.commit())
    assert shop.tables.latest("sales") == first.version
    shop.add("again", first=7)
    assert shop.build(shop.commit()).rows == 15
    contract.write_text(contract.read_text().replace("unique: table", "unique: drop"))
    shop.add("again", first=201301003)
    assert shop.build(shop.commit()).rows == 15


def test_two_new_drops_that_share_a_key_are_refused_before_any_table_is_there(shop: Shop) -> None:
    contract = shop.root / "data" / "sales.yaml"
    contract.write_text(contract.read_text().replace("key: [id]", "key: [id]\nunique: table"))
    shop.add("2013-01", first=1)
    shop.add("2013-02", first=5)
    with pytest.raises(DropError, match=r"1 key \(id\) stands in more than one drop, .* 5, and"):
        shop.build(shop.commit())
    assert shop.tables.names(["sales"]) == []


def test_a_plan_says_that_a_new_drop_shares_keys_once_the_table_has_its_rows(shop: Shop) -> None:
    shop.add("2013-01")
    base = shop.commit()
    shop.build(base)
    shop.add("again", first=201301003)
    here, before = project(shop).working_tree(), project(shop).tree(base)

    def notes() -> tuple[str, ...]:
        return table_notes(project(shop), here, before, "sales")

    assert notes() == ()
    shop.build()
    said = "sales: 2 keys (id) stand in more than one drop"
    assert notes() == (said,)
    assert table_notes(project(shop), before, before, "sales") == ()
    assert table_notes(project(shop), here, None, "sales") == ()  # nothing is new without a base
    for path in (shop.state / "tables" / "sales").glob("*.parquet"):
        path.unlink()
    [lost] = notes()
    assert lost.startswith("sales: keys that drops share are not known here: ")


@pytest.mark.slow
def test_a_conversion_can_go_to_another_process_and_leaves_the_same_file(shop: Shop) -> None:
    """As to an executor of another machine: what it is given can be pickled."""
    shop.add("2013-01")
    built = shop.build(shop.commit())
    wanted = gather(shop)
    [(name, drop)] = wanted.files.items()
    elsewhere = open_storage(str(shop.root.parent / "elsewhere"))
    write = partial(write_rows, DropStore(shop.root), wanted.contract)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        size = pool.submit(make_file, elsewhere, wanted.contract, drop, write).result()
    here = Path(shop.tables.uri("sales"), name).read_bytes()
    assert Path(elsewhere.path(name)).read_bytes() == here
    assert size == len(here) == built.bytes_written
