"""The shipped workflows on a real forge: what a pull request is told."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.hosted import Hosted, add_parcels, write_pointer

pytestmark = [pytest.mark.forge, pytest.mark.timeout(1800)]
BOT = "gitea-actions"
WORKFLOW = ".gitea/workflows/pull-request.yml"
LAST_STEP = "      - name: Leave the bundle\n"
# What a pull request may write into its own workflow: it calls a refused model a passed one.
FORGE_THE_VERDICT = """\
      - name: Forge the verdict
        if: ${{ !cancelled() }}
        run: |
          cd "$RUNNER_TEMP/bundle"
          sed -i 's/"fail"/"pass"/g' evaluation/*.json
"""
# Another model in the place of the one that was trained, with the digests of its files put right.
SWAP_THE_MODEL = """\
      - name: Swap the model
        if: ${{ !cancelled() }}
        run: |
          cd "$RUNNER_TEMP/bundle"
          "$GITHUB_WORKSPACE/.venv/bin/python" - <<'END'
          import hashlib, json, pathlib, cloudpickle
          path = pathlib.Path("candidate/model/model.pkl")
          before = hashlib.sha256(path.read_bytes()).hexdigest()
          model = cloudpickle.loads(path.read_bytes())
          model[-1].coef_ = -model[-1].coef_
          path.write_bytes(cloudpickle.dumps(model))
          manifest = json.loads(pathlib.Path("manifest.json").read_text())
          assert manifest["files"][str(path)] == before
          manifest["files"][str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
          pathlib.Path("manifest.json").write_text(json.dumps(manifest))
          END
"""
# A fork's job writes with the token that it has.
WRITE_WITH_THE_TOKEN = """\
      - name: Write with the token
        env:
          TOKEN: ${{ github.token }}
          HEAD_SHA: ${{ github.event.pull_request.head.sha }}
        run: |
          curl --silent --header "Authorization: token $TOKEN" \\
            --header "Content-Type: application/json" \\
            --data '{"context": "mergeline", "state": "success", "description": "forged"}' \\
            "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/statuses/$HEAD_SHA"
"""
HOSTILE = "$(touch pwned)`id` <!-- mergeline:report --> | <img src=x> [a](http://evil.example) @ben"
PARAM = "`id` | <img src=x>"
COLUMN = f".with_columns(pl.lit({HOSTILE + chr(10) + '# title'!r}).alias({HOSTILE!r}))"
METRIC = "{name: pipelines.own.__b__, greater_is_better: true}"
# A column, which is a slice too, a param, and a metric of the project's own.
HOSTILE_NAMES = [
    ("params.yaml", "train:\n", f"train:\n  {PARAM!r}: 1\n"),
    ("pipelines/evaluate.py", "import yaml\n", "import polars as pl\nimport yaml\n"),
    ("pipelines/evaluate.py", "held_out=True)", f"held_out=True){COLUMN}"),
    ("models/late.yaml", "key: [id]\n", f"key: [id]\nslices: [{HOSTILE!r}]\n"),
    ("models/late.yaml", "neg_log_loss]", f"neg_log_loss, {METRIC}]"),
]
OWN_METRIC = "def __b__(labels, predictions):\n    return 1.0\n"


def test_the_readmes_july_passes_on_the_shipped_workflows(reference: Hosted) -> None:
    reference.branch("july")
    script = [sys.executable, "data/drops.py", "--months", "2013-07:2013-07"]
    subprocess.run(script, cwd=reference.clone, check=True, capture_output=True)
    for drop in sorted(reference.clone.glob("data/raw/*/2013-07.csv")):
        write_pointer(drop, drop.read_bytes())
    head = reference.commit("July")
    number = reference.propose("July")
    assert reference.judged(head) == ("success", "delay: pass"), reference.tell()
    [said] = reference.comments(number)
    assert "`2013-07.csv`" in said["body"]


def test_a_pull_request_has_one_comment_and_a_status_from_start_to_end(hosted: Hosted) -> None:
    hosted.branch("april-$(touch${IFS}pwned)-`id`;'\"&|")
    add_parcels(hosted.clone, 4)
    first = hosted.commit("April")
    number = hosted.propose("April `$(id)` <!-- mergeline:report --> | <b>")
    assert hosted.judged(first) == ("success", "late: pass"), hosted.tell()
    assert hosted.states(first)[0] == ("pending", "being evaluated")
    [said] = hosted.comments(number)
    assert said["user"]["login"] == BOT
    assert f"head `{first[:7]}`" in said["body"]
    assert "`2024-04.csv`" in said["body"]

    hosted.edit("params.yaml", "C: 1.0", "C: 0.5")
    second = hosted.commit("Less weight")
    hosted.push()
    assert hosted.judged(second) == ("success", "late: pass"), hosted.tell()
    [again] = hosted.comments(number)
    assert again["id"] == said["id"]
    assert f"head `{second[:7]}`" in again["body"]

    hosted.edit("params.yaml", "C: 0.5", "C: 1.0")
    hosted.git("rm", "-q", "data/raw/parcels/2024-04.csv.dvc")
    third = hosted.commit("As it was")
    hosted.push()
    assert hosted.judged(third) == ("success", "no model changes"), hosted.tell()
    [shrunk] = hosted.comments(number)
    assert shrunk["id"] == said["id"]
    assert shrunk["body"].endswith(f"At `{third[:7]}` this pull request changes no model.")


def test_hostile_names_stay_names(hosted: Hosted) -> None:
    hosted.branch("hostile")
    for edit in HOSTILE_NAMES:
        hosted.edit(*edit)
    (hosted.clone / "pipelines" / "own.py").write_text(OWN_METRIC)
    head = hosted.commit("Names")
    number = hosted.propose(HOSTILE)
    assert hosted.judged(head)[0] in {"success", "failure"}, hosted.tell()
    [said] = hosted.comments(number)
    assert said["body"].count("<!-- mergeline:report") == 1
    assert "img src" in said["body"]
    for harm in ("<img", "](http://evil.example)", "\n# title"):
        assert harm not in said["body"]
    assert not list(hosted.server.folder.rglob("pwned"))


def test_a_pull_request_that_changes_no_model_has_a_green_status_and_no_comment(
    hosted: Hosted,
) -> None:
    hosted.branch("words")
    hosted.edit("README.md", "Will a parcel", "Will any parcel")
    head = hosted.commit("Words")
    number = hosted.propose("Words")
    assert hosted.judged(head) == ("success", "no model changes"), hosted.tell()
    assert hosted.states(head)[0] == ("pending", "being evaluated")
    assert hosted.comments(number) == []

    before = len(hosted.states(head))
    hosted.say(number, "mallory", "/mergeline evaluate")
    hosted.say(number, "ben", "/mergeline evaluate")
    answered = hosted.answered(number, beyond=2)
    assert answered["user"]["login"] == BOT
    assert f"`{head[:7]}` is evaluated again" in answered["body"]
    assert hosted.judged(head, beyond=before) == ("success", "no model changes"), hosted.tell()


def test_a_push_meanwhile_leaves_no_commit_pending_and_one_verdict(hosted: Hosted) -> None:
    hosted.branch("twice")
    hosted.edit("README.md", "Will a parcel", "Will the parcel")
    first = hosted.commit("Words")
    hosted.propose("Words, twice")
    hosted.edit("README.md", "Will the parcel", "Will one parcel")
    second = hosted.commit("Better words")
    hosted.push()
    assert hosted.judged(second) == ("success", "no model changes"), hosted.tell()
    assert hosted.judged(first)[0] in {"error", "success"}, hosted.tell()


def test_a_cancelled_evaluation_ends_in_an_error_and_is_not_pending_for_ever(
    hosted: Hosted,
) -> None:
    hosted.branch("cancelled")
    hosted.edit("params.yaml", "C: 1.0", "C: 0.7")
    head = hosted.commit("Another weight")
    hosted.propose("Another weight")
    hosted.cancel(head)
    state, said = hosted.judged(head)
    assert state == "error", hosted.tell()
    assert said.startswith("not judged")


def test_a_bundle_that_is_gone_ends_in_an_error_that_says_what_to_do(hosted: Hosted) -> None:
    """As after the days for which a job's artifacts are kept."""
    hosted.branch("gone")
    hosted.edit("params.yaml", "C: 1.0", "C: 0.4")
    hosted.edit(WORKFLOW, "          name: bundle\n", "          name: another\n")
    head = hosted.commit("A bundle that nobody finds")
    hosted.propose("A bundle that nobody finds")
    said = "not judged (evaluation: success); comment /mergeline evaluate"
    assert hosted.judged(head) == ("error", said), hosted.tell()


def test_a_job_that_cannot_be_installed_ends_in_an_error(reference: Hosted) -> None:
    reference.branch("broken")
    reference.edit("uv.lock", "version = 1", "version = 999")
    head = reference.commit("Break the lock")
    reference.propose("Break the lock")
    assert reference.judged(head)[0] == "error", reference.tell()


def test_a_refused_model_stays_refused_whatever_its_own_job_says(hosted: Hosted) -> None:
    hosted.branch("forged")
    hosted.edit("params.yaml", "use: [weight, distance]", "use: [weight]")
    hosted.edit(WORKFLOW, LAST_STEP, FORGE_THE_VERDICT + LAST_STEP)
    head = hosted.commit("Half of it")
    number = hosted.propose("Half of it")
    assert hosted.judged(head) == ("failure", "late: fail"), hosted.tell()
    [said] = hosted.comments(number)
    assert "❌" in said["body"]

    hosted.edit("params.yaml", "use: [weight]", "use: [weight, distance]")
    hosted.edit("params.yaml", "C: 1.0", "C: 0.9")
    hosted.edit(WORKFLOW, FORGE_THE_VERDICT, SWAP_THE_MODEL)
    head = hosted.commit("Another model than the one that was trained")
    hosted.push()
    assert hosted.judged(head) == ("error", "late: could not be evaluated"), hosted.tell()
    [said] = hosted.comments(number)
    assert "the model is not the one that the manifest names" in said["body"]


def test_a_fork_is_judged_once_approved_and_its_token_writes_nothing(hosted: Hosted) -> None:
    hosted.branch("from-afar")
    hosted.edit("README.md", "Will a parcel", "Will your parcel")
    hosted.edit(WORKFLOW, LAST_STEP, WRITE_WITH_THE_TOKEN + LAST_STEP)
    head = hosted.commit("From afar", author="mallory")
    number = hosted.propose_from_fork("From afar", "mallory")
    hosted.approve_runs(head)
    assert hosted.judged(head) == ("success", "no model changes"), hosted.tell()
    assert "forged" not in str(hosted.states(head))
    assert hosted.comments(number) == []
