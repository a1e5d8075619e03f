"""One followed exchange: its client, budget, ledgers, healer and feed, and its two stages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from livermore_core.bus import Bus
from livermore_core.contributions import Exchange
from livermore_core.errors import ConfigurationError, PermanentError, TransientError
from livermore_core.exchange.audit import Audit
from livermore_core.exchange.backfill import REASON as BACKFILL_REASON
from livermore_core.exchange.backfill import BackfillConfig, StartupBackfillService
from livermore_core.exchange.budget import Budget
from livermore_core.exchange.clock import ExchangeClock
from livermore_core.exchange.fallback import Fallback
from livermore_core.exchange.feed import LiveFeed
from livermore_core.exchange.heal import Healer, Want, backoff
from livermore_core.exchange.protocol import ExchangeClient
from livermore_core.exchange.quiet import QuietProbe
from livermore_core.exchange.recorder import Recorder
from livermore_core.exchange.seam import close_seam
from livermore_core.exchange.settings import ExchangeSettings
from livermore_core.exchange.standing import Standing
from livermore_core.exchange.symbols import resolve
from livermore_core.exchange.trouble import Trouble
from livermore_core.market.timeframe import BASE, WIDTHS, iso
from livermore_core.store.protocol import CandleStore

if TYPE_CHECKING:
    from livermore_core.context import Context

TRIM_EVERY = 600.0
# Real seconds: a minute, and what it may take to close it.
PROGRESS_WITHIN = 75.0
LISTED_GAPS = 200


class Following:
    """An exchange that is followed. Plugins reach it as `context.exchange(name)`."""

    def __init__(
        self,
        *,
        exchange: Exchange,
        client: ExchangeClient,
        settings: ExchangeSettings,
        store: CandleStore,
        bus: Bus,
        timeframes: Sequence[str],
        backfill_timeframes: Sequence[str],
        depth: int,
        symbols: Sequence[str],
        retention: Mapping[str, int],
        log: Any,
        report: Callable[[str, Mapping[str, Any]], None],
    ) -> None:
        self.exchange, self.client, self.store, self.bus = exchange, client, store, bus
        self.name = exchange.name
        self.requested = tuple(symbols)
        self.timeframes = tuple(sorted({BASE, *timeframes, *backfill_timeframes}, key=WIDTHS.__getitem__))
        self.backfill_timeframes = tuple(sorted(backfill_timeframes, key=WIDTHS.__getitem__))
        self.other_urls = settings.other_urls()
        self.depth, self.retention, self.log, self.report = depth, dict(retention), log, report
        self.symbols: tuple[str, ...] = ()
        self.aliases: dict[str, str] = {}
        self.unknown: dict[str, str] = {}
        self._failed: dict[str, str] = {}
        self.seam_closed = False
        self.clock = ExchangeClock()
        offered: float = getattr(client, "requests_per_second", exchange.requests_per_second)
        rate = settings.requests_per_second or offered
        self.budget = Budget(rate, settings.burst or exchange.burst)
        self.recorder = Recorder(self.name, self.timeframes, store, bus, self.clock)
        self.healer = Healer(client, self.recorder, self.budget, self.clock, exchange.page_size, self._say)
        self.recorder.want = self.healer.want
        self.recorder.say = self._say
        self.standing = Standing(self.healer, self._say)
        self.feed: LiveFeed | None = None
        self._healing = False
        self._preparing = asyncio.Lock()

    # ---- stages ----

    async def backfill(self, context: Context) -> None:
        """Resolve the symbols and fetch the history that is missing."""
        await self.prepare(context)
        config = BackfillConfig(depth=self.depth, retention=max(self.retention.values(), default=20_000))
        service = StartupBackfillService(self.healer, config, report=self._say)
        self._failed = await service.backfill(self.symbols, self.backfill_timeframes)

    async def ingest(self, context: Context) -> None:
        """Subscribe, close the seam, go live."""
        await self.prepare(context)
        self.feed = LiveFeed(self.client, self.symbols, self.recorder, self.healer, self.bus, self._say)
        await context.start(self.feed.run, name=f"{self.name}.feed", critical=True)
        await close_seam(self.recorder, self.healer, self.symbols)
        self.seam_closed = True
        self._say("seam.closed", {"symbols": len(self.symbols)})
        await context.start(Fallback(self.feed).run, name=f"{self.name}.fallback")
        await context.start(QuietProbe(self.feed).run, name=f"{self.name}.quiet")
        await context.start(Audit(self.recorder, self.healer, self.symbols).run, name=f"{self.name}.audit")
        await context.start(self.standing.run, name=f"{self.name}.standing")
        await context.start(self._trim, name=f"{self.name}.trim")

    async def prepare(self, context: Context) -> None:
        """Resolve the symbols, read the ledgers, begin to heal; the first call alone does anything."""
        async with self._preparing:
            if self._healing:
                return
            await self._resolve()
            await self.recorder.load(self.symbols)
            await context.start(self.healer.run, name=f"{self.name}.heal", critical=True)
            self._healing = True

    async def _resolve(self) -> None:
        """Ask for the products until the exchange answers. Raises ConfigurationError where no symbol is known."""
        attempt = 0
        while True:
            try:
                products = await self.healer.products()
                held = await self._held()
                break
            except TransientError:
                await asyncio.sleep(backoff(attempt))
                attempt += 1
        resolved = resolve(self.requested, products, held)
        self.symbols, self.aliases, self.unknown = resolved.symbols, resolved.aliases, resolved.unknown
        self.standing.follow(self.symbols, products)
        for symbol, reason in self.unknown.items():
            self._say("symbol.unknown", {"symbol": symbol, "cause": reason})
        if not self.symbols:
            raise ConfigurationError(
                f"{self.name}: no symbol to follow: {'; '.join(self.unknown.values()) or 'none is tradable'}"
                f" (see `livermore config describe`, key exchanges.{self.name}.symbols)"
            )

    async def _held(self) -> list[str]:
        if "held" not in self.requested:
            return []
        ask = getattr(self.client, "held", None)
        if ask is None:
            raise PermanentError(f"{self.name} cannot tell which symbols are held")
        held: list[str] = await ask()
        return held

    async def _trim(self, ready: Callable[[], None]) -> None:
        """Keep the store within its retention."""
        ready()
        while True:
            await asyncio.sleep(TRIM_EVERY)
            await self.recorder.trim(self.retention)

    def _say(self, event: str, fields: Mapping[str, Any]) -> None:
        self.report(event, {"exchange": self.name, **fields})

    # ---- status ----

    def status(self) -> dict[str, Any]:
        """A snapshot for the status row: what is followed, how it goes, and what is missing with its reason."""
        feed = self.feed
        return {
            "name": self.name,
            "other_urls": self.other_urls,
            "symbols": list(self.symbols),
            "timeframes": list(self.timeframes),
            "aliases": {alias: symbol for alias, symbol in self.aliases.items() if symbol in self.symbols},
            "unknown_symbols": self.unknown,
            "halted_symbols": self.standing.states,
            "incomplete": self.incomplete,
            "exchange_time": iso(self.clock.now) if self.clock.now else None,
            "feed": {
                "connected": feed is not None and feed.connected,
                "reason": "feed.not_started" if feed is None else feed.why(),
                "connections": 0 if feed is None else feed.connections,
                "frames": 0 if feed is None else feed.frames,
                "lost_frames": 0 if feed is None else feed.lost_frames,
            },
            "seam_closed": self.seam_closed,
            "budget": {
                "rate": self.budget.rate,
                "pace": round(self.budget.pace(), 3),
                "requests": self.healer.requests,
                "refused": self.budget.refused,
                "waiting": self.budget.waiting,
            },
            "troubles": [trouble.row() for trouble in self.troubles(with_feed=True).values()],
            "series": len(self.recorder.ledgers()),
            "revised": self.recorder.revised,
            "native_differences": self.recorder.native_differences,
            "ids_sparse": [] if feed is None else [symbol for symbol, tape in feed.tapes.items() if tape.sparse],
            "gaps": self.gaps(),
        }

    def gaps(self) -> list[dict[str, Any]]:
        """What is asked for and not known yet, newest first, at most LISTED_GAPS."""
        now = asyncio.get_running_loop().time()
        # What is asked about although it is known, as the audit does, is no gap.
        asked = self.healer.asked()
        unknown = [want for want in asked if self.recorder.unknown(want.series, want.start, want.end)]
        wants = sorted(unknown, key=lambda want: (want.priority, -want.end))[:LISTED_GAPS]
        return [
            {
                "symbol": want.series.symbol,
                "timeframe": want.series.timeframe,
                "start": iso(want.start),
                "end": iso(want.end),
                "reason": want.reason,
                "attempts": want.attempts,
                "cause": want.cause,
                "next_attempt": self._next_attempt(want, now),
            }
            for want in wants
        ]

    def _next_attempt(self, want: Want, now: float) -> str | None:
        """When a want is due, on the exchange's clock; None where that is now, or the clock is not known."""
        moment = max(want.after, self.clock.now + want.due - now)
        return iso(moment) if moment > self.clock.now > 0.0 else None

    def troubles(self, with_feed: bool = False) -> dict[str, Trouble]:
        """What is out of order now, by what of the exchange it is. The feed's own ends before it counts as steady."""
        feed, name = self.feed, self.name
        found = {
            name: self.healer.trouble,
            f"{name}.pace": self.healer.rate_limited,
            f"{name}.key": self.healer.refused,
        }
        found[f"{name}.store"] = self.recorder.trouble
        if feed is not None:
            found[f"{name}.subscription"] = feed.partial
            found[f"{name}.backlog"] = feed.backlog.lagging
            found |= {f"{name}.{symbol}": muted for symbol, muted in feed.muted.items()}
            if with_feed and not feed.connected:
                found[f"{name}.feed"] = feed.outage
        return {part: trouble for part, trouble in found.items() if trouble.since is not None}

    def is_excused(self) -> bool:
        """Whether it has been said why nothing can be known, or written."""
        return self.healer.trouble.since is not None or self.recorder.trouble.since is not None

    def is_progressing(self) -> bool:
        """Whether minutes are being closed and written, as far as a feed is there to close them."""
        return self.feed is None or asyncio.get_running_loop().time() < self.feed.closed_at + PROGRESS_WITHIN

    @property
    def incomplete(self) -> dict[str, str]:
        """The series that the backfill could not complete and that are still asked for, each with the cause."""
        asked = {str(want.series) for want in self.healer.asked() if want.reason == BACKFILL_REASON}
        return {series: cause for series, cause in self._failed.items() if series in asked}

    def shortcomings(self) -> dict[str, str]:
        """Why an exchange that has been started is not, or not wholly, live: what is concerned, and the reason."""
        found = {}
        incomplete = sorted({series.split(":")[1] for series in self.incomplete})
        if incomplete:
            found["backfill"] = f"backfill.incomplete: {', '.join(incomplete)}"
        if self.feed is not None and not self.is_live():
            found["feed"] = self.feed.why() or "seam.open"
        return found

    def is_live(self) -> bool:
        """Whether the feed is acknowledged and the seam is closed."""
        return self.feed is not None and self.feed.connected and self.seam_closed
