"""The front door: the public names, sorted, each loaded when it is first used, so that importing this costs nothing."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from livermore_core.cli.start import run_in_foreground as run_in_foreground
    from livermore_core.consumer.candles import Candles as Candles
    from livermore_core.consumer.events import Events as Events
    from livermore_core.consumer.events import Update as Update
    from livermore_core.consumer.latest import LatestValue as LatestValue
    from livermore_core.consumer.market import Market as Market
    from livermore_core.consumer.market import connect as connect
    from livermore_core.consumer.sync import SyncMarket as SyncMarket
    from livermore_core.consumer.sync import connect_sync as connect_sync
    from livermore_core.context import Context as Context
    from livermore_core.contributions import INDICATOR_KEYS as INDICATOR_KEYS
    from livermore_core.contributions import Command as Command
    from livermore_core.contributions import Exchange as Exchange
    from livermore_core.contributions import IndicatorType as IndicatorType
    from livermore_core.contributions import Store as Store
    from livermore_core.errors import BadResponseError as BadResponseError
    from livermore_core.errors import ConfigurationError as ConfigurationError
    from livermore_core.errors import CredentialsError as CredentialsError
    from livermore_core.errors import CursorExpiredError as CursorExpiredError
    from livermore_core.errors import ExchangeError as ExchangeError
    from livermore_core.errors import ExitCode as ExitCode
    from livermore_core.errors import LivermoreError as LivermoreError
    from livermore_core.errors import NotStoredError as NotStoredError
    from livermore_core.errors import PermanentError as PermanentError
    from livermore_core.errors import PluginError as PluginError
    from livermore_core.errors import RateLimitedError as RateLimitedError
    from livermore_core.errors import StoreAbsentError as StoreAbsentError
    from livermore_core.errors import StoreBusyError as StoreBusyError
    from livermore_core.errors import StoreCorruptError as StoreCorruptError
    from livermore_core.errors import StoreError as StoreError
    from livermore_core.errors import StoreHeldError as StoreHeldError
    from livermore_core.errors import StoreLostError as StoreLostError
    from livermore_core.errors import TransientError as TransientError
    from livermore_core.errors import UnavailableError as UnavailableError
    from livermore_core.errors import UnknownSymbolError as UnknownSymbolError
    from livermore_core.exchange.backfill import DEFAULT_BACKFILL_CONFIG as DEFAULT_BACKFILL_CONFIG
    from livermore_core.exchange.backfill import TIMEFRAME_PRIORITY as TIMEFRAME_PRIORITY
    from livermore_core.exchange.backfill import BackfillConfig as BackfillConfig
    from livermore_core.exchange.backfill import StartupBackfillService as StartupBackfillService
    from livermore_core.exchange.budget import Budget as Budget
    from livermore_core.exchange.following import Following as Following
    from livermore_core.exchange.protocol import CandleUpdate as CandleUpdate
    from livermore_core.exchange.protocol import ExchangeClient as ExchangeClient
    from livermore_core.exchange.protocol import Heartbeat as Heartbeat
    from livermore_core.exchange.protocol import Lost as Lost
    from livermore_core.exchange.protocol import Message as Message
    from livermore_core.exchange.protocol import Page as Page
    from livermore_core.exchange.protocol import Product as Product
    from livermore_core.exchange.protocol import Subscribed as Subscribed
    from livermore_core.exchange.settings import ExchangeSettings as ExchangeSettings
    from livermore_core.exchange.trouble import Trouble as Trouble
    from livermore_core.hooks import STAGES as STAGES
    from livermore_core.hooks import hookimpl as hookimpl
    from livermore_core.indicators.averages import Ema as Ema
    from livermore_core.indicators.averages import Rma as Rma
    from livermore_core.indicators.averages import Sma as Sma
    from livermore_core.indicators.averages import Wma as Wma
    from livermore_core.indicators.block import Block as Block
    from livermore_core.indicators.empty import CARRY as CARRY
    from livermore_core.indicators.host import SeriesHost as SeriesHost
    from livermore_core.indicators.indicator import Indicator as Indicator
    from livermore_core.indicators.indicator import settle as settle
    from livermore_core.indicators.ranges import TrueRange as TrueRange
    from livermore_core.indicators.windows import Highest as Highest
    from livermore_core.indicators.windows import Lowest as Lowest
    from livermore_core.indicators.windows import StdDev as StdDev
    from livermore_core.loading import open_reader as open_reader
    from livermore_core.market.candle import Candle as Candle
    from livermore_core.market.candle import same as same
    from livermore_core.market.events import Event as Event
    from livermore_core.market.events import IndicatorValue as IndicatorValue
    from livermore_core.market.intervals import Intervals as Intervals
    from livermore_core.market.series import Series as Series
    from livermore_core.market.series import is_symbol as is_symbol
    from livermore_core.market.timeframe import width as width
    from livermore_core.market.trade import Trade as Trade
    from livermore_core.masking import hide as hide
    from livermore_core.store.protocol import Batch as Batch
    from livermore_core.store.protocol import CandleStore as CandleStore
    from livermore_core.store.protocol import SeriesChange as SeriesChange
    from livermore_core.version import __version__ as __version__

_HOME = {
    "BackfillConfig": "exchange.backfill",
    "BadResponseError": "errors",
    "Batch": "store.protocol",
    "Block": "indicators.block",
    "Budget": "exchange.budget",
    "CARRY": "indicators.empty",
    "Candle": "market.candle",
    "CandleStore": "store.protocol",
    "CandleUpdate": "exchange.protocol",
    "Candles": "consumer.candles",
    "Command": "contributions",
    "ConfigurationError": "errors",
    "Context": "context",
    "CredentialsError": "errors",
    "CursorExpiredError": "errors",
    "DEFAULT_BACKFILL_CONFIG": "exchange.backfill",
    "Ema": "indicators.averages",
    "Event": "market.events",
    "Events": "consumer.events",
    "Exchange": "contributions",
    "ExchangeClient": "exchange.protocol",
    "ExchangeError": "errors",
    "ExchangeSettings": "exchange.settings",
    "ExitCode": "errors",
    "Following": "exchange.following",
    "Heartbeat": "exchange.protocol",
    "Highest": "indicators.windows",
    "INDICATOR_KEYS": "contributions",
    "Indicator": "indicators.indicator",
    "IndicatorType": "contributions",
    "IndicatorValue": "market.events",
    "Intervals": "market.intervals",
    "LatestValue": "consumer.latest",
    "LivermoreError": "errors",
    "Lost": "exchange.protocol",
    "Lowest": "indicators.windows",
    "Market": "consumer.market",
    "Message": "exchange.protocol",
    "NotStoredError": "errors",
    "Page": "exchange.protocol",
    "PermanentError": "errors",
    "PluginError": "errors",
    "Product": "exchange.protocol",
    "RateLimitedError": "errors",
    "Rma": "indicators.averages",
    "STAGES": "hooks",
    "Series": "market.series",
    "SeriesChange": "store.protocol",
    "SeriesHost": "indicators.host",
    "Sma": "indicators.averages",
    "StartupBackfillService": "exchange.backfill",
    "StdDev": "indicators.windows",
    "Store": "contributions",
    "StoreAbsentError": "errors",
    "StoreBusyError": "errors",
    "StoreCorruptError": "errors",
    "StoreError": "errors",
    "StoreHeldError": "errors",
    "StoreLostError": "errors",
    "Subscribed": "exchange.protocol",
    "SyncMarket": "consumer.sync",
    "TIMEFRAME_PRIORITY": "exchange.backfill",
    "Trade": "market.trade",
    "TransientError": "errors",
    "Trouble": "exchange.trouble",
    "TrueRange": "indicators.ranges",
    "UnavailableError": "errors",
    "UnknownSymbolError": "errors",
    "Update": "consumer.events",
    "Wma": "indicators.averages",
    "__version__": "version",
    "connect": "consumer.market",
    "connect_sync": "consumer.sync",
    "hide": "masking",
    "hookimpl": "hooks",
    "is_symbol": "market.series",
    "open_reader": "loading",
    "run_in_foreground": "cli.start",
    "same": "market.candle",
    "settle": "indicators.indicator",
    "width": "market.timeframe",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    """Import a public name from its home (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
