"""DVC's get-started project, with its files where they are, from adoption to a verdict.

Prepare, featurize, train and evaluate are as that tutorial has them; the posts are made here. What
adoption adds is the vectorizer beside the features, one stage, one declaration and a lock.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest

from mergeline.adapters.git.repository import Repository
from mergeline.cli.show import change_plan_lines
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.verbs.evaluate import evaluate
from mergeline.lifecycle.verbs.plan import plan

PROJECT = {
    "params.yaml": """\
prepare:
  split: 0.30
  seed: 20170428
featurize:
  max_features: 40
  ngrams: 1
train:
  seed: 20170428
  n_est: 30
  min_split: 64
""",
    "dvc.yaml": """\
stages:
  prepare:
    cmd: python src/prepare.py data/data.xml
    deps: [data/data.xml, src/prepare.py]
    params: [prepare.seed, prepare.split]
    outs: [data/prepared]
  featurize:
    cmd: python src/featurization.py data/prepared data/features
    deps: [data/prepared, src/featurization.py]
    params: [featurize.max_features, featurize.ngrams]
    outs: [data/features]
  train:
    cmd: python src/train.py data/features model.pkl
    deps: [data/features, src/train.py]
    params: [train.min_split, train.n_est, train.seed]
    outs: [model.pkl]
  evaluate:
    cmd: python src/evaluate.py model.pkl data/features
    deps: [data/features, model.pkl, src/evaluate.py]
    metrics: [{eval/metrics.json: {cache: false}}]
""",
    "src/prepare.py": """\
import os, random, re, sys
import xml.etree.ElementTree
import yaml

params = yaml.safe_load(open("params.yaml"))["prepare"]
random.seed(params["seed"])
os.makedirs(os.path.join("data", "prepared"), exist_ok=True)
with (
    open(sys.argv[1], encoding="utf8") as posts,
    open(os.path.join("data", "prepared", "train.tsv"), "w") as train,
    open(os.path.join("data", "prepared", "test.tsv"), "w") as test,
):
    for line in posts:
        out = test if random.random() < params["split"] else train
        row = xml.etree.ElementTree.fromstring(line).attrib
        label = 1 if "<r>" in row["Tags"] else 0
        text = re.sub(r"\\s+", " ", row["Title"] + " " + row["Body"]).strip()
        out.write("{}\\t{}\\t{}\\n".format(row["Id"], label, text))
""",
    "src/featurization.py": """\
import os, pickle, sys
import pandas as pd
import scipy.sparse as sparse
import yaml
from sklearn.feature_extraction.text import CountVectorizer

params = yaml.safe_load(open("params.yaml"))["featurize"]
os.makedirs(sys.argv[2], exist_ok=True)

def frame(path):
    return pd.read_csv(path, sep="\\t", header=None, names=["id", "label", "text"])

bag_of_words = CountVectorizer(
    stop_words="english", max_features=params["max_features"], ngram_range=(1, params["ngrams"])
)
train = frame(os.path.join(sys.argv[1], "train.tsv"))
bag_of_words.fit(train.text)
for name in ("train", "test"):
    rows = frame(os.path.join(sys.argv[1], name + ".tsv"))
    known = sparse.csr_matrix(rows[["id", "label"]].to_numpy(float))
    matrix = sparse.hstack([known, bag_of_words.transform(rows.text)])
    with open(os.path.join(sys.argv[2], name + ".pkl"), "wb") as file:
        pickle.dump(matrix.tocsr(), file)
""",
    "src/train.py": """\
import os, pickle, sys
import numpy as np
import yaml
from sklearn.ensemble import RandomForestClassifier

params = yaml.safe_load(open("params.yaml"))["train"]
with open(os.path.join(sys.argv[1], "train.pkl"), "rb") as file:
    matrix = pickle.load(file)
clf = RandomForestClassifier(
    n_estimators=int(params["n_est"]), min_samples_split=params["min_split"],
    random_state=params["seed"],
)
clf.fit(matrix[:, 2:], np.squeeze(matrix[:, 1].toarray()))
with open(sys.argv[2], "wb") as file:
    pickle.dump(clf, file)
""",
    "src/evaluate.py": """\
import json, os, pickle, sys
from sklearn.metrics import roc_auc_score

model = pickle.load(open(sys.argv[1], "rb"))
matrix = pickle.load(open(os.path.join(sys.argv[2], "test.pkl"), "rb"))
os.makedirs("eval", exist_ok=True)
labels, answers = matrix[:, 1].toarray().ravel(), model.predict_proba(matrix[:, 2:])[:, 1]
json.dump({"roc_auc": roc_auc_score(labels, answers)}, open("eval/metrics.json", "w"))
""",
}
ADOPTED = {
    "src/featurization.py": PROJECT["src/featurization.py"]
    + """\
with open(os.path.join(sys.argv[2], "words.pkl"), "wb") as file:
    pickle.dump(bag_of_words, file)
""",
    "src/hand_over.py": """\
import os, pickle, sys
import mergeline
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

classifier = pickle.load(open(sys.argv[1], "rb"))
words = pickle.load(open(os.path.join(sys.argv[2], "words.pkl"), "rb"))
train, test = (
    pd.read_csv(f"data/prepared/{name}.tsv", sep="\\t", header=None, names=["id", "label", "text"])
    for name in ("train", "test")
)
columns = ColumnTransformer([("words", words, "text")]).fit(train[["text"]])
model = Pipeline([("words", columns), ("forest", classifier)])
classifier.classes_ = classifier.classes_.astype(int)
mergeline.save(model, name="about-r", train=train, holdout=test, inputs=["text"])
""",
    "dvc.yaml": PROJECT["dvc.yaml"]
    + """\
  hand_over:
    cmd: python src/hand_over.py model.pkl data/features
    deps: [data/prepared, data/features, model.pkl, src/hand_over.py]
    outs: [build/about-r]
""",
    "models/about-r.yaml": """\
task: binary
stage: hand_over
outputs: build/about-r
label: label
classes: [0, 1]
key: [id]
metrics: [roc_auc, neg_log_loss]
gate:
  primary: roc_auc
  first: {roc_auc: {at_least: 0.6}}
  metrics: {roc_auc: {margin: 0.05}}
""",
    "requirements.txt": "scikit-learn==1.9.1\npandas==2.3.3\n",
}


def posts(rows: int = 900) -> str:
    """Posts as the tutorial's XML has them, a line each; a third are about R."""
    made = random.Random(7)
    common = ["data", "plot", "error", "loop", "file", "value", "list", "read"]
    of_r, of_others = ["ggplot", "dplyr", "tibble", "cran"], ["pandas", "django", "pip", "async"]
    lines = []
    for number in range(rows):
        is_r = number % 3 == 0
        own = of_r if is_r != (made.random() < 0.1) else of_others
        words = [*made.choices(common, k=8), *made.choices(own, k=2)]
        made.shuffle(words)
        tags = "<r>" if is_r else "<python>"
        told = {"Id": str(number), "Title": " ".join(words[:4]), "Body": " ".join(words[4:]),
                "Tags": tags}  # fmt: skip
        lines.append(f"<row {' '.join(f'{k}={quoteattr(v)}' for k, v in told.items())} />")
    return "\n".join(lines) + "\n"


def quiet(_: str) -> None:
    pass


def write(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["", "services/about-r"])
def test_it_is_adopted_without_moving_its_files_and_gets_a_verdict(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    top = tmp_path / "example-get-started"
    root = top / folder
    root.mkdir(parents=True)

    def run(*command: str, at: Path = root) -> None:
        subprocess.run(command, cwd=at, check=True, capture_output=True)

    def commit(message: str) -> None:
        run("git", "add", "--all")
        run("git", "-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "-qm", message)

    run("git", "init", "--quiet", "--initial-branch", "main", at=top)
    dvc = (sys.executable, "-m", "dvc")
    run(*dvc, "init", "--quiet", *(["--subdir"] if folder else []))
    write(root, PROJECT)
    write(root, {"data/data.xml": posts(), "notes.md": "# About R?\n"})
    run(*dvc, "add", "--quiet", "data/data.xml")
    commit("The tutorial's project")
    before = {path for path in root.rglob("*") if path.is_file() and ".git/" not in str(path)}
    write(root, ADOPTED)
    commit("Adopted")
    assert before <= set(root.rglob("*")), "nothing was moved"

    def project() -> Project:
        return Project(Repository.at(root), dict(os.environ))

    [first] = evaluate(project(), say=quiet)
    assert first.exit_code == 0, first.report.judgement

    run("git", "switch", "--quiet", "--create", "fewer-words", at=top)
    params = root / "params.yaml"
    params.write_text(params.read_text().replace("max_features: 40", "max_features: 3"))
    [said] = change_plan_lines(plan(project())[0])
    what, _, effect = said.rpartition(": ")
    assert what == "params.yaml: featurize.max_features 40 → 3"
    assert effect == "featurize, train and hand_over run; snapshots stay"
    commit("Fewer words")
    [judged] = evaluate(project(), say=quiet)
    assert judged.report.judgement is not None
    assert judged.report.judgement.verdict.outcome == "fail", "the words that tell are gone"
    assert judged.exit_code == 1
