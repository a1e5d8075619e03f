"""A store is copied into another kind, however often that is cut short: what runs on the copy goes on bit for bit."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from copies import HOURS, MINUTES, Mortal, closed, contents, fill, row
from livermore_indicators import IndicatorCalculationService

from livermore_core import (
    Batch,
    CandleStore,
    ConfigurationError,
    IndicatorValue,
    SeriesChange,
)
from livermore_core.cli.group import run
from livermore_core.loading import tolerant_plugins
from livermore_core.status import NOT_RUNNING, state_of
from livermore_core.store import copying, copying_log
from livermore_core.store.copying import Copying
from livermore_core.store.finding import find_series
from livermore_core.store.sqlite import open_store
from livermore_core.testing import MemoryExchange, MemoryStore, harness, run_virtual
from livermore_core.testing.inline_executor import InlineExecutor

START = 1_704_270_034.0
TYPES = {
    "macd-v": "livermore_indicators.macd_v:MacdV",
    "obv": "livermore_indicators.obv:Obv",
    "vwap": "livermore_indicators.vwap:AnchoredVwap",
}

Opening = Callable[[str], AbstractAsyncContextManager[CandleStore]]


@asynccontextmanager
async def in_memory(name: str) -> AsyncIterator[CandleStore]:
    yield MEMORY.setdefault(name, MemoryStore())


def in_a_file(name: str) -> AbstractAsyncContextManager[CandleStore]:
    return open_store(f"sqlite:///{name}.sqlite", executor=InlineExecutor())


MEMORY: dict[str, CandleStore] = {}
# A further kind of store is one line: what opens the store of a name, with what it held before.
KINDS: dict[str, Opening] = {"sqlite": in_a_file, "memory": in_memory}
WAYS = [("sqlite", "memory"), ("memory", "sqlite"), ("sqlite", "sqlite")]


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores of their own, no configuration, and pages so small that everything has several."""
    MEMORY.clear()
    for name in [name for name in os.environ if name.startswith("LIVERMORE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    tolerant_plugins.cache_clear()
    monkeypatch.setattr(copying, "ROWS_AT_ONCE", 7)
    monkeypatch.setattr(copying_log, "EVENTS_AT_ONCE", 5)
    monkeypatch.setattr(copying_log, "READ_AT_ONCE", 4)


@pytest.mark.parametrize(("source", "target"), WAYS)
async def test_a_copy_and_its_copy_hold_all_that_the_source_holds(source: str, target: str) -> None:
    async with KINDS[source]("first") as first, KINDS[target]("second") as second, KINDS[source]("third") as third:
        await fill(first)
        head = await first.head()
        there = Copying(first, second)
        assert await there.run() == []
        assert await Copying(second, third, [there.cursors[head]]).run() == []
        everything = await contents(first)
        assert await contents(second) == everything
        assert await contents(third) == everything
        heard = {name: events for name, *_, events in everything[0][MINUTES][3]}
        assert heard["head"] == []
        assert heard["origin"] == everything[1]
        assert [event.time for event in heard["middle"] or ()] == [900, 960, 1020, 1080, 1140]
        assert there.cursors[head] == await second.head()
        again = Copying(first, second)
        assert await again.run() == []
        assert again.copied == copying.Copied()


@pytest.mark.parametrize(("source", "target"), WAYS)
async def test_a_copy_that_is_cut_short_anywhere_is_true_so_far_and_goes_on(source: str, target: str) -> None:
    async with KINDS[source]("source") as first:
        await fill(first)
        everything = await contents(first)
        rows, _, coverage, _ = everything[0][MINUTES]
        for deaths in range(100):
            async with KINDS[target](f"target-{deaths}") as second:
                try:
                    await Copying(first, Mortal(second, deaths)).run()
                except asyncio.CancelledError:
                    pass
                else:
                    break
                known = await second.coverage(MINUTES)
                assert await second.candles(MINUTES) == [
                    each for each in rows if known.covers(each.time, each.time + 60)
                ]
                if await second.values(MINUTES):
                    assert list(known) == coverage
                    assert [event for _, event in await second.events()] == everything[1]
            async with KINDS[target](f"target-{deaths}") as second:
                assert await Copying(first, second).run() == []
                assert await contents(second) == everything
        assert deaths > 6


async def test_a_copy_goes_on_where_the_source_has_gone_on() -> None:
    async with in_a_file("source") as first, in_memory("target") as second:
        await fill(first)
        assert await Copying(first, second).run() == []
        added = SeriesChange(
            series=MINUTES, rows=[row(20), row(2, 11.2, 4)], covered=[(1200, 1260)], uncovered=[(0, 60)]
        )
        retracted = SeriesChange(series=MINUTES, hidden=[row(0)])
        await first.transact(Batch(changes=[added, retracted], events=[closed(20)]))
        later = Copying(first, second)
        assert await later.run() == []
        assert later.copied.events == 1
        assert await contents(second) == await contents(first)


OTHERS = {
    "another log": Batch(events=[closed(99)]),
    "another candle": Batch(changes=[SeriesChange(series=MINUTES, rows=[row(1, 11.9)])]),
    "a candle more": Batch(changes=[SeriesChange(series=MINUTES, rows=[row(77)])]),
    "another series": Batch(changes=[SeriesChange(series=HOURS._replace(symbol="ZZZ-USD"), covered=[(0, 3600)])]),
}


@pytest.mark.parametrize("case", OTHERS)
@pytest.mark.parametrize("is_copy", [False, True])
async def test_a_target_with_other_data_is_refused_and_left_as_it_is(case: str, is_copy: bool) -> None:
    async with in_memory("source") as first, in_a_file("target") as second:
        await fill(first)
        if is_copy:
            await Copying(first, second).run()
        await second.transact(OTHERS[case])
        before = await contents(second)
        with pytest.raises(ConfigurationError, match="the target holds what the source does not: "):
            await Copying(first, second).run()
        assert await contents(second) == before


async def test_what_the_target_did_not_keep_is_told() -> None:
    class Lossy(MemoryStore):
        async def transact(self, batch: Batch) -> str:
            lossy = [SeriesChange(series=change.series, rows=change.rows[1:]) for change in batch.changes]
            return await super().transact(Batch(changes=lossy, events=batch.events))

    async with in_memory("source") as first:
        await fill(first)
        unlike = await Copying(first, Lossy()).run()
    assert [line.partition(": ")[2].split(",")[0] for line in unlike if str(MINUTES) in line] == [
        "13 candles",
        "other hidden candles than the source's",
        "another coverage than the source's",
        "other indicator values than the source's",
    ]


@pytest.mark.parametrize(("source", "target"), WAYS)
def test_indicators_go_on_bit_for_bit_on_a_copy_S10(source: str, target: str) -> None:
    """Held against a run that went on where it was; the log lost its beginning, so that cursors differ."""

    async def lived(is_copied: bool) -> tuple[dict[tuple[str, int], IndicatorValue], list[str]]:
        client = MemoryExchange({"AAA-USD": 2.0}, start=START, history=3600, until=START + 3600, seed=7)
        own = {"indicators": {name: {} for name in TYPES}, "indicator_types": TYPES}
        name, kind = f"life-{is_copied}", source
        for _ in range(2):
            async with (
                KINDS[kind](name) as store,
                harness(client, store, timeframes=("1m",), backfill_timeframes=("1m",), **own) as found,
            ):
                await found.following.backfill(found.context)
                await IndicatorCalculationService(found.context).start()
                await found.following.ingest(found.context)
                await asyncio.sleep(600)
                await found.stop()
                events = [event for _, event in await store.events(limit=1_000_000)]
                await store.trim({}, events=20)
                if is_copied and name == "life-True":
                    async with KINDS[target]("copy") as copied:
                        assert await Copying(store, copied).run() == []
            if is_copied:
                name, kind = "copy", target
        values = {(event.value.indicator, event.time): event.value for event in events if event.value is not None}
        assert {(value.state, value.cursor) for value in values.values()} == {(None, "")}
        return values, [event for _, event, _ in found.said]

    whole, _ = run_virtual(lived(is_copied=False))
    copied, said = run_virtual(lived(is_copied=True))
    assert len(whole) > 40
    assert copied == whole
    assert "indicators.replayed" not in said


@pytest.mark.parametrize(("source", "target"), WAYS)
async def test_a_copy_knows_aliases_and_that_nothing_runs_on_it(source: str, target: str) -> None:
    async with KINDS[source]("first") as first, KINDS[target]("second") as second:
        await fill(first)
        following = {"name": "memory", "symbols": ["AAA-USD"], "aliases": {"AAA-USDC": "AAA-USD"}}
        row = {"state": "LIVE", "pid": 4711, "host": "here", "heartbeat_epoch": START, "exchanges": [following]}
        await first.write_status(row | {"holders": {"candles": ["here"]}, "processes": [row]})
        assert await Copying(first, second).run() == []
        assert await find_series(second, "aaa/usdc", None, "1m") == MINUTES
        status = await second.read_status()
        assert state_of(status) == NOT_RUNNING
        assert status == row | {"state": "STOPPED"}


# ---- the command ----


DYING = """
import os, signal, sys
from livermore_core.cli.group import run
from livermore_core.store import copying, copying_log, sqlite

transact = sqlite.SqliteStore.transact
left = int(sys.argv[1])

async def dying(store, batch):
    global left
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return await transact(store, batch)

sqlite.SqliteStore.transact = dying
copying.ROWS_AT_ONCE = copying_log.EVENTS_AT_ONCE = 4
sys.exit(run(["copy", "sqlite:///source.sqlite", "sqlite:///target.sqlite"]))
"""


async def test_the_command_goes_on_after_a_kill_and_tells_cursors(capsys: pytest.CaptureFixture[str]) -> None:
    async with in_a_file("source") as first:
        await fill(first)
        head = await first.head()
    command = [sys.executable, "-c", DYING, "7"]
    killed = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=60)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    urls = ("sqlite:///source.sqlite", "sqlite:///target.sqlite")
    ours = head.removesuffix("20")
    assert await asyncio.to_thread(run, ["copy", *urls, "--cursor", f"{ours}15"]) == 0
    told = capsys.readouterr()
    assert "hidden ones" in told.out
    assert told.err == ""
    async with in_a_file("source") as first, in_a_file("target") as second:
        assert await contents(second) == await contents(first)
        theirs = (await second.head()).removesuffix("12")
    assert told.out.splitlines()[1:] == [f"cursor {ours}15 is now {theirs}7", f"cursor {head} is now {theirs}12"]
    assert await asyncio.to_thread(run, ["copy", *urls, "--cursor", f"{ours}3"]) == 1
    told = capsys.readouterr()
    assert told.out.startswith("copied 0 candles, 0 hidden ones, 0 events, 0 values of 2 series\n")
    assert f"cursor {ours}3 has no like in the copy: read a snapshot" in told.err


WRONG = {
    "itself": (
        ["sqlite:///source.sqlite", "sqlite:///./source.sqlite"],
        78,
        "sqlite:///source.sqlite and sqlite:///./source.sqlite are one store; name another one",
    ),
    "one server": (
        ["redis://LOCALHOST/0/?prefix=a", "redis://localhost/0?prefix=a"],
        78,
        "are one store; name another",
    ),
    "absent": (["sqlite:///none.sqlite", "sqlite:///target.sqlite"], 1, "there is no store here yet"),
    "scheme": (["sqlite:///source.sqlite", "sqlit:///target.sqlite"], 78, "unknown store, did you mean 'sqlite'?"),
    "no URL": (["sqlite:///source.sqlite", "target.sqlite"], 78, "must be a URL, e.g. sqlite:///target.sqlite"),
    "alone": (["sqlite:///source.sqlite"], 2, "Missing argument 'TARGET'"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_what_cannot_be_copied_is_said_V1(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with in_a_file("source") as first:
        await fill(first)
    arguments, code, words = WRONG[case]
    assert await asyncio.to_thread(run, ["copy", *arguments]) == code
    told = capsys.readouterr()
    assert words in told.err
    assert told.out == ""


async def test_a_source_that_a_process_runs_on_is_refused_by_its_pid(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livermore_core.cli.status.time.time", lambda: START)
    async with in_a_file("source") as first:
        await fill(first)
        await first.write_status({"state": "LIVE", "pid": 4711, "host": "here", "heartbeat_epoch": START - 5})
    urls = ("sqlite:///source.sqlite", "sqlite:///target.sqlite")
    assert await asyncio.to_thread(run, ["copy", *urls]) == 75
    assert "pid 4711 on here is running on it (LIVE); stop it first" in capsys.readouterr().err
    assert not await asyncio.to_thread(os.path.exists, "target.sqlite")
    monkeypatch.setattr("livermore_core.cli.status.time.time", lambda: START + 60)
    assert await asyncio.to_thread(run, ["copy", *urls]) == 0
