"""`livermore demo`: the simulated exchange and the whole system in one process, with no account and no network."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from livermore_core import run_in_foreground
from livermore_simulator.clock import FASTEST
from livermore_simulator.commands import Number
from livermore_simulator.server import SimulatedExchange
from livermore_simulator.synthetic import SyntheticMarket

EPILOG = """\b
Examples:
  livermore demo
  livermore demo --speed 120 --products 25 --for 60
"""


@click.command(epilog=EPILOG)
@click.option("--speed", type=Number(0, FASTEST, min_open=True), default=60.0, show_default=True)
@click.option("--products", type=click.IntRange(1, 50), default=12, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the market.")
@click.option("--store", metavar="URL", help="Keep what is collected; forgotten at the end if not given.")
@click.option("--for", "seconds", type=Number(0, 1e9, min_open=True), help="Stop after SECONDS.")
def demo(speed: float, products: int, seed: int, store: str | None, seconds: float | None) -> int:
    """Watch candles close and MACD-V change on a simulated market that runs at 60 times the speed."""
    click.echo(f"a simulated market of {products} products at {speed:g} times the speed; Ctrl-C stops", err=True)
    start = datetime.now(UTC).timestamp()
    market = SyntheticMarket(products, start=start, seed=seed)
    exchange = SimulatedExchange(market, start=start, speed=speed)
    with tempfile.TemporaryDirectory(prefix="livermore-demo-") as folder:
        url = store or f"sqlite:///{Path(folder) / 'demo.sqlite'}"
        return run_in_foreground(lambda run: _beside(exchange, run, url), seconds=seconds)


async def _beside(exchange: SimulatedExchange, run: Any, store: str) -> Any:
    """Serve the exchange while livermore runs against it."""
    async with exchange:
        own = {"rest_url": exchange.rest_url, "ws_url": exchange.ws_url, "symbols": ["*-USD"]}
        return await run({"store": store, "exchanges": {"coinbase": own}}, ("coinbase",))
