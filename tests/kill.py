"""Kills livermore at named points and at any moment, and holds what is left to account: `make kill N=20`."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import click
from crashing import POINTS
from kill_round import PRODUCTS, RANDOM, Kill, Round

from livermore_core.testing import Violation

# A random instant is at most so many real seconds after the start.
LATEST = 2.0
SHOWN = 5
# The most times a point is surely reached soon; of a backfill that is not the first one, once.
MOST = {
    "schema": 12,
    "backfill.learn": 1,
    "seam.learn": 3,
    "seam.live": PRODUCTS,
    "trim": 3,
}
OFTEN = 20
FIRST_BACKFILL = 9


def cycle() -> list[str]:
    """The points in the order in which a store meets them, and random instants among them."""
    points: list[str] = []
    for place, name in enumerate(POINTS):
        points += [name, RANDOM] if place % 6 == 5 else [name]
    return [*points, RANDOM]


def plan(points: list[str], seed: int) -> list[Kill]:
    """A kill at each point; what it is depends on the seed and its place alone."""
    kills = []
    for place, point in enumerate(points):
        chance = random.Random(f"{seed}:{place}")
        most = FIRST_BACKFILL if point == "backfill.learn" and place == 1 else MOST.get(point, OFTEN)
        nth, after = chance.randint(1, most), chance.uniform(0.3, LATEST)
        kills.append(Kill(point, nth, after, chance.random() < 0.5, chance.random() < 0.5))
    return kills


async def run(count: int, seed: int, speed: float, at: str | None) -> dict[str, Any]:
    """All rounds, each with a store of its own and a kill at every point, told kill by kill; their summary."""
    began = time.monotonic()
    total: Counter[str] = Counter()
    per_point: Counter[str] = Counter()
    unreached: Counter[str] = Counter()
    points = [at] * len(cycle()) if at else cycle()
    for number, first in enumerate(range(0, count, len(points))):
        kills = plan(points[: count - first], seed + number)
        with tempfile.TemporaryDirectory(prefix="livermore-kill-") as folder:
            played = Round(Path(folder), seed + number, speed)
            violations = await play(played, kills)
        if violations:
            only = f" --at {at}" if at else ""
            click.echo(f"again: {sys.argv[0]} --count {len(kills)} --seed {seed + number} --speed {speed:g}{only}")
        per_point.update(kill.point for kill in kills)
        unreached += played.unreached
        total["lost"] += sum("is gone" in violation.what for violation in violations)
        total.update(violations=len(violations), acknowledged_rows=played.journal.rows, compared=played.compared)
        total.update(events_read=len(played.consumer.read), gaps_read=played.consumer.gaps)
    seeds, seconds = [seed, seed + number], round(time.monotonic() - began, 1)
    counts = {"kills": count, "per_point": dict(per_point), "unreached": dict(unreached)}
    return {"seeds": seeds, **counts, **total, "seconds": seconds}


async def play(played: Round, kills: list[Kill]) -> list[Violation]:
    """One round: every kill, then a run that is left in peace."""
    violations: list[Violation] = []
    async with played.exchange:
        for kill in kills:
            since = time.monotonic()
            found = await played.kill(kill)
            _tell(f"kill at {kill}", time.monotonic() - since, played, found)
            violations += found
        since = time.monotonic()
        found = await played.finish()
        _tell(f"at last, {played.compared} candles compared", time.monotonic() - since, played, found)
        violations += found
    return violations


def _tell(what: str, seconds: float, played: Round, found: list[Violation]) -> None:
    read, rows = len(played.consumer.read), played.journal.rows
    click.echo(f"{what}: {seconds:.1f} s, {rows} rows acknowledged, {read} events read, {len(found)} violations")
    shown: Counter[str] = Counter()
    for violation in found:
        shown[violation.invariant] += 1
        if shown[violation.invariant] <= SHOWN:
            click.echo(f"  {violation.invariant}: {violation.what}")


@click.command(epilog="Example: tests/kill.py --count 100 --seed 7")
@click.option("-n", "--count", type=click.IntRange(1), default=20, show_default=True, help="How many kills.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the market, its quirks and the kills.")
@click.option("--speed", type=float, default=300.0, show_default=True, help="Exchange seconds in a second.")
@click.option("--at", type=click.Choice([*POINTS, RANDOM]), help="Kill at this point only.")
def main(count: int, seed: int, speed: float, at: str | None) -> None:
    """Print a line per kill and a summary; exit 1 where anything does not hold, and say how to see it again."""
    summary = asyncio.run(run(count, seed, speed, at))
    click.echo(json.dumps(summary))
    sys.exit(1 if summary["violations"] else 0)


if __name__ == "__main__":
    main()
