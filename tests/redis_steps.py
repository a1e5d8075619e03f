"""What tests of the store on Redis do again and again: write minutes, open a writer, wait for a state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from livermore_redis.store import RedisStore, open_store

from livermore_core import Batch, Candle, CandleStore, Event, Series, SeriesChange

BITCOIN = Series("memory", "BTC-USD", "1m")
Said = list[tuple[str, dict[str, Any]]]


def candle(minute: int, close: float = 10.0) -> Candle:
    return Candle(60 * minute, 10.0, 12.0, 9.0, close, 1.5, 0, "trades")


def closed(series: Series, minute: int) -> Event:
    return Event(
        kind="candle.closed", exchange=series.exchange, symbol=series.symbol, timeframe=series.timeframe,
        time=60 * minute, candle=candle(minute),
    )  # fmt: skip


def minutes(*numbers: int, series: Series = BITCOIN) -> Batch:
    """A batch that stores, covers and announces these minutes."""
    covered = [(60 * number, 60 * number + 60) for number in numbers]
    change = SeriesChange(series=series, rows=[candle(number) for number in numbers], covered=covered)
    return Batch(changes=[change], events=[closed(series, number) for number in numbers])


@asynccontextmanager
async def writing(url: str, **claim: Any) -> AsyncIterator[tuple[RedisStore, Said]]:
    """A store that may be written, and what it says."""
    async with open_store(url) as store:
        said: Said = []
        store.say = lambda event, fields: said.append((event, dict(fields)))
        await store.claim(**claim)
        yield store, said


async def until(holds: Callable[[], object]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def told(store: CandleStore, after: str = "") -> list[int]:
    """The minutes of all events after a cursor, read by small pages."""
    found: list[int] = []
    while page := await store.events(after, limit=2):
        found += [event.time // 60 for _, event in page]
        after = page[-1][0]
    return found


async def stored(store: CandleStore, series: Series = BITCOIN) -> list[int]:
    """The minutes of all candles, which must be covered, and nothing else be."""
    found = [row.time // 60 for row in await store.candles(series)]
    coverage = await store.coverage(series)
    assert [minute for start, end in coverage for minute in range(start // 60, end // 60)] == found
    return found
