"""Make a report fit into a comment: shorten and leave out what matters least, and say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """A paragraph or more of the report.

    Attributes:
        name: how a reader is told that it was cut.
        weight: parts of less weight are cut first.
        forms: from the fullest to the briefest; an empty one leaves the part out. A part whose
            last form is not empty is never left out.
    """

    name: str
    weight: int
    forms: tuple[str, ...]


def fit(parts: Sequence[Part], limit: int, *, note: str) -> str:
    """The parts in their order, in at most `limit` characters if their last forms allow that.

    If something was cut, the note is said at the end, with what was cut in place of `{parts}`.
    """
    chosen = [0] * len(parts)
    while True:
        texts = [part.forms[form] for part, form in zip(parts, chosen, strict=True)]
        if cut := [part.name for part, form in zip(parts, chosen, strict=True) if form]:
            texts.append(note.format(parts=", ".join(cut)))
        text = "\n\n".join(filter(None, texts)) + "\n"
        shortenable = [
            (part.weight, -len(part.forms[form]), index)
            for index, (part, form) in enumerate(zip(parts, chosen, strict=True))
            if form + 1 < len(part.forms)
        ]
        if len(text) <= limit or not shortenable:
            return text
        chosen[min(shortenable)[2]] += 1
