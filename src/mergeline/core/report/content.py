"""What a report holds: everything that a renderer shows, as plain data.

`Report` is what `report.json` is; its JSON schema is published as docs/report.schema.json. A
renderer takes nothing else, so that a job which may not see a model can still show its report.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from mergeline.core.compare.result import Comparison, Difference
from mergeline.core.declare import strict
from mergeline.core.fingerprint.ingredients import Change
from mergeline.core.gate.verdict import Judgement, Situation, Verdict
from mergeline.errors import BundleError

FORMAT: Literal[1] = 1


@dataclass(frozen=True)
class ChampionVersion:
    """The model in production when the candidate was evaluated."""

    version: int
    fingerprint: str
    commit: str | None = None
    pull_request: int | None = None


@dataclass(frozen=True)
class ReferenceVersion:
    """The release from which differences are summed, where it is not the champion itself.

    Attributes:
        why: it was the first release, was shown better than the one before, or was released by a
            person's override of the verdict.
        releases: how many releases came since.
    """

    version: int
    fingerprint: str
    why: Literal["first", "better", "override"]
    releases: int


@dataclass(frozen=True)
class UnreleasedBase:
    """The tree that the change would be merged onto, where it is not what is in production.

    Then production's own tree judges: its gate, contracts, holdout and measuring code.
    """

    commit: str
    why: str


@dataclass(frozen=True)
class HoldoutMove:
    """The last release that moved the holdout by more than drops.

    Attributes:
        author: of the commit that was released.
        approved_by, reason: who approved the move and why; of an override only the reason is known.
    """

    version: int
    released_at: str
    author: str
    pull_request: int | None = None
    approved_by: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class EvaluatedTree:
    """The Git tree that the report is about.

    Attributes:
        tree: name of the evaluated Git tree.
        commit: None for a working tree that is not committed.
        branch: that it would be merged onto.
        base: commit that it was evaluated against, the one it would be merged onto.
        base_fingerprint: of the model at the base.
        behind: commits that the branch has beyond the base; if there are any, the report is stale.
    """

    tree: str
    commit: str | None = None
    pull_request: int | None = None
    branch: str | None = None
    base: str | None = None
    base_fingerprint: str | None = None
    behind: int = 0


@dataclass(frozen=True)
class TrackedRun:
    """The tracked run of the candidate.

    Attributes:
        url: of its page, if the tracking store has pages.
        trained: False when it was found by its fingerprint, and not trained again.
        seconds: that the evaluation took, training included if there was one.
    """

    id: str | None
    url: str | None = None
    trained: bool = True
    seconds: float | None = None


@dataclass(frozen=True)
class DataChange:
    """How the snapshot of one table differs from the base's.

    Attributes:
        drops_added, drops_removed: by name; a replaced drop stands in both.
        rows_added, rows_removed: None if not counted.
        schema: one sentence for each column that is new, gone or of another type.
        drift: one line for each column whose values moved, the worst first.
        notes: anything else to know, e.g. duplicate keys.
    """

    table: str
    drops_added: tuple[str, ...] = ()
    drops_removed: tuple[str, ...] = ()
    rows_added: int | None = None
    rows_removed: int | None = None
    rows: int | None = None
    schema: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Moved:
    """Something beside the gate that decides what a verdict means, and that the change edits."""

    what: Literal["holdout", "contract", "metrics", "slices", "labels", "decision", "other"]
    where: str
    text: str


@dataclass(frozen=True)
class OnMerge:
    """What merging causes.

    Attributes:
        version: number that the candidate gets; None if nothing is released.
        replaces: version in production now.
        rollback: version that `git revert` of the merge brings back; None if it brings none.
        trains: whether it trains again.
    """

    version: int | None
    replaces: int | None = None
    rollback: int | None = None
    trains: bool = False


@dataclass(frozen=True)
class AttributionShare:
    """How much of one metric's difference to the base each part of the change makes.

    Attributes:
        label: of the metric, as a person calls it; the differences are in its readable sign.
        data: base → the new data alone. rest: → everything. total: base → everything.
    """

    metric: str
    label: str
    data: Difference | None
    rest: Difference | None
    total: Difference | None


@dataclass(frozen=True)
class AttributionShares:
    """The difference to the base, split: the data alone, then params and code on top of them."""

    shares: tuple[AttributionShare, ...]
    note: str = ""


@dataclass(frozen=True)
class Failure:
    """Why a run came to no comparison.

    Attributes:
        stage: of `dvc.yaml`, or the step of mergeline, that failed.
        tail: the last lines that it printed.
    """

    stage: str
    message: str
    tail: tuple[str, ...] = ()
    next_step: str = ""


@dataclass(frozen=True)
class Report:
    """The verdict on one candidate, and its evidence.

    Attributes:
        evaluated_at: ISO 8601 with time zone.
        judgement: the verdict by the base's gate, what of the gate moved, and the verdict by the
            gate as moved.
        newest_row, oldest_row: ISO dates of the holdout, if its rows have dates.
        changes: ingredients that differ from the base's.
        moved: what else moved of the bar: see `Moved`; lines of the gate are in `judgement`.
        rows_before: number of rows of production's own holdout, if known.
        look: number of this candidate among those judged on these rows; None if not counted.
        unreleased: that the base is not what is in production.
        holdout_move: the last one before this change; None if the ledger knows of none.
        walls: what stood around the models that were asked, and its gaps.
    """

    model: str
    kind: Situation
    subject: EvaluatedTree
    evaluated_at: str
    format: Literal[1] = FORMAT
    fingerprint: str | None = None
    champion: ChampionVersion | None = None
    reference: ReferenceVersion | None = None
    comparison: Comparison | None = None
    judgement: Judgement | None = None
    run: TrackedRun | None = None
    oldest_row: str | None = None
    newest_row: str | None = None
    changes: tuple[Change, ...] = ()
    data: tuple[DataChange, ...] = ()
    moved: tuple[Moved, ...] = ()
    rows_before: int | None = None
    look: int | None = None
    unreleased: UnreleasedBase | None = None
    holdout_move: HoldoutMove | None = None
    walls: str | None = None
    on_merge: OnMerge | None = None
    attribution: AttributionShares | None = None
    failure: Failure | None = None

    @property
    def verdict(self) -> Verdict | None:
        """By the base's gate."""
        return self.judgement.verdict if self.judgement else None

    @property
    def bar_moved(self) -> bool:
        """Whether the change edits what it is judged by."""
        return bool(self.moved or (self.judgement and self.judgement.moved))


def read_report(text: bytes | str, *, where: str) -> Report:
    """Read `report.json`, strictly.

    Raises:
        BundleError: it is a report of another format.
        DeclarationError: it is not a report.
    """
    try:
        document = json.loads(text)
        version = document.get("format", FORMAT) if isinstance(document, dict) else FORMAT
    except (ValueError, RecursionError):
        version = FORMAT  # the strict reader says what is wrong
    if version != FORMAT:
        raise BundleError(
            f"report of format {version!r}, this is mergeline for format {FORMAT}",
            where=where,
            next_step="Evaluate again with this version of mergeline",
        )
    return strict.read_json(Report, text, where=where)
