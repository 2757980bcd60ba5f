"""Read YAML and JSON into frozen dataclasses, strictly.

An unknown key is an error that names the nearest known one; a wrong type is an error that names
the place. pydantic does the checking; dataclasses stay plain.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import functools
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, ClassVar, TypeVar, get_args, get_type_hints

import yaml

from mergeline.errors import DeclarationError

T = TypeVar("T")
CORRECT = "Correct it and run again"


_BOOL, _INT, _FLOAT = (f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float"))
# What a plain word is read as, by its first characters: YAML 1.2 as DVC reads it, by ruamel.yaml.
# PyYAML's own are of YAML 1.1, for which 012 is ten and `no` is false.
_PLAIN_WORDS = (
    (_BOOL, "tTfF", re.compile(r"true|True|TRUE|false|False|FALSE")),
    (_FLOAT, "-+0123456789.", re.compile(
        r"[-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
        r"|[-+]?\.[0-9_]+([eE][-+][0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
    )),
    (_INT, "-+0123456789", re.compile(
        r"[-+]?0b[0-1_]+|[-+]?0o[0-7_]+|[-+]?_*[0-9][0-9_]*|[-+]?0x[0-9a-fA-F_]+"
    )),
)  # fmt: skip


def _plain_words() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for character, others in yaml.SafeLoader.yaml_implicit_resolvers.items():
        resolvers[character] = [one for one in others if one[0] not in {_BOOL, _INT, _FLOAT}]
    for tag, characters, words in reversed(_PLAIN_WORDS):
        for character in characters:
            whole = re.compile(rf"(?:{words.pattern})\Z")
            resolvers.setdefault(character, []).insert(0, (tag, whole))
    return resolvers


def _whole_number(loader: yaml.constructor.SafeConstructor, node: yaml.ScalarNode) -> int:
    digits = str(loader.construct_scalar(node)).replace("_", "").lower()
    is_based = digits.lstrip("-+")[:2] in {"0b", "0o", "0x"}
    try:
        return int(digits, 0 if is_based else 10)
    except ValueError as error:  # only with a !! tag
        raise TypeError(digits) from error


class _Reading(yaml.constructor.SafeConstructor):
    """YAML 1.2; refuses a key given twice, of which YAML would keep the last silently."""

    yaml_implicit_resolvers = _plain_words()
    yaml_constructors: ClassVar = {**yaml.SafeLoader.yaml_constructors, _INT: _whole_number}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | bool | None):
                continue
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


class _Loader(_Reading, yaml.SafeLoader):
    """PyYAML's own, whose words on what is wrong people read."""


if yaml.__with_libyaml__:

    class _QuickLoader(_Reading, yaml.composer.Composer, yaml.CSafeLoader):
        """With libyaml's parser; its composer would end the process where YAML nests too deep."""

        def __init__(self, stream: bytes | str) -> None:
            yaml.CSafeLoader.__init__(self, stream)
            yaml.composer.Composer.__init__(self)


def parse_yaml(text: bytes | str, *, where: str) -> dict[str, Any]:
    """The mapping that a YAML document holds (an empty document is an empty mapping).

    Raises:
        DeclarationError: it is not YAML, not a mapping with string keys, or one that no other file
            can hold: it contains itself, or half a character.
    """
    try:
        value = _load(text)
        _refuse_unwritable(value, ())
    except (*_WRONG, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise DeclarationError(
            f"not readable as YAML: {_what_is_wrong(error)}",
            where=f"{where}{line}",
            next_step="Correct the file",
        ) from error
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise DeclarationError(
            "expected a mapping with text keys", where=where, next_step="Correct the file"
        )
    return value


def line_of(text: bytes | str, place: str) -> int:
    """The line of a YAML document, from 1, on which a place such as `columns.x.type` stands.

    Of a place that is not there, the line of the deepest key on the way to it.
    """
    line, node = 1, None
    with contextlib.suppress(*_WRONG, RecursionError):
        node = yaml.compose(text, Loader=_Loader)
    while isinstance(node, yaml.MappingNode):
        keys = [str(key.value) for key, _ in node.value]
        on_the_way = [key for key in keys if f"{place}.".startswith(f"{key}.")]
        if not on_the_way:
            break
        name = max(on_the_way, key=len)  # a column's name may have points
        key, node = node.value[keys.index(name)]
        line, place = key.start_mark.line + 1, place[len(name) + 1 :]
    return line


# Where libyaml takes a text that PyYAML refuses or reads otherwise.
_READ_OTHERWISE = re.compile(r"[\t\ufeff!]|\?(?!\n[^\s,\]}]|\n?\Z)|[|>][-+0-9]*#")


def _load(text: bytes | str) -> Any:  # noqa: ANN401 - parsed YAML
    """The document, read quickly; whatever is wrong with it PyYAML's own loader says."""
    with contextlib.suppress(*_WRONG):
        decoded = text.decode() if isinstance(text, bytes) else text
        if yaml.__with_libyaml__ and not _READ_OTHERWISE.search(decoded):
            return yaml.load(decoded, Loader=_QuickLoader)  # noqa: S506 - constructs what is safe
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - derives from SafeLoader


# The last three are PyYAML's own slips over a tag and a value that do not go together.
_WRONG = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError)
_DEEPEST = 100  # what is made of the document is walked by recursion too


def _what_is_wrong(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deep"
    if isinstance(error, yaml.YAMLError | ValueError):
        return getattr(error, "problem", None) or " ".join(str(error).split())
    return "a value is not what its !! tag says"


def _refuse_unwritable(value: object, around: tuple[int, ...]) -> None:
    """Raise for half a character, or what goes too deep or is its own part (`around`: by id)."""
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise ValueError(f"{value!a} holds half a character")
    elif isinstance(value, dict | list | tuple | set):
        if id(value) in around:
            raise ValueError("an anchor contains itself")
        if len(around) >= _DEEPEST:
            raise RecursionError
        inner = [*value, *value.values()] if isinstance(value, dict) else value
        for part in inner:
            _refuse_unwritable(part, (*around, id(value)))


def did_you_mean(word: str, known: list[str]) -> str:
    """`(did you mean 'x'?)` for the nearest known word, else the known ones."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"


def refuse_unknown_keys(
    mapping: Iterable[object], known: Collection[str], *, where: str, part: str = ""
) -> None:
    """Refuse a key that is not known; `part` of the file, e.g. `stage 'train': `, comes before it.

    Raises:
        DeclarationError: there is one; the nearest known key is named.
    """
    for key in mapping:
        if key not in known:
            near = did_you_mean(str(key), sorted(known))
            raise DeclarationError(
                f"{part}unknown key {key!r} ({near})", where=where, next_step=CORRECT
            )


def read(cls: type[T], value: Mapping[str, Any], *, where: str) -> T:
    """Make the frozen dataclass `cls` (nested ones too) of a parsed mapping.

    Raises:
        DeclarationError: a key is unknown or missing, or a value has the wrong type.
    """
    import pydantic

    try:
        made: T = _adapter(cls).validate_python(dict(value))
    except pydantic.ValidationError as error:
        raise DeclarationError(_explain(error, cls), where=where, next_step=CORRECT) from error
    return made


def read_named(
    cls: type[T], name: Mapping[str, str], document: Mapping[str, Any], *, where: str
) -> T:
    """As `read`, of a file whose own name is the value of one key, e.g. `{"table": "flights"}`."""
    if given := name.keys() & document:
        raise DeclarationError(
            f"unknown key {given.pop()!r} (the file's name says it)", where=where
        )
    return read(cls, {**name, **document}, where=where)


def read_json(cls: type[T], text: bytes | str, *, where: str, former: Collection[str] = ()) -> T:
    """Make `cls` of a JSON document; as `read`, with JSON's own types only.

    Keys named in `former`, which older documents have, are left out.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise DeclarationError(
            f"not readable as JSON: {error}", where=where, next_step="Make it again"
        ) from error
    if not isinstance(value, dict):
        raise DeclarationError("expected a JSON object", where=where, next_step="Make it again")
    kept = {key: part for key, part in value.items() if key not in former}
    return read(cls, kept, where=where)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def write_json(value: object, *, indent: int | None = 2) -> str:
    """The dataclass as JSON; `read_json` reads it back. ValueError for NaN or infinity."""
    document = _adapter(type(value)).dump_python(value, mode="json")
    return json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False) + "\n"


def json_schema(cls: type[Any]) -> dict[str, Any]:
    """The JSON schema of what `write_json` makes of `cls`."""
    schema: dict[str, Any] = _adapter(cls).json_schema()
    return schema


def _new_adapter(cls: type[Any]) -> Any:  # noqa: ANN401 - pydantic.TypeAdapter, imported late
    """With pydantic's `extra="forbid"` on every dataclass reachable from the fields."""
    import pydantic

    for dataclass in reachable(cls):
        dataclass.__pydantic_config__ = {
            "extra": "forbid", "ser_json_inf_nan": "constants", "arbitrary_types_allowed": True,
        }  # fmt: skip
    return pydantic.TypeAdapter(cls)


# One takes tens of milliseconds to make. A class counts as hashable only to who sees it as Any.
_adapter: Callable[[Any], Any] = functools.cache(_new_adapter)


def reachable(cls: type[Any]) -> list[type[Any]]:
    """The dataclasses among `cls` and what its fields are made of."""
    found: list[type[Any]] = []
    waiting: list[Any] = [cls]
    while waiting:
        kind = waiting.pop()
        if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
            waiting += get_args(kind)
        elif kind not in found:
            found.append(kind)
            waiting += get_type_hints(kind).values()
    return found


def _explain(error: Any, cls: type[Any]) -> str:  # noqa: ANN401 - pydantic.ValidationError
    """The first problems in words; a did-you-mean for an unknown key."""
    known = sorted({f.name for kind in reachable(cls) for f in dataclasses.fields(kind)})
    lines = []
    for problem in error.errors()[:3]:
        place = [str(part) for part in problem["loc"] if _speaks(str(part))]
        if problem["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
            path = ".".join(place[:-1])
            at = f" in {path}" if path else ""
            lines.append(f"unknown key {place[-1]!r}{at} ({did_you_mean(place[-1], known)})")
        elif problem["type"] in {"missing", "missing_argument"}:
            lines.append(f"key {'.'.join(place)!r} is missing")
        else:
            lines.append(": ".join(filter(None, [".".join(place), problem["msg"]])))
    more = error.error_count() - 3
    return "; ".join(lines) + (f"; and {more} more" if more > 0 else "")


def _speaks(part: str) -> bool:
    """Whether a part of pydantic's location is the user's word, not a union's branch."""
    return not (part[:1].isupper() or "[" in part or part in {"float", "int", "str", "bool"})
