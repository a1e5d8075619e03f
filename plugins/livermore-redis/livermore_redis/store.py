"""The store on Redis: candles, coverage, values, log and status below one prefix, shared by several programs."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
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
    StoreAbsentError,
    StoreError,
    StoreLostError,
    Trouble,
    width,
)
from livermore_redis.address import address_of
from livermore_redis.commit import key_of
from livermore_redis.connection import ERRORS, Answer, Server, asked, connected
from livermore_redis.cursors import Place
from livermore_redis.health import Advice, advice
from livermore_redis.layout import ROLES, SHARDS, Layout, series_of
from livermore_redis.lease import PATIENCE, RENEW_EVERY, Lease, described
from livermore_redis.log import Log
from livermore_redis.packing import BLOCK, candles, coverage_of
from livermore_redis.writer import Stream, Writer

VERSION = 1
# Events of each log; there are two in each shard.
EVENTS_KEPT = 10_000
# How long a reader asks a server that cannot answer. A writer has nothing better to do.
READER_PATIENCE = 5.0
LAST_PATIENCE = 1.0
# A status row that nobody has touched for so many seconds is of a process long gone.
OLDEST_ROW = 86_400.0
# How often the server is looked at, in renewals of the lease.
LOOK_EVERY = 10


@asynccontextmanager
async def open_store(url: str, *, read_only: bool = False, on_corrupt: str = "rebuild") -> AsyncIterator[RedisStore]:
    """Open the store at a URL (see `address_of`). A writer must `claim` before it writes.

    Raises ConfigurationError, CredentialsError; StoreAbsentError where there is nothing to read yet; StoreBusyError
    where the server cannot be asked.
    """
    async with connected(address_of(url)) as server:
        patience = READER_PATIENCE if read_only else PATIENCE
        store = RedisStore(server, await _settled(server, read_only, patience), patience)
        try:
            yield store
        finally:
            await store.close()


async def _settled(server: Server, read_only: bool, patience: float) -> tuple[str, Layout]:
    """What the server says of the store; it is made where there is none."""
    key = Layout(server.prefix).store
    said = await asked(server, lambda: server.client.hgetall(key), patience=patience)
    if not said and read_only:
        raise StoreAbsentError(
            f"{server.where}: there is no store below {server.prefix!r} yet; `livermore start` makes one"
        )
    if not said:
        fresh = (VERSION, SHARDS, format(time.time_ns() // 1000, "x"))
        await asked(server, lambda: server.script("MAKE", [key], fresh), patience=patience)
        said = await asked(server, lambda: server.client.hgetall(key), patience=patience)
    if int(said.get(b"version", 0)) != VERSION:
        raise ConfigurationError(
            f"{server.where}: {key} is not of this livermore (schema {said.get(b'version', b'?').decode()});"
            " upgrade livermore, or name another ?prefix="
        )
    return said[b"generation"].decode(), Layout(server.prefix, int(said[b"shards"]))


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
        self._writer = Writer(server, self._layout, self._lease, self._generation, self.trouble)
        self._tasks: list[asyncio.Task[None]] = []
        self._roles: tuple[str, ...] = ()

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
        for level, text in await asked(self._server, lambda: advice(self._server), patience=self._patience):
            if level == "fail":
                raise ConfigurationError(f"{self._server.where}: {text}")
            if level == "warn":
                self.say("store.warning", {"store": self._server.where, "cause": text})
        await self._lease.claim(roles, wait=wait, say=self.say)
        self._patience = math.inf
        await self._drop_old_rows(roles)
        self._roles = tuple(role for role in ROLES if role in roles)
        await self._read_all()
        for work in (self._writer.run(), self._keep()):
            self._tasks.append(asyncio.create_task(work))
            self._tasks[-1].add_done_callback(self._ended)

    async def transact(self, batch: Batch) -> str:
        """Make the batch durable, all of a shard at once."""
        if not self._tasks or self._tasks[0].done():
            raise StoreError(f"{self._server.where}: this process does not hold the store")
        return await self._writer.transact(batch)

    async def trim(self, keep: Mapping[str, int], events: int | None = None) -> int:
        """Keep the newest candles of each series, and the newest events of each log."""
        gone = 0
        for series in list(self._writer.known):
            if series.timeframe in keep:
                gone += await self._trim(series, keep[series.timeframe])
        kept = EVENTS_KEPT if events is None else events
        for stream in self._writer.streams.values():
            keys = [self._layout.head(stream.number), self._layout.log(stream.number)]
            await self._held("FORGET", stream, keys, [kept])
        ends = await self._log.ends()
        for number, stream in self._writer.streams.items():
            stream.told = {key: place for key, place in stream.told.items() if place > ends[number].floor}
        return gone

    async def _trim(self, series: Series, keep: int) -> int:
        layout, stream = self._layout, self._writer.streams.get(self._layout.stream(series, "candles"))
        if stream is None:
            return 0
        keys = [layout.head(stream.number), layout.candles(series), layout.coverage(layout.shard(series.symbol))]
        answer = await self._held("TRIM", stream, keys, [str(series), keep, width(series.timeframe)])
        if int(answer[1]):
            packed = await self._command("HGET", keys[2], str(series))
            self._writer.known[series] = coverage_of(packed)
        return int(answer[1])

    async def _held(self, script: str, stream: Stream, keys: list[str], arguments: list[Any]) -> list[bytes]:
        owned = [self._lease.owner, stream.epoch, *arguments]
        # Between commits: what a commit has computed of coverage must not be overtaken.
        async with self._writer.alone:
            answer: list[bytes] = await self._asked(lambda: self._server.script(script, keys, owned))
        self._lease.check(answer)
        return answer

    async def _read_all(self) -> None:
        """What the server knows: coverage, the keys of the events in the logs, where these are."""
        writer, layout = self._writer, self._layout
        for shard in range(layout.shards):
            found = await self._command("HGETALL", layout.coverage(shard))
            writer.known |= {series_of(name): coverage_of(packed) for name, packed in found.items()}
        ends = await self._log.ends()
        writer.heads = [end.last for end in ends]
        for number, epoch in self._lease.epochs.items():
            writer.streams[number] = stream = Stream(number, epoch)
            await self._read_told(stream, ends[number].floor)
        await self._drop_evicted()

    async def _read_told(self, stream: Stream, floor: Place) -> None:
        after = floor
        while entries := await self._log.entries({stream.number: after}, 1000):
            for place, event in entries[stream.number]:
                stream.told[key_of(event)] = after = place

    async def _drop_evicted(self) -> None:
        """Series whose rows are gone although they had some: what was known of them is known no more."""
        lost = await self._evicted()
        for series in lost:
            self._writer.known.pop(series)
            await self._command("HDEL", self._layout.coverage(self._layout.shard(series.symbol)), str(series))
        if lost:
            self.say("store.lost", {"series": len(lost), "cause": "their candles are gone from the server"})

    async def _evicted(self) -> list[Series]:
        with_rows = [series for series, (_, has_rows) in self._writer.known.items() if has_rows]
        return [each for each in with_rows if not await self._command("EXISTS", self._layout.candles(each))]

    async def check(self) -> None:
        """Whether all is there that should be. Raises StoreLostError where the server has dropped some of it."""
        lost = await self._evicted() if self._tasks else []
        if lost:
            raise StoreLostError(
                f"store.lost: {self._server.where}: the candles of {lost[0]} are gone, {len(lost)} in all"
            )

    async def advice(self) -> list[Advice]:
        """What `doctor` says of the server."""
        return list(await asked(self._server, lambda: advice(self._server), patience=self._patience))

    async def _keep(self) -> None:
        """Renew the lease, and look now and then whether the server has begun to evict."""
        count = 0
        while True:
            await asyncio.sleep(RENEW_EVERY)
            with suppress(*ERRORS):  # who writes says so
                await self._lease.renew()
                count += 1
                if count % LOOK_EVERY == 0:
                    for level, text in await advice(self._server):
                        if level == "fail":
                            self.say("store.warning", {"store": self._server.where, "cause": text})

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not self.broken.done():
            self.broken.set_exception(error)
            self.broken.exception()  # nobody may be listening
        # Afterwards, so that the run ends for the reason that it has, not for what its parts make of it.
        closed = StoreError(f"{self._server.where}: the store is closed")
        asyncio.get_running_loop().call_soon(self._writer.end, error if isinstance(error, StoreError) else closed)

    def hurry(self) -> None:
        """The run is ending: a server that does not answer is not waited for any longer."""
        self._patience = min(self._patience, LAST_PATIENCE)
        if self.trouble.since is not None and self._tasks:
            self._tasks[0].cancel()

    async def close(self) -> None:
        """Write no more, and let others in."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self.trouble.drop()
        with suppress(*ERRORS, StoreError):
            async with asyncio.timeout(1.0):
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
        low = -1 if since is None else since // step
        high = 1 << 50 if until is None else (until - 1) // step + 1
        keys, arguments = [self._layout.candles(series)], [low, high, last or 0]
        blocks = await self._asked(lambda: self._server.script("BLOCKS", keys, arguments))
        found = candles(series, [(int(block), data) for block, data in reversed(blocks)], hidden=hidden)
        return [row for row in found if (since is None or row.time >= since) and (until is None or row.time < until)]

    async def coverage(self, series: Series) -> Intervals:
        """What is known of the series."""
        if self._tasks and "candles" in self._roles:
            known = self._writer.known.get(series)
            return known[0].copy() if known else Intervals()
        key = self._layout.coverage(self._layout.shard(series.symbol))
        packed = await self._command("HGET", key, str(series))
        return coverage_of(packed)[0] if packed else Intervals()

    async def series(self) -> list[Series]:
        """Every series of which anything is known, sorted."""
        names: list[bytes] = []
        for shard in range(self._layout.shards):
            names += await self._command("HKEYS", self._layout.coverage(shard))
        return sorted(series_of(name) for name in names)

    async def values(self, series: Series) -> list[IndicatorValue]:
        """The latest value of each indicator."""
        found = await self._command("HGETALL", self._layout.values(series))
        return [msgspec.msgpack.decode(packed, type=IndicatorValue) for _, packed in sorted(found.items())]

    # ---- the log ----

    async def events(self, after: str = "", limit: int = 1000) -> list[tuple[str, Event]]:
        """Events after the cursor, each with its own: in order per series, candles and values each by themselves."""
        return await self._log.events(after, limit)

    async def head(self) -> str:
        """The cursor after the newest event."""
        return await self._log.head()

    async def wait(self, after: str, within: float) -> None:
        """Wait for an entry in any of the logs."""
        await self._log.wait(after, within)

    # ---- the status ----

    async def write_status(self, status: Mapping[str, Any]) -> None:
        """Replace the row of this process: there is one for each that holds something, and one for each that waits."""
        row = dict(status) | {"holds": list(self._roles)}
        await self._command("HSET", self._layout.processes, self._row_name(), msgspec.json.encode(row))

    async def _drop_old_rows(self, roles: Collection[str]) -> None:
        """The rows of those who held these roles before, of this process as a standby, and of others long gone."""
        key = self._layout.processes
        for name, packed in (await self._command("HGETALL", key)).items():
            row = msgspec.json.decode(packed, type=dict[str, Any])
            is_old = row.get("heartbeat_epoch", 0.0) < time.time() - OLDEST_ROW
            if is_old or set(row["holds"]) & set(roles) or name.decode() == self._row_name():
                await self._command("HDEL", key, name)

    def _row_name(self) -> str:
        return "+".join(self._roles) or f"standby {json.loads(self._lease.owner)['id']}"

    async def read_status(self) -> dict[str, Any] | None:
        """The row of whoever follows the exchanges, with those of the others as `processes`, and who holds what."""
        found = await self._command("HGETALL", self._layout.processes)
        rows = [msgspec.json.decode(packed, type=dict[str, Any]) for packed in found.values()]
        rows.sort(key=lambda row: ("candles" in row["holds"], row.get("heartbeat_epoch", 0.0)), reverse=True)
        if not rows:
            return None
        owners = [end.owner for end in await self._log.ends()]
        holders = {
            role: sorted({described(owner) for owner in owners[at : at + self._layout.shards] if owner})
            for role, at in zip(ROLES, range(0, len(owners), self._layout.shards), strict=True)
        }
        return rows[0] | {"holders": holders, "processes": rows[1:]}

    async def _command(self, *words: Any) -> Any:
        return await self._asked(lambda: self._server.client.execute_command(*words))

    async def _asked(self, question: Callable[[], Awaitable[Answer]]) -> Answer:
        trouble = self.trouble if self._roles else None
        return await asked(self._server, question, patience=self._patience, trouble=trouble)
