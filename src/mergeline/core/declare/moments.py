"""The format of a date or a datetime that a contract declares, by the directives of `strptime`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_FULL_MONTHS = (
    "January|February|March|April|May|June|July|August|September|October|November|December"
)
_ONE_OR_TWO = "[0-9]{1,2}"
# What each directive takes. Readers differ in how much they take: `%Y` of some takes 13 for a year.
_DIRECTIVES: Mapping[str, str] = {
    "Y": "[0-9]{4}", "y": "[0-9]{2}", "m": _ONE_OR_TWO, "d": _ONE_OR_TWO, "j": "[0-9]{3}",
    "b": f"(?i:{_MONTHS})", "B": f"(?i:{_FULL_MONTHS})",
    "H": _ONE_OR_TWO, "I": _ONE_OR_TWO, "M": "[0-9]{2}", "S": "[0-5][0-9]", "p": "(?i:am|pm)",
    "f": "[0-9]{1,6}", "z": "(?:Z|[+-][0-9]{2}:?[0-9]{2})", "%": "%",
}  # fmt: skip
FORMAT_RULES = "write it like %d/%m/%Y or %d.%m.%Y %H:%M, with the directives " + " ".join(
    f"%{name}" for name in _DIRECTIVES
)
_DATES = ({"Y", "m", "d"}, {"y", "m", "d"}, {"Y", "b", "d"}, {"Y", "B", "d"}, {"y", "b", "d"},
          {"Y", "j"})  # fmt: skip
_TIMES: tuple[set[str], ...] = ({"H", "M"}, {"I", "M", "p"})
_PARTS = re.compile(r"%(.?)|([^%]+)", flags=re.DOTALL)


@dataclass(frozen=True)
class MomentFormat:
    """A declared format, taken apart.

    Attributes:
        pattern: a regular expression of exactly the texts that are of the format.
        chrono: the format in the directives of chrono, which Polars reads by.
        has_offset: whether a text says its offset from UTC.
    """

    pattern: str
    chrono: str
    has_offset: bool


def moment_format(text: str) -> MomentFormat:
    """Take a format apart in which `format_problem` finds none."""
    parts = _PARTS.findall(text)
    pattern = ""
    for before, (name, literal), after in zip(
        [("", "."), *parts], parts, [*parts[1:], ("", ".")], strict=False
    ):
        taken = _DIRECTIVES[name] if name else re.escape(literal)
        if taken == _ONE_OR_TWO and (before[0] or after[0]):  # else 2013111 is two days
            taken = "[0-9]{2}"
        pattern += taken
    # chrono counts %f in nanoseconds; its %.f is a fraction, with the point.
    chrono = text.replace(".%f", "%.f").replace("%z", "%#z")
    return MomentFormat(f"^{pattern}$", chrono, has_offset="%z" in text)


def format_problem(text: str, *, with_time: bool) -> str:
    """What is wrong with a format for a date, or for a datetime; empty if it can be read."""
    names = [name for name, literal in _PARTS.findall(text) if not literal]
    for name in names:
        if name not in _DIRECTIVES:
            return f"%{name} is not one of its directives"
    named = set(names) - {"%"}
    if len(names) != len(named) + names.count("%"):
        return "a directive stands twice"
    times = named & {"H", "I", "M", "S", "p", "f", "z"}
    if named - times not in _DATES:
        return "it does not say year, month and day"
    if times and not with_time:
        return "a date has no time"
    if with_time and times - {"S", "f", "z"} not in _TIMES:
        return "it does not say hour and minute"
    if "f" in times and ("S" not in times or ".%f" not in text):
        return "%f is a part of a second: it follows %S and a point"
    return ""
