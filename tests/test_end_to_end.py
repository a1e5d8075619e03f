"""The whole over real sockets: simulated exchange and livermore as two processes, and every row compared."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from livermore_simulator import compare

from livermore_core import Event, open_reader
from livermore_core.testing import Program

pytestmark = pytest.mark.long
SEED = 20240103
TWO_HOURS = 7200.0
# A market that is made in a moment.
YOUNG = ("--days", "5")


class Simulated:
    """A running `livermore simulate`."""

    def __init__(self, program: Program) -> None:
        said = {line.split()[0]: line.split()[1] for line in program.lines if not line.startswith("use it")}
        self.rest_url, self.control_url = said["REST"], said["control"].removesuffix("/state")
        self.env = {
            "LIVERMORE_EXCHANGES__COINBASE__REST_URL": said["REST"],
            "LIVERMORE_EXCHANGES__COINBASE__WS_URL": said["WebSocket"],
            "LIVERMORE_EXCHANGES__COINBASE__SYMBOLS": "*-USD",
        }

    async def state(self) -> Any:
        return await self._get("/state")

    async def reached(self, moment: float) -> Any:
        """The state once exchange time has got to `moment`."""
        return await self._get(f"/reached?moment={moment}")

    async def speed(self, speed: float) -> None:
        async with aiohttp.ClientSession() as session:
            await session.post(f"{self.control_url}/speed", json={"speed": speed})

    async def _get(self, path: str) -> Any:
        async with aiohttp.ClientSession() as session, session.get(self.control_url + path) as response:
            return await response.json()


@asynccontextmanager
async def simulated(*arguments: str) -> AsyncIterator[Simulated]:
    async with Program("simulate", "--seed", str(SEED), *arguments) as program:
        await program.line(lambda line: line.startswith("use it"))
        yield Simulated(program)
        assert await program.stop() == 0


@pytest.mark.parametrize("market", ["recorded", "synthetic"])
async def test_two_hours_equal_the_truth_S1_S2(market: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    print(f"seed {SEED}")
    source = ["--products", "12", "--days", "15"]
    if market == "recorded":
        source = ["--data", str(request.getfixturevalue("shared_data") / "market")]
    url = f"sqlite:///{tmp_path}/store.sqlite"
    async with simulated(*source, "--speed", "480", "--quirks", "all") as exchange:
        began = (await exchange.state())["exchange_time"]
        async with Program("start", "--store", url, env=exchange.env) as livermore:
            await livermore.event("ready")
            state = await exchange.reached(began + TWO_HOURS)
            compared = await compare(url, exchange.control_url)
            assert await livermore.stop() == 0
        assert compared.differences == []
        assert compared.rows == compared.expected > 10_000
        assert compared.series == 12 * 6
        assert state["statuses"].keys() == {"200"}


LIQUID = 14


async def test_a_start_with_25_symbols_goes_in_order_and_is_never_refused_L3_R03(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.sqlite"
    async with simulated("--products", "25", "--speed", "30", "--days", "26") as exchange:
        async with Program("start", "--store", url, "--log-format", "json", env=exchange.env) as livermore:
            await livermore.event("stage.started", count=2, within=180)
            async with open_reader(url) as store:
                counts = {series: len(await store.candles(series)) for series in await store.series()}
            await livermore.event("ready")
            assert await livermore.stop() == 0
        state = await exchange.state()
    told = [f"{event['event']} {event.get('stage', '')}".strip() for event in livermore.events]
    marks = [each for each in told if each.startswith(("stage.", "ready"))]
    assert marks == [
        "stage.started backfill", "stage.completed backfill", "stage.started indicators",
        "stage.completed indicators", "stage.started ingest", "stage.completed ingest", "ready",
    ]  # fmt: skip
    # Ingest cannot have added as many in the moment between: what was there came from the backfill.
    assert len(counts) == 25 * 5
    liquid = {series: count for series, count in counts.items() if series.timeframe in ("5m", "15m", "1h", "4h")}
    assert sum(count >= 150 for count in liquid.values()) >= LIQUID * 4
    percents = [event["percent"] for event in livermore.events if event["event"] == "backfill.progress"]
    assert percents == sorted(percents)
    assert percents[-1] == 100.0
    assert state["statuses"].keys() == {"200"}


class Reader:
    """Reads the event log beside the process that writes it, and keeps what it read."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.read: list[tuple[str, Event]] = []

    async def until(self, more: int) -> None:
        """Read on until `more` events have come."""
        wanted = len(self.read) + more
        async with asyncio.timeout(60):
            while len(self.read) < wanted:
                await self.catch_up()
                # The log of another process cannot wake its readers: they look again.
                await asyncio.sleep(0.05)

    async def catch_up(self) -> None:
        """Read everything there is."""
        async with open_reader(self._url) as store:
            after = self.read[-1][0] if self.read else ""
            while events := await store.events(after=after, limit=5000):
                self.read += events
                after = self.read[-1][0]


async def test_ten_sigkills_lose_nothing_that_was_read_S8_E4_V3_P05_P06_P20(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    url = f"sqlite:///{tmp_path}/store.sqlite"
    reader = Reader(url)
    async with simulated("--products", "6", "--speed", "120", "--quirks", "all", *YOUNG) as exchange:
        env = {**exchange.env, "LIVERMORE_EXCHANGES__COINBASE__REQUESTS_PER_SECOND": "10"}
        for kill in range(10):
            async with Program("start", "--store", url, "--log-format", "json", env=env) as livermore:
                if kill < 5:
                    await livermore.event("backfill.progress", count=chance.randint(1, 3))
                else:
                    await livermore.event("feed.connected")
                    await reader.until(chance.randint(1, 60))
                assert await livermore.kill() == -9
            await reader.catch_up()
        async with Program("start", "--store", url, "--log-format", "json", env=env) as livermore:
            await livermore.event("ready")
            await exchange.reached((await exchange.state())["exchange_time"] + 900)
            compared = await compare(url, exchange.control_url)
            assert await livermore.stop() == 0
    assert compared.differences == []
    assert compared.rows == compared.expected > 3000
    async with open_reader(url) as store:
        log = dict(await store.events(limit=1_000_000))
        assert [log[cursor] for cursor, _ in reader.read] == [event for _, event in reader.read]
        assert len({event.kind for _, event in reader.read} & {"candle.closed", "candles.backfilled"}) == 2
        for _, event in reader.read:
            if event.kind in ("candle.closed", "candle.healed"):
                assert await store.candles(event.series, since=event.time, until=event.time + 1), event


async def test_an_unknown_symbol_among_good_ones_is_named_and_the_good_ones_run_C06_R24(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.sqlite"
    wishes = [each for name in ("BTC-USD", "BCT-USD", "ETH-USDC") for each in ("--symbol", name)]
    async with simulated("--products", "3", *YOUNG) as exchange:
        arguments = ("start", "--store", url, "--timeframe", "5m", "--until-ready", *wishes)
        async with Program(*arguments, env=exchange.env) as livermore:
            unknown = await livermore.event("symbol.unknown")
            assert await livermore.ended() == 0
    assert "did you mean 'BTC-USD'?" in unknown["cause"]
    assert "ready" in [event["event"] for event in livermore.events]
    async with open_reader(url) as store:
        assert {series.symbol for series in await store.series()} == {"BTC-USD", "ETH-USD"}


async def test_all_symbols_unknown_ends_with_78_C06(tmp_path: Path) -> None:
    async with simulated("--products", "1", *YOUNG) as exchange:
        arguments = ("start", "--store", f"sqlite:///{tmp_path}/store.sqlite", "--symbol", "BCT-USD")
        async with Program(*arguments, env=exchange.env) as livermore:
            assert await livermore.ended() == 78
    assert any("did you mean 'BTC-USD'?" in line for line in livermore.lines)
    assert not any("Traceback" in line for line in livermore.lines)


async def test_an_exchange_out_of_reach_is_said_plainly_and_given_up_only_when_asked_R05(tmp_path: Path) -> None:
    # Port 9 of loopback answers nobody.
    env = {
        "LIVERMORE_EXCHANGES__COINBASE__REST_URL": "http://127.0.0.1:9",
        "LIVERMORE_EXCHANGES__COINBASE__WS_URL": "ws://127.0.0.1:9",
        "LIVERMORE_STORE": f"sqlite:///{tmp_path}/store.sqlite",
    }
    async with Program("start", "--until-ready", "--within", "3", env=env) as livermore:
        said = await livermore.event("exchange.unavailable")
        assert await livermore.ended() == 69
    assert "livermore demo" in said["mend"]
    assert any("not ready within 3 s" in line for line in livermore.lines)
    assert not any("Traceback" in line for line in livermore.lines)
    async with Program("start", env=env) as patient:
        await patient.event("exchange.unavailable")
        assert await patient.stop() == 0


async def test_two_instances_on_one_store_V6_P22_SI09(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.sqlite"
    async with (
        simulated("--products", "2", *YOUNG) as exchange,
        Program("start", "--store", url, env=exchange.env) as first,
    ):
        await first.event("ready")
        async with Program("start", "--store", url, env=exchange.env) as second:
            assert await second.ended() == 75
        async with Program("status", "--store", url, env=exchange.env) as status:
            assert await status.ended() == 0
            assert f"address   rest_url {exchange.env['LIVERMORE_EXCHANGES__COINBASE__REST_URL']}" in str(status.lines)
        assert await first.stop() == 0
    assert any(str(first.pid) in line for line in second.lines), second.lines


async def test_the_store_is_verified_beside_the_process_that_writes_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.sqlite"
    async with simulated("--products", "2", "--speed", "60", "--quirks", "all", *YOUNG) as exchange:
        async with Program("start", "--store", url, env=exchange.env) as livermore:
            await livermore.event("ready")
            async with Program("verify", "--store", url, env=exchange.env) as verify:
                assert await verify.ended() == 0, verify.lines
            assert await livermore.stop() == 0
        assert (await exchange.state())["statuses"].keys() == {"200"}
    assert verify.lines[-1].endswith("candles of 12 series compared, 0 differ")


async def test_a_second_start_with_time_held_still_asks_for_no_candle_S11(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.sqlite"
    async with simulated("--products", "4", "--speed", "60", *YOUNG) as exchange:
        for _ in range(2):
            before = (await exchange.state())["candle_requests"]
            async with Program("start", "--store", url, env=exchange.env) as livermore:
                await livermore.event("ready")
                await exchange.speed(0)
                assert await livermore.stop() == 0
        assert (await exchange.state())["candle_requests"] == before > 20
