"""`ui`: MLflow's pages over what the store and the ledger have, on this machine."""

from __future__ import annotations

import sys

from mergeline.adapters.mlflow.runs import PAGES
from mergeline.errors import TrackingError
from mergeline.lifecycle.steps.project import Project, Say
from mergeline.lifecycle.steps.showing import show_all
from mergeline.system.child_process import end_child, start_child

# MLflow's defaults are 15 processes and 2.8 GB.
_SMALL = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
_STDERR = 2  # standard output is the product, and this verb has none
_PATIENCE = 5.0  # seconds for the server to end by itself
_ELSEWHERE = {"MLFLOW_TRACKING_URI", "GITHUB_ACTIONS"}


def ui(project: Project, *, host: str, port: int, say: Say) -> None:
    """Fill the SQLite file of the state folder, and serve MLflow's pages until it is stopped.

    No server is needed for it, and one that MLFLOW_TRACKING_URI names is not asked.

    Raises:
        TrackingError: MLflow's server ends by itself.
        MergelineError: see `show_all`.
    """
    environment = {k: v for k, v in project.environment.items() if k not in _ELSEWHERE}
    here = Project(project.repository, environment)
    show_all(here, say=say)
    say(f"MLflow at http://{host}:{port}/#/experiments?{PAGES}")
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", here.tracking.uri]
    place = ["--host", host, "--port", str(port), "--workers", "1"]
    server = start_child(
        [*command, *place],
        cwd=here.state,
        env={**environment, **_SMALL},
        stdout=_STDERR,
        stderr=_STDERR,
    )
    try:
        code = server.wait()
    finally:
        end_child(server, patience=_PATIENCE)
    if code:
        raise TrackingError(
            f"MLflow's server ended with exit code {code}",
            where=f"http://{host}:{port}",
            next_step="Is the port taken? Name another one: --port",
        )
