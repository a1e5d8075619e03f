"""The exchange's own 5m candles as a witness of ours: it may only accuse, never acquit."""

from __future__ import annotations

from collections.abc import Sequence

from livermore_core.exchange.heal import Healer
from livermore_core.exchange.protocol import CandleUpdate
from livermore_core.exchange.recorder import CLOSE_GRACE, Recorder
from livermore_core.market.candle import VOLUME_TOLERANCE, Candle
from livermore_core.market.series import Series
from livermore_core.market.tape import STEP
from livermore_core.market.timeframe import WIDTHS

REMEMBERED = 3


class Witness:
    """Compares ended buckets with what the exchange last said of them.

    High above ours, low below, or volume above ours: trades are missing, REST is asked. Less than ours is lateness.
    """

    def __init__(self, recorder: Recorder, healer: Healer) -> None:
        self._recorder, self._healer = recorder, healer
        self._heard: dict[tuple[str, str], dict[int, Candle | None]] = {}
        self._ours: dict[tuple[str, str], dict[int, Candle | None]] = {}

    def hear(self, update: CandleUpdate, clock: float) -> None:
        """Remember what the exchange says; compare at once where the bucket is closed already."""
        key = (update.symbol, update.timeframe)
        time = update.candle.time
        if time + WIDTHS[update.timeframe] * REMEMBERED < clock:
            return
        self._remember(self._heard.setdefault(key, {}), time, update.candle)
        ours = self._ours.get(key)
        if ours and time in ours:
            self._compare(key, time, ours[time], update.candle)

    async def minute(self, symbols: Sequence[str], bucket: int) -> None:
        """A minute was closed: take note of every witnessed candle that ended with it."""
        for symbol, timeframe in list(self._heard):
            width = WIDTHS[timeframe]
            start = bucket + STEP - width
            if start % width or symbol not in symbols or timeframe not in self._recorder.timeframes:
                continue
            await self._note(symbol, timeframe, start)

    async def _note(self, symbol: str, timeframe: str, start: int) -> None:
        ledger = self._recorder.ledger(symbol, timeframe)
        if not ledger.coverage.covers(start, start + ledger.width):
            return
        rows = await self._recorder.store.candles(ledger.series, since=start, until=start + ledger.width)
        ours = rows[0] if rows else None
        self._remember(self._ours.setdefault((symbol, timeframe), {}), start, ours)
        heard = self._heard[symbol, timeframe].get(start)
        if heard is not None:
            self._compare((symbol, timeframe), start, ours, heard)

    def _compare(self, key: tuple[str, str], time: int, ours: Candle | None, heard: Candle) -> None:
        if ours is not None and (ours.source == "rest" or not _accuses(ours, heard)):
            return
        self._ours[key].pop(time, None)
        symbol, timeframe = key
        end = time + WIDTHS[timeframe]
        for asked in (self._recorder.timeframes[0], timeframe):
            series = Series(self._recorder.exchange, symbol, asked)
            self._healer.want(series, time, end, "witness", after=end + CLOSE_GRACE, always=True)

    def _remember(self, memory: dict[int, Candle | None], time: int, candle: Candle | None) -> None:
        memory[time] = candle
        while len(memory) > REMEMBERED:
            del memory[min(memory)]


def _accuses(ours: Candle, heard: Candle) -> bool:
    return heard.high > ours.high or heard.low < ours.low or heard.volume > ours.volume * (1.0 + VOLUME_TOLERANCE)
