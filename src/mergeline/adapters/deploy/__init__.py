"""Deploy targets: who is told what shall serve in an environment.

    base.py      the interface, and what a target is told
    process.py   a server that follows the registry by itself
    webhook.py   an address that is told
    gitops.py    a file of a Git repository, which Argo CD or Flux follow

Whether it does serve is asked of the environment's server, whatever the target.
"""

from __future__ import annotations

from collections.abc import Mapping

from mergeline.adapters.deploy.base import DeployTarget, Wanted
from mergeline.adapters.deploy.gitops import GitOpsTarget
from mergeline.adapters.deploy.process import ProcessTarget
from mergeline.adapters.deploy.webhook import WebhookTarget
from mergeline.core.declare.environments import Deploy

TOKEN = "MERGELINE_DEPLOY_TOKEN"  # noqa: S105 - a variable's name


def open_target(deploy: Deploy, environment: Mapping[str, str]) -> DeployTarget:
    """The target that is declared; MERGELINE_DEPLOY_TOKEN has the token that it takes."""
    token = environment.get(TOKEN) or None
    if deploy.webhook:
        return WebhookTarget(deploy.webhook, token)
    if deploy.gitops:
        return GitOpsTarget(deploy.gitops, token)
    return ProcessTarget()


__all__ = ["TOKEN", "DeployTarget", "Wanted", "open_target"]
