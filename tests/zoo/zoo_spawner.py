"""A plugin that starts another program while it is imported, and prints without end to its standard error."""

import subprocess
import sys

from rosey_core.api import Manifest, Settings

CHILD = subprocess.Popen((sys.executable, "-c", "import time; time.sleep(3600)"))
for _ in range(2_000):
    print("a warning " * 100, file=sys.stderr)  # noqa: T201  what such plugins do


class Plugin:
    """Does nothing."""

    manifest = Manifest(name="spawner", summary=f"Started {CHILD.pid}.")

    def __init__(self, settings: Settings) -> None:
        """Nothing to set."""
