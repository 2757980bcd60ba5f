"""Finding the report to show."""

from __future__ import annotations

from pathlib import Path

import pytest

from mergeline.adapters.git.repository import Repository
from mergeline.errors import BundleError, NotFoundError
from mergeline.lifecycle.steps.bundle_folders import read_reports
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.verbs.report import find_reports


def test_an_evaluation_that_was_killed_has_no_report(tmp_path: Path) -> None:
    killed = tmp_path / "bundles" / ".late-first.aaaaaaaa.part" / "evaluation" / "report.json"
    killed.parent.mkdir(parents=True)
    killed.write_text("{}")
    project = Project(Repository(tmp_path), {"MERGELINE_STATE": str(tmp_path)})
    with pytest.raises(NotFoundError, match="nothing was evaluated here yet"):
        find_reports(project, None)
    with pytest.raises(BundleError, match="no report there"):
        read_reports(tmp_path / "bundles")
