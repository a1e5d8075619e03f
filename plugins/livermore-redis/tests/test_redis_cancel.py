"""Whoever waits for a server can be cancelled at any moment, also where redis-py forgets that it was."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from livermore_redis.connection import cancellable


@pytest.mark.parametrize("harm", [None, ConnectionError()])
async def test_a_cancellation_that_comes_with_the_answer_is_not_lost_P06(harm: Exception | None) -> None:
    async def answers() -> str:
        answer = asyncio.ensure_future(asyncio.sleep(0, "answer"))
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            if harm is not None:
                raise harm from None
            return await answer  # as `wait_for` does

    async def ask_again() -> None:
        for _ in range(1000):
            with suppress(ConnectionError):
                await cancellable(answers)

    task = asyncio.ensure_future(ask_again())
    await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=5)
    assert done == {task}
    assert task.cancelled()
