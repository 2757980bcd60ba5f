"""A report that has models to compare: what its tables, sentences and plots are made from."""

from __future__ import annotations

from dataclasses import dataclass

from mergeline.core.compare.result import Comparison, Other
from mergeline.core.declare.model import Role
from mergeline.core.gate.verdict import Verdict
from mergeline.core.report.content import Report

_ROLES: tuple[Role, ...] = ("champion", "base", "candidate")
_OTHERS: tuple[Other, ...] = ("champion", "base")


@dataclass(frozen=True)
class View:
    """A report with its comparison and the verdict on it. Make one with `view_of`.

    Attributes:
        roles: the models that have a column in the tables, the candidate last.
        others: those of them that the candidate is compared with; none for a first model.
    """

    report: Report
    comparison: Comparison
    verdict: Verdict
    roles: tuple[Role, ...]
    others: tuple[Other, ...]

    @property
    def against(self) -> Other | None:
        """The model that the candidate is compared with first: the champion, else the base."""
        return self.others[0] if self.others else None


def view_of(report: Report) -> View | None:
    """The view of a report. None if it has no comparison: it failed, or no model changes."""
    comparison, verdict = report.comparison, report.verdict
    if comparison is None or verdict is None:
        return None
    shown = set(comparison.models)
    if "champion" in shown and _base_is_champion(report):
        shown.discard("base")  # a second column of the same numbers
    return View(
        report,
        comparison,
        verdict,
        roles=tuple(role for role in _ROLES if role in shown),
        others=tuple(other for other in _OTHERS if other in shown),
    )


def _base_is_champion(report: Report) -> bool:
    """Whether the model of the base is the one in production."""
    champion, base = report.champion, report.subject.base_fingerprint
    return champion is not None and base is not None and champion.fingerprint == base
