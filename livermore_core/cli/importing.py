"""`livermore import`: candle history of a file into the store, checked, marked, and held against the exchange."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from livermore_core.cli.bars import bars
from livermore_core.cli.history_file import HistoryFile, read_history
from livermore_core.cli.output import config_option, show
from livermore_core.cli.verify import open_verification, show_differences, unlike
from livermore_core.errors import ConfigurationError, ExitCode, PermanentError, StoreAbsentError, near
from livermore_core.loading import reader, settings_of
from livermore_core.market.history import Addition, Unlike, add
from livermore_core.market.intervals import Intervals
from livermore_core.market.ledger import Ledger
from livermore_core.market.series import Series, is_symbol
from livermore_core.market.timeframe import iso, width
from livermore_core.store.finding import canonical, followed
from livermore_core.store.protocol import END

if TYPE_CHECKING:
    from livermore_core.config.settings import Settings
    from livermore_core.exchange.verification import Difference, Verification
    from livermore_core.plugins import Plugins
    from livermore_core.store.protocol import CandleStore

COLUMNS = ("time", "stored", "file")
EPILOG = """\b
Examples:
  livermore import history.csv --symbol BTC-USD --timeframe 1h --dry-run
  livermore import history.csv --symbol BTC-USD --timeframe 1h --verify

\b
The file has a header with time, open, high, low, close and volume, in any order, between commas or semicolons:
  time,open,high,low,close,volume
  2024-01-03T12:00:00Z,42744.07,42801.5,42700.01,42790.9,118.25

Exit: 0 all is stored, 1 something differs from what the store or the exchange says, 2 the file is wrong.
"""


@click.command("import", epilog=EPILOG)
@click.argument("history", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--symbol", required=True, help="Of which symbol it is, e.g. BTC-USD.")
@click.option("--timeframe", required=True, help="Of which timeframe, e.g. 1h.")
@click.option("--exchange", help="Of which exchange, where several are followed.")
@click.option("--complete", "is_complete", is_flag=True, help="Where the file has no row, nothing traded.")
@click.option("--verify", "is_verified", is_flag=True, help="Compare with the exchange, which is right.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Check the file and say what would come of it; change nothing.")
@click.option("--store", metavar="URL", help="The store to write, e.g. sqlite:////var/lib/livermore.sqlite.")
@config_option
def import_(
    history: Path,
    symbol: str,
    timeframe: str,
    exchange: str | None,
    is_complete: bool,
    is_verified: bool,
    is_dry: bool,
    store: str | None,
    file: Path | None,
) -> int:
    """Add the candles of FILE to the store, all of them or none, where the store knows nothing yet.

    What the store knows stays as it is; what differs from it is listed. A row's time is its bucket's open time: UNIX
    seconds, milliseconds or ISO 8601. A row with volume 0 says that nothing traded in its bucket. No process may be
    writing the store.
    """
    width(timeframe)
    if is_dry and is_verified:
        raise click.UsageError("--verify compares what was stored; leave out --dry-run")
    symbol = symbol.strip().upper().replace("/", "-")
    if not is_symbol(symbol):
        raise click.BadParameter(f"{symbol!r} is no symbol; write e.g. BTC-USD", param_hint="--symbol")
    with bars(rows=None) as advance:
        read = read_history(history, timeframe, time.time(), partial(advance, "rows"))
    importing = _Import(file, store, is_complete, read)
    asyncio.run(importing.run(symbol, timeframe, exchange, is_dry, is_verified))
    return ExitCode.OK if importing.is_well() else ExitCode.ANSWER_IS_NO


class _Import:
    """One file on its way into one series."""

    def __init__(self, file: Path | None, url: str | None, is_complete: bool, read: HistoryFile) -> None:
        self._file, self._url, self._is_complete, self._read = file, url, is_complete, read
        self.series: Series
        self.addition: Addition
        self.differences: list[Difference] = []
        # Candles of the series beyond what is kept.
        self.beyond = 0
        self.is_new = True
        self.refused = ""

    @property
    def start(self) -> int:
        return min(self._read.buckets)

    @property
    def end(self) -> int:
        return max(self._read.buckets) + width(self.series.timeframe)

    async def run(self, symbol: str, timeframe: str, exchange: str | None, is_dry: bool, is_verified: bool) -> None:
        """Find the series, add to it what is unknown, have it verified, and print what came of it.

        Raises LivermoreError.
        """
        plugins, settings = settings_of(self._file, self._url)
        self.series = Series(_exchange(plugins, settings, exchange), symbol, timeframe)
        async with AsyncExitStack() as stack:
            store = await self._open(stack, plugins, settings, is_dry)
            if store is not None:
                self.series = self.series._replace(symbol=canonical(symbol, await followed(store)))
            with bars(candles=None):
                await self._plan(store, settings.retention[timeframe])
                if store is not None and not is_dry:
                    await self._write(store)
            self._tell(is_dry)
            if store is not None and is_verified:
                await self._verify(await self._verification(stack, store))

    async def _open(
        self, stack: AsyncExitStack, plugins: Plugins, settings: Settings, is_dry: bool
    ) -> CandleStore | None:
        """The store; None where it would have to be made, and is not."""
        from livermore_core.opening import open_writer

        if not is_dry:
            opened: CandleStore = await open_writer(stack, plugins, settings, lambda event, fields: None)
            return opened
        try:
            return await stack.enter_async_context(reader(self._file, self._url))
        except StoreAbsentError:
            return None

    async def _plan(self, store: CandleStore | None, keep: int) -> None:
        coverage, hidden, present, held = Intervals(), [], [], 0
        if store is not None:
            coverage = await store.coverage(self.series)
            hidden = await store.hidden(self.series, self.start, self.end)
            present = await store.candles(self.series, since=self.start, until=self.end)
            held = await store.count(self.series, 0, END)
            self.is_new = not any(each.symbol == self.series.symbol for each in await store.series())
        self.addition = add(
            Ledger(self.series, coverage, {row.time: row for row in hidden}),
            {row.time: row for row in present},
            self._read.buckets,
            is_complete=self._is_complete,
            moment=time.time(),
        )
        self.beyond = max(0, held + len(self.addition.change.rows) - keep)

    async def _write(self, store: CandleStore) -> None:
        from livermore_core.store.protocol import Batch, SeriesChange

        change = self.addition.change
        if change:
            written = SeriesChange(
                series=self.series,
                rows=list(change.rows.values()),
                hidden=list(change.hidden.values()),
                covered=change.covered,
            )
            await store.transact(Batch(changes=[written], events=change.events))

    async def _verification(self, stack: AsyncExitStack, store: CandleStore) -> Verification:
        name, symbol, _ = self.series
        return await open_verification(stack, self._file, self._url, name, store, symbol, share=1.0)

    async def _verify(self, verification: Verification) -> None:
        pages = await verification.pages(self.series, self.start, self.end)
        try:
            with click.progressbar(pages, label=f"comparing {len(pages)} pages", file=sys.stderr) as bar:
                for page in bar:
                    self.differences += await verification.adopt(self.series, *page)
        except PermanentError as error:
            self.refused = str(error)
            click.echo(f"{self.series} cannot be compared: {error}", err=True)
        if self.differences:
            show_differences(self.differences)
        compared, differed = f"{verification.candles:,} candles compared", f"{len(self.differences):,} differed"
        click.echo(f"{compared} with {self.series.exchange}, {differed}; what it says is stored")

    # ---- what came of it ----

    def is_well(self) -> bool:
        return not (self.addition.unlike or self.differences or self.refused)

    def _tell(self, is_dry: bool) -> None:
        """Print what differs from the store as a table, and a line about the whole."""
        if self.addition.unlike:
            show([_row(each) for each in self.addition.unlike], COLUMNS)
        self._note()
        counts = {
            "without a trade": self.addition.empty,
            "known already": self.addition.already,
            "unlike what is stored, which stays": len(self.addition.unlike),
            "twice in the file": self._read.repeated,
        }
        told = [f"{len(self.addition.change.rows):,} candles of {self.series}, {iso(self.start)} to {iso(self.end)}"]
        told += [f"{what}: {count:,}" for what, count in counts.items() if count]
        click.echo(f"{'would import' if is_dry else 'imported'} {'; '.join(told)}")

    def _note(self) -> None:
        if self.is_new:
            click.echo(f"note: nothing is stored of {self.series.symbol} so far", err=True)
        if self.beyond:
            click.echo(
                f"note: the next run trims the oldest {self.beyond:,} candles of the series;"
                f" raise retention.{self.series.timeframe} to keep them",
                err=True,
            )


def _row(each: Unlike) -> dict[str, Any]:
    texts = unlike(each.known, each.said)
    return {"time": iso(each.time), "stored": texts["ours"] or "no trade", "file": texts["theirs"] or "no trade"}


def _exchange(plugins: Plugins, settings: Settings, typed: str | None) -> str:
    """The exchange that was named, or the one that is followed. Raises ConfigurationError."""
    if typed is None:
        if len(settings.followed) == 1:
            return settings.followed[0]
        raise ConfigurationError(
            f"name one exchange with --exchange; followed: {', '.join(settings.followed) or 'none'}"
        )
    if typed not in plugins.exchanges:
        known = ", ".join(plugins.exchanges) or "none"
        raise ConfigurationError(
            f"--exchange: unknown exchange {typed!r}{near(typed, plugins.exchanges)}; installed: {known}"
        )
    return typed
