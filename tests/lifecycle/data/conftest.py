from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.shop import CONTRACT, Shop


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A repository with DVC whose one table, `sales`, has no drops yet."""
    root = tmp_path / "repo"
    (root / ".dvc").mkdir(parents=True)
    (root / ".dvc" / "config").write_text("")
    (root / ".dvc" / ".gitignore").write_text("/cache\n/tmp\n/config.local\n")
    (root / ".gitignore").write_text("*.snapshot.json\n")
    (root / "data").mkdir()
    (root / "data" / "sales.yaml").write_text(CONTRACT)
    for key, value in {
        "GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "a@example.com",
        "GIT_COMMITTER_NAME": "Ann", "GIT_COMMITTER_EMAIL": "a@example.com",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }.items():  # fmt: skip
        monkeypatch.setenv(key, value)
    shop = Shop(root)
    shop.git("init", "-q", "-b", "main")
    monkeypatch.setenv("MERGELINE_STATE", str(shop.state))
    return shop
