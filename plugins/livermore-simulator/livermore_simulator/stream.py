"""One WebSocket connection: subscriptions, snapshots before acks, one sequence over all channels."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import WSMsgType, web

from livermore_simulator import wire
from livermore_simulator.limits import TokenBucket
from livermore_simulator.tape import Tape

if TYPE_CHECKING:
    from livermore_simulator.server import SimulatedExchange

CHANNELS = ("heartbeats", "market_trades", "candles")
SNAPSHOT_TRADES = 100
SNAPSHOT_CANDLES = 100
MESSAGES_PER_SECOND = 8


class Connection:
    """What one client was promised and has been sent."""

    def __init__(
        self, exchange: SimulatedExchange, socket: web.WebSocketResponse, transport: asyncio.Transport | None
    ) -> None:
        self._exchange, self._socket, self._transport = exchange, socket, transport
        self._tape = Tape(exchange.clock.now(), exchange.quirks, exchange.seed)
        self._sequence = 0
        self._stamp = 0
        self._subscriptions: dict[str, list[str]] = {}
        self._messages = TokenBucket(MESSAGES_PER_SECOND, MESSAGES_PER_SECOND)
        self._authenticated = False
        self._sending = asyncio.Lock()

    def abort(self) -> None:
        """Cut the connection without a close frame."""
        if self._transport is not None:
            self._transport.abort()

    # ---- what the client says ----

    async def serve(self) -> None:
        """Read the client's messages until it leaves; one that does not subscribe in time is dropped."""
        deadline: float | None = asyncio.get_running_loop().time() + self._exchange.subscribe_within
        while True:
            if self._subscriptions:
                deadline = None
            try:
                async with asyncio.timeout_at(deadline):
                    message = await self._socket.receive()
            except TimeoutError:
                await self._socket.close(code=1008, message=b"subscribe")
                return
            if message.type is not WSMsgType.TEXT:
                return
            if not self._messages.take():
                await self._socket.close(code=1008, message=b"too many messages")
                return
            async with self._sending:
                await self._obey(message.data)

    async def _obey(self, text: str) -> None:
        try:
            asked = msgspec.json.decode(text, type=dict[str, Any])
        except msgspec.DecodeError:
            return await self._error("failure to subscribe")
        channel = asked.get("channel")
        if channel not in CHANNELS:
            return await self._error("authentication failure")
        self._authenticated = self._authenticated or "jwt" in asked
        names = [str(name) for name in asked.get("product_ids", ())]
        if asked.get("type") == "unsubscribe":
            self._unsubscribe(channel, names)
        else:
            await self._subscribe(channel, names)
        return await self._frame("subscriptions", [{"subscriptions": self._subscriptions}])

    async def _subscribe(self, channel: str, names: list[str]) -> None:
        if channel == "heartbeats":
            self._tape.beating = True
            self._subscriptions[channel] = ["heartbeats"]
            return
        found = self._subscriptions.setdefault(channel, [])
        # What the snapshots speak of must not be sent again, nor skipped.
        await self._catch_up()
        for name in names:
            product = self._exchange.market.find(name)
            if product is None or product.status != "online":
                continue
            if product.symbol not in found:
                found.append(product.symbol)
            await self._snapshot(channel, product.symbol)

    async def _snapshot(self, channel: str, symbol: str) -> None:
        exchange = self._exchange
        now, product = exchange.clock.now(), exchange.market.products[symbol]
        if channel == "market_trades":
            trades = [wire.trade(symbol, made) for made in reversed(product.newest(now, SNAPSHOT_TRADES))]
            await self._frame(channel, [{"type": "snapshot", "trades": trades}])
            self._tape.follow_trades(product)
            return
        rows = exchange.truth.minutes(symbol, 300, int(now) - 300 * 200, int(now) + 1, now)
        in_progress = [row for row in rows if row.time + 300 > now]
        if exchange.quirks.gappy_snapshots:
            chance = random.Random(f"{exchange.seed}:{symbol}")
            rows = [row for row in rows if chance.random() < 0.6]
        candles = [wire.candle(row) | {"product_id": symbol} for row in rows[-SNAPSHOT_CANDLES:]]
        await self._frame(channel, [{"type": "snapshot", "candles": candles}])
        self._tape.follow_candles(product, in_progress)

    def _unsubscribe(self, channel: str, names: list[str]) -> None:
        known = self._subscriptions.pop(channel, [])
        gone = {self._exchange.market.aliases.get(name, name) for name in names or known}
        kept = [symbol for symbol in known if symbol not in gone]
        if kept:
            self._subscriptions[channel] = kept
        self._tape.beating = "heartbeats" in self._subscriptions
        for symbol in gone:
            self._tape.forget(channel, symbol)

    # ---- what the exchange says ----

    async def send_until(self, moment: float) -> None:
        """Send everything with a stamp up to `moment`."""
        async with self._sending:
            await self._catch_up(moment)

    async def _catch_up(self, moment: float | None = None) -> None:
        exchange = self._exchange
        upto = exchange.clock.now() if moment is None else moment
        for stamp, (channel, content) in self._tape.until(upto, exchange.clock.speed):
            if channel == "heartbeats":
                await self._frame(channel, [_beat(stamp)], stamp)
            elif exchange.is_dropped():
                self._sequence += 1
            elif not exchange.is_muted(content[0]["product_id"]):
                member = "trades" if channel == "market_trades" else "candles"
                await self._frame(channel, [{"type": "update", member: content}], stamp)

    async def _frame(self, channel: str, events: list[dict[str, Any]], stamp: float | None = None) -> None:
        moment = self._exchange.clock.now() if stamp is None else stamp
        frame: dict[str, Any] = {"channel": channel}
        if self._authenticated:
            frame["client_id"] = ""
        self._stamp = max(self._stamp, round(moment * 1e6) * 1000 + self._sequence % 1000)
        frame["timestamp"] = wire.micro_instant(*divmod(self._stamp, 1000))
        frame["sequence_num"] = self._sequence
        frame["events"] = events
        if self._exchange.quirks.unknown_members and self._sequence % 97 == 13:
            frame["a_member_of_next_year"] = [1, {"x": None}]
        self._sequence += 1
        await self._send(frame)

    async def _error(self, text: str) -> None:
        await self._send({"type": "error", "message": text})

    async def _send(self, frame: dict[str, Any]) -> None:
        # A slow reader may hold up exchange time, one that reads nothing may not. It is no timeout, since all who write
        # to a socket wait on one future: cancelling one of them would cancel the others.
        overdue = asyncio.get_running_loop().call_later(self._exchange.read_within, self.abort)
        try:
            await self._socket.send_str(wire.encode(frame).decode())
        finally:
            overdue.cancel()


def _beat(stamp: float) -> dict[str, Any]:
    counter = int(stamp)
    told = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(stamp))
    return {"current_time": f"{told}.16768673 +0000 UTC m=+{counter}.233881028", "heartbeat_counter": counter}
