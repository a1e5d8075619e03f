"""Faults as a client sees them on the wire, when they begin and end, and the control interface that rules them."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner
from livermore_simulator import Quirks
from livermore_simulator.commands import simulate
from livermore_simulator.mutations import MUTATIONS, POISON
from livermore_simulator.primitives import WIRE, drawn, written

from livermore_core.testing import Fault, Program
from livermore_core.testing.faults import to_text

NOON = 1_704_283_200
BTC, ETH = "BTC-USD", "ETH-USD"


async def control(client: Any, method: str, body: str | None = None) -> tuple[int, Any]:
    url = f"{client.exchange.control_url}/faults"
    async with client.session.request(method, url, data=body) as response:
        text = await response.text()
        return response.status, json.loads(text) if response.content_type == "application/json" else text


async def suffer(client: Any, **fault: Any) -> None:
    status, _ = await control(client, "POST", json.dumps(fault))
    assert status == 200


async def taken(client: Any) -> None:
    """Wait until a request or connection has met what waits for one."""
    async with asyncio.timeout(5.0):
        while (await control(client, "GET"))[1]["active"]:
            pass


async def flowing(client: Any, *symbols: str) -> Any:
    feed = await client.feed()
    await feed.ask("market_trades", *symbols)
    await feed.ask("heartbeats")
    return feed


def sequence(frames: list[Any]) -> list[int]:
    return [frame["sequence_num"] for frame in frames if "sequence_num" in frame]


# ---- when ----


async def test_a_schedule_begins_at_instants_and_by_counting_and_says_so(serve: Any) -> None:
    said: list[str] = []
    client = await serve(say=said.append)
    faults = client.exchange.faults
    faults.plan(
        written(
            '{"at": 10, "kind": "rest.status", "code": 502, "lasts": 5}\n\n'
            '{"at": 20, "on": "request", "nth": 2, "kind": "rest.status", "code": 504}\n'
        )
    )
    statuses = []
    for second in (9.9, 10.1, 14.9, 15.1, 20.1, 20.2, 20.3):
        client.exchange.clock.reach(NOON + second)
        faults.advance(NOON + second)
        statuses.append((await client.get("/time")).status)
    assert statuses == [200, 502, 502, 200, 200, 504, 200]
    assert [line.split()[1] for line in said] == ["begins", "ends", "begins", "ends"]
    assert said[0].startswith("2024-01-03T12:00:10.1Z begins {")
    assert json.loads(said[0].split(maxsplit=2)[2])["code"] == 502


async def test_the_control_interface_begins_lists_and_ends(serve: Any) -> None:
    client = await serve()
    await suffer(client, kind="ws.mute", symbol=BTC)
    await suffer(client, kind="rest.status", on="request", nth=7)
    await suffer(client, kind="ws.rst", at=60)
    _, told = await control(client, "GET")
    assert [each["fault"]["kind"] for each in told["active"]] == ["ws.mute"]
    assert told["planned"] == [
        {"fault": {"at": 60.0, "kind": "ws.rst"}, "begins": NOON + 60.0},
        {"fault": {"on": "request", "nth": 7, "kind": "rest.status"}, "events": 7},
    ]
    _, told = await control(client, "DELETE")
    assert (told["active"], told["planned"]) == ([], [])
    assert told["past"] == [{"fault": {"kind": "ws.mute", "symbol": BTC}, "began": NOON, "met": 0, "ended": NOON}]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "Input data was truncated"),
        ('{"kind": "ws.colse"}', "no fault is called 'ws.colse', did you mean 'ws.close'?"),
        ('{"kind": "rest.mutate"}', "rest.mutate: `how` is one of reverse, shuffle"),
        ('{"kind": "rest.mutate", "how": "posion"}', "did you mean 'poison'?"),
        ('{"kind": "rest.status", "code": 42}', "rest.status: `code` is 200 to 599"),
        ('{"kind": "rest.status", "headers": {"A": "b\\r\\nC: d"}}', "`headers` are printable"),
        ('{"kind": "ws.close", "wait": 1}', "unknown field `wait`"),
        ('{"kind": "ws.close", "nth": 1}', "`on` is one of request, frame, connection"),
        ('{"kind": "ws.mute", "symbol": "BTC-US"}', "no product is called 'BTC-US'; there are BTC-USD, "),
        (b"\xff\xfe", "JSON is malformed"),
    ],
)
async def test_what_is_no_fault_is_refused_with_400(serve: Any, body: Any, words: str) -> None:
    status, text = await control(await serve(), "POST", body)
    assert status == 400
    assert words in text
    assert text.count("\n") == 1


def test_what_is_no_schedule_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "faults.jsonl"
    file.write_text('{"kind": "ws.rst"}\n{"kind": "ws.rts"}\n')
    result = CliRunner().invoke(simulate, ["--faults", str(file)])
    assert result.exit_code == 2
    last = result.stderr.splitlines()[-1]
    assert f"'--faults': {file}: line 2: no fault is called 'ws.rts', did you mean 'ws.rst'?" in last


def test_a_schedule_about_a_symbol_that_is_not_there_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "faults.jsonl"
    file.write_text('{"kind": "ws.rst"}\n{"kind": "ws.mute", "symbol": "BTC-US"}\n')
    small = ["--products", "1", "--start", "2024-01-03T12:00:00Z"]
    result = CliRunner().invoke(simulate, ["--faults", str(file), *small])
    assert result.exit_code == 2
    assert "--faults: no product is called 'BTC-US'; there are BTC-USD" in result.stderr.splitlines()[-1]
    result = CliRunner().invoke(simulate, ["--faults", "nowhere.jsonl", *small])
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        "Error: Invalid value for '--faults': nowhere.jsonl: No such file or directory"
    )


def test_a_seed_is_a_schedule_of_every_kind_that_can_be_written_down() -> None:
    storm = drawn(3, [BTC, ETH])
    assert storm == drawn(3, [BTC, ETH]) != drawn(4, [BTC, ETH])
    assert written(to_text(storm)) == storm
    assert {one.kind for one in storm} == set(WIRE)
    assert {one.how for one in storm if one.kind == "rest.mutate"} == set(MUTATIONS)
    assert {one.on for one in storm} == {"", "request", "frame", "connection"}


async def test_simulate_plays_a_file_and_says_what_begins_and_ends(tmp_path: Path) -> None:
    file = tmp_path / "faults.jsonl"
    file.write_text('{"kind": "rest.status", "at": 20, "lasts": 10}\n{"kind": "ws.rst", "at": 40}\n')
    start = ("--start", "2024-01-03T12:00:00Z", "--products", "1", "--speed", "100")
    async with Program("simulate", "--faults", str(file), *start) as program:
        await program.line(lambda line: "ends" in line and "ws.rst" in line)
        assert await program.stop() == 0
    assert "faults     2 planned, the last 40 s from now" in program.lines
    told = [line.split()[2:] for line in program.lines if line.startswith("fault ")]
    assert [(word, json.loads(fault)["kind"]) for word, fault in told] == [
        ("begins", "rest.status"), ("ends", "rest.status"), ("begins", "ws.rst"), ("ends", "ws.rst")
    ]  # fmt: skip


# ---- REST ----


async def test_status_headers_and_body(serve: Any) -> None:
    client = await serve()
    await suffer(client, kind="rest.status", code=429, headers={"Retry-After": "7"}, body="json", symbol=BTC)
    assert (await client.get("/time")).status == 200
    assert (await client.get(f"/market/products/{ETH}")).status == 200
    answer = await client.get(f"/market/products/{BTC}C")
    assert (answer.status, answer.headers["Retry-After"], answer.content_type) == (429, "7", "application/json")
    assert (await client.get(f"/market/products/{BTC}")).status == 200
    await suffer(client, kind="rest.status", code=200, body="html")
    answer = await client.get("/time")
    assert (answer.status, answer.content_type) == (200, "text/html")


async def test_hang_and_drip_are_let_go_with_the_fault(serve: Any) -> None:
    client = await serve()
    await suffer(client, kind="rest.hang")
    hanging = asyncio.ensure_future(client.get("/time"))
    await taken(client)
    await suffer(client, kind="rest.drip", amount=10)
    dripping = asyncio.ensure_future(client.get("/time"))
    await taken(client)
    assert not hanging.done()
    assert not dripping.done()
    await control(client, "DELETE")
    assert (await hanging).json() == (await dripping).json() == (await client.get("/time")).json()


async def test_cut(serve: Any) -> None:
    client = await serve()
    await suffer(client, kind="rest.cut", amount=10)
    async with client.session.get(f"{client.exchange.rest_url}/api/v3/brokerage/time") as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


@pytest.mark.parametrize("how", MUTATIONS)
async def test_mutations_of_a_page(serve: Any, how: str) -> None:
    client = await serve(start=NOON + 30.5, quirks=Quirks(rest_lag=0.0))
    asked = (BTC, "ONE_MINUTE", NOON - 3600, NOON + 30)
    right = (await client.candles(*asked)).json()["candles"]
    await suffer(client, kind="rest.mutate", how=how)
    rows = (await client.candles(*asked)).json()["candles"]
    assert (await client.candles(*asked)).json()["candles"] == right, "it was for one page, and leaves nothing behind"
    starts = [int(row["start"]) for row in rows]
    changed = [row for row in rows if row not in right]
    if how == "reverse":
        assert rows == right[::-1]
    elif how == "shuffle":
        assert rows != right
        assert sorted(rows, key=lambda row: -int(row["start"])) == right
    elif how == "dup":
        assert rows[1:-1] == right
        assert (rows[0]["start"], rows[-1]) == (right[0]["start"], right[-1])
    elif how == "drop":
        assert rows == [row for row in right if not NOON - 30 < int(row["start"]) + 60 <= NOON]
    elif how == "revise":
        assert [row["close"] for row in changed] == [row["high"] for row in right[1:4]]
    elif how == "add_open":
        assert starts[0] == NOON + 60
        assert rows[1:] == right
    elif how == "off_grid":
        assert starts[0] == NOON + 7
    elif how == "out_of_range":
        assert starts[-3:] == [NOON - 3660, NOON - 3720, NOON - 3780]
    elif how == "cap":
        assert rows == right[:50]
    elif how == "poison":
        assert [{name: row[name] for name in bad} for row, bad in zip(changed, POISON, strict=False)] == list(POISON)
    elif how == "scale":
        assert float(rows[9]["low"]) == pytest.approx(float(right[9]["low"]) * 100)


# ---- clock ----


async def test_the_clock_steps_in_stamps_and_answers_and_is_skewed_in_answers_alone(serve: Any) -> None:
    client = await serve()
    feed = await flowing(client, BTC)

    async def seen() -> list[float]:
        answer = await client.get("/time")
        stamp = datetime.fromisoformat((await feed.play(1))[-1]["timestamp"]).timestamp()
        date = parsedate_to_datetime(answer.headers["Date"]).timestamp()
        return [round(moment - client.exchange.clock.now()) for moment in (date + 1, date + 1, stamp)]

    await feed.play(5)
    assert await seen() == [0, 0, 0]
    await suffer(client, kind="clock.skew", amount=30)
    assert await seen() == [30, 30, 0]
    await suffer(client, kind="clock.step", amount=-90)
    assert await seen() == [-60, -60, -90]
    await control(client, "DELETE")
    assert await seen() == [0, 0, 0]


# ---- WebSocket ----


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "ws.refuse", "lasts": 60}, aiohttp.ClientConnectionError),
        ({"kind": "ws.upgrade", "code": 403}, aiohttp.WSServerHandshakeError),
        ({"kind": "exchange.down"}, aiohttp.WSServerHandshakeError),
    ],
)
async def test_no_way_to_a_websocket(serve: Any, fault: dict[str, Any], error: type[Exception]) -> None:
    client = await serve()
    await suffer(client, **fault)
    with pytest.raises(error):
        await client.feed()
    await control(client, "DELETE")
    await flowing(client, BTC)


async def test_an_upgrade_that_is_not_answered(serve: Any) -> None:
    client = await serve()
    await suffer(client, kind="ws.hang")
    hanging = asyncio.ensure_future(client.feed())
    await taken(client)
    await flowing(client, BTC)
    assert not hanging.done()
    await control(client, "DELETE")
    await hanging


@pytest.mark.parametrize("kind", ["ws.silent", "ws.blackhole"])
async def test_a_connection_that_says_nothing(serve: Any, kind: str) -> None:
    client = await serve(speed=10.0)
    if kind == "ws.silent":
        await suffer(client, kind=kind)
        feed = await client.feed()
        await feed.socket.send_json({"type": "subscribe", "channel": "heartbeats"})
    else:
        feed = await flowing(client, BTC)
        await suffer(client, kind=kind)
        while feed.socket._reader._buffer:
            await feed.read()
    other = await flowing(client, BTC)
    with pytest.raises(TimeoutError):
        await feed.socket.receive(timeout=0.3)
    assert (await other.read())["channel"]


async def test_a_half_open_connection_answers_no_farewell_and_is_let_go_with_its_client(serve: Any) -> None:
    client = await serve()
    async with client.session.ws_connect(client.exchange.ws_url, timeout=aiohttp.ClientWSTimeout(ws_close=0.1)) as feed:
        await suffer(client, kind="ws.blackhole")
        assert not await asyncio.wait_for(feed.close(), 1.0) or feed.close_code == 1006
    async with asyncio.timeout(5.0):
        while (await client.get("/control/state")).json()["connections"]:
            pass


@pytest.mark.parametrize("fault", [{"kind": "ws.close", "code": 4001}, {"kind": "ws.rst"}, {"kind": "exchange.down"}])
async def test_connections_that_are_ended(serve: Any, fault: dict[str, Any]) -> None:
    client = await serve()
    feed = await flowing(client, BTC)
    await suffer(client, **fault)
    assert await feed.closed() == fault.get("code", 1006)
    if fault["kind"] == "exchange.down":
        assert (await client.get("/time")).status == 503


async def test_a_lasting_close_ends_every_connection_with_its_acknowledgement(serve: Any) -> None:
    client = await serve()
    await suffer(client, kind="ws.close", code=1012, lasts=60)
    for _ in range(2):
        feed = await client.feed()
        await feed.ask("heartbeats")
        assert await feed.closed() == 1012


async def test_muted_symbols_and_channels(serve: Any) -> None:
    client = await serve()
    feed = await flowing(client, BTC, ETH)
    await feed.play(30)
    await suffer(client, kind="ws.mute", symbol=BTC)
    found = await feed.play(60)
    assert {frame["channel"] for frame in found} == {"heartbeats", "market_trades"}
    assert not any(BTC in json.dumps(frame) for frame in found)
    await suffer(client, kind="ws.mute")
    assert {frame["channel"] for frame in await feed.play(60)} == {"heartbeats"}
    assert sequence(feed.frames) == list(range(len(feed.frames)))


async def test_subscriptions_refused_in_part_or_not_answered(serve: Any) -> None:
    client = await serve()
    await suffer(client, kind="ws.sub", how="refuse", symbol=BTC)
    feed = await client.feed()
    await feed.socket.send_json({"type": "subscribe", "channel": "market_trades", "product_ids": [ETH, BTC]})
    assert await feed.read() == {"type": "error", "message": "failure to subscribe"}
    await suffer(client, kind="ws.sub", how="partial", symbol=BTC)
    found = await feed.ask("market_trades", ETH, BTC)
    assert found[-1]["events"] == [{"subscriptions": {"market_trades": [ETH]}}]
    await suffer(client, kind="ws.sub", how="no_ack", channel="heartbeats")
    await feed.socket.send_json({"type": "subscribe", "channel": "heartbeats"})
    while client.exchange.faults.told()["active"]:  # nothing is said when it is taken up
        await client.exchange.ticked()
    assert "subscriptions" not in {frame["channel"] for frame in await feed.play(30)}


async def test_sequence_numbers_skip_repeat_swap_and_begin_anew(serve: Any) -> None:
    client = await serve()
    feed = await flowing(client, BTC)
    await feed.play(30)
    for how, wanted in (
        ("skip", lambda a, b: b > a + 1),
        ("dup", lambda a, b: b == a),
        ("swap", lambda a, b: b == a + 2),
        ("reset", lambda a, b: b == 0),
    ):
        await suffer(client, kind="ws.seq", how=how, amount=2)
        numbers = sequence(feed.frames[-1:] + await feed.play(60))
        assert any(map(wanted, numbers, numbers[1:])), (how, numbers)


async def test_a_trade_that_comes_late(serve: Any) -> None:
    client = await serve()
    feed = await flowing(client, BTC)
    await feed.play(30)
    await suffer(client, kind="ws.late", symbol=BTC, amount=90)
    found = await feed.play(200)
    ids = [int(trade["trade_id"]) for frame in found if frame["channel"] == "market_trades"
           for trade in reversed(frame["events"][0]["trades"])]  # fmt: skip
    assert sorted(ids) == list(range(min(ids), max(ids) + 1))
    late = [position for position, each in enumerate(ids) if position and each < ids[position - 1]]
    assert len(late) == 1
    trade_times = {
        int(trade["trade_id"]): datetime.fromisoformat(trade["time"]).timestamp()
        for frame in found if frame["channel"] == "market_trades" for trade in frame["events"][0]["trades"]
    }  # fmt: skip
    assert trade_times[ids[late[0] - 1]] - trade_times[ids[late[0]]] > 80


async def test_snapshots_once_more_and_frames_that_are_none(serve: Any) -> None:
    client = await serve()
    feed = await flowing(client, BTC)
    await feed.play(30)
    await suffer(client, kind="ws.snapshot_again")
    snapshots = [frame for frame in await feed.play(10) if frame["events"][0].get("type") == "snapshot"]
    assert len(snapshots) == 1
    assert sequence(feed.frames) == list(range(len(feed.frames)))
    for how, kind, data in (("text", aiohttp.WSMsgType.TEXT, "{"), ("binary", aiohttp.WSMsgType.BINARY, b"{")):
        await suffer(client, kind="ws.raw", how=how, body="{", amount=2)
        client.exchange.clock.reach(client.exchange.clock.now() + 5)
        messages = [await feed.socket.receive(timeout=5.0) for _ in range(2)]
        assert [(message.type, message.data) for message in messages] == [(kind, data)] * 2
        await feed.play(1)


async def test_a_stall_and_a_burst_hold_frames_back_and_lose_none(serve: Any) -> None:
    client = await serve()
    feed = await flowing(client, BTC)
    await feed.play(30)
    for fault in ({"kind": "ws.burst", "amount": 20}, {"kind": "ws.stall", "lasts": 20}):
        await suffer(client, **fault)
        await feed.play(60)
    assert sequence(feed.frames) == list(range(len(feed.frames)))


def test_a_fault_has_no_default_but_its_kind() -> None:
    assert to_text([Fault(kind="ws.rst")]) == '{"kind":"ws.rst"}\n'
