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

    Args:
        parts: in reading order.
        limit: characters.
        note: said at the end when something was cut, with `{parts}` for what.
    """
    chosen = [0] * len(parts)
    while True:
        text = _joined(parts, chosen, note)
        if len(text) <= limit:
            return text
        shortenable = [
            (part.weight, -len(part.forms[chosen[index]]), index)
            for index, part in enumerate(parts)
            if chosen[index] + 1 < len(part.forms)
        ]
        if not shortenable:
            return text
        chosen[min(shortenable)[2]] += 1


def _joined(parts: Sequence[Part], chosen: Sequence[int], note: str) -> str:
    texts = [part.forms[form] for part, form in zip(parts, chosen, strict=True)]
    cut = [part.name for part, form in zip(parts, chosen, strict=True) if form]
    if cut:
        texts.append(note.format(parts=", ".join(cut)))
    return "\n\n".join(text for text in texts if text) + "\n"
