"""Simulates hours upon hours under faults and holds every one against the truth: `make torture HOURS=200`."""

from __future__ import annotations

import gc
import json
import multiprocessing
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from math import ceil
from pathlib import Path
from typing import TextIO

import click
from livermore_indicators import IndicatorCalculationService
from slow_macd_v import slow_macd_v

from livermore_core import Context
from livermore_core.testing import Fault, Outcome, simulate
from livermore_core.testing.faults import from_text
from livermore_core.testing.simulation import MARKETS


async def indicate(context: Context) -> None:
    """The stage `indicators`, as the plugin runs it."""
    await IndicatorCalculationService(context).start()


def one(
    seed: int,
    hours: float,
    per_hour: float,
    beat: float = 1.0,
    faults: list[Fault] | None = None,
    products: int = len(MARKETS),
    previews_in: int = 1,
) -> Outcome:
    """A run of products from busy to nearly dead at all timeframes, with MACD-V."""
    gc.collect()  # what the run before left behind
    markets = dict(list(MARKETS.items())[len(MARKETS) // products - 1 :: len(MARKETS) // products])
    indicators = {"macd-v": ("livermore_indicators.macd_v:MacdV", slow_macd_v)}
    # A store that need not outlive the run lies in memory where it can.
    folder = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
    return simulate(
        seed,
        hours,
        faults=faults,
        per_hour=per_hour,
        beat=beat,
        markets=markets,
        indicate=indicate,
        indicators=indicators,
        previews=seed % previews_in == 0,
        folder=folder,
    )


def every(seeds: range, run: Callable[[int], Outcome], jobs: int) -> Iterator[Outcome]:
    """The outcome of each seed, as they come."""
    # A run makes millions of objects that live to its end; looking through them again and again frees nothing.
    rarely = partial(gc.set_threshold, 50_000, 20, 100)
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), rarely) as pool:
        yield from pool.map(run, seeds)


@click.command(epilog="Example: tests/torture.py --seed 19 --count 1 --each 6")
@click.option("--hours", type=float, default=None, help="Simulated hours in all, in place of --count.")
@click.option("--each", type=float, default=6.0, show_default=True, help="Simulated hours of one run.")
@click.option("--seed", type=int, default=1, show_default=True, help="The first seed.")
@click.option("--count", type=int, default=1, show_default=True, help="How many seeds.")
@click.option("--per-hour", type=float, default=4.0, show_default=True, help="Mean number of faults in an hour.")
@click.option("--beat", type=float, default=1.0, show_default=True, help="Seconds from frame to frame.")
@click.option(
    "--previews-in",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Of so many seeds one makes previews, which take a third of a run.",
)
@click.option("--faults", type=click.File(), help="A schedule to play, a JSON line per fault; one seed only.")
@click.option(
    "--products",
    type=click.IntRange(1, len(MARKETS)),
    default=len(MARKETS),
    show_default=True,
    help="How many.",
)
@click.option("--jobs", type=int, default=2, show_default=True, help="Processes at once.")
def main(
    hours: float | None,
    each: float,
    seed: int,
    count: int,
    per_hour: float,
    beat: float,
    previews_in: int,
    faults: TextIO | None,
    products: int,
    jobs: int,
) -> None:
    """Print a line per run and the sum; exit 1 where an invariant does not hold, and say how to see it again."""
    if hours is not None:
        count = max(1, ceil(hours / each))
    run = partial(one, hours=each, per_hour=per_hour, beat=beat, products=products, previews_in=previews_in)
    if faults is not None:
        outcomes: Iterator[Outcome] = iter([run(seed, faults=from_text(faults.read()))])
    else:
        outcomes = every(range(seed, seed + count), run, jobs)
    total = {"hours": 0.0, "faults": 0, "compared": 0, "violations": 0, "requests": 0, "slowest_healing": 0.0}
    for outcome in outcomes:
        total["hours"] += outcome.hours
        total["faults"] += len(outcome.faults)
        total["compared"] += outcome.compared
        total["violations"] += len(outcome.violations)
        total["requests"] += outcome.requests
        total["slowest_healing"] = max(total["slowest_healing"], outcome.healed)
        click.echo(
            f"seed {outcome.seed}: {outcome.hours:g} h, {len(outcome.faults)} faults, {outcome.compared} candles,"
            f" healed in {outcome.healed:g} s, {len(outcome.violations)} violations ({outcome.seconds:.1f} s)"
        )
        shown: Counter[str] = Counter()
        for violation in outcome.violations:
            shown[violation.invariant] += 1
            if shown[violation.invariant] <= 5:
                click.echo(f"  {violation.invariant}: {violation.what}")
        if outcome.violations:
            click.echo(
                f"  again: {sys.argv[0]} --seed {outcome.seed} --each {each:g} --per-hour {per_hour:g} --beat {beat:g}"
                f" --previews-in {previews_in} --products {products}"
            )
    click.echo(json.dumps(total | {"seeds": [seed, seed + count - 1]}))
    sys.exit(1 if total["violations"] else 0)


if __name__ == "__main__":
    main()
