"""What is copied by the tests of copies: stores with all that a store can hold, and what they hold afterwards."""

from __future__ import annotations

import asyncio
from typing import Any

from livermore_core import (
    Batch,
    Candle,
    CandleStore,
    CursorExpiredError,
    Event,
    IndicatorValue,
    Series,
    SeriesChange,
)
from livermore_core.store.protocol import END

MINUTES, HOURS = Series("memory", "AAA-USD", "1m"), Series("memory", "AAA-USD", "1h")


def row(minute: int, close: float = 10.5, revision: int = 0, source: str = "trades") -> Candle:
    return Candle(60 * minute, 10.1, 12.0, 9.0, close, 1.5, revision, source)


def closed(minute: int) -> Event:
    return Event(
        kind="candle.closed", exchange="memory", symbol="AAA-USD", timeframe="1m", time=60 * minute, candle=row(minute)
    )


async def fill(store: CandleStore) -> None:
    """Holes, revisions, hidden rows, a log whose beginning is gone, values that have heard more and less of it."""
    cursors = []
    for minute in range(20):
        covered = [(60 * minute, 60 * minute + 60)] if minute not in (4, 5, 13) else []
        change = SeriesChange(series=MINUTES, rows=[row(minute)] if covered else [], covered=covered)
        cursors.append(await store.transact(Batch(changes=[change], events=[closed(minute)])))
    revised = [row(2, 11.0, 3, "rest"), row(7, 11.5, 1, "derived")]
    hidden = [row(3, revision=1, source="withdrawn"), row(13, revision=2)]
    await store.transact(Batch(changes=[SeriesChange(series=MINUTES, rows=revised, hidden=hidden)]))
    await store.transact(Batch(changes=[SeriesChange(series=HOURS, covered=[(0, 7200)])]))
    await store.trim({}, events=12)
    heard = {"forgotten": cursors[3], "origin": cursors[7], "middle": cursors[14], "head": cursors[-1], "stateless": ""}
    values = [
        IndicatorValue(indicator=name, time=1140, outputs={"value": 0.1}, state="{}" if cursor else None, cursor=cursor)
        for name, cursor in heard.items()
    ]
    await store.transact(Batch(changes=[SeriesChange(series=MINUTES, values=values)]))


async def unheard(store: CandleStore, value: IndicatorValue) -> list[Event] | None:
    """What the log has after all that the state of a value has heard; None where it cannot tell."""
    try:
        return [event for _, event in await store.events(value.cursor, 1_000_000)] if value.cursor else None
    except CursorExpiredError:
        return None


async def contents(store: CandleStore) -> Any:
    """Everything that a store holds, whatever its cursors look like."""
    held = {
        series: (
            await store.candles(series),
            await store.hidden(series, 0, END),
            list(await store.coverage(series)),
            [
                (value.indicator, value.time, value.outputs, value.state, await unheard(store, value))
                for value in await store.values(series)
            ],
        )
        for series in await store.series()
    }
    return held, [event for _, event in await store.events(limit=1_000_000)]


class Mortal:
    """A store whose process dies before its transaction `deaths`."""

    def __init__(self, store: CandleStore, deaths: int) -> None:
        self._store, self._left = store, deaths

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def transact(self, batch: Batch) -> str:
        if not self._left:
            raise asyncio.CancelledError
        self._left -= 1
        return await self._store.transact(batch)
