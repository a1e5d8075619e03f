"""The plain twin of a market: the same methods without await, on an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from functools import wraps
from threading import Thread
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

from livermore_core.consumer.events import Events, Update
from livermore_core.consumer.market import CLOSED, Market, connect

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")


def connect_sync(url: str | None = None) -> SyncMarket:
    """A store without asyncio, for scripts and notebooks: `with connect_sync(url) as market`, or `market.close()`.

    Raises what `connect` raises.
    """
    return SyncMarket(url)


def _plain(
    method: Callable[Concatenate[Market, Parameters], Coroutine[Any, Any, Answer]],
) -> Callable[Concatenate[SyncMarket, Parameters], Answer]:
    @wraps(method)
    def call(self: SyncMarket, /, *arguments: Parameters.args, **named: Parameters.kwargs) -> Answer:
        return self.run(method(self._market, *arguments, **named))

    return call


def _iterated(
    method: Callable[Concatenate[Market, Parameters], Events],
) -> Callable[Concatenate[SyncMarket, Parameters], SyncEvents]:
    @wraps(method)
    def call(self: SyncMarket, /, *arguments: Parameters.args, **named: Parameters.kwargs) -> SyncEvents:
        return SyncEvents(self, method(self._market, *arguments, **named))

    return call


class SyncMarket:
    """What a Market does, said plainly. It may be used where a loop is running, as in a cell of a notebook."""

    def __init__(self, url: str | None = None) -> None:
        self._opened: Future[Any] = Future()
        self._ended: Future[Any] = Future()
        # Who forgets to close it is not kept from leaving.
        self._thread = Thread(target=self._live, args=(url,), name="livermore-market", daemon=True)
        self._thread.start()
        wait((self._opened, self._ended), return_when=FIRST_COMPLETED)
        if self._ended.done():
            self._ended.result()
        self._market: Market = self._opened.result()

    candles = _plain(Market.candles)
    indicators = _plain(Market.indicators)
    events = _iterated(Market.events)
    cursor = _plain(Market.cursor)
    series = _plain(Market.series)

    def close(self) -> None:
        """Close the store. Closing twice is no mistake."""
        if not self._ended.done():
            self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()
        self._ended.result()

    def run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """Wait for work on the loop of the market; what ends the wait, as Ctrl-C does, ends the work."""
        if self._ended.done():
            work.close()
            raise RuntimeError(CLOSED)
        answer = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return answer.result()
        except CancelledError:
            raise RuntimeError(CLOSED) from None
        finally:
            answer.cancel()

    def __enter__(self) -> SyncMarket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _live(self, url: str | None) -> None:
        try:
            asyncio.run(self._stay_open(url))
        except BaseException as error:  # it is raised where somebody waits
            self._ended.set_exception(error)
        else:
            self._ended.set_result(None)

    async def _stay_open(self, url: str | None) -> None:
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        async with connect(url) as market:
            self._opened.set_result(market)
            await self._closing.wait()


class SyncEvents:
    """A plain iterator of updates, with the `cursor` to go on from. It holds nothing open: a loop may be left."""

    def __init__(self, market: SyncMarket, events: Events) -> None:
        self._market, self._events = market, events

    @property
    def cursor(self) -> str | None:
        """Where to go on, as of Events."""
        return self._events.cursor

    def __iter__(self) -> SyncEvents:
        return self

    def __next__(self) -> Update:
        update = self._market.run(self._next())
        if update is None:
            raise StopIteration
        return update

    async def _next(self) -> Update | None:
        return await anext(self._events, None)
