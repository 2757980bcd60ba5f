"""What garbage collection must leave: releases, the champion, open candidates."""

import datetime as dt
import hashlib
import shutil
from pathlib import Path

import pytest

from mergeline.adapters.bundles import read_candidate
from mergeline.adapters.delta.tables import Tables
from mergeline.adapters.dvc.drops import DropStore
from mergeline.core.data.garbage import GarbagePlan
from mergeline.errors import RepositoryError, StoreError
from mergeline.lifecycle.steps.pinned_snapshots import pinned_snapshots
from mergeline.lifecycle.steps.project_tree import ProjectTree
from mergeline.lifecycle.steps.snapshots import gather_snapshots
from mergeline.lifecycle.verbs import data as browse
from mergeline.lifecycle.verbs.evaluate import evaluate
from mergeline.lifecycle.verbs.snapshot import snapshot
from tests.support.line import Line
from tests.support.parcels import drop

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")


def planned(line: Line) -> GarbagePlan:
    """What `data gc` would delete, were all files old."""
    project = line.project()
    before = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    pins = pinned_snapshots(project)
    [plan] = browse.plan_collection(Tables(project.tables), pins, before=before)
    return plan


def garbage(line: Line) -> list[str]:
    """Drops that `data gc` deletes, by the month that they hold."""
    plan = planned(line)
    browse.collect(Tables(line.project().tables), [plan])
    months = {hashlib.md5(drop(month).encode()).hexdigest(): month for month in range(1, 13)}
    return [f"data/raw/parcels/2024-{months[file.drop]:02d}.csv" for file in plan.delete]


@pytest.mark.slow
def test_the_candidate_of_a_model_that_only_a_pull_request_has_is_kept(line: Line) -> None:
    line.branch("again")
    line.write("models/again.yaml", (line.author.root / "models/late.yaml").read_text())
    line.add_drops(4)
    line.commit("A second model, and April")
    number = line.push("again")
    line.check_out_pull(number)
    evaluate(line.project(MERGELINE_PULL_REQUEST=str(number)), model="again", say=line.say)
    line.check_out("origin/main")
    assert garbage(line) == []


@pytest.mark.slow
def test_what_is_merged_and_not_yet_released_is_kept(line: Line) -> None:
    line.branch("april")
    line.add_drops(4)
    line.commit("April")
    number = line.push("april")
    line.review(number)
    before = line.check_out("origin/main")
    line.merge(number)
    line.check_out(before)
    assert garbage(line) == []


@pytest.mark.parametrize("months", [(4,), (4, 6)], ids=["an old version", "a new version"])
def test_a_file_that_a_build_takes_up_again_meanwhile_is_not_deleted(
    line: Line, months: tuple[int, ...]
) -> None:
    for month in (4, 5):
        line.branch(f"month-{month}")
        line.add_drops(month)
        line.commit("A month")
        snapshot(line.project("author"))
    tables = Tables(line.project().tables)
    before = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    plans = browse.plan_collection(tables, {"parcels": set()}, before=before)
    assert [len(plan.delete) for plan in plans] == [1]
    line.branch("again")
    line.add_drops(*months)
    line.commit("April again")
    snapshot(line.project("author"))
    browse.collect(tables, plans)
    [now] = gather_snapshots(ProjectTree(line.author.working_tree()), DropStore(line.author.root))
    version = tables.at_digest("parcels", now.digest)
    assert tables.scan("parcels", version).collect().height == 1200 + 400 * len(months)


def test_releases_and_open_candidates_are_kept_and_a_candidate_left_behind_is_not(
    line: Line,
) -> None:
    line.branch("april")
    line.add_drops(4)
    line.commit("April")
    number = line.push("april")
    line.review(number)
    line.check_out("origin/main")
    assert garbage(line) == []  # an open pull request's candidate was trained on April
    line.git("rm", "--quiet", "data/raw/parcels/2024-04.csv.dvc")
    line.add_drops(5)
    line.commit("May instead of April")
    line.git("push", "--quiet", "origin", "april")
    line.land(number)
    assert garbage(line) == ["data/raw/parcels/2024-04.csv"]
    assert garbage(line) == []
    tables = Tables(line.project().tables)
    for version in line.project().tracking.versions("late"):
        run = line.project().tracking.run(version.run_id)
        assert run.fingerprint
    rows = [tables.scan("parcels", version).collect().height for version in (0, 2)]
    assert rows == [1200, 1600]


@pytest.mark.slow
def test_the_number_of_a_version_in_a_runners_own_table_pins_none_here(
    line: Line, tmp_path: Path
) -> None:
    line.branch("april")
    line.add_drops(4)
    line.commit("April")
    number = line.push("april")
    line.check_out_pull(number)
    own = str(tmp_path / "own")
    found = line.evaluate(MERGELINE_PULL_REQUEST=str(number), MERGELINE_TABLES=own)
    line.branch("may")
    line.add_drops(5)
    line.commit("May")
    snapshot(line.project("author"))
    line.git("checkout", "--quiet", "main")
    line.git("branch", "--quiet", "-D", "may")
    line.check_out("origin/main")
    [there] = read_candidate(found.folder).snapshots
    plan = planned(line)
    assert there.version == 0
    assert plan.pinned == (0, 1)
    assert plan.missing == (there.digest,)


def build_another(line: Line) -> None:
    """Another snapshot becomes the latest, which is not kept for being it."""
    line.branch("another")
    line.add_drops(6)
    line.commit("June")
    snapshot(line.project("author"))
    line.check_out("origin/main")


@pytest.mark.slow
def test_what_a_reviewed_pull_request_found_trained_already_is_kept(line: Line) -> None:
    line.branch("april")
    line.add_drops(4)
    line.evaluate("author")  # nothing is committed yet: the run is of no commit
    line.commit("April")
    number = line.push("april")
    assert line.review(number).passed
    build_another(line)
    known = line.project().tracking.candidates("late")
    assert [run.pull_requests for run in known].count(frozenset({number})) == 1
    assert garbage(line) == []
    # Main moves on, and the branch is no more what was reviewed.
    line.git("checkout", "--quiet", "april")
    line.git("rm", "--quiet", "data/raw/parcels/2024-04.csv.dvc")
    line.commit("Without April")
    line.git("push", "--quiet", "origin", "april")
    assert garbage(line) == []
    line.merge(number)
    assert garbage(line) == ["data/raw/parcels/2024-04.csv"]


@pytest.mark.slow
def test_what_a_branch_found_trained_already_is_kept_for_as_long_as_it_is(line: Line) -> None:
    line.branch("april")
    line.add_drops(4)
    line.commit("April")
    line.git("push", "--quiet", "origin", "april")
    line.check_out("origin/april")
    line.evaluate()
    line.edit("README.md", "late", "late or not")
    line.commit("README")
    line.git("push", "--quiet", "origin", "april")  # this clone has not fetched it
    build_another(line)
    line.git("update-ref", "-d", "refs/remotes/origin/april", at="runner")
    assert garbage(line) == []
    line.write("data/parcels.yaml", "source: [")
    line.git("checkout", "--quiet", "-b", "broken")
    line.commit("No contract")
    line.git("push", "--quiet", "origin", "broken")
    assert garbage(line) == []
    line.git("push", "--quiet", "origin", ":april")
    assert garbage(line) == ["data/raw/parcels/2024-04.csv"]


@pytest.mark.slow
def test_what_was_merged_since_this_clone_fetched_is_kept(line: Line) -> None:
    line.branch("april")
    line.add_drops(4)
    line.commit("April")
    number = line.push("april")
    line.review(number)
    build_another(line)
    line.forge.as_user("rex").merge(number)
    line.git("push", "--quiet", "origin", ":april")
    assert garbage(line) == []


def test_nothing_is_garbage_where_there_is_no_main_branch(line: Line) -> None:
    for ref in ("refs/heads/main", "refs/remotes/origin/main", "refs/remotes/origin/HEAD"):
        line.git("update-ref", "--no-deref", "-d", ref, at="runner")
    with pytest.raises(RepositoryError, match="no main branch found"):
        pinned_snapshots(line.project())


@pytest.mark.slow
def test_a_store_that_lacks_the_releases_of_the_ledger_is_refused(
    line: Line, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match=r"late v1 .* is not in the store") as refused:
        pinned_snapshots(line.project(MERGELINE_STORE=str(tmp_path / "none")))
    assert refused.value.exit_code == 3
    assert "MERGELINE_STORE" in refused.value.next_step
    line.land(1)
    before = tmp_path / "before"
    shutil.copytree(line.state / "store", before)
    line.land(line.propose("third", ("params.yaml", "C: 0.5", "C: 0.4")))
    with pytest.raises(StoreError, match=r"late v3 .* is not in the store"):
        pinned_snapshots(line.project(MERGELINE_STORE=str(before)))
    pinned_snapshots(line.project())
