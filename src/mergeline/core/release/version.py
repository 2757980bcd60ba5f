"""A version of a model in the registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RegistryStage = Literal["None", "Staging", "Production", "Archived"]


@dataclass(frozen=True)
class Version:
    """A registered version; `override` is a person's reason to promote it against the verdict."""

    model: str
    number: int
    stage: str
    fingerprint: str
    model_digest: str
    run_id: str
    override: str | None = None
