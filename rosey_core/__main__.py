"""`python -m rosey_core` is `rosey`, for where the command is not on the PATH."""

from __future__ import annotations

from rosey_core.cli import main

if __name__ == "__main__":
    main(prog_name="rosey")
