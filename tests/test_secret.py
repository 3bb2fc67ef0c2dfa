"""Secrets: read from where they are, and never shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rosey_core.config import Loaded
from rosey_core.errors import ConfigError
from rosey_core.settings.secret import check_secrets, read_secret
from tests.written import CANARY, SMALL, loaded, refused

# --- secrets ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    (
        f'username = "x"\npassword = "{CANARY}"',
        f'username = "x"\npasword = "{CANARY}"',
        f'username = "x"\nroom_pasword = {{ value = "{CANARY}" }}',
        f'username = "x"\npassword = {{ value = "{CANARY}" }}',
        f'raet = 1\nproxy = "socks5://me:{CANARY}@host:1"',
        f'server = "https://me:{CANARY}@cytu.be"',
        f'[nats]\nmode = "external"\nurl = "nats://me:{CANARY}@host"',
        f'[nats]\nurl = "nats://me:{CANARY}@host"',
        f'[nats]\npassword = "{CANARY}"',
        f'password = "{CANARY}',
        f'password = """{CANARY}\n',
        f'password = ["x",\n"{CANARY}" "y"]',
        f'[plugins.x]\nsettings = {{ api_key = "{CANARY}" }}\nenabled = "x"\nloud = {{ token = "{CANARY}" }}',
        f'[channels]\nb = {{ room = "x", password = "{CANARY}", raet = 5 }}',
        f"password = '{CANARY}' raet = 1",
    ),
)
def test_a_secret_in_the_file_is_not_shown(home: Path, text: str) -> None:
    """Whatever is wrong around it, no message shows a line that holds one."""
    assert CANARY not in refused(SMALL + text)


def test_a_plain_password_is_told_where_to_go(home: Path) -> None:
    """A bare text in place of a secret's table is answered with the three forms, in every layer."""
    forms = '{ credential = "NAME" } or { env = "NAME" } or { file = "PATH" }'
    message = refused(f'{SMALL}username = "x"\npassword = "{CANARY}"')
    assert message == f'rosey.toml:5:12: "password" should say where the secret is, not hold it: password = {forms}'
    message = refused(SMALL + 'username = "x"', ROSEY_CHANNELS__CYTUBE__PASSWORD=CANARY)
    assert message.startswith('$ROSEY_CHANNELS__CYTUBE__PASSWORD: "password" should say')
    assert CANARY not in message + refused(SMALL + 'username = "x"', f"channels.cytube.password={CANARY}")


def with_secret(source: str, **environ: str) -> Loaded:
    """A configuration whose channel has a password."""
    return loaded(f'{SMALL}username = "x"\npassword = {{ {source} }}', **environ)


def unreadable(source: str, **environ: str) -> str:
    """Why that password can't be read."""
    one = with_secret(source)
    with pytest.raises(ConfigError) as caught:
        read_secret(one.config.channels["cytube"].password, one, environ=environ)
    assert CANARY not in str(caught.value)
    return str(caught.value)


def test_reading_secrets(home: Path) -> None:
    """From a variable, a file beside the configuration, a credential; one line end is cut off. Texts stay."""
    Path("pw").write_text(CANARY + "\n")
    Path("pw").chmod(0o600)
    Path("cred").mkdir()
    Path("cred/pw").write_text(CANARY + " \n\n")
    for source, value in (("env", CANARY), ("file", CANARY), ("credential", CANARY + " \n")):
        one = with_secret(f'{source} = "pw"')
        environ = {"pw": CANARY, "CREDENTIALS_DIRECTORY": "cred"}
        assert read_secret(one.config.channels["cytube"].password, one, environ=environ) == value
    assert read_secret(None, one) == ""
    assert read_secret("http://proxy", one) == "http://proxy"


def test_secrets_that_cant_be_read(home: Path) -> None:
    """Each says which key, where, why and what to do."""
    where = 'rosey.toml:5:12: "password": '
    assert unreadable('env = "PW"') == f"{where}the variable PW is not set; set it where rosey is started"
    assert unreadable('env = "PW"', PW="") == f"{where}the variable PW is empty; set it where rosey is started"
    assert unreadable('file = "pw"') == f"{where}{home}/pw can't be read: No such file or directory"
    assert unreadable('credential = "pw"').startswith(f"{where}$CREDENTIALS_DIRECTORY is not set")
    Path("pw").write_text(CANARY)
    Path("pw").chmod(0o640)
    assert unreadable('file = "pw"') == f"{where}{home}/pw can be read by others; run: chmod 600 {home}/pw"
    Path("pw").chmod(0o600)
    for raw, why in (
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff", "is not UTF-8"),
        (b"x" * 70_000, "is too big"),
    ):
        Path("pw").write_bytes(raw)
        assert why in unreadable('file = "pw"')


def test_checking_all_secrets(home: Path) -> None:
    """All are tried, but for what is no file of its own: credentials wait for systemd, pipes for their one reader."""
    os.mkfifo("pipe")
    one = loaded(
        f'{SMALL}username = "x"\npassword = {{ credential = "pw" }}\nroom_password = {{ env = "A" }}\n'
        'proxy = { env = "B" }\n[nats.users.x]\npassword = { env = "C" }\n'
        '[nats.users.y]\npassword = { file = "pipe" }'
    )
    wrong, untried = check_secrets(one, environ={"C": "fine"})
    assert [line.split(": ", 1)[0] for line in wrong] == ["rosey.toml:6:17", "rosey.toml:7:9"]
    assert untried == ["channels.cytube.password: credential pw is there under systemd only"]
    assert len(check_secrets(one, start=True, environ={"C": "fine"})[0]) == 3


def test_a_configuration_does_not_show_its_files(home: Path) -> None:
    """The text of the files is not part of what a log line would show."""
    assert CANARY not in repr(loaded(SMALL + f"# {CANARY}"))
