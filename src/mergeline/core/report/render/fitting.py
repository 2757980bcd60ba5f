"""Make a report fit into a comment: shorten and leave out what matters least, and say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NOTE = "<sub>Cut to fit the comment: {parts}. The full report is in the run's files.</sub>"


@dataclass(frozen=True)
class Part:
    """A paragraph or more of the report.

    Attributes:
        name: how a reader is told that it was cut.
        weight: parts of less weight are cut first.
        forms: from the fullest to the briefest. Empty if there is nothing to say.
        kept: whether its last form is never left out.
    """

    name: str
    weight: int
    forms: tuple[str, ...]
    kept: bool = False


def fit(parts: Sequence[Part], limit: int) -> str:
    """The parts in their order, in at most `limit` characters if those that are kept allow that."""
    forms = [part.forms if part.kept else tuple(dict.fromkeys([*part.forms, ""])) for part in parts]
    chosen = [0] * len(parts)
    while True:
        texts = [some[number] for some, number in zip(forms, chosen, strict=True)]
        if cut := [part.name for part, number in zip(parts, chosen, strict=True) if number]:
            texts.append(NOTE.format(parts=", ".join(cut)))
        text = "\n\n".join(filter(None, texts)) + "\n"
        shortenable = [
            (part.weight, -len(texts[index]), index)
            for index, part in enumerate(parts)
            if chosen[index] + 1 < len(forms[index])
        ]
        if len(text) <= limit or not shortenable:
            return text
        chosen[min(shortenable)[2]] += 1
