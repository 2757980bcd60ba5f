"""What `dvc.yaml` may say, and how it is refused what it may not."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from mergeline.adapters.dvc.reading import DvcReading
from mergeline.core.declare import stages
from mergeline.core.declare.stages import DeclaredStage
from mergeline.errors import DeclarationError

STAGE = "stages: {train: {cmd: make, %s}}"


class Files:
    """A tree's files by path."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = files

    def read(self, path: str) -> bytes | None:
        return self._files[path].encode() if path in self._files else None

    def list(self, prefix: str = "") -> list[str]:
        return [path for path in self._files if f"{path}/".startswith(f"{prefix}/")]


def read_dvc_yaml(text: bytes, where: str = "dvc.yaml", **files: str) -> dict[str, DeclaredStage]:
    """Read it beside other files, `params_yaml` being `params.yaml`."""
    by_path = {name.replace("__", "/").replace("_", "."): text for name, text in files.items()}
    return stages.read_dvc_yaml(text, DvcReading(Files(by_path)), where)


def test_a_stage_is_read_in_each_of_its_forms() -> None:
    stage = read_dvc_yaml(
        b"""\
stages:
  train:
    cmd: [make a, make b]
    deps: [./a.py, x/../b.py]
    params: [train, other.yaml:, {third.yaml: [one, two]}]
    outs: [model, {rows: {cache: false}}]
    metrics: [{m.json: {cache: false}}]
"""
    )["train"]
    assert stage.command == "make a\nmake b"
    assert stage.deps == ("a.py", "b.py")
    assert stage.outs == ("model", "rows", "m.json")
    assert stage.params == (
        ("params.yaml", "train"), ("other.yaml", None), ("third.yaml", "one"), ("third.yaml", "two")
    )  # fmt: skip


def test_templates_are_resolved_as_dvc_does() -> None:
    text = b"""\
vars: [other.yaml, {folder: build}]
stages:
  train:
    cmd: make --trees ${train.trees} --rate ${rate}
    outs: ['${folder}/model']
  each:
    foreach: [a, b]
    do: {cmd: 'make ${item}', deps: ['${item}.py']}
  grid:
    matrix: {size: [1, 2], kind: [x]}
    cmd: make ${item.size} ${item.kind}
"""
    read = read_dvc_yaml(text, params_yaml="train: {trees: 012}", other_yaml="rate: 0.5")
    assert [*read] == ["train", "each@a", "each@b", "grid@1-x", "grid@2-x"]
    assert read["train"].command == "make --trees 12 --rate 0.5"
    assert read["train"].outs == ("build/model",)
    assert (read["each@b"].command, read["each@b"].deps) == ("make b", ("b.py",))


def test_a_template_without_a_value_is_refused_in_one_line() -> None:
    with pytest.raises(DeclarationError, match=r"dvc\.yaml: DVC refuses it: .*'rate'") as caught:
        read_dvc_yaml(b"stages: {train: {cmd: 'make ${rate}'}}", params_yaml="lr: 1")
    assert "\n" not in str(caught.value)


def test_a_loop_without_a_body_is_refused_in_one_line() -> None:
    with pytest.raises(DeclarationError, match=r"dvc\.yaml: DVC refuses it") as caught:
        read_dvc_yaml(b"stages: {train: {foreach: [1]}}")
    assert "\n" not in str(caught.value)


def test_paths_are_seen_from_the_folder_that_a_stage_runs_in() -> None:
    text = b"stages: {train: {cmd: make, wdir: late, deps: [a.py, ../b.py], params: [lr]}}"
    stage = read_dvc_yaml(text)["train"]
    assert (stage.folder, stage.deps) == ("late", ("late/a.py", "b.py"))
    assert stage.params == (("late/params.yaml", "lr"),)


def test_a_stage_of_another_file_is_named_as_dvc_names_it() -> None:
    read = read_dvc_yaml(b"stages: {train: {cmd: make, outs: [m]}}", "services/late/dvc.yaml")
    stage = read["services/late/dvc.yaml:train"]
    assert (stage.folder, stage.outs) == ("services/late", ("services/late/m",))


@pytest.mark.parametrize("frozen", ["true", "false"])
def test_a_stage_may_be_frozen(frozen: str) -> None:
    read = read_dvc_yaml((STAGE % f"frozen: {frozen}").encode())
    assert read["train"].is_frozen is (frozen == "true")


@pytest.mark.parametrize("key", ["deps", "outs", "metrics", "plots", "params"])
@pytest.mark.parametrize("value", ["", "3", "foo.py", "[{}]", "[3]", "[[a]]", "[{3: 4}]", "['']"])
def test_what_is_no_list_of_paths_or_keys_is_refused_by_its_stage(key: str, value: str) -> None:
    with pytest.raises(DeclarationError, match=rf"dvc\.yaml: stage 'train': .*{key} is"):
        read_dvc_yaml((STAGE % f"{key}: {value}").encode())


@pytest.mark.parametrize("cmd", ["", "''", "' '", "3", "[]", "[make, 3]", "{a: b}"])
def test_a_command_that_is_none_is_refused(cmd: str) -> None:
    with pytest.raises(DeclarationError, match="stage 'train': cmd is a command"):
        read_dvc_yaml(f"stages: {{train: {{cmd: {cmd}}}}}".encode())


def test_a_name_or_key_that_is_a_number_is_refused() -> None:
    with pytest.raises(DeclarationError, match=r"stage 1: .* Put it in quotes"):
        read_dvc_yaml(b"stages: {1: {cmd: make}}")
    with pytest.raises(DeclarationError, match="unknown key 2 "):
        read_dvc_yaml((STAGE % "2: 3").encode())


@pytest.mark.parametrize(
    ("key", "near"), [("satges", "stages"), ("artifcats", "artifacts"), ("metric", "metrics")]
)
def test_an_unknown_key_at_the_top_is_refused_with_the_nearest_known_one(
    key: str, near: str
) -> None:
    text = f"{key}: {{}}\n" + ("" if key == "satges" else STAGE % "deps: []")
    with pytest.raises(DeclarationError) as caught:
        read_dvc_yaml(text.encode())
    assert str(caught.value).startswith(f"dvc.yaml: unknown key {key!r} (did you mean {near!r}?)")


def test_what_dvc_has_beside_stages_is_left_to_it() -> None:
    more = "params: [p.yaml]\nmetrics: [m.json]\nplots: []\nartifacts: {}\ndatasets: []\n"
    assert list(read_dvc_yaml((more + STAGE % "deps: []").encode())) == ["train"]
