"""Queries: requests that a plugin answers, with arguments typed by the method's own annotations."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from rosey_core.errors import PluginError
from rosey_core.manifest import QUERY, marked


class Query(msgspec.Struct, frozen=True):
    """A query as it can be called: the method and the types of its arguments (those without default in `needed`)."""

    name: str
    function: Callable[..., Any]
    types: dict[str, Any]
    needed: frozenset[str]

    def arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments, converted to what the method wants.

        Raises:
            PluginError: for an unknown, missing or mistyped argument, in a sentence.
        """
        if unknown := sorted(given.keys() - self.types.keys()):
            takes = ", ".join(self.types) or "no arguments"
            raise PluginError(f"{self.name} has no argument {unknown[0]}; it takes {takes}")
        if missing := sorted(self.needed - given.keys()):
            raise PluginError(f"{self.name} needs the argument {missing[0]}")
        converted = {}
        for key, value in given.items():
            try:
                converted[key] = msgspec.convert(value, self.types[key])
            except msgspec.ValidationError as error:
                raise PluginError(f"{self.name}: the argument {key} is wrong: {error}") from error
        return converted


def queries_of(plugin: object) -> dict[str, Query]:
    """The queries of a plugin instance, by name."""
    found = {}
    for method_name, name in marked(type(plugin), QUERY).items():
        method = getattr(plugin, method_name)
        parameters = list(inspect.signature(method, eval_str=True).parameters.values())[1:]
        found[name] = Query(
            name,
            method,
            {p.name: Any if p.annotation is p.empty else p.annotation for p in parameters},
            frozenset(p.name for p in parameters if p.default is p.empty),
        )
    return found
