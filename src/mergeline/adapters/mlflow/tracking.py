"""A tracking store together with its registry."""

from __future__ import annotations

from mergeline.adapters.mlflow.registry import Registry
from mergeline.adapters.mlflow.runs import Run, Runs
from mergeline.core.release.plan import Version


class Tracking(Runs, Registry):
    """One tracking store with its registry.

    Args:
        uri: as MLFLOW_TRACKING_URI has it; a SQLite file is made at first use.
        artifacts: folder for the artifacts of experiments made here, for a SQLite store.
    """

    def run_of(self, version: Version) -> Run:
        """The run that a registered version comes from."""
        return self.run(version.run_id)
