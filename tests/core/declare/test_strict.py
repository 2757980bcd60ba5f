"""YAML that cannot be read is refused in one line."""

from __future__ import annotations

import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from mergeline.core.declare.strict import parse_yaml
from mergeline.errors import DeclarationError


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: " + "[" * 3_000 + "]" * 3_000, "nested too deep"),
        ("a: " + "{b: " * 400 + "1" + "}" * 400, "nested too deep"),
        ("a: &x [*x]", "an anchor contains itself"),
        ("a: &x {b: {c: *x}}", "an anchor contains itself"),
        ("a: !!timestamp abc", "!! tag"),
        ("a: !!bool maybe", "!! tag"),
        ("a: !!int ''", "!! tag"),
        (r'a: "\ud800"', "half a character"),
        (r'"\udfff": 1', "half a character"),
        ("a: b\0", "unacceptable character"),
        ("a: [", "expected"),
    ],
)
def test_what_is_no_readable_yaml_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        parse_yaml(text, where="params.yaml")
    line = str(caught.value)
    assert line.startswith("params.yaml")
    assert said in line
    assert line.endswith("Correct the file.")
    assert "\n" not in line
    line.encode()


def test_an_anchor_used_twice_is_no_circle() -> None:
    assert parse_yaml("a: &x [1]\nb: [*x, *x]", where="here") == {"a": [1], "b": [[1], [1]]}


@given(st.text("01278_.eE+-xobnNfFtTrRuUaAlLsSyYiI:", min_size=1, max_size=6))
@example("012")
@example("1e3")
@example("no")
@example("1:30")
@example("+_2")
def test_a_plain_word_is_read_as_dvc_reads_it(word: str) -> None:
    text = f"key: {word}"
    try:
        expected = YAML(typ="safe").load(io.StringIO(text))
    except (YAMLError, ValueError):
        return
    if isinstance(expected, dict) and all(isinstance(key, str) for key in expected):
        assert repr(parse_yaml(text, where="params.yaml")) == repr(expected)
