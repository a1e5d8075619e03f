"""What a consumer reads beside the process that writes: the same on a store in memory and on a file."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from livermore_core import (
    Batch,
    Candle,
    CandleStore,
    ConfigurationError,
    CursorExpiredError,
    Event,
    IndicatorValue,
    Market,
    NotStoredError,
    Series,
    SeriesChange,
    StoreAbsentError,
    StoreBusyError,
    StoreCorruptError,
    Update,
    connect,
)
from livermore_core.consumer.events import PAGE, newest
from livermore_core.store.sqlite import open_store
from livermore_core.testing import MemoryStore, run_virtual

BTC, ETH = Series("coinbase", "BTC-USD", "1m"), Series("coinbase", "ETH-USD", "1m")
START = 1_704_067_200
CLOSES = {"kinds": "candle.closed"}


@pytest.fixture(params=["memory", "sqlite"])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[CandleStore, CandleStore]]:
    """A store as its writer has it, and as its reader."""
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            memory = MemoryStore()
            yield memory, memory
        else:
            url = f"sqlite:///{tmp_path}/store.sqlite"
            writer = await stack.enter_async_context(open_store(url))
            yield writer, await stack.enter_async_context(open_store(url, read_only=True))


@pytest.fixture
def writer(stores: tuple[CandleStore, CandleStore]) -> CandleStore:
    return stores[0]


@pytest.fixture
def reader(stores: tuple[CandleStore, CandleStore]) -> CandleStore:
    return stores[1]


@pytest.fixture
def market(reader: CandleStore) -> Market:
    return Market(reader)


def candle(minute: int, close: float = 10.0) -> Candle:
    return Candle(START + 60 * minute, 10.0, 12.0, 9.0, close, 1.5, 0, "trades")


def value(minute: int) -> IndicatorValue:
    return IndicatorValue(indicator="macd-v", time=START + 60 * minute, outputs={"macd_v": 1.0 * minute}, state="{}")


async def close(store: CandleStore, *minutes: int, series: Series = BTC) -> None:
    """Minutes close, in one transaction."""
    rows = [candle(minute) for minute in minutes]
    covered = [(row.time, row.time + 60) for row in rows]
    events = [Event(kind="candle.closed", time=row.time, candle=row, **series._asdict()) for row in rows]
    await store.transact(Batch(changes=[SeriesChange(series=series, rows=rows, covered=covered)], events=events))


async def compute(store: CandleStore, minute: int) -> None:
    """The value of a minute is made."""
    event = Event(kind="indicator.value", time=START + 60 * minute, value=value(minute), **BTC._asdict())
    await store.transact(Batch(changes=[SeriesChange(series=BTC, values=[value(minute)])], events=[event]))


def minutes(updates: list[Update]) -> list[int]:
    return [(update.event.time - START) // 60 for update in updates]


async def take(market: Market, count: int, *arguments: Any, **asked: Any) -> list[Update]:
    events = market.events(*arguments, **asked)
    async with asyncio.timeout(30.0):
        return [await anext(events) for _ in range(count)]


async def read(market: Market, after: str | None = "", **asked: Any) -> list[Update]:
    """All there is now."""
    return [update async for update in market.events(after, follow=False, **asked)]


class Through:
    """A store that does something of its own before each call that is named, and counts all."""

    def __init__(self, store: CandleStore, **before: Any) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self._store, self._before = store, before

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any, **named: Any) -> Any:
            self.calls.append((name, arguments))
            if name in self._before:
                await self._before[name]()
            return await getattr(self._store, name)(*arguments, **named)

        return call


# ---- events ----


async def test_a_late_consumer_gets_a_snapshot_then_what_comes(writer: CandleStore, market: Market) -> None:
    await close(writer, 1, 2)
    await compute(writer, 2)
    await close(writer, 7, series=ETH)
    events = market.events()
    snapshot = [await anext(events) for _ in range(3)]
    assert [update.event.kind for update in snapshot] == ["snapshot"] * 3
    assert [update.event.symbol for update in snapshot] == ["BTC-USD", "BTC-USD", "ETH-USD"]
    assert snapshot[0].event.candle == candle(2)
    told = snapshot[1].event.value
    assert told is not None
    assert (told.outputs, told.state) == ({"macd_v": 2.0}, None)
    await close(writer, 3)
    async with asyncio.timeout(30.0):
        update = await anext(events)
    assert (update.event.kind, update.event.candle) == ("candle.closed", candle(3))


async def test_only_the_end_of_a_snapshot_has_a_cursor_to_go_on_from(writer: CandleStore, market: Market) -> None:
    await close(writer, 1)
    await close(writer, 1, series=ETH)
    first, last = await take(market, 2)
    assert (first.cursor, last.cursor) == (None, await market.cursor())


async def test_what_is_committed_while_the_snapshot_is_read_is_told_afterwards(
    writer: CandleStore, reader: CandleStore
) -> None:
    await close(writer, 1)
    meddled = Through(reader, series=lambda: close(writer, 2))
    assert minutes(await take(Market(meddled), 2)) == [2, 2]  # type: ignore[arg-type]


async def test_each_cursor_resumes_without_gap_or_repetition_N04(writer: CandleStore, market: Market) -> None:
    for minute in range(1, 8):
        await close(writer, minute)
        await close(writer, minute, series=ETH)
    everything = await read(market)
    assert len(everything) == 14
    for at, update in enumerate(everything, start=1):
        assert await read(market, update.cursor) == everything[at:]


async def test_filters_let_pass_what_was_asked_for(writer: CandleStore, market: Market) -> None:
    await close(writer, 1)
    await compute(writer, 1)
    await close(writer, 2, series=ETH)
    await close(writer, 5, series=BTC._replace(timeframe="5m"))
    await close(writer, 9, series=BTC._replace(exchange="kraken"))
    assert minutes(await read(market, symbols="eth/usd")) == [2]
    assert minutes(await read(market, symbols=["b*", "ETH-USD"], timeframes="1m", exchange="coinbase")) == [1, 1, 2]
    assert minutes(await read(market, kinds="indicator.value")) == [1]
    assert minutes(await read(market, timeframes={"5m"})) == [5]
    assert minutes(await read(market, None, kinds=["indicator.value"])) == [1], "a snapshot of values alone"


async def test_an_alias_that_the_process_knows_is_understood(writer: CandleStore, market: Market) -> None:
    await close(writer, 1)
    following = {"name": "kraken", "aliases": {"BTC-USDC": "BTC-USD"}, "symbols": ["SOL-USD"]}
    await writer.write_status({"exchanges": [following]})
    assert minutes(await read(market, symbols="btc-usdc")) == [1]
    assert await read(market, symbols="SOL-USD") == [], "followed, not stored yet"
    assert await read(market, exchange="kraken") == [], "followed, not stored yet"


async def test_what_nobody_wanted_is_not_read_again(writer: CandleStore, reader: CandleStore) -> None:
    await close(writer, 1)
    await close(writer, *range(2, 50), series=ETH)
    watched = Through(reader)
    events = Market(watched).events("", symbols="BTC-USD", follow=False)  # type: ignore[arg-type]
    assert minutes([update async for update in events]) == [1]
    assert events.cursor == await reader.head()


async def test_a_consumer_beyond_the_log_is_told_and_goes_on_N05(writer: CandleStore, market: Market) -> None:
    await close(writer, *range(1, 11))
    (early, *_) = await read(market)
    await writer.trim({}, events=3)
    with pytest.raises(CursorExpiredError) as caught:
        await take(market, 1, early.cursor)
    assert minutes(await read(market, caught.value.oldest)) == minutes(await read(market, "")) == [8, 9, 10]
    assert minutes(await take(market, 1)) == [10]


@pytest.mark.parametrize("after", [None, ""])
async def test_a_log_that_is_empty_is_waited_for_at_rest(
    writer: CandleStore, reader: CandleStore, after: str | None
) -> None:
    is_waiting = asyncio.Event()

    async def note() -> None:
        is_waiting.set()

    watched = Through(reader, wait=note)
    async with asyncio.TaskGroup() as group:
        taking = group.create_task(take(Market(watched), 1, after))  # type: ignore[arg-type]
        await is_waiting.wait()
        await close(writer, 1)
    assert minutes(taking.result()) == [1]
    assert [name for name, _ in watched.calls].count("wait") == 1


@pytest.mark.parametrize("can_tell", [True, False])
async def test_of_a_long_log_no_more_is_read_than_has_the_newest(
    writer: CandleStore, reader: CandleStore, can_tell: bool
) -> None:
    await close(writer, 0, series=ETH)
    for minute in range(1, 200):
        await close(writer, minute)
    watched: Any = Through(reader)
    if not can_tell:
        watched.before_newest = None
    market = Market(watched)
    assert minutes(await newest(watched, lambda after: market.events(after, follow=False), 3)) == [197, 198, 199]
    assert (("events", ("", PAGE)) in watched.calls) is not can_tell
    found = await newest(watched, lambda after: market.events(after, symbols="ETH-USD", follow=False), 2)
    assert minutes(found) == [0], "the whole log has no more of them"


async def test_who_stops_reading_holds_a_page_and_nothing_up(writer: CandleStore, market: Market) -> None:
    await close(writer, *range(2 * PAGE))
    events = market.events("")
    await anext(events)
    await close(writer, 2 * PAGE)
    await writer.trim({}, events=10)
    for _ in range(PAGE - 1):
        await anext(events)
    with pytest.raises(CursorExpiredError):
        await anext(events)


async def test_a_wait_that_is_given_up_loses_nothing(writer: CandleStore, market: Market) -> None:
    await close(writer, 1)
    events = market.events("")
    assert minutes([await anext(events)]) == [1]
    given_up = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    await close(writer, 2)
    async with asyncio.timeout(30.0):
        assert minutes([await anext(events)]) == [2]


def away(times: int) -> Callable[[], Awaitable[None]]:
    """A store that cannot be reached so many times."""
    left = iter(range(times))

    async def fail() -> None:
        if next(left, None) is not None:
            raise StoreBusyError("redis://user:secret@host is away")

    return fail


def test_a_store_out_of_reach_is_outlasted_and_nothing_left_out(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> tuple[list[int], float]:
        store = MemoryStore()
        await close(store, 1, 2)
        names = ("series", "head", "candles", "events", "wait")
        events = Market(Through(store, **{name: away(10) for name in names})).events()  # type: ignore[arg-type]
        updates = [await anext(events)]
        await close(store, 3, 4)
        updates += [await anext(events) for _ in range(2)]
        following = asyncio.create_task(anext(events))
        await asyncio.sleep(3600.0)
        await close(store, 5)
        return minutes([*updates, await following]), asyncio.get_running_loop().time()

    told, seconds = run_virtual(scenario())
    assert told == [2, 3, 4, 5]
    assert seconds < 4000.0, "the pauses are short"
    assert len(caplog.messages) == 3, "once per outage: of the snapshot, the log, the wait"
    assert "secret" not in caplog.text


@pytest.mark.parametrize(("follow", "error"), [(False, StoreBusyError("busy")), (True, StoreCorruptError("damaged"))])
async def test_what_waiting_does_not_mend_is_raised(reader: CandleStore, follow: bool, error: Exception) -> None:
    async def fail() -> None:
        raise error

    broken = Through(reader, events=fail)
    with pytest.raises(type(error)):
        await anext(Market(broken).events("", follow=follow))  # type: ignore[arg-type]


async def test_who_follows_a_file_that_is_moved_away_is_told_once_there_is_another_N05(tmp_path: Path) -> None:
    path, is_waiting = tmp_path / "store.sqlite", asyncio.Event()

    async def note() -> None:
        is_waiting.set()

    async with open_store(f"sqlite:///{path}") as old:
        await close(old, 1, 2)
    async with open_store(f"sqlite:///{path}", read_only=True) as reader, asyncio.timeout(30.0):
        market = Market(Through(reader, wait=note))  # type: ignore[arg-type]
        events = market.events("")
        assert minutes([await anext(events), await anext(events)]) == [1, 2]
        following = asyncio.ensure_future(anext(events))
        await is_waiting.wait()
        (tmp_path / "old").mkdir()
        for each in list(tmp_path.glob("store.sqlite*")):  # noqa: ASYNC240
            each.rename(tmp_path / "old" / each.name)
        assert minutes(await read(market)) == [1, 2], "no file is there"
        path.touch()
        assert minutes(await read(market)) == [1, 2], "one that is not made yet"
        async with open_store(f"sqlite:///{path}") as new:
            await close(new, *range(5, 9))
            with pytest.raises(CursorExpiredError):
                await following
            assert minutes(await read(market)) == [5, 6, 7, 8]


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"kinds": ["candle.close"]}, ValueError, "did you mean 'candle.closed'"),
        ({"kinds": "candle.open"}, ValueError, "is no kind"),
        ({"timeframes": "7m"}, ConfigurationError, "unknown timeframe '7m'"),
        ({"symbols": "BTC-UDS"}, NotStoredError, "did you mean 'BTC-USD'"),
        ({"exchange": "coinbasa"}, NotStoredError, "neither stored nor followed, did you mean 'coinbase'"),
    ],
)
async def test_a_filter_that_nothing_can_pass_is_refused(
    writer: CandleStore, market: Market, asked: dict[str, Any], error: type[Exception], words: str
) -> None:
    await close(writer, 1)
    with pytest.raises(error, match=words):
        await read(market, **asked)


# ---- candles and values ----


async def test_candles_are_asked_for_in_any_form_of_time(writer: CandleStore, market: Market) -> None:
    await close(writer, *range(10))
    for since in (START + 120, "2024-01-01T00:02", "2024-01-01T01:02+01:00", datetime(2024, 1, 1, 0, 2, tzinfo=UTC)):
        found = await market.candles("btc/usd", "1m", since=since, until=START + 300)
        assert list(found) == [candle(2), candle(3), candle(4)]
    assert (await market.candles("BTC-USD", "1m", last=2)).columns() == {
        "time": [START + 480, START + 540], "open": [10.0] * 2, "high": [12.0] * 2, "low": [9.0] * 2,
        "close": [10.0] * 2, "volume": [1.5] * 2,
    }  # fmt: skip
    for bound in (START + 60.5, "2024-01-01T00:01:00.5", datetime(2024, 1, 1, 0, 1, 0, 1, tzinfo=UTC)):
        assert (await market.candles("BTC-USD", "1m", since=bound))[0] == candle(2)
        assert (await market.candles("BTC-USD", "1m", until=bound))[-1] == candle(1)
    for wrong in (1000 * START, "soon", float("nan")):
        with pytest.raises(ValueError, match="is no time"):
            await market.candles("BTC-USD", "1m", since=wrong)


async def test_bounds_ask_for_all_and_nothing_for_the_newest_300(writer: CandleStore, market: Market) -> None:
    await close(writer, *range(400))
    assert len(await market.candles("BTC-USD", "1m")) == 300
    assert len(await market.candles("BTC-USD", "1m", since=START)) == 400
    with pytest.raises(ValueError, match="-1"):
        await market.candles("BTC-USD", "1m", last=-1)


async def test_candles_say_what_is_unknown_between_them(writer: CandleStore, market: Market) -> None:
    await close(writer, 1, 2, 6)
    empty = SeriesChange(series=BTC, covered=[(START + 180, START + 240)])
    await writer.transact(Batch(changes=[empty]))
    found = await market.candles("BTC-USD", "1m")
    assert found.unknown == ((START + 240, START + 360),)
    assert found[0] == candle(1)
    assert found[1:] == (candle(2), candle(6))
    assert (await market.candles("BTC-USD", "1m", since=START + 6000)).unknown == ()


async def test_what_becomes_known_while_candles_are_read_is_not_called_empty(
    writer: CandleStore, reader: CandleStore
) -> None:
    await close(writer, 1, 3)
    looks = iter([(), (2,)])

    async def heal() -> None:
        await close(writer, *next(looks))

    found = await Market(Through(reader, coverage=heal)).candles("BTC-USD", "1m")  # type: ignore[arg-type]
    assert list(found) == [candle(1), candle(3)]
    assert found.unknown == ((START + 120, START + 180),)


async def test_a_series_of_several_exchanges_needs_a_name(writer: CandleStore, market: Market) -> None:
    await close(writer, 1)
    await close(writer, 2, series=BTC._replace(exchange="kraken"))
    with pytest.raises(NotStoredError, match="several exchanges: coinbase, kraken"):
        await market.candles("BTC-USD", "1m")
    assert list(await market.candles("BTC-USD", "1m", exchange="kraken")) == [candle(2)]
    assert await market.series() == [BTC, BTC._replace(exchange="kraken")]


async def test_values_come_with_their_age_and_without_their_state(writer: CandleStore, market: Market) -> None:
    await close(writer, 1, 2, 3)
    await compute(writer, 2)
    (found,) = await market.indicators("btc-usd", "1m", "macd-v")
    assert (found.series, found.outputs, found.age, found.liquidity) == (BTC, {"macd_v": 2.0}, 1, "high")
    assert found.state is None
    assert await market.indicators("BTC-USD") == [found]
    with pytest.raises(NotStoredError, match="did you mean 'macd-v'"):
        await market.indicators("BTC-USD", indicator="macdv")


async def test_without_pandas_the_mend_is_named(
    writer: CandleStore, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    await close(writer, 1)
    found = await market.candles("BTC-USD", "1m")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'livermore\[pandas\]'"):
        found.to_pandas()


async def test_pandas_gets_a_frame_by_time(writer: CandleStore, market: Market) -> None:
    import pandas

    await close(writer, 1, 2)
    frame = (await market.candles("BTC-USD", "1m")).to_pandas()
    assert list(frame.columns) == ["open", "high", "low", "close", "volume"]
    assert frame.index[0] == pandas.Timestamp(START + 60, unit="s", tz="UTC")
    assert (await market.candles("BTC-USD", "1m", last=0)).to_pandas().empty


async def test_beyond_its_block_a_market_says_that_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    async with open_store(f"sqlite:///{tmp_path}/store.sqlite") as store:
        await close(store, 1)
    async with connect(f"sqlite:///{tmp_path}/store.sqlite") as market:
        events = market.events("")
        assert minutes([await anext(events)]) == [1]
        following = asyncio.ensure_future(anext(events))
        await market.series()
    for asked in (
        market.series(),
        market.cursor(),
        market.candles("BTC-USD", "1m"),
        market.events().__anext__(),
        following,
    ):
        with pytest.raises(RuntimeError, match="this market is closed; connect again"):
            await asked


async def test_where_there_is_no_store_yet_connecting_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreAbsentError):
        async with connect(f"sqlite:///{tmp_path}/none.sqlite"):
            pass
