"""What TA-Lib says of a function: the columns it reads, its parameters with defaults, its outputs, its lookback."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import Parameter, Signature
from operator import attrgetter
from typing import Any, NamedTuple

# Its type hints leave `Function` out. Those that `talib.abstract` holds ready are shared by the process: none is used.
from talib.abstract import Function  # type: ignore[attr-defined]

from livermore_core import Candle

Number = float | int
Reading = tuple[float, ...]
# Whole numbers are 32 bits wide in TA-Lib, whose least one means "the default"; fractions end here.
WHOLE, FRACTION = 2**31 - 1, 3e37
# Halvings from FRACTION down to a bound that is exact to 12 digits.
HALVINGS = 200


class Description(NamedTuple):
    """A function, and how it is called."""

    function: str
    read: Callable[[Candle], Reading]
    outputs: tuple[str, ...]
    defaults: Mapping[str, Number]

    @property
    def signature(self) -> Signature:
        """The constructor of its indicator: each parameter by name."""
        return Signature(
            [
                Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=type(default))
                for name, default in self.defaults.items()
            ]
        )

    def checked(self, given: Mapping[str, object]) -> dict[str, Number]:
        """Every parameter with its value. Raises TypeError or ValueError that names what cannot be."""
        self.signature.bind(**given)
        values = {name: self._typed(name, given.get(name, default)) for name, default in self.defaults.items()}
        for name, value in values.items():
            if not self._takes(name, value):
                raise ValueError(f"{name} must be {self._range(name)}, was {value}")
        if self.lookback(values) < 0:
            told = ", ".join(f"{name} = {value}" for name, value in values.items())
            raise ValueError(f"{self.function} of TA-Lib does not take these together: {told}")
        return values

    def lookback(self, values: Mapping[str, Number]) -> int:
        """Candles before the first full result; below 0 where TA-Lib refuses the values."""
        return int(Function(self.function, **values).lookback)

    def _typed(self, name: str, value: object) -> Number:
        is_whole = isinstance(self.defaults[name], int)
        if isinstance(value, bool) or not isinstance(value, int if is_whole else int | float):
            raise TypeError(f"{name} must be a {'whole ' if is_whole else ''}number, was {value!r}")
        return value if is_whole else float(value)

    def _takes(self, name: str, value: Number) -> bool:
        furthest = WHOLE if isinstance(value, int) else FRACTION
        return -furthest <= value <= furthest and self.lookback({name: value}) >= 0

    def _range(self, name: str) -> str:
        least, most = self._bound(name, -1), self._bound(name, 1)
        if least <= -FRACTION or most >= FRACTION:
            return f"at least {least:.12g}" if least > -FRACTION else f"within {FRACTION:g} of 0"
        return f"from {least:.12g} to {most:.12g}"

    def _bound(self, name: str, sign: int) -> Number:
        """The furthest value that is taken; TA-Lib tells of its bounds by refusing what is beyond."""
        default = self.defaults[name]
        within, beyond = default, sign * (WHOLE if isinstance(default, int) else FRACTION)
        if self._takes(name, beyond):
            return beyond
        for _ in range(HALVINGS):
            between = (within + beyond) // 2 if isinstance(default, int) else (within + beyond) / 2
            if self._takes(name, between):
                within = between
            else:
                beyond = between
        return within if abs(within) > 1e-12 else 0


def describe(function: str) -> Description:
    """What TA-Lib says of the function of that name, in capitals."""
    info = Function(function).info
    columns: list[str] = []
    for named in info["input_names"].values():
        columns += [named] if isinstance(named, str) else named
    outputs = tuple(info["output_names"])
    return Description(
        function, _reader(columns), outputs if len(outputs) > 1 else ("value",), dict(info["parameters"])
    )


def _reader(columns: list[str]) -> Callable[[Candle], Reading]:
    """What takes those columns out of a candle, as a tuple."""
    read: Callable[[Candle], Any] = attrgetter(*columns)
    return read if len(columns) > 1 else lambda candle: (read(candle),)
