"""The whole over real sockets: simulated exchange and livermore as two processes, and every row compared."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from livermore_simulator import compare

from livermore_core.testing import Program

SEED = 20240103
TWO_HOURS = 7200.0


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
    source = ["--products", "12"]
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
