"""The files for systemd: it takes them, they are as closed as they may be, and what they name is there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import click
import pytest

from rosey_core.cli import main
from rosey_core.cli.errors import BAD_CONFIG
from rosey_core.settings.load import USUAL_PLACES

ROOT = Path(__file__).parents[1]
SYSTEMD = ROOT / "systemd"
SERVICES = ("rosey.service", "rosey-plugin@.service")
PROGRAM = "/opt/rosey/bin/rosey"


def settings(name: str) -> dict[str, list[str]]:
    """Every key of a unit, with its values in their order."""
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", (SYSTEMD / name).read_text(), re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


@pytest.fixture
def analyze() -> str:
    """The program that knows units."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("there is no systemd-analyze here")
    return program


def outcome(*command: str | Path) -> tuple[int, str]:
    """The exit code, and all that was said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_exposure(analyze: str, name: str) -> None:
    """At most 1.5 of 10."""
    code, told = outcome(analyze, "security", "--offline=true", "--threshold=15", "--no-pager", SYSTEMD / name)
    assert code == 0, told


def test_systemd_understands_them(analyze: str, tmp_path: Path) -> None:
    """Once the program is where they say, there is nothing to say about them."""
    rosey = Path(sysconfig.get_path("scripts"), "rosey")
    assert rosey.exists()
    for path in (*SYSTEMD.glob("*.service"), *SYSTEMD.glob("*.target")):
        (tmp_path / path.name).write_text(path.read_text().replace(PROGRAM, str(rosey)))
    units = [tmp_path / name for name in ("rosey.service", "rosey-plugin@echo.service", "rosey.target")]
    assert outcome(analyze, "verify", "--man=no", *units) == (0, "")


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_started(name: str) -> None:
    """It is a verb of rosey's with options that it has, and the configuration where rosey looks for it."""
    (line,) = settings(name)["ExecStart"]
    program, *words = line.split()
    assert program == PROGRAM
    command: click.Command = main
    context = click.Context(main)
    while isinstance(command, click.Group):
        found = command.get_command(context, words.pop(0))
        assert found is not None, line
        command = found
    given = command.make_context(name, words)
    assert given.params["config_path"] == USUAL_PLACES[1]
    assert given.params.get("name", "%i") == "%i"


def test_what_both_share() -> None:
    """How they are started again, and everything that closes them; they differ in who they are."""
    daemon, plugin = map(settings, SERVICES)
    assert daemon["RestartPreventExitStatus"] == [str(BAD_CONFIG)]
    for own in ("Description", "After", "Restart", "ExecStart", "User", "SyslogIdentifier", "StateDirectory"):
        assert daemon.pop(own) != plugin.pop(own)
    assert daemon.pop("ExecReload") == ["/opt/rosey/bin/rosey ctl reload --config /etc/rosey/rosey.toml"]
    assert plugin.pop("DynamicUser") == ["yes"]
    assert plugin.pop("LoadCredential") == ["nats-%i:/etc/rosey/credentials/nats-%i"]
    assert daemon == plugin


def test_who_and_where() -> None:
    """The user is made, and so is each directory of the owner's that a unit names."""
    (user,) = settings("rosey.service")["User"]
    made = (SYSTEMD / "sysusers.d" / "rosey.conf").read_text()
    assert made.startswith(f"u {user} ")
    assert made.rstrip().endswith(f" /var/lib/{settings('rosey.service')['StateDirectory'][0]}")
    directories = set(re.findall(r"^d (\S+) ", (SYSTEMD / "tmpfiles.d" / "rosey.conf").read_text(), re.MULTILINE))
    text = "".join((SYSTEMD / name).read_text() for name in SERVICES)
    assert {str(Path(path).parent) for path in re.findall(r"/etc/[\w./%-]+", text)} <= directories


def test_other_files_are_understood(tmp_path: Path) -> None:
    """Users and directories are made as they say; secrets are for root alone."""
    tmpfiles, sysusers = shutil.which("systemd-tmpfiles"), shutil.which("systemd-sysusers")
    if tmpfiles is None or sysusers is None:
        pytest.skip("there is no systemd here")
    if os.getuid():
        pytest.skip("only root may make what is root's")
    for command in (
        (sysusers, "--dry-run", SYSTEMD / "sysusers.d" / "rosey.conf"),
        (tmpfiles, "--create", f"--root={tmp_path}", SYSTEMD / "tmpfiles.d" / "rosey.conf"),
    ):
        code, told = outcome(*command)
        assert code == 0, told
    assert (tmp_path / "etc" / "rosey" / "credentials").stat().st_mode & 0o777 == 0o700


def test_what_readme_installs() -> None:
    """Each file that it names is there, and none is left out."""
    named = set(re.findall(r"(?<![\w/])systemd/[\w./@*-]+", (ROOT / "README.md").read_text()))
    found = {path for pattern in named for path in ROOT.glob(pattern) if path.is_file()}
    assert all(list(ROOT.glob(pattern)) for pattern in named), named
    assert found == {path for path in SYSTEMD.rglob("*") if path.is_file()}
