"""Moving averages as TradingView computes them: seeded with the mean of the first `length` inputs."""

from __future__ import annotations

from collections import deque

from livermore_core.indicators.block import Block


class _Seeded(Block):
    """The mean of the first `length` inputs, then a step; an undefined input gives an undefined output."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.count = 0
        self.value = 0.0

    def push(self, x: float | None) -> float | None:
        """The average after one more input; None until `length` inputs have come."""
        if x is None:
            return None
        self.count += 1
        if self.count > self.length:
            self.value = self.step(x)
            return self.value
        self.value += x
        if self.count < self.length:
            return None
        self.value /= self.length
        return self.value

    def peek(self, x: float | None) -> float | None:
        """What `push` would give; nothing is kept."""
        if x is None or self.count + 1 < self.length:
            return None
        return self.step(x) if self.count >= self.length else (self.value + x) / self.length

    def step(self, x: float) -> float:
        """The average that follows `value` with the input `x`."""
        raise TypeError(f"{type(self).__name__} has no step")


class Ema(_Seeded):
    """Exponential moving average: prev + 2/(length+1) * (x - prev). Source: TradingView `ta.ema`."""

    def step(self, x: float) -> float:
        """The next value."""
        return self.value + 2.0 / (self.length + 1) * (x - self.value)


class Rma(_Seeded):
    """Wilder's average (RMA, SMMA): (prev * (length-1) + x) / length. Source: TradingView `ta.rma`."""

    def step(self, x: float) -> float:
        """The next value."""
        return (self.value * (self.length - 1) + x) / self.length


class Sma(Block):
    """The mean of the last `length` inputs. Source: TradingView `ta.sma`."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.window: deque[float] = deque(maxlen=length)

    def push(self, x: float | None) -> float | None:
        """The average after one more input; None until `length` inputs have come."""
        if x is None:
            return None
        self.window.append(x)
        return sum(self.window) / self.length if len(self.window) == self.length else None
