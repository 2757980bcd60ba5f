"""Reports with a stranger's words in every place that holds words."""

from __future__ import annotations

import collections.abc
import dataclasses
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def poisoned(value: T, text: Callable[[], str]) -> T:
    """The same dataclass with every free string replaced, at any depth."""
    made: T = _poisoned(value, type(value), text)
    return made


def _poisoned(value: Any, hint: Any, text: Callable[[], str]) -> Any:
    if value is None:
        return None
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in {typing.Union, types.UnionType}:
        hint = next(part for part in parts if part is not type(None))
        origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if hint is str:
        return text()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        hints = typing.get_type_hints(type(value))
        return dataclasses.replace(
            value,
            **{
                field.name: _poisoned(getattr(value, field.name), hints[field.name], text)
                for field in dataclasses.fields(value)
            },
        )
    if origin is tuple:
        inner = [parts[0]] * len(value) if parts[-1] is Ellipsis else parts
        return tuple(_poisoned(one, kind, text) for one, kind in zip(value, inner, strict=True))
    if origin in {dict, collections.abc.Mapping}:
        return {key: _poisoned(one, parts[1], text) for key, one in value.items()}
    return value
