"""A server that follows the registry: `mergeline serve`. It needs not be told."""

from __future__ import annotations

from mergeline.adapters.deploy.base import Wanted


class ProcessTarget:
    """It looks at the registry every two seconds by itself."""

    def deploy(self, wanted: Wanted) -> None:
        """Nothing: what the registry says is what it takes up."""
