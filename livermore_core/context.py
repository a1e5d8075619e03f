"""What a stage of a plugin is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from livermore_core.market.events import COMMITTED, Event

if TYPE_CHECKING:
    from livermore_core.bus import Bus, Subscription
    from livermore_core.exchange.following import Following
    from livermore_core.store.protocol import CandleStore

Service = Callable[[Callable[[], None]], Awaitable[None]]


class Clock(Protocol):
    """Monotonic real time in seconds: how we behave. What is true is decided by exchange time alone."""

    def monotonic(self) -> float: ...


class Start(Protocol):
    """Starts a supervised service; returns once it has called ready(), raises if it could not."""

    async def __call__(self, service: Service, *, name: str, critical: bool = False) -> None: ...


class Context:
    """The one argument of a stage hook.

    `settings`: the plugin's own validated object (`[plugins.<name>]`); `indicators`: the `[indicators]` table, name ->
    parameters; `indicator_types`: name -> "module:Class", `indicator_versions` that of the plugin it is from;
    `empty_buckets`: what indicators see of buckets without trades ("skip", "carry", "flat"); `exchanges`: the followed
    exchanges by name; `store`; `clock`; `log`, bound to plugin and stage.
    """

    def __init__(
        self,
        *,
        plugin: str,
        stage: str,
        settings: Any,
        indicators: Mapping[str, Mapping[str, Any]],
        indicator_types: Mapping[str, str],
        indicator_versions: Mapping[str, str] | None = None,
        empty_buckets: str = "skip",
        store: CandleStore,
        bus: Bus,
        exchanges: Mapping[str, Following],
        clock: Clock,
        log: Any,
        start: Start,
        report: Callable[[str, Mapping[str, Any]], None],
    ) -> None:
        self.plugin, self.stage, self.settings = plugin, stage, settings
        self.indicators, self.indicator_types = indicators, indicator_types
        self.indicator_versions, self.empty_buckets = indicator_versions or {}, empty_buckets
        self.store, self.exchanges, self.clock, self.log, self.start = store, exchanges, clock, log, start
        self._bus, self._report = bus, report

    def exchange(self, name: str) -> Following:
        """The followed exchange of that name. Raises KeyError where it is not followed."""
        return self.exchanges[name]

    def publish(self, event: Event, cursor: str = "") -> None:
        """Announce a preview inside the process, or what a transaction has committed, with the cursor after it."""
        self._bus.publish(event, cursor)

    def subscribe(self, kinds: Iterable[str] | None = COMMITTED) -> Subscription:
        """A queue of announcements, active inside its `with` block. Raises ValueError for a word that is no kind."""
        return self._bus.subscribe(kinds)

    def progress(self, event: str, **fields: Any) -> None:
        """Tell whoever watches how far long work has come: an event name and plain values."""
        self._report(event, fields)

    async def backfill(self, exchange: str) -> None:
        """The whole `backfill` stage of an exchange that is followed; returns at once where it is not."""
        following = self.exchanges.get(exchange)
        if following is not None:
            await following.backfill(self)

    async def ingest(self, exchange: str) -> None:
        """The whole `ingest` stage of an exchange that is followed; returns at once where it is not."""
        following = self.exchanges.get(exchange)
        if following is not None:
            await following.ingest(self)
