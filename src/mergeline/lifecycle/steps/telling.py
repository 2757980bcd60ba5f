"""What became of a pull request, told in one comment of its own that is kept up to date."""

from __future__ import annotations

import datetime as dt

from mergeline.adapters.forge.base import Forge
from mergeline.core.report.one_comment import Stamp
from mergeline.errors import ForgeError
from mergeline.lifecycle.steps.project import Say


def tell_outcome(
    forge: Forge, number: int, text: str, *, model: str, commit: str, say: Say
) -> None:
    """Say beneath a pull request what became of its model; a later word takes the earlier's place.

    A release does not fail because nobody could be told.
    """
    now = dt.datetime.now(dt.UTC)
    try:
        forge.upsert_report(number, text, Stamp(f"outcome/{model.lower()}", commit, now))
    except ForgeError as error:
        say(f"pull request {number} could not be told: {error}")
