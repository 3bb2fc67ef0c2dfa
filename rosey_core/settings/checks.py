"""What rosey.toml has to obey beyond its types: names, addresses, grants, and keys that need each other.

The checks look at the merged tables, before they are Structs, and take nothing for granted: what has a wrong type
is `mismatch`'s business and is skipped here, so that one run tells everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import SplitResult, urlsplit

from rosey_core.actions import ACTION_FAMILIES
from rosey_core.grants import ALL_GRANTS, is_grant
from rosey_core.settings.layers import SOURCES, get
from rosey_core.settings.problems import Problem
from rosey_core.settings.toml_positions import Path
from rosey_core.subjects import CHANNEL_NAME, CORE, PLUGIN_NAME

BESIDE_PLUGINS = ("order", "on_silence")
"""The keys of `[plugins]` that are no plugins; in `Config` they are fields of their own."""

ROOM = re.compile(r"[\w-]{1,30}", re.ASCII)
STREAM_NAME = re.compile(r"[\w-]{1,30}", re.ASCII)
USER_NAME = re.compile(r"[\w-]{1,20}", re.ASCII)
PROXY_SCHEMES = ("socks5", "socks5h", "http")
NATS_SCHEMES = ("nats", "tls")
SECRET_KEYS = ("password", "room_password", "credentials", "nats_password")
"""The keys under which only a table says where the secret is; a bare text there is a secret in the file."""

_ALPHABET = "lower-case letters, digits, - and _, up to 30"


def checks(data: dict[str, Any]) -> Iterator[Problem]:
    """Everything that is wrong with the merged tables."""
    channels = _table(data, "channels")
    if data.get("channels") == {}:
        yield Problem((), 'there is no channel: add [channels.cytube] with room = "..."', on_key=True)
    rooms: dict[tuple[str, str, str], str] = {}
    for name, channel in _tables(data, "channels"):
        yield from _channel(name, channel)
        who = _same_bot(channel)
        if who and rooms.setdefault(who, name) != name:
            message = f"the same user in the same room as [channels.{rooms[who]}]: CyTube would throw one of them out"
            yield Problem(("channels", name), message, on_key=True)
    yield from _path(data, ("state_directory",))
    yield from _nats(_table(data, "nats"))
    yield from _nats_names(data)
    yield from _plugins(_table(data, "plugins"), tuple(channels))
    yield from _units(data)


def check_proxy(url: str) -> str:
    """What is wrong with the address of a proxy, or an empty text. It is never quoted: it may hold a password."""
    parts = _split(url)
    if parts is None or parts.scheme not in PROXY_SCHEMES or not parts.hostname:
        return '"proxy" should be socks5://HOST:PORT or http://HOST:PORT'
    return ""


def secret_check(path: Path, value: Any) -> Iterator[Problem]:
    """Whether a secret is a table with one source."""
    key = path[-1]
    if isinstance(value, str):
        message = (
            f'"{key}" should say where the secret is, not hold it: '
            f'{key} = {{ credential = "NAME" }} or {{ env = "NAME" }} or {{ file = "PATH" }}'
        )
        yield Problem(path, message, hidden=True)
    elif isinstance(value, dict):
        given = [source for source in value if source in SOURCES and value[source] != ""]
        if len(given) != 1 and value.keys() <= SOURCES:
            yield Problem(path, f'"{key}" needs exactly one of credential, env and file', on_key=True)
        yield from _path(value, (*path, "file"))
        if isinstance(value.get("credential"), str) and "/" in value["credential"]:
            yield Problem((*path, "credential"), '"credential" should be a name, not a path; for a path, use "file"')


def _channel(name: str, channel: dict[str, Any]) -> Iterator[Problem]:
    path: Path = ("channels", name)
    if not CHANNEL_NAME.fullmatch(name):
        yield Problem(path, f"a channel's name should be {_ALPHABET}", on_key=True)
    if name in ACTION_FAMILIES:
        message = f'a channel can\'t be named "{name}": the actions {name}.* have that name'
        yield Problem(path, message, on_key=True)
    room, user, prefix = (_text(channel, key) for key in ("room", "username", "prefix"))
    if room is not None and not ROOM.fullmatch(room):
        yield Problem(
            (*path, "room"), '"room" should be what follows /r/ in its address: 1 to 30 letters, digits, - and _'
        )
    if user and not USER_NAME.fullmatch(user):
        yield Problem((*path, "username"), '"username" should be 1 to 20 letters, digits, - and _')
    if "password" in channel and not channel.get("username"):
        yield Problem((*path, "password"), '"password" needs a "username" beside it', on_key=True)
    if prefix is not None and not (1 <= len(prefix) <= 3 and prefix.isprintable() and " " not in prefix):
        yield Problem((*path, "prefix"), '"prefix" should be one to three visible characters')
    elif prefix and prefix.startswith("/"):
        yield Problem((*path, "prefix"), '"prefix" can\'t begin with /: CyTube takes such lines for its own commands')
    yield from _server(channel, (*path, "server"))
    for key in ("password", "room_password"):
        yield from secret_check((*path, key), channel.get(key))
    proxy = channel.get("proxy")
    if isinstance(proxy, dict):
        yield from secret_check((*path, "proxy"), proxy)
    elif isinstance(proxy, str) and proxy:
        parts = _split(proxy)
        if parts and parts.password is not None:
            message = '"proxy" holds a password: write the whole address elsewhere and proxy = { env = "NAME" } here'
            yield Problem((*path, "proxy"), message, hidden=True)
        elif message := check_proxy(proxy):
            yield Problem((*path, "proxy"), message)


def _server(channel: dict[str, Any], path: Path) -> Iterator[Problem]:
    server = _text(channel, "server")
    if server is None:
        return
    parts = _split(server)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        yield Problem(path, '"server" should be the address of a CyTube site, such as https://cytu.be')
    elif "@" in parts.netloc:
        yield Problem(path, '"server" should have no user or password in it', hidden=True)
    elif parts.path.strip("/") or parts.query or parts.fragment:
        message = f'"server" should be the site alone: {parts.scheme}://{parts.netloc}'
        if parts.path.startswith("/r/"):
            message += f'; the room has a key of its own: room = "{parts.path[3:]}"'
        yield Problem(path, message)


def _same_bot(channel: dict[str, Any]) -> tuple[str, str, str] | None:
    server, room, user = (
        channel.get("server", "https://cytu.be"),
        channel.get("room"),
        channel.get("username"),
    )
    if isinstance(server, str) and isinstance(room, str) and isinstance(user, str) and user:
        return server.rstrip("/").lower(), room.lower(), user.lower()
    return None


def _nats(nats: dict[str, Any]) -> Iterator[Problem]:
    path: Path = ("nats",)
    external = nats.get("mode", "embedded") == "external"
    if external and not nats.get("url"):
        yield Problem((*path, "mode"), 'mode = "external" needs "url", such as url = "nats://127.0.0.1:4222"')
    if not external:
        for key in ("url", "user", "password", "credentials", "ca"):
            if nats.get(key):
                message = f'"{key}" is for mode = "external"; the embedded server needs none'
                yield Problem((*path, key), message, on_key=True, hidden=True)
    for key in ("password", "credentials"):
        yield from secret_check((*path, key), nats.get(key))
    for key in ("server", "ca"):
        yield from _path(nats, (*path, key))
    url, listen = _text(nats, "url"), _text(nats, "listen")
    if url:
        parts = _split(url)
        if parts is None or parts.scheme not in NATS_SCHEMES or not parts.hostname:
            yield Problem((*path, "url"), '"url" should be nats://HOST:PORT or tls://HOST:PORT')
        elif "@" in parts.netloc:
            message = '"url" should have no user or password in it: they have the keys "user" and "password"'
            yield Problem((*path, "url"), message, hidden=True)
        elif parts.scheme != "tls" and _text(nats, "ca"):
            yield Problem((*path, "ca"), f'"ca" is for TLS: write url = "tls://{parts.netloc}"')
    if listen is not None:
        parts = _split(f"nats://{listen}")
        if parts is None or not parts.hostname or parts.port is None or parts.path:
            yield Problem(
                (*path, "listen"), '"listen" should be HOST:PORT, such as 127.0.0.1:4222; port 0 takes a free one'
            )
    stream = _table(nats, "stream")
    kept = _text(stream, "name")
    if kept is not None and not STREAM_NAME.fullmatch(kept):
        yield Problem((*path, "stream", "name"), '"name" should be 1 to 30 letters, digits, - and _')
    for name, user in _tables(nats, "users"):
        user_path = (*path, "users", name)
        if not CHANNEL_NAME.fullmatch(name):
            yield Problem(user_path, f"a NATS user's name should be {_ALPHABET}", on_key=True)
        yield from secret_check((*user_path, "password"), user.get("password"))
        yield from _grants(user, user_path)
        if user.get("stream") is True and "stream" not in nats:
            message = "there is no stream to read: add [nats.stream]"
            yield Problem((*user_path, "stream"), message)
        elif user.get("stream") is True and user.get("grant"):
            message = 'who reads the stream may do nothing else: give "grant" to another user'
            yield Problem((*user_path, "grant"), message, on_key=True)


def _nats_names(data: dict[str, Any]) -> Iterator[Problem]:
    """A user of NATS is the daemon, a client of the owner's, or a plugin: two of a name could not be told apart."""
    daemon = {CORE} | {name for name in (_text(_table(data, "nats"), "user"),) if name}
    plugins = {name for name, _ in _tables(data, "plugins")}
    for name, _ in _tables(data, "nats", "users"):
        path: Path = ("nats", "users", name)
        if name in daemon:
            yield Problem(path, f"a NATS user can't be named \"{name}\": that is the daemon's own", on_key=True)
        elif name in plugins:
            message = f'a NATS user can\'t be named "{name}": [plugins.{name}] has that name there; rename this one'
            yield Problem(path, message, on_key=True)
    for name in plugins & daemon:
        message = f"a plugin can't be named \"{name}\": that is the daemon's own name on NATS"
        yield Problem(("plugins", name), message, on_key=True)


def _plugins(plugins: dict[str, Any], channels: tuple[str, ...]) -> Iterator[Problem]:
    names = tuple(name for name in plugins if name not in BESIDE_PLUGINS)
    seen: set[str] = set()
    for index, name in _texts(plugins, "order"):
        path: Path = ("plugins", "order", index)
        if name in seen:
            yield Problem(path, f'"order" names "{name}" twice')
        elif name not in names:
            yield Problem(path, f'"order" names "{name}", and there is no [plugins.{name}]', name, names)
        seen.add(name)
    for name, plugin in _tables(plugins):
        if name in BESIDE_PLUGINS:
            continue
        path = ("plugins", name)
        if not PLUGIN_NAME.fullmatch(name):
            message = f"a plugin's name should begin with a letter and be {_ALPHABET}"
            yield Problem(path, message, on_key=True)
        yield from _grants(plugin, path)
        yield from secret_check((*path, "nats_password"), plugin.get("nats_password"))
        yield from _file(plugin, path)
        for channel in _table(plugin, "channels"):
            if channel not in channels:
                message = f'there is no channel "{channel}"'
                yield Problem((*path, "channels", channel), message, channel, channels, on_key=True)
        for command, new in _table(plugin, "commands").items():
            word = isinstance(new, str) and new == new.lower() and not any(c.isspace() for c in new)
            if isinstance(new, str) and not (word and new.isprintable()):
                message = f'the new name of "{command}" should be one lower-case word, or empty to switch it off'
                yield Problem((*path, "commands", command), message)


def _file(plugin: dict[str, Any], path: Path) -> Iterator[Problem]:
    """A plugin that is in no package: a file with its class, or its description and the program that it is."""
    yield from _path(plugin, (*path, "path"))
    file, program = _text(plugin, "path") or "", plugin.get("program")
    if program and not file.endswith(".json"):
        message = '"program" needs "path" beside it: a file that describes the plugin, such as path = "worker.json"'
        yield Problem((*path, "program"), message, on_key=True)
    elif program and plugin.get("run", "process") != "process":
        yield Problem((*path, "run"), '"run" should be "process": a "program" of its own can\'t run inside')
    elif program and plugin.get("python"):
        yield Problem((*path, "python"), '"python" is for plugins in Python; "program" names all that is started')
    elif file.endswith(".json") and not program and plugin.get("run") != "unit":
        message = '"path" is a description, and needs "program" beside it, such as program = ["node", "worker.js"]'
        yield Problem((*path, "path"), message)
    elif file and not program and not file.endswith((".py", ".json")):
        yield Problem((*path, "path"), '"path" should be a file with a plugin\'s class, such as "greet.py"')


def _units(data: dict[str, Any]) -> Iterator[Problem]:
    """What somebody else starts has to find NATS, and to log in there."""
    nats = _table(data, "nats")
    moves = nats.get("mode", "embedded") == "embedded" and (_text(nats, "listen") or ":0").endswith(":0")
    for name, plugin in _tables(data, "plugins"):
        if plugin.get("run") != "unit":
            continue
        path: Path = ("plugins", name, "run")
        if moves:
            message = 'a unit has to find NATS: set [nats] listen = "127.0.0.1:4222", or another fixed port'
            yield Problem(path, message)
        if "nats_password" not in plugin:
            message = f'a unit logs in to NATS as "{name}": set nats_password = {{ file = "PATH" }} beside it'
            yield Problem(path, message)
        if plugin.get("python"):
            message = '"python" is for run = "process"; a unit says itself what it starts'
            yield Problem((*path[:-1], "python"), message)


def _path(table: dict[str, Any], path: Path) -> Iterator[Problem]:
    if not (_text(table, str(path[-1])) or "").isprintable():
        yield Problem(path, f'"{path[-1]}" should be a path, and has a character that can\'t be seen')


def _grants(table: dict[str, Any], path: Path) -> Iterator[Problem]:
    for index, grant in _texts(table, "grant"):
        if not is_grant(grant):
            yield Problem((*path, "grant", index), f'there is no grant "{grant}"', grant, tuple(ALL_GRANTS))


def _split(url: str) -> SplitResult | None:
    """The parts of an address, or `None` if it has no valid ones."""
    if any(c.isspace() for c in url):
        return None
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  reading it is what checks it
    except ValueError:
        return None
    return parts


def _table(data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _tables(data: dict[str, Any], *keys: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, value in get(data, keys, {}).items() if isinstance(get(data, keys, {}), dict) else ():
        if isinstance(value, dict):
            yield name, value


def _text(table: dict[str, Any], key: str) -> str | None:
    value = table.get(key)
    return value if isinstance(value, str) else None


def _texts(table: dict[str, Any], key: str) -> Iterator[tuple[int, str]]:
    value = table.get(key)
    for index, item in enumerate(value if isinstance(value, list) else ()):
        if isinstance(item, str):
            yield index, item
