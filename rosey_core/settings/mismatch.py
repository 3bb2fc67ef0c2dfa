"""Everything in which data does not fit a Struct, all at once and with whole paths.

`msgspec` stops at the first and calls a dictionary's key `[...]`. Pure; what is said about it is in `problems`.
"""

from __future__ import annotations

import enum
import math
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from rosey_core.settings.problems import Problem, missing_key, name, nearest, refusal, unknown_key
from rosey_core.settings.toml_positions import Path

_LISTS = (list, tuple, set, frozenset)


def mismatches(value: Any, kind: Any, path: Path = ()) -> Iterator[Problem]:
    """What is wrong with `value` as a `kind` (a Struct type, or the type of a field); nothing if it converts."""
    kinds = _alternatives(kind)
    structs = [k for k in kinds if isinstance(k, type) and issubclass(k, msgspec.Struct)]
    table = next((k for k in kinds if get_origin(k) is dict), None)
    items = next((get_args(k)[0] for k in kinds if get_origin(k) in _LISTS and set(get_args(k)[1:]) <= {...}), None)
    if isinstance(value, dict) and len(structs) == 1 and structs[0].__struct_config__.tag is None:
        yield from _in_struct(value, structs[0], path)
    elif isinstance(value, list) and items is not None:
        for index, item in enumerate(value):
            yield from mismatches(item, items, (*path, index))
    elif isinstance(value, dict) and table:
        for key, item in value.items():
            yield from mismatches(item, get_args(table)[1], (*path, key))
    elif isinstance(value, float) and not math.isfinite(value) and float in kinds:
        yield Problem(path, f"{name(path)} should be a finite number")
    elif kinds != [Any]:
        yield from _in_value(value, kind, path)


def _in_struct(value: dict[str, Any], struct: type[msgspec.Struct], path: Path) -> Iterator[Problem]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    for key, item in value.items():
        if key in fields:
            yield from mismatches(item, fields[key].type, (*path, key))
        elif struct.__struct_config__.forbid_unknown_fields:
            yield unknown_key((*path, key), fields)
    misspelt = {nearest(key, fields) for key in value.keys() - fields.keys()}
    for key, field in fields.items():
        if field.required and key not in value and key not in misspelt:
            yield missing_key(path, key)


def _in_value(value: Any, kind: Any, path: Path) -> Iterator[Problem]:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        yield refusal(path, str(error), value, [c for k in _alternatives(kind) for c in _choices(k)])


def _choices(kind: Any) -> list[Any]:
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return [member.value for member in kind]
    return list(get_args(kind)) if get_origin(kind) is Literal else []


def _alternatives(kind: Any) -> list[Any]:
    """The members of a union, or the type itself; without `None` and without what `Annotated` adds."""
    if get_origin(kind) is Annotated:
        return _alternatives(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return [one for member in get_args(kind) if member is not type(None) for one in _alternatives(member)]
    return [kind]
