"""Everything in which data does not fit a Struct, all at once and with whole paths.

`msgspec` stops at the first and calls a dictionary's key `[...]`. Pure; what is said about it is in `problems`.
"""

from __future__ import annotations

import math
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from rosey_core.settings.layers import parse_dotted
from rosey_core.settings.problems import Problem, missing_key, name, unknown_key, wrong_value
from rosey_core.settings.toml_positions import Path

_AT = " - at `$"


def mismatches(value: Any, kind: Any, path: Path = ()) -> Iterator[Problem]:
    """What is wrong with `value` as a `kind` (a Struct type, or the type of a field); nothing if it converts."""
    kinds = _alternatives(kind)
    struct = next((k for k in kinds if isinstance(k, type) and issubclass(k, msgspec.Struct)), None)
    table = next((k for k in kinds if get_origin(k) is dict), None)
    if isinstance(value, dict) and struct:
        yield from _in_struct(value, struct, path)
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
    for key, field in fields.items():
        if field.required and key not in value:
            yield missing_key(path, key)


def _in_value(value: Any, kind: Any, path: Path) -> Iterator[Problem]:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        message, _, at = str(error).partition(_AT)
        if at and "[...]" not in at:
            below = parse_dotted("$" + at.removesuffix("`"))
            path = (*path, *below)
            for step in below:
                value = value[step]
        choices = [c for k in _alternatives(kind) if get_origin(k) is Literal for c in get_args(k)]
        yield wrong_value(path, message, value, choices)


def _alternatives(kind: Any) -> list[Any]:
    """The members of a union, or the type itself; without `None` and without what `Annotated` adds."""
    if get_origin(kind) is Annotated:
        return _alternatives(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return [one for member in get_args(kind) if member is not type(None) for one in _alternatives(member)]
    return [kind]
