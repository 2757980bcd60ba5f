"""A holdout whose rows are made again: keys and digests leave the job, the court needs no more."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from mergeline.adapters.bundles import digests, read_candidate
from mergeline.core.release.bundle import CANDIDATE_FILES, HOLDOUT, PREDICTIONS
from mergeline.errors import BundleError, StageError
from mergeline.lifecycle.verbs.judge import judge
from mergeline.lifecycle.verbs.track import track
from mergeline.serving.registered import Registered
from tests.support.line import Line

REBUILT = ("models/late.yaml", "key: [id]", "key: [id]\nholdout: rebuilt")
CHANGED = ("params.yaml", "C: 1.0", "C: 0.7")


def proposed(line: Line) -> Path:
    """The bundle of a change whose holdout's rows are to be made again; its tree is checked out."""
    number = line.propose("rebuilt", REBUILT, CHANGED)
    line.check_out_pull(number)
    line.evaluate(bundle=line.root / "left", MERGELINE_PULL_REQUEST=str(number))
    return line.root / "left"


def test_keys_leave_the_job_and_the_court_makes_the_rows_again(line: Line) -> None:
    bundle = proposed(line)
    holdout = f"{CANDIDATE_FILES}/{HOLDOUT}"
    assert list(pl.read_parquet_schema(bundle / holdout)) == ["id"]
    assert (
        not {"late", "weight"} & pl.read_parquet_schema(bundle / "evaluation" / PREDICTIONS).keys()
    )
    rebuilt = read_candidate(bundle).rebuilt
    assert rebuilt is not None
    assert set(rebuilt.columns) == {"id", "day", "weight", "distance", "late"}
    # A court that has no tables yet, and no rows but those of the drops.
    elsewhere = {
        "MERGELINE_STATE": str(line.root / "court"),
        "MERGELINE_STORE": str(line.state / "store"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{line.state / 'mlflow.db'}",
    }
    court = line.project(**elsewhere)
    [evaluated] = judge(court, bundle, into=line.root / "judged", say=line.say)
    report = json.loads((bundle / "evaluation/report.json").read_text())
    assert evaluated.evaluation.verdict == report["judgement"]["verdict"]["outcome"]
    assert evaluated.report.comparison
    assert evaluated.report.comparison.holdout.rows == report["comparison"]["holdout"]["rows"]
    assert list(pl.read_parquet_schema(line.root / "judged" / holdout)) == ["id"]
    # What the store takes are the keys too, and it is the next change's production.
    track(line.project(), line.root / "judged", say=line.say)
    store = line.project().store
    fingerprint = read_candidate(line.root / "judged").fingerprint
    stored = store.find("late", fingerprint)
    assert stored is not None
    store.fetch(stored, line.root / "fetched")
    assert list(pl.read_parquet_schema(line.root / "fetched" / holdout)) == ["id"]
    # A server that proves its fast forms on a version's holdout has none of this one's rows.
    registered = Registered(line.project().tracking, store)
    released = line.project().tracking.versions("late")[0]
    assert registered.holdout(released, line.root / "of the release")
    keys_only = replace(released, fingerprint=fingerprint)
    assert registered.holdout(keys_only, line.root / "of this one") is None


@pytest.mark.slow
def test_where_the_drops_are_gone_the_court_says_so(line: Line) -> None:
    bundle = proposed(line)
    for place in ("dvc-remote", "runner/.dvc/cache", "author/.dvc/cache"):
        shutil.rmtree(line.root / place, ignore_errors=True)
    for drop in (line.root / "runner").glob("data/raw/*/*.csv"):
        drop.unlink()
    elsewhere = {
        "MERGELINE_STATE": str(line.root / "court"),
        "MERGELINE_STORE": str(line.state / "store"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{line.state / 'mlflow.db'}",
    }
    with pytest.raises(BundleError, match=r"cannot be made again: .* Bring the drops back"):
        judge(line.project(**elsewhere), bundle, into=line.root / "judged", say=line.say)


@pytest.mark.slow
def test_rows_that_are_others_or_gone_are_refused(line: Line) -> None:
    bundle = proposed(line)
    manifest = bundle / "manifest.json"
    document = json.loads(manifest.read_text())
    document["candidate"]["rebuilt"]["digest"] = "0" * 64
    manifest.write_text(json.dumps(document))
    with pytest.raises(BundleError, match="cannot be made again: the rows with its keys are other"):
        judge(line.project(), bundle, into=line.root / "judged", say=line.say)
    for rebuilt in ({**document["candidate"]["rebuilt"], "digest": "../../tables/x"}, None):
        other = {**document, "candidate": {**document["candidate"], "rebuilt": rebuilt}}
        manifest.write_text(json.dumps(other))
        with pytest.raises(BundleError, match=r"digest of the holdout's rows is none|otherwise"):
            judge(line.project(), bundle, into=line.root / "judged", say=line.say)
    # A row more, under a key that the snapshot does not have.
    path = bundle / CANDIDATE_FILES / HOLDOUT
    keys = pl.read_parquet(path)
    pl.concat([keys, pl.DataFrame({"id": [7]})]).write_parquet(path)
    document["files"] = digests(bundle, CANDIDATE_FILES)
    document["candidate"]["holdout_digest"] = document["files"][f"{CANDIDATE_FILES}/{HOLDOUT}"]
    manifest.write_text(json.dumps(document))
    with pytest.raises(BundleError, match=r"cannot be made again: .*it has \d+ rows for"):
        judge(line.project(), bundle, into=line.root / "judged", say=line.say)


def test_a_holdout_with_a_column_of_no_table_cannot_be_made_again(line: Line) -> None:
    derived = (
        "pipelines/evaluate.py",
        "parcels(every, held_out=True).write",
        "parcels(every, held_out=True).with_columns(heavy=True).write",
    )
    line.check_out_pull(line.propose("derived", REBUILT, CHANGED, derived))
    with pytest.raises(StageError, match=r"'heavy' is no column of one.* say holdout: stored"):
        line.evaluate(bundle=line.root / "left")
