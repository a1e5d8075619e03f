"""Measures what a command costs from process start to exit, beside an interpreter that does nothing.

Prints one JSON line per command. The commands take turns, so that whatever else the machine does hits all alike.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

ROUNDS = 15
LIVERMORE = str(Path(sys.executable).with_name("livermore"))
REFERENCE = (sys.executable, "-c", "pass")
# Arguments -> seconds: at least, and the aim.
TARGETS: dict[tuple[str, ...], tuple[float, float]] = {
    ("--version",): (0.15, 0.05),
    ("--help",): (0.25, 0.1),
    ("stages", "--list"): (0.6, 0.2),
}


# Where this is set, every run compiles our modules anew.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def seconds(command: tuple[str, ...], folder: str) -> float:
    """Wall-clock seconds of one run, in a folder without a configuration."""
    began = perf_counter()
    subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=30
    )
    return perf_counter() - began


def main() -> None:
    commands = [REFERENCE, *((LIVERMORE, *arguments) for arguments in TARGETS)]
    with tempfile.TemporaryDirectory(prefix="livermore-bench-") as folder:
        for command in commands:  # compiled modules and file caches are warm from here on
            seconds(command, folder)
        rounds = [[seconds(command, folder) for command in commands] for _ in range(ROUNDS)]
    reference, *found = (median(times) for times in zip(*rounds, strict=True))
    for (arguments, (at_least, aim)), own in zip(TARGETS.items(), found, strict=True):
        figures = {
            "benchmark": "startup",
            "command": " ".join(("livermore", *arguments)),
            "seconds": round(own, 4),
            "reference_seconds": round(reference, 4),
            "ratio": round(own / reference, 2),
            "at_least": at_least,
            "aim": aim,
        }
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
