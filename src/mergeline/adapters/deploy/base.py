"""What every deploy target does, and what it is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Wanted:
    """What shall serve in an environment.

    Attributes:
        version: of the model, as it is released.
        image: by its digest; empty where none was built.
    """

    environment: str
    model: str
    version: int
    fingerprint: str
    model_digest: str
    image: str = ""


class DeployTarget(Protocol):
    """Who sees to it that a version serves."""

    def deploy(self, wanted: Wanted) -> None:
        """Ask that a version serves; asked twice, nothing more happens.

        It returns when the target has taken it up. Whether the version serves is asked elsewhere.

        Raises:
            DeployError: the target cannot be reached, or refuses.
        """
