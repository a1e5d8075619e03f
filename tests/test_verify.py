"""`livermore verify` against the simulated exchange on loopback: what is equal, what is not, what cannot be told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from livermore_simulator import Quirks, SimulatedExchange, SyntheticMarket

from livermore_core import Batch, Candle, Series, SeriesChange
from livermore_core.bus import Bus
from livermore_core.cli.group import run
from livermore_core.exchange import verification
from livermore_core.exchange.budget import Budget
from livermore_core.exchange.clock import ExchangeClock
from livermore_core.exchange.heal import Healer
from livermore_core.exchange.recorder import Recorder
from livermore_core.loading import tolerant_plugins
from livermore_core.store.sqlite import open_store
from livermore_core.testing import MemoryExchange, MemoryStore, run_virtual

NOON = 1_704_283_200  # 2024-01-03T12:00:00Z
# Of a bucket that ended 30 s ago an absent row proves nothing.
NOW = NOON + 30.0
MINUTES, HOURS = Series("coinbase", "BTC-USD", "1m"), Series("coinbase", "ETH-USD", "1h")
SINCE = NOON - 24 * 3600


@pytest.fixture
async def exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SimulatedExchange]:
    """An exchange whose time stands still, and settings that lead to it."""
    market = SyntheticMarket(2, start=NOW, seed=7, days=2)
    async with SimulatedExchange(market, start=NOW, speed=0.0, quirks=Quirks.none(), public_rate=1e6) as running:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
        monkeypatch.setenv("LIVERMORE_STORE", f"sqlite:///{tmp_path}/store.sqlite")
        monkeypatch.setenv("LIVERMORE_EXCHANGES__COINBASE__REST_URL", running.rest_url)
        monkeypatch.setenv("LIVERMORE_EXCHANGES__COINBASE__REQUESTS_PER_SECOND", "400")
        monkeypatch.chdir(tmp_path)
        tolerant_plugins.cache_clear()
        yield running


def truth(exchange: SimulatedExchange, series: Series) -> dict[int, Candle]:
    rows = exchange.truth.candles(series.symbol, series.timeframe, SINCE, NOON, NOW)
    return {row[0]: Candle(*row) for row in rows}


def halt(exchange: SimulatedExchange, symbol: str, start: int, end: int) -> None:
    """Have it that nothing traded in [start, end)."""
    product = exchange.market.products[symbol]
    kept = [minute for minute in product.minutes if not start <= minute.time < end]
    product.minutes[:], product.times[:] = kept, [minute.time for minute in kept]


async def store(tmp_path: Path, rows: dict[Series, dict[int, Candle]], *unknown: tuple[int, int]) -> None:
    """Everything about the day before noon is known, but what is `unknown`."""
    changes = [
        SeriesChange(series=series, rows=list(held.values()), covered=[(SINCE, NOON)]) for series, held in rows.items()
    ]
    changes += [SeriesChange(series=series, uncovered=unknown) for series in rows]
    async with open_store(f"sqlite:///{tmp_path}/store.sqlite") as opened:
        await opened.transact(Batch(changes=changes))


async def verify(*arguments: str) -> int:
    """The exit code of the command, which runs a loop of its own."""
    return await asyncio.to_thread(run, ["verify", *arguments])


async def found(capsys: pytest.CaptureFixture[str], *arguments: str, code: int) -> Any:
    assert await verify(*arguments, "--json") == code
    return json.loads(capsys.readouterr().out)


async def test_an_equal_store_is_compared_and_left_as_it_is(
    exchange: SimulatedExchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await store(tmp_path, {MINUTES: truth(exchange, MINUTES), HOURS: truth(exchange, HOURS)})
    before = (tmp_path / "store.sqlite").read_bytes()
    assert await verify() == 0
    # A page of minutes, and all hours but the one that has just ended.
    assert capsys.readouterr().out == "323 candles of 2 series compared, 0 differ\n"
    assert await verify("btc/usd", "1m") == 0
    assert capsys.readouterr().out == "300 candles of 1 series compared, 0 differ\n"
    assert (tmp_path / "store.sqlite").read_bytes() == before
    assert set(exchange.statuses) == {200}


async def test_a_changed_a_missing_and_an_extra_row_are_told_apart(
    exchange: SimulatedExchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    true = truth(exchange, MINUTES)
    changed, missing, young, unknown = (NOON - 60 * ago for ago in (9, 7, 1, 5))
    held = true | {
        time: Candle(time, row.open, row.high + 1, row.low, row.close, row.volume * 2)
        for time, row in true.items()
        if time in (changed, young, unknown)
    }
    del held[missing]
    extra = NOON - 7200
    halt(exchange, "ETH-USD", extra, extra + 3600)
    hours = truth(exchange, HOURS) | {extra: Candle(extra, 10.0, 12.0, 9.0, 11.0, 1.5)}
    await store(tmp_path, {MINUTES: held, HOURS: hours}, (unknown, unknown + 60))
    result = await found(capsys, code=1)
    assert list(result) == ["series", "candles", "differences", "refused"]
    assert (result["series"], result["refused"]) == (2, [])
    told = {each["difference"]: each for each in result["differences"]}
    assert len(told) == len(result["differences"]) == 3
    assert list(told["values"]) == [
        "exchange", "symbol", "timeframe", "time", "difference", "ours", "theirs",
    ]  # fmt: skip
    assert (told["values"]["time"], told["values"]["symbol"]) == ("2024-01-03T11:51:00Z", "BTC-USD")
    assert told["values"]["ours"] == {
        name: getattr(held[changed], name) for name in ("open", "high", "low", "close", "volume")
    }
    assert told["values"]["theirs"]["high"] == true[changed].high
    assert (told["missing"]["time"], told["missing"]["ours"]) == ("2024-01-03T11:53:00Z", None)
    assert (told["extra"]["time"], told["extra"]["theirs"]) == ("2024-01-03T10:00:00Z", None)
    assert await verify("BTC-USD") == 1
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == ["exchange", "symbol", "timeframe", "time", "difference", "ours", "theirs"]
    assert f"high={held[changed].high:.12g} volume={held[changed].volume:.12g}" in table[1]
    assert "open=" not in table[1]
    assert table[-1] == "299 candles of 1 series compared, 2 differ"


async def test_a_span_is_asked_for_page_by_page(
    exchange: SimulatedExchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await store(tmp_path, {MINUTES: truth(exchange, MINUTES)})
    result = await found(capsys, "--since", "2024-01-03T00:00:30Z", "--until", "2024-01-03T11:00", code=0)
    assert (result["candles"], exchange.candle_requests) == (659, 3)
    assert (await found(capsys, "--since", "2024-01-01", code=0))["candles"] == 24 * 60 - 1
    assert (await found(capsys, "--until", "2024-01-02T13:00", code=0))["candles"] == 60


def test_a_page_that_differs_is_looked_at_twice() -> None:
    class Late(MemoryStore):
        """Learns of a candle after it was first asked about it."""

        looks = 0

        async def candles(self, series: Series, **more: Any) -> list[Candle]:
            self.looks += 1
            return (await super().candles(series, **more))[self.looks == 1 :]

    async def twice() -> tuple[list[Any], int, int]:
        client = MemoryExchange({"BTC-USD": 20.0}, start=NOW, history=7200, until=NOW)
        store, clock = Late(), ExchangeClock()
        recorder = Recorder("memory", (), store, Bus(), clock)
        comparison = verification.Verification(
            Healer(client, recorder, Budget(10.0), clock, 300, lambda *_: None), store
        )
        series, since = Series("memory", "BTC-USD", "1m"), NOON - 3600
        rows = [Candle(*row) for row in client.truth("BTC-USD", "1m", since, NOON)]
        await store.transact(Batch(changes=[SeriesChange(series=series, rows=rows, covered=[(since, NOON)])]))
        (page,) = await comparison.pages(series, None, None)
        return await comparison.compare(series, *page), store.looks, comparison.candles

    assert run_virtual(twice()) == ([], 2, 59)


async def test_a_series_that_the_exchange_refuses_is_named(
    exchange: SimulatedExchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = Series("coinbase", "GONE-USD", "1h")
    await store(tmp_path, {gone: truth(exchange, HOURS), HOURS: truth(exchange, HOURS)})
    result = await found(capsys, code=1)
    assert (result["candles"], result["differences"]) == (23, [])
    assert [each["symbol"] for each in result["refused"]] == ["GONE-USD"]
    assert await verify("GONE-USD") == 1
    assert "coinbase:GONE-USD:1h cannot be compared: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["BCT-USD"], 1, "nothing is stored of 'BCT-USD', did you mean 'BTC-USD'?"),
        (["BTC-USD", "1h"], 1, "BTC-USD is not stored at 1h; stored: 1m"),
        (["BTC-USD", "7m"], 78, "unknown timeframe '7m'"),
        (["--exchange", "kraken"], 1, "nothing is stored of exchange 'kraken'; stored: coinbase, elsewhere"),
        (["--exchange", "elsewhere"], 78, "candles of 'elsewhere' are stored, but no such exchange is installed"),
        (["--since", "2024-01-02", "--until", "2024-01-01"], 2, "--since: is not before --until"),
        (["--store", "sqlite:///none.sqlite"], 1, "there is no store here yet"),
    ],
)
async def test_what_cannot_be_compared_is_said_V1(
    exchange: SimulatedExchange,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    rows = truth(exchange, MINUTES)
    await store(tmp_path, {MINUTES: rows, MINUTES._replace(exchange="elsewhere"): rows})
    assert await verify(*arguments) == code
    told = capsys.readouterr()
    assert words in told.err
    assert told.out == ""


async def test_an_exchange_out_of_reach_is_given_up_with_69(
    exchange: SimulatedExchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await store(tmp_path, {MINUTES: truth(exchange, MINUTES)})
    monkeypatch.setattr(verification, "ATTEMPTS", 2)
    # Port 9 of loopback answers nobody.
    monkeypatch.setenv("LIVERMORE_EXCHANGES__COINBASE__REST_URL", "http://127.0.0.1:9")
    assert await verify() == 69
    told = capsys.readouterr()
    assert "livermore: coinbase cannot be reached: net.unreachable" in told.err
    assert told.out == ""
