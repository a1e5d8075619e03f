"""Candle history of a file: checked, marked, below all that is known; and right once the exchange was asked."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from livermore_simulator import Quirks, SimulatedExchange, SyntheticMarket

from livermore_core import Batch, Candle, CandleStore, Series, SeriesChange, open_reader
from livermore_core.cli.group import run
from livermore_core.cli.history_file import read_history
from livermore_core.exchange import verification
from livermore_core.loading import tolerant_plugins
from livermore_core.market.candle import IMPORT, SOURCES
from livermore_core.store.lock import only_writer
from livermore_core.store.sqlite import open_store

DAY = 1_704_153_600  # 2024-01-02T00:00:00Z
NOON = DAY + 36 * 3600
NOW = NOON + 30.0
HOURS = Series("coinbase", "BTC-USD", "1h")
HEADER = "time,open,high,low,close,volume\n"
GOOD = "1704153600,10,12,9,11,5\n"


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder and a store of their own, and no configuration."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("LIVERMORE_STORE", "sqlite:///store.sqlite")
    monkeypatch.chdir(tmp_path)
    tolerant_plugins.cache_clear()
    yield
    tolerant_plugins.cache_clear()


def row(hour: int, close: float = 11.0, source: str = IMPORT, revision: int = 0) -> Candle:
    return Candle(DAY + 3600 * hour, 10.0, 12.0, 9.0, close, 5.0, revision, source)


def write(*rows: Candle) -> None:
    lines = [f"{each.time},{each.open!r},{each.high!r},{each.low!r},{each.close!r},{each.volume!r}\n" for each in rows]
    Path("rows.csv").write_text(HEADER + "".join(lines))


async def imported(*options: str, code: int = 0) -> None:
    arguments = ["import", "rows.csv", "--symbol", "BTC-USD", "--timeframe", "1h", *options]
    assert await asyncio.to_thread(run, arguments) == code


async def held(series: Series = HOURS) -> tuple[list[Candle], list[tuple[int, int]]]:
    async with open_reader("sqlite:///store.sqlite") as store:
        return await store.candles(series), list(await store.coverage(series))


async def fill(**change: Any) -> None:
    async with open_store("sqlite:///store.sqlite") as store:
        await store.transact(Batch(changes=[SeriesChange(series=HOURS, **change)]))


async def announced(store: CandleStore) -> list[tuple[str, int, int | None, int | None]]:
    return [(event.kind, event.time, event.until, event.count) for _, event in await store.events()]


# ---- what is stored ----


async def test_rows_are_stored_covered_and_announced_and_say_where_they_came_from(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(row(4), row(0), row(1, 10.1), row(1, 10.1))
    await imported()
    told = capsys.readouterr()
    span = "coinbase:BTC-USD:1h, 2024-01-02T00:00:00Z to 2024-01-02T05:00:00Z"
    assert told.out == f"imported 3 candles of {span}; twice in the file: 1\n"
    assert told.err == "note: nothing is stored of BTC-USD so far\n"
    known = [(DAY, DAY + 7200), (DAY + 14400, DAY + 18000)]
    assert await held() == ([row(0), row(1, 10.1), row(4)], known)
    async with open_reader("sqlite:///store.sqlite") as store:
        counts = (2, 1)
        expected = [("candles.backfilled", *span, count) for span, count in zip(known, counts, strict=True)]
        assert await announced(store) == expected
    assert await asyncio.to_thread(run, ["candles", "BTC-USD", "1h", "--json"]) == 0
    assert {each["source"] for each in json.loads(capsys.readouterr().out)} == {"import"}


async def test_the_same_file_once_more_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    write(row(0), row(2))
    await imported()
    before = await held()
    capsys.readouterr()
    await imported()
    assert await held() == before
    assert "imported 0 candles" in (said := capsys.readouterr().out)
    assert said.endswith("; known already: 2\n")
    async with open_reader("sqlite:///store.sqlite") as store:
        assert len(await store.events()) == 2


async def test_what_is_known_stays_and_what_differs_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    ours = [row(0, source="trades"), row(1, 11.5, source="derived", revision=2)]
    await fill(rows=ours, covered=[(DAY, DAY + 3 * 3600)])
    write(row(0), row(1), row(2), row(3))
    await imported(code=1)
    assert await held() == ([*ours, row(3)], [(DAY, DAY + 4 * 3600)])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:2]] == [
        ["time", "stored", "file"],
        ["2024-01-02T01:00:00Z", "close=11.5", "close=11"],
    ]
    assert lines[2].startswith("2024-01-02T02:00:00Z  no trade    open=10 high=12")
    assert lines[3].endswith("; known already: 1; unlike what is stored, which stays: 2")


async def test_that_nothing_traded_is_believed_where_the_file_says_so_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(row(0), row(4))
    with Path("rows.csv").open("a") as file:  # noqa: ASYNC230
        file.write(f"{DAY + 7200},,,,,0\n")
    await imported()
    assert await held() == (
        [row(0), row(4)],
        [(DAY, DAY + 3600), (DAY + 7200, DAY + 10800), (DAY + 14400, DAY + 18000)],
    )
    assert "; without a trade: 1\n" in capsys.readouterr().out
    await imported("--complete")
    assert await held() == ([row(0), row(4)], [(DAY, DAY + 18000)])
    assert "; without a trade: 2; known already: 3\n" in capsys.readouterr().out


async def test_a_complete_file_that_lacks_a_stored_candle_differs(capsys: pytest.CaptureFixture[str]) -> None:
    await fill(rows=[row(1, source="rest")], covered=[(DAY + 3600, DAY + 7200)])
    write(row(0), row(2))
    await imported("--complete", code=1)
    assert [each.time for each in (await held())[0]] == [DAY, DAY + 3600, DAY + 7200]
    assert capsys.readouterr().out.splitlines()[1].endswith("volume=5  no trade")


async def test_a_candle_that_was_taken_back_comes_back_as_a_revision() -> None:
    await fill(hidden=[row(0, 10.5, source="trades", revision=1)])
    write(row(0))
    await imported()
    assert await held() == ([row(0, revision=2)], [(DAY, DAY + 3600)])
    async with open_reader("sqlite:///store.sqlite") as store:
        assert [kind for kind, *_ in await announced(store)] == ["candle.revised", "candles.backfilled"]


async def test_a_dry_run_says_what_would_be_and_makes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(row(0), row(1))
    await imported("--dry-run")
    assert capsys.readouterr().out.startswith("would import 2 candles of coinbase:BTC-USD:1h")
    assert await asyncio.to_thread(os.listdir, tmp_path) == ["rows.csv"]
    await fill(rows=[row(0, 11.5)], covered=[(DAY, DAY + 3600)])
    before = await held()
    await imported("--dry-run", code=1)
    assert await held() == before


async def test_that_more_is_held_than_is_kept_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVERMORE_RETENTION__1H", "600")
    write(*(row(hour) for hour in range(603)))
    await imported()
    told = "the next run trims the oldest 3 candles of the series; raise retention.1h to keep them"
    assert told in capsys.readouterr().err


async def test_a_store_that_a_process_writes_is_refused(tmp_path: Path) -> None:
    write(row(0))
    with only_writer(tmp_path / "store.sqlite"):
        await imported(code=75)


def test_a_store_that_keeps_the_position_of_a_source_reads_old_rows_as_they_were() -> None:
    assert SOURCES == ("trades", "derived", "rest", "withdrawn", "import")


# ---- files ----


def test_a_long_file_gives_signs_of_life_while_it_is_read() -> None:
    signs = list[int]()
    write(*(row(hour) for hour in range(2001)))
    assert len(read_history(Path("rows.csv"), "1h", NOW * 2, signs.append).buckets) == 2001
    assert signs == [1000, 1000]


SAME = {
    "semicolons": HEADER.replace(",", ";") + GOOD.replace(",", ";"),
    "order and capitals": "Volume, Close,Low,High,Open,Time\n5,11,9,12,10,1704153600\n",
    "milliseconds": HEADER + GOOD.replace("1704153600", "1704153600000"),
    "ISO 8601": HEADER + GOOD.replace("1704153600", "2024-01-02T01:00:00+01:00"),
    "other columns": HEADER.replace("\n", ",trades\n") + GOOD.replace("\n", ",77\n"),
    "json": json.dumps({"time": DAY, "open": 10, "high": 12, "low": 9, "close": 11, "volume": 5}),
}


@pytest.mark.parametrize("case", SAME)
async def test_a_file_may_look_like_this(case: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(SAME[case])
    await imported()
    assert (await held())[0] == [row(0)]


BAD = {
    "grid": (GOOD.replace("3600,", "3660,"), "time 2024-01-02T00:01:00Z does not begin a bucket of 1h; name each by"),
    "fraction": (GOOD.replace("3600,", "3600500,"), "time '1704153600500' is no whole second"),
    "ISO 8601 fraction": (
        GOOD.replace("1704153600", "2024-01-02T00:00:00.9Z"),
        "time '2024-01-02T00:00:00.9Z' is no whole second",
    ),
    "future": (GOOD.replace("1704153600", "2999-01-01"), "its bucket has not ended; leave out what is open"),
    "past": (GOOD.replace("1704153600", "1969-12-31T23:00:00"), "is before 1970; write UNIX seconds"),
    "no time": (GOOD.replace("1704153600", "noon"), "'noon' is no time; write e.g. 2024-01-03T12:00:00Z"),
    "price 0": (GOOD.replace(",9,", ",0,"), "low must be above 0 and finite, is 0; a volume of 0 says that"),
    "infinite": (GOOD.replace(",12,", ",inf,"), "high must be above 0 and finite, is inf"),
    "volume": (GOOD.replace(",5", ",-5"), "volume must be above 0 and finite, is -5"),
    "nan": (GOOD.replace(",5", ",nan"), "volume must be above 0 and finite, is nan"),
    "low": (GOOD.replace(",9,", ",10.5,"), "open 10.0 is not within low 10.5 and high 12.0; see what each column is"),
    "high": (GOOD.replace(",12,", ",10.5,"), "close 11.0 is not within low 9.0 and high 10.5"),
    "number": (GOOD.replace(",12,", ",twelve,"), "high is no number: 'twelve'"),
    "cell missing": (GOOD.replace(",5", ""), "there is no volume"),
    "cell too many": (
        GOOD.replace(",5", ",5,5"),
        "there are more cells than columns; see whether a number has a comma",
    ),
    "twice": (GOOD.replace(",11,", ",11.5,"), "time 2024-01-02T00:00:00Z is in line 2 too, with other values; remove"),
}


@pytest.mark.parametrize("case", BAD)
async def test_one_wrong_row_keeps_the_whole_file_out_and_is_told_with_its_line(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line, words = BAD[case]
    (tmp_path / "rows.csv").write_text(HEADER + GOOD + line)
    await imported(code=2)
    told = capsys.readouterr()
    assert "Error: rows.csv:3: " in told.err
    assert words in told.err
    assert told.out == ""
    assert not (tmp_path / "store.sqlite").exists()


WRONG = {
    "no header": (GOOD, [], 2, "rows.csv:1: the header lacks time, open, high, low, close, volume; it is '1704153600,"),
    "header alone": (HEADER, [], 2, "rows.csv: there is no candle in it"),
    "misnamed": (
        HEADER.replace("close", "closes") + GOOD,
        [],
        2,
        "rows.csv:1: the header lacks close; it is 'time, open, high, low, closes, volume'",
    ),
    "symbol": (HEADER + GOOD, ["--symbol", "BTCUSD"], 2, "'BTCUSD' is no symbol; write e.g. BTC-USD"),
    "timeframe": (HEADER + GOOD, ["--timeframe", "7m"], 78, "unknown timeframe '7m'"),
    "exchange": (
        HEADER + GOOD,
        ["--exchange", "coinbsae"],
        78,
        "unknown exchange 'coinbsae', did you mean 'coinbase'?",
    ),
    "both": (HEADER + GOOD, ["--dry-run", "--verify"], 2, "leave out --dry-run"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_wrong_input_is_named_V1(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, options, code, words = WRONG[case]
    (tmp_path / "rows.csv").write_text(content)
    await imported(*options, code=code)
    told = capsys.readouterr()
    assert words in told.err
    assert told.out == ""
    assert not (tmp_path / "store.sqlite").exists()


# ---- the exchange ----


@pytest.fixture
async def exchange(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SimulatedExchange]:
    """An exchange whose time stands still, and settings that lead to it."""
    market = SyntheticMarket(1, start=NOW, seed=7, days=2)
    async with SimulatedExchange(market, start=NOW, speed=0.0, quirks=Quirks.none(), public_rate=1e6) as running:
        monkeypatch.setenv("LIVERMORE_EXCHANGES__COINBASE__REST_URL", running.rest_url)
        monkeypatch.setenv("LIVERMORE_EXCHANGES__COINBASE__REQUESTS_PER_SECOND", "400")
        tolerant_plugins.cache_clear()
        yield running


def truth(exchange: SimulatedExchange) -> dict[int, Candle]:
    rows = exchange.truth.candles(HOURS.symbol, HOURS.timeframe, DAY, NOON - 3600, NOW)
    return {row[0]: Candle(*row, source="rest") for row in rows}  # type: ignore[misc]


async def test_what_the_exchange_says_otherwise_is_replaced_and_the_rest_is_its_own_now(
    exchange: SimulatedExchange, capsys: pytest.CaptureFixture[str]
) -> None:
    true = truth(exchange)
    wrong, absent = DAY + 5 * 3600, DAY + 9 * 3600
    rows = [
        Candle(each.time, each.open, each.high + (each.time == wrong), each.low, each.close, each.volume)
        for each in true.values()
        if each.time != absent
    ]
    write(*rows)
    await imported("--verify", code=1)
    candles, known = await held()
    assert known == [(DAY, NOON - 3600)]
    assert {each.time: each.at_revision(0) for each in candles} == true
    assert {each.time for each in candles if each.revision} == {wrong}
    table = capsys.readouterr().out.splitlines()
    assert table[0].startswith("imported 34 candles")
    assert table[2].split()[:5] == ["coinbase", "BTC-USD", "1h", "2024-01-02T05:00:00Z", "values"]
    assert table[3:] == ["34 candles compared with coinbase, 1 differed; what it says is stored"]
    write(*true.values())
    await imported("--verify")
    assert "35 candles compared with coinbase, 0 differed" in capsys.readouterr().out


async def test_a_candle_at_the_end_that_the_exchange_has_not_is_withdrawn(
    exchange: SimulatedExchange, capsys: pytest.CaptureFixture[str]
) -> None:
    product = exchange.market.products["BTC-USD"]
    kept = [minute for minute in product.minutes if not NOON - 7200 <= minute.time < NOON - 3600]
    product.minutes[:], product.times[:] = kept, [minute.time for minute in kept]
    true = truth(exchange)
    write(*true.values(), Candle(NOON - 7200, 10.0, 12.0, 9.0, 11.0, 5.0))
    await imported("--verify", code=1)
    assert {each.time: each for each in (await held())[0]} == true
    assert "extra" in capsys.readouterr().out


async def test_an_exchange_out_of_reach_leaves_what_was_imported_and_gives_69(
    exchange: SimulatedExchange, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verification, "ATTEMPTS", 1)
    monkeypatch.setenv("LIVERMORE_EXCHANGES__COINBASE__REST_URL", "http://127.0.0.1:9")
    write(row(0))
    await imported("--verify", code=69)
    told = capsys.readouterr()
    assert told.out.startswith("imported 1 candles")
    assert "coinbase cannot be reached: net.unreachable" in told.err
    assert (await held())[0] == [row(0)]


async def test_a_symbol_that_the_exchange_has_not_cannot_be_compared(
    exchange: SimulatedExchange, capsys: pytest.CaptureFixture[str]
) -> None:
    write(row(0))
    await imported("--verify", "--symbol", "GONE-USD", code=1)
    assert "coinbase:GONE-USD:1h cannot be compared: " in capsys.readouterr().err
