"""Without a WebSocket REST takes its place: series lag, stay correct, and cost what was agreed."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from typing import Any

import pytest
from test_kit_faults import compared, exchange, following

from livermore_core.market.events import CLOSED, GAP
from livermore_core.testing import Fault, Harness, MemoryStore, run_virtual
from livermore_core.testing.faulty_exchange import FaultyExchange

HOUR = 3600.0
MARKETS = {"AAA-USD": 2.0, "BBB-USD": 30.0, "CCC-USD": 500.0, "EEE-USD": 40_000.0}
MOST_LAG = 120.0


class Watched:
    """Notes how late each minute is announced, and how old the oldest unknown one is."""

    def __init__(self, found: Harness, client: FaultyExchange) -> None:
        self.found, self.client = found, client
        self.lags: list[float] = []
        self.oldest, self.gaps = 0.0, 0
        self._publish = found.bus.publish
        found.bus.publish = self.publish  # type: ignore[method-assign]

    def publish(self, event: Any, cursor: str = "") -> None:
        if event.kind == CLOSED and event.timeframe == "1m":
            self.lags.append(self.client.now() - event.time - 60)
        self.gaps += event.kind == GAP
        self._publish(event, cursor)

    def stop(self) -> None:
        self.found.bus.publish = self._publish  # type: ignore[method-assign]

    async def watch(self, seconds: float) -> None:
        until = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(10.0)
            for ledger in self.found.following.recorder.ledgers():
                if ledger.series.timeframe == "1m":
                    now = int(self.client.now())
                    missing = ledger.unknown(max(now - 1800, ledger.coverage.start or now), now)
                    self.oldest = max(self.oldest, now - missing[0][0] - 60.0)


def asked(client: FaultyExchange, since: float, until: float) -> int:
    """The requests of those seconds; no second of them has more than the pace allows."""
    moments = sorted(client.asked)
    assert all(bisect_left(moments, moment + 0.999) - place <= 11 for place, moment in enumerate(moments))
    return bisect_left(moments, until) - bisect_left(moments, since)


@pytest.mark.parametrize("kind", ["ws.refuse", "ws.flap", "ws.no_ack"])
def test_an_hour_without_a_feed_closes_every_minute_over_rest_W01_W11_W17(kind: str) -> None:
    async def lost() -> tuple[Watched, int, int, str, int]:
        client = exchange(2.0, FaultyExchange, markets=MARKETS)
        async with following(client, MemoryStore()) as found:
            await found.live()
            await asyncio.sleep(300.0)
            fault = Fault(at=0.0, kind=kind, lasts=HOUR)
            client.begin(fault)
            client.cut()
            began = asyncio.get_running_loop().time()
            await asyncio.sleep(180.0)
            watched = Watched(found, client)
            await watched.watch(HOUR - 180.0)
            feed = found.following.status()["feed"]
            client.end(fault)
            watched.stop()
            requests = asked(client, began, asyncio.get_running_loop().time())
            await asyncio.sleep(400.0)
            assert found.following.gaps() == []
            assert found.following.is_live()
            before = len(client.asked)
            await asyncio.sleep(600.0)
            quiet = len(client.asked) - before
            return watched, requests, quiet, feed["reason"], await compared(found, client, client.now() - HOUR)

    watched, requests, quiet, reason, rows = run_virtual(lost())
    assert len(watched.lags) > 70
    assert sorted(watched.lags)[len(watched.lags) // 2] <= 20.0
    assert max(watched.lags) <= MOST_LAG
    assert watched.oldest <= MOST_LAG
    # Where the exchange's clock goes on, what comes after an unproven minute waits no longer than it ever does.
    assert watched.gaps == 0 or kind != "ws.refuse"
    assert reason.startswith("ws.unavailable")
    # A minute costs the exchange's time and a page per symbol, another one where it is not shown at once; what is
    # announced as a gap is asked for by itself.
    assert requests <= 60 * ((2.5 if kind == "ws.refuse" else 4.0) * len(MARKETS) + 1)
    assert quiet <= 30
    assert rows > 100


def test_nothing_is_asked_for_while_rest_fails_too_W01() -> None:
    async def dark() -> int:
        client = exchange(2.0, FaultyExchange, markets=MARKETS)
        async with following(client, MemoryStore()) as found:
            await found.live()
            await asyncio.sleep(300.0)
            client.begin(Fault(at=0.0, kind="exchange.down", lasts=HOUR))
            await asyncio.sleep(300.0)
            before = asyncio.get_running_loop().time()
            await asyncio.sleep(HOUR)
            return asked(client, before, asyncio.get_running_loop().time())

    assert 50 <= run_virtual(dark()) <= 75


def test_a_feed_that_never_opens_from_the_start_holds_up_no_close_and_leaves_no_hole_W01() -> None:
    async def started() -> tuple[float, list[float], str, int]:
        client = exchange(2.0, FaultyExchange, markets=MARKETS)
        refused = Fault(at=0.0, kind="ws.refuse", lasts=HOUR)
        client.begin(refused)
        async with following(client, MemoryStore()) as found:
            await found.following.backfill(found.context)
            began = asyncio.get_running_loop().time()
            await found.following.ingest(found.context)
            took = asyncio.get_running_loop().time() - began
            since = client.now()
            await asyncio.sleep(120.0)
            watched = Watched(found, client)
            await watched.watch(900.0)
            reason = found.following.status()["feed"]["reason"]
            client.end(refused)
            await asyncio.sleep(600.0)
            assert found.following.is_live()
            assert found.following.gaps() == []
            return took, watched.lags, reason, await compared(found, client, since)

    took, lags, reason, rows = run_virtual(started())
    assert took < 50.0  # less than a stage may take
    assert len(lags) > 20
    assert max(lags) <= MOST_LAG
    assert reason.startswith("ws.unavailable")
    assert rows > 40
