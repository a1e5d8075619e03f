"""The store on Redis: candles, coverage, values, log and status below one prefix, shared by several programs."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import islice
from typing import Any

import msgspec

from livermore_core import (
    Batch,
    Candle,
    ConfigurationError,
    Event,
    IndicatorValue,
    Intervals,
    Series,
    StoreError,
    StoreLostError,
    Trouble,
    width,
)
from livermore_redis.address import address_of
from livermore_redis.connection import Answer, Server, asked, connected
from livermore_redis.cursors import Cursor
from livermore_redis.failures import ERRORS, failure, reason_of
from livermore_redis.health import Advice, advice, evictions
from livermore_redis.knowledge import Knowledge
from livermore_redis.layout import ROLES, Layout, series_of
from livermore_redis.lease import PATIENCE, RENEW_EVERY, Lease
from livermore_redis.log import Log
from livermore_redis.making import found
from livermore_redis.packing import BLOCK, candles, coverage_of
from livermore_redis.processes import Processes
from livermore_redis.writer import Writer

# Events of each log; there are two in each shard.
EVENTS_KEPT = 10_000
# How long a reader asks a server that cannot answer. A writer has nothing better to do.
READER_PATIENCE = 5.0
LAST_PATIENCE = 1.0
CANCEL_EVERY = 0.2
# How often the server is looked at, in renewals of the lease.
LOOK_EVERY = 10
# Beyond every block.
FAR = 1 << 50


@asynccontextmanager
async def open_store(url: str, *, read_only: bool = False, on_corrupt: str = "rebuild") -> AsyncIterator[RedisStore]:
    """Open the store at a URL (see `address_of`). A writer must `claim` before it writes.

    Raises ConfigurationError, CredentialsError; StoreAbsentError where there is nothing to read yet; StoreBusyError
    where the server cannot be asked.
    """
    async with connected(address_of(url)) as server:
        patience = READER_PATIENCE if read_only else PATIENCE
        store = RedisStore(server, await found(server, patience, make=not read_only), patience)
        try:
            yield store
        finally:
            await store.close()


class RedisStore:
    """Implements CandleStore. `commits` counts round trips of writing; `broken` gets what ends a run that writes.

    `say` is told what happens, by event name and fields; `trouble` is what is out of order now.
    """

    def __init__(self, server: Server, settled: tuple[str, Layout], patience: float) -> None:
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.say: Callable[[str, Mapping[str, Any]], None] = lambda event, fields: None
        self.trouble = Trouble("store.error", lambda event, fields: self.say(event, fields), settles=3.0, part="redis")
        self._server, self._patience = server, patience
        self._generation, self._layout = settled
        self._lease = Lease(server, self._layout)
        self._log = Log(server, self._layout, self._generation, self._asked)
        self._knowledge = Knowledge(server, self._layout, self._log, self._asked)
        self._processes = Processes(server, self._layout, self._lease.owner, self._asked)
        self._writer = Writer(server, self._layout, self._lease, self._generation, self.trouble)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._writing: asyncio.Task[None] | None = None
        self._roles: tuple[str, ...] = ()
        self._warned: set[str] = set()
        self._evictions = 0

    @property
    def commits(self) -> int:
        """How many round trips of writing there were."""
        return self._writer.commits

    def shard(self, symbol: str) -> int:
        """Series of one shard change together; what touches several is written shard by shard."""
        return self._layout.shard(symbol)

    # ---- writing ----

    async def claim(self, roles: Collection[str] = ROLES, *, wait: bool = False) -> None:
        """Become the one writer of these roles; with `wait`, as soon as whoever it is now has gone.

        Raises ConfigurationError where the server may drop what it is given, StoreHeldError.
        """
        for task in self._tasks:
            task.cancel()  # of a claim that failed
        for level, text in await asked(self._server, lambda: advice(self._server), patience=self._patience):
            if level == "fail":
                raise ConfigurationError(f"{text} ({self._server.where})")
            self._warn(level, text)
        self._evictions = await asked(self._server, lambda: evictions(self._server), patience=self._patience)
        await self._lease.claim(roles, wait=wait, say=self.say, trouble=self.trouble)
        self._patience, self._roles = math.inf, tuple(role for role in ROLES if role in roles)
        # It goes on while what is there is read, which may take longer than a lease.
        self._start(self._keep()).add_done_callback(self._ended)
        await self._read()
        self._writing = self._start(self._writer.run())
        self._writing.add_done_callback(self._ended)

    def _start(self, work: Coroutine[Any, Any, Answer]) -> asyncio.Task[Answer]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _read(self) -> None:
        """What the server knows. Raises StoreLostError where it is another store than the one that was opened."""
        if (await found(self._server, self._patience, make=True))[0] != self._generation:
            raise StoreLostError(f"store.lost: {self._server.where}: the store was made anew since it was opened")
        writer = self._writer
        writer.known = await self._knowledge.coverage()
        places, writer.streams = await self._knowledge.streams(self._lease.epochs)
        writer.head = Cursor(self._generation, places)
        lost = [series for series in await self._knowledge.evicted(writer.known) if self._holds(series)]
        for series in lost:
            # What was known of them is known no more.
            stream = self._layout.stream(series, "candles")
            keys = [self._layout.head(stream), self._layout.coverage(self._layout.shard(series.symbol))]
            await writer.held("DROP", stream, keys, [str(series)])
            writer.known.pop(series)
        if lost:
            self.say("store.lost", {"series": len(lost), "cause": "their candles are gone from the server"})
        await self._processes.tidy(self._roles)

    def _holds(self, series: Series) -> bool:
        return self._layout.stream(series, "candles") in self._writer.streams

    async def transact(self, batch: Batch) -> str:
        """Make the batch durable, all of a shard at once."""
        if self._writing is None or self._writing.done():
            raise StoreError(f"{self._server.where}: this process does not hold the store")
        return await self._writer.transact(batch)

    async def trim(self, keep: Mapping[str, int], events: int | None = None) -> int:
        """Keep the newest candles of each series, and the newest events of each log, also where who asked is cancelled.

        What is known must not part from what there is.
        """
        return await asyncio.shield(self._start(self._trim(keep, EVENTS_KEPT if events is None else events)))

    async def _trim(self, keep: Mapping[str, int], events: int) -> int:
        gone = 0
        for series in list(self._writer.known):
            if series.timeframe in keep and self._holds(series):
                gone += await self._trim_series(series, keep[series.timeframe])
        for number, stream in self._writer.streams.items():
            await self._writer.held("FORGET", number, [self._layout.head(number), self._layout.log(number)], [events])
            stream.told = dict.fromkeys(islice(stream.told, max(0, len(stream.told) - events), None))
        for number, end in enumerate(await self._log.ends()):
            if number not in self._writer.streams:
                # Who writes it forgets too: a cursor from here must not stay behind.
                self._writer.head.move(number, end.last)
        return gone

    async def _trim_series(self, series: Series, keep: int) -> int:
        layout, number = self._layout, self._layout.stream(series, "candles")
        keys = [layout.head(number), layout.candles(series), layout.coverage(layout.shard(series.symbol))]
        answer = await self._writer.held("TRIM", number, keys, [str(series), keep, width(series.timeframe)])
        if len(answer) > 2:
            # Nothing is awaited since the lock was held: the next commit builds on this.
            self._writer.known[series] = coverage_of(answer[2])
        return int(answer[1])

    async def check(self) -> None:
        """Whether all is there that should be. Raises StoreLostError where the server has dropped some of it."""
        if self._writing is None:
            return
        # Between commits: what one is about to make is not missing.
        async with self._writer.alone:
            lost = await self._knowledge.missing(self._writer.known, self._writer.streams)
        if lost:
            raise StoreLostError(f"store.lost: {self._server.where}: {lost[0]} is gone, {len(lost)} keys in all")

    async def advice(self) -> list[Advice]:
        """What `doctor` says of the server."""
        return list(await asked(self._server, lambda: advice(self._server), patience=self._patience))

    async def _keep(self) -> None:
        """Renew the lease, send again what the server forgot, and look now and then whether it has begun to evict."""
        count = 0
        while True:
            await asyncio.sleep(RENEW_EVERY)
            try:
                await self._writer.renew()
                count += 1
                if count % LOOK_EVERY == 0:
                    await self._look()
                self.trouble.well()
            except ERRORS as error:
                self.trouble.bad(reason_of(error), failure(self._server.where, error))

    async def _look(self) -> None:
        """Warn of what is not well with the server; where it has evicted anything, see whether that was ours."""
        for level, text in await advice(self._server):
            self._warn(level, text)
        evicted = await evictions(self._server)
        if evicted != self._evictions:
            self._evictions = evicted
            await self.check()

    def _warn(self, level: str, text: str) -> None:
        if level != "ok" and text not in self._warned:
            self._warned.add(text)
            self.say("store.warning", {"store": self._server.where, "cause": text})

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not self.broken.done():
            self.broken.set_exception(error)
            self.broken.exception()  # nobody may be listening
        if task is self._writing or error is not None:
            # Afterwards, so that the run ends for the reason that it has, not for what its parts make of it.
            why = error if isinstance(error, StoreError) else StoreError(f"{self._server.where}: the store is closed")
            asyncio.get_running_loop().call_soon(self._writer.end, why)

    def hurry(self) -> None:
        """The run is ending: a server that does not answer is not waited for any longer."""
        self._patience = min(self._patience, LAST_PATIENCE)
        if self.trouble.since is not None and self._writing is not None:
            self._writing.cancel()

    async def close(self) -> None:
        """Write no more, and let others in."""
        while self._tasks:
            # Again and again: a cancellation may meet what takes it for the end of its own time.
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks, timeout=CANCEL_EVERY)
        self.trouble.drop()
        self._patience = min(self._patience, LAST_PATIENCE)
        with suppress(*ERRORS, StoreError):
            async with asyncio.timeout(LAST_PATIENCE):
                if not self._roles:
                    await self._processes.leave()
                await self._lease.release()

    # ---- reading ----

    async def candles(
        self, series: Series, *, last: int | None = None, since: int | None = None, until: int | None = None
    ) -> list[Candle]:
        """Present candles, ascending, in one round trip."""
        rows = await self._rows(series, last, since, until, hidden=False)
        return rows if last is None else rows[max(0, len(rows) - last) :]

    async def count(self, series: Series, since: int, until: int) -> int:
        """How many present candles."""
        return len(await self.candles(series, since=since, until=until))

    async def hidden(self, series: Series, since: int, until: int) -> list[Candle]:
        """Hidden rows, ascending."""
        return await self._rows(series, None, since, until, hidden=True)

    async def _rows(
        self, series: Series, last: int | None, since: int | None, until: int | None, *, hidden: bool
    ) -> list[Candle]:
        if last == 0:
            return []
        step = width(series.timeframe) * BLOCK
        low = -FAR if since is None else since // step
        high = FAR if until is None else (until - 1) // step + 1
        keys, arguments = [self._layout.candles(series)], [low, high, last or 0]
        blocks = await self._asked(lambda: self._server.script("BLOCKS", keys, arguments))
        found = candles(series, [(int(block), data) for block, data in reversed(blocks)], hidden=hidden)
        return [row for row in found if (since is None or row.time >= since) and (until is None or row.time < until)]

    async def coverage(self, series: Series) -> Intervals:
        """What is known of the series."""
        if self._writing and "candles" in self._roles:
            known = self._writer.known.get(series)
            return known[0].copy() if known else Intervals()
        key = self._layout.coverage(self._layout.shard(series.symbol))
        packed = await self._asked(lambda: self._server.client.hget(key, str(series)))
        coverage, has_rows = coverage_of(packed) if packed else (Intervals(), False)
        # Without the candles that there were, nobody knows what is covered.
        return Intervals() if await self._knowledge.evicted({series: (coverage, has_rows)}) else coverage

    async def series(self) -> list[Series]:
        """Every series of which anything is known, sorted."""
        names: list[bytes] = []
        for shard in range(self._layout.shards):
            names += await self._asked(partial(self._server.client.hkeys, self._layout.coverage(shard)))
        return sorted(series_of(name) for name in names)

    async def values(self, series: Series) -> list[IndicatorValue]:
        """The latest value of each indicator."""
        found = await self._asked(lambda: self._server.client.hgetall(self._layout.values(series)))
        stream = self._writer.streams.get(self._layout.stream(series, "values"))
        if found and stream is not None:
            stream.valued.add(series)
        return [msgspec.msgpack.decode(packed, type=IndicatorValue) for _, packed in sorted(found.items())]

    # ---- the log ----

    async def events(self, after: str = "", limit: int = 1000, until: str = "") -> list[tuple[str, Event]]:
        """Events after the cursor, each with its own: in order per series, candles and values each by themselves."""
        return await self._log.events(after, limit, until)

    def order(self, cursor: str) -> tuple[int, ...]:
        """The places of the cursor, one after the other."""
        return self._log.order(cursor)

    async def head(self) -> str:
        """The cursor after the newest event."""
        return await self._log.head()

    async def before_newest(self, count: int) -> str:
        """A cursor before so many newest events, or more."""
        return await self._log.before_newest(count)

    async def wait(self, after: str, within: float) -> None:
        """Wait for an entry in any of the logs."""
        await self._log.wait(after, within)

    # ---- the status ----

    async def write_status(self, status: Mapping[str, Any]) -> None:
        """Replace the row of this process: there is one for each that holds something, and one for each that waits."""
        await self._processes.write(self._roles, status)

    async def read_status(self) -> dict[str, Any] | None:
        """The row of whoever follows the exchanges, with those of the others as `processes`, and who holds what."""
        return await self._processes.read(await self._log.owners())

    async def _asked(self, question: Callable[[], Awaitable[Answer]]) -> Answer:
        trouble = self.trouble if self._roles else None
        return await asked(self._server, question, patience=self._patience, trouble=trouble)
