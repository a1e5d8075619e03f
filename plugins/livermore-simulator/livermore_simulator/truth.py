"""The truth about the market: rows of any granularity, summed up from the recorded minutes alone."""

from __future__ import annotations

from bisect import bisect_left
from zlib import crc32

from livermore_simulator.market import Market, Minute, Product

WIDTHS = {
    "1m": 60,
    "5m": 300,
    "15m": 900,
    "30m": 1800,
    "1h": 3600,
    "2h": 7200,
    "4h": 14400,
    "6h": 21600,
    "1d": 86400,
}

# What each width is summed up from.
PARTS = {300: 60, 900: 300, 1800: 900, 3600: 900, 7200: 3600, 14400: 3600, 21600: 3600, 86400: 14400}

Row = tuple[int, float, float, float, float, float]


class Truth:
    """`candles` are what the exchange has, as of a moment.

    `native_differs`: its own candles of 5m and wider are not all the `sums` of their minutes.
    """

    def __init__(self, market: Market, *, native_differs: bool = False) -> None:
        self._market, self._native_differs = market, native_differs
        self._cache: dict[tuple[str, int], tuple[int, list[Minute]]] = {}

    def candles(self, symbol: str, timeframe: str, start: int, end: int, as_of: float) -> list[Row]:
        """(time, open, high, low, close, volume) of the buckets of [start, end), the one in progress as it is."""
        return _rows(self.minutes(symbol, WIDTHS[timeframe], start, end, as_of))

    def sums(self, symbol: str, timeframe: str, start: int, end: int, as_of: float) -> list[Row]:
        """The same, each what its minutes add up to."""
        return _rows(self._sums(symbol, WIDTHS[timeframe], start, end, as_of))

    def minutes(self, symbol: str, width: int, start: int, end: int, as_of: float) -> list[Minute]:
        """The candles with the volume in units."""
        rows = self._sums(symbol, width, start, end, as_of)
        if not self._native_differs or width == 60:
            return rows
        return [_unlike(row, f"{self._market.seed}:{symbol}:{width}:{row.time}") for row in rows]

    def _sums(self, symbol: str, width: int, start: int, end: int, as_of: float) -> list[Minute]:
        product = self._market.products[symbol]
        self._market.extend(as_of)
        known = self._whole(product, width)
        closed = min(end, int(as_of // width) * width)
        rows = known[bisect_left(known, (start,)) : bisect_left(known, (closed,))]
        if start <= closed < end:
            rows += self._in_progress(product, width, closed, as_of)
        return rows

    def _whole(self, product: Product, width: int) -> list[Minute]:
        """Every whole bucket that is known, built once and extended."""
        if width == 60:
            return product.minutes
        done, rows = self._cache.get((product.symbol, width), (0, []))
        if done < len(product.minutes):
            parts = self._whole(product, PARTS[width])
            first = bisect_left(parts, (rows.pop().time,)) if rows else 0
            rows += summed(parts[first:], width)
            self._cache[product.symbol, width] = (len(product.minutes), rows)
        return rows

    def _in_progress(self, product: Product, width: int, bucket: int, as_of: float) -> list[Minute]:
        minute = int(as_of // 60) * 60
        first = bisect_left(product.times, bucket)
        parts = product.minutes[first : bisect_left(product.times, minute)]
        for trade in product.between(minute, as_of):
            parts.append(Minute(minute, trade.price, trade.price, trade.price, trade.price, trade.units))
        return summed(parts, width)


def _rows(minutes: list[Minute]) -> list[Row]:
    return [(row.time, row.open, row.high, row.low, row.close, row.units / 1e8) for row in minutes]


def _unlike(row: Minute, seed: str) -> Minute:
    """One row in four has more or less volume than its parts, one in eight another close too."""
    chance = crc32(seed.encode()) % 8
    if chance > 1:
        return row
    units = row.units + max(1, row.units // 50) if chance else row.units - row.units // 50
    return row._replace(units=units, close=row.close if chance else row.open)


def summed(minutes: list[Minute], width: int) -> list[Minute]:
    """Wider rows from parts in time order; volumes are sums of whole units, so exact."""
    rows: list[Minute] = []
    for part in minutes:
        bucket = part.time // width * width
        if rows and rows[-1].time == bucket:
            last = rows[-1]
            high, low = max(last.high, part.high), min(last.low, part.low)
            rows[-1] = Minute(bucket, last.open, high, low, part.close, last.units + part.units)
        else:
            rows.append(part._replace(time=bucket))
    return rows
