"""Coinbase Advanced Trade as a livermore exchange: history over REST, live over WebSocket."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from livermore_coinbase.client import CoinbaseClient as CoinbaseClient
    from livermore_coinbase.client import open_client as open_client
    from livermore_coinbase.settings import CoinbaseSettings as CoinbaseSettings
    from livermore_core import DEFAULT_BACKFILL_CONFIG as DEFAULT_BACKFILL_CONFIG
    from livermore_core import TIMEFRAME_PRIORITY as TIMEFRAME_PRIORITY
    from livermore_core import BackfillConfig as BackfillConfig
    from livermore_core import StartupBackfillService as StartupBackfillService

_HOME = {
    "BackfillConfig": "livermore_core",
    "CoinbaseClient": "livermore_coinbase.client",
    "CoinbaseSettings": "livermore_coinbase.settings",
    "DEFAULT_BACKFILL_CONFIG": "livermore_core",
    "StartupBackfillService": "livermore_core",
    "TIMEFRAME_PRIORITY": "livermore_core",
    "open_client": "livermore_coinbase.client",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    """Import a public name from its home (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
