"""The command line: `livermore` and its commands, each loaded when it is called."""

from __future__ import annotations

import sys

from livermore_core.version import __version__


def main() -> None:
    """Run a command and exit with its code. `--version` is answered before anything is imported."""
    if sys.argv[1:] == ["--version"]:
        print(f"livermore {__version__}")
        return
    from livermore_core.cli.group import run
    from livermore_core.masking import guard_streams

    guard_streams()
    sys.exit(run(sys.argv[1:]))
