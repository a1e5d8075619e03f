"""Breaks a copy of the code by each patch of tests/mutants and demands that the invariant it names notices."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import click

ROOT = Path(__file__).parents[1]
PACKAGES = (
    "livermore_core",
    *(f"plugins/livermore-{name}/livermore_{name}" for name in ("coinbase", "indicators", "simulator")),
)
PRODUCTS = 4
# A mutant that hangs is noticed by the clock.
WITHIN = 120.0
HANGS = -1


class Mutant(NamedTuple):
    """A patch: what it does, the invariants of which one must notice it, and what is run to see it."""

    path: Path
    title: str
    invariants: frozenset[str]
    tests: str
    seed: str
    hours: str
    faults: str


def read(path: Path) -> Mutant:
    """The mutant of a patch, from the lines before its first file."""
    head = path.read_text().partition("\n--- ")[0]
    said = dict(re.findall(r"^(Caught by|Tests|Seed|Hours): (.+)$", head, re.M))
    faults = "\n".join(re.findall(r"^Fault: (.+)$", head, re.M))
    return Mutant(
        path,
        head.splitlines()[0],
        frozenset(said["Caught by"].split()),
        said.get("Tests", ""),
        said.get("Seed", "1"),
        said.get("Hours", "1"),
        faults,
    )


def judge(mutant: Mutant) -> tuple[bool, str]:
    """Whether it was noticed by an invariant that it names, and what was seen."""
    with tempfile.TemporaryDirectory(prefix="livermore-mutant-") as folder:
        place = Path(folder)
        for package in PACKAGES:
            shutil.copytree(ROOT / package, place / package, ignore=shutil.ignore_patterns("__pycache__"))
        applied = subprocess.run(["git", "apply", str(mutant.path)], cwd=place, capture_output=True, text=True)
        if applied.returncode:
            return False, f"the patch does not apply: {applied.stderr.strip()}"
        # What the programs of the tests share is not mutated.
        paths = [place, *(place / Path(package).parent for package in PACKAGES[1:]), ROOT / "tests"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONDONTWRITEBYTECODE": "1"}
        environment["PYTHONSAFEPATH"] = "1"  # else the folder we start in would come before the mutant
        smoke = _run([sys.executable, "-m", "livermore_core", "stages", "--list"], environment)
        if smoke.returncode:
            return False, f"it does not even start, which proves nothing: {smoke.stdout[-300:]}"
        return _by_tests(mutant, environment) if mutant.tests else _by_simulation(mutant, environment, place)


def _by_tests(mutant: Mutant, environment: dict[str, str]) -> tuple[bool, str]:
    result = _run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", mutant.tests], environment)
    if result.returncode > 1:
        return False, f"no such test: {result.stdout.strip()[-200:]}"
    return result.returncode == 1, mutant.tests.rpartition("::")[2]


def _by_simulation(mutant: Mutant, environment: dict[str, str], place: Path) -> tuple[bool, str]:
    schedule = place / "faults.jsonl"
    schedule.write_text(mutant.faults)
    program = [sys.executable, str(ROOT / "tests" / "torture.py"), "--faults", str(schedule)]
    arguments = ["--seed", mutant.seed, "--each", mutant.hours, "--products", str(PRODUCTS)]
    result = _run([*program, *arguments], environment)
    if result.returncode == HANGS:
        return "V1" in mutant.invariants, f"V1: it hangs, nothing for {WITHIN:.0f} s"
    seen = re.findall(r"^  ([A-Z]\d+): (.+)$", result.stdout, re.M)
    named = [f"{invariant}: {what}" for invariant, what in seen if invariant in mutant.invariants]
    others = ", ".join(sorted({invariant for invariant, _ in seen})) or result.stdout.strip()[-300:]
    return bool(named), named[0] if named else f"unnoticed; seen: {others}"


def _run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=WITHIN,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, HANGS, "")


@click.command(epilog="Example: tests/run_mutants.py gives-up")
@click.argument("wanted", default="")
@click.option("--jobs", type=int, default=2, show_default=True, help="Mutants at once.")
def main(wanted: str, jobs: int) -> None:
    """Run every mutant, or those whose name holds WANTED; exit 1 where one goes unnoticed."""
    mutants = [read(path) for path in sorted((ROOT / "tests" / "mutants").glob("*.patch")) if wanted in path.name]
    caught = 0
    with ThreadPoolExecutor(jobs) as pool:
        for mutant, (is_caught, seen) in zip(mutants, pool.map(judge, mutants), strict=True):
            caught += is_caught
            click.echo(f"{'caught' if is_caught else 'MISSED'} {mutant.path.stem}: {seen[:160]}")
    click.echo(f"{caught} of {len(mutants)} mutants caught")
    sys.exit(0 if caught == len(mutants) else 1)


if __name__ == "__main__":
    main()
