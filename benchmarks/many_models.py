"""What `plan` costs in a repository of many models.

    python benchmarks/many_models.py [models ...]

Makes a repository in a temporary folder, with a stage, a script and a declaration for each model
and a table of twelve drops for all, then edits what one model reads and plans. Goal: 10 s of
processor time, Git's and DVC's included, for 1,000 models. Prints how many times longer each
repository takes than the one before it beside how many times as many models it has. Exits with 1
above the goal.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

SIZES = (100, 1000)
GOAL = 10.0  # seconds for 1,000 models
DROPS = 12
CONTRACT = """\
source: data/raw/flowers
format: csv
key: [id]
columns:
  id: {type: int64}
  width: {type: float64, min: 0}
"""
MODEL = """\
description: one of many
task: binary
stage: train_{name}
outputs: build/{name}
label: big
classes: [false, true]
key: [id]
metrics: [roc_auc, neg_log_loss]
slices: [colour]
gate:
  primary: roc_auc
  first: {{roc_auc: {{at_least: 0.6}}}}
  metrics:
    roc_auc: {{at_least: 0.6, margin: 0.02}}
    neg_log_loss: {{margin: 0.02}}
"""
SNAPSHOT = """\
stages:
  snapshot:
    cmd: mergeline snapshot
    always_changed: true
    outs:
      - data/flowers.snapshot.json: {cache: false}
"""
STAGE = """\
  train_{name}:
    cmd: python -m pipelines.{name}
    deps: [pipelines/{name}.py, pipelines/features.py, data/flowers.snapshot.json]
    params: [{name}]
    outs: [build/{name}/model, build/{name}/holdout.parquet]
"""


def make(root: Path, models: int) -> None:
    """A committed repository of that many models, and an edit that is not committed."""
    names = [f"m{number:04d}" for number in range(models)]
    files = {
        ".gitignore": ".mergeline\n",
        "uv.lock": "version = 1\n",
        "data/flowers.yaml": CONTRACT,
        "pipelines/features.py": "WIDTH = 1\n",
        "dvc.yaml": SNAPSHOT + "".join(STAGE.format(name=name) for name in names),
        "params.yaml": "".join(f"{name}: {{rate: 0.1, depth: 3}}\n" for name in names),
    }
    for number in range(DROPS):
        pointer = f"outs:\n- md5: {number:032x}\n  size: 3\n  hash: md5\n  path: {number}.csv\n"
        files[f"data/raw/flowers/{number}.csv.dvc"] = pointer
    for name in names:
        files[f"models/{name}.yaml"] = MODEL.format(name=name)
        files[f"pipelines/{name}.py"] = "from pipelines.features import WIDTH\n"
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    author = ["-c", "user.name=a", "-c", "user.email=a@localhost"]
    for command in (
        ["git", "init", "--quiet", "--initial-branch", "main"],
        [sys.executable, "-m", "dvc", "init", "--quiet"],
        ["git", "add", "--all"],
        ["git", *author, "commit", "--quiet", "--message", "Many models"],
    ):
        subprocess.run(command, cwd=root, check=True)
    (root / f"pipelines/{names[0]}.py").write_text("from pipelines.features import WIDTH as W\n")


def seconds(models: int) -> float:
    """Processor time of one plan, of its own and of the processes that it starts."""
    with tempfile.TemporaryDirectory(prefix="mergeline-") as folder:
        root = Path(folder)
        make(root, models)
        command = [str(Path(sys.executable).with_name("mergeline")), "plan"]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MERGELINE_")}
        before = os.times()
        done = subprocess.run(
            command, cwd=root, env=environment, check=False, capture_output=True, text=True
        )
        after = os.times()
    changed = [line for line in done.stdout.splitlines() if "train_m0000 runs" in line]
    if done.returncode or not changed:
        raise SystemExit(textwrap.indent(done.stdout[-2000:] + done.stderr, "  "))
    return (after.children_user - before.children_user) + (
        after.children_system - before.children_system
    )


def main() -> int:
    """Print the seconds of each size, and how they grow."""
    sizes = [int(argument) for argument in sys.argv[1:]] or list(SIZES)
    taken: dict[int, float] = {}
    for models in sizes:
        taken[models] = seconds(models)
        print(f"{models:>5} models  {taken[models]:7.1f} s of processor time", end="")
        if len(taken) > 1:
            fewer = sizes[len(taken) - 2]
            growth = taken[models] / taken[fewer]
            print(f", {growth:.1f} times as long for {models / fewer:.0f} times as many", end="")
        print(flush=True)
    print(f"goal: {GOAL:.0f} s for 1,000 models")
    return int(taken.get(1000, 0.0) > GOAL)


if __name__ == "__main__":
    sys.exit(main())
