"""Kills and freezes who follows the exchange and who computes, each 20 times, on one store: `make apart`."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
from apart_reckoning import reckoned
from apart_round import LEASE, ROLES, prepared
from livermore_simulator import compare

SHOWN = 20


async def run(hours: float, kills: int, freezes: int, seed: int, speed: float, empty: str) -> dict[str, Any]:
    """One round; its summary."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="livermore-apart-") as name:
        async with prepared(Path(name), seed, speed, empty) as round_:
            async with round_.started() as alone:
                await round_.suffer(hours, kills, freezes, seed)
                truth = await compare(round_.url, round_.exchange.control_url)
                for role in round_.roles[::-1]:
                    await role.stop()
                problems = [] if await alone.stop() == 0 else ["alone: ended otherwise than asked"]
            reckoning = await reckoned(round_.url, round_.alone, round_.follower, round_.series, empty)
    taken = [each for role in round_.roles for each in role.taken]
    problems += [each for role in round_.roles for each in role.problems]
    return {
        "seed": seed,
        "hours": hours,
        "empty": empty,
        "kills": {role: sum(each.role == role and not each.is_freeze for each in taken) for role in ROLES},
        "freezes": {role: sum(each.role == role and each.is_freeze for each in taken) for role in ROLES},
        "lost_by_lag": sum(role.lags for role in round_.roles),
        "largest_takeover_over_lease": round(max(each.seconds for each in taken) / LEASE, 3),
        "largest_seconds_until_live": round(max((each.until_ready or 0.0 for each in taken), default=0.0), 2),
        "events": round_.follower.events,
        "candles_of_the_truth": truth.rows,
        **{name: value for name, value in reckoning._asdict().items() if name != "differences"},
        "differences": [*problems, *truth.differences, *reckoning.differences],
        "seconds": round(time.monotonic() - began, 1),
    }


@click.command(epilog="Example: tests/apart.py --hours 12 --kills 20 --freezes 10 --seed 7")
@click.option("--hours", type=float, default=12.0, show_default=True, help="Of exchange time.")
@click.option("--kills", type=click.IntRange(0), default=20, show_default=True, help="SIGKILLs of each role.")
@click.option(
    "--freezes", type=click.IntRange(0), default=10, show_default=True, help="SIGSTOPs past the lease of each."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the market and of what happens when.")
@click.option("--speed", type=float, default=60.0, show_default=True, help="Exchange seconds in a second.")
@click.option("--empty", type=click.Choice(["skip", "carry", "flat"]), default="skip", show_default=True)
def main(hours: float, kills: int, freezes: int, seed: int, speed: float, empty: str) -> None:
    """Print a summary; exit 1 where anything differs."""
    summary = asyncio.run(run(hours, kills, freezes, seed, speed, empty))
    differences = summary["differences"]
    for each in differences[:SHOWN]:
        click.echo(each)
    click.echo(json.dumps(summary | {"differences": len(differences)}))
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
