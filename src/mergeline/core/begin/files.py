"""The text of each file that `init` writes, from the answers alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from mergeline.core.begin.answers import Answers, ModelAnswer
from mergeline.core.declare.schemas import schema_address

IGNORED = ("/.mergeline/", "/build/", "/data/*.snapshot.json")
IGNORED_BY_DVC = ("/.mergeline/", "/.venv/")
DVC_IGNORED = "/config.local\n/tmp\n/cache\n"
SHARE = 0.2
_METRICS: Mapping[str, tuple[str, ...]] = {
    "binary": ("roc_auc", "neg_log_loss", "recall"),
    "multiclass": ("accuracy", "neg_log_loss"),
    "regression": ("r2", "neg_mean_absolute_error"),
}
_FIRST = {"binary": 0.55, "multiclass": 0.5, "regression": 0.0}
_MARGIN = {"binary": 0.02, "multiclass": 0.02, "regression": 0.05}


def schema_line(kind: str, version: str) -> str:
    """The line by which an editor finds the schema of a file."""
    return f"# yaml-language-server: $schema={schema_address(kind, version)}\n"


def dvc_config(remote: str) -> str:
    """DVC's configuration with a default remote."""
    place = f"['remote \"storage\"']\n    url = {remote}\n"
    return f"[core]\n    analytics = false\n    remote = storage\n{place}"


def model_yaml(model: ModelAnswer, version: str) -> str:
    """`models/<name>.yaml`."""
    first, *others = _METRICS[model.task]
    order = "in the model's order; the positive one last" if model.task == "binary" else ""
    classes = f"classes: {_listed(model.classes)}" + (f"   # {order}" if order else "")
    lines = [
        f"task: {model.task}",
        f"stage: {model.stage}   # of dvc.yaml, the last one that makes the model",
        f"outputs: build/{model.name}   # where it leaves model, holdout and training rows",
        f"label: {_quoted(model.label)}",
        *([classes] if model.classes else []),
        f"key: {_listed(model.key)}   # columns that name a row",
        "# cluster: COLUMN   # rows that are not independent, such as those of one patient or day",
        f"metrics: {_listed((first, *others))}   # names of scikit-learn scorers",
        "# slices: [COLUMN]   # also judged by each of its values",
        "gate:   # what a change must reach; docs/verdict.md has all rules",
        f"  primary: {first}",
        f"  first: {{{first}: {{at_least: {_FIRST[model.task]}}}}}   # of the first release",
        f"  metrics: {{{first}: {{margin: {_MARGIN[model.task]}}}}}   # the most it may get worse",
        "  inconclusive: ask   # where the rows cannot tell, a person decides; or pass, fail",
    ]
    head = "# What the model predicts, and what a change of it must reach before it is released.\n"
    return schema_line("model", version) + head + "\n".join(lines) + "\n"


def stages_yaml(answers: Answers, *, snapshot: bool) -> str:
    """The stages as they stand under `stages:`."""
    pin = f"data/{answers.table}.snapshot.json"
    lines = []
    if snapshot:
        lines = [
            "  snapshot:",
            "    cmd: mergeline snapshot",
            "    always_changed: true",
            "    outs:",
            f"      - {pin}: {{cache: false}}",
        ]
    for model in answers.models:
        lines += [
            f"  {model.stage}:",
            f"    cmd: python {model.script}",
            f"    deps: [{model.script}, {pin}]",
            f"    params: [{model.stage}]",
            "    outs:",
            *(
                f"      - build/{model.name}/{out}"
                for out in ("model", "training_rows.parquet", "holdout.parquet")
            ),
        ]
    return "\n".join(lines) + "\n"


def params_yaml(models: Sequence[ModelAnswer]) -> str:
    """The sections of `params.yaml`, one for each stage."""
    lines = []
    for model in models:
        lines.append(f"{model.stage}:")
        lines.append(f"  holdout: {SHARE}   # share of the rows that models are compared on")
        lines += [f"  {name}: {json.dumps(value)}" for name, value in model.params.items()]
    return "\n".join(lines) + "\n"


def training_script(model: ModelAnswer, table: str) -> str:
    """The script of the stage that trains."""
    module, _, estimator = model.estimator.rpartition(".")
    steps = _steps(model, estimator)
    imports = [
        f"from {module} import {estimator}",
        *(["from sklearn.compose import make_column_transformer"] if model.texts else []),
        *(["from sklearn.impute import SimpleImputer"] if "SimpleImputer" in steps else []),
        *(["from sklearn.pipeline import make_pipeline"] if "make_pipeline" in steps else []),
        *(["from sklearn.preprocessing import OrdinalEncoder"] if model.texts else []),
    ]
    rows = [f'rows = mergeline.table("{table}").collect().to_pandas()']
    if model.unlabelled:
        rows.append(f"rows = rows.dropna(subset=[{_python_text(model.label)}])")
    rows.append(f"key = {_python(model.key)}")
    if not model.one_of_a_kind:
        rows.append("rows = rows.drop_duplicates(key)  # no column names a row")
    left_out = "".join(f"#   {name}: {why}\n" for name, why in model.left_out.items())
    return (
        f'"""Train the model `{model.name}`: stage `{model.stage}` of dvc.yaml."""\n\n'
        "from pathlib import Path\n\n"
        "import mergeline\nimport yaml\n"
        + "\n".join(sorted(imports))
        + f'\n\nparams = yaml.safe_load(Path("params.yaml").read_text())["{model.stage}"]\n'
        + 'share = params.pop("holdout")\n\n'
        + "\n".join(rows)
        + "\nheld = mergeline.held_out(rows, key, share=share)  # a new drop moves no old row\n"
        + "train, holdout = rows[~held], rows[held]\n\n"
        + (f"# Not taken:\n{left_out}" if left_out else "")
        + f"inputs = {_python(model.inputs)}\n"
        + (f"words = {_python(model.texts)}\n" if model.texts else "")
        + f"model = {steps}\n"
        + f"model.fit(train[inputs], train[{_python_text(model.label)}])\n"
        + f'mergeline.save(model, name="{model.name}", train=train, holdout=holdout)\n'
    )


def _steps(model: ModelAnswer, estimator: str) -> str:
    """The model as an expression, with what its inputs need before it."""
    steps = []
    if model.texts:
        steps.append(
            "make_column_transformer(\n"
            '        (OrdinalEncoder(handle_unknown="use_encoded_value", '
            "unknown_value=-1), words),\n"
            '        remainder="passthrough",\n    )'
        )
    if model.gaps and not estimator.startswith(("HistGradient", "LGBM", "XGB", "CatBoost")):
        steps.append("SimpleImputer()")
    if not steps:
        return f"{estimator}(**params)"
    return "make_pipeline(\n    " + ",\n    ".join([*steps, f"{estimator}(**params)"]) + ",\n)"


def _python_text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _python(names: Sequence[str]) -> str:
    """A list of texts as Python, in lines of at most 100 characters."""
    line = "[" + ", ".join(map(_python_text, names)) + "]"
    if len(line) < 80:
        return line
    lines, current = [], ""
    for name in names:
        word = _python_text(name) + ","
        if current and len(current) + len(word) > 90:
            lines.append(current)
            current = ""
        current = f"{current} {word}".strip()
    return "[\n    " + "\n    ".join([*lines, current]) + "\n]"


def _listed(values: Sequence[bool | int | str]) -> str:
    return "[" + ", ".join(map(_quoted, values)) + "]"


def _quoted(value: bool | int | str) -> str:  # noqa: FBT001
    """A value as YAML and JSON write it: a text is quoted if it may be read otherwise."""
    plain = isinstance(value, str) and value.isidentifier() and value.lower() not in _READ_OTHERWISE
    return str(value) if plain else json.dumps(value, ensure_ascii=False)


_READ_OTHERWISE = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
