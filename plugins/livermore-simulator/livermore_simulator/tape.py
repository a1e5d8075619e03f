"""What one connection is owed: the trades, candle updates and beats of its subscriptions, in order of their stamps."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import count, groupby
from typing import Any
from zlib import crc32

from livermore_simulator import wire
from livermore_simulator.market import MINUTE, Minute, Product
from livermore_simulator.quirks import Quirks
from livermore_simulator.trades import Print

WINDOW = 250_000
BEATS_PER_REAL_SECOND = 10
FIVE = 300

Frame = tuple[str, list[dict[str, Any]]]


class Tape:
    """Frames with stamps up to a moment; a trade's frame is stamped at most 0.45 s after the trade."""

    def __init__(self, moment: float, quirks: Quirks, seed: int) -> None:
        self._moment = moment
        self._quirks, self._seed = quirks, seed
        self._due: list[tuple[float, int, str, Any]] = []
        self._serial = count()
        self._trades: dict[str, _Windows] = {}
        self._idle: set[str] = set()
        self._candles: dict[str, _FiveMinutes] = {}
        self.beating = False
        self._next_beat = float(int(moment) + 1)

    def follow_trades(self, product: Product) -> None:
        """Send the product's trades from now on."""
        if product.symbol not in self._trades:
            self._trades[product.symbol] = _Windows(product, self._moment)
            self._queue_trades(product.symbol)

    def follow_candles(self, product: Product, so_far: list[Minute]) -> None:
        """Send the product's 5m candle from now on; `so_far` is what it is now."""
        if product.symbol not in self._candles:
            self._candles[product.symbol] = _FiveMinutes(_Windows(product, self._moment), so_far)

    def forget(self, channel: str, symbol: str) -> None:
        """Send no more of that."""
        (self._trades if channel == "market_trades" else self._candles).pop(symbol, None)
        candles = channel == "candles"
        self._due = [due for due in self._due if due[2] != symbol or isinstance(due[3], Minute) is not candles]
        heapify(self._due)

    def until(self, moment: float, speed: float) -> Iterator[tuple[float, Frame]]:
        """Every frame with a stamp up to `moment`, in order of their stamps."""
        for symbol in self._idle & self._trades.keys():
            self._queue_trades(symbol)
        step = max(1, -(-int(speed) // BEATS_PER_REAL_SECOND))
        while self._next_beat <= moment:
            yield from self._before(self._next_beat)
            yield from self._beat(self._next_beat)
            self._next_beat += step
        yield from self._before(moment)
        self._moment = moment

    def _before(self, moment: float) -> Iterator[tuple[float, Frame]]:
        while self._due and self._due[0][0] <= moment:
            stamp, _, symbol, content = heappop(self._due)
            if isinstance(content, Minute):
                yield stamp, ("candles", [wire.candle(content) | {"product_id": symbol}])
            else:
                yield stamp, ("market_trades", [wire.trade(symbol, made) for made in reversed(content)])
                self._queue_trades(symbol)

    def _beat(self, moment: float) -> Iterator[tuple[float, Frame]]:
        for symbol, five in self._candles.items():
            for candle in five.until(moment):
                ended = candle.time + FIVE <= moment
                late = self._fate(symbol, candle.time) if ended else None
                if late is None:
                    yield moment, ("candles", [wire.candle(candle) | {"product_id": symbol}])
                elif late:
                    heappush(self._due, (moment + late, next(self._serial), symbol, candle))
        if self.beating:
            yield moment, ("heartbeats", [])

    def _fate(self, symbol: str, bucket: int) -> float | None:
        """The last update of a bucket comes at once (None), so many seconds late, or never (0)."""
        chance = crc32(f"{self._seed}:{symbol}:{bucket}:fate".encode()) % 10
        if chance == 0 and self._quirks.missing_last_update:
            return 0.0
        return 4.0 if chance in (1, 2) and self._quirks.late_last_update else None

    def _queue_trades(self, symbol: str) -> None:
        window = self._trades[symbol].next()
        if window is None:
            self._idle.add(symbol)
            return
        self._idle.discard(symbol)
        heappush(self._due, (window[0], next(self._serial), symbol, window[1]))


class _Windows:
    """A product's trades from `moment` on, gathered by 250 ms, each group with the stamp of its frame."""

    def __init__(self, product: Product, moment: float) -> None:
        self._product = product
        self._moment = moment
        self._position = bisect_right(product.times, moment - MINUTE)
        self._groups: deque[tuple[float, list[Print]]] = deque()

    def next(self) -> tuple[float, list[Print]] | None:
        """The next group; None while the market knows of no further trade."""
        while not self._groups:
            if self._position >= len(self._product.times):
                return None
            self._gather([made for made in self._product.trades(self._position) if made.micros / 1e6 >= self._moment])
            self._position += 1
        return self._groups.popleft()

    def _gather(self, trades: list[Print]) -> None:
        for window, group in groupby(trades, lambda made: made.micros // WINDOW):
            # Up to 200 ms on the way, but never past a later window of the same product.
            micros = (window + 1) * WINDOW + crc32(f"{self._product.seed}:{window}".encode()) % 200_000
            self._groups.append((micros / 1e6, list(group)))


class _FiveMinutes:
    """The 5m candle of one product, folded from its trades as they become visible."""

    def __init__(self, windows: _Windows, so_far: list[Minute]) -> None:
        self._windows = windows
        self._next = windows.next()
        self._candle = so_far[-1] if so_far else None

    def until(self, moment: float) -> Iterator[Minute]:
        """The candles that changed up to `moment`: an ended one first, then the one in progress."""
        changed = False
        self._next = self._next or self._windows.next()
        while self._next is not None and self._next[0] <= moment:
            for made in self._next[1]:
                bucket = made.micros // 1_000_000 // FIVE * FIVE
                candle = self._candle
                if candle is not None and candle.time != bucket and changed:
                    yield candle
                self._candle = _fold(candle, bucket, made)
                changed = True
            self._next = self._windows.next()
        if changed and self._candle is not None:
            yield self._candle


def _fold(candle: Minute | None, bucket: int, made: Print) -> Minute:
    if candle is None or candle.time != bucket:
        return Minute(bucket, made.price, made.price, made.price, made.price, made.units)
    high, low = max(candle.high, made.price), min(candle.low, made.price)
    return Minute(bucket, candle.open, high, low, made.price, candle.units + made.units)
