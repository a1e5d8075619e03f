"""The WebSocket client over real sockets: what it sends, how it waits for answers, and how a connection ends."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from livermore_coinbase.auth import CorrectedClock, Signer
from livermore_coinbase.client import CoinbaseClient
from livermore_coinbase.keys import Key
from livermore_coinbase.stream import LARGEST_FRAME, Stream, stream_session
from livermore_coinbase.subscription import StreamTiming

from livermore_core import (
    BadResponseError,
    CredentialsError,
    Heartbeat,
    Lost,
    RateLimitedError,
    Subscribed,
    Trade,
    TransientError,
)

QUICK = StreamTiming(open=2.0, liveness=1.5, acknowledgement=0.4, message_interval=0.001, close=0.2)
PATIENT = StreamTiming(open=5.0, liveness=30.0, acknowledgement=5.0, message_interval=0.001, close=0.2)
STAMP = "2026-09-30T02:39:53.788217036Z"
KEY = Key("name", "ES256", ec.generate_private_key(ec.SECP256R1()))


class Exchange:
    """The server's side of one connection: numbers frames, keeps the cumulative subscriptions, records messages."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.number = 0
        self.flowing: dict[str, list[str]] = {}

    async def send(self, channel: str, *events: object) -> None:
        text = {"channel": channel, "timestamp": STAMP, "sequence_num": self.number, "events": list(events)}
        self.number += 1
        await self.socket.send_str(json.dumps(text))

    async def acknowledge(self, message: dict[str, Any], but: tuple[str, ...] = ()) -> None:
        wanted = message.get("product_ids", ["heartbeats"])
        known = self.flowing.setdefault(message["channel"], [])
        known += [name for name in wanted if name not in but and name not in known]
        await self.send("subscriptions", {"subscriptions": self.flowing})

    async def trades(self, product: str, *ids: int) -> None:
        rows = [
            {"product_id": product, "trade_id": str(n), "price": "5", "size": "1", "time": STAMP, "side": "BUY"}
            for n in ids
        ]
        await self.send("market_trades", {"type": "update", "trades": rows})

    async def refuse(self, text: str) -> None:
        await self.socket.send_str(json.dumps({"type": "error", "message": text}))


Behaviour = Callable[[Exchange, dict[str, Any]], Awaitable[None]]


class Served:
    """Runs a behaviour for each message of each connection, and records the messages."""

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.messages: list[dict[str, Any]] = []
        self.closed = asyncio.Event()

    async def __call__(self, socket: web.WebSocketResponse) -> None:
        exchange = Exchange(socket)
        async for frame in socket:
            message = json.loads(frame.data)
            self.messages.append(message)
            await self.behave(exchange, message)
        self.closed.set()


async def acknowledging(exchange: Exchange, message: dict[str, Any]) -> None:
    await exchange.acknowledge(message)


def then_close(behave: Behaviour = acknowledging, *, after: str = "candles") -> Behaviour:
    """As `behave`, and the connection ends after a message for the channel `after`."""

    async def behaviour(exchange: Exchange, message: dict[str, Any]) -> None:
        await behave(exchange, message)
        if message["channel"] == after:
            await exchange.socket.close(code=1001, message=b"going away")

    return behaviour


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with stream_session(trust_env=False) as found:
        yield found


class Follower:
    """Follows one connection to its end."""

    def __init__(self, session: aiohttp.ClientSession, coinbase: Any) -> None:
        self.session, self.coinbase = session, coinbase
        self.counts: Counter[str] = Counter()
        self.found: list[Any] = []
        self.subscribed = asyncio.Event()

    async def follow(
        self, *symbols: str, timing: StreamTiming = PATIENT, signer: Signer | None = None, aliases: Any = None
    ) -> Exception:
        """What it raised."""
        stream = Stream(self.session, self.coinbase.ws_url, signer, timing)
        try:
            async with aclosing(stream.follow(symbols, aliases or {}, self.counts)) as messages:
                async for message in messages:
                    self.found.append(message)
                    if isinstance(message, Subscribed):
                        self.subscribed.set()
        except (TransientError, CredentialsError) as error:
            return error
        raise AssertionError("a feed ends by raising")

    def of(self, kind: type) -> list[Any]:
        return [message for message in self.found if type(message) is kind]


@pytest.fixture
def follower(session: aiohttp.ClientSession, coinbase: Any) -> Follower:
    return Follower(session, coinbase)


def signer() -> Signer:
    return Signer(lambda: KEY, CorrectedClock())


async def test_w18_heartbeats_first_then_trades_then_candles(coinbase: Any, follower: Follower) -> None:
    coinbase.socket = served = Served(then_close())
    await follower.follow("BTC-USD", "ETH-USD")
    wish = ["BTC-USD", "ETH-USD"]
    assert served.messages == [
        {"type": "subscribe", "channel": "heartbeats"},
        {"type": "subscribe", "channel": "market_trades", "product_ids": wish},
        {"type": "subscribe", "channel": "candles", "product_ids": wish},
    ]
    assert follower.of(Subscribed) == [Subscribed(frozenset(wish))]
    assert len(follower.of(Heartbeat)) == 3


async def test_the_client_follows_by_canonical_ids(coinbase: Any, client: CoinbaseClient) -> None:
    async def rest(request: web.Request) -> web.StreamResponse:
        rows = [
            {"product_id": "BTC-USD", "status": "online", "alias": "", "alias_to": ["BTC-USDC"]},
            {"product_id": "BTC-USDC", "status": "online", "alias": "BTC-USD"},
        ]
        return web.json_response({"products": rows})

    async def behave(exchange: Exchange, message: dict[str, Any]) -> None:
        if message["channel"] == "market_trades":
            await exchange.trades("BTC-USDC", 1)
            await exchange.trades("BTC-USD", 2)
        await exchange.acknowledge(message)

    coinbase.rest, coinbase.socket = rest, (served := Served(then_close(behave)))
    await client.products()
    found = []
    with suppress(TransientError):
        async for message in client.feed(["BTC-USDC"]):
            found.append(message)
    assert served.messages[1]["product_ids"] == ["BTC-USD"]
    assert [(message.symbol, message.id) for message in found if isinstance(message, Trade)] == [
        ("BTC-USD", 1),
        ("BTC-USD", 2),
    ]


async def test_many_products_are_asked_for_a_hundred_at_a_time(coinbase: Any, follower: Follower) -> None:
    wish = [f"A{number}-USD" for number in range(250)]

    async def behave(exchange: Exchange, message: dict[str, Any]) -> None:
        await exchange.acknowledge(message)
        if message["channel"] == "candles" and len(exchange.flowing["candles"]) == 250:
            await exchange.socket.close()

    coinbase.socket = served = Served(behave)
    await follower.follow(*wish)
    sizes = [len(message.get("product_ids", ())) for message in served.messages]
    assert sizes == [0, 100, 100, 50, 100, 100, 50]
    assert frozenset().union(*(message.symbols for message in follower.of(Subscribed))) == frozenset(wish)


async def test_w16_what_an_acknowledgement_leaves_out_is_asked_for_once_more_and_then_reported(
    coinbase: Any, follower: Follower, caplog: pytest.LogCaptureFixture
) -> None:
    async def behave(exchange: Exchange, message: dict[str, Any]) -> None:
        await exchange.acknowledge(message, but=("DEAD-USD",))

    caplog.set_level("INFO")
    coinbase.socket = served = Served(behave)
    error = await follower.follow("BTC-USD", "DEAD-USD", timing=QUICK)
    assert "ws.stalled" in str(error)  # it went on until the server fell silent
    assert [message.get("product_ids") for message in served.messages[1:]] == [
        ["BTC-USD", "DEAD-USD"],
        ["BTC-USD", "DEAD-USD"],
        ["DEAD-USD"],
    ]
    assert "ws.sub_partial: 1 not acknowledged: DEAD-USD" in caplog.text
    assert follower.of(Subscribed) == [Subscribed(frozenset({"BTC-USD"}))]


async def test_w17_no_acknowledgement_at_all_ends_the_connection(coinbase: Any, follower: Follower) -> None:
    async def silent(exchange: Exchange, message: dict[str, Any]) -> None:
        await exchange.send("heartbeats")

    coinbase.socket = served = Served(silent)
    assert "ws.sub_no_ack" in str(await follower.follow("BTC-USD", timing=QUICK))
    channels = [message["channel"] for message in served.messages]
    assert channels == ["heartbeats", "market_trades", "candles", "market_trades"]


async def test_w17_an_acknowledgement_that_is_late_is_waited_for(coinbase: Any, follower: Follower) -> None:
    async def late(exchange: Exchange, message: dict[str, Any]) -> None:
        if message["channel"] == "candles":
            for channel in ("heartbeats", "market_trades", "candles"):
                await exchange.acknowledge({"channel": channel, "product_ids": ["BTC-USD"]})

    coinbase.socket = served = Served(late)
    assert "ws.stalled" in str(await follower.follow("BTC-USD", timing=QUICK))
    assert len(served.messages) == 3
    assert follower.of(Subscribed) == [Subscribed(frozenset({"BTC-USD"}))]


async def test_w15_a_product_that_spoils_its_message_is_found_and_the_others_flow(
    coinbase: Any, follower: Follower, caplog: pytest.LogCaptureFixture
) -> None:
    wish = [f"A{number}-USD" for number in range(100)]

    async def behave(exchange: Exchange, message: dict[str, Any]) -> None:
        if "A37-USD" in message.get("product_ids", ()):
            await exchange.refuse("failure to subscribe")
            return
        await exchange.acknowledge(message)

    coinbase.socket = Served(behave)
    assert "ws.stalled" in str(await follower.follow(*wish, timing=QUICK))
    flowing = frozenset().union(*(message.symbols for message in follower.of(Subscribed)))
    assert flowing == frozenset(wish) - {"A37-USD"}
    assert "ws.sub_refused: market_trades of A37-USD" in caplog.text


async def test_w14_w19_a_refused_token_is_minted_anew_once_and_then_left_out(coinbase: Any, follower: Follower) -> None:
    async def behave(exchange: Exchange, message: dict[str, Any]) -> None:
        if "jwt" in message:
            await exchange.refuse("authentication failure")
            return
        await exchange.acknowledge(message)

    coinbase.socket = served = Served(then_close(behave))
    await follower.follow("BTC-USD", signer=signer())
    tokens = [message.get("jwt") for message in served.messages]
    assert tokens[2:] == [None, None, None]
    assert len({*tokens[:2]}) == 2
    assert follower.of(Subscribed) == [Subscribed(frozenset({"BTC-USD"}))]


async def test_w19_each_message_has_its_own_token(coinbase: Any, follower: Follower) -> None:
    coinbase.socket = served = Served(then_close())
    await follower.follow("BTC-USD", signer=signer())
    assert len({message["jwt"] for message in served.messages}) == 3


async def test_w14_where_no_token_helps_the_key_is_at_fault(coinbase: Any, follower: Follower) -> None:
    async def behave(exchange: Exchange, message: dict[str, Any]) -> None:
        await exchange.refuse("authentication failure")

    coinbase.socket = served = Served(behave)
    error = await follower.follow("BTC-USD", signer=signer())
    assert isinstance(error, CredentialsError)
    assert ["jwt" in message for message in served.messages] == [True, True, False]
    assert "eyJ" not in str(error)


async def test_w14_without_a_key_such_a_refusal_is_the_servers_fault(coinbase: Any, follower: Follower) -> None:
    async def behave(exchange: Exchange, message: dict[str, Any]) -> None:
        await exchange.refuse("authentication failure")

    coinbase.socket = Served(behave)
    assert type(await follower.follow("BTC-USD")) is TransientError


async def test_w20_w26_holes_come_before_what_follows_them(coinbase: Any, follower: Follower) -> None:
    async def behave(exchange: Exchange, message: dict[str, Any]) -> None:
        await exchange.acknowledge(message)
        if message["channel"] == "candles":
            await exchange.trades("BTC-USD", 2, 1)
            exchange.number += 3
            await exchange.trades("BTC-USD", 9, 8)
            await exchange.socket.close()

    coinbase.socket = Served(behave)
    await follower.follow("BTC-USD")
    told = [message for message in follower.found if isinstance(message, Trade | Lost)]
    assert [message.count if isinstance(message, Lost) else message.id for message in told] == [1, 2, 3, 8, 9]


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1009, 1011, 1012, 1013, 4000, 4001])
async def test_w10_every_close_code_ends_the_feed_the_same_way(coinbase: Any, follower: Follower, code: int) -> None:
    async def behave(exchange: Exchange, message: dict[str, Any]) -> None:
        await exchange.socket.close(code=code, message=b"because\r\n")

    coinbase.socket = Served(behave)
    error = await follower.follow("BTC-USD")
    assert type(error) is TransientError
    assert f"code {code}" in str(error)
    assert str(error).isprintable()


async def test_w10_a_connection_that_breaks_off_is_an_abnormal_close(coinbase: Any, follower: Follower) -> None:
    async def behave(exchange: Exchange, message: dict[str, Any]) -> None:
        transport = exchange.socket.get_extra_info("socket")
        transport.shutdown(2)

    coinbase.socket = Served(behave)
    error = await follower.follow("BTC-USD")
    assert type(error) is TransientError
    assert "ws.closed" in str(error)


async def test_w05_silence_from_the_start_is_a_stall(coinbase: Any, follower: Follower) -> None:
    silent = StreamTiming(open=2.0, liveness=0.15, acknowledgement=5.0, message_interval=0.001, close=0.05)
    assert "ws.stalled" in str(await follower.follow("BTC-USD", timing=silent))
    assert follower.found == []


async def test_w07_silence_after_a_while_is_a_stall_too_and_frames_put_it_off(
    coinbase: Any, follower: Follower
) -> None:
    ticks = 0

    async def behave(exchange: Exchange, message: dict[str, Any]) -> None:
        nonlocal ticks
        await exchange.acknowledge(message)
        if message["channel"] == "candles":
            for _ in range(8):
                await asyncio.sleep(0.1)
                await exchange.send("heartbeats")
                ticks += 1

    coinbase.socket = Served(behave)
    timing = StreamTiming(open=2.0, liveness=0.45, acknowledgement=5.0, message_interval=0.001, close=0.05)
    assert "ws.stalled" in str(await follower.follow("BTC-USD", timing=timing))
    assert ticks == 8
    assert len(follower.of(Heartbeat)) == 11


async def test_w34_a_consumer_that_is_slow_is_not_taken_for_a_silent_server(
    coinbase: Any, session: aiohttp.ClientSession
) -> None:
    async def behave(exchange: Exchange, message: dict[str, Any]) -> None:
        await exchange.acknowledge(message)
        if message["channel"] == "candles":
            for number in range(500):
                await exchange.trades("BTC-USD", number)
            await exchange.socket.close()

    coinbase.socket = Served(behave)
    timing = StreamTiming(open=2.0, liveness=0.15, acknowledgement=5.0, message_interval=0.001, close=0.05)
    ids, ended = [], ""
    try:
        async with aclosing(Stream(session, coinbase.ws_url, None, timing).follow(["BTC-USD"], {}, Counter())) as found:
            async for message in found:
                if isinstance(message, Trade):
                    ids.append(message.id)
                    if message.id == 100:
                        await asyncio.sleep(0.5)
    except TransientError as error:
        ended = str(error)
    assert ids == list(range(500))
    assert "ws.closed" in ended


async def test_w32_bad_frames_are_dropped_and_twenty_of_them_end_the_connection(
    coinbase: Any, follower: Follower
) -> None:
    async def behave(exchange: Exchange, message: dict[str, Any]) -> None:
        await exchange.socket.send_bytes(b"\x00")
        await exchange.socket.send_str("")
        for _ in range(20):
            await exchange.socket.send_str("null")

    coinbase.socket = Served(behave)
    assert isinstance(await follower.follow("BTC-USD"), BadResponseError)
    assert follower.counts["ws.bad_frame"] == 20


async def test_w33_si02_a_frame_beyond_the_limit_ends_the_connection(coinbase: Any, follower: Follower) -> None:
    async def behave(exchange: Exchange, message: dict[str, Any]) -> None:
        await exchange.socket.send_str("x" * (LARGEST_FRAME + 1))

    coinbase.socket = Served(behave)
    assert "code 1009" in str(await follower.follow("BTC-USD"))
    assert "Sec-WebSocket-Extensions" not in coinbase.requests[0].headers  # so that no frame is larger than it was sent


@pytest.mark.parametrize(
    ("status", "asks", "error"),
    [
        (403, {}, TransientError),
        (503, {}, TransientError),
        (503, {"Retry-After": "9"}, RateLimitedError),
        (429, {"Retry-After": "9"}, RateLimitedError),
    ],
)
async def test_w04_an_upgrade_that_is_refused(
    coinbase: Any, session: aiohttp.ClientSession, status: int, asks: dict[str, str], error: type[TransientError]
) -> None:
    async def rest(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers=asks)

    coinbase.rest = rest
    stream = Stream(session, coinbase.ws_url.replace("/ws", "/other"), None, PATIENT)
    with pytest.raises(TransientError, match=rf"ws\.refused: {status}") as caught:
        await anext(stream.follow(["BTC-USD"], {}, Counter()))
    assert type(caught.value) is error
    assert getattr(caught.value, "retry_after", 9.0) == 9.0


async def test_w04_si08_a_redirect_of_the_upgrade_is_not_followed(
    coinbase: Any, session: aiohttp.ClientSession
) -> None:
    async def rest(request: web.Request) -> web.StreamResponse:
        return web.Response(status=301, headers={"Location": coinbase.ws_url.replace("ws:", "http:")})

    coinbase.rest = rest
    stream = Stream(session, coinbase.ws_url.replace("/ws", "/other"), None, PATIENT)
    with pytest.raises(TransientError, match="redirect, not followed"):
        await anext(stream.follow(["BTC-USD"], {}, Counter()))
    assert len(coinbase.requests) == 1


async def test_w01_w02_an_upgrade_that_never_comes(session: aiohttp.ClientSession) -> None:
    release = asyncio.Event()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    hasty = StreamTiming(open=0.1)
    with pytest.raises(TransientError, match="did not open in time"):
        await anext(Stream(session, url, None, hasty).follow(["BTC-USD"], {}, Counter()))
    release.set()
    server.close()
    await server.wait_closed()
    with pytest.raises(TransientError, match=r"ws\.unavailable"):
        await anext(Stream(session, url, None, hasty).follow(["BTC-USD"], {}, Counter()))


async def test_w12_leaving_the_feed_closes_the_connection_and_leaves_no_task(
    coinbase: Any, session: aiohttp.ClientSession
) -> None:
    coinbase.socket = served = Served(acknowledging)
    before = asyncio.all_tasks()
    async with aclosing(Stream(session, coinbase.ws_url, None, PATIENT).follow(["BTC-USD"], {}, Counter())) as found:
        assert isinstance(await anext(found), Heartbeat)
    await served.closed.wait()
    ours = [task for task in asyncio.all_tasks() - before if "livermore_coinbase" in repr(task)]
    assert ours == []


async def test_w08_a_server_that_ignores_the_farewell_is_left(coinbase: Any, session: aiohttp.ClientSession) -> None:
    async def chatter(socket: web.WebSocketResponse) -> None:
        exchange = Exchange(socket)
        with suppress(ConnectionError):
            while True:
                await exchange.send("heartbeats")
                await asyncio.sleep(0.01)

    coinbase.socket = chatter
    follow = Stream(session, coinbase.ws_url, None, QUICK).follow(["BTC-USD"], {}, Counter())
    async with asyncio.timeout(20), aclosing(follow) as found:
        assert isinstance(await anext(found), Heartbeat)


async def test_cancelling_the_reader_ends_at_once(coinbase: Any, follower: Follower) -> None:
    coinbase.socket = served = Served(acknowledging)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(follower.follow("BTC-USD"))
        await follower.subscribed.wait()
        task.cancel()
    assert task.cancelled()
    await served.closed.wait()
