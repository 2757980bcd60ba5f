"""A tracking store together with its registry."""

from __future__ import annotations

from mergeline.adapters.mlflow.registry import Registry
from mergeline.adapters.mlflow.runs import Runs


class Tracking(Runs, Registry):
    """One tracking store with its registry."""
