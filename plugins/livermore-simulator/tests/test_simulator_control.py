"""The control interface and `livermore simulate`."""

from __future__ import annotations

import asyncio
import gzip
import re
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner
from livermore_simulator import Quirks
from livermore_simulator.commands import simulate
from livermore_simulator.demo import demo

NOON = 1_704_283_200


async def test_state(serve: Any, market: Any) -> None:
    client = await serve(start=NOON + 0.5)
    feed = await client.feed()
    await feed.ask("heartbeats")
    await client.candles("BTC-USD", "ONE_MINUTE", NOON, NOON)
    await client.get("/market/products/NO-USD")
    first, last = market.span
    assert (await client.get("/control/state")).json() == {
        "exchange_time": NOON + 0.5,
        "speed": 0.0,
        "seed": 7,
        "statuses": {"200": 1, "404": 1},
        "candle_requests": 1,
        "connections": 1,
        "connected": 1,
        "first": first,
        "last": last,
    }


async def test_truth(serve: Any) -> None:
    client = await serve(start=NOON + 90.5)
    query = {"symbol": "ETH-USDC", "timeframe": "5m", "start": str(NOON - 900), "end": str(NOON + 300)}
    rows = (await client.get("/control/truth", **query)).json()["rows"]
    expected = client.exchange.truth.candles("ETH-USD", "5m", NOON - 900, NOON + 300, NOON + 90.5)
    assert [tuple(row) for row in rows] == expected
    assert [row[0] for row in rows] == [NOON - 900, NOON - 600, NOON - 300, NOON]
    for wrong in ({"symbol": "NO-USD"}, {"timeframe": "7m"}):
        assert (await client.get("/control/truth", **query | wrong)).status == 404


async def test_speed(serve: Any) -> None:
    client = await serve()
    feed = await client.feed()
    await feed.ask("heartbeats")
    async with client.session.post(f"{client.exchange.control_url}/speed", json={"speed": 50}) as response:
        assert await response.json() == {"speed": 50.0}
    await feed.until(lambda frame: frame["sequence_num"] == 4)
    assert client.exchange.clock.now() > NOON + 15
    async with client.session.post(f"{client.exchange.control_url}/speed", json={"speed": 0}) as response:
        assert await response.json() == {"speed": 0.0}
    states = [(await client.get("/control/state")).json() for _ in range(2)]
    assert states[0]["exchange_time"] == states[1]["exchange_time"]


@pytest.mark.parametrize("speed", ["NaN", "Infinity", "-1", "100001", "true", "null", '"60"'])
async def test_a_speed_that_is_none_is_refused_and_changes_nothing(serve: Any, speed: str) -> None:
    client = await serve()
    before = client.exchange.clock.speed
    async with client.session.post(f"{client.exchange.control_url}/speed", data=f'{{"speed": {speed}}}') as response:
        assert response.status == 400
        assert await response.text() == "speed must be a number from 0 to 100000\n"
    assert client.exchange.clock.speed == before


@pytest.mark.parametrize("body", ["", "fast", "[60]", '"60"'])
async def test_a_body_that_holds_no_speed_is_refused_with_an_example(serve: Any, body: str) -> None:
    client = await serve()
    async with client.session.post(f"{client.exchange.control_url}/speed", data=body) as response:
        assert (response.status, await response.text()) == (400, 'write e.g. {"speed": 60}\n')


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("reached", "`moment` must be UNIX seconds, not ''"),
        ("reached?moment=soon", "`moment` must be UNIX seconds, not 'soon'"),
        ("truth?symbol=BTC-USD&start=noon", "`start` must be UNIX seconds, not 'noon'"),
        ("truth?symbol=BTC-USD&end=1.5", "`end` must be UNIX seconds, not '1.5'"),
    ],
)
async def test_a_moment_that_is_none_is_refused(serve: Any, path: str, said: str) -> None:
    client = await serve()
    async with client.session.get(f"{client.exchange.control_url}/{path}") as response:
        assert (response.status, await response.text()) == (400, f"{said}\n")


def test_sets_of_quirks() -> None:
    assert not any(getattr(Quirks.none(), name) for name in Quirks.__slots__)
    assert {name for name in Quirks.__slots__ if not getattr(Quirks.all(), name)} == {"native_differs"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--start", "soon"], "'--start': 'soon' is no time; write e.g. 2024-01-03T12:00:00Z"),
        (["--products", "99"], "--products: between 1 and 50 products, not 99"),
        (["--products", "0"], "--products: between 1 and 50 products, not 0"),
        (["--data", "nowhere"], "--data: nowhere: no file coinbase_<product>_1m_2023-12-08_2024-01-04.csv.gz"),
        (["--data", ".", "--period", "then", "--start", "2024-01-04"],
         "--start: outside of what is recorded: 2024-01-03T12:00Z to 2024-01-03T12:01Z"),
        (["--speed", "-1"], "'--speed': -1.0 is not in the range 0<=x<=100000."),
        (["--speed", "inf"], "'--speed': inf is not in the range 0<=x<=100000."),
        (["--speed", "nan"], "'--speed': 'nan' is no number; write e.g. 60"),
        (["--latency", "inf"], "'--latency': inf is not in the range 0<=x<=60000."),
        (["--latency", "nan"], "'--latency': 'nan' is no number; write e.g. 60"),
        (["--quirks", "some"], "'--quirks': 'some' is not one of 'default', 'all', 'none', 'unsummed'."),
    ],
)  # fmt: skip
def test_simulate_refuses_wrong_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with gzip.open("coinbase_BTC-USD_1m_then.csv.gz", "wt") as file:
        file.write(f"time,open,high,low,close,volume\n{NOON},5,5,5,5,1\n")
    result = CliRunner().invoke(simulate, arguments)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == f"Error: Invalid value for {said}"
    assert result.stderr.count("Error") == 1


@pytest.mark.parametrize("option", ["--speed", "--for"])
@pytest.mark.parametrize("value", ["nan", "inf", "0"])
def test_demo_refuses_what_is_no_pace_and_no_time(option: str, value: str) -> None:
    result = CliRunner().invoke(demo, [option, value])
    assert result.exit_code == 2
    assert f"Error: Invalid value for '{option}': " in result.stderr


def test_simulate_says_that_its_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = CliRunner().invoke(simulate, ["--products", "1", "--port", str(taken.getsockname()[1])])
    assert result.exit_code == 1
    assert re.fullmatch(r"(?i)Error: port: .*address already in use\n", result.output)


async def test_simulate_prints_its_addresses_and_serves_until_sigterm() -> None:
    arguments = ["simulate", "--products", "1", "--seed", "5", "--speed", "0", "--start", "2024-01-03T12:00:00Z"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "livermore_core", *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20.0):
            told = dict([(await process.stdout.readline()).decode().split(maxsplit=1) for _ in range(5)])
        assert set(told) == {"REST", "WebSocket", "control", "market", "use"}
        assert told["market"].strip() == "1 products, seed 5, 2024-01-03T12:00:00Z, speed 0"
        async with aiohttp.ClientSession() as session:
            async with session.get(told["control"].strip()) as response:
                assert (await response.json())["exchange_time"] == NOON
            async with session.get(f"{told['REST'].strip()}/api/v3/brokerage/time") as response:
                assert (await response.json())["epochSeconds"] == str(NOON)
            async with session.ws_connect(told["WebSocket"].strip()) as feed:
                await feed.send_json({"type": "subscribe", "channel": "heartbeats"})
                assert (await feed.receive_json(timeout=5.0))["channel"] == "subscriptions"
                process.send_signal(signal.SIGTERM)
                assert (await feed.receive(timeout=5.0)).data == 1001
        async with asyncio.timeout(5.0):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
