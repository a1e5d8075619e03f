"""`livermore doctor` as a user types it: what is well, what is not, what mends it, and that it touches nothing."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from livermore_simulator import SimulatedExchange, SyntheticMarket
from livermore_simulator.clock import SimulationClock
from livermore_simulator.rest import Rest

from livermore_core import Batch, Series, SeriesChange, masking
from livermore_core.cli import doctor
from livermore_core.cli.group import run
from livermore_core.loading import tolerant_plugins
from livermore_core.store.sqlite import open_store

COINBASE = "LIVERMORE_EXCHANGES__COINBASE__"
# Port 9 of loopback answers nobody.
NOBODY = "http://127.0.0.1:9"
NAME = "organizations/canary-name/apiKeys/1"
PEM = (
    ec.generate_private_key(ec.SECP256R1())
    .private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    .decode()
)

Rows = dict[str, dict[str, str]]
Examine = Callable[..., Awaitable[Rows]]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder, no configuration of this user, no exchange to be reached; the log is as it was afterwards."""
    handlers = list(logging.getLogger().handlers)
    monkeypatch.setattr(masking, "_whole", [])
    monkeypatch.setattr(masking, "_pieces", set())
    for name in [name for name in os.environ if name.startswith("LIVERMORE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv(f"{COINBASE}REST_URL", NOBODY)
    monkeypatch.chdir(tmp_path)
    tolerant_plugins.cache_clear()
    yield tmp_path
    logging.getLogger().handlers = handlers
    structlog.reset_defaults()


async def in_thread(arguments: list[str]) -> int:
    """Run a command on a loop of its own; not in a worker of this one, for which its end would wait."""
    with ThreadPoolExecutor(1, thread_name_prefix="command") as executor:
        return await asyncio.get_running_loop().run_in_executor(executor, run, arguments)


@pytest.fixture
def examine(capsys: pytest.CaptureFixture[str]) -> Examine:
    """Run the doctor; the rows by "area check". The exit code is 1 exactly where one fails, and no secret is told."""

    async def examined(*arguments: str) -> Rows:
        code = await in_thread(["doctor", "--json", *arguments])
        told = capsys.readouterr()
        rows = json.loads(told.out)
        assert code == any(row["state"] == "fail" for row in rows), rows
        assert all(row["mend"] for row in rows if row["state"] != "ok"), rows
        for secret in ("Traceback", NAME, "eyJ", *PEM.splitlines()):
            assert secret not in told.out + told.err
        return {f"{row['area']} {row['check']}": row for row in rows}

    return examined


class WallClock(SimulationClock):
    """An exchange whose time is this machine's, `skew` seconds ahead."""

    def __init__(self, skew: float = 0.0) -> None:
        super().__init__(time.time(), 0.0)
        self.skew = skew

    def now(self) -> float:
        return time.time() + self.skew


@asynccontextmanager
async def exchange(monkeypatch: pytest.MonkeyPatch, skew: float = 0.0) -> AsyncIterator[SimulatedExchange]:
    """A simulated exchange that the coinbase plugin of this test asks."""
    clock = WallClock(skew)
    simulated = SimulatedExchange(SyntheticMarket(3, start=clock.now(), seed=7, days=1), start=clock.now())
    simulated.clock = clock
    async with simulated:
        monkeypatch.setenv(f"{COINBASE}REST_URL", simulated.rest_url)
        yield simulated


def with_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{COINBASE}API_KEY", NAME)
    monkeypatch.setenv(f"{COINBASE}API_SECRET", PEM)


def states(rows: Rows) -> dict[str, str]:
    return {name: row["state"] for name, row in rows.items()}


# ---- all is well ----


async def test_where_all_is_well_each_row_says_so(monkeypatch: pytest.MonkeyPatch, examine: Examine) -> None:
    async with exchange(monkeypatch):
        rows = await examine()
    assert set(states(rows).values()) == {"ok"}, rows
    assert list(rows) == [
        "plugins loaded",
        "configuration settings",
        "store contents",
        *(f"coinbase {check}" for check in ("network", "clock", "credentials", "products")),
    ]
    assert all(list(row) == ["area", "check", "state", "found", "mend"] for row in rows.values())
    assert "ms" in rows["coinbase network"]["found"]
    assert rows["coinbase credentials"]["found"] == "no key; public data only"
    assert rows["coinbase products"]["found"] == "3 products"


async def test_the_table_has_a_line_for_each_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with exchange(monkeypatch):
        assert await in_thread(["doctor", "--exchange", "coinbase"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["area", "check", "state", "found", "mend"]
    assert len(lines) == 1 + 7


# ---- the exchange ----


async def test_an_exchange_out_of_reach_fails_and_the_rest_is_told_R05(examine: Examine) -> None:
    rows = await examine()
    assert states(rows) == {
        "plugins loaded": "ok",
        "configuration settings": "ok",
        "store contents": "ok",
        "coinbase network": "fail",
    }
    assert "net.unreachable" in rows["coinbase network"]["found"]


@pytest.mark.parametrize(("skew", "said"), [(3600.0, "behind"), (-3600.0, "ahead")])
async def test_a_clock_that_is_wrong_is_a_warning_T03(
    monkeypatch: pytest.MonkeyPatch, examine: Examine, skew: float, said: str
) -> None:
    async with exchange(monkeypatch, skew):
        clock = (await examine())["coinbase clock"]
    assert clock["state"] == "warn"
    assert clock["found"].startswith(("this machine is 3600.", "this machine is 3599."))
    assert clock["found"].endswith(said)
    assert "NTP" in clock["mend"]


async def test_an_exchange_that_never_answers_is_given_up_R07(
    monkeypatch: pytest.MonkeyPatch, examine: Examine
) -> None:
    monkeypatch.setattr(doctor, "WITHIN", 0.5)
    over = asyncio.Event()

    async def silent(request: web.Request) -> web.StreamResponse:
        await over.wait()
        return web.Response()

    application = web.Application()
    application.router.add_get("/{path:.*}", silent)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setenv(f"{COINBASE}REST_URL", f"http://127.0.0.1:{runner.addresses[0][1]}")
    try:
        rows = await examine()
    finally:
        over.set()
        await runner.cleanup()
    assert (rows["coinbase network"]["state"], rows["coinbase network"]["found"]) == ("fail", "no answer within 0.5 s")


async def test_an_exchange_that_is_not_there_is_named(examine: Examine) -> None:
    rows = await examine("--exchange", "coinbsae")
    assert "did you mean 'coinbase'?" in rows["configuration settings"]["found"]
    assert "installed: coinbase" in rows["exchanges followed"]["found"]


# ---- the key ----


@pytest.mark.parametrize(
    ("answer", "state", "said"),
    [
        ({"can_view": True}, "ok", "may view"),
        ({"can_view": True, "can_trade": True}, "warn", "may view, trade"),
        ({"can_view": True, "can_transfer": True}, "warn", "may view, transfer"),
        ({"can_trade": True}, "fail", "lacks the right `view`"),
        (401, "fail", "credentials.refused: 401"),
        (403, "fail", "credentials.refused: 403"),
    ],
)
async def test_what_the_key_may_do_is_asked_and_told_without_the_key_C03_C05_L1(
    monkeypatch: pytest.MonkeyPatch, examine: Examine, answer: Any, state: str, said: str
) -> None:
    def permissions(self: Rest, request: web.Request) -> web.Response:
        if isinstance(answer, int):
            return web.json_response({"message": request.headers["Authorization"]}, status=answer)
        return web.json_response({"can_view": False, "can_trade": False, "can_transfer": False, **answer})

    monkeypatch.setattr(Rest, "_permissions", permissions)
    with_key(monkeypatch)
    async with exchange(monkeypatch):
        rows = await examine()
    assert rows["coinbase credentials"]["state"] == state
    assert said in rows["coinbase credentials"]["found"]
    assert rows["coinbase products"]["state"] == "ok", "market data is public"


async def test_a_key_that_cannot_be_read_is_told_without_it_C02(
    monkeypatch: pytest.MonkeyPatch, examine: Examine
) -> None:
    with_key(monkeypatch)
    monkeypatch.setenv(f"{COINBASE}API_SECRET", PEM.rpartition("-----END")[0])
    rows = await examine()
    assert (rows["coinbase client"]["state"], "cut off" in rows["coinbase client"]["found"]) == ("fail", True)


# ---- configuration and plugins ----


async def test_a_malformed_file_is_told_by_its_place_and_the_rest_goes_on_F1(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, examine: Examine
) -> None:
    (elsewhere / "mine.toml").write_text("depth = \n")
    async with exchange(monkeypatch):
        rows = await examine("--config", "mine.toml")
    assert rows["configuration settings"]["found"].startswith("mine.toml:1:9: ")
    assert [name for name, state in states(rows).items() if state == "fail"] == ["configuration settings"]
    assert rows["coinbase products"]["state"] == "ok"


@pytest.mark.parametrize("text", ['stroe = "x"', "[exchanges]\ncoinbase = 3", 'store = "sqlite://x"', "\0", "[[["])
async def test_any_file_gets_an_answer_F1(elsewhere: Path, examine: Examine, text: str) -> None:
    (elsewhere / "livermore.toml").write_text(text)
    rows = await examine()
    assert "livermore.toml" in rows["configuration settings"]["found"]
    assert rows["coinbase network"]["state"] == "fail"


BROKEN = {
    "import": ("import a_module_that_is_not_there", "plugins moon", "a_module_that_is_not_there"),
    "conflict": (
        "from livermore_core import Exchange, hookimpl\n@hookimpl\ndef register_exchanges():\n"
        "    yield Exchange('coinbase', '', ('1m',), 1, 1.0, 'a:b')",
        "plugins moon",
        "'coinbase' is offered by livermore-coinbase",
    ),
    "settings": (
        "from livermore_core import Exchange, hookimpl\n@hookimpl\ndef register_exchanges():\n"
        "    yield Exchange('moon', '', ('1m',), 1, 1.0, 'a:b', 'json:dumps')",
        "configuration settings",
        "AttributeError",
    ),
    "open": (
        "from livermore_core import Exchange, hookimpl\n@hookimpl\ndef register_exchanges():\n"
        "    yield Exchange('moon', '', ('1m',), 1, 1.0, 'json:dumps')",
        "moon client",
        "exchange 'moon' (livermore-moon 1.2) does not open: ",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_broken_plugin_fails_with_its_cause_P08(
    case: str, elsewhere: Path, monkeypatch: pytest.MonkeyPatch, examine: Examine
) -> None:
    source, row, cause = BROKEN[case]
    monkeypatch.syspath_prepend(str(elsewhere))
    (elsewhere / f"a_moon_{case}.py").write_text(source)
    info = elsewhere / "livermore_moon-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: livermore-moon\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[livermore]\nmoon = a_moon_{case}\n")
    rows = await examine(*(("--exchange", "moon") if case == "open" else ()))
    assert rows[row]["state"] == "fail"
    assert cause in rows[row]["found"]


# ---- the store ----


@pytest.fixture
async def store(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store with one series, closed in order."""
    url = f"sqlite:///{elsewhere}/stores/seen.sqlite"
    monkeypatch.setenv("LIVERMORE_STORE", url)
    async with open_store(url) as opened:
        series = Series("coinbase", "BTC-USD", "5m")
        await opened.transact(Batch(changes=[SeriesChange(series=series, covered=[(0, 300)])]))
    return url


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def written(state: str, age: float = 0.0) -> dict[str, Any]:
    """A status row of a run, `age` seconds old."""
    return {"state": state, "heartbeat": "2024-01-03T12:00:00Z", "heartbeat_epoch": time.time() - age}


async def test_an_absent_store_is_made_by_the_first_start_and_not_by_the_doctor(
    elsewhere: Path, examine: Examine
) -> None:
    row = (await examine("--store", f"sqlite:///{elsewhere}/deep/below/none.sqlite"))["store contents"]
    assert (row["state"], "the first `livermore start` makes it" in row["found"]) == ("ok", True)
    assert contents(elsewhere) == {}


@pytest.mark.parametrize("place", ["file/none.sqlite", "folder"])
async def test_a_store_that_cannot_be_made_fails_D09(elsewhere: Path, examine: Examine, place: str) -> None:
    (elsewhere / "file").touch()
    (elsewhere / "folder").mkdir()
    row = (await examine("--store", f"sqlite:///{elsewhere}/{place}"))["store contents"]
    assert (row["state"], "--store" in row["mend"]) == ("fail", True)


async def test_a_store_at_rest_is_read_and_left_as_it_is(elsewhere: Path, store: str, examine: Examine) -> None:
    before = contents(elsewhere / "stores")
    rows = await examine()
    assert rows["store contents"]["found"] == "1 series"
    assert rows["store process"]["found"] == "none writes it now"
    assert rows["store status"]["found"] == "no run has written one"
    assert contents(elsewhere / "stores") == before


@pytest.mark.parametrize("state", ["LIVE", "DEGRADED"])
async def test_a_store_that_a_run_holds_names_its_process_V6(store: str, examine: Examine, state: str) -> None:
    async with open_store(store) as held:
        await held.write_status(written(state))
        rows = await examine()
    assert f"pid {os.getpid()} " in rows["store process"]["found"]
    assert rows["store contents"]["state"] == "ok"
    assert (rows["store status"]["state"], state in rows["store status"]["found"]) == (
        "ok" if state == "LIVE" else "warn",
        True,
    )


@pytest.mark.parametrize("is_held", [True, False])
async def test_a_run_that_went_silent_is_told_and_is_no_fail(store: str, examine: Examine, is_held: bool) -> None:
    async with open_store(store) as held:
        await held.write_status(written("LIVE", age=31.0 if is_held else 0.0))
        rows = await examine() if is_held else {}
    rows = rows or await examine()
    assert (rows["store status"]["state"], "unable to write" in rows["store status"]["found"]) == ("warn", True)


async def test_a_run_that_stopped_is_well(store: str, examine: Examine) -> None:
    async with open_store(store) as held:
        await held.write_status(written("STOPPED", age=1000.0))
    row = (await examine())["store status"]
    assert (row["state"], row["found"]) == ("ok", "STOPPED at 2024-01-03T12:00:00Z")


@pytest.mark.parametrize("how", ["no database", "a bad page", "a newer schema"])
async def test_a_store_that_is_no_good_fails_and_is_left_as_it_is_D05_D11(
    elsewhere: Path, store: str, examine: Examine, how: str
) -> None:
    path = elsewhere / "stores" / "seen.sqlite"
    if how == "no database":
        path.write_bytes(b"not a database at all" * 1000)
    elif how == "a bad page":
        sound = path.read_bytes()
        path.write_bytes(sound[:8192] + b"x" * 4096 + sound[12288:])
    else:
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
    before = contents(elsewhere / "stores")
    row = (await examine())["store contents"]
    assert row["state"] == "fail"
    assert "upgrade livermore" in row["found"] if how == "a newer schema" else "sets aside" in row["mend"]
    assert how != "a bad page" or row["found"].startswith(f"{path} is damaged: ")
    assert contents(elsewhere / "stores") == before
