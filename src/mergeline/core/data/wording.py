"""A data diff in sentences, for a report and for a terminal."""

from __future__ import annotations

from collections import Counter

from mergeline.core import numbers
from mergeline.core.data.diff import (
    CLASSES,
    ColumnDiff,
    ColumnFacts,
    DataDiff,
    Frequent,
    SharedKeys,
    Side,
)
from mergeline.core.data.drift import Drift
from mergeline.core.data.profile import Scalar

_WORTH_A_LOOK = 0.1
_FEW = 3
_MEDIAN = 2  # among the quantiles
_SMALL_P = 1e-3
_DIGITS = 6
_UNIT, _HUGE = 1e6, 1e15


def side_line(side: Side) -> str:
    """`version 4 (ab12cd34, 164,158 rows, 6 drops, 3.2 MB)`."""
    digest = f"{side.digest[:8]}, " if side.digest else ""
    counts = f"{numbers.counted(side.rows, 'row')}, {numbers.counted(side.drops, 'drop')}"
    return f"version {side.version} ({digest}{counts}, {numbers.size(side.size)})"


def drop_names(diff: DataDiff) -> tuple[str, ...]:
    """Paths of the drops, with the first characters of the md5 if two drops share a path."""
    often = Counter(drop.path for drop in diff.drops)
    return tuple(
        f"{drop.path} ({drop.md5[:8]})" if often[drop.path] > 1 else drop.path
        for drop in diff.drops
    )


def _replaced_lines(diff: DataDiff) -> tuple[str, ...]:
    """`sales/01-b.csv replaces sales/01.csv`, of each drop that replaces one of another path."""
    return tuple(f"{drop.path} replaces {drop.replaces}" for drop in diff.drops if drop.replaces)


def drift_lines(diff: DataDiff) -> tuple[str, ...]:
    """A line for each column whose values drifted enough to be worth a look, the largest first."""
    moved = [
        (column, column.drift)
        for column in diff.columns
        if column.drift and column.drift.psi >= _WORTH_A_LOOK
    ]
    moved.sort(key=lambda pair: -pair[1].psi)
    return tuple(_drift_line(column, drift) for column, drift in moved)


def _drift_line(column: ColumnDiff, drift: Drift) -> str:
    """`dep_delay: PSI 0.31, Kolmogorov-Smirnov p < 0.001; median −2 → 9; absent 2 % → 4 %`."""
    test = "" if drift.p_value is None else f", {drift.test} {p_words(drift.p_value)}"
    parts = [f"{column.name}: PSI {numbers.number(drift.psi, 2)}{test}"]
    before, after = column.before, column.added or column.after
    if before and after:
        pairs = (("median", *(_median(f) for f in (before, after))),
                 ("most frequent", *(_most_frequent(f) for f in (before, after))),
                 ("absent", *(absent(f) for f in (before, after))))  # fmt: skip
        parts += [f"{what} {old} → {new}" for what, old, new in pairs if old != new and old and new]
    return "; ".join(parts)


def p_words(p_value: float) -> str:
    """`p = 0.04`, or `p < 0.001`."""
    return "p < 0.001" if p_value < _SMALL_P else f"p = {numbers.number(p_value, 2)}"


def note_lines(diff: DataDiff) -> tuple[str, ...]:
    """What else to know: a changed contract, the labels' balance, keys in more than one drop."""
    lines = list(_replaced_lines(diff))
    if diff.contract_changed:
        lines += [
            "the contract changed: every row was made anew, also of drops that did not change"
        ]
    lines += [_balance_line(column) for column in diff.columns if column.name in diff.labels]
    if diff.shared_keys and diff.shared_keys.count:
        lines += [shared_keys_line(diff.shared_keys)]
    return tuple(filter(None, lines))


def _balance_line(column: ColumnDiff) -> str:
    """`label late: false 77 % → 73 %, true 23 % → 27 %`; quartiles of a label with many values."""
    sides = [side for side in (column.before, column.after) if side is not None and side.rows]
    if not sides:
        return ""
    if not all(side.exact and side.distinct <= CLASSES for side in sides):
        return f"label {column.name}: {' → '.join(map(values, sides))}"
    counted = [{value.value: value.rows for value in side.top} for side in sides]
    classes = {value for counts in counted for value in counts}
    shares = [
        f"{value_words(value)} "
        + " → ".join(
            numbers.share(counts.get(value, 0), side.rows)
            for counts, side in zip(counted, sides, strict=True)
        )
        for value in sorted(classes, key=lambda value: (isinstance(value, str), value))
    ]
    return f"label {column.name}: {', '.join(shares)}"


def shared_keys_line(shared: SharedKeys) -> str:
    """`2 keys (day, id) stand in more than one drop, for example 2013-01-01, 7; …`."""
    key = ", ".join(shared.key)
    first = f", for example {'; '.join(shared.examples)}" if shared.examples else ""
    keys = numbers.counted(shared.count, "key")
    verb = "stands" if shared.count == 1 else "stand"
    return f"{keys} ({key}) {verb} in more than one drop{first}"


def absent(facts: ColumnFacts | None) -> str:
    """Share of rows without a value."""
    return numbers.share(facts.nulls, facts.rows) if facts else "—"


def distinct(facts: ColumnFacts | None) -> str:
    """How many distinct values there are, with ≈ if that is an estimate."""
    if facts is None:
        return "—"
    return f"{'' if facts.exact else '≈ '}{numbers.count(facts.distinct)}"


def values(facts: ColumnFacts | None) -> str:
    """`−43 … −5 · −2 · 11 … 1,301` (least, quartiles, most), or the most frequent values."""
    if facts is None or not (facts.quantiles or facts.top):
        return "—"
    if facts.quantiles and not (facts.exact and facts.distinct <= _FEW):
        quartiles = " · ".join(map(value_words, facts.quantiles[1:4]))
        return f"{value_words(facts.least)} … {quartiles} … {value_words(facts.most)}"
    shown = [_frequent(value, facts) for value in facts.top[:_FEW]]
    more = facts.distinct - len(shown)
    return " · ".join(shown) + (f" · {numbers.count(more)} more" if more > 0 else "")


def value_words(value: Scalar | None) -> str:
    """A value as text; a number of many digits is rounded to 6 of them, or to the unit."""
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.{_DIGITS}g}" if not _UNIT <= abs(value) < _HUGE else f"{value:.0f}"
    return str(value)


def _median(facts: ColumnFacts) -> str:
    return value_words(facts.quantiles[_MEDIAN]) if facts.quantiles else ""


def _most_frequent(facts: ColumnFacts) -> str:
    return "" if facts.quantiles or not facts.top else _frequent(facts.top[0], facts)


def _frequent(value: Frequent, facts: ColumnFacts) -> str:
    return f"{value_words(value.value)} {numbers.share(value.rows, facts.rows)}"
