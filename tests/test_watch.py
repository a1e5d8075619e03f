"""`livermore watch` without a terminal: table, order, keys, lines, and how it follows a store that goes and comes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from livermore_core import Batch, Candle, Event, IndicatorValue, Series, SeriesChange, StoreAbsentError, StoreError
from livermore_core.cli.group import run
from livermore_core.cli.watch import _print_lines
from livermore_core.cli.watching import following
from livermore_core.cli.watching.columns import age_text, cell, columns_of, fitting, ordered, price_text
from livermore_core.cli.watching.controls import HELP, Controls
from livermore_core.cli.watching.drawing import picture
from livermore_core.cli.watching.following import Follower
from livermore_core.cli.watching.keys import Keys
from livermore_core.cli.watching.lines import Lines
from livermore_core.cli.watching.table import Known, Row, Table
from livermore_core.store.sqlite import open_store
from livermore_core.testing.memory_store import MemoryStore

START = 1_704_067_200
DAY = 86400
BTC, ETH = Series("coinbase", "BTC-USD", "1m"), Series("coinbase", "ETH-USD", "1m")


def candle(moment: int, close: float) -> Candle:
    return Candle(moment, close, close, close, close, 1.0)


def value(moment: int, points: float | None, stage: str | None = None, **more: Any) -> IndicatorValue:
    return IndicatorValue(indicator="macd-v", time=moment, outputs={"macd_v": points, "stage": stage}, **more)


def closed(series: Series, moment: int, close: float) -> Event:
    return Event(kind="candle.closed", time=moment, candle=candle(moment, close), **series._asdict())


def valued(series: Series, what: IndicatorValue) -> Event:
    return Event(kind="indicator.value", time=what.time, value=what, **series._asdict())


def status(state: str = "LIVE", **more: Any) -> dict[str, Any]:
    exchange = {"name": "coinbase", "exchange_time": "2024-01-01T00:10:00Z"}
    row = {
        "state": state,
        "heartbeat_epoch": time.time(),
        "reasons": {},
        "exchanges": [exchange],
        "pid": 1,
        "started": "",
    }
    return row | more


async def write(store: MemoryStore, series: Series, close: float, moment: int, *values: IndicatorValue) -> None:
    """A close and its value, announced."""
    change = SeriesChange(
        series=series, rows=[candle(moment, close)], covered=[(moment, moment + 60)], values=list(values)
    )
    events = [closed(series, moment, close), *(valued(series, each) for each in values)]
    await store.transact(Batch(changes=[change], events=events))


# ---- the table ----


def test_a_close_and_its_value_are_applied_and_older_ones_are_not() -> None:
    table = Table("macd-v")
    table.known[BTC] = Known(candle(START, 10.0), value(START, 5.0))
    assert table.take(closed(BTC, START + 60, 11.0))
    assert table.take(valued(BTC, value(START + 60, 7.0)))
    assert table.take(closed(BTC, START - 60, 1.0))
    assert table.take(valued(BTC, value(START, 6.0)))
    (row,) = table.rows({"coinbase": START + 150})
    assert (row.price, row.values["1m"].outputs["macd_v"], row.age) == (11.0, 7.0, 30)


@pytest.mark.parametrize("kind", ["candle.gap", "candle.revised", "candle.healed", "candles.backfilled"])
def test_what_an_announcement_does_not_tell_wholly_is_to_be_read_anew(kind: str) -> None:
    table = Table("macd-v", symbols=["BTC-*"])
    told = Event(kind=kind, time=START, until=START + 60, **BTC._asdict())
    assert not table.take(told), "a series that nobody has read"
    table.known[BTC] = Known(candle(START, 10.0))
    assert not table.take(told)
    assert table.take(closed(ETH, START, 1.0)), "nobody wants it"


def test_the_price_is_that_of_the_last_close_of_any_timeframe_and_a_symbol_without_closes_is_stale() -> None:
    table = Table("macd-v", timeframes=["5m"])
    table.known[BTC] = Known(candle(START + 240, 11.0))
    table.known[BTC._replace(timeframe="5m")] = Known(candle(START, 12.0))
    table.known[BTC._replace(timeframe="1h")] = Known(candle(START - 3600, 9.0), gaps=2)
    assert table.timeframes == ["5m"]
    (row,) = table.rows({"coinbase": START + 480})
    assert (row.price, row.age, row.is_stale, row.gaps) == (11.0, 180, False, 2)
    (row,) = table.rows({"coinbase": START + 481})
    assert row.is_stale
    assert "!" in cell(row, "age", None).text


def test_the_exchange_is_at_least_as_far_as_its_last_close() -> None:
    table = Table("macd-v")
    table.known[BTC], table.known[ETH] = Known(candle(START + 600, 1.0)), Known(candle(START, 1.0))
    rows = table.rows(table.times({"coinbase": START}))
    assert [row.age for row in rows] == [0, 600]


def test_symbols_of_several_exchanges_are_told_apart() -> None:
    table = Table("macd-v")
    table.known[BTC] = table.known[BTC._replace(exchange="kraken")] = Known(candle(START, 1.0))
    assert [row.symbol for row in table.rows({})] == ["coinbase:BTC-USD", "kraken:BTC-USD"]


# ---- columns, order, keys ----


def row(symbol: str, **more: Any) -> Row:
    plain = {"price": 1.0, "change": 0.0, "values": {}, "age": 1.0, "is_stale": False, "gaps": 0}
    return Row(symbol, **(plain | more))


def test_rows_are_ordered_by_any_column_and_the_unknown_comes_last_either_way() -> None:
    rows = [row("A", change=None), row("B", change=-1.0), row("C", change=2.0)]
    assert [each.symbol for each in ordered(rows, "change", None, falls=True)] == ["C", "B", "A"]
    assert [each.symbol for each in ordered(rows, "change", None, falls=False)] == ["B", "C", "A"]
    assert [each.symbol for each in ordered(rows, "symbol", None, falls=True)] == ["C", "B", "A"]
    valued = [row("A", values={"5m": value(START, 3.0)}), row("B", values={"5m": value(START, -7.0)}), row("C")]
    assert [each.symbol for each in ordered(valued, "5m", None, falls=False)] == ["B", "A", "C"]


def test_a_stage_is_told_by_a_sign_and_not_by_its_colour_alone() -> None:
    def text(*given: Any, **more: Any) -> str:
        return cell(row("A", values={"1h": value(START, *given, **more)}), "1h", None).text.strip()

    assert (text(-151.2, "oversold"), text(80.0, "rallying")) == ("-151.2 vv", "80.0 ^")
    assert text(12.34, None) == "12.3"
    assert text(None, None, have=12, need=34) == "12/34"
    assert cell(row("A"), "1h", None).text.strip() == "-"


def test_another_indicator_shows_the_output_asked_for_or_its_first() -> None:
    given = IndicatorValue(indicator="bands", time=START, outputs={"upper": 46006.123, "side": "above"})
    shown = row("A", values={"1h": given})
    assert cell(shown, "1h", None).text.strip() == "46006.1"
    assert cell(shown, "1h", "side").text.strip() == "above"
    assert cell(shown, "1h", "nothing").text.strip() == "-"


def test_narrow_terminals_lose_gaps_first_then_wide_timeframes_and_keep_the_symbol() -> None:
    columns = columns_of(["1m", "5m", "1h"])
    widths = dict.fromkeys(columns, 8)
    kept = [" ".join(fitting(columns, widths, width)) for width in (78, 77, 57, 47, 37, 10, 3)]
    assert kept == [
        "symbol price change 1m 5m 1h age gaps",
        "symbol price change 1m 5m 1h age",
        "symbol price change 1m age",
        "symbol price change 1m",
        "symbol price change",
        "symbol",
        "symbol",
    ]


def test_prices_and_ages_have_places_that_suit_their_size() -> None:
    prices = (46006.1, 14.49, 0.1372, 0.0000712, 7.12e-7)
    assert [price_text(price) for price in prices] == ["46006.10", "14.4900", "0.137200", "0.00007120", "7.12e-07"]
    ages = (None, -3.0, 119.0, 120.0, 7200.0, 3 * DAY)
    assert [age_text(age) for age in ages] == ["-", "0s", "119s", "2m", "2h", "3d"]


@pytest.mark.parametrize(
    ("pieces", "keys"),
    [
        ([b"sS/"], ["s", "S", "/"]),
        ([b"\x1b[A\x1bOB"], ["up", "down"]),
        ([b"\x1b", b"[", b"6", b"~q"], ["page-down", "q"]),
        ([b"\x1b[1;5C\x1b[5;2~"], ["right", "page-up"]),
        ([b"\x1b\x1b[D"], ["escape", "left"]),
        ([b"\x1b[200~x\x1b[20", b"1~"], ["x"]),
        ([b"\r\x7f\x03"], ["enter", "backspace", "interrupt"]),
        ([b"\xc3\xa9\x01j"], ["j"]),
    ],
)
def test_keys_are_known_in_whatever_pieces_they_come(pieces: list[bytes], keys: list[str]) -> None:
    reader = Keys()
    assert [key for piece in pieces for key in reader.feed(piece)] == keys
    assert not reader.is_waiting


def test_the_escape_key_is_one_when_nothing_follows_and_half_a_sequence_is_none() -> None:
    keys = Keys()
    assert (keys.feed(b"\x1b"), keys.is_waiting, keys.give_up(), keys.is_waiting) == ([], True, ["escape"], False)
    assert (keys.feed(b"\x1b[1;"), keys.give_up(), keys.feed(b"q")) == ([], [], ["q"])


def pressed(*keys: str) -> Controls:
    controls = Controls()
    for key in keys:
        controls.press(key, columns_of(["1m", "5m"]))
    return controls


def test_keys_choose_the_order_the_filter_and_the_end() -> None:
    assert (pressed("s", "right").sort, pressed("S").sort, pressed("left", "s").sort) == ("change", "gaps", "symbol")
    assert (pressed().falls, pressed("s").falls, pressed("s", "r").falls) == (False, True, False)
    assert (pressed("/", "q", "s", "x", "backspace", "enter").filter, pressed("/", "b", "escape").filter) == ("qs", "")
    assert pressed("/", "b", "enter", "escape").filter == ""
    assert [pressed(*keys).has_quit for keys in ("q", ["/", "q"], ["?", "q"], ["/", "interrupt"])] == [1, 0, 0, 1]
    assert [pressed(*keys).is_helping for keys in ("?", ["?", "q"])] == [True, False]


def test_scrolling_stays_within_the_rows() -> None:
    controls = Controls()
    controls.fit(rows=10, page=4)
    tops = []
    for key in ("k", "j", "page-down", "page-down", "down", "end", "up", "page-up", "home"):
        controls.press(key, columns_of([]))
        controls.fit(rows=10, page=4)
        tops.append(controls.top)
    assert tops == [0, 1, 5, 6, 6, 6, 5, 1, 0]


# ---- following a store ----


class Fragile(MemoryStore):
    """Fails while it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.failure: StoreError | None = None

    async def wait(self, after: str, within: float) -> None:
        if self.failure is not None:
            raise self.failure
        await super().wait(after, within)


@asynccontextmanager
async def followed(
    stores: Callable[[], MemoryStore], heard: list[int] | None = None, **more: Any
) -> AsyncIterator[tuple[Follower, Any]]:
    """A follower at work, and a way to wait until something holds of it; `heard` gets the times of events."""
    heard = [] if heard is None else heard
    told = asyncio.Event()

    @asynccontextmanager
    async def opening() -> AsyncIterator[Any]:
        yield stores()

    seen = Follower(opening, lambda: Table("macd-v", **more), within=0.01, pause=0.0)

    async def until(holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                told.clear()
                await told.wait()

    def hear(events: Sequence[Event]) -> None:
        heard.extend(event.time for event in events)
        told.set()

    following = asyncio.create_task(seen.follow(hear))
    async with asyncio.timeout(10):
        await told.wait()
    yield seen, until
    following.cancel()


def rows_of(seen: Follower) -> list[Row]:
    return seen.table.rows({"coinbase": 0.0})


async def test_what_is_announced_arrives_new_symbols_too() -> None:
    store = MemoryStore()
    await store.write_status(status())
    await write(store, BTC, 10.0, START)
    async with followed(lambda: store) as (seen, until):
        await write(store, BTC, 11.0, START + 60, value(START + 60, 5.0, "ranging"))
        await write(store, ETH, 7.0, START + 60)
        await until(lambda: len(rows_of(seen)) == 2)
        first, second = rows_of(seen)
        assert (first.price, first.values["1m"].outputs["stage"], second.price) == (11.0, "ranging", 7.0)


async def test_the_change_is_against_the_last_close_24_hours_before_where_all_is_known_of_it() -> None:
    store = MemoryStore()
    await store.write_status(status())
    hours = BTC._replace(timeframe="1h")
    rows = [candle(START - 3600, 8.0), candle(START, 9.0)]
    known = SeriesChange(series=hours, rows=rows, covered=[(START - 3600, START + 3600)])
    await store.transact(Batch(changes=[known]))
    await write(store, BTC, 10.0, START + DAY + 60)
    async with followed(lambda: store) as (seen, until):
        assert rows_of(seen)[0].change == pytest.approx(25.0)
        await write(store, BTC, 9.9, START + DAY + 3540)
        await until(lambda: rows_of(seen)[0].change == pytest.approx(10.0))
        await store.transact(Batch(changes=[SeriesChange(series=hours, uncovered=[(START + 1800, START + 3600)])]))
        await write(store, BTC, 9.8, START + DAY + 3600)
        await until(lambda: rows_of(seen)[0].price == 9.8)
        assert rows_of(seen)[0].change is None


async def test_gaps_are_counted_and_a_retracted_candle_is_not_shown() -> None:
    store = MemoryStore()
    await store.write_status(status())
    for minute, close in enumerate((10.0, 11.0, 12.0)):
        await write(store, BTC, close, START + 60 * minute)
    async with followed(lambda: store) as (seen, until):
        lost = Event(kind="candle.gap", time=START, until=START + 60, reason="ids.hole", **BTC._asdict())
        change = SeriesChange(series=BTC, hidden=[candle(START + 60, 11.0)], uncovered=[(START + 60, START + 120)])
        await store.transact(Batch(changes=[change], events=[lost]))
        await until(lambda: rows_of(seen)[0].gaps == 1)
        await store.transact(Batch(changes=[SeriesChange(series=BTC, covered=[(START + 60, START + 120)])]))
        await until(lambda: rows_of(seen)[0].gaps == 0)


async def test_values_of_the_warm_up_which_nobody_announces_come_with_the_next_state() -> None:
    store = MemoryStore()
    await store.write_status(status("WARMING"))
    await write(store, BTC, 10.0, START)
    async with followed(lambda: store) as (seen, until):
        await store.transact(Batch(changes=[SeriesChange(series=BTC, values=[value(START, 5.0)])]))
        await store.write_status(status("LIVE"))
        await until(lambda: bool(rows_of(seen)[0].values))


async def test_a_store_that_fails_leaves_the_picture_says_so_and_is_followed_again() -> None:
    store = Fragile()
    await store.write_status(status())
    await write(store, BTC, 10.0, START)
    async with followed(lambda: store) as (seen, until):
        store.failure = StoreError("the disk\x1b[2J is gone")
        await until(lambda: bool(seen.trouble))
        text = "\n".join(line.plain for line in picture(seen, Controls(), None, 120, 20))
        assert r"the store cannot be read: the disk\x1b[2J is gone; trying again" in text
        assert "BTC-USD  10.0000" in text
        await write(store, BTC, 11.0, START + 60)
        store.failure = None
        await until(lambda: not seen.trouble and rows_of(seen)[0].price == 11.0)


@pytest.mark.parametrize(("process", "times"), [(1, [START + 60, START + 120]), (2, [START + 120])])
async def test_nothing_is_skipped_over_a_failure_unless_another_process_writes_now(
    process: int, times: list[int]
) -> None:
    store, heard = Fragile(), list[int]()
    await store.write_status(status())
    await write(store, BTC, 10.0, START)
    async with followed(lambda: store, heard) as (seen, until):
        store.failure = StoreError("away")
        await until(lambda: bool(seen.trouble))
        await write(store, BTC, 11.0, START + 60)
        await store.write_status(status(pid=process))
        store.failure = None
        await until(lambda: rows_of(seen)[0].price == 11.0)
        await write(store, BTC, 12.0, START + 120)
        await until(lambda: rows_of(seen)[0].price == 12.0)
    assert heard == times


async def test_where_the_log_no_longer_reaches_back_all_is_read_anew() -> None:
    store = Fragile()
    await store.write_status(status())
    await write(store, BTC, 10.0, START)
    async with followed(lambda: store) as (seen, until):
        store.failure = StoreError("away")
        await until(lambda: bool(seen.trouble))
        for minute in range(1, 5):
            await write(store, BTC, 10.0 + minute, START + 60 * minute)
        await store.trim({}, events=1)
        store.failure = None
        await until(lambda: rows_of(seen)[0].price == 14.0)


async def test_a_store_that_took_the_place_of_one_that_nobody_writes_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "LOOK_ANEW", 0.0)
    old, new = MemoryStore(), MemoryStore()
    await write(old, BTC, 10.0, START)
    await write(new, ETH, 7.0, START)
    await new.write_status(status())
    stores = [old, old]
    async with followed(lambda: stores.pop() if stores else new) as (seen, until):
        await until(lambda: [row.symbol for row in rows_of(seen)] == ["ETH-USD"])


async def test_a_store_that_is_not_there_at_the_start_ends_it() -> None:
    @asynccontextmanager
    async def absent() -> AsyncIterator[Any]:
        raise StoreAbsentError("there is no store here yet")
        yield

    with pytest.raises(StoreAbsentError):
        await Follower(absent, lambda: Table("macd-v")).follow(lambda events: None)


@pytest.mark.parametrize("typed", ["btc/usdc", "BTC-USDC", "BTC-*"])
async def test_a_symbol_may_be_typed_as_an_alias_or_a_glob(typed: str) -> None:
    store = MemoryStore()
    await write(store, BTC, 10.0, START)
    await write(store, ETH, 10.0, START)
    await store.write_status(status(exchanges=[{"name": "coinbase", "aliases": {"BTC-USDC": "BTC-USD"}}]))
    async with followed(lambda: store, symbols=[typed]) as (seen, _):
        assert [row.symbol for row in rows_of(seen)] == ["BTC-USD"]


async def test_an_alias_is_understood_as_soon_as_the_process_has_named_it() -> None:
    store = MemoryStore()
    await store.write_status(status("STARTING"))
    async with followed(lambda: store, symbols=["BTC-USDC"]) as (seen, until):
        await write(store, BTC, 10.0, START)
        await store.write_status(status(exchanges=[{"name": "coinbase", "aliases": {"BTC-USDC": "BTC-USD"}}]))
        await until(lambda: [row.symbol for row in rows_of(seen)] == ["BTC-USD"])


# ---- the picture ----


async def seen_of(*rows: Series) -> Follower:
    store = MemoryStore()
    await store.write_status(status("DEGRADED", reasons={"coinbase.feed": "ws.closed"}))
    for series in rows:
        await write(store, series, 10.0, START, value(START, 80.0, "rallying"))

    @asynccontextmanager
    async def opening() -> AsyncIterator[Any]:
        yield store

    seen = Follower(opening, lambda: Table("macd-v"))
    await seen.look()
    return seen


def shown(seen: Follower, controls: Controls, width: int, height: int | None) -> list[str]:
    return [line.plain for line in picture(seen, controls, None, width, height)]


async def test_the_picture_has_state_and_reasons_rows_legend_and_keys_within_its_size() -> None:
    seen = await seen_of(*(Series("coinbase", f"S{number:02}-USD", "1m") for number in range(40)))
    lines = shown(seen, Controls(), 60, 15)
    assert len(lines) == 15
    assert lines[0].startswith("livermore  DEGRADED  2024-01-01T00:10:")
    assert lines[1] == "coinbase.feed: ws.closed"
    assert lines[3].split() == ["S00-USD", "10.0000", "-", "80.0", "^", "9m!", "0"]
    assert any("oversold" in line for line in lines)
    assert lines[-2] == "rows 1-8 of 40, by symbol, rising"
    assert all(len(line) <= 60 for line in lines)
    assert len(shown(seen, Controls(), 60, None)) > 40


async def test_the_picture_shows_the_symbols_with_the_text_of_the_filter() -> None:
    seen = await seen_of(BTC, ETH)
    controls = Controls(filter="eth")
    text = "\n".join(shown(seen, controls, 120, 20))
    assert "ETH-USD" in text
    assert "BTC-USD" not in text
    assert "rows 1-1 of 1, by symbol, rising, filter 'eth': 1 of 2" in text
    assert "/eth_" in "\n".join(shown(seen, Controls(filter="eth", is_typing=True), 120, 20))
    assert "a page down" in "\n".join(shown(seen, Controls(is_helping=True), 120, 20))


async def test_an_indicator_of_which_nothing_is_stored_is_said() -> None:
    seen = await seen_of(BTC)
    seen.table.indicator = "macdv"
    assert "no value of 'macdv' is stored, did you mean 'macd-v'?; stored: macd-v" in shown(seen, Controls(), 120, 20)


async def test_an_output_or_a_timeframe_that_is_not_stored_is_said() -> None:
    seen = await seen_of(BTC)
    seen.table.asked_timeframes = ["1m", "2h"]
    lines = [line.plain for line in picture(seen, Controls(), "macdv", 120, 20)]
    assert "macd-v has no output 'macdv', did you mean 'macd_v'?; stored: macd_v, stage" in lines
    assert "nothing is stored at 2h; stored: 1m" in lines
    seen.table.asked_timeframes = ["1m"]
    assert not any("stored" in line.plain for line in picture(seen, Controls(), "macd_v", 120, 20))


def test_the_keys_are_told_on_80_columns() -> None:
    assert [f"{keys:<15} {meaning}" for keys, meaning in HELP if len(meaning) > 80 - 16] == []


# ---- plain lines ----


async def test_what_is_absent_is_said_once_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def follow(told: Callable[[Sequence[Event]], None]) -> None:
        for _ in range(2):
            told(())

    seen = await seen_of(BTC)
    monkeypatch.setattr(seen, "follow", follow)
    await _print_lines(seen, "nothing")
    assert capsys.readouterr().err == "macd-v has no output 'nothing'; stored: macd_v, stage\n"


def lines_of(batches: Sequence[tuple[float, list[Event]]]) -> list[str]:
    seen = Follower(lambda: None, lambda: Table("macd-v", timeframes=["1m"]))  # type: ignore[arg-type, return-value]
    seen.table.day_before[BTC[:2]] = 8.0
    lines = Lines(seen, None)
    return [" ".join(line.split()) for now, events in batches for line in lines.take(events, now)]


def test_a_close_is_a_line_with_its_value_as_soon_as_that_is_there() -> None:
    other = valued(BTC, IndicatorValue(indicator="ema", time=START, outputs={"ema": 1.0}))
    hour = closed(BTC._replace(timeframe="1h"), START, 10.0)
    said = lines_of(
        [(0.0, [closed(BTC, START, 10.0), hour, other]), (0.1, [valued(BTC, value(START, 80.0, "rallying"))])]
    )
    assert said == ["2024-01-01T00:00:00Z BTC-USD 1m 10.0000 +25.00% 80.0 rallying"]


def test_a_close_whose_value_does_not_come_is_a_line_all_the_same() -> None:
    without = [(0.0, [closed(BTC, START, 10.0)]), (0.5, [])]
    assert lines_of(without) == []
    line = ["2024-01-01T00:00:00Z BTC-USD 1m 10.0000 +25.00% - -"]
    assert lines_of([*without, (1.5, [])]) == line
    assert lines_of([*without, (0.6, [closed(BTC, START + 60, 11.0)])]) == line


async def test_without_a_terminal_closes_are_lines_and_a_reader_that_leaves_is_no_error_P04(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/seen.sqlite"
    command = f"{sys.executable} -m livermore_core watch --store {url} | head -n 1; exit ${{PIPESTATUS[0]}}"
    async with open_store(url) as store:
        await store.write_status(status())
        await write(store, BTC, 10.0, START)  # type: ignore[arg-type]
        process = await asyncio.create_subprocess_exec(
            "bash", "-c", command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        ended = asyncio.create_task(process.communicate())
        minute = 0
        async with asyncio.timeout(30):
            while not ended.done():  # it began to look at some time
                minute += 1
                await write(store, BTC, 11.0, START + 60 * minute, value(START + 60 * minute, 5.0, "ranging"))  # type: ignore[arg-type]
                await asyncio.wait([ended], timeout=0.1)
        out, err = await ended
    assert (process.returncode, err) == (0, b"")
    assert out.decode().split()[1:5] == ["BTC-USD", "1m", "11.0000", "-"]
    assert out.decode().split()[-1] == "ranging"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--store", "sqlite:///none.sqlite"], 1, "there is no store here yet"),
        (["--sort", "chnge"], 2, "unknown column 'chnge', did you mean 'change'?"),
        (["--timeframe", "7m"], 78, "unknown timeframe '7m'"),
        (["--interval", "nan"], 2, "'nan' is no number of seconds"),
    ],
)
def test_wrong_input_gets_a_line_and_its_exit_code_V1(
    arguments: list[str],
    code: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["watch", *arguments]) == code
    assert words in capsys.readouterr().err


async def test_once_prints_the_whole_table_also_without_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path}/seen.sqlite"
    async with open_store(url) as store:
        await store.write_status(status())
        await write(store, BTC, 10.0, START, value(START, -151.0, "oversold"))  # type: ignore[arg-type]
    assert await asyncio.to_thread(run, ["watch", "--once", "--store", url, "--symbol", "btc/usd"]) == 0
    printed = capsys.readouterr().out
    assert "BTC-USD  10.0000" in printed
    assert "-151.0 vv" in printed
    assert "\x1b" not in printed
    assert await asyncio.to_thread(run, ["watch", "--once", "--store", url, "--symbol", "BTC-UDS"]) == 1
    assert "'BTC-UDS' is neither stored nor followed, did you mean 'BTC-USD'?" in capsys.readouterr().err
