"""Supervised services on virtual time: ready, restart, giving up, stopping in reverse."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest

from livermore_core.services import GRACE, Services
from livermore_core.testing import run_virtual

Ready = Callable[[], None]


class Scene:
    """Services and what they reported."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.services = Services(lambda event, fields: self.said.append(f"{event} {fields['service']}"))


def scene(act: Callable[[Scene], Coroutine[Any, Any, None]]) -> Scene:
    async def play() -> Scene:
        stage = Scene()
        await act(stage)
        return stage

    return run_virtual(play())


def test_start_returns_when_the_service_is_ready() -> None:
    order: list[str] = []

    async def service(ready: Ready) -> None:
        await asyncio.sleep(5)
        order.append("up")
        ready()
        await asyncio.Event().wait()

    async def act(stage: Scene) -> None:
        await stage.services.start("plugin", service, name="slow")
        order.append("started")
        await stage.services.stop()

    scene(act)
    assert order == ["up", "started"]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no"), "no"),
        (ExceptionGroup("a task group says nothing", [ValueError("no")]), "no"),
        (None, "without calling ready"),
    ],
)
def test_a_failed_start_raises(error: Exception | None, text: str) -> None:
    async def service(ready: Ready) -> None:
        if error is not None:
            raise error

    async def act(stage: Scene) -> None:
        with pytest.raises((ValueError, RuntimeError), match=text):
            await stage.services.start("plugin", service, name="bad")

    assert scene(act).said == []


def test_a_service_that_dies_is_restarted_then_given_up_and_a_critical_one_ends_the_run_P18() -> None:
    lives: list[float] = []

    async def service(ready: Ready) -> None:
        lives.append(asyncio.get_running_loop().time())
        ready()
        raise OSError("gone")

    async def act(stage: Scene) -> None:
        await stage.services.start("plugin", service, name="dying", critical=True)
        with pytest.raises(OSError, match="gone"):
            await stage.services.broken

    assert scene(act).said == ["service.failed dying", "service.given_up dying"]
    assert len(lives) == 5
    assert all(later - earlier >= 0.5 for earlier, later in pairwise(lives))


def test_health_in_between_starts_the_count_anew() -> None:
    async def service(ready: Ready) -> None:
        ready()
        await asyncio.sleep(100)
        raise OSError("now and then")

    async def act(stage: Scene) -> None:
        await stage.services.start("plugin", service, name="tired", critical=True)
        await asyncio.sleep(10_000)
        assert not stage.services.broken.done()
        await stage.services.stop()

    said = scene(act).said
    assert said[:2] == ["service.failed tired", "service.restored tired"]
    assert set(said[::2]) == {"service.failed tired"}
    assert set(said[1::2]) == {"service.restored tired"}


def test_sys_exit_in_a_service_is_a_failure_like_any_other_P13() -> None:
    async def service(ready: Ready) -> None:
        ready()
        raise SystemExit(3)

    async def act(stage: Scene) -> None:
        await stage.services.start("plugin", service, name="leaving")
        await asyncio.sleep(1000)
        assert "leaving" in stage.services.failed
        assert not stage.services.broken.done()

    assert scene(act).said[-1] == "service.given_up leaving"


def test_services_stop_newest_first_and_one_that_stays_is_named_P12() -> None:
    order: list[str] = []

    def service(name: str, stays: bool = False) -> Callable[[Ready], Coroutine[Any, Any, None]]:
        async def life(ready: Ready) -> None:
            ready()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                order.append(name)
                if stays:
                    await asyncio.sleep(1.5 * GRACE)

        return life

    async def act(stage: Scene) -> None:
        await stage.services.start("a", service("first"), name="first")
        await stage.services.start("b", service("stays", stays=True), name="stays")
        await stage.services.start("a", service("last"), name="last")
        await stage.services.stop("b")
        await stage.services.stop()
        await asyncio.sleep(GRACE)

    assert scene(act).said == ["service.unstoppable stays"]
    assert order == ["stays", "last", "first"]


def test_a_service_that_cancels_itself_is_restarted_like_any_that_fails_P18() -> None:
    async def service(ready: Ready) -> None:
        ready()
        raise asyncio.CancelledError

    async def act(stage: Scene) -> None:
        await stage.services.start("plugin", service, name="quitting")
        await asyncio.sleep(1000)

    running = scene(act)
    assert running.said == ["service.failed quitting", "service.given_up quitting"]
    assert running.services.failed_owners == {
        "plugin": "service.given_up: quitting: RuntimeError: the service cancelled itself"
    }


def test_nothing_starts_any_more_for_a_plugin_that_was_stopped() -> None:
    async def service(ready: Ready) -> None:
        ready()
        await asyncio.Event().wait()

    async def act(stage: Scene) -> None:
        await stage.services.stop("weak")
        with pytest.raises(RuntimeError, match="weak has been stopped"):
            await stage.services.start("weak", service, name="late")
        await stage.services.start("sound", service, name="well")
        await stage.services.stop()
        with pytest.raises(RuntimeError, match="comes too late"):
            await stage.services.start("sound", service, name="late")

    scene(act)


def test_whoever_waits_for_a_service_that_is_stopped_before_it_was_ready_is_told() -> None:
    async def service(ready: Ready) -> None:
        await asyncio.Event().wait()

    async def act(stage: Scene) -> None:
        async def start() -> None:
            with pytest.raises(RuntimeError, match="stopped before it was ready"):
                await stage.services.start("plugin", service, name="slow")

        async with asyncio.TaskGroup() as group:
            group.create_task(start())
            await asyncio.sleep(1)
            await stage.services.stop("plugin")

    scene(act)


def test_the_pause_before_a_restart_grows_to_a_minute_and_no_further() -> None:
    pauses: list[float] = []

    async def service(ready: Ready) -> None:
        ready()
        pauses.append(asyncio.get_running_loop().time())
        raise OSError("gone")

    async def act(stage: Scene) -> None:
        await stage.services.start("plugin", service, name="dying")
        await asyncio.sleep(1000)

    scene(act)
    for attempt, (earlier, later) in enumerate(pairwise(pauses), start=1):
        assert 0.25 * 2**attempt <= later - earlier <= 0.5 * 2**attempt


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
def test_bounded_work_returns_what_it_raised_and_takes_nothing_down_P13(error: BaseException) -> None:
    async def work() -> None:
        raise error

    async def act(stage: Scene) -> None:
        found = await stage.services.bounded(work(), name="work", within=1)
        assert isinstance(found, ValueError if isinstance(error, ValueError) else RuntimeError)

    scene(act)


def test_bounded_work_ends_at_its_limit_and_with_its_caller() -> None:
    ended: list[float] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(asyncio.get_running_loop().time())

    async def act(stage: Scene) -> None:
        found = await stage.services.bounded(work(), name="work", within=5)
        assert isinstance(found, TimeoutError)
        assert str(found) == "not done within 5 s"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await stage.services.bounded(work(), name="work", within=None)

    scene(act)
    assert ended == [5.0, 7.0]
