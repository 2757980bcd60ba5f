"""docs/reference.md says what the code says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mergeline.core.declare.contract import parse_contract
from mergeline.core.declare.environments import parse_environments
from mergeline.core.declare.model import parse_model
from mergeline.core.declare.strict import parse_yaml
from tests.support.reference_page import EXAMPLES, SCHEMAS, made, parts_of

PAGE = Path(__file__).parent.parent / "docs" / "reference.md"
BEGIN = "<!-- By the code: MERGELINE_GOLDEN=write pytest tests/test_reference.py -->\n\n"
END = "\n<!-- By hand. -->\n"
READERS: dict[str, Callable[[str], object]] = {
    "models/<name>.yaml": lambda text: parse_model("late", text),
    "data/<table>.yaml": lambda text: parse_contract("parcels", text),
    "environments.yaml": parse_environments,
}


def keys(document: Any) -> Iterator[str]:
    """Every key of a document; `true` and `false` are some of a column."""
    if isinstance(document, dict):
        yield from (str(key).lower() if isinstance(key, bool) else key for key in document)
    for part in document.values() if isinstance(document, dict) else document:
        if isinstance(part, dict | list):
            yield from keys(part)


def test_the_reference_has_each_verb_and_each_key_as_the_code_has_them() -> None:
    begun, begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, end, by_hand = rest.partition(END)
    assert begin
    assert end
    whole = f"{begun}{begin}{made()}{end}{by_hand}"
    if os.environ.get("MERGELINE_GOLDEN") == "write":
        PAGE.write_text(whole, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == whole


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_file_of_the_reference_is_read_and_shows_every_key(name: str) -> None:
    READERS[name](EXAMPLES[name])
    text = EXAMPLES[name].replace("\nnull:", '\n"null":')
    shown = set(keys(parse_yaml(text, where=name)))
    for _, part in parts_of(SCHEMAS[name]()):
        assert part["properties"].keys() <= shown


def test_a_key_of_the_reference_breaks_no_table() -> None:
    rows = [line for line in made().splitlines() if line.startswith("| `")]
    assert rows
    assert [row for row in rows if row.count("|") != 5] == []
