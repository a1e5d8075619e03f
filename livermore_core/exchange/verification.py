"""Compares what is stored with what the exchange says now; changes it only where it is told to adopt that."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import msgspec

from livermore_core.errors import TransientError, UnavailableError
from livermore_core.exchange.heal import Healer, backoff
from livermore_core.market.candle import Candle, same
from livermore_core.market.intervals import Interval, Intervals
from livermore_core.market.proof import EMPTY_DELAY, Proof, prove
from livermore_core.market.series import Series
from livermore_core.market.timeframe import WIDTHS, ceiling, floor
from livermore_core.store.protocol import CandleStore

ATTEMPTS = 5
Answer = TypeVar("Answer")


class Difference(msgspec.Struct, frozen=True):
    """A bucket that the store and the exchange tell differently; None: no candle is there."""

    series: Series
    time: int
    ours: Candle | None
    theirs: Candle | None


class Verification:
    """Compares page by page, at the pace of the healer's budget. `candles` counts those compared so far.

    What the store does not know, and what is too young for the exchange to be held to it, is left out.
    """

    def __init__(self, healer: Healer, store: CandleStore) -> None:
        self._healer, self._store = healer, store
        self.candles = 0

    async def pages(self, series: Series, since: int | None, until: int | None) -> list[Interval]:
        """The pages of a series to compare, oldest first: those of [since, until), or its last one.

        Raises UnavailableError where the exchange cannot be reached, StoreError.
        """
        width = WIDTHS[series.timeframe]
        size = self._healer.page_size * width
        known = await self._store.coverage(series)
        moment = self._healer.clock.now or await self._patiently(self._healer.time)
        end = min(floor(moment - EMPTY_DELAY, series.timeframe), known.end or 0)
        if until is not None:
            end = min(end, ceiling(until, series.timeframe))
        start = max(end - size if since is None else ceiling(since, series.timeframe), known.start or 0)
        starts = range(start, end, size)
        return [(low, min(low + size, end)) for low in starts if known.within(low, min(low + size, end))]

    async def compare(self, series: Series, start: int, end: int) -> list[Difference]:
        """How one page differs. Raises PermanentError, CredentialsError, UnavailableError or StoreError."""
        candles, found, _ = await self._look(series, start, end)
        if found:  # whoever writes the store may have been about to learn it
            candles, found, _ = await self._look(series, start, end)
        self.candles += candles
        return found

    async def adopt(self, series: Series, start: int, end: int) -> list[Difference]:
        """How one page differed: the store has all that the exchange has proven now. For its writer, who looks once.

        The recorder has loaded the symbol. Raises what `compare` does.
        """
        candles, found, proof = await self._look(series, start, end)
        self.candles += candles
        if proof.covered:
            await self._healer.recorder.learn(series, proof.covered, proof.rows, live=False, derive=False)
        return found

    async def _look(self, series: Series, start: int, end: int) -> tuple[int, list[Difference], Proof]:
        width = WIDTHS[series.timeframe]
        page = await self._patiently(lambda: self._healer.ask(series, start, end, priority=(0,)))
        proof = prove(
            page.rows,
            start=start,
            end=end,
            width=width,
            moment=page.moment,
            rejected=page.rejected,
            page_size=self._healer.page_size,
        )
        # Coverage first: what is written after it is read is left out.
        known = await self._store.coverage(series)
        ours = {row.time: row for row in await self._store.candles(series, since=start, until=end)}
        theirs = {row.time: row for row in proof.rows}
        proven = Intervals(proof.covered)
        times = [
            time
            for time in sorted(ours.keys() | theirs.keys())
            if known.covers(time, time + width) and proven.covers(time, time + width)
        ]
        return len(times), list(_differences(series, times, ours, theirs)), proof

    async def _patiently(self, request: Callable[[], Awaitable[Answer]]) -> Answer:
        for attempt in range(ATTEMPTS):
            try:
                return await request()
            except TransientError as error:
                cause = str(error)
            if attempt + 1 < ATTEMPTS:
                await asyncio.sleep(backoff(attempt))
        raise UnavailableError(f"{self._healer.recorder.exchange} cannot be reached: {cause}")


def _differences(
    series: Series, times: list[int], ours: dict[int, Candle], theirs: dict[int, Candle]
) -> Iterator[Difference]:
    for time in times:
        one, other = ours.get(time), theirs.get(time)
        if one is None or other is None or not same(one, other):
            yield Difference(series, time, one, other)
