"""Which indicators run on which series: a line of `[indicators]` speaks of all of them, or of some by glob."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

import msgspec

from livermore_core import INDICATOR_KEYS, Context, Indicator, Series, SeriesHost, width


class Chosen(NamedTuple):
    """One line of `[indicators]`. `identity` says of what a stored state is: code, version, parameters, policy."""

    name: str
    make: Callable[[], Indicator]
    empty: str
    symbols: tuple[str, ...]
    timeframes: tuple[str, ...]
    identity: str

    def host(self, series: Series) -> SeriesHost:
        """The indicator on this series, before the first candle."""
        return SeriesHost(self.name, self.make, width=width(series.timeframe), empty=self.empty)

    def runs_on(self, series: Series) -> bool:
        """Whether the line speaks of this series."""
        return any(fnmatchcase(series.symbol, glob) for glob in self.symbols) and any(
            fnmatchcase(series.timeframe, glob) for glob in self.timeframes
        )


def chosen(context: Context) -> list[Chosen]:
    """The lines of `[indicators]`, in order."""
    return [_chosen(context, name, given) for name, given in context.indicators.items()]


def _chosen(context: Context, name: str, given: Mapping[str, Any]) -> Chosen:
    kind = given.get("use", name)
    reference = context.indicator_types[kind]
    parameters = {key: value for key, value in given.items() if key not in INDICATOR_KEYS}
    module, _, attribute = reference.partition(":")
    make: Callable[[], Indicator] = partial(getattr(import_module(module), attribute), **parameters)
    empty = context.empty_buckets
    if empty == "skip" and make().wants_empty:
        empty = "flat"
    version = context.indicator_versions.get(kind, "")
    identity = msgspec.json.encode([reference, version, parameters, empty], order="sorted").decode()
    return Chosen(
        name, make, empty, tuple(given.get("symbols", ("*",))), tuple(given.get("timeframes", ("*",))), identity
    )
