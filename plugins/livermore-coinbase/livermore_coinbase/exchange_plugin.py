"""What this plugin offers: the exchange `coinbase`."""

from __future__ import annotations

from collections.abc import Iterable

from livermore_core import Exchange, hookimpl


@hookimpl
def register_exchanges() -> Iterable[Exchange]:
    """Yield Coinbase Advanced Trade."""
    yield Exchange(
        name="coinbase",
        summary="Coinbase Advanced Trade: candles over REST, trades over WebSocket; no key needed",
        timeframes=("1m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "1d"),
        page_size=300,
        requests_per_second=8.0,
        open="livermore_coinbase.client:open_client",
        settings="livermore_coinbase.settings:CoinbaseSettings",
        capabilities=frozenset({"candles", "feed", "last_trade", "dense_ids"}),
    )
