"""What the last `length` inputs say: highest, lowest, standard deviation; the base of every block with a window."""

from __future__ import annotations

from collections import deque
from math import sqrt

from livermore_core.indicators.block import Block


class Windowed(Block):
    """Keeps the last `length` inputs; undefined in, undefined out, and the window stays as it is."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.window: deque[float] = deque(maxlen=length)

    def push(self, x: float | None) -> float | None:
        """The result after one more input; None until `length` inputs have come."""
        if x is None:
            return None
        self.window.append(x)
        return self._result() if len(self.window) == self.length else None

    def _result(self) -> float:
        """What a full window says."""
        raise TypeError(f"{type(self).__name__} has no result")


class Highest(Windowed):
    """The highest of the last `length` inputs, in their unit. Source: TradingView `ta.highest`."""

    def _result(self) -> float:
        return max(self.window)


class Lowest(Windowed):
    """The lowest of the last `length` inputs, in their unit. Source: TradingView `ta.lowest`."""

    def _result(self) -> float:
        return min(self.window)


class StdDev(Windowed):
    """Deviation of the population: sqrt(mean((x - mean)^2)) of the last `length` inputs, in their unit, >= 0.

    The sum is divided by `length`, not by one less. Source: TradingView `ta.stdev`, biased as it is by default.
    """

    def _result(self) -> float:
        # From the newest input on: equal inputs give exactly zero, whatever their size.
        origin = self.window[-1]
        apart = [x - origin for x in self.window]
        mean = sum(apart) / self.length
        return sqrt(sum((x - mean) ** 2 for x in apart) / self.length)
