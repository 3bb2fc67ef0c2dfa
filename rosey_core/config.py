"""What stands in rosey.toml, as Structs; how it is read, layered and explained is in the package `settings`.

Every Struct forbids unknown fields: a misspelt key is an error with the nearest name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from rosey_core.settings.layers import Layer

Seconds = Annotated[float, Meta(gt=0)]


class Secret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a secret is found; exactly one of the fields is set. It is read when it is needed, by `settings`.

    Attributes:
        credential: a file name in systemd's `$CREDENTIALS_DIRECTORY`.
        env: the name of an environment variable.
        file: a path, relative to the configuration file.
    """

    credential: str = ""
    env: str = ""
    file: str = ""


class NatsUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A client of the owner's, such as a script or another service: `[nats.users.NAME]`.

    With `read`, it may subscribe to `rosey.platform.>`. `grant` lists the actions it may ask for. With `stream` it
    may read what `[nats.stream]` keeps, and then has no grants.
    """

    password: Secret
    grant: tuple[str, ...] = ()
    read: bool = True
    stream: bool = False


class NatsStream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[nats.stream]`: NATS keeps every event, in a stream of this name, for other software.

    The oldest go when they are older than `max_days`, or together more than `max_mib`.
    """

    name: str = "rosey"
    max_mib: Annotated[int, Meta(ge=1, le=1 << 20)] = 256
    max_days: Annotated[float, Meta(ge=0.01, le=3650)] = 30


class NatsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[nats]`: the bus. Embedded: rosey runs nats-server itself. External: `url`, `user`, `password`.

    `listen` is where the embedded one listens; port 0 takes a free one. `server` is the path of nats-server,
    where it is neither in the environment nor on PATH. `ca` is a file with the certificates to trust on `tls://`,
    in place of the system's; relative to the configuration file.
    """

    mode: Literal["embedded", "external"] = "embedded"
    listen: str = "127.0.0.1:0"
    server: str = ""
    url: str = ""
    user: str = ""
    password: Secret | None = None
    credentials: Secret | None = None
    ca: str = ""
    users: dict[str, NatsUser] = {}
    stream: NatsStream | None = None


class ChannelConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[channels.NAME]`: a room on a CyTube site, and who the bot is there.

    Without `password` the bot logs in as a guest; without `username` it only listens. `rejoin_after_kick`:
    seconds until it comes back after a moderator kicked it, doubling up to an hour; 0 stays away. `plugin_rank`: the
    least rank in the room that may use `!plugin`, which restarts and parks plugins; 0 lets nobody.
    """

    room: str
    server: str = "https://cytu.be"
    username: str = ""
    password: Secret | None = None
    room_password: Secret | None = None
    proxy: Secret | str = ""
    prefix: str = "!"
    plugin_rank: Annotated[float, Meta(ge=0)] = 0
    rejoin_after_kick: Annotated[float, Meta(ge=0)] = 60
    max_frame_mib: Annotated[int, Meta(ge=1, le=256)] = 16
    connect_timeout: Seconds = 15


class PluginChannel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[plugins.NAME] channels.CHANNEL`: what differs in one channel."""

    enabled: bool | None = None
    settings: dict[str, Any] = {}


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[plugins.NAME.limits]`: what the plugin's process may use; 0 is no limit.

    `memory_mib` is of address space, which is more than what it really uses; `cpu_seconds` in all its life; `files`
    open at once.
    """

    memory_mib: Annotated[int, Meta(ge=0, le=1 << 20)] = 0
    cpu_seconds: Annotated[int, Meta(ge=0)] = 0
    files: Annotated[int, Meta(ge=0, le=1 << 20)] = 0


class PluginConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[plugins.NAME]`: whether it runs, where, what it may do, and its settings.

    `run`: `inside` the daemon, or in a `process` of its own; by default what is bundled runs inside, and what others
    publish in a process. As a `unit` it is a process that somebody else starts, by `rosey plugins run NAME`, and
    needs `nats_password`. `python` is the interpreter of a `process`, if not rosey's own. `path` is a file with the
    plugin's class, for one that is in no package; it is relative to the file that names it. `program` starts any
    other program as the plugin's process, as in docs/workers.md, in the directory of `path`; `path` is then the
    plugin's description as JSON. `commands` renames: `{ quote = "q" }` makes `!q` of `!quote`; an empty name switches
    it off. `from`: where in the event log a durable plugin begins when it is new; `max_tries`: how often it may fail
    at one event before that becomes a dead letter. `nats_password` is for the process's own user of NATS: needed on a
    server of the owner's, else by default a random one at each start. With `required` rosey is not ready before the
    plugin runs, and ends if it can't.
    """

    enabled: bool = False
    required: bool = False
    from_: Literal["now", "oldest"] = msgspec.field(default="now", name="from")
    max_tries: Annotated[int, Meta(ge=1, le=1000)] = 8
    path: str = ""
    program: tuple[str, ...] = ()
    run: Literal["", "inside", "process", "unit"] = ""
    python: str = ""
    limits: Limits = Limits()
    nats_password: Secret | None = None
    grant: tuple[str, ...] = ()
    settings: dict[str, Any] = {}
    channels: dict[str, PluginChannel] = {}
    commands: dict[str, str] = {}


class EventLogConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[eventlog]`: what happened, on disk, until every durable plugin had it, and for later.

    What is older than `keep_days` goes, and the oldest while it takes more than `max_mib`. `private_messages`:
    whether those are kept, too; durable plugins do not hear them otherwise.
    """

    keep_days: Annotated[float, Meta(gt=0)] = 30
    max_mib: Annotated[int, Meta(ge=1, le=1 << 20)] = 1024
    private_messages: bool = False


class LogConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[log]`: how much, and how. `auto` is colour on a terminal, JSON lines elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of rosey.toml.

    `order` is `[plugins] order`: the judges, first to last. `on_silence` is `[plugins] on_silence`: what becomes
    of a line whose judge failed or did not answer in time.
    """

    version: Literal[1]
    channels: dict[str, ChannelConfig]
    nats: NatsConfig = NatsConfig()
    plugins: dict[str, PluginConfig] = {}
    order: tuple[str, ...] = ()
    on_silence: Literal["pass", "stop"] = "pass"
    eventlog: EventLogConfig = EventLogConfig()
    log: LogConfig = LogConfig()
    state_directory: str = ""

    @property
    def first_channel(self) -> str:
        """The channel that the short form of a command means: the first in the file."""
        return next(iter(self.channels))


class Loaded(msgspec.Struct, frozen=True):
    """A configuration that passed its checks, and where it came from.

    Attributes:
        config: the settings.
        path: the configuration file.
        state: the state directory, absolute; it need not exist yet.
        origins: for each dotted key that somebody set, which file and line, variable or flag set it last.
        layers: the sources themselves, for messages about settings that are checked later.
    """

    config: Config
    path: Path
    state: Path
    origins: dict[str, str] = {}
    layers: tuple[Layer, ...] = ()
