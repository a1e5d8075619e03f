"""`livermore verify`: the store compared with the exchange over REST; exit 1 where they differ."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from livermore_core.cli.output import moment_of, reading_options, show
from livermore_core.errors import ConfigurationError, ExitCode, PermanentError
from livermore_core.loading import reader, settings_of
from livermore_core.market.candle import Candle
from livermore_core.market.intervals import Interval
from livermore_core.market.series import Series
from livermore_core.market.timeframe import WIDTHS, iso, width
from livermore_core.store.finding import find_series, find_stored, find_symbol
from livermore_core.store.protocol import CandleStore

if TYPE_CHECKING:
    from livermore_core.exchange.verification import Difference, Verification

# Of the pace that is granted: enough is left for the process that writes the store.
SHARE = 0.25
FIELDS = ("open", "high", "low", "close", "volume")
COLUMNS = ("exchange", "symbol", "timeframe", "time", "difference", "ours", "theirs")
EPILOG = """\b
Examples:
  livermore verify
  livermore verify BTC-USD 5m --since 2026-01-01 --until 2026-02-01
"""


@click.command(epilog=EPILOG)
@click.argument("symbol", required=False)
@click.argument("timeframe", required=False)
@click.option("--exchange", help="Of this exchange alone.")
@click.option("--since", metavar="TIME", help="From this time on (ISO 8601); if not given, the last page.")
@click.option("--until", metavar="TIME", help="Before this time.")
@reading_options
def verify(
    symbol: str | None,
    timeframe: str | None,
    exchange: str | None,
    since: str | None,
    until: str | None,
    as_json: bool,
    store: str | None,
    file: Path | None,
) -> int:
    """Compare stored candles with the exchange's own: all series, those of SYMBOL, or one. Exit 1 where they differ."""
    if timeframe is not None:
        width(timeframe)
    span = (moment_of(since), moment_of(until))
    if None not in span and span[0] >= span[1]:  # type: ignore[operator]
        raise click.BadParameter("is not before --until", param_hint="--since")
    result = asyncio.run(_Result().fill(file, store, (symbol, timeframe, exchange), span))
    if as_json:
        click.echo(json.dumps(result.as_json(), indent=1))
    else:
        result.tell()
    return ExitCode.ANSWER_IS_NO if result.differences or result.refused else ExitCode.OK


class _Result:
    """What was compared, what differs, and the series of which the exchange refuses to speak, with the cause."""

    def __init__(self) -> None:
        self.series = self.candles = 0
        self.differences: list[Difference] = []
        self.refused: dict[Series, str] = {}

    async def fill(
        self,
        file: Path | None,
        url: str | None,
        asked: tuple[str | None, str | None, str | None],
        span: tuple[int | None, int | None],
    ) -> _Result:
        """Compare what is asked for. Raises LivermoreError."""
        async with AsyncExitStack() as stack:
            store = await stack.enter_async_context(reader(file, url))
            chosen = await _chosen(store, *asked)
            for exchange, series in groupby(chosen, key=attrgetter("exchange")):
                verification = await open_verification(stack, file, url, exchange, store)
                await self._compare(verification, list(series), span)
                self.candles += verification.candles
        return self

    async def _compare(
        self, verification: Verification, chosen: list[Series], span: tuple[int | None, int | None]
    ) -> None:
        pages = [(series, page) for series in chosen for page in await verification.pages(series, *span)]
        self.series += len({series for series, _ in pages})
        with click.progressbar(length=len(pages), label=f"comparing {len(pages)} pages", file=sys.stderr) as bar:
            for series, page in pages:
                await self._page(verification, series, page)
                bar.update(1)

    async def _page(self, verification: Verification, series: Series, page: Interval) -> None:
        if series in self.refused:
            return
        try:
            self.differences += await verification.compare(series, *page)
        except PermanentError as error:
            self.refused[series] = str(error)

    def as_json(self) -> dict[str, Any]:
        """The whole result, JSON-able."""
        differences = [
            _about(each) | {"ours": _fields(each.ours), "theirs": _fields(each.theirs)} for each in self.differences
        ]
        refused = [series._asdict() | {"cause": cause} for series, cause in self.refused.items()]
        return {"series": self.series, "candles": self.candles, "differences": differences, "refused": refused}

    def tell(self) -> None:
        """Print a table of what differs, and a line about the whole."""
        if self.differences:
            show_differences(self.differences)
        for series, cause in self.refused.items():
            click.echo(f"{series} cannot be compared: {cause}", err=True)
        click.echo(f"{self.candles:,} candles of {self.series} series compared, {len(self.differences)} differ")


def show_differences(differences: Sequence[Difference]) -> None:
    """Print a table of what differs."""
    rows = [_about(each) | unlike(each.ours, each.theirs) for each in differences]
    show(rows, COLUMNS)


def _about(difference: Difference) -> dict[str, Any]:
    """`missing`: the exchange has a candle where our bucket is empty; `extra`: the other way round; else `values`."""
    kind = "missing" if difference.ours is None else "extra" if difference.theirs is None else "values"
    return difference.series._asdict() | {"time": iso(difference.time), "difference": kind}


def _fields(candle: Candle | None) -> dict[str, float] | None:
    return None if candle is None else {field: getattr(candle, field) for field in FIELDS}


def unlike(ours: Candle | None, theirs: Candle | None) -> dict[str, str]:
    """The fields in which two candles are unlike; all where the other one is not there."""
    one, other = _texts(_fields(ours)), _texts(_fields(theirs))
    return {
        "ours": " ".join(text for text in one if text not in other),
        "theirs": " ".join(text for text in other if text not in one),
    }


def _texts(candle: dict[str, float] | None) -> list[str]:
    """As many digits as show a volume that counts as another one."""
    return [f"{field}={value:.12g}" for field, value in (candle or {}).items()]


async def _chosen(store: CandleStore, symbol: str | None, timeframe: str | None, exchange: str | None) -> list[Series]:
    """The series asked for, by exchange, symbol and width. Raises NotStoredError."""
    if symbol is None:
        found = await find_stored(store, exchange)
    elif timeframe is None:
        found = await find_symbol(store, symbol, exchange)
    else:
        found = [await find_series(store, symbol, exchange, timeframe)]
    return sorted(found, key=lambda series: (series.exchange, series.symbol, WIDTHS[series.timeframe]))


async def open_verification(
    stack: AsyncExitStack,
    file: Path | None,
    url: str | None,
    name: str,
    store: CandleStore,
    symbol: str | None = None,
    share: float = SHARE,
) -> Verification:
    """A client and a budget of its own. Who adopts what it says names the `symbol`, and is the store's writer.

    Raises ConfigurationError where the exchange is not installed.
    """
    from livermore_core import log
    from livermore_core.bus import Bus
    from livermore_core.exchange.budget import Budget
    from livermore_core.exchange.clock import ExchangeClock
    from livermore_core.exchange.heal import Healer
    from livermore_core.exchange.recorder import Recorder
    from livermore_core.exchange.verification import Verification
    from livermore_core.opening import open_exchange

    plugins, settings = settings_of(file, url)
    if name not in plugins.exchanges:
        raise ConfigurationError(
            f"candles of {name!r} are stored, but no such exchange is installed:"
            f" {', '.join(plugins.exchanges) or 'none is'}; name another one with --exchange"
        )
    log.configure(settings.log_format, "warning")
    client = await open_exchange(stack, plugins, settings, name, lambda event, fields: None)
    exchange, own = plugins.exchanges[name], settings.exchanges[name]
    offered = getattr(client, "requests_per_second", exchange.requests_per_second)
    pace = share * (getattr(own, "requests_per_second", None) or offered)
    clock = ExchangeClock()
    known = {each.timeframe for each in await store.series() if each[:2] == (name, symbol)}
    recorder = Recorder(name, tuple(known), store, Bus(), clock)
    if symbol is not None:
        await recorder.load([symbol])
    healer = Healer(client, recorder, Budget(pace), clock, exchange.page_size, lambda event, fields: None)
    return Verification(healer, store)
