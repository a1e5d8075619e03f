"""The WebSocket: order of frames, what they say, faults, and that nothing is late, lost or sent twice."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from livermore_simulator import Quirks

from livermore_core.testing import Fault

NOON = 1_704_283_200
MORNING = NOON - 4 * 3600
EDGE = NOON + 300  # BTC-USD has a trade at the very start of this minute
LIQUID = ("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD")
ALL = (*LIQUID, "DOGE-USD", "LTC-USD")
ROW = ("start", "open", "high", "low", "close")


def nanos(text: str) -> int:
    """A time as the exchange prints it, in UNIX nanoseconds."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return int(datetime.fromisoformat(f"{whole}+00:00").timestamp()) * 10**9 + int(f"{fraction:0<9}")


def events(frames: list[Any], channel: str, kind: str = "update") -> Iterator[tuple[float, Any]]:
    """(stamp in seconds, event) of a channel."""
    for frame in frames:
        if frame["channel"] == channel and frame["events"][0]["type"] == kind:
            yield nanos(frame["timestamp"]) / 1e9, frame["events"][0]


def trades_of(frames: list[Any]) -> dict[str, list[int]]:
    """The ids of every update, ascending inside of each frame, by product."""
    found = defaultdict(list)
    for _, event in events(frames, "market_trades"):
        ids = [int(trade["trade_id"]) for trade in event["trades"]]
        assert ids == sorted(ids, reverse=True)
        assert len({trade["product_id"] for trade in event["trades"]}) == 1
        found[event["trades"][0]["product_id"]] += reversed(ids)
    return dict(found)


def is_dense(numbers: list[int]) -> bool:
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def sequence(frames: list[Any]) -> list[int]:
    return [frame["sequence_num"] for frame in frames]


def row_of(candle: dict[str, str]) -> tuple[float, ...]:
    return (*(float(candle[name]) for name in ROW), int(Decimal(candle["volume"]).scaleb(8)))


async def test_closes_when_nothing_is_subscribed(serve: Any) -> None:
    client = await serve(speed=10.0, subscribe_within=0.1)
    silent, asking = await client.feed(), await client.feed()
    await asking.ask("heartbeats")
    assert await silent.closed() == 1008
    await asking.until(lambda frame: frame["sequence_num"] == 4)  # 0.4 s later it is still there


async def test_snapshots_then_cumulative_acknowledgements_in_one_sequence(serve: Any, market: Any) -> None:
    feed = await (await serve(start=NOON + 0.3)).feed()
    found = await feed.ask("market_trades", "BTC-USD", "LTC-USD")
    assert [frame["channel"] for frame in found] == ["market_trades", "market_trades", "subscriptions"]
    for frame, symbol in zip(found[:2], ("BTC-USD", "LTC-USD"), strict=True):
        expected = market.products[symbol].between(NOON - 86_400, NOON + 0.3)[-100:]
        assert frame["events"][0]["type"] == "snapshot"
        trades = frame["events"][0]["trades"]
        assert [int(trade["trade_id"]) for trade in trades] == [trade.id for trade in reversed(expected)]
        assert [nanos(trade["time"]) for trade in trades] == [trade.micros * 1000 for trade in reversed(expected)]
    await feed.ask("heartbeats")
    found = await feed.ask("candles", "ETH-USD")
    assert [frame["channel"] for frame in found] == ["candles", "subscriptions"]
    assert found[1]["events"] == [
        {
            "subscriptions": {
                "market_trades": ["BTC-USD", "LTC-USD"],
                "heartbeats": ["heartbeats"],
                "candles": ["ETH-USD"],
            }
        }
    ]
    await feed.play(60)
    assert {frame["channel"] for frame in feed.frames[6:]} == {"market_trades", "heartbeats", "candles"}
    assert sequence(feed.frames) == list(range(len(feed.frames)))


@pytest.mark.parametrize(("speed", "step"), [(7.0, 1), (600.0, 60)])
async def test_a_beat_each_exchange_second_but_at_most_ten_each_real_one(serve: Any, speed: float, step: int) -> None:
    feed = await (await serve(speed=speed)).feed()
    await feed.ask("heartbeats")
    beats = [(await feed.read())["events"][0] for _ in range(5)]
    assert {b["heartbeat_counter"] - a["heartbeat_counter"] for a, b in pairwise(beats)} == {step}
    told = datetime.fromtimestamp(beats[0]["heartbeat_counter"], UTC)
    assert beats[0]["current_time"].startswith(f"{told:%Y-%m-%d %H:%M:%S}.")


async def test_order_at_high_speed(serve: Any) -> None:
    """No frame goes back in time, is late, or loses or repeats a trade."""
    feed = await (await serve(speed=600.0, quirks=Quirks.all())).feed()
    snapshots = (await feed.ask("market_trades", *ALL))[:-1]
    await feed.ask("candles", *ALL)
    await feed.ask("heartbeats")
    await feed.until(lambda frame: frame["sequence_num"] >= 2000)
    assert sequence(feed.frames) == list(range(len(feed.frames)))
    stamps = [nanos(frame["timestamp"]) // 1000 for frame in feed.frames]
    assert stamps == sorted(stamps)
    found = trades_of(feed.frames)
    assert set(found) == set(ALL)
    for frame in snapshots:
        newest = frame["events"][0]["trades"][0]
        assert is_dense([int(newest["trade_id"]), *found[newest["product_id"]]])
    late = [
        stamp - nanos(trade["time"]) / 1e9
        for stamp, event in events(feed.frames, "market_trades")
        for trade in event["trades"]
    ]
    assert min(late) >= 0.0
    assert 0.3 < max(late) <= 0.5


async def test_stamps_never_go_back_by_a_nanosecond(serve: Any) -> None:
    feed = await (await serve()).feed()
    await feed.ask("heartbeats")
    await feed.ask("candles", *ALL)
    await feed.play(1800)
    stamps = [nanos(frame["timestamp"]) for frame in feed.frames]
    assert len(stamps) > 1500
    assert stamps == sorted(stamps)


@pytest.mark.parametrize(
    "start",
    [
        NOON + 100.3,
        float(EDGE),
    ],
)
async def test_candle_updates_are_the_candle_so_far(serve: Any, market: Any, fold: Any, start: float) -> None:
    feed = await (await serve(start=start)).feed()
    await feed.ask("market_trades", *ALL)
    await feed.ask("candles", *ALL)
    await feed.ask("heartbeats")
    between = cache(lambda symbol, bucket: market.products[symbol].between(bucket, bucket + 300))
    newest: dict[str, int] = {}
    seen: Counter[tuple[float, str, str]] = Counter()
    await feed.play(650)
    for frame in feed.frames:
        for event in frame["events"]:
            for trade in event.get("trades", ())[:1]:
                newest[trade["product_id"]] = int(trade["trade_id"])
            if event.get("type") != "update":
                continue
            for candle in event.get("candles", ()):
                symbol, bucket = candle["product_id"], int(candle["start"])
                known = between(symbol, bucket)
                assert row_of(candle) == fold([trade for trade in known if trade.id <= newest[symbol]], 300)[0]
                seen[nanos(frame["timestamp"]) // 10**9, symbol, candle["start"]] += 1
    assert {symbol for _, symbol, _ in seen} == set(ALL)
    assert len({bucket for _, _, bucket in seen}) == 3
    assert max(seen.values()) == 1  # at most once a second


@pytest.mark.parametrize(
    ("quirk", "fates"), [(None, set()), ("late_last_update", {"late"}), ("missing_last_update", {"missing"})]
)
async def test_last_update_of_a_bucket(serve: Any, quirk: str | None, fates: set[str]) -> None:
    client = await serve(start=MORNING + 0.3, quirks=replace(Quirks.none(), **({quirk: True} if quirk else {})))
    feed = await client.feed()
    await feed.ask("heartbeats")
    await feed.ask("candles", *LIQUID)
    frames = await feed.play(3610)
    first_seen: dict[tuple[str, int], float] = {}
    completed: dict[tuple[str, int], float] = {}
    truth = {
        (symbol, row[0]): tuple(row)
        for symbol in LIQUID
        for row in client.exchange.truth.minutes(symbol, 300, MORNING, MORNING + 3600, MORNING + 3610.0)
    }
    for stamp, event in events(frames, "candles"):
        for candle in event["candles"]:
            key = candle["product_id"], int(candle["start"])
            first_seen.setdefault(key, stamp)
            if row_of(candle) == truth.get(key):
                completed.setdefault(key, stamp)
    found = Counter()
    overtaken = 0
    for symbol, bucket in truth:
        delay = completed.get((symbol, bucket), float("inf")) - (bucket + 300)
        found["missing" if delay > 100 else "late" if delay > 1.001 else "prompt"] += 1
        if 1.001 < delay < 100:
            assert 4.0 <= delay <= 5.001
            overtaken += first_seen[symbol, bucket + 300] < completed[symbol, bucket]
    assert found.total() == 48
    assert set(found) == fates | {"prompt"}
    assert (overtaken > 0) is (quirk == "late_last_update")


@pytest.mark.parametrize("gappy", [False, True])
async def test_candle_snapshot(serve: Any, gappy: bool) -> None:
    client = await serve(start=NOON + 100.3, quirks=replace(Quirks.none(), gappy_snapshots=gappy))
    feed = await client.feed()
    snapshot = (await feed.ask("candles", "BTC-USDC"))[0]
    assert snapshot["events"][0]["type"] == "snapshot"
    candles = snapshot["events"][0]["candles"]
    truth = client.exchange.truth.minutes("BTC-USD", 300, NOON - 300 * 250, NOON + 300, NOON + 100.3)
    assert len(candles) == 100
    assert {candle["product_id"] for candle in candles} == {"BTC-USD"}
    rows = [row_of(candle) for candle in candles]
    if gappy:
        assert set(rows) < set(truth)
        assert sum(b[0] - a[0] > 300 for a, b in pairwise(sorted(rows))) > 10
    else:
        assert sorted(rows) == truth[-100:]


async def test_alias_unknown_product_and_unknown_channel(serve: Any) -> None:
    feed = await (await serve(subscribe_within=60.0)).feed()
    await feed.socket.send_json({"type": "subscribe", "channel": "rumours", "product_ids": ["BTC-USD"]})
    assert await feed.read() == {"type": "error", "message": "authentication failure"}
    await feed.socket.send_str("{no json")
    assert (await feed.read())["type"] == "error"
    feed.frames.clear()
    found = await feed.ask("market_trades", "NO-USD", "ETH-USDC")
    assert [frame["channel"] for frame in found] == ["market_trades", "subscriptions"]
    assert found[-1]["events"] == [{"subscriptions": {"market_trades": ["ETH-USD"]}}]
    await feed.ask("heartbeats")
    await feed.play(60)
    assert set(trades_of(feed.frames)) == {"ETH-USD"}
    assert sequence(feed.frames) == list(range(len(feed.frames)))


async def test_client_id_and_unknown_members(serve: Any) -> None:
    feed = await (await serve(quirks=replace(Quirks.none(), unknown_members=True))).feed()
    assert all("client_id" not in frame for frame in await feed.ask("candles", "BTC-USD"))
    assert (await feed.ask("heartbeats", jwt="a.b.c"))[-1]["client_id"] == ""
    await feed.play(120)
    assert [frame["sequence_num"] for frame in feed.frames if "a_member_of_next_year" in frame][:2] == [13, 110]


async def flowing(serve: Any, *symbols: str) -> tuple[Any, Any]:
    """A feed of trades with beats, and the client it belongs to."""
    client = await serve()
    feed = await client.feed()
    await feed.ask("market_trades", *symbols)
    await feed.ask("heartbeats")
    await feed.play(30)
    return feed, client


async def test_dropped_frames_leave_a_hole(serve: Any) -> None:
    feed, client = await flowing(serve, "BTC-USD")
    client.exchange.faults.plan([Fault(kind="ws.seq", how="skip", amount=3.0)])
    await feed.play(60)
    jumps = [b - a for a, b in pairwise(sequence(feed.frames)) if b - a != 1]
    assert sum(jump - 1 for jump in jumps) == 3
    assert not is_dense(trades_of(feed.frames)["BTC-USD"])


async def test_muted_product_leaves_no_hole(serve: Any) -> None:
    feed, client = await flowing(serve, "BTC-USD", "ETH-USD")
    client.exchange.faults.plan([Fault(kind="ws.mute", symbol="BTC-USD")])
    assert set(trades_of(await feed.play(60))) == {"ETH-USD"}
    client.exchange.faults.end_all()
    assert set(trades_of(await feed.play(60))) == {"BTC-USD", "ETH-USD"}
    assert sequence(feed.frames) == list(range(len(feed.frames)))


@pytest.mark.parametrize(("code", "seen"), [(1000, 1000), (1001, 1001), (1013, 1013), (None, 1006)])
async def test_connections_closed_by_the_exchange(serve: Any, code: int | None, seen: int) -> None:
    feed, client = await flowing(serve, "BTC-USD")
    waiting = asyncio.ensure_future(feed.closed())
    await client.exchange.close_connections(code)
    assert await waiting == seen
    assert (await (await client.feed()).ask("heartbeats"))[0]["sequence_num"] == 0


async def left(client: Any, count: int) -> None:
    """Wait until the exchange knows of so many connections."""
    async with asyncio.timeout(5.0):
        while (await client.get("/control/state")).json()["connections"] != count:
            pass


async def test_a_client_that_dies_in_the_middle_of_a_subscribe_is_no_error(
    serve: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client = await serve()
    feed, other = await client.feed(), await client.feed()
    await feed.socket.send_json({"type": "subscribe", "channel": "candles", "product_ids": ALL})
    feed.socket.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
    await other.ask("heartbeats")
    await left(client, 1)
    assert caplog.records == []


async def test_a_client_that_never_reads_is_dropped_and_time_goes_on(serve: Any) -> None:
    client = await serve(read_within=0.2)
    deaf, feed = await client.feed(), await client.feed()
    await feed.ask("heartbeats")
    # Snapshots of more bytes than every buffer on the way takes.
    await deaf.socket.send_json({"type": "subscribe", "channel": "candles", "product_ids": ALL * 200})
    await left(client, 1)
    await feed.play(60)
    assert await deaf.closed() == 1006


async def test_limits_of_connections_and_messages(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livermore_simulator.limits.time", SimpleNamespace(monotonic=lambda: 0.0))
    client = await serve()
    feeds = [await client.feed() for _ in range(8)]
    with pytest.raises(aiohttp.WSServerHandshakeError, match="429"):
        await client.feed()
    for _ in range(9):
        await feeds[0].socket.send_json({"type": "subscribe", "channel": "heartbeats"})
    assert await feeds[0].closed() == 1008
    await feeds[1].ask("heartbeats")
    client.exchange.faults.plan([Fault(kind="exchange.down")])
    with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
        await client.feed()


async def test_unsubscribing_one_product(serve: Any) -> None:
    feed, _ = await flowing(serve, "BTC-USD", "ETH-USD")
    await feed.ask("candles", "BTC-USD", "ETH-USD")
    for channel in ("market_trades", "candles"):
        found = await feed.ask(channel, "BTC-USDC", type="unsubscribe")
    assert found[-1]["events"] == [
        {"subscriptions": {"heartbeats": ["heartbeats"], "market_trades": ["ETH-USD"], "candles": ["ETH-USD"]}}
    ]
    found = await feed.play(60)
    assert set(trades_of(found)) == {"ETH-USD"}
    assert {event["candles"][0]["product_id"] for _, event in events(found, "candles")} == {"ETH-USD"}
    assert sequence(feed.frames) == list(range(len(feed.frames)))


async def test_unsubscribing_a_whole_channel(serve: Any) -> None:
    feed, _ = await flowing(serve, "BTC-USD", "ETH-USD")
    found = await feed.ask("market_trades", type="unsubscribe")
    assert found[-1]["events"] == [{"subscriptions": {"heartbeats": ["heartbeats"]}}]
    assert trades_of(await feed.play(60)) == {}


async def test_late_update_is_not_sent_after_unsubscribing(serve: Any) -> None:
    feed = await (await serve(quirks=replace(Quirks.none(), late_last_update=True))).feed()
    await feed.ask("heartbeats")
    for _ in range(3):
        await feed.ask("candles", *ALL)
        await feed.play(301 - feed.exchange.clock.now() % 300)
        await feed.ask("candles", *ALL, type="unsubscribe")
        assert list(events(await feed.play(10), "candles")) == []


async def test_subscribing_again_repeats_no_trade(serve: Any) -> None:
    feed, _ = await flowing(serve, *LIQUID)
    await feed.ask("market_trades", *LIQUID, type="unsubscribe")
    snapshots = (await feed.ask("market_trades", *LIQUID))[:-1]
    found = trades_of(await feed.play(120))
    for frame in snapshots:
        newest = frame["events"][0]["trades"][0]
        assert is_dense([int(newest["trade_id"]), *found[newest["product_id"]]])


async def test_nothing_subscribed_any_more_does_not_close_at_once(serve: Any) -> None:
    feed = await (await serve(speed=100.0, subscribe_within=0.05)).feed()
    await feed.ask("heartbeats")
    await feed.until(lambda frame: frame["sequence_num"] == 3)
    assert (await feed.ask("heartbeats", type="unsubscribe"))[-1]["events"] == [{"subscriptions": {}}]
    await feed.ask("heartbeats")
