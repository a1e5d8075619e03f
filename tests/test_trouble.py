"""What is out of order is said once, once a minute with what was left out, and once more when it has ended (G3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest

from livermore_core.exchange.trouble import PAIRS, Trouble, reason_of
from livermore_core.reporting import is_alarm
from livermore_core.testing import run_virtual

Said = list[tuple[float, str, Mapping[str, Any]]]


def said(settles: float, act: Callable[[Trouble], Coroutine[Any, Any, None]]) -> Said:
    """What is said of it, with the second, by `act` and the hour after it."""

    async def play() -> Said:
        loop, lines = asyncio.get_running_loop(), Said()
        trouble = Trouble(
            "store.error",
            lambda event, fields: lines.append((loop.time(), event, fields)),
            settles=settles,
            exchange="m",
        )
        await act(trouble)
        await asyncio.sleep(3600.0)
        return lines

    return run_virtual(play())


def test_reminders_come_once_a_minute_and_what_is_left_out_adds_up_L3() -> None:
    async def act(trouble: Trouble) -> None:
        for _ in range(100):
            trouble.bad("store.full", "no room")
            await asyncio.sleep(1.3)
        assert trouble.reason == "store.full"
        trouble.well()
        assert trouble.reason == ""

    first, reminder, second, end = said(0.0, act)
    assert first == (
        0.0,
        "store.error",
        {"exchange": "m", "reason": "store.full", "cause": "no room", "seconds": 0.0, "suppressed": 0},
    )
    assert [line[1] for line in (reminder, second)] == ["store.error"] * 2
    assert reminder[0] >= 60.0
    assert second[0] - reminder[0] >= 60.0
    assert (reminder[2]["suppressed"], second[2]["suppressed"]) == (46, 46)
    assert end == (
        pytest.approx(130.0),
        "store.well",
        {"exchange": "m", "reason": "store.full", "seconds": 130.0, "times": 100},
    )


def test_what_comes_back_before_it_has_settled_is_the_same_trouble_G3() -> None:
    async def act(trouble: Trouble) -> None:
        for pause in (5.0, 9.0, 8.0):
            trouble.bad("store.error")
            trouble.well()
            await asyncio.sleep(pause)
            assert trouble.since == 0.0
        trouble.bad("store.error")
        trouble.well()

    begun, ended = said(10.0, act)
    assert begun[:2] == (0.0, "store.error")
    assert ended[:2] == (32.0, "store.well")
    assert (ended[2]["seconds"], ended[2]["times"]) == (22.0, 4)


def test_nothing_is_said_of_what_was_never_bad_or_is_gone() -> None:
    async def act(trouble: Trouble) -> None:
        trouble.well()
        trouble.bad("store.error")
        trouble.well()
        trouble.drop()

    assert [event for _, event, _ in said(10.0, act)] == ["store.error"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("net.timeout: GET /time: no whole answer in time", "net.timeout"),
        ("ws.closed 1001", "ws.closed"),
        ("ws.sub_no_ack", "ws.sub_no_ack"),
        ("503 Service Unavailable", "otherwise"),
        ("connection refused: net.timeout", "otherwise"),
        ("", "otherwise"),
    ],
)
def test_the_code_that_leads_the_text_of_an_error_is_its_reason(text: str, code: str) -> None:
    assert reason_of(text, "otherwise") == code


def test_a_beginning_is_a_warning_and_an_end_is_none_H4() -> None:
    assert all(is_alarm(event) and not is_alarm(end) for event, end in PAIRS.items())
