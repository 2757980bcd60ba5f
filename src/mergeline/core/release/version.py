"""A version of a model in the registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Stage = Literal["None", "Staging", "Production", "Archived"]


@dataclass(frozen=True)
class Version:
    """A registered version.

    Attributes:
        override: a person's reason to promote it in spite of the verdict.
    """

    model: str
    number: int
    stage: str
    fingerprint: str
    model_digest: str
    run_id: str
    override: str | None = None
