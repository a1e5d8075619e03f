"""Asks one connection for the channels of a wish: a message at a time, each answered before the next is sent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from livermore_coinbase.auth import Signer
from livermore_coinbase.frames import Interpreter
from livermore_coinbase.text import shown
from livermore_core import CredentialsError, TransientError

LOG = logging.getLogger("livermore_coinbase")
CHANNELS = ("market_trades", "candles")
PRODUCTS_PER_MESSAGE = 100
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class StreamTiming:
    """Seconds: to open, without any frame, for an answer to a message, between two messages, for a farewell."""

    open: float = 10.0
    liveness: float = 15.0
    acknowledgement: float = 5.0
    message_interval: float = 0.22
    close: float = 2.0


class _AuthenticationFailed(Exception):
    """The server took exception to the token, or to its absence."""


class Subscription:
    """The wish of one connection. `answered` is called for each acknowledgement and each error frame."""

    def __init__(
        self,
        wish: Sequence[str],
        interpreter: Interpreter,
        send: Callable[[str], Awaitable[None]],
        signer: Signer | None,
        timing: StreamTiming,
    ) -> None:
        self._wish, self._interpreter, self._send = tuple(dict.fromkeys(wish)), interpreter, send
        self._signer, self._timing = signer, timing
        self._news = asyncio.Event()
        self._refusal: str | None = None
        self._answers = 0
        self._sent_at: float | None = None
        self._mute = False

    def answered(self, refusal: str | None = None) -> None:
        """The server answered a message: with an acknowledgement, or with the text of an error frame."""
        self._answers += 1
        self._refusal = refusal
        self._news.set()

    async def run(self) -> None:
        """Subscribe to the whole wish. Raises TransientError where nothing is acknowledged, CredentialsError where
        the server takes neither the token nor its absence."""
        for signed in (True, True, False) if self._signer else (False,):
            try:
                await self._subscribe(signed)
                return
            except _AuthenticationFailed as failed:
                LOG.warning("credentials.refused: WebSocket, %s token: %s", "with" if signed else "without", failed)
        if self._signer is None:
            raise TransientError("ws.sub_refused: authentication failure on a public channel")
        raise CredentialsError("credentials.refused: the WebSocket takes neither a fresh token nor none; check the key")

    async def _subscribe(self, signed: bool) -> None:
        await self._ask("heartbeats", (), signed)
        for channel in CHANNELS:
            for chunk in _chunks(self._wish):
                await self._ask_for(channel, chunk, signed)
        await self._until_complete()
        if missing := self._missing():
            for chunk in _chunks(missing):
                await self._ask_for("market_trades", chunk, signed)
            await self._until_complete()
        self._judge()

    def _judge(self) -> None:
        missing = self._missing()
        if len(missing) == len(self._wish):
            raise TransientError("ws.sub_no_ack: no subscription was acknowledged")
        if missing:
            # The kit says it as a warning, and when it has ended.
            LOG.info("ws.sub_partial: %d not acknowledged: %s", len(missing), ", ".join(missing[:20]))

    def _missing(self) -> tuple[str, ...]:
        return tuple(symbol for symbol in self._wish if symbol not in self._interpreter.acknowledged)

    async def _ask_for(self, channel: str, products: Sequence[str], signed: bool) -> None:
        """Ask for some products of a channel; where they are refused together, for each half by itself."""
        refusal = await self._ask(channel, products, signed)
        if refusal is None:
            return
        if len(products) == 1:
            LOG.warning("ws.sub_refused: %s of %s: %s", channel, products[0], shown(refusal))
            return
        middle = len(products) // 2
        await self._ask_for(channel, products[:middle], signed)
        await self._ask_for(channel, products[middle:], signed)

    async def _ask(self, channel: str, products: Sequence[str], signed: bool) -> str | None:
        """Send one message and wait for its answer; the text of a refusal, or None."""
        await self._pace()
        message: dict[str, object] = {"type": "subscribe", "channel": channel}
        if products:
            message["product_ids"] = list(products)
        if signed and self._signer is not None:
            message["jwt"] = self._signer.stream_token()
        expected = self._answers + 1
        await self._send(_encode(message).decode())
        if self._mute or not await self._until(lambda: self._answers >= expected):
            self._mute = True  # whoever does not answer once is not waited for again, except at the end
            return None
        if self._refusal is not None and "authentication" in self._refusal.lower():
            raise _AuthenticationFailed(shown(self._refusal))
        return self._refusal

    async def _pace(self) -> None:
        clock = asyncio.get_running_loop().time
        if self._sent_at is not None:
            await asyncio.sleep(self._sent_at + self._timing.message_interval - clock())
        self._sent_at = clock()

    async def _until_complete(self) -> None:
        if self._mute:
            await self._until(lambda: not self._missing())

    async def _until(self, reached: Callable[[], bool]) -> bool:
        try:
            async with asyncio.timeout(self._timing.acknowledgement):
                while not reached():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True


def _chunks(symbols: Sequence[str]) -> Iterable[Sequence[str]]:
    for start in range(0, len(symbols), PRODUCTS_PER_MESSAGE):
        yield symbols[start : start + PRODUCTS_PER_MESSAGE]
