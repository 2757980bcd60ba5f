"""What `dvc.yaml` may say, and how it is refused what it may not."""

from __future__ import annotations

import pytest

from mergeline.core.declare.stages import read_dvc_yaml
from mergeline.errors import DeclarationError

STAGE = "stages: {train: {cmd: make, %s}}"


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
    assert not stage.templated


@pytest.mark.parametrize(
    "text",
    ["vars: [{lr: 1}]\n" + STAGE % "deps: []", "vars: [other.yaml]\n" + STAGE % "deps: []",
     STAGE % "vars: [{lr: 1}]"],
)  # fmt: skip
def test_vars_which_no_fingerprint_sees_are_refused(text: str) -> None:
    with pytest.raises(DeclarationError, match=r"vars are not supported.*Move them to params"):
        read_dvc_yaml(text.encode())


@pytest.mark.parametrize("key", ["cmd: 'make ${lr}'", "cmd: make, outs: ['${lr}/model']"])
def test_a_template_anywhere_in_a_stage_is_seen(key: str) -> None:
    assert read_dvc_yaml(f"stages: {{train: {{{key}}}}}".encode())["train"].templated


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
