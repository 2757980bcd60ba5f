"""The command: what it prints, how it ends, and one clear line for each mistake."""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mergeline.adapters.drops.convert import convert
from mergeline.adapters.models.folder import model_digest
from mergeline.cli import main as cli
from mergeline.cli.output import annotate
from mergeline.core.data.snapshot import Drop
from mergeline.core.data.violations import RefusedDropError
from mergeline.core.declare.contract import parse_contract
from mergeline.errors import DeclarationError, DropError
from tests.support.line import Line, content_of
from tests.support.parcels import MODEL, OTHER, WORSE, drop


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Run:
    """Runs a command in the runner's clone (or `at`), as the console script does."""
    line: Line = request.getfixturevalue("line" if "line" in request.fixturenames else "clone")
    for key, value in line.environment.items():
        monkeypatch.setenv(key, value)
    for key in ("MLFLOW_TRACKING_URI", "MERGELINE_TABLES", "MERGELINE_SERVER", "GITHUB_REF"):
        monkeypatch.delenv(key, raising=False)
    # Setting it is MLFlow's way to tell child processes; the next command is another process.
    monkeypatch.setattr("signal.signal", lambda *_: None)

    def command(*arguments: str, at: str | Path = "runner", **environment: str) -> Ended:
        monkeypatch.chdir(line.root / at)
        monkeypatch.setattr(sys, "argv", ["mergeline", *arguments])
        with monkeypatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_URI", "")
            for key, value in environment.items():
                patch.setenv(key, value)
            capfd.readouterr()
            try:
                cli.main()
                code = 0
            except SystemExit as ended:
                code = int(ended.code or 0)
        out, err = capfd.readouterr()
        return Ended(code, out, err)

    return command


# --- what is printed, and the exit code -----------------------------------------------------------


def test_a_cloud_s_variable_that_a_workflow_left_empty_is_not_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {"AWS_ENDPOINT_URL": "", "GOOGLE_SERVICE_ACCOUNT_KEY": "", "AWS_REGION": "eu-west-1"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["mergeline", "--version"])
    cli.main()
    assert {name: os.environ[name] for name in given if name in os.environ} == {
        "AWS_REGION": "eu-west-1"
    }


def test_a_passed_evaluation_prints_the_report_and_ends_with_0(line: Line, run: Run) -> None:
    line.check_out_pull(1)
    done = run("evaluate")
    assert done.code == 0
    assert "late" in done.out
    assert "is known; nothing trains" in done.err
    assert "is known" not in done.out


def test_a_refused_evaluation_ends_with_1(line: Line, run: Run) -> None:
    line.check_out_pull(2)
    done = run("evaluate", MODEL)
    assert done.code == 1
    assert "at least 0.6 is required" in done.out


LEAVER = """
class Leaver(LogisticRegression):
    def __init__(self, C=1.0):
        super().__init__(C=C)
        self.calls = 0

    def predict_proba(self, rows):
        self.calls += 1
        return super().predict_proba(rows) if self.calls < 2 else sys.exit(0)


def main():
"""


def test_a_model_that_ends_the_process_is_refused_with_a_report(
    line: Line, run: Run, tmp_path: Path
) -> None:
    train = "pipelines/train.py"
    number = line.propose(
        "leaver",
        (train, "import shutil", "import shutil\nimport sys"),
        (train, "\ndef main():\n", LEAVER),
        (train, "        LogisticRegression(", "        Leaver("),
    )
    line.check_out_pull(number)
    done = run("evaluate", "--bundle", str(tmp_path / "bundle"))
    assert done.code == 1
    assert "it ends the process (SystemExit(0))" in done.out
    assert run("report", str(tmp_path / "bundle")).out == done.out


def test_evaluate_as_json_is_json_alone(line: Line, run: Run) -> None:
    line.check_out_pull(1)
    done = run("evaluate", "--json")
    assert [one["model"] for one in json.loads(done.out)] == [MODEL]
    planned = json.loads(run("evaluate", "--plan", "--json").out)
    assert [one["model"] for one in planned] == [MODEL]


def test_track_and_comment_tell_their_plan_and_change_nothing(line: Line, run: Run) -> None:
    before = line.kept()
    told = run("track", "--plan", str(line.bundle))
    assert told.code == 0
    assert "and its evaluation (pass) would be stored" in told.out
    told = run("comment", "--plan", str(line.bundle))
    assert "pull request 3 at" in told.out
    assert line.forge.comments(3) == ()
    assert {k: v for k, v in line.kept().items() if ".lock" not in k} == {
        k: v for k, v in before.items() if ".lock" not in k
    }


@pytest.mark.parametrize("verb", ["track", "comment", "snapshot"])
def test_a_plan_can_be_printed_as_json(clone: Line, run: Run, verb: str) -> None:
    bundle = [] if verb == "snapshot" else [str(clone.bundle)]
    done = run(verb, "--plan", "--json", *bundle)
    assert done.code == 0
    assert len(json.loads(done.out)) == 1


def test_a_tracked_run_can_be_printed_as_json(line: Line, run: Run) -> None:
    [tracked] = json.loads(run("track", "--json", str(line.bundle)).out)
    assert tracked["model"] == MODEL


def test_the_newest_report_is_told_to_be_of_another_tree(line: Line, run: Run) -> None:
    line.review(2)
    assert "another than the report's" not in run("report").err
    line.check_out_pull(1)
    assert "another than the report's" in run("report").err


def test_evaluate_plan_runs_nothing(clone: Line, run: Run) -> None:
    clone.check_out_pull(3)
    before = clone.kept()
    done = run("evaluate", "--plan")
    assert (done.code, done.out) == (
        0, "params.yaml: train.C 1.0 → 2.0: train and evaluate run; snapshots stay\n",
    )  # fmt: skip
    assert clone.kept() == before


def test_plan_as_json_has_the_same_words_as_parts(clone: Line, run: Run) -> None:
    clone.check_out_pull(3)
    [planned] = json.loads(run("plan", "--json").out)
    assert planned["run"] == ["train", "evaluate"]
    assert planned["changes"][0]["after"] == "2.0"


@pytest.mark.parametrize(("form", "start"), [
    ("markdown", ""), ("json", "{"), ("html", "<!doctype html>"), ("terminal", ""),
])  # fmt: skip
def test_a_report_is_printed_in_each_form(clone: Line, run: Run, form: str, start: str) -> None:
    done = run("report", str(clone.bundle), "--format", form)
    assert done.code == 0
    assert done.out.lower().startswith(start)
    assert MODEL in done.out


def test_a_report_is_written_to_a_file(clone: Line, run: Run, tmp_path: Path) -> None:
    done = run("report", str(clone.bundle), "--format", "json", "--output", str(tmp_path / "r"))
    assert done.out == ""
    assert json.loads((tmp_path / "r").read_text())["model"] == MODEL


def test_the_rows_that_moved_most_are_printed_and_written_to_a_file(
    line: Line, run: Run, tmp_path: Path
) -> None:
    found = str(line.review(line.propose("by-weight", WORSE)).folder)
    said = run("report", found, "--rows")
    assert said.code == 0
    head, first, *_ = said.out.splitlines()
    assert head.split()[:3] == ["row", "slices", "late"]
    assert first.startswith("id ")
    done = run("report", found, "--rows", "--output", str(tmp_path / "rows.parquet"))
    assert (done.code, done.out) == (0, "")
    table = pl.read_parquet(tmp_path / "rows.parquet")
    assert first.startswith(f"id {table['id'][0]} ")
    assert run("report", str(tmp_path), "--rows").code == 2
    assert "no row moved" in run("report", str(line.bundle), "--rows").out


def test_a_report_of_a_run_comes_from_the_store(line: Line, run: Run) -> None:
    tracked = line.project().tracking.candidates(MODEL)[0]
    said = json.loads(run("report", tracked.run_id, "--format", "json").out)
    assert said["run"]["id"] == tracked.run_id


def test_release_status_and_history_tell_the_same(line: Line, run: Run) -> None:
    line.merge(1)
    planned = run("release", "--plan")
    assert planned.out.startswith("late: record: v2 in the ledger: release/late/0002\n")
    done = run("release")
    assert (done.code, done.out) == (0, "late v2 is in production\n")
    assert run("release").out == "late: live is target; nothing to do\n"
    [status] = json.loads(run("status", "--json").out)
    assert (status["champion"], status["drift"]) == (2, [])
    assert "drift   none" in run("status").out
    history = json.loads(run("history", "--json").out)
    assert [(page["version"], page["pull_request"]) for page in history] == [(1, None), (2, 1)]
    assert [page["until"] for page in history] == [history[1]["released_at"], None]
    assert "v2 for v1" in run("history").out
    assert run("history").out.rstrip().endswith("until now")
    [why] = json.loads(run("why", history[1]["model_digest"][:8], "--json").out)
    assert (why["version"], why["brought_by"]["pull_request"]) == (2, 1)
    assert "pull request #1" in run("why", MODEL).out


@pytest.mark.slow
def test_a_refused_release_ends_with_1_and_the_reasons(line: Line, run: Run) -> None:
    line.merge(2)
    done = run("release")
    assert done.code == 1
    assert done.out.startswith("late: refused: the gate said fail\n")
    done = run("release", "--override", "the old one is on fire")
    assert (done.code, done.out) == (0, "late v2 is in production\n")


@pytest.mark.slow
def test_a_release_of_what_was_never_judged_ends_with_3_and_says_what_must_run(
    line: Line, run: Run, tmp_path: Path
) -> None:
    outputs = tmp_path / "outputs"
    run("release", "--plan", GITHUB_OUTPUT=str(outputs))
    assert outputs.read_text() == "needed=false\nbase=\n"
    outputs.unlink()
    line.merge(3)
    [planned] = json.loads(run("release", "--plan", "--json", GITHUB_OUTPUT=str(outputs)).out)
    base = line.git("rev-parse", "HEAD^", at="runner")
    assert (planned["plan"]["missing"], planned["base"]) == ("this tree was never evaluated", base)
    assert outputs.read_text() == f"needed=true\nbase={base}\n"
    done = run("release")
    assert done.code == 3
    assert done.out.endswith(f"Run first: mergeline evaluate late --base {base[:12]}\n")
    assert run("evaluate", "late", "--base", base[:12]).code == 0
    assert run("release").out == "late v2 is in production\n"


def test_tags_that_are_not_believed_are_named(line: Line, run: Run) -> None:
    line.git("tag", "--annotate", "--message", "A fine day", "release/late/0002")
    line.git("push", "--quiet", "origin", "release/late/0002")
    assert "release/late/0002: it is no page" in run("history").err
    assert "not believed: release/late/0002: it is no page" in run("status").out


@pytest.mark.slow
def test_a_bundle_is_tracked_and_its_run_printed(line: Line, run: Run) -> None:
    done = run("track", str(line.bundle))
    assert done.code == 0
    assert done.out.split()[:1] == [MODEL]
    assert run("reproduce", done.out.split()[-1]).out.endswith("reproduced\n")


def test_a_report_is_posted_to_its_pull_request(line: Line, run: Run) -> None:
    assert run("comment", str(line.bundle)).code == 0
    assert "`late`" in line.forge.comments(3)[0].body


def test_snapshot_says_what_it_found(clone: Line, run: Run) -> None:
    assert run("snapshot", "--plan").out.endswith("3 drops, version 0 holds it\n")
    assert run("snapshot").out.endswith("version 0, 1,200 rows, found\n")
    clone.git("diff", "--exit-code", at="runner")


@pytest.mark.parametrize("at", ["runner/data/raw", "author/pipelines"])
def test_a_verb_works_from_a_folder_inside(clone: Line, run: Run, at: str) -> None:
    assert run("plan", at=at).code == 0


# --- one clear line for each mistake --------------------------------------------------------------


def fails(ended: Ended, code: int, *words: str) -> None:
    """It ends with a code, and says so in one line that has these words and a next step."""
    assert ended.code == code, ended.err
    said = [text for text in ended.err.splitlines() if not text.startswith("· ")]
    assert len(said) == 1, ended.err
    for word in words:
        assert word in said[0]
    assert "Traceback" not in ended.err
    assert said[0].endswith((".", "?)"))
    assert ended.out == ""


Mistake = tuple[Sequence[str], Callable[[Line], Any], int, Sequence[str]]


def edited(path: str, old: str, new: str) -> Callable[[Line], None]:
    return lambda line: line.edit(path, old, new, at="runner")


def unlinked(path: str) -> Callable[[Line], None]:
    def unlink(line: Line) -> None:
        (line.runner.root / path).unlink()

    return unlink


def drop_gone(line: Line) -> None:
    """The content of a new pointer is neither here nor in the DVC remote."""
    line.write(
        "data/raw/parcels/2024-09.csv.dvc",
        f"outs:\n- md5: {'ab' * 16}\n  size: 3\n  hash: md5\n  path: 2024-09.csv\n",
        at="runner",
    )


def drop_changed(line: Line) -> None:
    """What the DVC remote has under the pointer's md5 is something else."""
    drop_gone(line)
    place = line.root / "dvc-remote" / "files" / "md5" / "ab" / ("ab" * 15)
    place.parent.mkdir(parents=True)
    place.write_text("something else")


def remote_gone(line: Line) -> None:
    drop_gone(line)
    shutil.rmtree(line.root / "dvc-remote")


def dvc_gone(line: Line) -> None:
    drop_gone(line)
    shutil.rmtree(line.runner.root / ".dvc")


MISTAKES: dict[str, Mistake] = {
    "a dirty tree to release": (
        ["release"], edited("README.md", "late", "early"), 2,
        ["differs from HEAD", "Commit or stash the changes"],
    ),
    "an override without a reason": (
        ["release", "--override", " "], lambda _: None, 2, ["needs a reason", "--override REASON"],
    ),
    "an unknown model": (
        ["evaluate", "ltae"], lambda _: None, 2, ["no model 'ltae'", "did you mean 'late'?"],
    ),
    "no model at all": (
        ["plan"], unlinked("models/late.yaml"), 2, ["declares no model", "models/<name>.yaml"],
    ),
    "a base that is not there": (
        ["plan", "--base", "mian"], lambda _: None, 2, ["no commit 'mian'", "Fetch it"],
    ),
    "an option for a base": (
        ["plan", "--base=--output=left"], lambda _: None, 2, ["no commit '--output=left'"],
    ),
    "a range for a base": (
        ["plan", "--base", "HEAD..HEAD"], lambda _: None, 2, ["no commit 'HEAD..HEAD'"],
    ),
    "an excluded commit for a base": (
        ["plan", "--base", "^HEAD"], lambda _: None, 2, ["no commit '^HEAD'"],
    ),
    "an option for a snapshot": (
        ["data", "show", "--at=--output=left"], lambda _: None, 2, ["'--output=left'"],
    ),
    "an unknown key in a model's declaration": (
        ["evaluate"], edited("models/late.yaml", "outputs:", "output:"), 2,
        ["models/late.yaml", "unknown key 'output'", "did you mean 'outputs'?"],
    ),
    "an unknown key in the gate": (
        ["plan"], edited("models/late.yaml", "primary:", "primry:"), 2,
        ["models/late.yaml", "'primry' in gate", "did you mean 'primary'?"],
    ),
    "an unknown key in a contract": (
        ["plan"], edited("data/parcels.yaml", "source:", "sauce:"), 2,
        ["data/parcels.yaml", "unknown key 'sauce'", "did you mean 'source'?"],
    ),
    "an unknown key in dvc.yaml": (
        ["plan"], edited("dvc.yaml", "always_changed", "allways_changed"), 2,
        ["dvc.yaml", "'allways_changed'", "did you mean 'always_changed'?"],
    ),
    "a param that is not there": (
        ["plan"], edited("params.yaml", "evaluate:", "evalute:"), 2,
        ["params.yaml", "no 'evaluate", "did you mean 'evalute'?"],
    ),
    "a YAML file that is none": (
        ["plan"], edited("params.yaml", "train:", "train: ["), 2,
        ["params.yaml:", "not readable as YAML"],
    ),
    "a dvc.yaml that is none": (
        ["plan"], edited("dvc.yaml", "stages:", "stages: {"), 2, ["dvc.yaml:", "not readable"],
    ),
    "no dvc.yaml": (["plan"], unlinked("dvc.yaml"), 2, ["no dvc.yaml", "dvc stage add"]),
    "a pointer that is none": (
        ["plan"], edited("data/raw/parcels/2024-01.csv.dvc", "md5: ", "md5: X"), 2,
        ["data/raw/parcels/2024-01.csv.dvc", "dvc add"],
    ),
    "code that is no Python": (
        ["plan"], edited("pipelines/rows.py", "def parcels(", "def parcels(("), 2,
        ["pipelines/rows.py:", "not readable as Python"],
    ),
    "a drop that is nowhere": (
        ["evaluate"], drop_gone, 2, ["data/raw/parcels/2024-09.csv", "not in", "dvc push"],
    ),
    "a drop that is not what its pointer says": (
        ["evaluate"], drop_changed, 2,
        ["data/raw/parcels/2024-09.csv", "not what the pointer says", "dvc push"],
    ),
    "a DVC remote that is not there": (
        ["snapshot"], remote_gone, 3, ["remote", "dvc remote modify"],
    ),
    "a repository without DVC": (
        ["snapshot"], dvc_gone, 2, ["DVC is not set up here", "dvc init"],
    ),
    "a folder that is no bundle": (
        ["track", "."], lambda _: None, 2, ["no bundle here", "evaluate --bundle"],
    ),
    "a report of nothing": (
        ["report", "."], lambda _: None, 2, ["no report there"],
    ),
    "a report of an unknown run": (["report", "nope"], lambda _: None, 2, ["nope"]),
    "an unknown run to reproduce": (["reproduce", "nope"], lambda _: None, 2, ["nope"]),
    "a bundle where something else would be lost": (
        ["evaluate", "--bundle", "pipelines"], lambda _: None, 2,
        ["holds other things", "Name a new folder"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line_with_the_next_step(clone: Line, run: Run, mistake: Mistake) -> None:
    command, make, code, words = mistake
    make(clone)
    before = clone.kept()
    tree = content_of(clone.runner.root / "pipelines")
    fails(run(*command), code, *words)
    left = {path for path in set(clone.kept()) - set(before) if ".lock" not in path}
    assert left == set()
    assert content_of(clone.runner.root / "pipelines") == tree
    assert clone.quick.runs == []


def test_a_drop_that_breaks_its_contract_is_refused_with_line_and_value(
    line: Line, run: Run
) -> None:
    line.add_drops(4, at="runner", made=lambda month: drop(month).replace("true", "perhaps", 3))
    before = line.git("status", "--porcelain", at="runner")
    done = run("snapshot")
    assert done.code == 2
    assert "perhaps" in done.err
    assert "2024-04.csv" in done.err
    assert "Traceback" not in done.err
    assert line.git("status", "--porcelain", at="runner") == before
    assert run("snapshot", "--plan").out.endswith("would be built\n")


@pytest.mark.parametrize("number", ["²", "abc", "-1", "1" * 5_000])
def test_a_pull_request_that_is_no_number_is_said(clone: Line, run: Run, number: str) -> None:
    ended = run("plan", MERGELINE_PULL_REQUEST=number)
    fails(ended, 2, "MERGELINE_PULL_REQUEST is", "is not a number", "leave it out")


def test_tables_at_an_address_of_no_kind_are_said(clone: Line, run: Run) -> None:
    fails(run("snapshot", MERGELINE_TABLES="bogus://x"), 3, "bogus://x", "Unknown scheme")


@pytest.mark.parametrize("verb", ["plan", "history"])
def test_a_reader_that_goes_away_is_no_refusal(line: Line, verb: str) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as gone:
        done = subprocess.run(
            [sys.executable, "-m", "mergeline", verb],
            cwd=line.runner.root, env={**os.environ, **line.environment}, stdout=gone,
            stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (141, "")


def test_a_project_without_a_main_branch_is_told_what_every_verb_takes(
    clone: Line, run: Run
) -> None:
    clone.runner.git("checkout", "--quiet", "-b", "trunk")
    for ref in clone.runner.git("for-each-ref", "--format=%(refname)").split():
        if ref != "refs/heads/trunk":
            clone.runner.git("update-ref", "-d", ref)
    ended = run("status")
    fails(ended, 2, "no main branch found", "git branch main")
    assert "--base" not in ended.err


def test_a_folder_that_is_no_repository_is_said(clone: Line, run: Run, tmp_path: Path) -> None:
    for verb in ("plan", "evaluate", "release", "status", "history", "snapshot"):
        fails(run(verb, at=tmp_path), 2, "not a Git repository", "inside a clone")


def test_a_repository_without_a_commit_is_said(clone: Line, run: Run, tmp_path: Path) -> None:
    clone.git("init", "--quiet", str(tmp_path / "new"))
    fails(run("release", at=tmp_path / "new"), 2, "no commit 'HEAD'", "Make a first commit")


SERVERS = {
    "tracking": ("MLFLOW_TRACKING_URI", "http://127.0.0.1:9", "Start it, or correct"),
    "scoring": ("MERGELINE_SERVER", "http://127.0.0.1:9", "mergeline serve"),
}


@pytest.mark.parametrize(("key", "address", "step"), SERVERS.values(), ids=SERVERS.keys())
def test_a_server_out_of_reach_is_said_within_seconds(
    line: Line, run: Run, key: str, address: str, step: str
) -> None:
    line.merge(1)
    before = line.kept()
    since = time.monotonic()
    fails(run("release", **{key: address}), 3, address, "does not answer", step)
    assert time.monotonic() - since < 8
    left = {name for name in set(line.kept()) - set(before) if ".lock" not in name}
    assert left == set()


def test_an_origin_out_of_reach_is_said(line: Line, run: Run) -> None:
    shutil.rmtree(line.root / "forge" / "repository.git")
    (line.root / "forge" / "repository.git").mkdir()
    done = run("release")
    assert done.code == 3
    assert "repository.git" in done.err
    assert len(done.err.strip().splitlines()) == 1


@pytest.mark.parametrize("verb", ["evaluate", "release", "snapshot"])
def test_a_state_folder_that_cannot_be_written_is_said(line: Line, run: Run, verb: str) -> None:
    line.check_out_pull(3) if verb == "evaluate" else line.write("x", "")
    (line.root / "file").write_text("")
    store = f"sqlite:///{line.state / 'mlflow.db'}"
    state = str(line.root / "file" / "state")
    done = run(verb, MERGELINE_STATE=state, MLFLOW_TRACKING_URI=store)
    assert done.code == 3
    assert str(line.root / "file") in done.err
    assert "Traceback" not in done.err
    assert "Not a directory" in done.err


def test_an_unknown_option_ends_with_2(clone: Line, run: Run) -> None:
    done = run("evaluate", "--bundel", "x")
    assert done.code == 2
    assert "--bundle" in done.err
    assert "Traceback" not in done.err


def test_a_failed_stage_ends_with_3_and_its_last_words(
    line: Line, run: Run, tmp_path: Path
) -> None:
    line.edit("pipelines/train.py", "    rows =", "    raise ValueError('no luck')\n    rows =",
              at="runner")  # fmt: skip
    done = run("evaluate", "--bundle", str(tmp_path / "bundle"))
    fails(done, 3, "stage train failed: ValueError: no luck")
    shown = run("report", str(tmp_path / "bundle"))
    assert "no luck" in shown.out


def test_a_mistake_of_our_own_is_a_traceback_and_never_a_refusal(
    clone: Line, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("nobody thought of this")

    monkeypatch.setattr("mergeline.lifecycle.verbs.plan.plan", broken)
    done = run("plan")
    assert done.code == 3
    assert "KeyError: 'nobody thought of this'" in done.err
    assert done.err.splitlines()[-1].startswith("mergeline: this is a mistake of mergeline's own")
    assert "github.com/mergeline/mergeline/issues" in done.err.splitlines()[-1]


# --- as a process ---------------------------------------------------------------------------------


def test_the_command_itself_says_a_mistake_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mergeline", "plan"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"mergeline: {tmp_path}: not a Git repository with a working tree. "
        "Run mergeline inside a clone of the project.\n"
    )


def process(line: Line, *arguments: str, program: str = "mergeline", **environment: str) -> str:
    """What a command prints that is run in the runner's clone (or `AT`) as a process."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", program, *arguments],
        cwd=line.root / environment.pop("AT", "runner"), env={**line.environment, **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_whole_line_by_commands_alone(line: Line) -> None:
    """With DVC, the smoke test and every process as they are."""
    number = line.propose("again", (*OTHER[:2], "C: 4.0"))

    command = functools.partial(process, line)
    line.check_out_pull(number)
    command("evaluate", "--bundle", str(line.root / "b"), MERGELINE_PULL_REQUEST=str(number))
    command("track", str(line.root / "b"))
    command("comment", str(line.root / "b"))
    line.merge(number)
    assert command("release") == "late v2 is in production\n"
    assert command("release") == "late: live is target; nothing to do\n"
    assert "drift   none" in command("status")


@pytest.mark.slow
def test_dvc_repro_by_hand_gives_the_model_of_the_tracked_candidate(line: Line) -> None:
    number = line.propose("by-hand", (*OTHER[:2], "C: 6.0"))
    line.check_out_pull(number)
    process(line, "evaluate", MERGELINE_PULL_REQUEST=str(number))
    tracking = line.project().tracking
    [run] = [one for one in tracking.candidates(MODEL) if one.pull_request == number]
    line.git("clone", "--quiet", "--branch", "by-hand", "forge/repository.git", "hand", at=".")
    bin_first = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    process(line, "repro", program="dvc", AT="hand", PATH=bin_first,
            MERGELINE_STATE=str(line.root / "hand-state"))  # fmt: skip
    assert model_digest(line.root / "hand" / "build" / MODEL / "model") == run.model_digest
    assert (line.root / "hand" / "dvc.lock").is_file()
    said = process(line, "plan", AT="hand")
    assert "(in the store); nothing trains" in said  # for all that it left there


DEAF = """
import time
from mergeline.cli import main as cli
from mergeline.cli.output import annotate
from mergeline.core.data.snapshot import Drop
from mergeline.core.data.violations import RefusedDropError
from mergeline.core.declare.contract import parse_contract
from mergeline.errors import DeclarationError, DropError

def deaf(**_):
    print("busy", flush=True)
    try:
        time.sleep(60)
    except KeyboardInterrupt:  # as Python itself drops it in a weak reference's callback
        pass
    time.sleep(60)

cli.commands, cli._PATIENCE = deaf, 0.3
cli.main()
"""


def test_told_to_stop_where_nobody_hears_it_a_verb_is_told_once_more() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", DEAF], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == "busy\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 130
        assert process.stderr.read() == "mergeline: stopped\n"


@pytest.mark.parametrize(
    ("where", "shown"),
    [
        ("data/a.yaml:7", "file=data/a.yaml,line=7"),
        ("data/a.csv", "file=data/a.csv.dvc,line=1"),
        ("data/a,b%.yaml", "file=data/a%2Cb%25.yaml,line=1"),
    ],
)
def test_a_job_shows_a_mistake_beside_the_line_that_it_is_in(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    where: str,
    shown: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name in ("a.yaml", "a.csv.dvc", "a,b%.yaml"):
        (tmp_path / "data" / name).touch()
    error = DropError("line 3: no\nline 4: neither", where=where)
    annotate(error)
    assert capfd.readouterr().err == ""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    annotate(error)
    assert capfd.readouterr().err.startswith(f"::error {shown}::{where.replace('%', '%25')}: line")
    annotate(DropError("no such place", where="nowhere.csv"))
    assert capfd.readouterr().err == ""


CONTRACT = """\
source: data/raw/t
format: csv
columns:
  a.b: {type: int8}
  x:
    description: a number
    type: int8
"""


@pytest.mark.parametrize(
    ("mend", "where"),
    [
        (("    type:", "    typ:"), (7, "unknown key 'typ' in columns.x")),
        (("    type: int8", "    type: int8\n    min: 1000"), (8, "columns.x.min: 1000 is")),
        (("    type: int8", "    type: decimal(5,2"), (7, "columns.x.type: inside of braces")),
        (("{type: int8}", "{type: int}"), (4, "columns.a.b.type: 'int' is no type")),
        (("    type: int8\n", ""), (5, "key 'columns.x.type' is missing")),
        (("source:", "sourc:"), (1, "unknown key 'sourc'")),
        (("columns:", "columns: [\n"), (6, "not readable as YAML")),
    ],
)
def test_a_mistake_in_a_contract_is_shown_on_its_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    mend: tuple[str, str],
    where: tuple[int, str],
) -> None:
    text = CONTRACT.replace(*mend)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "t.yaml").write_text(text)
    with pytest.raises(DeclarationError) as caught:
        parse_contract("t", text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    annotate(caught.value)
    shown = capfd.readouterr().err
    assert shown.startswith(f"::error file=data/t.yaml,line={where[0]}::data/t.yaml")
    assert where[1] in shown


@pytest.mark.parametrize("pointer", ["data/raw/t/2013-01.csv.dvc", "data/raw/t.dvc"])
def test_a_refused_drop_is_shown_at_its_pointer_with_each_line_and_column(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    pointer: str,
) -> None:
    (tmp_path / pointer).parent.mkdir(parents=True)
    (tmp_path / pointer).touch()
    (tmp_path / "raw").write_text("x,y\n1,2\nZ,3\n4,Z\n")
    columns = "columns: {x: {type: int8}, y: {type: int8}}"
    contract = parse_contract("t", f"source: data/raw/t\nformat: csv\n{columns}\n")
    with pytest.raises(RefusedDropError) as caught:
        convert(tmp_path / "raw", Drop("data/raw/t/2013-01.csv", ""), contract, tmp_path / "out")
    places = [(one.line, one.column, one.value) for one in caught.value.refusal.violations]
    assert places == [(3, "x", "Z"), (4, "y", "Z")]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    annotate(caught.value)
    shown = capfd.readouterr().err
    assert shown.startswith(f"::error file={pointer},line=1::data/raw/t/2013-01.csv: breaks data/")
    assert "%0A  line 3, column x: 'Z' is not an int8%0A  line 4, column y: " in shown
    assert shown.count("\n") == 1
