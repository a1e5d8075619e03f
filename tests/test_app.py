"""The life of a run on virtual time: order, failures, deadlines, endings; plugins are modules made here."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
import types
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from livermore_core import (
    Batch,
    ConfigurationError,
    Context,
    Event,
    ExitCode,
    LivermoreError,
    Series,
    SeriesChange,
    StoreLostError,
    Trouble,
    UnavailableError,
)
from livermore_core.app import App
from livermore_core.config import load
from livermore_core.contributions import Exchange, Store
from livermore_core.errors import CredentialsError, StoreHeldError
from livermore_core.hooks import STAGES, hookimpl
from livermore_core.plugins import Plugin, Plugins
from livermore_core.services import GRACE
from livermore_core.testing import MemoryExchange, MemoryStore, run_virtual

HERE = "livermore_test_app_resources"
NOW = 1_700_000_000.0
Hook = Callable[..., Coroutine[Any, Any, None]]
Ready = Callable[[], None]


class World:
    """Fake plugins around a run; `order` is what happened, `said` what was reported."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.order: list[str] = []
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.store = MemoryStore()
        self.client: Any = object()
        self.open_error: BaseException | None = None
        self.plugins = Plugins()
        self.flags: dict[str, Any] = {}
        resources = types.ModuleType(HERE)
        resources.store = self._open_store  # type: ignore[attr-defined]
        resources.exchange = self._open_exchange  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, HERE, resources)
        self._add("memory", register_stores=lambda: [Store("memory", "kept nowhere", f"{HERE}:store")])
        self.exchange("moon")

    def exchange(self, name: str) -> None:
        """Add a plugin that offers an exchange."""
        offered = Exchange(name, "an exchange", ("1m", "5m"), 300, 10.0, f"{HERE}:exchange")
        self._add(name, register_exchanges=lambda: [offered])

    def stage(self, plugin: str, **hooks: Hook) -> None:
        """Add a plugin with these stage hooks."""
        self._add(plugin, **hooks)

    def run(self, until: float | None = None, **options: Any) -> ExitCode:
        """A whole run; stopped after `until` virtual seconds."""
        return run_virtual(self.life(until, **options))

    async def life(self, until: float | None = None, **options: Any) -> ExitCode:
        app = App(self.settings(), self.plugins, report=self._report, **options)
        if until is not None:
            asyncio.get_running_loop().call_later(until, app.stop)
        return await app.run()

    def settings(self) -> Any:
        return load(self.plugins, environ={}, overrides={"store": "memory://", **self.flags})

    def events(self, name: str) -> list[dict[str, Any]]:
        return [fields for event, fields in self.said if event == name]

    def _add(self, name: str, **hooks: Any) -> None:
        module = types.ModuleType(f"fake_{name.replace('-', '_')}")
        for hook, function in hooks.items():
            setattr(module, hook, hookimpl(function))
        self.plugins.add(Plugin(name, f"livermore-{name}", "1.2", module.__name__), lambda: module)
        assert self.plugins.found[-1].state == "ok", self.plugins.found[-1].cause

    def _report(self, event: str, fields: Mapping[str, Any]) -> None:
        self.said.append((event, dict(fields)))

    @asynccontextmanager
    async def _open_store(self, url: str, *, read_only: bool) -> AsyncIterator[Any]:
        assert (url, read_only) == ("memory://", False)
        if self.open_error is not None:
            raise self.open_error
        self.order.append("store opened")
        yield self.store
        self.order.append("store closed")

    @asynccontextmanager
    async def _open_exchange(self, settings: Any) -> AsyncIterator[Any]:
        self.order.append("exchange opened")
        yield self.client
        self.order.append("exchange closed")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def noting(world: World, text: str, seconds: float = 0.0) -> Hook:
    async def hook(context: Context) -> None:
        world.order.append(f"{text} begins")
        await asyncio.sleep(seconds)
        world.order.append(f"{text} ends")

    return hook


def serving(world: World, name: str, stays: float = 0.0, critical: bool = False) -> Hook:
    async def service(ready: Ready) -> None:
        world.order.append(f"{name} up")
        ready()
        try:
            await asyncio.Event().wait()
        finally:
            world.order.append(f"{name} down")
            if stays:
                await asyncio.sleep(stays)

    async def hook(context: Context) -> None:
        await context.start(service, name=name, critical=critical)

    return hook


async def nothing(context: Context) -> None:
    return None


def failing(error: BaseException) -> Hook:
    async def hook(context: Context) -> None:
        raise error

    return hook


def test_the_settings_of_an_exchange_go_to_the_plugins_of_that_exchange_alone_SP05(world: World) -> None:
    given: dict[str, Any] = {}

    async def take(context: Context) -> None:
        given[context.plugin] = context.settings

    for plugin in ("moon-backfill", "elsewhere", "moonshine"):
        world.stage(plugin, backfill=take)
    assert world.run(until=10) == ExitCode.OK
    assert given["moon-backfill"] is not None
    assert (given["elsewhere"], given["moonshine"]) == (None, None)


def test_the_whole_life_in_order_P02(world: World) -> None:
    world.stage("moon-backfill", backfill=noting(world, "backfill", 5))
    world.stage("warm", indicators=serving(world, "warm"), ingest=noting(world, "late", 1))
    world.stage("moon-ingest", ingest=serving(world, "feed", critical=True))
    assert world.run(until=100) == ExitCode.OK
    assert world.order == [
        "store opened",
        "exchange opened",
        "backfill begins",
        "backfill ends",
        "warm up",
        "late begins",
        "feed up",
        "late ends",
        "feed down",
        "warm down",
        "exchange closed",
        "store closed",
    ]
    assert [(event, fields.get("stage")) for event, fields in world.said] == [
        ("stage.started", "backfill"),
        ("stage.completed", "backfill"),
        ("stage.started", "indicators"),
        ("stage.completed", "indicators"),
        ("stage.started", "ingest"),
        ("stage.completed", "ingest"),
        ("ready", None),
        ("stopping", None),
    ]
    (ready,) = world.events("ready")
    assert ready["degraded"] == []
    assert ready["stages"] == {"backfill": 5.0, "indicators": 0.0, "ingest": 1.0}
    assert list(ready["plugins"])[:2] == ["backfill:moon-backfill", "ingest:warm"]
    assert ready["seconds"] == 6.0


def test_plugins_of_one_stage_run_at_once_and_the_next_waits_for_all(world: World) -> None:
    world.stage("slow", backfill=noting(world, "slow", 3), indicators=nothing)
    world.stage("quick", backfill=noting(world, "quick", 1), indicators=noting(world, "next"))
    world.run(until_ready=True)
    stages = [each for each in world.order if each.endswith(("begins", "ends"))]
    assert stages == ["quick begins", "slow begins", "quick ends", "slow ends", "next begins", "next ends"]


def test_stages_of_an_exchange_that_is_not_followed_are_idle(world: World) -> None:
    world.exchange("sun")
    world.stage("sun-backfill", backfill=noting(world, "sun"))
    world.stage("moon-backfill", backfill=noting(world, "moon"))
    world.flags = {"exchanges": {"moon": {"symbols": ["BTC-USD"]}}}
    world.run(until_ready=True)
    assert [each for each in world.order if "begins" in each] == ["moon begins"]


def test_only_the_stages_asked_for_run_in_their_own_order(world: World) -> None:
    for stage in STAGES:
        world.stage(f"p-{stage}", **{stage: noting(world, stage)})
    world.run(until_ready=True, stages=["ingest", "backfill"])
    assert [fields["stage"] for fields in world.events("stage.started")] == ["backfill", "ingest"]


def test_no_exchange_to_follow_is_said_before_anything_opens(world: World) -> None:
    world.exchange("sun")
    world.exchange("mars")
    with pytest.raises(ConfigurationError, match="--exchange; installed: mars, moon, sun"):
        world.run(until_ready=True)
    assert world.order == []


# ---- failures ----


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
def test_an_optional_plugin_that_fails_loses_its_services_and_later_stages_and_nothing_else_P09_P13(
    world: World, error: BaseException
) -> None:
    async def indicators(context: Context) -> None:
        await serving(world, "weak service")(context)
        raise error

    world.stage("weak", indicators=indicators, ingest=noting(world, "weak ingest"))
    world.stage("sound", indicators=serving(world, "sound service"), ingest=noting(world, "sound ingest"))
    assert world.run(until_ready=True) == ExitCode.OK
    assert world.order[2:] == [
        "sound service up",
        "weak service up",
        "weak service down",
        "sound ingest begins",
        "sound ingest ends",
        "sound service down",
        "exchange closed",
        "store closed",
    ]
    (failed,) = world.events("plugin.failed")
    assert (failed["plugin"], failed["distribution"], failed["version"]) == ("weak", "livermore-weak", "1.2")
    assert world.events("ready")[0]["degraded"] == ["weak"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("broken"), ExitCode.INTERNAL),
        (CredentialsError("refused"), ExitCode.CREDENTIALS),
        (ConfigurationError("every symbol is unknown"), ExitCode.CONFIGURATION),
    ],
)
def test_a_required_plugin_that_fails_ends_the_run_and_everything_closes(
    world: World, error: Exception, code: ExitCode
) -> None:
    world.stage("moon-backfill", backfill=failing(error))
    world.stage("sound", backfill=noting(world, "sound", 1000), indicators=noting(world, "never"))
    with pytest.raises(LivermoreError, match=rf"'moon-backfill' \(livermore-moon-backfill 1\.2\).*{error}") as caught:
        world.run()
    assert caught.value.exit_code == code
    assert world.order == ["store opened", "exchange opened", "sound begins", "exchange closed", "store closed"]


def test_a_plugin_that_hangs_is_named_and_left_behind_P10(world: World) -> None:
    world.stage("stuck", indicators=noting(world, "stuck", 10_000))
    world.run(until_ready=True)
    assert [(each["waiting_for"], each["seconds"]) for each in world.events("stage.slow")] == [(["stuck"], 10.0)]
    (failed,) = world.events("plugin.failed")
    assert failed["cause"] == "not done within 60 s"
    assert world.events("ready")[0]["seconds"] == 60.0


def test_a_plugin_that_swallows_its_cancellation_is_abandoned_P12(world: World) -> None:
    async def indicators(context: Context) -> None:
        try:
            await asyncio.sleep(10_000)
        except asyncio.CancelledError:
            await asyncio.sleep(GRACE + 1)

    world.stage("deaf", indicators=indicators)

    async def play() -> float:
        await world.life(until_ready=True)
        ended = asyncio.get_running_loop().time()
        await asyncio.sleep(2 * GRACE)
        return ended

    assert run_virtual(play()) == 60.0 + GRACE
    assert world.events("plugin.unstoppable") == [{"task": "indicators:deaf"}]
    assert world.order[-1] == "store closed"


def test_the_backfill_has_no_deadline_and_is_slow_only_when_nothing_moves(world: World) -> None:
    async def backfill(context: Context) -> None:
        for done in range(10):
            await asyncio.sleep(20)
            context.progress("backfill.progress", done=done)
        await asyncio.sleep(100)

    world.stage("moon-backfill", backfill=backfill)
    world.run(until_ready=True)
    assert [each["seconds"] for each in world.events("stage.slow")] == [30.0, 90.0]
    assert world.events("ready")[0]["seconds"] == 300.0


def test_a_critical_service_that_gives_up_during_a_later_stage_ends_the_run(world: World) -> None:
    async def service(ready: Ready) -> None:
        ready()
        raise OSError("gone")

    async def indicators(context: Context) -> None:
        await context.start(service, name="dying", critical=True)

    world.stage("weak", indicators=indicators)
    world.stage("slow", ingest=noting(world, "ingest", 1000))
    with pytest.raises(LivermoreError, match=r"'weak': service\.given_up: dying: OSError: gone") as caught:
        world.run()
    assert caught.value.exit_code == ExitCode.INTERNAL
    assert world.order == ["store opened", "exchange opened", "ingest begins", "exchange closed", "store closed"]


def test_a_service_that_gives_up_without_being_critical_degrades_the_run(world: World) -> None:
    async def service(ready: Ready) -> None:
        ready()
        raise OSError("gone")

    async def indicators(context: Context) -> None:
        await context.start(service, name="dying")

    world.stage("weak", indicators=indicators)
    assert world.run(until=500) == ExitCode.OK
    assert [each["service"] for each in world.events("service.given_up")] == ["dying"]


def test_a_store_held_by_another_instance_is_told_as_it_is_P22(world: World) -> None:
    world.open_error = StoreHeldError("held by pid 7")
    with pytest.raises(StoreHeldError, match="held by pid 7"):
        world.run()


def test_a_store_that_raises_anything_else_is_named_with_its_distribution(world: World) -> None:
    world.open_error = ZeroDivisionError("division")
    with pytest.raises(LivermoreError, match=r"store 'memory' \(livermore-memory 1\.2\).*ZeroDivisionError: division"):
        world.run()


# ---- endings ----


def test_not_ready_in_time_names_who_is_waited_for_and_exits_69(world: World) -> None:
    world.stage("moon-backfill", backfill=noting(world, "backfill", 1000))
    with pytest.raises(UnavailableError, match=r"not ready within 10 s: waiting for moon-backfill.*doctor") as caught:
        world.run(within=10, until_ready=True)
    assert caught.value.exit_code == ExitCode.UNAVAILABLE
    assert world.order[-2:] == ["exchange closed", "store closed"]


def test_ready_in_time_goes_on_beyond_it(world: World) -> None:
    assert world.run(within=10, until=1000) == ExitCode.OK
    assert [event for event, _ in world.said][-2:] == ["ready", "stopping"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_backfill_ends_in_order_P01(world: World, number: signal.Signals) -> None:
    async def backfill(context: Context) -> None:
        os.kill(os.getpid(), number)
        await asyncio.sleep(1000)

    world.stage("moon-backfill", backfill=backfill)
    assert world.run() == ExitCode.OK
    assert world.events("stopping") == [{"cause": number.name}]
    assert world.order[-2:] == ["exchange closed", "store closed"]


def test_a_second_interrupt_leaves_at_once_with_130_P03(world: World) -> None:
    left: list[int] = []

    async def service(ready: Ready) -> None:
        ready()
        try:
            await asyncio.Event().wait()
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0.1)

    async def ingest(context: Context) -> None:
        await context.start(service, name="last")
        os.kill(os.getpid(), signal.SIGINT)

    world.stage("p", ingest=ingest)
    world.run(leave=left.append)
    assert left == [ExitCode.INTERRUPTED]


def test_services_that_ignore_their_end_do_not_hold_the_shutdown_P12_V2(world: World) -> None:
    async def ingest(context: Context) -> None:
        for number in range(12):
            await serving(world, f"s{number}", stays=100)(context)

    world.stage("deaf", ingest=ingest)

    async def play() -> float:
        await world.life(until=50)
        ended = asyncio.get_running_loop().time() - 50
        await asyncio.sleep(200)
        return ended

    assert run_virtual(play()) < 10
    assert len(world.events("service.unstoppable")) == 12
    assert world.order[-2:] == ["exchange closed", "store closed"]


def test_the_limits_of_a_shutdown_add_up_to_less_than_its_bound_P02() -> None:
    from livermore_core.ending import SHUTDOWN_WITHIN
    from livermore_core.services import LEAST_GRACE, STOP_WITHIN

    stage_then_services_then_client_then_store = GRACE + STOP_WITHIN + 20 * LEAST_GRACE + GRACE + GRACE
    assert stage_then_services_then_client_then_store <= SHUTDOWN_WITHIN


# ---- the status row ----


def test_the_status_row_follows_the_run(world: World) -> None:
    rows: list[tuple[float, str, Any]] = []

    async def write_status(row: Mapping[str, Any]) -> None:
        rows.append((asyncio.get_running_loop().time(), row["state"], row["stage"]))

    world.store.write_status = write_status  # type: ignore[method-assign]
    world.stage("moon-backfill", backfill=noting(world, "backfill", 12))
    world.stage("warm", indicators=noting(world, "warm", 2))
    world.run(until=30)
    states = dict.fromkeys(state for _, state, _ in rows if state != "STOPPING")  # may be over before it is written
    assert list(states) == ["STARTING", "BACKFILLING", "WARMING", "DEGRADED", "STOPPED"]
    moments = [moment for moment, _, _ in rows]
    assert max(later - earlier for earlier, later in pairwise(moments)) <= 5.5


def test_the_whole_with_an_exchange_in_memory_is_live_and_says_so(world: World) -> None:
    async def play() -> dict[str, Any]:
        world.client = MemoryExchange({"BTC-USD": 2.0}, start=NOW, history=86_400.0, until=NOW + 3600)
        settings_task = asyncio.create_task(world.life(until=900))
        await asyncio.sleep(890)
        row = await world.store.read_status()
        await settings_task
        assert row is not None
        return row

    async def backfill(context: Context) -> None:
        await context.backfill("moon")

    async def ingest(context: Context) -> None:
        await context.ingest("moon")

    world.stage("moon-backfill", backfill=backfill)
    world.stage("moon-ingest", ingest=ingest)
    world.flags = {"exchanges": {"moon": {"symbols": ["btc-usd"]}}, "depth": 20}
    row = run_virtual(play())
    assert (row["state"], row["reasons"]) == ("LIVE", {})
    (exchange,) = row["exchanges"]
    assert (exchange["name"], exchange["symbols"], exchange["seam_closed"]) == ("moon", ["BTC-USD"], True)
    assert "pid" in row
    assert run_virtual(world.store.read_status())["state"] == "STOPPED"  # type: ignore[index]


def test_an_exchange_that_cannot_be_reached_is_waited_for_said_with_the_mend_and_given_up_only_when_asked(
    world: World,
) -> None:
    async def backfill(context: Context) -> None:
        await context.backfill("moon")

    async def play(**options: Any) -> dict[str, Any] | None:
        world.client = MemoryExchange({"BTC-USD": 2.0}, start=NOW, history=3600.0, until=NOW + 60)
        world.client.down = True
        await world.life(**options)
        return await world.store.read_status()

    world.stage("moon-backfill", backfill=backfill)
    world.stage("after", indicators=noting(world, "after"))
    with pytest.raises(UnavailableError, match=r"moon cannot be reached: connection refused; .*livermore demo"):
        run_virtual(play(until_ready=True, within=10))
    row = run_virtual(play(until=10_000))
    assert row is not None
    assert (row["stage"], row["reasons"]) == ("backfill", {"moon": "exchange.unavailable"})
    assert "livermore doctor" in world.events("exchange.unavailable")[0]["mend"]
    assert "after begins" not in world.order


class SharedStore(MemoryStore):
    """A store in memory that several processes could share: `free` is set once this one may write."""

    def __init__(self) -> None:
        super().__init__()
        self.free = asyncio.Event()
        self.claims: list[tuple[frozenset[str], bool]] = []
        self.say: Callable[[str, Mapping[str, Any]], None] = lambda event, fields: None
        self.trouble = Trouble("store.error", lambda event, fields: self.say(event, fields))
        self.broken: asyncio.Future[None] = asyncio.Future()

    async def claim(self, roles: frozenset[str], *, wait: bool) -> None:
        self.claims.append((roles, wait))
        if not wait and not self.free.is_set():
            raise StoreHeldError("memory: held by another")
        await self.free.wait()
        # As each opening has its own.
        self.broken = asyncio.get_running_loop().create_future()

    def hurry(self) -> None:
        self.free.set()


async def with_shared(
    world: World, seconds: float, act: Callable[[SharedStore], None], store: SharedStore | None = None, **options: Any
) -> SharedStore:
    """A run on a shared store of `seconds`; `act` is done to the store after 5 s."""
    world.store = store = store or SharedStore()
    world.stage("stages", backfill=noting(world, "backfill"), ingest=noting(world, "ingest"))
    asyncio.get_running_loop().call_later(5.0, act, store)
    await world.life(seconds, **options)
    return store


def test_a_run_stands_by_until_the_shared_store_is_its_own_and_opens_no_exchange_before_P22(world: World) -> None:
    rows: list[Any] = []

    def let_in(store: SharedStore) -> None:
        rows.append(store._status)
        assert world.order == ["store opened"]
        store.free.set()

    store = run_virtual(with_shared(world, 60.0, let_in))
    assert store.claims == [(frozenset({"candles", "values"}), True)]
    assert rows[0]["state"] == "STANDBY"
    assert world.order[1:4] == ["exchange opened", "backfill begins", "backfill ends"]
    assert world.events("ready")[0]["seconds"] < 1.0


def test_a_run_that_does_not_stand_by_is_refused_P22(world: World) -> None:
    with pytest.raises(StoreHeldError, match="held by another"):
        run_virtual(with_shared(world, 60.0, lambda store: None, standby=False))
    assert "exchange opened" not in world.order


def test_a_store_that_forgot_is_read_anew_by_the_same_run_D30(world: World) -> None:
    def forget(store: SharedStore) -> None:
        store.broken.set_exception(StoreLostError("store.lost: all of it"))

    def let_in_and_forget(store: SharedStore) -> None:
        store.free.set()
        asyncio.get_running_loop().call_later(5.0, forget, store)

    run_virtual(with_shared(world, 60.0, let_in_and_forget))
    assert world.order.count("backfill ends") == 2
    assert [fields["cause"] for fields in world.events("store.lost")] == ["store.lost: all of it"]
    (over,) = world.events("store.refilled")
    assert (over["reason"], over["times"]) == ("store.lost", 1)
    assert len(world.events("ready")) == 2
    assert world.order.count("store opened") == world.order.count("store closed") == 2


class Unfit(SharedStore):
    """One whose server is not fit for a store the next `times` that somebody claims it."""

    times = 0

    async def claim(self, roles: frozenset[str], *, wait: bool) -> None:
        if self.times:
            self.times -= 1
            raise ConfigurationError("store.evicting: it drops candles")
        await super().claim(roles, wait=wait)


async def with_unfit(world: World, times: int) -> SharedStore:
    """A run whose server is not fit the first `times`, and after 5 s has lost something and is not fit thrice."""

    def turn(store: SharedStore) -> None:
        unfit.times = 3
        store.broken.set_exception(StoreLostError("store.lost: some of it"))

    unfit = Unfit()
    unfit.times = times
    unfit.free.set()
    return await with_shared(world, 60.0, turn, unfit)


def test_a_server_that_is_fit_no_more_is_waited_for_D29(world: World) -> None:
    assert len(run_virtual(with_unfit(world, 0)).claims) == 2
    assert [fields["reason"] for fields in world.events("store.error")] == ["store.evicting"]
    assert (len(world.events("store.well")), len(world.events("ready"))) == (1, 2)


def test_a_server_that_never_was_fit_ends_the_start_D29(world: World) -> None:
    with pytest.raises(ConfigurationError, match="it drops candles"):
        run_virtual(with_unfit(world, 1))


def test_a_run_that_was_fenced_ends_with_75_P23(world: World) -> None:
    def let_in_and_fence(store: SharedStore) -> None:
        store.free.set()
        fenced = StoreHeldError("memory: another took over")
        asyncio.get_running_loop().call_later(5.0, lambda: store.broken.set_exception(fenced))

    with pytest.raises(StoreHeldError, match="another took over") as caught:
        run_virtual(with_shared(world, 60.0, let_in_and_fence))
    assert caught.value.exit_code == ExitCode.HELD


def test_indicators_apart_begin_anew_where_the_other_process_follows_something_else_now(world: World) -> None:
    world.stage("indicators", indicators=nothing)

    def follow(store: SharedStore, *symbols: str) -> None:
        moon = {"name": "moon", "symbols": symbols, "timeframes": ["1m"]}
        store._status = {"state": "LIVE", "exchanges": [moon], "holds": ["candles"], "heartbeat_epoch": time.time()}

    def other_process(store: SharedStore) -> None:
        store.free.set()
        store.write_status = nothing  # type: ignore[method-assign]
        follow(store, "A-USD")
        asyncio.get_running_loop().call_later(5.0, follow, store, "A-USD", "B-USD")

    run_virtual(with_shared(world, 20.0, other_process, stages=("indicators",)))
    assert [fields["reason"] for fields in world.events("store.lost")] == ["ingest.changed"]
    assert len(world.events("ready")) == 2


def test_indicators_apart_wait_for_the_process_that_keeps_the_candles_and_hear_what_it_announces(world: World) -> None:
    heard: list[str] = []

    async def listen(context: Context) -> None:
        moon = context.exchange("moon")
        assert (moon.name, moon.symbols, moon.timeframes) == ("moon", ("A-USD",), ("1m",))

        async def service(ready: Ready) -> None:
            with context.subscribe() as announced:
                ready()
                while True:
                    heard.extend(event.kind for event in await announced.get())

        await context.start(service, name="listener")

    world.stage("indicators", indicators=listen)

    def other_process(store: SharedStore) -> None:
        store.free.set()
        moon = {"name": "moon", "symbols": ["A-USD"], "timeframes": ["1m"]}
        row = {"state": "LIVE", "exchanges": [moon], "holds": ["candles"], "heartbeat_epoch": time.time()}
        store.write_status = nobody  # type: ignore[method-assign]
        change = SeriesChange(series=Series("moon", "A-USD", "1m"), covered=[(0, 60)])
        gap = Event(kind="candle.gap", exchange="moon", symbol="A-USD", timeframe="1m", time=60, until=120)
        batch = Batch(changes=[change], events=[gap])
        loop = asyncio.get_running_loop()
        loop.call_later(3.0, setattr, store, "_status", row)
        loop.call_later(9.0, lambda: tasks.append(loop.create_task(store.transact(batch))))

    tasks: list[Any] = []

    async def nobody(row: Any) -> None:
        return None

    store = run_virtual(with_shared(world, 20.0, other_process, stages=("indicators",)))
    assert store.claims == [(frozenset({"values"}), True)]
    assert heard == ["candle.gap"]
    assert "exchange opened" not in world.order
    assert [fields["reason"] for fields in world.events("ingest.present")] == ["ingest.absent"]
