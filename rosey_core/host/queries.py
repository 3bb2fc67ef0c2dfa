"""Queries: requests that a plugin answers, with arguments typed by the method's own annotations."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from rosey_core.errors import ManifestError, PluginError
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
    """The queries of a plugin instance, by name. Raises `ManifestError` for arguments that can't be understood."""
    found = {}
    for method_name, name in marked(type(plugin), QUERY).items():
        types, needed = arguments_of(getattr(type(plugin), method_name))
        found[name] = Query(name, getattr(plugin, method_name), types, needed)
    return found


def arguments_of(method: Callable[..., Any]) -> tuple[dict[str, Any], frozenset[str]]:
    """The types of a query's arguments, and which of them must be given.

    Args:
        method: as it stands in the class; `self` and `ctx` are no arguments.

    Raises:
        ManifestError: a type is not there when the plugin runs.
    """
    parameters = list(inspect.signature(method).parameters.values())[2:]
    names = getattr(inspect.unwrap(method), "__globals__", {})
    types: dict[str, Any] = {}
    for parameter in parameters:
        kind = parameter.annotation
        if isinstance(kind, str):  # with `from __future__ import annotations` all are
            try:
                kind = eval(kind, names)  # noqa: S307  the plugin's own code
            except Exception as error:
                raise ManifestError(
                    f"the query {method.__name__}: the type of its argument {parameter.name} is not there when it "
                    f"runs ({error}); import it outside of TYPE_CHECKING"
                ) from None
        types[parameter.name] = Any if kind is parameter.empty else kind
    return types, frozenset(p.name for p in parameters if p.default is p.empty)
