"""The fingerprint moves with each ingredient of a model and stays for everything else."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from mergeline.adapters.git.repository import Repository
from mergeline.cli.show import change_plan_lines
from mergeline.core.declare.strict import read_json, write_json
from mergeline.core.fingerprint.change_plan import plan_change
from mergeline.core.fingerprint.ingredients import Ingredients, changes
from mergeline.errors import DeclarationError
from mergeline.lifecycle.steps.project_tree import ProjectTree
from mergeline.system.git_command import run_git

FILES = {
    "README.md": "# flowers\n",
    "params.yaml": "# how it is trained\ntrain:\n  rate: 0.1\n  deep: {depth: 3}\nnobody: 1\n",
    "dvc.yaml": """\
stages:
  snapshot:
    cmd: mergeline snapshot
    always_changed: true
    outs:
      - data/flowers.snapshot.json: {cache: false}
  train:
    cmd: python -m pipelines.train
    deps: [pipelines/train.py, pipelines/features.py, data/flowers.snapshot.json]
    params: [train]
    outs: [build/iris/model]
  evaluate:
    cmd: python -m pipelines.evaluate
    deps: [pipelines/evaluate.py, build/iris/model, data/flowers.snapshot.json]
    outs: [build/iris/holdout.parquet]
""",
    "pipelines/features.py": "WIDTH = 1\n",
    "pipelines/train.py": "from pipelines.features import WIDTH\n",
    "pipelines/evaluate.py": "import json\n",
    "data/flowers.yaml": """\
description: flowers
source: data/raw/flowers
format: csv
key: [id]
columns:
  id: {type: int64}
  width: {type: float64, min: 0}
""",
    "data/raw/flowers/one.csv.dvc": "outs:\n- md5: {0}\n  size: 3\n  hash: md5\n  path: one.csv\n",
    "models/iris.yaml": """\
task: binary
stage: evaluate
outputs: build/iris
label: big
classes: [false, true]
key: [id]
metrics: [roc_auc]
gate: {primary: roc_auc}
""",
    "uv.lock": 'version = 1\n[[package]]\nname = "numpy"\nversion = "2.0"\n',
}


class Flowers:
    """A small project in real Git."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        run_git(["init", "-q", "-b", "main"], cwd=root)
        self.root = root
        self.repository = Repository.at(root)
        for path, text in FILES.items():
            self.write(path, text.replace("{0}", "a1" * 16))

    def write(self, path: str, text: str) -> None:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def edit(self, path: str, old: str, new: str) -> None:
        text = (self.root / path).read_text()
        assert old in text
        self.write(path, text.replace(old, new))

    def ingredients(self) -> Ingredients:
        tree = ProjectTree(self.repository.working_tree())
        return tree.ingredients(tree.models["iris"])


@pytest.fixture
def flowers(tmp_path: Path) -> Flowers:
    return Flowers(tmp_path / "flowers")


MOVES = {
    "a parameter": ("params.yaml", "rate: 0.1", "rate: 0.05"),
    "a nested parameter": ("params.yaml", "depth: 3", "depth: 4"),
    "a stage's command": ("dvc.yaml", "pipelines.train", "pipelines.train --fast"),
    "code of the stage": ("pipelines/train.py", "import WIDTH", "import WIDTH as W"),
    "code that the stage imports": ("pipelines/features.py", "1", "2"),
    "code of the evaluation": ("pipelines/evaluate.py", "json", "math"),
    "a pointer": ("data/raw/flowers/one.csv.dvc", "a1" * 16, "b2" * 16),
    "a bound of the contract": ("data/flowers.yaml", "min: 0", "min: 1"),
    "the dependency lock": ("uv.lock", "2.0", "2.1"),
}
STAYS = {
    "the README": ("README.md", "flowers", "blossoms"),
    "a comment in params": ("params.yaml", "# how it is trained", "# how it is fitted"),
    "the form of params": ("params.yaml", "deep: {depth: 3}", "deep:\n    depth: 3"),
    "a number's spelling": ("params.yaml", "rate: 0.1", "rate: 1.0e-1"),
    "a key that no stage reads": ("params.yaml", "nobody: 1", "nobody: 2"),
    "the order of keys": ("params.yaml", "  rate: 0.1\n  deep: {depth: 3}\n",
                          "  deep: {depth: 3}\n  rate: 0.1\n"),
    "a comment in dvc.yaml": ("dvc.yaml", "stages:", "# the map\nstages:"),
    "the contract's description": ("data/flowers.yaml", "description: flowers", "description: f"),
    "the gate": ("models/iris.yaml", "gate: {primary: roc_auc}",
                 "gate: {primary: roc_auc, improve: true}"),
}  # fmt: skip


@pytest.mark.parametrize(("path", "old", "new"), MOVES.values(), ids=MOVES.keys())
def test_the_fingerprint_moves_with_each_ingredient(
    flowers: Flowers, path: str, old: str, new: str
) -> None:
    before = flowers.ingredients()
    flowers.edit(path, old, new)
    after = flowers.ingredients()
    assert after.fingerprint != before.fingerprint
    found = changes(before, after)
    assert [change.where for change in found] == [path]
    assert found[0].stages


@pytest.mark.parametrize(("path", "old", "new"), STAYS.values(), ids=STAYS.keys())
def test_the_fingerprint_stays_for_everything_else(
    flowers: Flowers, path: str, old: str, new: str
) -> None:
    before = flowers.ingredients()
    flowers.edit(path, old, new)
    after = flowers.ingredients()
    assert after.fingerprint == before.fingerprint
    assert changes(before, after) == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2024-01-01", "'2024-01-01'"),
        ("2024-01-01", "'!!date 2024-01-01'"),
        ("{a: {b: 1}}", "{a.b: 1}"),
        ("{a.b: {c: 1}}", "{a: {b.c: 1}}"),
        (r"{'a\.b': 1}", "{a.b: 1}"),
        ("{1: x}", "{'1': x}"),
        ("{true: x}", "{'True': x}"),
        ("[{1: x}]", "[{'1': x}]"),
        (".inf", "'inf'"),
        ("!!set {a}", "[a]"),
        ("!!set {a}", "['!!set', a]"),
        ("!!pairs [a: 1]", "[[a, 1]]"),
        ("!!binary aGk=", "\"b'hi'\""),
        ("1", "1.0"),
        ("1", "true"),
    ],
)
def test_two_values_are_never_one_parameter(flowers: Flowers, one: str, other: str) -> None:
    flowers.edit("params.yaml", "rate: 0.1", f"rate: {one}")
    before = flowers.ingredients()
    flowers.edit("params.yaml", f"rate: {one}", f"rate: {other}")
    after = flowers.ingredients()
    assert before.fingerprint != after.fingerprint
    assert changes(before, after)


def test_a_whole_file_of_params_may_have_dots_in_its_keys(flowers: Flowers) -> None:
    flowers.write("other.yaml", "a.b: 1\n")
    flowers.edit("dvc.yaml", "params: [train]", "params: [train, {other.yaml: }]")
    assert flowers.ingredients().params()[r"other.yaml: a\.b"] == 1


def test_another_folder_of_outputs_is_another_model(flowers: Flowers) -> None:
    flowers.edit(
        "dvc.yaml", "[build/iris/holdout.parquet]", "[build/iris/holdout.parquet, build/alt]"
    )
    before = flowers.ingredients()
    flowers.edit("models/iris.yaml", "outputs: build/iris", "outputs: ./build/iris/")
    assert flowers.ingredients() == before
    flowers.edit("models/iris.yaml", "outputs: ./build/iris/", "outputs: build/alt")
    plan = plan_change("iris", before, flowers.ingredients())
    assert plan.fingerprint != before.fingerprint
    assert change_plan_lines(plan) == [
        "models/: outputs build/iris → build/alt: evaluate runs; snapshots stay"
    ]
    assert plan.run == ("evaluate",)


def test_another_decision_threshold_is_another_model(flowers: Flowers) -> None:
    before = flowers.ingredients()
    flowers.edit("models/iris.yaml", "task: binary", "task: binary\ndecision: 0.5")
    assert flowers.ingredients() == before
    flowers.edit("models/iris.yaml", "decision: 0.5", "decision: 0.3")
    plan = plan_change("iris", before, flowers.ingredients())
    assert plan.fingerprint != before.fingerprint
    assert change_plan_lines(plan) == [
        "models/: decision 0.5 → 0.3: another model, though no stage reads it"
    ]
    assert plan.run == ()
    kept = read_json(Ingredients, write_json(flowers.ingredients()), where="manifest.json")
    assert kept.fingerprint == plan.fingerprint


def test_a_model_without_decisions_has_no_threshold(flowers: Flowers) -> None:
    flowers.edit("models/iris.yaml", "task: binary", "task: multiclass")
    flowers.edit("models/iris.yaml", "[false, true]", "[a, b, c]")
    before = flowers.ingredients()
    flowers.edit("models/iris.yaml", "label: big", "label: big\ndecision: 0.3")
    assert flowers.ingredients() == before


def test_a_declaration_in_a_folder_of_models_is_refused(flowers: Flowers) -> None:
    flowers.write("models/z/iris.yaml", FILES["models/iris.yaml"])
    with pytest.raises(DeclarationError, match=r"models/z/iris\.yaml: .* in models/ itself"):
        flowers.ingredients()


def test_two_clones_agree_on_the_fingerprint(flowers: Flowers, tmp_path: Path) -> None:
    again = Flowers(tmp_path / "again")
    assert again.ingredients() == flowers.ingredients()


def test_the_working_tree_and_its_later_commit_are_the_same_tree(flowers: Flowers) -> None:
    dirty = flowers.repository.working_tree()
    git = flowers.repository.git
    git("-c", "user.name=a", "-c", "user.email=a@b", "add", "-A")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "all")
    assert flowers.repository.tree("HEAD") == dirty


def test_a_hand_made_dvc_lock_changes_no_fingerprint(flowers: Flowers) -> None:
    before = flowers.ingredients()
    flowers.write("dvc.lock", "schema: '2.0'\n")
    assert flowers.ingredients() == before


def test_a_changed_parameter_is_told_with_what_runs(flowers: Flowers) -> None:
    before = flowers.ingredients()
    flowers.edit("params.yaml", "rate: 0.1", "rate: 0.05")
    plan = plan_change("iris", before, flowers.ingredients())
    assert change_plan_lines(plan) == [
        "params.yaml: train.rate 0.1 → 0.05: train and evaluate run; snapshots stay"
    ]
    assert plan.stay == ("snapshot",)


def test_a_new_drop_is_told_by_its_pointer(flowers: Flowers) -> None:
    before = flowers.ingredients()
    md5 = hashlib.md5(b"two", usedforsecurity=False).hexdigest()
    flowers.write("data/raw/flowers/two.csv.dvc", f"outs:\n- md5: {md5}\n  path: two.csv\n")
    plan = plan_change("iris", before, flowers.ingredients())
    assert change_plan_lines(plan) == [
        "data/raw/flowers/two.csv.dvc: drop two.csv added: snapshot, train and evaluate run"
    ]
    assert plan.snapshots == ("flowers",)


def test_the_order_of_a_list_of_commands_moves_the_fingerprint(flowers: Flowers) -> None:
    written = "cmd: python -m pipelines.train"
    flowers.edit("dvc.yaml", written, "cmd: [python -m pipelines.train, echo done]")
    before = flowers.ingredients()
    flowers.edit("dvc.yaml", "[python -m pipelines.train, echo done]",
                 "[echo done, python -m pipelines.train]")  # fmt: skip
    after = flowers.ingredients()
    assert after.fingerprint != before.fingerprint
    [change] = changes(before, after)
    assert (change.what, change.stages) == ("train.cmd", ("train", "evaluate"))


def test_the_order_in_which_stages_run_moves_the_fingerprint(flowers: Flowers) -> None:
    """Each of two stages may be the one that reads what the other leaves."""
    stage = "  weigh:\n    cmd: make weights\n    outs: [build/weights]\n"
    flowers.edit("dvc.yaml", "  train:\n", stage + "  train:\n")
    flowers.edit("dvc.yaml", "[pipelines/evaluate.py, ", "[pipelines/evaluate.py, build/weights, ")
    tied = flowers.ingredients()
    flowers.edit("dvc.yaml", "[pipelines/train.py, ", "[pipelines/train.py, build/weights, ")
    weigh_first = flowers.ingredients()
    flowers.edit("dvc.yaml", "[pipelines/train.py, build/weights, ", "[pipelines/train.py, ")
    flowers.edit("dvc.yaml", "cmd: make weights\n",
                 "cmd: make weights\n    deps: [build/iris/model]\n")  # fmt: skip
    train_first = flowers.ingredients()
    ran = [[stage.name for stage in one.stages] for one in (weigh_first, train_first)]
    assert [[name for name in one if name in {"weigh", "train"}] for one in ran] == [
        ["weigh", "train"], ["train", "weigh"],
    ]  # fmt: skip
    assert len({one.fingerprint for one in (tied, weigh_first, train_first)}) == 3
    assert "order of stages" in [one.what for one in changes(weigh_first, train_first)]


def test_the_order_in_which_stages_are_written_down_is_none(flowers: Flowers) -> None:
    before = flowers.ingredients()
    head, _, rest = FILES["dvc.yaml"].partition("  train:\n")
    train, _, evaluate = rest.partition("  evaluate:\n")
    snapshot = head.removeprefix("stages:\n")
    flowers.write("dvc.yaml", f"stages:\n  evaluate:\n{evaluate}  train:\n{train}{snapshot}")
    assert flowers.ingredients() == before


def test_a_changed_lock_is_told_without_a_contradiction(flowers: Flowers) -> None:
    before = flowers.ingredients()
    flowers.edit("uv.lock", "2.0", "2.1")
    plan = plan_change("iris", before, flowers.ingredients())
    assert change_plan_lines(plan) == [
        "uv.lock: uv.lock changed: snapshot, train and evaluate run, on the same snapshots"
    ]


@pytest.mark.parametrize(
    "name",
    ["poetry.lock", "pdm.lock", "requirements.txt", "pylock.toml", "pylock.gpu.toml",
     "Pipfile.lock", "pixi.lock", "conda-lock.yml"],
)  # fmt: skip
def test_a_dependency_lock_of_any_known_name_moves_the_fingerprint(
    flowers: Flowers, name: str
) -> None:
    before = flowers.ingredients()
    flowers.write(name, "numpy==2.0\n")
    after = flowers.ingredients()
    assert [change.where for change in changes(before, after)] == [name]
    assert after.fingerprint != before.fingerprint
    flowers.write(f"elsewhere/{name}", "numpy==2.1\n")
    assert flowers.ingredients() == after


def test_a_tree_without_a_dependency_lock_is_told(flowers: Flowers) -> None:
    assert not any("lock" in text for text in told(flowers))
    (flowers.root / "uv.lock").rename(flowers.root / "own.lock")
    assert told(flowers)[-1] == (
        "iris: no dependency lock (such as uv.lock) is in the tree, so no fingerprint sees which "
        "versions train it"
    )


def told(flowers: Flowers) -> list[str]:
    return change_plan_lines(plan_change("iris", None, flowers.ingredients()))


def test_an_import_that_no_stage_declares_is_refused(flowers: Flowers) -> None:
    flowers.edit("dvc.yaml", "pipelines/features.py, ", "")
    with pytest.raises(DeclarationError, match=r"imports pipelines/features\.py.*train"):
        flowers.ingredients()


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        ("python -m pipelines.train", "pipelines/train.py"),
        ("python -um pipelines.train --fast", "pipelines/train.py"),
        ("python pipelines/train.py", "pipelines/train.py"),
        ("cd pipelines && python ./train.py", "pipelines/train.py"),
        ("python -m tool", "tool/__main__.py"),
        ("sh run.sh", "run.sh"),
        ("python -m lib.late", "src/lib/late.py"),
    ],
)
def test_a_file_that_a_stage_runs_and_does_not_declare_is_refused(
    flowers: Flowers, command: str, missing: str
) -> None:
    for path in ("tool/__main__.py", "run.sh", "src/lib/late.py"):
        flowers.write(path, "")
    flowers.edit("dvc.yaml", "[pipelines/train.py, pipelines/features.py, ", "[")
    flowers.edit("dvc.yaml", "python -m pipelines.train", command)
    with pytest.raises(DeclarationError, match=rf"stage train runs {missing}, .* Add {missing}"):
        flowers.ingredients()


@pytest.mark.parametrize("command", ["python -m $KIND.train", "python pipelines/$KIND.py"])
def test_a_file_that_only_a_shell_variable_names_is_refused(flowers: Flowers, command: str) -> None:
    flowers.edit("dvc.yaml", "python -m pipelines.train", command)
    with pytest.raises(DeclarationError, match="Write its name out"):
        flowers.ingredients()


@pytest.mark.parametrize(
    ("line", "missing"),
    [("import helper", "pipelines/helper.py"), ("from lib import late", "src/lib/late.py")],
)
def test_imports_are_looked_for_beside_a_script_and_in_src(
    flowers: Flowers, line: str, missing: str
) -> None:
    flowers.write("pipelines/helper.py", "")
    flowers.write("src/lib/late.py", "")
    flowers.edit("dvc.yaml", "python -m pipelines.train", "python pipelines/train.py")
    flowers.edit("pipelines/train.py", "from pipelines.features import WIDTH", line)
    with pytest.raises(DeclarationError, match=rf"pipelines/train\.py imports {missing}"):
        flowers.ingredients()
    flowers.edit("dvc.yaml", "pipelines/features.py, ", f"{missing}, ")
    assert missing in flowers.ingredients().stages[1].code


def test_modules_of_a_package_in_src_are_found_by_their_relative_imports(flowers: Flowers) -> None:
    flowers.write("src/lib/train.py", "from . import late\n")
    flowers.write("src/lib/late.py", "")
    flowers.edit("dvc.yaml", "python -m pipelines.train", "python -m lib.train")
    flowers.edit("dvc.yaml", "[pipelines/train.py, ", "[src/lib/train.py, ")
    with pytest.raises(DeclarationError, match=r"imports src/lib/late\.py"):
        flowers.ingredients()


def test_a_dependency_that_is_a_link_is_refused_as_one(flowers: Flowers) -> None:
    (flowers.root / "pipelines/features.py").unlink()
    (flowers.root / "pipelines/features.py").symlink_to("../README.md")
    with pytest.raises(DeclarationError, match=r"pipelines/features\.py, which is a link"):
        flowers.ingredients()


def test_a_file_whose_name_is_not_utf8_is_refused_by_its_folder(flowers: Flowers) -> None:
    flowers.edit("dvc.yaml", "pipelines/train.py, pipelines/features.py", "pipelines")
    (flowers.root / os.fsdecode(b"pipelines/b\xff.txt")).write_text("")
    with pytest.raises(DeclarationError, match=r"pipelines/b\\udcff\.txt, whose name is not UTF-8"):
        flowers.ingredients()


@pytest.mark.parametrize("text", ["x = " + "-" * 20_000 + "1", "x = " + "(" * 300 + ")" * 300])
def test_code_that_no_python_can_read_is_refused(flowers: Flowers, text: str) -> None:
    flowers.write("pipelines/features.py", text)
    with pytest.raises(DeclarationError, match=r"pipelines/features\.py.* not readable as Python"):
        flowers.ingredients()


def test_a_parameter_that_is_not_there_is_said_with_the_nearest(flowers: Flowers) -> None:
    flowers.edit("dvc.yaml", "params: [train]", "params: [train.rte]")
    with pytest.raises(DeclarationError, match=r"no 'train\.rte'.*did you mean 'rate'"):
        flowers.ingredients()


def test_an_unknown_stage_key_is_said_with_the_nearest(flowers: Flowers) -> None:
    flowers.edit("dvc.yaml", "always_changed", "always_change")
    with pytest.raises(DeclarationError, match="did you mean 'always_changed'"):
        flowers.ingredients()


def test_a_dependency_from_nowhere_is_refused(flowers: Flowers) -> None:
    flowers.edit("dvc.yaml", "pipelines/evaluate.py,", "pipelines/gone.py,")
    with pytest.raises(DeclarationError, match=r"pipelines/gone\.py, which is neither"):
        flowers.ingredients()


def test_a_missing_snapshot_stage_is_said_with_the_lines_to_add(flowers: Flowers) -> None:
    whole = (flowers.root / "dvc.yaml").read_text()
    flowers.write("dvc.yaml", "stages:\n" + whole[whole.index("  train:") :])
    with pytest.raises(DeclarationError, match=r"Add a stage.*cmd: mergeline snapshot") as caught:
        flowers.ingredients()
    stage = str(caught.value).partition("makes it: ")[2].removesuffix(".")
    flowers.write("dvc.yaml", f"{(flowers.root / 'dvc.yaml').read_text()}  {stage}\n")
    assert "snapshot" in [stage.name for stage in flowers.ingredients().stages]


def test_outputs_that_no_stage_makes_are_refused(flowers: Flowers) -> None:
    flowers.edit("models/iris.yaml", "build/iris", "build/rose")
    with pytest.raises(DeclarationError, match="no stage leaves anything in build/rose"):
        flowers.ingredients()


@pytest.mark.parametrize(
    "value",
    ["2024-01-31", "2024-01-31 10:00:00", ".inf", ".nan", "[1, .inf, 2024-01-31]", "[{1: a}]",
     "{}", "~", "!!set {a}", "!!binary aGk="],
)  # fmt: skip
def test_any_value_that_yaml_knows_keeps_its_fingerprint_through_a_bundle(
    flowers: Flowers, value: str
) -> None:
    flowers.edit("params.yaml", "rate: 0.1", f"rate: {value}")
    before = flowers.ingredients()
    after = read_json(Ingredients, write_json(before), where="bundle")
    assert after == before
    assert after.fingerprint == before.fingerprint


NOTEBOOK = """\
{"cells": [{"cell_type": "code", "source": ["%time\\n", "from pipelines import extra"]}]}
"""


@pytest.mark.parametrize(
    ("path", "text", "missing"),
    [
        ("train.py", "import importlib\nimportlib.import_module('pipelines.extra')", "extra.py"),
        ("train.py", "__import__('pipelines.extra')", "extra.py"),
        ("train.py", "import runpy\nrunpy.run_path('pipelines/extra.py')", "extra.py"),
        ("train.py", "QUERY = (HERE / 'rows.sql').read_text()", "rows.sql"),
        ("train.py", "frame = read('pipelines/lookup.csv')", "lookup.csv"),
        ("prep.R", "source('extra.R')", "extra.R"),
        ("all.sh", "set -e\npython pipelines/extra.py", "extra.py"),
        ("all.sh", "python -m pipelines.extra", "extra.py"),
        ("note.ipynb", NOTEBOOK, "extra.py"),
    ],
)  # fmt: skip
def test_a_file_that_declared_code_names_in_any_way_is_refused_until_it_is_declared(
    flowers: Flowers, path: str, text: str, missing: str
) -> None:
    for other in ("extra.py", "extra.R", "rows.sql", "lookup.csv"):
        flowers.write(f"pipelines/{other}", "")
    flowers.write(f"pipelines/{path}", text)
    if path != "train.py":
        flowers.edit("dvc.yaml", "pipelines/train.py, ", f"pipelines/train.py, pipelines/{path}, ")
    with pytest.raises(DeclarationError, match=rf"pipelines/{path} .*pipelines/{missing}.* Add"):
        flowers.ingredients()
    flowers.edit("dvc.yaml", "pipelines/train.py, ", f"pipelines/train.py, pipelines/{missing}, ")
    assert f"pipelines/{missing}" in flowers.ingredients().stages[1].code


@pytest.mark.parametrize(
    "command",
    ["Rscript pipelines/prep.R", "psql --file=pipelines/rows.sql",
     "jupyter execute pipelines/n.ipynb", "train --config pipelines/conf.toml"],
)  # fmt: skip
def test_a_file_of_any_language_that_a_command_names_is_refused_until_it_is_declared(
    flowers: Flowers, command: str
) -> None:
    path = command.replace("=", " ").split()[-1]
    flowers.write(path, '{"cells": []}' if path.endswith("ipynb") else "")
    flowers.edit("dvc.yaml", "python -m pipelines.train", command)
    with pytest.raises(DeclarationError, match=rf"stage train (runs|names) {path}, .* Add {path}"):
        flowers.ingredients()
    flowers.edit("dvc.yaml", "pipelines/train.py, ", f"pipelines/train.py, {path}, ")
    assert path in flowers.ingredients().stages[1].code


def test_a_module_whose_name_is_only_known_when_it_runs_is_refused(flowers: Flowers) -> None:
    flowers.write("pipelines/features.py", "import importlib\nimportlib.import_module(name)\n")
    with pytest.raises(DeclarationError, match=r"pipelines/features\.py:2: .* Write its name out"):
        flowers.ingredients()


@pytest.mark.parametrize(
    ("content", "who"),
    [(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
     (b"\0GITCRYPT\0\x01", "git-crypt"), (b"#$# git-fat 0a  12\n", "git-fat"),
     (b"U2FsdGVkX1+0aaa=\n", "transcrypt")],
)  # fmt: skip
def test_a_file_that_a_filter_replaced_in_git_is_refused(
    flowers: Flowers, content: bytes, who: str
) -> None:
    flowers.edit("dvc.yaml", "pipelines/train.py, ", "pipelines/train.py, pipelines/words.bin, ")
    (flowers.root / "pipelines/words.bin").write_bytes(content)
    flowers.ingredients()  # without a filter these are just bytes
    flowers.write(".gitattributes", "*.bin filter=some\n")
    with pytest.raises(DeclarationError, match=rf"words\.bin, .*{who} put in its place.*dvc add"):
        flowers.ingredients()


def test_params_of_every_form_are_read_as_dvc_reads_them(flowers: Flowers) -> None:
    flowers.write("params.yaml", "train: {trees: 012, rate: 1e3, loud: no}\n")
    forms = {
        "conf.toml": "[fit]\ntrees = 12\n",
        "conf.json": '{\t"fit": {"trees": 12}}',
        "conf.py": "class fit:\n    trees: int = 12\n",
    }
    for path, text in forms.items():
        flowers.write(path, text)
    keys = ", ".join(f"{path}: [fit.trees]" for path in forms)
    flowers.edit("dvc.yaml", "params: [train]", f"params: [train, {{{keys}}}]")
    params = flowers.ingredients().params()
    assert params["train.trees"] == 12
    assert params["train.rate"] == 1000.0
    assert params["train.loud"] == "no"
    assert [params[f"{path}: fit.trees"] for path in forms] == [12, 12, 12]


def test_params_that_cannot_be_read_are_refused_in_one_line(flowers: Flowers) -> None:
    flowers.write("conf.toml", "[fit\n")
    flowers.edit("dvc.yaml", "params: [train]", "params: [train, {conf.toml: [fit]}]")
    with pytest.raises(DeclarationError, match=r"conf\.toml: not readable as TOML") as caught:
        flowers.ingredients()
    assert "\n" not in str(caught.value)


def test_only_what_a_template_reads_of_params_moves_the_fingerprint(flowers: Flowers) -> None:
    flowers.edit("dvc.yaml", "python -m pipelines.train", "python -m pipelines.train ${nobody}")
    before = flowers.ingredients().fingerprint
    flowers.edit("params.yaml", "nobody: 1", "nobody: 1\nother: 2")
    assert flowers.ingredients().fingerprint == before
    flowers.edit("params.yaml", "nobody: 1", "nobody: 2")
    assert flowers.ingredients().fingerprint != before


def test_stages_of_another_folder_are_found_and_ignored_folders_are_not(flowers: Flowers) -> None:
    flowers.write(
        "prepare/dvc.yaml",
        "stages: {words: {cmd: python words.py, deps: [words.py], outs: [words.bin]}}\n",
    )
    flowers.write("prepare/words.py", "")
    flowers.write("old/dvc.yaml", "nonsense: 1\n")
    flowers.write(".dvcignore", "/old/\n")
    flowers.edit("dvc.yaml", "pipelines/train.py, ", "pipelines/train.py, prepare/words.bin, ")
    stages = {stage.name: stage for stage in flowers.ingredients().stages}
    assert stages["prepare/dvc.yaml:words"].folder == "prepare"
    assert "prepare/dvc.yaml:words" in stages["train"].after


def test_lock_files_count_at_the_root_and_around_the_code_of_the_stages(flowers: Flowers) -> None:
    for path in ("pipelines/uv.lock", "requirements/dev.txt", "requirements-train.txt",
                 "environment.yml", "elsewhere/uv.lock"):  # fmt: skip
        flowers.write(path, "numpy==2.0\n")
    assert sorted(flowers.ingredients().lock) == [
        "environment.yml", "pipelines/uv.lock", "requirements-train.txt", "requirements/dev.txt",
        "uv.lock",
    ]  # fmt: skip


def test_two_projects_of_one_repository_do_not_see_each_other(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    run_git(["init", "-q", "-b", "main"], cwd=top)
    for name in ("one", "two"):
        for path, text in FILES.items():
            place = top / "services" / name / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text.replace("{0}", "a1" * 16))
    before = [fingerprint_in(top / "services" / name) for name in ("one", "two")]
    assert before[0] == before[1], "where it lies is no part of a project"
    (top / "services/one/pipelines/features.py").write_text("WIDTH = 2\n")
    after = [fingerprint_in(top / "services" / name / "pipelines") for name in ("one", "two")]
    assert after[0] != before[0]
    assert after[1] == before[1]


def fingerprint_in(folder: Path) -> str:
    tree = ProjectTree(Repository.at(folder).working_tree())
    return tree.ingredients(tree.models["iris"]).fingerprint


def test_a_frozen_stage_counts_by_its_results_in_git(flowers: Flowers) -> None:
    flowers.edit("dvc.yaml", "stages:\n", """\
stages:
  words:
    cmd: python gone.py
    frozen: true
    outs: [words/list.txt: {cache: false}]
""")  # fmt: skip
    flowers.ingredients()  # no stage of the model needs it
    flowers.edit("dvc.yaml", "deps: [pipelines/train.py,", "deps: [words, pipelines/train.py,")
    with pytest.raises(DeclarationError, match=r"words is frozen: .*commit its results"):
        flowers.ingredients()
    flowers.write("words/list.txt", "petal\n")
    before = flowers.ingredients()
    assert [stage.name for stage in before.stages] == ["snapshot", "train", "evaluate"]
    flowers.write("words/list.txt", "leaf\n")
    assert [change.what for change in changes(before, flowers.ingredients())] == ["list.txt"]
