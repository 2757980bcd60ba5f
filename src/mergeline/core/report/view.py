"""A report that has models to compare: what its tables, sentences and plots are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mergeline.core.compare.result import Comparison, Example, Flips, Other
from mergeline.core.declare.model import Role
from mergeline.core.gate.verdict import Verdict
from mergeline.core.report.content import Report

Point = tuple[float, float]
_ROLES: tuple[Role, ...] = ("champion", "base", "candidate")


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

    @property
    def flips(self) -> Flips | None:
        """The decisions that differ from those of the model compared with first."""
        return self.comparison.flips.get(self.against) if self.against else None

    @property
    def examples(self) -> Sequence[Example]:
        """The rows that moved most from what that model says."""
        return self.comparison.examples.get(self.against, ()) if self.against else ()


@dataclass(frozen=True)
class Curve:
    """A curve of each model that has one; the candidate does.

    Attributes:
        metric: name of the metric that is the area under the curve.
        by_chance: height of a guess at the left and at the right end; None if it is not known.
    """

    name: str
    title: str
    axes: tuple[str, str]
    points: Mapping[Role, Sequence[Point]]
    metric: str
    by_chance: Point | None


def view_of(report: Report) -> View | None:
    """The view of a report. None if it has no comparison: it failed, or no model changes."""
    comparison, verdict, champion = report.comparison, report.verdict, report.champion
    if comparison is None or verdict is None:
        return None
    shown = set(comparison.models)
    base_is_champion = champion and champion.fingerprint == report.subject.base_fingerprint
    if "champion" in shown and base_is_champion:
        shown.discard("base")  # a second column of the same numbers
    roles = tuple(role for role in _ROLES if role in shown)
    others = tuple(role for role in roles if role != "candidate")
    return View(report, comparison, verdict, roles, others)


def curves_of(view: View) -> list[Curve]:
    """The ROC and the precision-recall curve, if the candidate has them."""
    comparison = view.comparison
    rates = ("false-positive rate", "true-positive rate")
    labels = comparison.labels
    yes_to_all = (labels[-1].share,) * 2 if labels else None  # precision of yes to every row
    both = (
        Curve("roc", "ROC curve", rates, comparison.roc, "roc_auc", (0, 1)),
        Curve("precision_recall", "Precision-recall curve", ("recall", "precision"), comparison.pr,
              "average_precision", yes_to_all),
    )  # fmt: skip
    return [curve for curve in both if curve.points.get("candidate")]
