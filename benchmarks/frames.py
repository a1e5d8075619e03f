"""Measures the CPU a WebSocket frame costs from receipt to the kit's messages, against the least that must be done.

Prints one JSON line. The frames are in memory: what a socket costs is the same for both.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from time import process_time
from typing import Any

import aiohttp
import msgspec
from livermore_coinbase.stream import Stream

from livermore_core import TransientError

FRAMES = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
ROUNDS = 5
SYMBOLS = [f"A{number}-USD" for number in range(25)]


class RefTrade(msgspec.Struct):
    product_id: str
    trade_id: int
    price: float
    size: float
    time: str


class RefEvent(msgspec.Struct):
    trades: list[RefTrade] = []


class RefFrame(msgspec.Struct):
    channel: str
    timestamp: str
    sequence_num: int
    events: list[RefEvent]


def made(number: int, ids: dict[str, int]) -> bytes:
    """A mix as on the wire: of ten frames eight have trades (1, 1, 1, 1, 2, 2, 3, 8), one a candle, one is a beat."""
    symbol = SYMBOLS[number % len(SYMBOLS)]
    second = f"2026-09-30T02:{number // 60_000 % 60:02d}:{number // 1000 % 60:02d}.{number % 1000:03d}"
    frame: dict[str, Any] = {"channel": "market_trades", "timestamp": second + "217036Z", "sequence_num": number}
    count = (1, 1, 1, 1, 2, 2, 3, 8, 0, -1)[number % 10]
    if count > 0:
        first, ids[symbol] = ids[symbol] + 1, ids[symbol] + count
        rows = [
            {"product_id": symbol, "trade_id": str(each), "price": "83277.25", "size": "0.00374", "time": second + "Z"}
            | {"side": "BUY"}
            for each in range(first, first + count)
        ]
        frame["events"] = [{"type": "update", "trades": rows[::-1]}]
    elif count == 0:
        candle = {"start": "1790735700", "high": "3", "low": "1", "open": "2", "close": "2", "volume": "9.5"}
        frame |= {"channel": "candles", "events": [{"type": "update", "candles": [candle | {"product_id": symbol}]}]}
    else:
        frame |= {"channel": "heartbeats", "events": [{"current_time": "?", "heartbeat_counter": number}]}
    return json.dumps(frame, separators=(",", ":")).encode()


class Socket:
    """Hands out frames without waiting, then closes."""

    close_code = 1000

    def __init__(self, frames: list[bytes]) -> None:
        kind = aiohttp.WSMsgType.TEXT
        self._messages = iter([aiohttp.WSMessage(kind, frame, None) for frame in frames])

    async def receive(self) -> aiohttp.WSMessage:
        return next(self._messages, aiohttp.WSMessage(aiohttp.WSMsgType.CLOSED, None, None))

    async def send_str(self, text: str) -> None:
        return None

    async def close(self, code: int = 1000) -> None:
        return None


class Session:
    """Opens the socket above."""

    def __init__(self, frames: list[bytes]) -> None:
        self._frames = frames

    async def ws_connect(self, url: str, **options: object) -> Socket:
        return Socket(self._frames)


async def ours(frames: list[bytes]) -> float:
    """CPU seconds of the client's own feed."""
    session: Any = Session(frames)
    messages = 0
    began = process_time()
    try:
        async for _ in Stream(session, "ws://127.0.0.1").follow(SYMBOLS, {}, Counter()):
            messages += 1
    except TransientError:
        spent = process_time() - began
    assert messages > len(frames)
    return spent


async def reference(frames: list[bytes]) -> float:
    """CPU seconds of receiving, decoding straight to floats, and yielding one value per trade."""
    decode = msgspec.json.Decoder(RefFrame, strict=False).decode

    async def feed() -> AsyncIterator[RefTrade]:
        socket = Socket(frames)
        while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
            for event in decode(message.data).events:
                for trade in reversed(event.trades):
                    yield trade

    began = process_time()
    async for _ in feed():
        pass
    return process_time() - began


def main() -> None:
    ids = dict.fromkeys(SYMBOLS, 0)
    frames = [made(number, ids) for number in range(FRAMES)]
    rounds = [(asyncio.run(ours(frames)), asyncio.run(reference(frames))) for _ in range(ROUNDS)]
    own, least = (min(found) / FRAMES * 1e6 for found in zip(*rounds, strict=True))
    figures = {
        "benchmark": "frames",
        "frames": FRAMES,
        "trades": sum(ids.values()),
        "us_per_frame": round(own, 2),
        "reference_us_per_frame": round(least, 2),
        "own_us_per_frame": round(own - least, 2),
        "ratio": round(own / least, 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
