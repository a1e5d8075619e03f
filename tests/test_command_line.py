"""The commands as a user types them: what they import, what they print, and what wrong input gets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from livermore_core import Batch, Candle, Event, Series, SeriesChange, __version__
from livermore_core.cli.group import COMMANDS, livermore, run
from livermore_core.loading import tolerant_plugins
from livermore_core.store.sqlite import open_store

HEAVY = {"click", "pydantic", "structlog", "asyncio", "aiohttp", "msgspec", "rich", "cryptography"}
SERIES = Series("coinbase", "BTC-USD", "5m")
START = 1_704_067_200


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, no configuration of this user, no LIVERMORE_ name in the environment."""
    for name in [name for name in os.environ if name.startswith("LIVERMORE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    tolerant_plugins.cache_clear()
    return tmp_path


def imported(*arguments: str) -> tuple[set[str], str]:
    """The modules in use when a command ends, of those that are slow to import, and what it printed."""
    program = (
        "import runpy, sys\n"
        f"sys.argv = ['livermore', *{list(arguments)!r}]\n"
        "try: runpy.run_module('livermore_core', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print(' '.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return HEAVY & set(done.stderr.split()), done.stdout


def test_version_imports_nothing_that_is_slow() -> None:
    assert imported("--version") == (set(), f"livermore {__version__}\n")


def test_stages_and_help_import_click_and_no_more() -> None:
    for arguments in (("stages", "--list"), ("plugins",), ("--help",)):
        heavy, printed = imported(*arguments)
        assert heavy <= {"click"}, arguments
        assert "coinbase" in printed or "stages" in printed


@pytest.mark.parametrize("name", [*COMMANDS, "simulate", "demo"])
def test_every_command_has_help_with_an_example(name: str) -> None:
    arguments = [name, "show", "--help"] if name == "config" else [name, "--help"]
    result = CliRunner().invoke(livermore, arguments)
    assert result.exit_code == 0
    assert "Example" in result.output
    assert f"livermore {name}" in result.output


def test_stages_list_prints_the_three_stages_in_order_with_the_keys_of_the_design() -> None:
    rows = json.loads(CliRunner().invoke(livermore, ["stages", "--list", "--json"]).output)
    assert list(dict.fromkeys(row["stage"] for row in rows)) == ["backfill", "indicators", "ingest"]
    assert [row["order"] for row in rows] == sorted(row["order"] for row in rows)
    assert all(list(row)[:6] == ["stage", "order", "plugin", "distribution", "version", "state"] for row in rows)
    assert {"coinbase-backfill", "indicators", "coinbase-ingest"} == {row["plugin"] for row in rows}
    assert {(row["version"], row["state"]) for row in rows} == {(__version__, "ok")}


# ---- a store to look at ----


@pytest.fixture
async def store(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/seen.sqlite"
    rows = [Candle(START + 300 * n, 10.0, 12.0, 9.0, 11.0 + n / 10, 1.5) for n in (0, 1, 3, 6)]
    known = [(START, START + 1200), (START + 1800, START + 2100)]
    closed = Event(kind="candle.closed", exchange="coinbase", symbol="BTC-USD", timeframe="5m", time=START)
    async with open_store(url) as opened:
        await opened.transact(Batch(changes=[SeriesChange(series=SERIES, rows=rows, covered=known)], events=[closed]))
    return url


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert run(list(arguments)) == code
    return capsys.readouterr().out


async def test_candles_are_printed_in_every_format(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("candles", "BTC-USD", "5m", "--store", store)
    rows = json.loads(await in_thread(printed, capsys, *asked, "--format", "json"))
    assert [list(row) for row in rows] == [["time", "open", "high", "low", "close", "volume", "revision", "source"]] * 4
    assert rows[0]["time"] == "2024-01-01T00:00:00Z"
    lines = (await in_thread(printed, capsys, *asked, "--format", "jsonl")).splitlines()
    assert [json.loads(line) for line in lines] == rows
    table = await in_thread(printed, capsys, *asked, "--format", "csv", "--limit", "2")
    assert table.splitlines()[0] == "time,open,high,low,close,volume,revision,source"
    assert len(table.splitlines()) == 3
    since = await in_thread(printed, capsys, *asked, "--format", "json", "--since", "2024-01-01T00:05Z")
    assert json.loads(since) == rows[1:]
    span = ("--since", "2024-01-01T00:00:00.5Z", "--until", "2024-01-01T00:05:00.5Z")
    assert json.loads(await in_thread(printed, capsys, *asked, "--json", *span)) == rows[1:2]


async def test_within_bounds_all_candles_are_printed_and_without_the_newest_twenty(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [Candle(START + 300 * n, 10.0, 12.0, 9.0, 11.0, 1.5) for n in range(25)]
    async with open_store(store) as opened:
        await opened.transact(Batch(changes=[SeriesChange(series=SERIES, rows=rows)]))

    async def count(*options: str) -> int:
        asked = ("candles", "BTC-USD", "5m", "--store", store, "--format", "jsonl", *options)
        return len((await in_thread(printed, capsys, *asked)).splitlines())

    until = ("--until", "2025-01-01")
    assert [await count(*options) for options in ([], ["--since", "2024-01-01"], until)] == [20, 25, 25]
    assert await count(*until, "--limit", "3") == 3


async def test_the_open_candle_is_what_the_closed_minutes_add_up_to(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    minutes = [Candle(START + 2100 + 60 * n, 10.0, 12.0 + n, 9.0, 11.0, 1.5) for n in range(3)]
    async with open_store(store) as opened:
        change = SeriesChange(series=SERIES._replace(timeframe="1m"), rows=minutes)
        await opened.transact(Batch(changes=[change]))
    asked = ("candles", "BTC-USD", "5m", "--store", store, "--json", "--open")
    rows = json.loads(await in_thread(printed, capsys, *asked))
    row = rows[-1]
    assert (row["time"], row["high"], row["volume"], row["source"]) == ("2024-01-01T00:35:00Z", 14.0, 4.5, "open")
    for options, expected in (
        (["--limit", "2"], rows[-2:]),
        (["--until", "2024-01-01T00:35:00Z"], rows[:-1]),
        (["--until", "2024-01-01T00:35:01Z"], rows),
        (["--since", "2024-01-01T00:35:00Z"], rows[-1:]),
        (["--since", "2024-01-01T00:35:01Z"], []),
    ):
        assert json.loads(await in_thread(printed, capsys, *asked, *options)) == expected, options


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["candles", "BTC-USD", "5m", "--exchange", "kraken"], 1, "nothing is stored of exchange 'kraken'; stored: co"),
        (["candles", "BTC-USD", "1h"], 1, "BTC-USD is not stored at 1h; stored: 5m"),
        (["indicators", "BTC-USD", "1h"], 1, "BTC-USD is not stored at 1h; stored: 5m"),
        (["candles", "BTC-USD", "5m", "--since", "9" * 20], 2, "is no time"),
        (["candles", "BTC-USD", "5m", "--json", "--format", "csv"], 2, "--json and --format csv are two formats"),
        (["indicators", "--list", "--json", "--format", "jsonl"], 2, "--json and --format jsonl are two formats"),
    ],
)
async def test_what_is_not_there_is_said(
    store: str, arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await in_thread(run, [*arguments, "--store", store]) == code
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["candles", "BTC-USD", "5m", "--format", "csv"], ["events"], ["watch", "--once"]]
)
@pytest.mark.parametrize("buffering", [1, 8192])
def test_a_stdout_that_is_full_is_said(
    arguments: list[str],
    buffering: int,
    store: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Path("/dev/full").open("w", buffering) as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert run([*arguments, "--store", store]) == 74
    assert capsys.readouterr().err == "livermore: stdout cannot be written: No space left on device\n"


async def test_gaps_name_what_is_unknown(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(await in_thread(printed, capsys, "gaps", "--store", store, "--json"))
    assert [(row["start"], row["end"]) for row in rows] == [("2024-01-01T00:20:00Z", "2024-01-01T00:30:00Z")]


@pytest.mark.parametrize(("age", "reason"), [(0.0, "downtime"), (60.0, "not.running")])
async def test_gaps_believe_a_status_row_while_it_is_fresh(
    store: str, age: float, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    about = {"symbol": "BTC-USD", "timeframe": "5m", "attempts": 3, "next_attempt": "2024-01-01T02:00:00Z"}
    gap = about | {"start": "2024-01-01T00:20:00Z", "end": "2024-01-01T00:30:00Z", "reason": "downtime"}
    row = {"state": "LIVE", "heartbeat_epoch": time.time() - age, "exchanges": [{"name": "coinbase", "gaps": [gap]}]}
    async with open_store(store) as opened:
        await opened.write_status(row)
    (found,) = json.loads(await in_thread(printed, capsys, "gaps", "--store", store, "--json"))
    assert found["reason"] == reason


async def test_status_of_a_store_that_nobody_runs_is_no(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "NOT RUNNING" in await in_thread(printed, capsys, "status", "--store", store, code=1)


@pytest.mark.parametrize(("holds", "code", "state"), [("candles values", 0, "LIVE"), ("values", 1, "NOT RUNNING")])
async def test_status_is_that_of_the_process_which_keeps_the_candles(
    store: str, holds: str, code: int, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"state": "LIVE", "heartbeat_epoch": time.time(), "holds": holds.split()}
    async with open_store(store) as opened:
        await opened.write_status(row)
    said = json.loads(await in_thread(printed, capsys, "status", "--store", store, "--json", code=code))
    assert said["state"] == state


async def test_status_says_of_a_trouble_which_exchange_and_symbol_it_is_about_and_the_code_once(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    about = {"event": "ws.muted", "reason": "ws.muted", "cause": "", "symbol": "BTC-USD", "seconds": 70.2}
    lost = {"event": "feed.lost", "reason": "ws.closed", "cause": "ws.closed: code 1006", "seconds": 4.0}
    exchange = dict.fromkeys(("series", "revised", "native_differences"), 0) | {
        "name": "coinbase", "symbols": [], "unknown_symbols": {}, "halted_symbols": {}, "gaps": [], "exchange_time": "",
        "feed": {"connected": True}, "budget": {"requests": 0, "refused": 0, "pace": 1.0}, "troubles": [about, lost],
    }  # fmt: skip
    process = {"pid": 1, "host": "h", "version": "1", "started": "", "heartbeat": "", "heartbeat_epoch": time.time()}
    async with open_store(store) as opened:
        await opened.write_status(process | {"state": "DEGRADED", "reasons": {}, "exchanges": [exchange]})
    said = (await in_thread(printed, capsys, "status", "--store", store, code=1)).splitlines()
    assert [line for line in said if line.startswith("trouble")] == [
        "trouble   coinbase: ws.muted for 70 s, BTC-USD",
        "trouble   coinbase: ws.closed for 4 s: code 1006",
    ]


async def in_thread(function: Any, *arguments: Any, **more: Any) -> Any:
    """Commands run a loop of their own."""
    import asyncio

    return await asyncio.to_thread(function, *arguments, **more)


# ---- wrong input: one line, the place, the reason, the mend, the exit code ----

BAD_PEM = '{"name": "organizations/a/apiKeys/b", "privateKey": "-----BEGIN EC PRIVATE KEY-----\\nnonsense"}'
WRONG = {
    "command": (["strat"], {}, "", 2, "unknown command 'strat', did you mean 'start'?"),
    "stage": (["start", "--stages", "backfil"], {}, "", 2, "'backfil'"),
    "within nan": (
        ["start", "--until-ready", "--within", "nan"],
        {},
        "",
        2,
        "'nan' is no number of seconds; write e.g. 120",
    ),
    "within inf": (["start", "--until-ready", "--within", "inf"], {}, "", 2, "'inf' is no number of seconds"),
    "within": (["start", "--within", "3"], {}, "", 2, "--within needs --until-ready"),
    "option": (["start", "--symbl", "X"], {}, "", 2, "--symbl"),
    "timeframe": (["start", "--timeframe", "7m"], {}, "", 78, "7m"),
    "key": (["start"], {}, 'stroe = "x"', 78, "livermore.toml: stroe: unknown key, did you mean 'store'?"),
    "syntax": (["start"], {}, "depth = \n", 78, "livermore.toml:1:9"),
    "environment": (["start"], {"LIVERMORE_STOER": "x"}, "", 78, "LIVERMORE_STOER"),
    "type": (["start"], {}, 'depth = "deep"', 78, "livermore.toml: depth"),
    "store": (["start"], {"LIVERMORE_STORE": "sqlite:////proc/no/such.sqlite"}, "", 78, "/proc/no"),
    "scheme": (["start"], {"LIVERMORE_STORE": "sqlit:///x"}, "", 78, "did you mean 'sqlite'?"),
    "pem": (["start"], {"LIVERMORE_EXCHANGES__COINBASE__API_KEY_FILE": "key.json"}, "", 78, "key.json"),
    "symbol name": (["start", "--symbol", "btc usd"], {}, "", 78, "btc usd"),
    "indicator": (["start"], {"LIVERMORE_INDICATORS": '{"macdv": {}}'}, "", 78, "did you mean 'macd-v'?"),
    "absent store": (["candles", "BTC-USD", "5m", "--store", "sqlite:///none.sqlite"], {}, "", 1, "none.sqlite"),
    "empty store": (["candles", "BTC-USD", "5m", "--store", "sqlite:///empty"], {}, "", 1, "empty: there is no store"),
    "no database": (["candles", "BTC-USD", "5m", "--store", "sqlite:///key.json"], {}, "", 74, "key.json: SQLITE"),
    "plain http": (["start"], {"LIVERMORE_EXCHANGES__COINBASE__REST_URL": "http://example.com"}, "", 78, "loopback"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_gets_a_line_and_its_exit_code_V1(
    case: str, elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, environment, file, code, words = WRONG[case]
    (elsewhere / "key.json").write_text(BAD_PEM)
    (elsewhere / "empty").touch()
    if file:
        (elsewhere / "livermore.toml").write_text(file)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    got = run(list(arguments))
    told = capsys.readouterr()
    assert words in told.err, told.err
    assert got == code, told.err
    assert "Traceback" not in told.err + told.out
    assert "nonsense" not in told.err


def test_all_mistakes_are_told_together_F1(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (elsewhere / "livermore.toml").write_text('stroe = "x"\ndepth = -1\ntimeframes = ["7m"]\n')
    assert run(["start"]) == 78
    told = capsys.readouterr().err
    assert all(word in told for word in ("stroe", "depth", "7m"))
    assert len(told.splitlines()) == 3


def test_recovery_commands_work_whatever_the_configuration(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (elsewhere / "livermore.toml").write_text("[[[")
    for arguments in (["stages", "--list"], ["plugins"], ["config", "describe"]):
        assert run(arguments) == 0, arguments
        assert capsys.readouterr().out


def test_config_init_writes_a_file_that_says_what_is_the_default(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["config", "init"]) == 0
    written = (elsewhere / "livermore.toml").read_text()
    assert "backfill_timeframes" in written
    assert run(["config", "init"]) != 0, "it must not overwrite"
    capsys.readouterr()
    assert run(["config", "show", "--json"]) == 0
    shown = {row["key"]: row["value"] for row in json.loads(capsys.readouterr().out)}
    assert shown["backfill_timeframes"] == ["5m", "15m", "1h", "4h", "1d"]


def test_a_reader_that_leaves_is_no_error_P04(elsewhere: Path) -> None:
    command = f"{sys.executable} -m livermore_core config describe --json | head -c 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
