"""A function of TA-Lib as an indicator: candles wait until a handle can be opened, then each one is passed on."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any, ClassVar, NoReturn, Self

import numpy
from talib import InsufficientHistory, stream  # type: ignore[attr-defined]

from livermore_core import Candle, Indicator
from livermore_talib.description import Description, Reading
from livermore_talib.settling import settle_after

# A handle of talib.stream; each function has a class of its own.
Handle = Any
Number = float | int | None


class TalibIndicator(Indicator):
    """What the indicators of all functions share; the parameters are those of `description`."""

    # A handle cannot be pickled, and what it holds cannot be read.
    dumps = False
    description: ClassVar[Description]

    def __init__(self, **given: object) -> None:
        self.parameters = self.description.checked(given)
        self.warmup = self.description.lookback(self.parameters) + 1
        self.settle = self.warmup + settle_after(self.description, self.parameters)
        self.waiting: list[Reading] = []
        self.handle: Handle = None

    def update(self, candle: Candle) -> tuple[Number, ...] | Number:
        """Take one closed candle."""
        reading = self.description.read(candle)
        if self.handle is not None:
            return _told(self.handle.update(*reading))
        self.waiting.append(reading)
        self.handle = self._opened(self.waiting)
        if self.handle is None:
            return None
        self.waiting = []
        return _told(self.handle.value)

    def peek(self, candle: Candle) -> tuple[Number, ...] | Number:
        """What `update` would give for an open candle; TA-Lib has that too, and keeps nothing."""
        reading = self.description.read(candle)
        if self.handle is not None:
            return _told(self.handle.peek(*reading))
        handle = self._opened([*self.waiting, reading]) if len(self.waiting) + 1 >= self.warmup else None
        return None if handle is None else _told(handle.value)

    def copy(self) -> Self:
        """An independent one in the same state: the handle is copied too."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.waiting = self.waiting.copy()
        twin.handle = None if self.handle is None else self.handle.copy()
        return twin

    def dump(self) -> NoReturn:
        """Raises TypeError: it is replayed from candles instead."""
        raise TypeError(f"{self._name} cannot be dumped: it holds a handle of TA-Lib; replay its candles instead")

    def load(self, text: str) -> NoReturn:
        """Raises TypeError: there is no dump of it."""
        raise TypeError(f"{self._name} cannot be loaded: it holds a handle of TA-Lib; replay its candles instead")

    @property
    def _name(self) -> str:
        return f"talib.{self.description.function.lower()}"

    def _opened(self, readings: Sequence[Reading]) -> Handle:
        """A handle that has seen these readings; None where they are too few."""
        if len(readings) < self.warmup:
            return None
        columns = [numpy.array(column, dtype=float) for column in zip(*readings, strict=True)]
        try:
            return getattr(stream, self.description.function)(*columns, **self.parameters)
        except InsufficientHistory:  # a function may need more than its lookback says
            return None


def _told(result: Any) -> tuple[Number, ...] | Number:
    """What a handle gives, without NaN and infinity: there is no value then."""
    if isinstance(result, tuple):
        return tuple(map(_finite, result))
    return _finite(result)


def _finite(value: Any) -> Number:
    return value if isfinite(value) else None
