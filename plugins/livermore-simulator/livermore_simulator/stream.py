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
from livermore_simulator.line import Line
from livermore_simulator.tape import Tape

if TYPE_CHECKING:
    from livermore_core.testing import Fault
    from livermore_simulator.server import SimulatedExchange

CHANNELS = ("heartbeats", "market_trades", "candles")
SNAPSHOT_TRADES = 100
SNAPSHOT_CANDLES = 100
MESSAGES_PER_SECOND = 8


class Connection:
    """What one client was promised and has been sent."""

    def __init__(self, exchange: SimulatedExchange, socket: web.WebSocketResponse, line: Line) -> None:
        self._exchange, self._socket, self.line = exchange, socket, line
        self._tape = Tape(exchange.clock.now(), exchange.quirks, exchange.seed)
        self._sequence = 0
        self._stamp = 0
        self._subscriptions: dict[str, list[str]] = {}
        self._messages = TokenBucket(MESSAGES_PER_SECOND, MESSAGES_PER_SECOND)
        self._authenticated = False
        self._sending = asyncio.Lock()
        self._to_suffer: list[Fault] = []
        self._late: list[tuple[float, str, list[dict[str, Any]]]] = []

    def suffer(self, fault: Fault) -> None:
        """Let a fault act on what is sent next."""
        if fault.how == "reset":
            self._sequence = 0
        elif fault.kind in ("ws.late", "ws.raw", "ws.snapshot_again"):
            self._to_suffer.append(fault)
        else:
            self.line.suffer(fault)

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
            if self.line.is_half_open:
                await asyncio.get_running_loop().create_future()  # until the other end gives up
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
        elif not await self._is_taken_up(channel, names):
            return None
        return await self._acknowledge()

    async def _is_taken_up(self, channel: str, names: list[str]) -> bool:
        """Subscribe to the names, or to as many as a fault lets through; whether that is acknowledged."""
        spoiled = next(
            (found for name in names or [""] if (found := self._exchange.faults.take("ws.sub", name, channel))), None
        )
        fault = spoiled.fault if spoiled is not None else None
        if fault is not None and fault.how == "refuse":
            await self._error("failure to subscribe")
            return False
        if fault is not None and fault.how == "partial":
            names = [name for name in names if name != (fault.symbol or names[-1])]
        await self._subscribe(channel, names)
        return fault is None or fault.how != "no_ack"

    async def _acknowledge(self) -> None:
        """Say what is subscribed to; and end with that, while a fault that ends connections lasts."""
        await self._frame("subscriptions", [{"subscriptions": self._subscriptions}])
        closing = self._exchange.faults.find("ws.close")
        if closing is not None:
            await self._socket.close(code=closing.code or 1001, drain=False)
        elif self._exchange.faults.find("ws.rst") is not None:
            self.line.abort()

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
            await self.line.flush()

    async def _catch_up(self, moment: float | None = None) -> None:
        exchange = self._exchange
        upto = exchange.clock.now() if moment is None else moment
        for stamp, (channel, content) in self._tape.until(upto, exchange.clock.speed):
            if self._to_suffer or self._late:
                content = await self._spoiled(stamp, channel, content)
            if channel == "heartbeats":
                if not exchange.is_muted(channel):
                    await self._frame(channel, [_beat(stamp)], stamp)
            elif content:
                await self._update(channel, content, stamp)

    async def _update(self, channel: str, content: list[dict[str, Any]], stamp: float) -> None:
        exchange = self._exchange
        if exchange.is_dropped():
            self._sequence += 1
        elif not exchange.is_muted(channel, content[0]["product_id"]):
            member = "trades" if channel == "market_trades" else "candles"
            await self._frame(channel, [{"type": "update", member: content}], stamp)

    async def _spoiled(self, stamp: float, channel: str, content: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Say what a fault has said between two frames; the content of the next one without a trade that comes late."""
        for due in [due for due in self._late if due[0] <= stamp]:
            self._late.remove(due)
            await self._update(due[1], due[2], stamp)
        for fault in list(self._to_suffer):
            if fault.kind == "ws.late":
                if channel == "market_trades" and fault.symbol in ("", content[0]["product_id"]):
                    self._to_suffer.remove(fault)
                    self._late.append((stamp + (fault.amount or 90.0), channel, content[:1]))
                    content = content[1:]
                    break
                continue
            self._to_suffer.remove(fault)
            if fault.kind == "ws.raw":
                await self.line.say(fault)
            else:
                await self._snapshots()
        return content

    async def _snapshots(self) -> None:
        """Every snapshot once more."""
        for channel, symbols in self._subscriptions.items():
            for symbol in symbols if channel != "heartbeats" else ():
                await self._snapshot(channel, symbol)

    async def _frame(self, channel: str, events: list[dict[str, Any]], stamp: float | None = None) -> None:
        moment = self._exchange.clock.now() if stamp is None else stamp
        frame: dict[str, Any] = {"channel": channel}
        if self._authenticated:
            frame["client_id"] = ""
        self._stamp = max(self._stamp, round(moment * 1e6) * 1000 + self._sequence % 1000)
        shown = self._stamp + round(self._exchange.faults.total("clock.step") * 1e6) * 1000
        frame["timestamp"] = wire.micro_instant(*divmod(shown, 1000))
        frame["sequence_num"] = self._sequence
        frame["events"] = events
        if self._exchange.quirks.unknown_members and self._sequence % 97 == 13:
            frame["a_member_of_next_year"] = [1, {"x": None}]
        self._sequence += 1
        await self.line.send(wire.encode(frame))
        self._exchange.faults.count("frame")

    async def _error(self, text: str) -> None:
        await self.line.send(wire.encode({"type": "error", "message": text}))


def _beat(stamp: float) -> dict[str, Any]:
    counter = int(stamp)
    told = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(stamp))
    return {"current_time": f"{told}.16768673 +0000 UTC m=+{counter}.233881028", "heartbeat_counter": counter}
