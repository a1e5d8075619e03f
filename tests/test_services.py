"""Supervised services on virtual time: ready, restart, giving up, stopping in reverse."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest

from livermore_core.services import GRACE, Services
from livermore_core.testing.virtual_time import run_virtual

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


@pytest.mark.parametrize(("error", "text"), [(ValueError("no"), "no"), (None, "without calling ready")])
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

    assert scene(act).said == ["service.failed dying"] * 4 + ["service.given_up dying"]
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

    assert set(scene(act).said) == {"service.failed tired"}


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
