"""Whether the ids of a symbol's trades are dense: REST is the judge of the minutes in which they jump."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from livermore_core.exchange.recorder import Recorder
from livermore_core.market.candle import Candle, same
from livermore_core.market.series import Series
from livermore_core.market.tape import STEP, Tape

# So many jumps in a row behind which REST knows of no trade that we lack, and ids prove nothing for a symbol.
AGREEMENTS = 3
REMEMBERED = 3


class Jump(msgspec.Struct):
    """Ids jumped, and no frame is missing: what our trades made of the minutes from the last one to the one after it.

    Minutes of [start, end) that are not in `ours` are empty by our trades.
    """

    start: int
    end: int
    ours: dict[int, Candle] = msgspec.field(default_factory=dict)
    is_closed: bool = False


class Density:
    """Makes a tape `sparse` once REST has agreed with it AGREEMENTS times running where its ids jumped.

    Where ids are dense a jump is a lost trade, which lies in these minutes, so that REST cannot agree with all of them.
    """

    def __init__(
        self, recorder: Recorder, tapes: Mapping[str, Tape], report: Callable[[str, Mapping[str, Any]], None]
    ) -> None:
        self._recorder, self._tapes, self._report = recorder, tapes, report
        self._jumps: dict[str, list[Jump]] = {}
        self._agreed: dict[str, int] = {}

    def jumped(self, symbol: str, since: float, until: float) -> None:
        """The ids of a symbol jumped between its trades of these moments."""
        start, end = int(since // STEP) * STEP, int(until // STEP) * STEP + STEP
        jumps = self._jumps.setdefault(symbol, [])
        if jumps and jumps[-1].end == end:
            return
        jumps.append(Jump(start, end))
        last = self._tapes[symbol].last_closed
        if last is not None and last.time >= start:
            jumps[-1].ours[last.time] = last
        del jumps[:-REMEMBERED]

    def closed(self, bucket: int) -> None:
        """A minute is over: note what each symbol's trades made of it."""
        for symbol, jumps in self._jumps.items():
            last = self._tapes[symbol].last_closed
            for jump in jumps:
                if jump.start <= bucket < jump.end and last is not None and last.time == bucket:
                    jump.ours[bucket] = last
                jump.is_closed |= bucket + STEP >= jump.end

    async def judge(self) -> None:
        """Hold what is settled against what REST has said of it."""
        for symbol, jumps in list(self._jumps.items()):
            for jump in [jump for jump in jumps if jump.is_closed]:
                agrees = await self._agrees(symbol, jump)
                if agrees is not None and jump in jumps:  # newer ones may have taken its place meanwhile
                    jumps.remove(jump)
                    self._count(symbol, agrees)

    async def _agrees(self, symbol: str, jump: Jump) -> bool | None:
        """None while REST has not spoken about all of it."""
        series = Series(self._recorder.exchange, symbol, self._recorder.timeframes[0])
        if not self._recorder.ledger(symbol, series.timeframe).coverage.covers(jump.start, jump.end):
            return None
        rows = await self._recorder.store.candles(series, since=jump.start, until=jump.end)
        if any(row.source != "rest" for row in rows):
            return None
        theirs = {row.time: row for row in rows}
        return theirs.keys() == jump.ours.keys() and all(same(jump.ours[time], row) for time, row in theirs.items())

    def _count(self, symbol: str, agrees: bool) -> None:
        self._agreed[symbol] = self._agreed.get(symbol, 0) + 1 if agrees else 0
        if self._agreed[symbol] >= AGREEMENTS:
            self._tapes[symbol].sparse = True
            self._jumps[symbol].clear()
            self._report("ids.sparse", {"symbol": symbol})
