"""The plugin's surface: what importing costs, what it offers, which settings it takes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import livermore_coinbase
import pluggy
import pytest
from livermore_coinbase import backfill_stage, exchange_plugin, ingest_stage
from livermore_coinbase.settings import CoinbaseSettings
from pydantic import ValidationError

from livermore_core import hooks
from livermore_core.contributions import resolve

MODULES = ("exchange_plugin", "backfill_stage", "ingest_stage")


@pytest.mark.parametrize("module", MODULES)
def test_importing_a_plugin_module_brings_in_at_most_pluggy(module: str) -> None:
    program = (
        f"import sys, livermore_coinbase.{module} as m; list(getattr(m, 'register_exchanges', list)());"
        "print(*{n.split('.')[0] for n in sys.modules} & "
        "{'aiohttp', 'pydantic', 'msgspec', 'jwt', 'cryptography', 'structlog', 'asyncio', 'pluggy'})"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.split() in (["pluggy"], [])


def test_the_hooks_are_valid_and_named_by_the_contract() -> None:
    manager = pluggy.PluginManager("livermore")
    manager.add_hookspecs(hooks)
    for module in (exchange_plugin, backfill_stage, ingest_stage):
        manager.register(module)
    manager.check_pending()
    (offered,) = [list(found) for found in manager.hook.register_exchanges()]
    (exchange,) = offered
    assert (exchange.name, exchange.page_size, exchange.requests_per_second) == ("coinbase", 300, 8.0)
    assert exchange.timeframes == ("1m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "1d")
    assert exchange.capabilities == {"candles", "feed", "last_trade", "dense_ids"}
    assert resolve(exchange.settings) is CoinbaseSettings
    assert callable(resolve(exchange.open))


@pytest.mark.parametrize("stage", ["backfill", "ingest"])
async def test_a_stage_is_the_kits_for_coinbase(stage: str) -> None:
    asked: list[tuple[str, str]] = []

    class Context:
        async def backfill(self, exchange: str) -> None:
            asked.append(("backfill", exchange))

        async def ingest(self, exchange: str) -> None:
            asked.append(("ingest", exchange))

    context: Any = Context()
    await {"backfill": backfill_stage.backfill, "ingest": ingest_stage.ingest}[stage](context)
    assert asked == [(stage, "coinbase")]


def test_every_public_name_can_be_had() -> None:
    for name in livermore_coinbase.__all__:
        assert getattr(livermore_coinbase, name) is not None
    assert {"StartupBackfillService", "BackfillConfig", "DEFAULT_BACKFILL_CONFIG", "TIMEFRAME_PRIORITY"} <= set(
        dir(livermore_coinbase)
    )
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = livermore_coinbase.nothing_here


@pytest.mark.parametrize(
    ("url", "fits"),
    [
        ("https://api.coinbase.com", True),
        ("https://api.coinbase.com/", True),
        ("http://127.0.0.1:8080", True),
        ("http://localhost:8080", True),
        ("http://[::1]:8080", True),
        ("http://api.coinbase.com", False),
        ("http://127.0.0.1.example.com", False),
        ("http://localhost.example.com", False),
        ("http://0.0.0.0:1", False),
        ("ftp://127.0.0.1", False),
        ("wss://api.coinbase.com", False),
        ("https://user:word@api.coinbase.com", False),
        ("https://api.coinbase.com/?a=b", False),
        ("https://", False),
        ("api.coinbase.com", False),
    ],
)
def test_si09_only_encrypted_urls_or_loopback(url: str, fits: bool) -> None:
    if fits:
        assert CoinbaseSettings(rest_url=url).rest_url == url.rstrip("/")
        return
    with pytest.raises(ValidationError) as caught:
        CoinbaseSettings(rest_url=url)
    assert "word" not in str(caught.value)


def test_si09_the_websocket_too() -> None:
    assert CoinbaseSettings(ws_url="ws://127.0.0.1:1/ws").ws_url == "ws://127.0.0.1:1/ws"
    for url in ("ws://ws.example.com", "https://ws.example.com"):
        with pytest.raises(ValidationError):
            CoinbaseSettings(ws_url=url)


def test_si09_addresses_that_are_not_coinbases_are_named() -> None:
    assert CoinbaseSettings().other_urls() == {}
    assert CoinbaseSettings(rest_url="https://elsewhere.example/").other_urls() == {
        "rest_url": "https://elsewhere.example"
    }


def test_sk08_a_secret_of_the_wrong_type_is_not_echoed() -> None:
    values: dict[str, Any] = {"api_secret": ["canary-7f3a"], "api_key": 5}
    with pytest.raises(ValidationError) as caught:
        CoinbaseSettings(**values)
    assert "canary-7f3a" not in str(caught.value)


def test_nothing_has_to_be_set() -> None:
    settings = CoinbaseSettings()
    assert (settings.rest_url, settings.ws_url) == ("https://api.coinbase.com", "wss://advanced-trade-ws.coinbase.com")
    assert (settings.api_key_file, settings.api_key, settings.api_secret) == (None, None, None)
