"""`livermore watch` on a real pseudo-terminal, seen through a terminal emulator: keys, sizes, and how it leaves."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import signal
import struct
import sys
import termios
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pyte

from livermore_core import Batch, Candle, Event, IndicatorValue, Series, SeriesChange
from livermore_core.store.sqlite import open_store

START = 1_704_067_200
PRICES = {"BTC-USD": 46000.0, "ETH-USD": 3700.0, "SOL-USD": 148.0}


class Screen:
    """What a person at the terminal of a process would see, and the keys."""

    def __init__(self, keyboard: int, process: asyncio.subprocess.Process, width: int, height: int) -> None:
        self.process, self._keyboard = process, keyboard
        self._screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self._screen)
        self._written = asyncio.Event()
        asyncio.get_running_loop().add_reader(keyboard, self._read)

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self._screen.display)

    def press(self, keys: bytes) -> None:
        os.write(self._keyboard, keys)

    def resize(self, width: int, height: int) -> None:
        self._screen.resize(height, width)
        fcntl.ioctl(self._keyboard, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.process.send_signal(signal.SIGWINCH)

    async def shows(self, *texts: str, without: str = "\0") -> None:
        """Wait until all of it is there."""
        try:
            async with asyncio.timeout(20):
                while without in self.text or not all(text in self.text for text in texts):
                    self._written.clear()
                    await self._written.wait()
        except TimeoutError:
            raise AssertionError(f"{texts} without {without!r} in:\n{self.text}") from None

    def _read(self) -> None:
        try:
            self._stream.feed(os.read(self._keyboard, 65536))
        except OSError:  # the process has gone
            asyncio.get_running_loop().remove_reader(self._keyboard)
        self._written.set()


@asynccontextmanager
async def watching(url: str, width: int, height: int) -> AsyncIterator[Screen]:
    keyboard, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    environment = {name: text for name, text in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "livermore_core", "watch", "--store", url, "--interval", "0.05"),
        **dict.fromkeys(("stdin", "stdout", "stderr"), terminal),
        env=environment | {"TERM": "xterm-256color"},
        start_new_session=True,
    )
    try:
        yield Screen(keyboard, process, width, height)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        asyncio.get_running_loop().remove_reader(keyboard)
        os.close(keyboard)
        os.close(terminal)


def closed(symbol: str, moment: int, close: float) -> Batch:
    series = Series("coinbase", symbol, "1m")
    row = Candle(moment, close, close, close, close, 1.0)
    value = IndicatorValue(indicator="macd-v", time=moment, outputs={"macd_v": close / 100, "stage": "rallying"})
    change = SeriesChange(series=series, rows=[row], covered=[(moment, moment + 60)], values=[value])
    return Batch(changes=[change], events=[Event(kind="candle.closed", time=moment, candle=row, **series._asdict())])


async def test_sort_filter_resize_and_leave_on_a_terminal(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/seen.sqlite"
    exchange = {"name": "coinbase", "exchange_time": "2024-01-01T00:01:00Z"}
    async with open_store(url) as store:
        await store.write_status(
            {"state": "LIVE", "heartbeat_epoch": time.time(), "reasons": {}, "exchanges": [exchange]}
        )
        for symbol, price in PRICES.items():
            await store.transact(closed(symbol, START, price))
        async with watching(url, 100, 24) as screen:
            before = termios.tcgetattr(screen._keyboard)
            await screen.shows("livermore  LIVE", "BTC-USD  46000.00", "460.0 ^", "^ rallying", "3 symbols")
            assert termios.tcgetattr(screen._keyboard) != before

            await store.transact(closed("BTC-USD", START + 60, 47000.0))
            await screen.shows("BTC-USD  47000.00")

            screen.press(b"sr")
            await screen.shows("by price, rising", "price*")
            symbols = [line.split()[0] for line in screen.text.splitlines() if "-USD" in line]
            assert symbols == ["SOL-USD", "ETH-USD", "BTC-USD"]

            screen.press(b"/et")
            await screen.shows("/et_", without="SOL-USD")
            screen.press(b"\r")
            await screen.shows("filter 'et': 1 of 3", "q quit", without="BTC-USD")
            screen.press(b"\x1b")
            await screen.shows("BTC-USD", "SOL-USD", without="filter '")

            screen.resize(40, 7)
            await screen.shows("change", "rows 1-3 of 3, by price, rising", without="overbought")
            assert "age" not in screen.text
            screen.resize(30, 6)
            await screen.shows("rows 1-2 of 3", without="BTC-USD")
            screen.press(b"\x1b[6~")
            await screen.shows("rows 2-3 of 3", "BTC-USD", without="SOL-USD")

            screen.press(b"?")
            await screen.shows("any key")
            screen.press(b"xq")
            assert await asyncio.wait_for(screen.process.wait(), 10) == 0
            assert termios.tcgetattr(screen._keyboard) == before


async def test_the_terminal_is_as_before_after_a_signal(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/seen.sqlite"
    async with open_store(url) as store:
        await store.transact(closed("BTC-USD", START, 1.0))
    async with watching(url, 80, 24) as screen:
        before = termios.tcgetattr(screen._keyboard)
        await screen.shows("livermore  NOT RUNNING", "BTC-USD")
        screen.process.terminate()
        assert await asyncio.wait_for(screen.process.wait(), 10) == 0
        assert termios.tcgetattr(screen._keyboard) == before
