"""`livermore simulate`: the simulated exchange in the foreground."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from math import isnan
from pathlib import Path
from typing import Any

import click

from livermore_core.testing import Fault
from livermore_simulator.clock import FASTEST
from livermore_simulator.market import Market
from livermore_simulator.primitives import drawn, unmeant, written
from livermore_simulator.quirks import Quirks
from livermore_simulator.recorded import PERIOD, RecordedMarket
from livermore_simulator.server import SimulatedExchange
from livermore_simulator.synthetic import SyntheticMarket

RECORDED_START = "2024-01-03T00:00:00Z"
QUIRKS = {"default": Quirks(), "all": Quirks.all(), "none": Quirks.none(), "unsummed": Quirks(native_differs=True)}
RANDOM = "random"
EPILOG = """\b
Examples:
  livermore simulate --speed 60 --products 12
  livermore simulate --data ../shared/data/market --speed 120 --quirks all
  livermore simulate --speed 60 --faults faults.jsonl   with e.g. this line:
    {"at": 120, "kind": "rest.status", "code": 503, "lasts": 60}
  livermore simulate --speed 60 --faults random --seed 7
"""


class Moment(click.ParamType[float]):
    """An ISO 8601 time; UTC where it does not say."""

    name = "time"

    def convert(self, value: str | float, parameter: click.Parameter | None, context: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time; write e.g. 2024-01-03T12:00:00Z")
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


class Schedule(click.ParamType[str | list[Fault]]):
    """A file of faults, or the word for drawing them."""

    name = "file"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        if value == RANDOM or isinstance(value, list):
            return value
        try:
            return written(Path(value).read_text())
        except (OSError, ValueError) as error:
            self.fail(f"{value}: {getattr(error, 'strerror', None) or error}")


class Number(click.FloatRange):
    """A range with an end, for `inf`, and without `nan`, which no comparison keeps out."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        number: float = super().convert(value, parameter, context)
        if isnan(number):
            self.fail(f"{value!r} is no number; write e.g. 60")
        return number


@click.command(epilog=EPILOG)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on loopback; any free one if not given.")
@click.option("--data", "directory", type=click.Path(path_type=Path), metavar="DIR", help="Recorded candle files.")
@click.option("--period", default=PERIOD, show_default=True, help="Which of the recorded files.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the market and of every quirk.")
@click.option("--speed", type=Number(0, FASTEST), default=1.0, show_default=True, help="0 holds time still.")
@click.option("--start", type=Moment(), help="Exchange time to start at (ISO 8601).")
@click.option("--products", type=int, default=12, show_default=True, help="Synthetic products.")
@click.option("--days", type=click.IntRange(1, 365), default=30, show_default=True, help="Of synthetic history.")
@click.option("--quirks", type=click.Choice(list(QUIRKS)), default="default", show_default=True)
@click.option(
    "--faults",
    type=Schedule(),
    metavar="FILE|random",
    help="Play a schedule of faults, a JSON line each; `random` draws one from --seed.",
)
@click.option("--latency", type=Number(0, 60_000), default=0.0, metavar="MS", help="Of each REST answer.")
def simulate(
    port: int,
    directory: Path | None,
    period: str,
    seed: int,
    speed: float,
    start: float | None,
    products: int,
    days: int,
    quirks: str,
    faults: str | list[Fault] | None,
    latency: float,
) -> None:
    """Run a simulated exchange on loopback that speaks Coinbase's REST and WebSocket protocol."""
    market, begin = _market(directory, period, seed, start, products, days)
    planned = drawn(seed, list(market.products)) if isinstance(faults, str) else faults or []
    unknown = unmeant(planned, market.products)
    if unknown:
        raise click.BadParameter(unknown, param_hint="--faults")
    exchange = SimulatedExchange(
        market, start=begin, speed=speed, quirks=QUIRKS[quirks], port=port, latency=latency / 1000.0, say=_say
    )
    asyncio.run(_serve(exchange, planned))


def _say(line: str) -> None:
    click.echo(f"fault      {line}")


def _market(
    directory: Path | None, period: str, seed: int, start: float | None, products: int, days: int
) -> tuple[Market, float]:
    """The market asked for and when it begins. Raises click.BadParameter."""
    if directory is None:
        begin = datetime.now(UTC).timestamp() if start is None else start
        try:
            return SyntheticMarket(products, start=begin, seed=seed, days=days), begin
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--products") from None
    try:
        market = RecordedMarket(directory, period=period, seed=seed)
    except FileNotFoundError as error:
        raise click.BadParameter(str(error), param_hint="--data") from None
    begin = datetime.fromisoformat(RECORDED_START).timestamp() if start is None else start
    first, last = market.span
    if not first < begin < last:
        raise click.BadParameter(
            f"outside of what is recorded: {datetime.fromtimestamp(first, UTC):%Y-%m-%dT%H:%MZ} to"
            f" {datetime.fromtimestamp(last, UTC):%Y-%m-%dT%H:%MZ}",
            param_hint="--start",
        )
    return market, begin


async def _serve(exchange: SimulatedExchange, faults: Sequence[Fault]) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    try:
        async with exchange:
            for line in _told(exchange, faults):
                click.echo(line)
            exchange.faults.plan(faults)
            await stopped.wait()
    except OSError as error:
        raise click.ClickException(f"port: {error.strerror or error}") from None


def _told(exchange: SimulatedExchange, faults: Sequence[Fault]) -> list[str]:
    now = datetime.fromtimestamp(exchange.clock.now(), UTC)
    return [
        f"REST       {exchange.rest_url}",
        f"WebSocket  {exchange.ws_url}",
        f"control    {exchange.control_url}/state",
        f"market     {len(exchange.market.products)} products, seed {exchange.seed}, {now:%Y-%m-%dT%H:%M:%SZ},"
        f" speed {exchange.clock.speed:g}",
        *([f"faults     {len(faults)} planned, the last {faults[-1].at:g} s from now"] if faults else []),
        f"use it     LIVERMORE_EXCHANGES__COINBASE__REST_URL={exchange.rest_url}"
        f" LIVERMORE_EXCHANGES__COINBASE__WS_URL={exchange.ws_url} livermore start",
    ]
