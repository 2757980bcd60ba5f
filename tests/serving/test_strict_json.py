"""JSON with limits that hold while it is read; otherwise as Python's own reader has it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergeline.serving.strict_json import (
    DEPTH_LIMIT,
    KEY_LIMIT,
    JSONError,
    RefusedJSONError,
    read_json,
)

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(VALUES, st.booleans(), st.sampled_from([None, 1]))
def test_it_reads_what_python_wrote(value: Any, ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    try:
        body = text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, as it is
        return
    assert repr(read_json(body)) == repr(value)


@given(st.text(alphabet='{}[],:"\\0123456789.eE+-truefalsnN \n\t') | st.binary())
def test_what_python_refuses_it_refuses(noise: str | bytes) -> None:
    body = noise.encode() if isinstance(noise, str) else noise
    try:
        said: Any = json.loads(body, parse_constant=refuse, object_pairs_hook=refuse_twice)
    except (ValueError, RecursionError):
        with pytest.raises(JSONError):
            read_json(body)
    else:
        if not body.decode("utf-8", "replace").startswith("\ufeff"):
            assert repr(read_json(body)) == repr(said)


def refuse(_: str) -> None:
    raise ValueError


def refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError
    return dict(pairs)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"a": 1, "a": 2}', "'a' appears more than once"),
        (b'{"a": 1, "\\u0061": 2}', "'a' appears more than once"),
        (b"[" * (DEPTH_LIMIT + 1), "within each other"),
        (json.dumps(dict.fromkeys(map(str, range(KEY_LIMIT + 1)))).encode(), "keys in one object"),
        (b"[" + b"1," * 2_000_001, "more than 2,000,000 values"),
    ],
)
def test_limits_and_repetitions_are_refused(body: bytes, said: str) -> None:
    with pytest.raises(RefusedJSONError, match=said):
        read_json(body)


def test_nan_stands_for_a_missing_number_where_that_is_asked_for() -> None:
    assert read_json(b"[NaN, 1]", nan=True) == [None, 1]
    for text in (b"NaN", b"[Infinity]", b'{"a": -Infinity}'):
        with pytest.raises(JSONError, match="is not a JSON number"):
            read_json(text)
    with pytest.raises(JSONError, match="Infinity is not"):
        read_json(b"[-Infinity]", nan=True)


def test_an_exponent_beyond_all_is_infinite_as_python_has_it() -> None:
    assert read_json(b"1e999") == math.inf
