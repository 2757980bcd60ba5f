"""The rows that moved most, as a table."""

from __future__ import annotations

from collections.abc import Mapping

from mergeline.core import numbers
from mergeline.core.report.sentences import short_role_name
from mergeline.core.report.view import View


def examples_grid(view: View) -> list[tuple[str, ...]]:
    """The rows that moved most, with all that may be told of them; empty if none moved."""
    if view.against is None or not view.examples:
        return []
    names = [short_role_name(view.report, role) for role in (view.against, view.roles[-1])]
    grid: list[tuple[str, ...]] = [
        ("row", "slices", view.comparison.label, *names, "unusual inputs")
    ]
    for example in view.examples:
        own, others = numbers.number(example.candidate), numbers.number(example.other)
        if len(view.comparison.classes) > 2:
            own, others = f"{own}, {example.candidate_says}", f"{others}, {example.other_says}"
        unusual = (f"{one.name} {one.value} (typical {one.typical})" for one in example.unusual)
        grid.append((
            _pairs(example.key) or f"row {numbers.count(example.row + 1)}",
            _pairs(example.slices),
            example.label,
            others,
            own,
            "; ".join(unusual),
        ))  # fmt: skip
    return grid


def _pairs(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
