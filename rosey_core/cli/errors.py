"""What an exception in a verb becomes: a message on standard error, and an exit code that systemd understands."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import click

from rosey_core.errors import ConfigError, RoseyError

FAILED = 1
BUG = 70
"""EX_SOFTWARE of sysexits: an exception that nobody foresaw."""
BAD_CONFIG = 78
"""EX_CONFIG of sysexits; the shipped unit does not restart after it."""
INTERRUPTED = 130
READER_GONE = 141
"""What a shell reports of a program that SIGPIPE ended."""


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn what a verb raises into an exit code. click's own exceptions and `SystemExit` pass."""
    try:
        yield
        sys.stdout.flush()  # so that a reader that is gone is noticed here
    except ConfigError as error:
        _say(str(error))
        raise SystemExit(BAD_CONFIG) from None
    except RoseyError as error:
        _say(f"rosey: {' '.join(str(error).split())}")
        raise SystemExit(FAILED) from None
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        # Python flushes standard output once more as it ends, and would complain there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(READER_GONE) from None
    except Exception:
        _say(f"{traceback.format_exc()}rosey: this is a bug in rosey or in a plugin; please report the lines above")
        raise SystemExit(BUG) from None


def _say(text: str) -> None:
    from rosey_core.redact import visible

    text = visible(text, layout=True)
    log = sys.modules.get("rosey_core.log")  # who never logged has read no secret
    click.echo(log.redact(text) if log else text, err=True)
