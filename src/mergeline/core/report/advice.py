"""What the author of a refused change can do now, by the rules that refused it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mergeline.core.report.content import Report
from mergeline.core.report.sentences import Sentence, code, say

_OWN_CHANGE = (
    "where the bar itself is wrong, change it in a pull request of its own: it counts once merged"
)
_BETTER = "make the model better there and push again; " + _OWN_CHANGE
_CHEAPER = "make the model cheaper; " + _OWN_CHANGE
_SAVED = "save the model so that it answers with probabilities (predict_proba)"
_ROW_BY_ROW = "have each row's prediction depend on that row alone, and be the same each time"
_ROWS = "correct the stage that writes holdout.parquet"
_APPROVAL = (
    "have a person with write access approve it, with the reason in a comment: "
    "/mergeline approve REASON"
)
_METRIC = "look at that metric's reason; take it out in a pull request of its own if it has none"
_TRAINING_ROWS = "keep the holdout's rows out of training, and write their keys nowhere else"
_OTHER_MODEL = "keep each column that the other model takes in holdout.parquet"

ADVICE: Mapping[str, str] = {
    "tampered_holdout": "evaluate again from a clean checkout",
    "empty_holdout": _ROWS,
    "one_class_holdout": _ROWS,
    "duplicate_rows": _ROWS,
    "missing_labels": _ROWS,
    "unknown_labels": _ROWS,
    "missing_slice": _ROWS,
    "missing_clusters": _ROWS,
    "unscored": "mend what the reason names, and try the model on holdout.parquet",
    "other_rows": "have the model answer for each row that it is asked for, in that order",
    "wrong_shape": _SAVED,
    "wrong_classes": "have the model's classes be those of the declaration, in its order",
    "not_probabilities": _SAVED,
    "nan_predictions": "have the model answer with a finite number for each row",
    "infinite_predictions": "have the model answer with a finite number for each row",
    "hard_labels": _SAVED,
    "fails_on_single_rows": _ROW_BY_ROW,
    "fails_on_null": "let the model take null there, or require the column in its signature",
    "depends_on_batch": _ROW_BY_ROW,
    "unstable": _ROW_BY_ROW,
    "fails_when_served": "have the served model answer as it does where it is judged",
    "constant_predictions": "look at what the model was trained on: it tells no two rows apart",
    "worse_than_chance": "look at the labels that it was trained on: they are likely swapped",
    "trained_on_holdout": _TRAINING_ROWS,
    "unknown_training_rows": "write the keys that it is fitted on to training_rows.parquet",
    "twin_rows": "keep copies of training rows out of the holdout",
    "leak": "take that column out of the model's inputs",
    "metric_missing": "declare the metric again",
    "metric_nan": _METRIC,
    "metric_infinite": _METRIC,
    "metric_undefined": _METRIC,
    "metric_failed": _METRIC,
    "champion_missing": "check which registry and ledger this run saw",
    "champion_unscored": _OTHER_MODEL,
    "base_missing": "evaluate the base, or measure the margin from the champion",
    "base_unscored": _OTHER_MODEL,
    "reference_unscored": _OTHER_MODEL,
    "baseline_missing": _METRIC,
    "holdout_moved": _APPROVAL,
    "bar_moved": _APPROVAL,
    "base_holdout": (
        "bring the move of the holdout and the change of the model in two pull requests"
    ),
    "looks": "add drops that bring new rows into the holdout: these have been asked too often",
    "renamed": "keep the name, under which it is held against production",
    "threshold": _BETTER,
    "margin": _BETTER,
    "primary": _BETTER,
    "improve": _BETTER,
    "slices": "declare slices with rows enough, or fewer rows as slice_minimum",
    "slice_threshold": _BETTER,
    "slice_margin": _BETTER,
    "slice_undefined": "add drops with rows of that slice",
    "latency": _CHEAPER,
    "size": _CHEAPER,
    "load": _CHEAPER,
    "memory": _CHEAPER,
    "schema": (
        "keep to the columns that callers send today; if they send the new one by now, "
        "merge `schema: any` first"
    ),
    "freshness": "add newer drops",
}
"""By rule."""
_CANNOT_TELL = "add drops: more rows tell more; " + _OWN_CHANGE


def what_next(report: Report) -> Iterator[Sentence]:
    """What can be done about a change that the gate does not pass, by the worst reasons first."""
    verdict = report.verdict
    if verdict is None or verdict.outcome == "pass":
        return
    reasons = (reason for reason in verdict.reasons if reason.outcome != "pass")
    told = dict.fromkeys(_advice(reason.rule, reason.outcome) for reason in reasons)
    for text in told:
        yield say(text)
    if told:
        yield say(
            "or merge it and release it knowingly: ", code("mergeline release --override REASON"),
            "; the ledger keeps the reason",
        )  # fmt: skip


def _advice(rule: str, outcome: str) -> str:
    unsure = outcome == "inconclusive" and ADVICE.get(rule) == _BETTER
    return _CANNOT_TELL if unsure else ADVICE.get(rule, "mend what the reason names")
