"""Hours of an exchange over real sockets: every stored row is compared with the truth, and what it cost is measured."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import click
from livermore_simulator import compare

from livermore_core.testing import Program


@click.command()
@click.option("--hours", default=0.5, show_default=True, help="Of exchange time.")
@click.option("--speed", default=120.0, show_default=True)
@click.option("--seed", default=20231208, show_default=True)
@click.option("--data", type=click.Path(path_type=Path), help="Recorded candle files; synthetic if not given.")
@click.option("--store", help="URL of the store; a temporary one if not given.")
def main(hours: float, speed: float, seed: int, data: Path | None, store: str | None) -> None:
    """Run `livermore simulate` and `livermore start` as two processes, every quirk on, and compare."""
    with tempfile.TemporaryDirectory() as folder:
        url = store or f"sqlite:///{Path(folder) / 'truth.sqlite'}"
        result = asyncio.run(measure(hours, speed, seed, data, url))
    print(json.dumps(result))
    raise SystemExit(bool(result["differences"]))


async def measure(hours: float, speed: float, seed: int, data: Path | None, url: str) -> dict[str, Any]:
    """The figures of one run."""
    source = ["--data", str(data)] if data else ["--products", "12"]
    arguments = ["simulate", *source, "--seed", str(seed), "--speed", str(speed), "--quirks", "all"]
    async with Program(*arguments) as exchange, aiohttp.ClientSession() as session:
        await exchange.line(lambda line: line.startswith("use it"))
        told = {line.split()[0]: line.split()[1] for line in exchange.lines}
        control = told["control"].removesuffix("/state")
        env = {
            "LIVERMORE_EXCHANGES__COINBASE__REST_URL": told["REST"],
            "LIVERMORE_EXCHANGES__COINBASE__WS_URL": told["WebSocket"],
            "LIVERMORE_EXCHANGES__COINBASE__SYMBOLS": "*-USD",
        }
        began = time.monotonic()
        async with Program("start", "--store", url, env=env) as livermore:
            ready = await livermore.event("ready", within=300)
            before = await _get(session, f"{control}/state")
            end = before["exchange_time"] + hours * 3600
            after = await _get(session, f"{control}/reached", moment=end)
            cpu = _cpu_seconds(livermore.pid)
            compared = await compare(url, control)
            code = await livermore.stop()
        gaps = sum(event["event"] == "gap.opened" for event in livermore.events)
        completed = next(event for event in livermore.events if event["event"] == "backfill.completed")
    return {
        "benchmark": "truth",
        "seed": seed,
        "exchange_hours": hours,
        "speed": speed,
        "seconds": round(time.monotonic() - began, 1),
        "series": compared.series,
        "rows": compared.rows,
        "rows_of_the_truth": compared.expected,
        "per_timeframe": compared.per_timeframe,
        "differences": compared.differences,
        "ready_seconds": ready["seconds"],
        "backfill_requests": completed["requests"],
        "live_candle_requests": after["candle_requests"] - before["candle_requests"],
        "statuses": after["statuses"],
        "gaps_opened": gaps,
        "cpu_seconds": cpu,
        "exit_code": code,
    }


async def _get(session: aiohttp.ClientSession, url: str, **query: Any) -> Any:
    async with session.get(url, params=query, timeout=aiohttp.ClientTimeout(total=None)) as response:
        return await response.json()


def _cpu_seconds(pid: int) -> float | None:
    """User and system time of a process so far; None where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
