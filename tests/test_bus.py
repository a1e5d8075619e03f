"""Announcements inside the process: each listener has its own bounded queue, and costs nobody else anything."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest

from livermore_core.bus import Bus
from livermore_core.market.events import CLOSED, COMMITTED, OPEN, PREVIEW, Event


def event(time: int, kind: str = CLOSED) -> Event:
    return Event(kind=kind, exchange="memory", symbol="AAA-USD", timeframe="1m", time=time)


async def test_a_listener_that_does_not_read_loses_its_oldest_and_is_told_how_many_N01_N02_P15() -> None:
    bus = Bus()
    with bus.subscribe(bound=10) as slow, bus.subscribe() as quick:
        for time in range(1000):
            bus.publish(event(time))
        assert (slow.lost, quick.lost) == (990, 0)
        assert [each.time for each in await slow.get()] == list(range(990, 1000))
        assert [each.time for each in await quick.get()] == list(range(1000))


async def test_a_listener_that_is_gone_costs_nothing_N02() -> None:
    bus = Bus()
    with bus.subscribe() as gone:
        assert bus.wants(CLOSED)
    bus.publish(event(1))
    assert not bus.wants(CLOSED)
    assert len(gone._queue) == 0


@pytest.mark.parametrize("kind", sorted({*COMMITTED, OPEN, PREVIEW}))
async def test_what_is_published_reaches_all_who_want_its_kind_and_nobody_else_N15(kind: str) -> None:
    bus = Bus()
    with bus.subscribe() as committed, bus.subscribe(None) as all_kinds, bus.subscribe({kind}) as one:
        bus.publish(event(1, kind))
        assert len(await all_kinds.get()) == len(await one.get()) == 1
        assert len(committed._queue) == (kind in COMMITTED)
        assert bus.wants(kind)


@pytest.mark.parametrize("kinds", [{"candle.close"}, {CLOSED, "candle.close"}, ["Candle.closed"], "candle.closed"])
def test_a_word_that_is_no_kind_is_refused_with_what_was_perhaps_meant_N15(kinds: Iterable[str]) -> None:
    meant = "" if isinstance(kinds, str) else ", did you mean 'candle.closed'?"
    with pytest.raises(ValueError, match=rf"is no kind of event{re.escape(meant)}.*; known: candle.closed,"):
        Bus().subscribe(kinds)


async def test_an_event_cannot_be_changed_by_who_hears_it_P16() -> None:
    bus = Bus()
    with bus.subscribe() as first, bus.subscribe() as second:
        bus.publish(event(1))
        (heard,) = await first.get()
        with pytest.raises(AttributeError, match="immutable"):
            heard.time = 2
        assert await second.get() == [event(1)]
