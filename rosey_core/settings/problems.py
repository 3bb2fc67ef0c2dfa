"""What is wrong with a configuration, told to people: where, the line itself, a caret, the nearest key.

What counts as wrong is decided elsewhere (`mismatch`, `checks`, a plugin's own settings). A line that may
hold a secret is never shown.
"""

from __future__ import annotations

import contextlib
import json
import re
import tomllib
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from rosey_core.settings.layers import SOURCES, Layer, dotted, get, parse_dotted
from rosey_core.settings.toml_positions import Lines, Mark, Path, Place, normalise

if TYPE_CHECKING:
    from rosey_core.config import Loaded

WIDTH = 120
"""Of a longer line, only so many characters around the caret are shown."""

_SECRET_WORD = re.compile(r"pass|secret|token|credential|api_?key|private|\bpwd?\b", re.IGNORECASE)
_SECRET_NAMES = ("password", "room_password", "passphrase", "secret", "token", "credentials", "api_key")
_LOGIN_IN_URL = re.compile(r"://[^/\s\"']*@")
_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_HINTS = (
    (r"invalid value", 'a text stands in quotes, as in "lobby"; the rest is numbers, true, false, lists, tables'),
    (r"illegal character '\\n'", "a text has to end on its line, with the quote that it began with"),
    (r"expected \"'\"", "a text above has no closing quote"),
    (
        r"invalid hex value|unescaped '\\' in a string",
        "in double quotes a \\ is the begin of an escape; put such a path in single quotes",
    ),
    (r"cannot overwrite a value", "this key stands there twice"),
    (r"cannot declare .* twice", "this table stands there twice; write its keys below one of them"),
    (r"unclosed array", "a comma or the closing ] is missing before this"),
    (r"unclosed inline table", "a comma or the closing } is missing before this"),
)
"""What `tomllib` says of common slips, and what it means."""
_AT = re.compile(r" - at `(?:key in )?\$(.*)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_MISSING = re.compile(r"Object missing required field `(.*)`")
_EXPECTED = re.compile(r"Expected `([^`]+)`( [^`,]+)?(?:, got `([^`]+)`)?")
_ENUM = re.compile(r"Invalid (?:enum )?value (.+)")
_ITEM = re.compile(r"[^\s,\[\]\"']+")
_LIMITS = {">=": "of at least", "<=": "of at most", ">": "above", "<": "below"}
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "datetime": "a date and time",
    "date": "a date",
    "time": "a time of day",
}


class Problem(NamedTuple):
    """One thing that is wrong.

    Attributes:
        path: which key, by TOML's own nesting; where it is not in any source, its table is pointed at.
        message: a sentence without the place.
        word: what was written, if there may be a nearest word for it among `known`.
        known: what could have been meant.
        on_key: the caret goes under the key, not under the value.
        hidden: the line must not be shown.
        example: what could be written instead, as TOML.
    """

    path: Path
    message: str
    word: str = ""
    known: tuple[str, ...] = ()
    on_key: bool = False
    hidden: bool = False
    example: str = ""


_TOP = {"version": ": write version = 1 at its top", "channels": ": write [channels.cytube] with a room below it"}


def unknown_key(path: Path, known: Iterable[str] = (), hint: str = "") -> Problem:
    """A key that means nothing where it stands. `hint` is told if no known key is near, else which there are."""
    key, known = str(path[-1]), tuple(known)
    message = f'unknown key "{_printable(key)}" {place_name(path[:-1])}'
    hint = hint or (f"the keys there are {', '.join(known)}" if known else "")
    if hint and not nearest(key, known):
        message += f"; {hint}"
    return Problem(path, message, key, known, on_key=True)


def missing_key(table: Path, key: str) -> Problem:
    """A key that a table needs and has not."""
    if not table:
        return Problem(table, f'the file needs "{key}"{_TOP.get(key, "")}', on_key=True)
    return Problem(table, f'{_table(table)} needs "{key}"', on_key=True)


def wrong_value(path: Path, message: str, value: object = None, choices: Sequence[object] = ()) -> Problem:
    """A value that does not fit, from the words of `msgspec`'s validation, without the path in them."""
    texts = tuple(choice for choice in choices if isinstance(choice, str))
    of = " or ".join(f'"{choice}"' if isinstance(choice, str) else str(choice) for choice in choices)
    text = f": {message}"
    word = value if isinstance(value, str) else ""
    if match := _EXPECTED.fullmatch(message):
        kinds, limit, got = match.groups()
        instead = "a number with a fraction" if got == "float" else _kind(got or "")
        wanted = of if texts and kinds == "str" else _kind(kinds)
        text = f" should be {wanted}{_limit(limit or '')}{f', not {instead}' if got else ''}"
    elif match := _ENUM.fullmatch(message):
        word = word or match[1].strip("'")
        shown = match[1].replace("'", '"')
        text = f" should be {of}, not {shown}" if of else f" can't be {shown}"
        if any(is_secret_name(key) for key in path):
            text = " has a value that is not allowed"
    example = "" if any(map(is_secret_name, path)) else _example(text, value)
    return Problem(path, f"{name(path)}{text}", word if texts else "", texts, example=example)


def _example(text: str, value: object) -> str:
    """What was most likely meant, as TOML: a list without brackets, a number that is a name."""
    if isinstance(value, str) and text == " should be a list, not text":
        return f"[{', '.join(json.dumps(item, ensure_ascii=False) for item in _ITEM.findall(value))}]"
    if isinstance(value, int | float) and text.startswith(" should be text, not "):
        return f'"{str(value).lower()}"'
    return ""


def refusal(path: Path, text: str, value: object = None, choices: Sequence[object] = ()) -> Problem:
    """What `msgspec` refused, from its whole text.

    Args:
        path: where `value` stands.
        text: its error; with its `` - at `$.caps` `` the path in it counts from `path`.
        value: what was converted.
        choices: the values that could stand there.
    """
    if match := _AT.search(text):
        text = text[: match.start()]
        with contextlib.suppress(ValueError):  # a field may be renamed to what is no bare key
            below = parse_dotted("$" + match[1].partition("[...]")[0])
            path, value = (*path, *below), get(value, below, None)
    if match := _UNKNOWN.fullmatch(text):
        return unknown_key((*path, match[1]))
    if match := _MISSING.fullmatch(text):
        return missing_key(path, match[1])
    return wrong_value(path, text, value, choices)


def is_inherited(problem: Problem, layers: Sequence[Layer]) -> bool:
    """Whether a channel has what is wrong from the plugin's own table, of which the same is told."""
    everywhere = (*problem.path[:2], *problem.path[4:])
    return problem.path[2:3] == ("channels",) and not _held(problem.path, layers) and _held(everywhere, layers)


def report(problems: Iterable[Problem], layers: Sequence[Layer]) -> str:
    """All problems, in the order of the layers and of the lines in them."""
    unique = {(p.path, p.message): p for p in problems}.values()
    return "\n".join(render(p, layers) for p in sorted(unique, key=lambda p: _order(p, layers)))


def render(problem: Problem, layers: Sequence[Layer]) -> str:
    """One problem as text, without a line end."""
    text = problem.message
    if near := nearest(problem.word, problem.known):
        text += f'; did you mean "{near}"?'
    layer, path = _source(problem.path, layers)
    place = layer.places.get(path)
    if problem.example:
        quote = "'" if place is None else ""  # a shell takes the others away
        text += f"; write it as {quote}{problem.example}{quote}"
    if place is None:
        return f"{layer.name}: {text}"
    mark = _mark(problem, path, place)
    lines = layer.lines
    line, column = lines.locate(mark.start)
    text = f"{layer.name}:{line}:{column}: {text}"
    if problem.hidden or is_secret_name(near) or _holds_secret(layer, lines.extent(line)):
        return text
    return f"{text}\n{excerpt(lines.text(line), line, column, mark.end - mark.start)}"


def tell(loaded: Loaded, path: Path, message: str) -> str:
    """What only a start finds, with the place of the key that is the cause; of a key nobody set, the file alone."""
    return render(Problem(path, message), loaded.layers) if loaded.layers else message


def where(path: Path, layers: Sequence[Layer]) -> str:
    """The source that set `path` last, with line and column where it is a file."""
    layer, path = _source(path, layers)
    place = layer.places.get(path)
    return ":".join(map(str, (layer.name, *layer.lines.locate(place.key.start)))) if place else layer.name


def syntax(name: str, text: str, error: Exception) -> str:
    """What to say about a text that is no TOML, from `tomllib`'s error."""
    message = str(error)
    lines = Lines(text)
    line, column = lines.locate(len(normalise(text)))
    if match := _TOML_PLACE.search(message):
        message = message[: match.start()]
        if match[1]:
            line, column = int(match[1]), int(match[2])
    elif isinstance(error, RecursionError):
        return f"{name}: is nested too deeply"
    else:  # a number with thousands of digits: Python says so, and not where
        return f"{name}: is no TOML: {message}"
    message = message[:1].lower() + message[1:]
    hints = (f": {hint}" for pattern, hint in _HINTS if re.fullmatch(pattern, message))
    message = f"{name}:{line}:{column}: is no TOML: {message}{next(hints, '')}"
    if any(is_secret_name(word) for word in re.findall(r"[\w-]+", _statement(lines, line))):
        return message
    return f"{message}\n{excerpt(lines.text(line), line, column, 1)}"


def excerpt(text: str, line: int, column: int, width: int) -> str:
    """A line with its number, and carets under `width` characters from `column` on (both from 1)."""
    start = max(0, column - WIDTH // 2) if len(text) > WIDTH else 0
    shown = "".join(c if c.isprintable() or c == "\t" else "?" for c in text[start : start + WIDTH])
    before = "".join("\t" if c == "\t" else " " for c in shown[: column - 1 - start])
    carets = "^" * max(1, min(width, len(shown) - len(before)))
    return f"  {line} | {shown}\n  {' ' * len(str(line))} | {before}{carets}"


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that `word` is most like, or an empty text."""
    return next(iter(get_close_matches(word.lower(), list(known), 1)), "") if word else ""


def is_secret_name(key: str | int) -> bool:
    """Whether what stands under a key of this name should be kept from people's eyes; misspelt names count."""
    return isinstance(key, str) and bool(
        _SECRET_WORD.search(key) or get_close_matches(key.lower(), _SECRET_NAMES, 1, cutoff=0.75)
    )


def place_name(table: Path) -> str:
    """`in [channels.cytube]`, or `at the top of the file`."""
    return f"in {_table(table)}" if table else "at the top level"


def name(path: Path) -> str:
    """A key as the subject of a sentence: `"grant", item 2,`."""
    keys = [key for key in path if isinstance(key, str)]
    item = f", item {path[-1] + 1}," if path and isinstance(path[-1], int) else ""
    return f'"{_printable(keys[-1])}"{item}' if keys else "the file"


def _table(path: Path) -> str:
    return _printable(f"[{dotted(path)}]")


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def _kind(names: str) -> str:
    return " or ".join(_WORDS.get(n, n) for n in names.split(" | ") if n != "null") or "nothing"


def _limit(text: str) -> str:
    sign, _, number = text.strip().partition(" ")
    return f" {_LIMITS[sign]} {number.removesuffix('.0')}" if sign in _LIMITS else text


def _held(path: Path, layers: Sequence[Layer]) -> bool:
    return any(path in layer for layer in layers)


def _source(path: Path, layers: Sequence[Layer]) -> tuple[Layer, Path]:
    """The layer that set a value last, or first named a table; and the nearest path that is in it."""
    while path:
        holding = [layer for layer in layers if path in layer]
        if holding:
            last = holding[-1]
            return (holding[0] if isinstance(last.get(path), dict) else last), path
        path = path[:-1]
    return layers[0], ()


def _mark(problem: Problem, path: Path, place: Place) -> Mark:
    return place.key if problem.on_key or path != problem.path else place.value


def _order(problem: Problem, layers: Sequence[Layer]) -> tuple[int, int]:
    layer, path = _source(problem.path, layers)
    place = layer.places.get(path)
    return next(i for i, one in enumerate(layers) if one is layer), place.key.start if place else -1


def _holds_secret(layer: Layer, line: Mark) -> bool:
    """Whether a value that may be secret stands on a line."""
    for path, place in layer.places.items():
        if place.value.start <= line.end and line.start <= place.value.end:
            value = layer.get(path)
            secret = path[-1] not in SOURCES and any(is_secret_name(key) for key in path)
            if not isinstance(value, dict | list) and (secret or _LOGIN_IN_URL.search(str(value))):
                return True
    return False


def _statement(lines: Lines, line: int) -> str:
    """The statement that a line belongs to, up to that line: all that does not parse without it."""
    texts = [lines.text(n) for n in range(1, line + 1)]
    for first in range(line - 1, -1, -1):
        try:
            tomllib.loads("\n".join(texts[:first]))
        except (ValueError, RecursionError):
            continue
        return "\n".join(texts[first:])
    return "\n".join(texts)
