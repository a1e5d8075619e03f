"""Candles of a series as a consumer takes them: a sequence, columns, or a pandas DataFrame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, overload

from livermore_core.market.candle import Candle
from livermore_core.market.intervals import Interval, Intervals
from livermore_core.market.series import Series

COLUMNS = ("time", "open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class Candles(Sequence[Candle]):
    """A sequence of Candle, ascending; `unknown` are the intervals between them of which nothing is known.

    A bucket between them that has no candle, and is not unknown, had no trade.
    """

    series: Series
    rows: tuple[Candle, ...]
    unknown: tuple[Interval, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, at: int) -> Candle: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Candle, ...]: ...
    def __getitem__(self, at: int | slice) -> Candle | tuple[Candle, ...]:
        return self.rows[at]

    def columns(self) -> dict[str, list[float]]:
        """`time` (UNIX seconds), `open`, `high`, `low`, `close` and `volume`, each a list."""
        return {name: [getattr(row, name) for row in self.rows] for name in COLUMNS}

    def to_pandas(self) -> Any:
        """A DataFrame of the columns, indexed by `time` in UTC. Raises ImportError where pandas is not installed."""
        try:
            import pandas
        except ImportError:
            raise ImportError("to_pandas needs pandas: pip install 'livermore[pandas]'") from None
        columns = self.columns()
        index = pandas.to_datetime(columns.pop("time"), unit="s", utc=True).rename("time")
        return pandas.DataFrame(columns, index=index, dtype="float64")


def unknown_between(rows: Sequence[Candle], step: int, coverages: Iterable[Intervals]) -> tuple[Interval, ...]:
    """What lies between the first and the last row, is no row, and is missing in any coverage."""
    if not rows:
        return ()
    first, last = rows[0].time, rows[-1].time
    unknown = Intervals(hole for coverage in coverages for hole in coverage.missing(first, last))
    for row in rows:
        unknown.remove(row.time, row.time + step)
    return tuple(unknown)
