"""`init`: what it finds, what it writes and never writes over, and what it refuses whole."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from mergeline.adapters.drops.infer import infer
from mergeline.adapters.git.repository import Repository
from mergeline.cli.commands import commands
from mergeline.core.begin import files as texts
from mergeline.core.begin.answers import RECORD
from mergeline.core.begin.plan import Step
from mergeline.core.begin.scripts import read_script
from mergeline.core.declare.contract import parse_contract
from mergeline.core.declare.model import parse_model
from mergeline.errors import DeclarationError, DropError, ExternalError, InputError, NotFoundError
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.steps.survey import repository_at
from mergeline.lifecycle.verbs import init
from mergeline.lifecycle.verbs.contract import check_files
from mergeline.lifecycle.verbs.example import EXAMPLES, begin
from mergeline.system.atomic_writes import write_file_whole

SCRIPT = """
import pandas as pd
from sklearn.ensemble import RandomForestRegressor
df = pd.read_csv("data/houses.csv")
y = df["price"]
model = RandomForestRegressor(n_estimators=20, random_state=1)
model.fit(df[["area", "rooms"]], y)
"""


def houses(rows: int = 60) -> str:
    made = random.Random(0)
    lines = ["id,area,town,price,sold"]
    for number in range(rows):
        area, town = made.uniform(30, 200), made.choice(["Bern", "Chur"])
        lines.append(f"{number},{area:.1f},{town},{area * 3000:.0f},{number % 2 == 0}".lower())
    return "\n".join(lines) + "\n"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository with a CSV and a script, and no DVC."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    root = tmp_path / "mine"
    (root / "data").mkdir(parents=True)
    (root / "data/houses.csv").write_text(houses())
    (root / "train.py").write_text(SCRIPT)
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main"], cwd=root, check=True)
    return Repository(root)


def quiet(_: str) -> None:
    pass


@pytest.fixture
def no_dvc(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """DVC's own commands are noted, and leave the pointer that they would."""
    ran: list[tuple[str, ...]] = []

    def run(step: Step, root: Path) -> None:
        ran.append(step.command)
        if step.command[:2] == ("dvc", "add"):
            (root / f"{step.path}.dvc").write_text("outs: []\n")

    monkeypatch.setattr(init, "_run", run)
    return ran


def content(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".git/" not in path.as_posix()
    }


def test_a_csv_and_a_script_become_a_project_and_a_second_run_plans_nothing(
    repository: Repository, no_dvc: list[tuple[str, ...]]
) -> None:
    before = content(repository.root)
    init.apply(repository, init.plan(repository), quiet)
    after = content(repository.root)
    assert {path: after[path] for path in before} == before
    model = parse_model("price", after["models/price.yaml"])
    assert (model.task, model.label, model.key) == ("regression", "price", ("id",))
    contract = parse_contract("houses", after["data/houses.yaml"])
    assert contract.source == "data/houses.csv.dvc"
    assert yaml.safe_load(after["dvc.yaml"])["stages"].keys() == {"snapshot", "train"}
    script = after["train_price.py"].decode()
    assert "RandomForestRegressor(**params)" in script
    assert len(script.splitlines()) <= 36
    compile(script, "train_price.py", "exec")
    assert no_dvc == [("dvc", "add", "--quiet", "data/houses.csv")]
    assert init.plan(repository).steps == ()


def test_each_declaration_names_its_schema_on_the_first_line(
    repository: Repository, no_dvc: list[tuple[str, ...]]
) -> None:
    init.apply(repository, init.plan(repository), quiet)
    for path, kind in (("models/price.yaml", "model"), ("data/houses.yaml", "contract")):
        first = (repository.root / path).read_text().splitlines()[0]
        assert first.startswith("# yaml-language-server: $schema=https://")
        assert first.endswith(f"/docs/{kind}.schema.json")


@pytest.mark.parametrize("writes", range(1, 16, 3))
def test_killed_half_way_and_run_again_it_converges(
    repository: Repository,
    no_dvc: list[tuple[str, ...]],
    monkeypatch: pytest.MonkeyPatch,
    writes: int,
) -> None:
    left = [writes]

    def dying(file: Path, text: bytes) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        write_file_whole(file, text)

    planned = init.plan(repository)
    with monkeypatch.context() as patch:
        patch.setattr(init, "write_file_whole", dying)
        with pytest.raises(KeyboardInterrupt):
            init.apply(repository, planned, quiet)
    init.apply(repository, init.plan(repository), quiet)
    again = init.plan(repository)
    assert (again.steps, again.kept) == ((), ())
    for step in planned.steps:
        if step.action != "run":
            assert (repository.root / step.path).read_text() == step.text


def test_a_newer_version_updates_what_nobody_changed(
    repository: Repository, no_dvc: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    init.apply(repository, init.plan(repository), quiet)
    (repository.root / "models/price.yaml").write_text("changed: by a person\n")
    (repository.root / "dvc.yaml").unlink()
    monkeypatch.setattr(texts, "IGNORED_BY_DVC", ("/.mergeline/", "/newer/"))
    monkeypatch.setattr(texts, "model_yaml", lambda *_: "newer: too\n")
    planned = init.plan(repository)
    assert [(step.action, step.path) for step in planned.steps] == [("update", ".dvcignore")]
    assert sorted(planned.kept) == [
        "dvc.yaml was deleted, and stays so",
        "models/price.yaml was changed by a person, and stays so",
    ]
    init.apply(repository, planned, quiet)
    assert "/newer/" in (repository.root / ".dvcignore").read_text()
    assert init.plan(repository).steps == ()
    assert "changed" in (repository.root / "models/price.yaml").read_text()


def test_files_that_are_there_only_get_lines_at_their_end(
    repository: Repository, no_dvc: list[tuple[str, ...]]
) -> None:
    own = {
        ".gitignore": "*.pyc\n/build/",
        "params.yaml": "# mine\nseed: 012\n",
        "dvc.yaml": "stages:\n  prepare:\n    cmd: echo\n    outs: [out.txt]\n",
    }
    for path, text in own.items():
        (repository.root / path).write_text(text)
    init.apply(repository, init.plan(repository), quiet)
    for path, text in own.items():
        assert (repository.root / path).read_text().startswith(text)
    assert (repository.root / ".gitignore").read_text().count("build") == 1
    stages = yaml.safe_load((repository.root / "dvc.yaml").read_text())["stages"]
    assert stages.keys() == {"prepare", "snapshot", "train"}
    assert init.plan(repository).steps == ()


def test_where_lines_would_not_say_what_they_mean_a_person_is_told(repository: Repository) -> None:
    (repository.root / "dvc.yaml").write_text("stages: {prepare: {cmd: echo, outs: [out.txt]}}\n")
    planned = init.plan(repository)
    assert "dvc.yaml" not in {step.path for step in planned.steps}
    [told] = [line for line in planned.by_hand if line.startswith("add to dvc.yaml")]
    assert "mergeline snapshot" in told


@pytest.mark.slow
def test_a_csv_in_git_becomes_a_drop_where_it_lies(repository: Repository) -> None:
    subprocess.run(["git", "add", "data/houses.csv"], cwd=repository.root, check=True)
    init.apply(repository, init.plan(repository), quiet)
    assert (repository.root / "data/houses.csv").read_text() == houses()
    assert (repository.root / "data/houses.csv.dvc").is_file()
    assert repository.git("ls-files", "data/houses.csv") == ""
    assert init.plan(repository).steps == ()


def test_files_with_the_same_columns_are_drops_of_one_table(repository: Repository) -> None:
    (repository.root / "data/houses2.csv").write_text(houses(30))
    planned = init.plan(repository)
    assert planned.answers.drops == ("data/houses.csv", "data/houses2.csv")
    assert planned.answers.source == "data"


def test_answers_are_asked_with_a_default_and_taken(repository: Repository) -> None:
    asked: dict[str, str] = {}

    def ask(question: str, default: str, choices: object) -> str:
        asked[question] = default
        return "sold" if "predicted" in question else default

    [model] = init.plan(repository, ask).answers.models
    assert asked["Which column is to be predicted?"] == "price"
    assert (model.label, model.task, model.classes) == ("sold", "binary", (False, True))
    assert len(asked) <= 6


@pytest.mark.parametrize(
    ("url", "files"),
    [
        ("git@github.com:me/mine.git", ".github/workflows/release.yml"),
        ("https://codeberg.org/me/mine", ".gitea/workflows/release.yml"),
        ("https://gitlab.com/me/mine", None),
    ],
)
def test_workflows_are_those_of_the_forge(
    repository: Repository, url: str, files: str | None
) -> None:
    repository.git("remote", "add", "origin", url)
    (repository.root / "requirements.txt").write_text("mergeline\n")
    written = {step.path: step.text for step in init.plan(repository).steps}
    assert (files in written) if files else not any("workflows" in path for path in written)
    if files and "github" in files:
        job = yaml.safe_load(written[files])["jobs"]["mergeline"]
        assert "@v" in job["uses"]
        assert "requirements.txt" in job["with"]["install"]


def test_this_repository_lacks_nothing_but_what_it_calls_itself(tmp_path: Path) -> None:
    planned = init.plan(Repository(Path(__file__).parents[3]))
    assert {step.path for step in planned.steps} <= {".gitea/workflows", ".gitignore", ".dvcignore"}


# --- bad input: a sentence, and nothing written ---------------------------------------------------


def test_no_repository(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="git init"):
        repository_at(tmp_path)
    assert content(tmp_path) == {}


@pytest.mark.parametrize(
    ("path", "text", "error", "said"),
    [
        ("dvc.yaml", "stages: [", DeclarationError, "not readable as YAML"),
        ("dvc.yaml", "stages: [a]", DeclarationError, "no mapping"),
        ("params.yaml", "a: {", DeclarationError, "not readable as YAML"),
        (".gitignore", "data/\n", InputError, "git ignores it"),
        ("data/houses.csv", "id,area\n", InputError, "no rows"),
        ("data/houses.csv", "<?xml version='1.0'?><a/>", InputError, "XML"),
        ("data/houses.csv", "id\n" + "1\n2\n3\n" * 9, InputError, "no column is left"),
    ],
)
def test_what_cannot_be_read_stops_before_anything_is_written(
    repository: Repository, path: str, text: str, error: type[Exception], said: str
) -> None:
    (repository.root / path).write_text(text)
    before = content(repository.root)
    with pytest.raises(error, match=said):
        init.plan(repository)
    assert content(repository.root) == before


@pytest.mark.parametrize(
    ("name", "said"), [("a.xlsx", "as CSV"), ("a.xml", "as CSV"), ("a.txt", "--example")]
)
def test_no_file_of_rows(repository: Repository, name: str, said: str) -> None:
    (repository.root / "data/houses.csv").unlink()
    (repository.root / name).write_text("x")
    with pytest.raises(NotFoundError, match=said):
        init.plan(repository)


def test_a_dirty_repository_is_said_and_left(
    repository: Repository, no_dvc: list[tuple[str, ...]]
) -> None:
    repository.git("add", "train.py")
    repository.git("-c", "user.name=A", "-c", "user.email=a@b", "commit", "-q", "-m", "One")
    (repository.root / "train.py").write_text(SCRIPT + "# more\n")
    planned = init.plan(repository)
    assert any(note.startswith("1 file changed") for note in planned.notes)
    init.apply(repository, planned, quiet)
    assert (repository.root / "train.py").read_text() == SCRIPT + "# more\n"


def test_of_a_file_of_5_gb_only_the_first_rows_are_looked_at(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = repository.root / "data/houses.csv"
    with file.open("r+b") as stream:
        stream.truncate(5_000_000_000)  # sparse; what follows is no text
    monkeypatch.setattr(init, "_HEAD", len(houses()) - 40)
    planned = init.plan(repository)
    [note] = [note for note in planned.notes if "first" in note]
    assert "of 5 GB" in note
    contract = next(step.text for step in planned.steps if step.path == "data/houses.yaml")
    assert "the first 5" in contract
    assert any("5 GB" in step.why for step in planned.steps if step.action == "run")


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz", "rows.parquet", "rows.jsonl"])
def test_the_head_of_a_file_ends_with_a_whole_row(tmp_path: Path, name: str) -> None:
    import polars as pl

    frame = pl.DataFrame({"id": range(5000), "text": ["two\nlines, and a comma"] * 5000})
    file = tmp_path / name
    if name.endswith(".parquet"):
        frame.write_parquet(file)
    elif name.endswith(".jsonl"):
        frame.write_ndjson(file)
    else:
        import gzip

        text = frame.write_csv().encode()
        file.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    inferred = infer(file, f"data/{name}", most=1000)
    assert inferred.path == f"data/{name}"
    assert inferred.head_of == file.stat().st_size
    assert 0 < inferred.rows <= 5000
    assert [column.type for column in inferred.columns] == ["int64", "string"]


@pytest.mark.slow
def test_dvc_that_refuses_is_told_and_the_next_run_goes_on(repository: Repository) -> None:
    (repository.root / "data/houses.csv.dvc").mkdir()
    planned = init.plan(repository)
    with pytest.raises(ExternalError, match="dvc add"):
        init.apply(repository, planned, quiet)
    (repository.root / "data/houses.csv.dvc").rmdir()
    init.apply(repository, init.plan(repository), quiet)
    assert init.plan(repository).steps == ()


def test_an_example_takes_no_plan_and_writes_nothing_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(commands, ["init", "--example", "binary", "--plan"])
    assert done.exit_code == 2
    assert content(tmp_path) == {}


@pytest.mark.slow
def test_a_contract_and_a_drop_are_checked_before_they_are_committed(
    repository: Repository,
) -> None:
    init.apply(repository, init.plan(repository), quiet)
    project, data = Project.at(repository.root), repository.root / "data"
    files = [data / name for name in ("houses.yaml", "houses.csv", "houses.csv.dvc")]
    assert [*check_files(project, files)] == [
        "data/houses.yaml: a contract",
        "data/houses.csv: 60 rows, as data/houses.yaml says",
        "data/houses.csv: 60 rows, as data/houses.yaml says",
    ]
    (data / "houses.csv").unlink()
    assert "60 rows" in next(check_files(project, [data / "houses.csv.dvc"]))
    (data / "houses.csv").write_text(houses() + "60,large,bern,1,true\n")
    with pytest.raises(DropError):
        next(check_files(project, [data / "houses.csv"]))
    with pytest.raises(DeclarationError, match="no contract is about it"):
        next(check_files(project, [data / "others.csv"]))
    (data / "houses.yaml").write_text("source: data/houses.csv.dvc\nunknown: {}\n")
    with pytest.raises(DeclarationError):
        next(check_files(project, [data / "houses.yaml"]))


def test_each_pre_commit_hook_is_a_command() -> None:
    hooks = yaml.safe_load((Path(__file__).parents[3] / ".pre-commit-hooks.yaml").read_text())
    for hook in hooks:
        done = CliRunner().invoke(commands, [*hook["entry"].split()[1:], "--help"])
        assert done.exit_code == 0, done.output


# --- what a script says, and the examples ---------------------------------------------------------


def test_a_script_is_read_and_not_run() -> None:
    script = read_script(SCRIPT + "\nraise SystemExit\n")
    assert (script.label, script.estimator) == (
        "price",
        "sklearn.ensemble.RandomForestRegressor",
    )
    assert script.params == {"n_estimators": 20, "random_state": 1}


@pytest.mark.parametrize("text", ["", "def", "x = 1\0", "model = Unknown(1)", "y = 3"])
def test_a_script_that_says_nothing(text: str) -> None:
    script = read_script(text)
    assert (script.label, script.estimator) == (None, None)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_what_init_makes_of_its_csv(
    name: str, tmp_path: Path, no_dvc: list[tuple[str, ...]]
) -> None:
    repository, answers = begin(tmp_path, name)
    init.apply(repository, init.plan(repository, answers=answers), quiet)
    assert len(list((tmp_path / "models").glob("*.yaml"))) == len(EXAMPLES[name].labels)
    assert answers is not None
    labels = {model.label for model in answers.models}
    assert all(labels.isdisjoint(model.inputs) for model in answers.models)
    assert json.loads((tmp_path / RECORD).read_text())["answers"]["table"] == EXAMPLES[name].rows
    repository, answers = begin(tmp_path, name)
    assert init.plan(repository, answers=answers).steps == ()


def test_an_example_needs_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(InputError, match=r"holds mine\.txt"):
        begin(tmp_path, "binary")
    assert content(tmp_path) == {"mine.txt": b"x"}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_from_init_to_release_and_revert(name: str, tmp_path: Path) -> None:
    who = {
        f"GIT_{role}_{part}": "a@b"
        for role in ("AUTHOR", "COMMITTER")
        for part in ("NAME", "EMAIL")
    }
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    env = {**kept, **who, "GIT_CONFIG_GLOBAL": os.devnull, "BROWSER": "true"}

    def run(*command: str, codes: Collection[int] = (0,)) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        said = f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        assert done.returncode in codes, said
        return done.stdout

    def mergeline(*words: str, codes: Collection[int] = (0,)) -> str:
        return run(sys.executable, "-m", "mergeline", *words, codes=codes)

    mergeline("init", "--example", name)
    assert "nothing to do" in mergeline("init", "--plan")
    run("git", "add", "--all")
    run("git", "commit", "--quiet", "--message", "Set up mergeline")
    mergeline("evaluate")
    pages = mergeline("open").splitlines()
    assert [Path(page).is_file() for page in pages] == [True] * len(EXAMPLES[name].labels)
    mergeline("release")
    params = tmp_path / "params.yaml"
    params.write_text(params.read_text().replace("learning_rate: 0.1\n", "learning_rate: 0.09\n"))
    run("git", "commit", "--quiet", "--all", "--message", "Learn more slowly")
    mergeline("evaluate", codes=(0, 1))  # on so few rows it may not be told, and a person decides
    mergeline("release", "--override", "to revert it")
    run("git", "revert", "--no-edit", "HEAD")
    assert run("git", "status", "--porcelain") == ""
    mergeline("release")
    pages = json.loads(mergeline("history", "--json"))
    for label in EXAMPLES[name].labels:
        moves = [(page["kind"], page["version"]) for page in pages if page["model"] == label]
        assert sorted(moves) == [("change", 2), ("first", 1), ("restore", 1)]
