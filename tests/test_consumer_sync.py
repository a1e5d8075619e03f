"""The plain twin of a market: from a script, and from where a loop is running."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from livermore_core import (
    Batch,
    Candle,
    Event,
    Market,
    Series,
    SeriesChange,
    StoreAbsentError,
    SyncMarket,
    connect_sync,
)
from livermore_core.store.sqlite import open_store

BTC = Series("coinbase", "BTC-USD", "1m")


@pytest.fixture
async def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store with two closes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    url = f"sqlite:///{tmp_path}/store.sqlite"
    async with open_store(url) as store:
        rows = [Candle(time, 10.0, 12.0, 9.0, 11.0, 1.5) for time in (60, 120)]
        events = [Event(kind="candle.closed", time=row.time, candle=row, **BTC._asdict()) for row in rows]
        await store.transact(Batch(changes=[SeriesChange(series=BTC, rows=rows, covered=[(60, 180)])], events=events))
    return url


@pytest.fixture(autouse=True)
def none_left() -> Iterator[None]:
    """No thread outlives a market."""
    before = set(threading.enumerate())
    yield
    assert {thread for thread in threading.enumerate() if "livermore" in thread.name} <= before


async def test_it_works_where_a_loop_is_running_as_in_a_notebook(url: str) -> None:
    with connect_sync(url) as market:
        assert market.candles("btc/usd", "1m", last=1).columns()["close"] == [11.0]
        assert market.series() == [BTC]
        assert market.indicators("BTC-USD") == []


async def test_a_loop_over_events_may_be_left_and_taken_up(url: str) -> None:
    with connect_sync(url) as market:
        events = market.events("")
        for update in events:
            assert update.event.time == 60
            break
        assert next(events).event.time == 120
        assert events.cursor == market.cursor()
        assert [update.event.kind for update in market.events(follow=False)] == ["snapshot"]


async def test_closing_ends_who_waits_elsewhere(url: str) -> None:
    market = connect_sync(url)
    ended: list[str] = []
    is_waiting = threading.Event()

    def follow() -> None:
        try:
            for _ in market.events(""):
                is_waiting.set()
        except RuntimeError as error:
            ended.append(str(error))

    follower = threading.Thread(target=follow)
    follower.start()
    assert is_waiting.wait(30.0)
    market.close()
    market.close()
    follower.join(30.0)
    assert ended == ["this market is closed; connect again"]
    with pytest.raises(RuntimeError, match="closed"):
        market.cursor()


async def test_what_does_not_open_raises_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreAbsentError):
        connect_sync(f"sqlite:///{tmp_path}/none.sqlite")


@pytest.mark.parametrize("name", [name for name in vars(Market) if not name.startswith("_")])
def test_it_offers_what_the_market_offers(name: str) -> None:
    assert inspect.signature(getattr(SyncMarket, name)) == inspect.signature(getattr(Market, name))
