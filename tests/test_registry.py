"""Plugins are found by entry points and described in a child, whatever they are."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from rosey_core.config import ChannelConfig, Config, PluginChannel, PluginConfig
from rosey_core.host import registry
from rosey_core.host.describe import Finding, Inquiry
from rosey_core.host.registry import Known, installed, settings_of, survey
from rosey_core.testing.process import alive


def config(**plugins: PluginConfig) -> Config:
    """Two channels, and these plugins."""
    return Config(
        version=1,
        channels={"cytube": ChannelConfig(room="r"), "other": ChannelConfig(room="o")},
        plugins={name.replace("_", "-"): plugin for name, plugin in plugins.items()},
    )


async def one(name: str, settings: Config, cache: Path) -> Known:
    """What is known of one plugin."""
    return (await survey(settings, cache, only=[name]))[name]


def test_bundled_plugins_are_installed() -> None:
    """Echo and logging register in the group that others use."""
    assert {"echo", "logging"} <= installed().keys()


async def test_ready(tmp_path: Path) -> None:
    """A plugin that is enabled and has its grants is ready, and described without being imported here."""
    known = await one("echo", config(echo=PluginConfig(enabled=True, grant=("chat.read", "chat.send"))), tmp_path)
    assert known.state == "ready"
    assert known.package == "rosey-bot"
    assert known.description is not None
    assert known.description.hooks == ("on_chat_message",)
    assert [spec.name for spec in known.description.commands] == ["echo"]
    assert known.description.schema["$ref"]


async def test_held(tmp_path: Path) -> None:
    """A plugin that lacks a grant is held, and the reason is the line to write."""
    known = await one("echo", config(echo=PluginConfig(enabled=True, grant=("chat.read",))), tmp_path)
    assert known.state == "held"
    assert known.reason == ('not granted: chat.send; under [plugins.echo] write  grant = ["chat.read", "chat.send"]')


async def test_missing(tmp_path: Path) -> None:
    """A plugin that is enabled and not installed is missing, with what to do."""
    known = await one("nosuch", config(nosuch=PluginConfig(enabled=True)), tmp_path)
    assert known.state == "missing"
    assert "pip install rosey-plugin-nosuch" in known.reason


async def test_disabled(tmp_path: Path) -> None:
    """A plugin that nobody enabled is disabled, and described all the same."""
    known = await one("echo", config(), tmp_path)
    assert known.state == "disabled"
    assert known.description is not None


async def test_enabled_in_one_channel(tmp_path: Path) -> None:
    """A plugin may be on in one channel only."""
    plugin = PluginConfig(grant=("chat.read", "chat.send"), channels={"other": PluginChannel(enabled=True)})
    assert (await one("echo", config(echo=plugin), tmp_path)).state == "ready"


@pytest.mark.parametrize(
    ("name", "reason"),
    (
        ("broken-import", "it can't be imported: ModuleNotFoundError: No module named 'no_such_package_at_all'"),
        ("broken-syntax", "it can't be imported: SyntaxError: invalid syntax"),
        ("crasher", "the process that describes it ended with code 3"),
        ("misspelt", "Misspelt.on_chat_mesage is no hook; did you mean on_chat_message?"),
        ("unmarked", "Unmarked.on_chat_message has the name of a hook but no @hookimpl"),
        ("wrongarg", "Argument(s) {'password'} are declared in the hookimpl but can not be found in the hookspec"),
        ("nomanifest", "zoo_bad:NoManifest is no class with `manifest = Manifest(...)`"),
        ("wrongname", "its name is wrongname here and othername in its manifest; they must agree"),
        (
            "typed",
            "the query half: the type of its argument amount is not there when it runs (name 'Decimal' is not defin",
        ),
        ("wronggrant", "it asks for chat.raed, which is no grant; did you mean chat.read?"),
    ),
)
async def test_broken(name: str, reason: str, tmp_path: Path, zoo: Path) -> None:
    """A plugin that can't be described is broken, with a reason a person can use; nothing else suffers."""
    plugins = {name.replace("-", "_"): PluginConfig(enabled=True), "recorder": PluginConfig(enabled=True)}
    known = await survey(config(**plugins), tmp_path, only=[name, "recorder"])
    assert known[name].state == "broken"
    assert reason in known[name].reason
    assert known["recorder"].state == "held"


async def test_hanging_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin whose import never ends is given up."""
    package = tmp_path / "plugins"
    info = package / "hang-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hang\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rosey.plugins]\nhang = hang_import:Plugin\n")
    (package / "hang_import.py").write_text("import threading\nthreading.Event().wait()\n")
    monkeypatch.syspath_prepend(str(package))
    monkeypatch.setenv("PYTHONPATH", str(package))
    monkeypatch.setattr(registry, "SECONDS", 1.0)
    known = await one("hang", config(hang=PluginConfig(enabled=True)), tmp_path)
    assert known.reason == "it did not describe itself within 1 s"


@pytest.mark.usefixtures("zoo")
async def test_what_an_import_leaves_running(tmp_path: Path) -> None:
    """A program that a plugin starts at its import holds up nobody, and ends with the look at the plugin."""
    async with asyncio.timeout(20):
        known = await one("spawner", config(), tmp_path)
    assert known.description is not None
    pid = int(known.description.summary.split()[1].rstrip("."))
    async with asyncio.timeout(10):
        while alive(pid):  # noqa: ASYNC110  nobody tells of it
            await asyncio.sleep(0.02)


@pytest.mark.usefixtures("zoo")
async def test_a_long_description(tmp_path: Path) -> None:
    """However much a plugin has to tell of itself, it arrives."""
    known = await one("verbose", config(), tmp_path)
    assert known.description is not None
    assert len(known.description.summary) == 500_000


def test_the_cache_knows_code_of_import_hooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin that is found by a finder of its own, as an editable one is, is looked at again when it changes."""
    code = tmp_path / "elsewhere" / "zoo_edited.py"
    code.parent.mkdir()

    class Finder:
        """Knows one module."""

        @staticmethod
        def find_spec(name: str, *_: object) -> object:
            """Where it is."""
            return importlib.util.spec_from_file_location(name, code) if name == "zoo_edited" else None

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])
    keys = set()
    point = EntryPoint("edited", "zoo_edited:Plugin", "x")
    for text in ("first", "second one"):
        code.write_text(f'"""{text}"""')
        keys.add(registry._key(point, Inquiry("edited", point.value)))
    assert len(keys) == 2


async def test_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second look starts no child; changed settings do."""
    settings = config(echo=PluginConfig(enabled=True))
    first = await one("echo", settings, tmp_path)

    async def no_child(_: object) -> Finding:
        return Finding(reason="asked a child")

    monkeypatch.setattr(registry, "_ask_child", no_child)
    assert await one("echo", settings, tmp_path) == first
    changed = config(echo=PluginConfig(enabled=True, settings={"automatic": True}))
    assert (await one("echo", changed, tmp_path)).reason == "asked a child"


async def test_a_spoilt_cache_is_asked_again(tmp_path: Path) -> None:
    """A cache file that is no JSON is no harm."""
    settings = config(echo=PluginConfig(enabled=True))
    first = await one("echo", settings, tmp_path)
    (tmp_path / "echo.json").write_text("spoilt{")
    assert await one("echo", settings, tmp_path) == first


async def test_settings_faults(tmp_path: Path) -> None:
    """All that is wrong with settings is found in the child, with path and the names that would be right."""
    plugin = PluginConfig(
        enabled=True,
        settings={"automatik": True, "automatic": 1},
        channels={"other": PluginChannel(settings={"automatic": "yes"})},
    )
    known = await one("echo", config(echo=plugin), tmp_path)
    faults = {fault.path: fault.known for fault in known.finding.faults}
    channel = ("plugins", "echo", "channels", "other", "settings")
    assert faults == {
        ("plugins", "echo", "settings", "automatik"): ("automatic",),
        ("plugins", "echo", "settings", "automatic"): (),
        (*channel, "automatik"): ("automatic",),
        (*channel, "automatic"): (),
    }


@pytest.mark.usefixtures("zoo")
async def test_what_only_channels_have(tmp_path: Path) -> None:
    """What a plugin needs may stand in the channels alone, as long as every channel that has the plugin has it."""
    own, off = PluginChannel(settings={"token": {"env": "X"}}), PluginChannel(enabled=False)
    everywhere = PluginConfig(enabled=True, channels={"cytube": own, "other": off})
    known = await one("keeper", config(keeper=everywhere), tmp_path)
    assert known.finding.faults == ()
    only_one = PluginConfig(enabled=True, channels={"cytube": own})
    known = await one("keeper", config(keeper=only_one), tmp_path)
    assert len(known.finding.faults) == 1


def test_settings_of_a_channel() -> None:
    """A channel's own settings lie on the general ones; nothing else does."""
    plugin = PluginConfig(
        settings={"caps": {"percent": 70}}, channels={"other": PluginChannel(settings={"dry": True})}
    )
    assert settings_of(plugin, "other") == {"caps": {"percent": 70}, "dry": True}
    assert settings_of(plugin, "cytube") == {"caps": {"percent": 70}}


GREET = '''\
"""A plugin in a file."""

from __future__ import annotations

from rosey_core.api import CommandCall, Context, Manifest, Settings, command


class GreetSettings(Settings):
    """`word`: what it says."""

    word: str = "Hello"


class Greet:
    """Greets."""

    manifest = Manifest(name="greet", summary="Greets.", settings=GreetSettings, asks=("chat.send",))

    def __init__(self, settings: GreetSettings) -> None:
        self.word = settings.word

    @command("greet")
    async def greet(self, ctx: Context, call: CommandCall) -> str:
        """Greets you."""
        return f"{self.word}, {call.user}!"
'''


async def test_a_file(tmp_path: Path) -> None:
    """A file with a class is a plugin, is described in a child, runs in a process, and leaves nothing beside it."""
    path = tmp_path / "here" / "greet.py"
    path.parent.mkdir()
    path.write_text(GREET)
    plugin = PluginConfig(enabled=True, path=str(path), grant=("chat.send",), settings={"wrod": "Hi"})
    known = await one("greet", config(greet=plugin), tmp_path)
    assert (known.state, known.run, known.value) == ("ready", "process", str(path))
    assert known.description is not None
    assert [spec.name for spec in known.description.commands] == ["greet"]
    assert [fault.path[-1] for fault in known.finding.faults] == ["wrod"]
    assert [file.name for file in path.parent.iterdir()] == ["greet.py"]


async def test_a_file_that_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a file says is kept until the file is another."""
    path = tmp_path / "greet.py"
    path.write_text(GREET)
    settings = config(greet=PluginConfig(enabled=True, path=str(path)))
    first = await one("greet", settings, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(registry, "_ask_child", lambda _: pytest.fail("asked again"))
        assert await one("greet", settings, tmp_path) == first
    path.write_text(GREET.replace("Greets.", "Greets well."))
    again = await one("greet", settings, tmp_path)
    assert again.description is not None
    assert again.description.summary == "Greets well."


@pytest.mark.parametrize(
    ("text", "reason"),
    (
        (None, "{path} can't be read: No such file or directory"),
        ("", "{path} has no class with `manifest = Manifest(...)`"),
        ("from rosey_core.api import Manifest, Settings\nclass Greet:\n    pass\n", "{path} has no class with"),
        (GREET + "class Other(Greet):\n    pass\n", "{path} has the classes Greet and Other; each plugin needs"),
        ("import sys\n\ndef f(:\n    pass\n", "{path}:3: invalid syntax"),
        ("x = 'a\0b'", "{path}"),
        ("import nothing_of_this_name", "ModuleNotFoundError: No module named 'nothing_of_this_name' ({path}:1)"),
        (GREET.replace('name="greet"', 'name="other"'), "its name is greet here and other in its manifest"),
    ),
)
async def test_a_file_that_is_none(text: str | None, reason: str, tmp_path: Path) -> None:
    """What is wrong with a file is told with the file, and the line where there is one."""
    path = tmp_path / "greet.py"
    if text is not None:
        path.write_text(text)
    known = await one("greet", config(greet=PluginConfig(enabled=True, path=str(path))), tmp_path)
    assert known.state == "broken"
    assert reason.format(path=path) in known.reason


WORKER = """{
  "name": "abroad", "summary": "Is not in Python.", "api": 1, "asks": ["chat.read", "chat.send"],
  "hooks": ["on_chat_message"], "commands": [{"name": "abroad", "usage": "TEXT"}]
}"""


async def test_a_program(tmp_path: Path) -> None:
    """A plugin in another language is described by a file, and gets its settings as they are written."""
    path = tmp_path / "abroad.json"
    path.write_text(WORKER)
    plugin = PluginConfig(
        enabled=True, path=str(path), program=("node", "x.js"), grant=("chat.read", "chat.send"), settings={"a": 1}
    )
    known = await one("abroad", config(abroad=plugin), tmp_path)
    assert (known.state, known.run) == ("ready", "process")
    assert known.finding.faults == ()
    assert known.description is not None
    assert known.description.hooks == ("on_chat_message",)
    assert [spec.usage for spec in known.description.commands] == ["TEXT"]


@pytest.mark.parametrize(
    ("text", "reason"),
    (
        (None, "{path} can't be read: No such file or directory"),
        ("{", "{path} is no description of a plugin: Input data was truncated"),
        ("\xff", "{path} is no description of a plugin: "),
        (
            WORKER.replace("asks", "askes"),
            "{path} is no description of a plugin: Object contains unknown field `askes`",
        ),
        (WORKER.replace('"summary": "Is not in Python.",', ""), "Object missing required field `summary`"),
        (WORKER.replace("on_chat_message", "on_chat_mesage"), "{path}: on_chat_mesage is no hook; did you mean on_"),
        (
            WORKER.replace("chat.read", "chat.raed"),
            "it asks for chat.raed, which is no grant; did you mean chat.read?",
        ),
        (WORKER.replace("abroad", "elsewhere"), "its name is abroad here and elsewhere in its manifest"),
        (WORKER.replace('"api": 1', '"api": 9'), "it was written for plugin interface 9; this rosey speaks 1"),
    ),
)
async def test_a_description_that_is_none(text: str | None, reason: str, tmp_path: Path) -> None:
    """What is wrong with the description of a program is told."""
    path = tmp_path / "abroad.json"
    if text is not None:
        path.write_text(text, encoding="latin-1")
    plugin = PluginConfig(enabled=True, path=str(path), program=("node",))
    known = await one("abroad", config(abroad=plugin), tmp_path)
    assert known.state == "broken"
    assert reason.format(path=path) in known.reason
