"""`livermore events` and `livermore indicators`, as scripts read them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from livermore_core import Batch, Candle, Event, IndicatorValue, Series, SeriesChange
from livermore_core.cli.group import run
from livermore_core.loading import tolerant_plugins
from livermore_core.store.sqlite import open_store
from livermore_core.testing import Program

Printed = Callable[..., list[str]]
SERIES = Series("coinbase", "BTC-USD", "5m")
START = 1_704_067_200
ABOUT = SERIES._asdict()
OUTPUTS = {"macd_v": 12.5, "signal": None, "zone": "neutral"}
VALUE = IndicatorValue(indicator="macd-v", time=START, outputs=OUTPUTS, settled=True, have=30, need=34, since=START)
CLOSED = Event(kind="candle.closed", time=START, candle=Candle(START, 10.0, 12.0, 9.0, 11.0, 1.5), **ABOUT)
EVENTS = [
    CLOSED,
    Event(kind="indicator.value", time=START, value=VALUE, **ABOUT),
    Event(kind="candle.gap", time=START + 300, until=START + 900, reason="downtime", revision=7, **ABOUT),
    Event(kind="candle.revised", time=START, revision=1, **ABOUT),
    Event(kind="candles.backfilled", time=START + 300, until=START + 900, count=0, revision=8, **ABOUT),
]


@pytest.fixture(autouse=True)
def made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are made 7 ms after the epoch."""
    monkeypatch.setattr("livermore_core.store.sqlite_file.time.time_ns", lambda: 7_000_000)


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    tolerant_plugins.cache_clear()
    url = f"sqlite:///{tmp_path}/store.sqlite"
    asyncio.run(write(url, *EVENTS))
    return url


async def write(url: str, *events: Event) -> None:
    rows = [event.candle for event in events if event.candle is not None]
    values = [event.value for event in events if event.value is not None]
    change = SeriesChange(series=SERIES, rows=rows, values=values, covered=[(START, START + 300)])
    async with open_store(url) as store:
        await store.transact(Batch(changes=[change], events=list(events)))


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str], url: str) -> Printed:
    def call(*arguments: str, code: int = 0) -> list[str]:
        assert run([*arguments, "--store", url]) == code
        return capsys.readouterr().out.splitlines()

    return call


def test_every_event_is_a_line_of_json_that_says_what_it_knows(printed: Printed) -> None:
    closed, value, gap, revised, backfilled = map(json.loads, printed("events", "--json"))
    about = {"exchange": "coinbase", "symbol": "BTC-USD", "timeframe": "5m", "time": "2024-01-01T00:00:00Z"}
    candle = {"open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 1.5, "source": "rest"}
    assert closed == {"cursor": "7-1", "kind": "candle.closed", "revision": 0, "candle": candle} | about
    assert value["value"]["outputs"] == OUTPUTS
    assert value["value"]["since"] == "2024-01-01T00:00:00Z"
    assert "state" not in value["value"]
    assert (gap["until"], gap["reason"]) == ("2024-01-01T00:15:00Z", "downtime")
    assert (revised["revision"], "candle" in revised) == (1, False)
    assert backfilled["count"] == 0


def test_the_newest_are_printed_or_those_after_a_cursor(printed: Printed) -> None:
    def cursors(*arguments: str) -> list[str]:
        return [json.loads(line)["cursor"] for line in printed("events", "--json", *arguments)]

    assert cursors("--limit", "2") == ["7-4", "7-5"]
    assert cursors("--after", "7-1", "--limit", "2") == ["7-2", "7-3"]
    assert cursors("--after", "", "--kind", "candle.closed", "--kind", "candle.gap") == ["7-1", "7-3"]
    assert cursors("--snapshot", "--symbol", "btc/*", "--timeframe", "5m") == [None, "7-5"]


def test_people_get_a_line_per_event(printed: Printed) -> None:
    lines = printed("events")
    assert lines[0] == "2024-01-01T00:00:00Z  candle.closed       BTC-USD     5m  11 volume 1.5"
    assert lines[1].endswith("macd-v macd_v=12.5000 zone=neutral 30/34")
    assert lines[2].endswith("until 2024-01-01T00:15:00Z, downtime")
    assert lines[3].endswith("withdrawn (revision 1)")
    assert lines[4].endswith("until 2024-01-01T00:15:00Z, 0 candles")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--kind", "candle.close"], 2, "did you mean 'candle.closed'"),
        (["--symbol", "BTC-UDS"], 1, "did you mean 'BTC-USD'"),
        (["--exchange", "coinbasa"], 1, "neither stored nor followed, did you mean 'coinbase'"),
        (["--timeframe", "7m"], 78, "unknown timeframe '7m'"),
        (["--after", "nonsense"], 1, "read a snapshot, then the events after '7-0'"),
        (["--after", "7-1", "--snapshot"], 2, "takes no --after"),
    ],
)
def test_what_cannot_be_answered_is_said(
    url: str, arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["events", *arguments, "--store", url]) == code
    assert words in capsys.readouterr().err


def test_values_are_printed_in_every_format(printed: Printed) -> None:
    asked = ("indicators", "BTC-USD", "5m")
    header, *rows = printed(*asked, "--format", "csv")
    assert header.startswith("exchange,symbol,timeframe,indicator,time,output,value,settled,")
    assert [row.split(",")[5:8] for row in rows] == [
        ["macd_v", "12.5", "True"],
        ["signal", "", "True"],
        ["zone", "neutral", "True"],
    ]
    (row,) = json.loads("".join(printed(*asked, "--json")))
    assert [json.loads(line) for line in printed(*asked, "--format", "jsonl")] == [row]
    assert (row["outputs"], row["age"], row["liquidity"]) == (OUTPUTS, 0, "high")
    assert "  macd_v=12.5000 zone=neutral 30/34  " in printed(*asked)[1]


async def test_what_is_announced_is_followed_until_ctrl_c(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.sqlite"
    await write(url, CLOSED)
    async with Program(
        "events", "--follow", "--after", "", "--json", "--store", url, directory=str(tmp_path)
    ) as program:
        await program.line(lambda line: '"7-1"' in line)
        await write(url, EVENTS[1])
        line = json.loads(await program.line(lambda line: '"7-2"' in line))
        assert line["kind"] == "indicator.value"
        assert await program.stop() == 130
