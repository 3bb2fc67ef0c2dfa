"""What an exception in a verb becomes: a message on standard error, and an exit code that systemd understands."""

from __future__ import annotations

import errno
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

UNWRITABLE = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EIO))
"""No bug: a disk is full, or a terminal is gone."""


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn what a verb raises into an exit code. click's own exceptions and `SystemExit` pass."""
    try:
        yield
        if sys.stdout:  # else it is closed
            sys.stdout.flush()  # so that a reader that is gone is noticed here
    except ConfigError as error:
        _say(str(error))
        raise SystemExit(BAD_CONFIG) from None
    except RoseyError as error:
        _say(f"rosey: {error}")
        raise SystemExit(FAILED) from None
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        _forget_output()
        raise SystemExit(READER_GONE) from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno in UNWRITABLE:
            _forget_output()
            _say(f"rosey: its output, or a file of its own, can't be written: {error.strerror}")
            raise SystemExit(FAILED) from None
        _say(f"{traceback.format_exc()}rosey: this is a bug in rosey or in a plugin; please report the lines above")
        raise SystemExit(BUG) from None


def _forget_output() -> None:
    """Python flushes standard output once more as it ends, and would complain there."""
    if sys.stdout:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(text: str) -> None:
    from rosey_core.redact import visible

    text = visible(text, layout=True)
    log = sys.modules.get("rosey_core.log")  # who never logged has read no secret
    click.echo(log.redact(text) if log else text, err=True)
