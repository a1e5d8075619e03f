"""What a plugin offers: frozen values, yielded by its `register_*` hooks; code is named by reference "module:name"."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange: what it can do and how to open it.

    `timeframes` it has natively; `page_size` candles per request; `requests_per_second` it tolerates, `burst` at once;
    `settings` names the pydantic model of `[exchanges.<name>]` (a subclass of ExchangeSettings); `open` names a
    callable `open(settings)` that gives an async context manager of an ExchangeClient. `capabilities`: any of
    "candles", "feed", "last_trade", "dense_ids".
    """

    name: str
    summary: str
    timeframes: tuple[str, ...]
    page_size: int
    requests_per_second: float
    open: str
    settings: str = "livermore_core.exchange.settings:ExchangeSettings"
    burst: int = 1
    capabilities: frozenset[str] = frozenset({"candles", "feed"})


# What a line of `[indicators]` says besides parameters: the type, and by glob on which series it runs.
INDICATOR_KEYS = ("use", "symbols", "timeframes")


@dataclass(frozen=True, slots=True)
class IndicatorType:
    """An indicator: `reference` names its Indicator class as "module:Class"."""

    name: str
    summary: str
    reference: str


@dataclass(frozen=True, slots=True)
class Store:
    """A store: `open` names a callable `open(url, *, read_only)`: an async context manager of a CandleStore."""

    scheme: str
    summary: str
    open: str


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand of `livermore`: `reference` names a click command, loaded when it is called."""

    name: str
    summary: str
    reference: str


def resolve(reference: str) -> Any:
    """The object that "module:name" names. Raises ImportError or AttributeError."""
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)
