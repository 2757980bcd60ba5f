import datetime as dt
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from mergeline.adapters.delta.tables import Tables
from mergeline.cli import data as cli_data
from mergeline.core.data.garbage import Pin
from mergeline.core.data.wording import note_lines
from mergeline.errors import InputError, NotFoundError, TableError
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.verbs import data as browse
from tests.support.shop import Shop


@pytest.fixture
def project(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A table of three versions: January, February on a branch, and January mended."""
    shop.add("2013-01", rows=100)
    shop.build(shop.commit("january"))
    shop.git("checkout", "-qb", "feb")
    shop.add("2013-02", rows=60)
    shop.build(shop.commit("february"))
    shop.git("checkout", "-q", "main")
    shop.add("2013-01", rows=90)
    shop.build(shop.commit("mended"))
    monkeypatch.chdir(shop.root)
    return Project.at(shop.root)


def run(*arguments: str) -> str:
    done = CliRunner().invoke(cli_data.data, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.slow
def test_a_snapshot_is_named_by_version_digest_commit_branch_or_date(project: Project) -> None:
    history = Tables(project.tables).history("sales")
    assert [entry.version for entry in history] == [2, 1, 0]
    assert browse.find_version(project, "sales", "1") == 1
    assert history[1].digest
    assert browse.find_version(project, "sales", history[1].digest[:8]) == 1
    assert browse.find_version(project, "sales", history[1].digest) == 1
    assert browse.find_version(project, "sales", "feb") == 1
    assert browse.find_version(project, "sales", "main") == 2
    assert browse.find_version(project, "sales", "main~1") == 0
    assert browse.find_version(project, "sales", project.repository.commit("feb").sha) == 1
    assert browse.find_version(project, "sales", project.repository.commit("feb").sha[:9]) == 1
    assert browse.find_version(project, "sales", None) == 2
    now = dt.datetime.now(dt.UTC)
    assert browse.find_version(project, "sales", f"{now:%Y-%m-%d}") == 2


def test_a_date_names_what_main_asked_for_then_and_no_pull_requests_snapshot(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(month: str, day: str) -> int:
        monkeypatch.setenv("GIT_COMMITTER_DATE", f"2013-{day}T12:00:00+00:00")
        shop.add(month)
        version: int = shop.build(shop.commit(day)).version
        return version

    first = build("2013-01", "02-01")
    shop.git("checkout", "-qb", "feb")
    proposed = build("2013-02", "03-01")
    project = Project.at(shop.root)
    assert browse.find_version(project, "sales", "2013-03-02") == first
    shop.git("checkout", "-q", "main")
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2013-03-10T12:00:00+00:00")
    shop.git("merge", "-q", "--no-ff", "feb")
    shop.build("main")  # found, not built: no version says that it is main's
    last = build("2013-03", "04-01")
    for date, version in {
        "2013-02-01": first,
        "2013-02-01T12:00": first,
        "2013-03-09": first,
        "2013-03-10T13:00:00+02:00": first,
        "2013-03-10": proposed,
        "2013-03-31": proposed,
        "2013-04-01": last,
        "2099-12-31": last,
    }.items():
        assert browse.find_version(project, "sales", date) == version, date
    with pytest.raises(NotFoundError, match="main is younger than 2013-02-01T11:00"):
        browse.find_version(project, "sales", "2013-02-01T11:00")


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("2000-01-01", "younger than 2000-01-01"),
        ("2013-99-01", "is an invalid date"),
        ("nowhere", "no commit or tree 'nowhere'"),
        ("deadbeef", "no commit or tree 'deadbeef'"),
    ],
)
def test_a_name_that_names_nothing_is_said(project: Project, reference: str, said: str) -> None:
    with pytest.raises(Exception, match=said):
        browse.find_version(project, "sales", reference)


def test_a_commit_whose_snapshot_was_never_built_is_said(project: Project, shop: Shop) -> None:
    shop.add("2013-03")
    with pytest.raises(NotFoundError, match="holds no snapshot"):
        browse.find_version(project, "sales", None)
    with pytest.raises(NotFoundError, match="no contract declares a table 'sale'"):
        browse.find_version(project, "sale", None)


def test_the_difference_of_two_versions(project: Project) -> None:
    diff = browse.diff(project, "sales", "main", "feb")
    assert [(d.path, d.change) for d in diff.drops] == [
        ("data/raw/sales/2013-01.csv", "replaced"),
        ("data/raw/sales/2013-02.csv", "added"),
    ]
    assert diff.shared_keys
    assert diff.shared_keys.key == ("id",)


MODEL = """\
task: {task}
stage: evaluate
outputs: build/{label}
label: {label}
{more}
key: [id]
metrics: [{metric}]
gate: {{primary: {metric}}}
"""


def test_the_balance_of_a_label_is_told_before_and_after(shop: Shop) -> None:
    (shop.root / "models").mkdir()
    for task, label, more, metric in (
        ("binary", "big", "classes: [false, true]", "roc_auc"),
        ("regression", "amount", "", "r2"),
        ("binary", "late", "classes: [false, true]", "roc_auc"),  # made by a stage, no column
    ):
        text = MODEL.format(task=task, label=label, more=more, metric=metric)
        (shop.root / "models" / f"{label}.yaml").write_text(text)
    shop.add("2013-01", rows=100)
    shop.build(shop.commit("january"))
    shop.add("2013-02", rows=1, more="".join(f"{n},N,{n % 50},true\n" for n in range(99)))
    shop.build(shop.commit("february"))
    project = Project.at(shop.root)
    found = browse.diff(project, "sales", "0", "1")
    assert found.labels == ("amount", "big")
    assert note_lines(found)[:2] == (
        "label amount: 0 … 36 · 73.5 · 111 … 148.5 → 0 … 18 · 36 · 73.5 … 148.5",
        "label big: false 50 % → 26 %, true 50 % → 74 %",
    )


def test_history_and_show_and_diff_print_tables(project: Project) -> None:
    history = run("history")
    assert "add drop" in history
    assert "replace drops" in history
    assert "-60" not in history
    assert "−160" in history
    shown = run("show", "--at", "feb")
    assert "data/raw/sales/2013-02.csv" in shown
    assert "shop" in shown
    diff = run("diff", "0", "1")
    assert "+60" in diff
    assert "PSI" in diff
    assert "the same rows" in run("diff", "0", "0")


def test_a_contract_that_makes_other_rows_of_the_same_drops_is_a_difference(
    project: Project, shop: Shop
) -> None:
    contract = shop.root / "data" / "sales.yaml"
    contract.write_text(contract.read_text().replace("key:", "null: ['', N]\nkey:"))
    shop.build(shop.commit("N is no shop"))
    found = browse.diff(project, "sales", "2", "3")
    assert found
    assert not found.drops
    assert not found.schema
    [shop_column] = (column for column in found.columns if column.name == "shop")
    assert shop_column.before
    assert shop_column.after
    assert (shop_column.before.nulls, shop_column.after.nulls) == (0, 30)
    printed = run("diff", "2", "3")
    assert "the contract changed" in printed
    assert "the same rows" not in printed
    assert note_lines(found)[0].startswith("the contract changed")


def test_reading_verbs_speak_json(project: Project) -> None:
    history = json.loads(run("history", "--json"))
    assert [entry["rows"] for entry in history] == [90, 160, 100]
    assert history[0]["table"] == "sales"
    [diff] = json.loads(run("diff", "0", "1", "--json"))
    assert diff["after"]["rows"] == 160
    assert diff["columns"][0]["drift"]["test"] == "Kolmogorov-Smirnov"
    [shown] = json.loads(run("show", "--json"))
    assert shown["after"]["version"] == 2


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_an_export_holds_the_rows(project: Project, tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"out.{suffix}"
    assert run("export", str(target), "-t", "sales", "--at", "feb") == f"{target}: 160 rows\n"
    expected = Tables(project.tables).scan("sales", 1).collect()
    read = {
        "csv": lambda: pl.read_csv(target),
        "parquet": lambda: pl.read_parquet(target),
        "jsonl": lambda: pl.read_ndjson(target),
    }
    assert read[suffix]()["id"].equals(expected["id"])
    assert [path.name for path in tmp_path.glob("*out*")] == [target.name]


def test_an_export_that_cannot_be_written_is_said(project: Project, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"\.csv, \.parquet or \.jsonl"):
        browse.export(project, "sales", None, tmp_path / "out.xlsx")


def test_an_export_into_a_folder_that_is_not_there_blames_the_folder_not_the_table(
    project: Project, tmp_path: Path
) -> None:
    target = tmp_path / "none" / "out.csv"
    with pytest.raises(NotFoundError, match="there is no folder") as caught:
        browse.export(project, "sales", None, target)
    assert "table" not in str(caught.value)
    assert caught.value.where == str(target)
    assert not target.parent.exists()


def test_a_file_broken_inside_is_said_by_every_verb(project: Project, tmp_path: Path) -> None:
    """Of the right size, so that only reading it tells."""
    for path in Path(project.tables, "sales").glob("*.parquet"):
        content = bytearray(path.read_bytes())
        content[4:-1000] = b"\0" * len(content[4:-1000])
        path.write_bytes(content)
    for verb in (
        lambda: browse.show(project, "sales", "1"),
        lambda: browse.export(project, "sales", "1", tmp_path / "out.csv"),
    ):
        with pytest.raises(TableError, match="cannot be read"):
            verb()
    assert not list(tmp_path.glob("*out*"))


def later() -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)


def plan(tables: Tables, *pins: Pin) -> Any:
    [one] = browse.plan_collection(tables, {"sales": pins}, before=later())
    return one


def test_garbage_is_what_no_pinned_version_needs(project: Project, shop: Shop) -> None:
    tables = Tables(project.tables)
    digests = {entry.version: entry.digest for entry in Tables(project.tables).history("sales")}
    before = {version: tables.scan("sales", version).collect() for version in digests}
    assert not plan(tables, Pin(digests[1] or ""))
    found = plan(tables, Pin(digests[0] or ""))
    assert found.pinned == (0, 2)
    assert len(found.delete) == 1
    browse.collect(tables, [found])
    assert not plan(tables, Pin(digests[0] or ""))
    for version in (0, 2):
        assert tables.scan("sales", version).collect().equals(before[version])
    with pytest.raises(TableError, match="gone"):
        tables.scan("sales", 1)
    built = shop.build("feb")
    assert [drop.path for drop in built.repaired] == ["data/raw/sales/2013-02.csv"]
    assert tables.scan("sales", 1).collect().equals(before[1])


def test_young_files_are_no_garbage(project: Project) -> None:
    before = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    [found] = browse.plan_collection(Tables(project.tables), {"sales": ()}, before=before)
    assert not found.delete


def test_a_pin_that_the_table_does_not_hold_is_said(project: Project) -> None:
    found = plan(Tables(project.tables), Pin("ab" * 32))
    assert found.missing == ("ab" * 32,)
    assert plan(Tables(project.tables), Pin("ab" * 32, version=1)).pinned == (1, 2)


def test_gc_prints_its_plan_and_deletes_only_without_plan(project: Project, shop: Shop) -> None:
    files = set((shop.state / "tables" / "sales").glob("*.parquet"))
    assert "versions 1, 2 stay readable" in run("gc", "--plan", "--older-than", "0", "--force")
    shop.git("branch", "-qD", "feb")
    printed = run("gc", "--plan", "--older-than", "0", "--force")
    assert "2 files to delete" in printed
    assert "versions 2 stay readable" in printed
    assert set((shop.state / "tables" / "sales").glob("*.parquet")) == files
    assert run("gc", "--older-than", "0", "--force") == printed
    assert len(set((shop.state / "tables" / "sales").glob("*.parquet"))) == 1
    assert "0 files to delete" in run("gc", "--older-than", "0", "--force")
    assert Tables(project.tables).scan("sales", 2).collect().height == 90


@pytest.mark.parametrize("hours", ["nan", "inf", "1e300", "-1"])
def test_an_age_that_is_none_is_refused(project: Project, hours: str) -> None:
    with pytest.raises(InputError, match=r"^files cannot be older than \S+ hours") as refused:
        run("gc", "--older-than", hours)
    assert refused.value.exit_code == 2


def test_an_age_below_a_day_needs_force(project: Project) -> None:
    with pytest.raises(InputError, match="younger than 24 hours") as refused:
        run("gc", "--older-than", "23")
    assert refused.value.exit_code == 2
    assert "0 files to delete" in run("gc", "--older-than", "23", "--force")


def test_infer_prints_a_contract(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,x\n")
    done = CliRunner().invoke(cli_data.contract, ["infer", str(tmp_path / "x.csv")])
    assert "  a: {type: int64}  # 1 … 1\n" in done.stdout
