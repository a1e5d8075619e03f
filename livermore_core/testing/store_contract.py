"""The contract of a store: subclass StoreContract in a store's tests and give it a `store` fixture."""

from __future__ import annotations

import asyncio

import pytest

from livermore_core.errors import CursorExpiredError
from livermore_core.market.candle import Candle
from livermore_core.market.events import CLOSED, VALUE, Event, IndicatorValue
from livermore_core.market.series import Series
from livermore_core.store.protocol import Batch, CandleStore, SeriesChange

SERIES = Series("memory", "BTC-USD", "1m")


def candle(minute: int, close: float = 10.0, revision: int = 0) -> Candle:
    """A candle of the minute `minute`."""
    return Candle(60 * minute, 10.0, 12.0, 9.0, close, 1.5, revision, "trades")


def closed(minute: int) -> Event:
    """The announcement of that candle."""
    return Event(
        kind=CLOSED, exchange=SERIES.exchange, symbol=SERIES.symbol, timeframe="1m", time=60 * minute,
        candle=candle(minute),
    )  # fmt: skip


def change(*minutes: int, **more: object) -> Batch:
    """A batch that stores, covers and announces these minutes."""
    covered = [(60 * minute, 60 * minute + 60) for minute in minutes]
    rows = [candle(minute) for minute in minutes]
    one = SeriesChange(series=SERIES, rows=rows, covered=covered, **more)  # type: ignore[arg-type]
    return Batch(changes=[one], events=[closed(minute) for minute in minutes])


class StoreContract:
    """What every store must do."""

    async def test_rows_coverage_and_events_come_back_S8(self, store: CandleStore) -> None:
        cursor = await store.transact(change(1, 2, 4))
        assert [row.time for row in await store.candles(SERIES)] == [60, 120, 240]
        assert list(await store.coverage(SERIES)) == [(60, 180), (240, 300)]
        events = await store.events()
        assert [event.time for _, event in events] == [60, 120, 240]
        assert events[-1][0] == cursor == await store.head()
        assert await store.series() == [SERIES]

    async def test_a_candle_comes_back_to_the_bit(self, store: CandleStore) -> None:
        exact = Candle(60, 0.1, 0.30000000000000004, 0.1, 0.2, 1e-8, 3, "derived")
        await store.transact(Batch(changes=[SeriesChange(series=SERIES, rows=[exact])]))
        assert await store.candles(SERIES) == [exact]

    async def test_ranges_are_half_open_and_last_takes_the_newest(self, store: CandleStore) -> None:
        await store.transact(change(1, 2, 3, 4))
        assert [row.time for row in await store.candles(SERIES, since=120, until=240)] == [120, 180]
        assert [row.time for row in await store.candles(SERIES, last=2)] == [180, 240]
        assert await store.candles(SERIES, last=0) == []
        assert await store.candles(Series("memory", "NONE-USD", "1m")) == []

    async def test_a_hidden_row_is_shown_to_nobody_until_it_is_stored_again(self, store: CandleStore) -> None:
        await store.transact(change(1, 2))
        gone = SeriesChange(series=SERIES, hidden=[candle(2)], uncovered=[(120, 180)])
        await store.transact(Batch(changes=[gone]))
        assert [row.time for row in await store.candles(SERIES)] == [60]
        assert await store.hidden(SERIES, 0, 600) == [candle(2)]
        assert list(await store.coverage(SERIES)) == [(60, 120)]
        await store.transact(change(2))
        assert await store.hidden(SERIES, 0, 600) == []
        assert [row.time for row in await store.candles(SERIES)] == [60, 120]

    async def test_coverage_leaves_before_it_joins(self, store: CandleStore) -> None:
        both = SeriesChange(series=SERIES, uncovered=[(0, 600)], covered=[(120, 180)])
        await store.transact(Batch(changes=[SeriesChange(series=SERIES, covered=[(0, 300)])]))
        await store.transact(Batch(changes=[both]))
        assert list(await store.coverage(SERIES)) == [(120, 180)]

    async def test_a_batch_whose_caller_is_cancelled_is_written_and_disturbs_no_other_D14(
        self, store: CandleStore
    ) -> None:
        first, second = (asyncio.ensure_future(store.transact(change(minute))) for minute in (1, 2))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == await store.head()
        assert [row.time for row in await store.candles(SERIES)] == [60, 120]
        assert [event.time for _, event in await store.events()] == [60, 120]

    async def test_an_event_is_in_the_log_once_E3(self, store: CandleStore) -> None:
        await store.transact(change(1))
        await store.transact(change(1))
        assert len(await store.events()) == 1

    async def test_a_cursor_resumes_without_a_gap_E6_N04(self, store: CandleStore) -> None:
        await store.transact(change(*range(1, 8)))
        seen: list[int] = []
        cursor = ""
        while page := await store.events(cursor, limit=3):
            seen += [event.time for _, event in page]
            cursor = page[-1][0]
        assert seen == [60 * minute for minute in range(1, 8)]
        await store.transact(change(9))
        assert [event.time for _, event in await store.events(cursor)] == [540]

    async def test_events_up_to_a_cursor_are_those_that_it_knows_and_cursors_have_an_order(
        self, store: CandleStore
    ) -> None:
        origin = await store.head()
        cursors = [await store.transact(change(minute)) for minute in range(1, 7)]
        for after, until, minutes in (("", 2, [1, 2, 3]), (cursors[0], 3, [2, 3, 4]), (cursors[3], 1, [])):
            found = await store.events(after, until=cursors[until])
            assert [event.time // 60 for _, event in found] == minutes
        assert [cursor for cursor, _ in await store.events(until=cursors[2], limit=2)] == cursors[:2]
        assert sorted([*cursors[3:], *cursors[:3]], key=store.order) == cursors
        assert not any(store.order(origin))
        assert store.order(origin) < store.order(cursors[0])
        await store.trim({}, events=2)
        assert await store.events(until=cursors[1]) == []
        assert store.order("of no log") == ()
        with pytest.raises(CursorExpiredError):
            await store.events(until="of no log")

    async def test_waiting_ends_with_the_next_event(self, store: CandleStore) -> None:
        await store.transact(change(1))
        head = await store.head()
        await store.wait("", within=60.0)
        await store.wait(head, within=0.01)
        async with asyncio.timeout(30.0), asyncio.TaskGroup() as group:
            waiting = group.create_task(store.wait(head, within=60.0))
            await store.transact(change(2))
            await waiting

    async def test_a_cursor_that_the_log_no_longer_reaches_is_refused_with_the_oldest_there_is_N05(
        self, store: CandleStore
    ) -> None:
        origin = await store.head()
        await store.transact(change(*range(1, 11)))
        cursors = [cursor for cursor, _ in await store.events()]
        await store.trim({}, events=4)
        for old in (origin, cursors[0], cursors[4]):
            with pytest.raises(CursorExpiredError, match="read a snapshot") as caught:
                await store.events(old, limit=1)
            assert caught.value.oldest == cursors[5]
        await store.transact(change(11))
        for sound in ("", cursors[5]):
            assert [event.time // 60 for _, event in await store.events(sound)] == [7, 8, 9, 10, 11]
        await store.trim({}, events=1)
        assert await store.events(await store.head()) == []
        with pytest.raises(CursorExpiredError):
            await store.events(cursors[5])

    @pytest.mark.parametrize(
        "cursor",
        ["nonsense", "-1", "1-", "1--1", "1-1", "1-2-3", "9" * 40, f"1-{'9' * 40}", "\u0664-x", "{head}-elsewhere"],
    )
    async def test_a_cursor_that_no_log_gave_is_refused_with_the_oldest_there_is_N05(
        self, store: CandleStore, cursor: str
    ) -> None:
        origin = await store.head()
        await store.transact(change(1))
        with pytest.raises(CursorExpiredError) as caught:
            await store.events(cursor.format(head=origin))
        assert caught.value.oldest == origin

    async def test_the_newest_events_are_found_without_reading_those_before(self, store: CandleStore) -> None:
        before = getattr(store, "before_newest", None)
        if before is None:
            pytest.skip("this store cannot tell where the newest begin")
        assert await store.events(await before(3)) == []
        for minute in range(1, 11):
            await store.transact(change(minute))
        await store.trim({}, events=6)
        kept = await store.events()
        assert (await store.events(await before(3)))[-3:] == kept[-3:]
        assert await store.events(await before(100)) == kept
        assert await store.events(await before(0)) == []

    async def test_nothing_was_lost_between_a_cursor_and_the_oldest_event_although_some_came_twice_N05(
        self, store: CandleStore
    ) -> None:
        await store.transact(change(1))
        cursor = await store.head()
        for _ in range(5):
            await store.transact(change(1))
        await store.transact(change(2))
        await store.trim({}, events=1)
        assert [event.time // 60 for _, event in await store.events(cursor)] == [2]

    async def test_the_latest_value_of_each_indicator_is_kept_with_its_state(self, store: CandleStore) -> None:
        for time in (60, 120):
            value = IndicatorValue(
                indicator="ema", time=time, outputs={"value": 1.5, "word": "x", "none": None}, state="{}", cursor="7"
            )
            event = Event(kind=VALUE, exchange="memory", symbol="BTC-USD", timeframe="1m", time=time, value=value)
            await store.transact(Batch(changes=[SeriesChange(series=SERIES, values=[value])], events=[event]))
        assert await store.values(SERIES) == [value]
        assert [event.value for _, event in await store.events()][-1] == value

    async def test_the_status_row_is_replaced(self, store: CandleStore) -> None:
        assert await store.read_status() is None
        await store.write_status({"state": "LIVE", "n": [1, 2]})
        await store.write_status({"state": "STOPPING"})
        status = await store.read_status() or {}
        assert status["state"] == "STOPPING"
        assert "n" not in status

    async def test_trimming_takes_rows_and_their_coverage_D17(self, store: CandleStore) -> None:
        await store.transact(change(*range(1, 11)))
        assert await store.trim({"1m": 4, "5m": 1}) == 6
        assert [row.time for row in await store.candles(SERIES)] == [420, 480, 540, 600]
        assert list(await store.coverage(SERIES)) == [(420, 660)]
        assert await store.trim({"1m": 4}) == 0
