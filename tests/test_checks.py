"""The rules of rosey.toml, each with the message about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.written import SMALL, loaded, refused

PROGRAM = SMALL + '[plugins.a]\npath = "a.json"\nprogram = ["node", "a.js"]\n'
CHANNEL = "version = 1\n[channels.cytube]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    (
        (CHANNEL, '2:11: [channels.cytube] needs "room"'),
        ("version = 1", 'rosey.toml: the file needs "channels": write [channels.cytube] with a room below it'),
        ("version = 1\nchannels.room = 'x'", '2:17: "room" should be a table [channels.room], not text'),
        (SMALL + "[plugins]\necho = true", '5:8: "echo" should be a table [plugins.echo], not true or false'),
        ("version = 1\n[channels]", "rosey.toml: there is no channel: add [channels.cytube]"),
        (SMALL.replace("version = 1", ""), 'rosey.toml: the file needs "version": write version = 1 at its top'),
        (SMALL.replace("1", "2") + "news = 1", "1:11: this rosey reads version 1 of the configuration, not 2"),
        (SMALL.replace("1", "true", 1), '1:11: "version" should be a whole number, not true or false'),
        (SMALL.replace("cytube", "Cy_Tube"), "2:11: a channel's name should be lower-case letters, digits"),
        (SMALL.replace("cytube", "chat"), 'a channel can\'t be named "chat": the actions chat.* have that name'),
        (SMALL.replace("lobby", "a b"), '3:8: "room" should be what follows /r/ in its address'),
        (SMALL.replace("lobby", "ä"), '"room" should be'),
        (SMALL.replace("lobby", "x" * 31), '"room" should be'),
        (SMALL + 'username = "two words"', '"username" should be 1 to 20 letters'),
        (SMALL + 'password = { env = "X" }', '4:1: "password" needs a "username" beside it'),
        (SMALL + 'server = "cytu.be"', '"server" should be the address of a CyTube site'),
        (SMALL + 'server = "https://"', '"server" should be the address'),
        (SMALL + 'server = "https://a:x"', '"server" should be the address'),
        (SMALL + 'server = "wss://cytu.be"', '"server" should be the address'),
        (SMALL + 'server = "https://cytu.be/r/movies"', 'the room has a key of its own: room = "movies"'),
        (SMALL + 'proxy = "https://x:1"', '"proxy" should be socks5://HOST:PORT or http://HOST:PORT'),
        (SMALL + 'prefix = ""', '"prefix" should be one to three visible characters'),
        (SMALL + 'prefix = "!!!!"', '"prefix" should be one to three visible characters'),
        (SMALL + 'prefix = "! "', '"prefix" should be one to three visible characters'),
        (SMALL + 'prefix = "\\u0007"', '"prefix" should be one to three visible characters'),
        (SMALL + 'prefix = "/"', '"prefix" can\'t begin with /'),
        (SMALL + "connect_timeout = 0", '4:19: "connect_timeout" should be a number above 0'),
        (SMALL + "connect_timeout = inf", '"connect_timeout" should be a finite number'),
        (SMALL + "connect_timeout = nan", '"connect_timeout" should be a finite number'),
        (SMALL + 'connect_timeout = "5"', '"connect_timeout" should be a number, not text'),
        (SMALL + "max_frame_mib = 1000", '"max_frame_mib" should be a whole number of at most 256'),
        (SMALL + "max_frame_mib = 1.5", '"max_frame_mib" should be a whole number, not a number with a fraction'),
        (SMALL + "room_password = 5", '"room_password" should be a table, not a whole number'),
        (SMALL + "room_password = {}", '"room_password" needs exactly one of credential, env and file'),
        (SMALL + 'room_password = { env = "A", file = "b" }', '"room_password" needs exactly one of'),
        (SMALL + 'room_password = { credential = "/a" }', '"credential" should be a name, not a path'),
        ('state_directory = "a\\u0000b"\n' + SMALL, '1:19: "state_directory" should be a path, and has a character'),
        (SMALL + '[nats]\nserver = "a\\u0000b"', '5:10: "server" should be a path, and has a character'),
        (SMALL + 'room_password = { file = "a\\u0000b" }', '4:26: "file" should be a path, and has a character'),
        (SMALL + '[nats.stream]\nname = "a.b"', '5:8: "name" should be 1 to 30 letters, digits, - and _'),
        (SMALL + "[nats.stream]\nmax_mib = 0", '"max_mib" should be a whole number of at least 1'),
        (SMALL + "[nats.stream]\nmax_days = 0", '"max_days" should be a number of at least 0.01'),
        (
            SMALL + '[nats.users.a]\npassword = { env = "X" }\nstream = true',
            "6:10: there is no stream to read: add [nats.stream]",
        ),
        (
            SMALL + '[nats.stream]\n[nats.users.a]\npassword = { env = "X" }\nstream = true\ngrant = ["chat.send"]',
            'who reads the stream may do nothing else: give "grant" to another user',
        ),
        (SMALL + "order = []", 'unknown key "order" in [channels.cytube]'),
        ("order = []\n" + SMALL, '1:1: unknown key "order" at the top level; it stands in [plugins]: plugins.order'),
        (
            SMALL + '[log]\nlevel = "wraning"',
            '"level" should be "debug" or "info" or "warning" or "error", not "wran',
        ),
        (SMALL + '[log]\nlevel = "wraning"', 'did you mean "warning"?'),
        (SMALL + "[plugins]\nordr = []", '"ordr" should be a table, not a list; did you mean "order"?'),
        (SMALL + '[plugins]\norder = ["x"]', '5:10: "order" names "x", and there is no [plugins.x]'),
        (SMALL + '[plugins]\norder = ["x", "x"]\n[plugins.x]', '5:15: "order" names "x" twice'),
        (SMALL + "[plugins]\norder = 5", '5:9: "order" should be a list, not a whole number'),
        (SMALL + '[plugins]\non_silence = "x"', '5:14: "on_silence" should be "pass" or "stop", not "x"'),
        (SMALL + "[plugins.Echo]", "a plugin's name should begin with a letter"),
        (SMALL + "[plugins.1]", "a plugin's name should begin with a letter"),
        (
            SMALL + '[plugins.x]\ngrant = ["chat.snd"]',
            '5:10: there is no grant "chat.snd"; did you mean "chat.send"?',
        ),
        (SMALL + "[plugins.x]\ngrant = [5]", '5:10: "grant", item 1, should be text, not a whole number'),
        (SMALL + "[plugins.x]\nchannels.cytub.enabled = true", 'no channel "cytub"; did you mean "cytube"?'),
        (SMALL + '[plugins.x]\ncommands = { a = "b c" }', 'the new name of "a" should be one lower-case word'),
        (SMALL + '[plugins.x]\ncommands = { a = "B" }', 'the new name of "a" should be one lower-case word'),
        (SMALL + "[plugins.x]\ncommands = { a = 5 }", '5:18: "a" should be text, not a whole number'),
        (SMALL + "[plugins.x]\nloud = 1", "a plugin's own settings stand in [plugins.x.settings]"),
        (SMALL + "[plugins.x]\nenabeld = 1", 'unknown key "enabeld" in [plugins.x]; did you mean "enabled"?'),
        (SMALL + '[nats]\nmode = "external"', 'mode = "external" needs "url"'),
        (SMALL + '[nats]\nurl = "nats://x"', '5:1: "url" is for mode = "external"'),
        (SMALL + '[nats]\nuser = "x"', '"user" is for mode = "external"'),
        (SMALL + '[nats]\nmode = "external"\nurl = "x:4222"', '"url" should be nats://HOST:PORT'),
        (SMALL + '[nats]\nlisten = "4222"', '"listen" should be HOST:PORT'),
        (SMALL + '[nats]\nlisten = "127.0.0.1:99999"', '"listen" should be HOST:PORT'),
        (SMALL + "[nats.users.core]\npassword = { env = 'X' }", 'a NATS user can\'t be named "core"'),
        (SMALL + "[plugins.core]", "4:10: a plugin can't be named \"core\": that is the daemon's own name on NATS"),
        (
            SMALL + "[plugins.desk]\n[nats.users.desk]\npassword = { env = 'X' }",
            'a NATS user can\'t be named "desk": [plugins.desk] has that name there; rename this one',
        ),
        (
            SMALL + "[nats]\nmode = 'external'\nurl = 'nats://h'\nuser = 'bot'\n[plugins.bot]",
            'a plugin can\'t be named "bot"',
        ),
        (
            SMALL + "[nats]\nmode = 'external'\nurl = 'nats://h'\nuser = 'bot'\n"
            "[nats.users.bot]\npassword = { env = 'X' }",
            'a NATS user can\'t be named "bot"',
        ),
        (SMALL + "[nats]\nca = 'ca.pem'", '"ca" is for mode = "external"'),
        (
            SMALL + "[nats]\nmode = 'external'\nurl = 'nats://h:4222'\nca = 'ca.pem'",
            '7:6: "ca" is for TLS: write url = "tls://h:4222"',
        ),
        (SMALL + "[plugins.a]\nnats_password = 'pw'", '"nats_password" should say where the secret is, not hold it'),
        (SMALL + "[plugins.a]\nnats_password = {}", '"nats_password" needs exactly one of'),
        (SMALL + "[nats.users.A]\npassword = { env = 'X' }", "a NATS user's name should be"),
        (SMALL + "[nats.users.a]", '[nats.users.a] needs "password"'),
        (SMALL + "[nats.users.a]\npassword = { env = 'X' }\ngrant = ['chat.sen']", 'did you mean "chat.send"?'),
        (SMALL + 'username="Bot"\n[channels.b]\nroom="Lobby"\nusername="bot"', "same room as [channels.cytube]"),
        (SMALL + '[plugins.a]\npath = "a.txt"', '5:8: "path" should be a file with a plugin\'s class, such as'),
        (SMALL + '[plugins.a]\npath = "a.json"', '5:8: "path" is a description, and needs "program" beside it'),
        (SMALL + '[plugins.a]\nprogram = ["a"]', '5:1: "program" needs "path" beside it: a file that describes'),
        (SMALL + '[plugins.a]\npath = "a.py"\nprogram = ["a"]', '6:1: "program" needs "path" beside it'),
        (PROGRAM + 'run = "inside"', '7:7: "run" should be "process": a "program" of its own can\'t run inside'),
        (PROGRAM + 'python = "python3"', '7:10: "python" is for plugins in Python'),
        (SMALL + '[plugins.a]\nrun = "unit"', '5:7: a unit logs in to NATS as "a": set nats_password = { file'),
        (SMALL + '[plugins.a]\nrun = "unit"', "5:7: a unit has to find NATS: set [nats] listen"),
        (SMALL + '[nats]\nlisten = "127.0.0.1:0"\n[plugins.a]\nrun = "unit"', "7:7: a unit has to find NATS"),
        (SMALL + '[plugins.a]\nrun = "unit"\npython = "python3"', '6:10: "python" is for run = "process"'),
        (PROGRAM + 'run = "unit"', '7:7: "run" should be "process"'),
        (SMALL + '[plugins.a]\npath = "a\\n.py"', '5:8: "path" should be a path, and has a character'),
    ),
)
def test_checks(home: Path, text: str, message: str) -> None:
    """Each rule of the file, with where it is broken."""
    assert message in refused(text)


@pytest.mark.parametrize(
    "text",
    (
        'server = "http://127.0.0.1:8080/"\nproxy = "socks5://127.0.0.1:9050"',
        'username = "Bot"\nprefix = "¿?"\nproxy = { env = "PROXY" }',
        '[nats]\nmode = "external"\nurl = "tls://nats.example:4222"\nuser = "x"\npassword = { file = "p" }',
        '[nats]\nlisten = "[::1]:0"',
        '[plugins.a]\npath = "plugins/a.py"',
        '[plugins.a]\npath = "a.json"\nprogram = ["node", "a.js"]\nrun = "process"',
        '[nats]\nlisten = "[::1]:4222"\n[plugins.a]\nrun = "unit"\npath = "a.json"\nnats_password = { env = "A" }',
        '[plugins]\norder = ["a"]\n[plugins.a]\ngrant = ["query:b"]\ncommands = { x = "" }',
        "[plugins.a]\nsettings.when = 2024-01-01",
        'username = "a"\n[channels.b]\nroom = "lobby"\nusername = "b"',
    ),
)
def test_what_is_allowed(home: Path, text: str) -> None:
    """The other side of the rules."""
    assert loaded(SMALL + text).config.version == 1
