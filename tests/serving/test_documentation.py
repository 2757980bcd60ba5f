"""docs/serving.md says what the server does."""

from __future__ import annotations

import json
import re
from pathlib import Path

from mergeline.serving.http import BODY_LIMIT
from mergeline.serving.routes import ROUTES
from mergeline.serving.rows import KINDS, ROW_LIMIT
from mergeline.serving.served_versions import STAGES

TEXT = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")


def test_it_lists_each_address_limit_stage_and_type() -> None:
    for route in ROUTES:
        assert f"{route.path}`" in TEXT
    for word in (f"{ROW_LIMIT:,} rows", f"{BODY_LIMIT // 1_000_000} MB", *map(str.lower, STAGES)):
        assert word in TEXT
    for kind in KINDS:
        assert f"`{kind}`" in TEXT


def test_its_examples_are_json_in_the_form_that_is_answered() -> None:
    blocks = re.findall(r"^```json\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)
    request, answer, error = map(json.loads, blocks)
    assert request.keys() == {"rows"}
    assert answer.keys() == {
        "model", "version", "stage", "fingerprint", "model_digest", "classes", "predictions",
    }  # fmt: skip
    assert len(answer["predictions"]) == len(request["rows"])
    assert error["error"].keys() == {"message", "where", "next_step"}
