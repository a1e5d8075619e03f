"""Moving averages as TradingView computes them: over a window, or seeded with the mean of the first `length` inputs."""

from __future__ import annotations

from livermore_core.indicators.block import Block
from livermore_core.indicators.windows import Windowed


class _Seeded(Block):
    """The mean of the first `length` inputs, then a share `weight` of the way to each; undefined in, undefined out."""

    def __init__(self, length: int, weight: float) -> None:
        self.length, self.weight = length, weight
        self.count = 0
        self.value = 0.0

    def push(self, x: float | None) -> float | None:
        """The average after one more input; None until `length` inputs have come."""
        if x is None:
            return None
        if self.count == self.length:
            self.value = value = self.value + self.weight * (x - self.value)
            return value
        self.count += 1
        self.value += x
        if self.count < self.length:
            return None
        self.value /= self.length
        return self.value

    def push_or_stay(self, x: float | None) -> float | None:
        """The average after one more input, or where there is none, as it was."""
        if x is None:
            return self.value if self.count == self.length else None
        return self.push(x)

    def peek(self, x: float | None) -> float | None:
        """What `push` would give; nothing is kept."""
        if x is None or self.count + 1 < self.length:
            return None
        if self.count == self.length:
            return self.value + self.weight * (x - self.value)
        return (self.value + x) / self.length


class Ema(_Seeded):
    """Exponential moving average: prev + 2/(length+1) * (x - prev). Source: TradingView `ta.ema`."""

    def __init__(self, length: int) -> None:
        super().__init__(length, 2.0 / (length + 1))


class Rma(_Seeded):
    """Wilder's average (RMA, SMMA): prev + (x - prev) / length. Source: TradingView `ta.rma`."""

    def __init__(self, length: int) -> None:
        super().__init__(length, 1.0 / length)


class Sma(Windowed):
    """The mean of the last `length` inputs. Source: TradingView `ta.sma`."""

    def _result(self) -> float:
        return sum(self.window) / self.length


class Wma(Windowed):
    """The mean of the last `length` inputs; the oldest weighs 1, the newest `length`. Source: TradingView `ta.wma`."""

    def _result(self) -> float:
        weighed = sum(weight * x for weight, x in enumerate(self.window, start=1))
        return weighed / (self.length * (self.length + 1) / 2)
