"""A tracking store together with its registry."""

from __future__ import annotations

from mergeline.adapters.mlflow.registry import Registry
from mergeline.adapters.mlflow.runs import Runs
from mergeline.core.release.ledger import Judged


class Tracking(Runs, Registry):
    """One tracking store with its registry."""

    def judged(self, model: str) -> dict[str, Judged]:
        """What stands behind the ledger's pages of a model: its complete runs, by id."""
        overrides = {version.run_id: version.override for version in self.versions(model)}
        return {
            run.run_id: Judged(
                run.model,
                run.fingerprint,
                run.model_digest,
                run.passed,
                overrides.get(run.run_id),
            )
            for run in self.candidates(model)
        }
