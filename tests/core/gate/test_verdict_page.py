"""docs/verdict.md says what the gate does."""

import re
from pathlib import Path
from typing import get_args

import yaml

from mergeline.core.compare.metrics import catalogue as metrics
from mergeline.core.compare.metrics import means as losses
from mergeline.core.compare.metrics import ratios as totals
from mergeline.core.compare.result import Absent, Other, ProblemKind
from mergeline.core.declare.model import parse_model
from mergeline.core.gate import judge
from mergeline.core.gate.rules import absolute, relative, slices

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "verdict.md").read_text()


def rule_names() -> set[str]:
    """Every name that a rule gives a reason, read from the rules themselves."""
    source = "".join(
        Path(str(module.__file__)).read_text() for module in (judge, absolute, relative, slices)
    )
    plain = set(re.findall(r'(?:Reason|bounds|_beside|_ceiling)\(\s*"(\w+)"', source))
    absent = {f"metric_{kind}" for kind in get_args(Absent) if kind not in {"", "unscored"}}
    others = {f"{other}_{what}" for other in get_args(Other) for what in ("missing", "unscored")}
    others -= {"reference_missing"}  # the champion stands for it where there is none
    moved = set(get_args(judge.MovedRule))
    return plain | absent | others | moved | set(get_args(ProblemKind))


def test_every_rule_is_on_the_page_and_every_rule_on_the_page_exists() -> None:
    table = PAGE.split("### Rules by name")[1].split("Why there is no rule")[0]
    listed = {
        name
        for line in table.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert listed == rule_names()


def test_the_gate_on_the_page_is_one_that_can_be_declared() -> None:
    (example,) = re.findall(r"```yaml\n(gate:.*?)```", PAGE, flags=re.DOTALL)
    declaration = {
        "task": "binary", "stage": "evaluate", "outputs": "build", "label": "late",
        "classes": [False, True], "key": ["id"], "metrics": ["roc_auc", "recall"],
        "slices": ["origin"], **yaml.safe_load(example),
    }  # fmt: skip
    model = parse_model("late", yaml.safe_dump(declaration))
    assert model.gate.unavailable == ("arr_delay",)


def test_the_means_over_rows_on_the_page_are_those_in_closed_form() -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith("| means over rows"))
    named = set(re.findall(r"`(\w+)`", row.split("|")[1]))
    deviances = {"neg_mean_poisson_deviance", "neg_mean_gamma_deviance"}
    assert named | deviances == {*losses.MULTICLASS, *losses.REGRESSION}
    assert not named & {*totals.CLASSIFICATION, *totals.REGRESSION, *metrics._RANKS_BINARY}
