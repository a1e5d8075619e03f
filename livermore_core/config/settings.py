"""The settings of a run: one frozen object, and what each key means."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from livermore_core.market.timeframe import BASE

TIMEFRAMES = ("1m", "5m", "15m", "1h", "4h", "1d")
USUAL_INDICATOR = "macd-v"
USUAL_DEPTH = 300
DEEPEST_HISTORY = 100_000
RETENTION = 20_000
MOST_KEPT = 100_000_000
# A store that several programs share keeps its rows in memory.
SHARED_RETENTION = 2_000


def default_store() -> str:
    """The embedded store in the user's data folder."""
    import platformdirs

    return f"sqlite:///{platformdirs.user_data_path('livermore') / 'livermore.sqlite'}"


def without_base(timeframes: tuple[str, ...]) -> tuple[str, ...]:
    """What is backfilled where nothing else is said: all but 1m, which comes live."""
    return tuple(timeframe for timeframe in timeframes if timeframe != BASE) or timeframes


class PluginSettings(BaseModel):
    """`[plugins]`: which plugins to load. Naming one in `only` or as `[plugins.<name>]` makes it required."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    disable: tuple[str, ...] = Field(default=(), description="entry points that are not loaded")
    only: tuple[str, ...] = Field(default=(), description="load these and no others (built-in ones stay)")


class CoreSettings(BaseModel):
    """The keys of the core itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: str = Field(
        default_factory=default_store, repr=False, description="where candles, values and events are kept, a URL"
    )
    timeframes: tuple[str, ...] = Field(default=TIMEFRAMES, description="what is kept live; 1m is always")
    backfill_timeframes: tuple[str, ...] = Field(
        default=without_base(TIMEFRAMES), description="what is fetched at the start; all of timeframes but 1m"
    )
    depth: int | None = Field(
        default=None,
        ge=1,
        le=DEEPEST_HISTORY,
        description="traded candles per series; what the indicators need if not set",
    )
    empty_buckets: Literal["skip", "carry", "flat"] = Field(
        default="skip",
        description="what indicators see of buckets without trades: nothing, the close without a range, a flat candle",
    )
    stage_timeout: float = Field(
        default=60.0, gt=0, le=86_400, allow_inf_nan=False, description="seconds for a plugin in indicators and ingest"
    )
    log_format: Literal["console", "json"] | None = Field(
        default=None, description="console on a terminal, json elsewhere, if not set"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="the least that is said"
    )
    on_corrupt: Literal["rebuild", "stop"] = Field(
        default="rebuild", description="a corrupt store: set it aside and fetch its history anew, or stop with 74"
    )
    memory_ceiling: int | None = Field(
        default=None, ge=20, le=10_000_000, description="MB of memory above which a run ends with 70; none if not set"
    )
    retention: dict[str, int] = Field(
        default_factory=dict,
        description="candles kept per timeframe, at least twice the depth; 20000, shared store 2000",
    )
    plugins: PluginSettings = Field(default_factory=PluginSettings)


class Settings(CoreSettings):
    """What a run is told: the core's keys, each exchange's own validated settings, and what follows from them.

    `exchanges` holds every installed exchange, `followed` those that this run follows; `required` are the plugins
    without which it does not start; `history` is the depth that is fetched; `origins` says where each key came from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    exchanges: dict[str, BaseModel] = Field(default_factory=dict)
    indicators: dict[str, dict[str, Any]] = Field(default_factory=dict)
    followed: tuple[str, ...] = ()
    required: frozenset[str] = frozenset()
    history: int = USUAL_DEPTH
    file: Path | None = None
    origins: dict[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def secrets(self) -> list[str]:
        """Every secret, so that the log can hide it."""
        found = [password for password in [password_of(self.store)] if password]
        for settings in self.exchanges.values():
            values = (getattr(settings, name) for name in type(settings).model_fields)
            found += [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
        return found


def password_of(url: str) -> str | None:
    """The password in a URL, None where there is none."""
    from urllib.parse import urlsplit

    try:
        return urlsplit(url).password or None
    except ValueError:
        return None
