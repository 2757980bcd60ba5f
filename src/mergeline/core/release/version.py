"""A version of a model in the registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

RegistryStage = Literal["None", "Staging", "Production", "Archived"]
STAGES: tuple[RegistryStage, ...] = get_args(RegistryStage)


@dataclass(frozen=True)
class Version:
    """A registered version.

    Attributes:
        override: a person's reason to promote it against the verdict.
        described: digest of the `Facts` that its description was written from; empty if it has
            none, or somebody changed it.
    """

    model: str
    number: int
    stage: str
    fingerprint: str
    model_digest: str
    run_id: str
    override: str | None = None
    described: str = ""
