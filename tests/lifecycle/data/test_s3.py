"""Drops and tables in a bucket: a real S3 server on loopback (`pytest -m s3`)."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from tests.support.s3_server import s3_environment, s3_server
from tests.support.shop import Shop

pytestmark = pytest.mark.s3
BUCKET = "warehouse"


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a bucket; its address and credentials are in the environment only."""
    if importlib.util.find_spec("dvc_s3") is None:
        pytest.fail("DVC does not speak S3 here: uv sync --extra s3")
    folder = tmp_path / "s3"
    (folder / BUCKET).mkdir(parents=True)
    with s3_server(folder) as address:
        for name, value in s3_environment(address).items():
            monkeypatch.setenv(name, value)
        yield folder / BUCKET


def run(shop: Shop, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=shop.root, env=os.environ.copy(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def cached(shop: Shop) -> set[str]:
    """The md5 of each drop in DVC's cache."""
    files = (shop.root / ".dvc" / "cache" / "files" / "md5").glob("??/*")
    return {path.parent.name + path.name for path in files}


def forget(shop: Shop) -> None:
    """A new machine: nothing is in DVC's cache."""
    for path in (shop.root / ".dvc" / "cache" / "files" / "md5").glob("??/*"):
        path.chmod(0o600)
        path.unlink()


def keep_drops_in_the_bucket(shop: Shop) -> None:
    far = f"[core]\n    remote = far\n['remote \"far\"']\n    url = s3://{BUCKET}/drops\n"
    (shop.root / ".dvc" / "config").write_text(far)


def test_a_snapshot_in_a_bucket_fetches_only_the_missing_drops_from_a_bucket(
    shop: Shop, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_drops_in_the_bucket(shop)
    monkeypatch.setenv("MERGELINE_TABLES", f"s3://{BUCKET}/tables")
    first = {shop.add("2013-01"), shop.add("2013-02")}
    run(shop, "dvc", "push", "--quiet")
    forget(shop)
    shop.commit("two months")
    assert "2 drops converted" in run(shop, "mergeline", "snapshot")
    assert cached(shop) == first

    later = shop.add("2013-03")
    run(shop, "dvc", "push", "--quiet")
    forget(shop)
    shop.commit("three months")
    assert "version 1, 15 rows, 1 drop converted" in run(shop, "mergeline", "snapshot")
    assert cached(shop) == {later}
    assert len(list((bucket / "drops").rglob("files/md5/??/*"))) == 3
    assert pl.scan_delta(f"s3://{BUCKET}/tables/sales", version=1).collect().height == 15


def test_a_drop_that_the_bucket_lacks_is_said(
    shop: Shop, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_drops_in_the_bucket(shop)
    shop.add("2013-01")
    forget(shop)
    shop.commit("never pushed")
    with pytest.raises(AssertionError, match="not in the DVC remote"):
        run(shop, "mergeline", "snapshot")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with pytest.raises(AssertionError, match="the DVC remote cannot be read"):
        run(shop, "mergeline", "snapshot")
