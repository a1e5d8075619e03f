"""Writing: every batch is applied whole, shard by shard, many in one commit; what the server forgot is sent again."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from livermore_core import Batch, Series, StoreError, StoreLostError, Trouble
from livermore_redis.commit import Commit, Known
from livermore_redis.connection import Server
from livermore_redis.cursors import BEGINNING, Cursor
from livermore_redis.failures import ERRORS, PASSING, READONLY, failure, reason_of
from livermore_redis.layout import Layout
from livermore_redis.lease import Lease

# Seconds of commits that are kept to be sent again: a server that syncs its log each second forgets less.
REMEMBERED = 30.0
PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0)
Outcome = asyncio.Future[str]


@dataclass(eq=False)
class Stream:
    """One log that is written here: its sequence number, the keys of its events in order, and what was sent lately."""

    number: int
    epoch: int
    sequence: int = 0
    told: dict[bytes, None] = field(default_factory=dict)
    # The series of which there are values.
    valued: set[Series] = field(default_factory=set)
    ring: deque[tuple[float, int, list[str], list[Any]]] = field(default_factory=deque)


class Writer:
    """The one writer of the streams of a lease. Batches that come while a commit is on its way share the next one.

    A server that cannot be asked now is asked again until it answers: whether a commit was done is never guessed. What
    it refuses for good is raised to whoever wrote it.
    """

    def __init__(self, server: Server, layout: Layout, lease: Lease, generation: str, trouble: Trouble) -> None:
        self._server, self._layout, self._lease = server, layout, lease
        self._trouble = trouble
        self.known: dict[Series, Known] = {}
        self.head = Cursor(generation, [BEGINNING] * len(layout.streams))
        self.streams: dict[int, Stream] = {}
        # Held while anything of the store is changed here.
        self.alone = asyncio.Lock()
        self.commits = 0
        self._pending: list[tuple[Batch, Outcome]] = []
        self._sending: list[tuple[Batch, Outcome]] = []
        # Streams whose tail the server has forgotten.
        self._behind: set[int] = set()
        self._work = asyncio.Event()

    async def transact(self, batch: Batch) -> str:
        """Write a batch; the cursor after it. It is written even where its caller is cancelled."""
        outcome: Outcome = asyncio.get_running_loop().create_future()
        self._pending.append((batch, outcome))
        self._work.set()
        return await outcome

    async def run(self) -> None:
        """Write what comes, for ever. Raises StoreHeldError, StoreLostError."""
        while True:
            await self._work.wait()
            self._work.clear()
            self._sending, self._pending = self._pending, []
            async with self.alone:
                await self._round(self._sending)
            self._sending = []

    def end(self, error: StoreError) -> None:
        """Nothing more is written: whoever waits is told why."""
        self._fail([outcome for _, outcome in [*self._sending, *self._pending]], error)
        self._sending, self._pending = [], []

    async def _round(self, group: Sequence[tuple[Batch, Outcome]]) -> None:
        commits, parts = self._collected(group)
        while len(parts) < len(group):
            # Some of a batch that cannot be stored may be in the commits.
            group = [each for each in group if each[1] in parts]
            commits, parts = self._collected(group)
        for number in self._behind:
            self._commit(number, commits)  # an empty one, if need be, hears what the server lacks
        self._behind.clear()
        refused = await self._send(commits)
        self.commits += 1
        for _, outcome in group:
            errors = [refused[number] for number in parts[outcome] if number in refused]
            if errors:
                self._fail([outcome], errors[0])
                continue
            # Also where its caller was cancelled: it is written.
            self._advance(parts[outcome] & commits.keys(), commits)
            if not outcome.done():
                outcome.set_result(str(self.head))

    def _collected(self, group: Sequence[tuple[Batch, Outcome]]) -> tuple[dict[int, Commit], dict[Outcome, set[int]]]:
        """The commits of these batches, and the streams of each; who wrote what cannot be stored is told so."""
        commits: dict[int, Commit] = {}
        parts: dict[Outcome, set[int]] = {}
        for batch, outcome in group:
            try:
                parts[outcome] = self._collect(batch, commits)
            except (TypeError, ValueError, ArithmeticError) as error:
                self._fail([outcome], StoreError(f"store.error: it cannot be stored: {type(error).__name__}: {error}"))
        return commits, parts

    def _collect(self, batch: Batch, commits: dict[int, Commit]) -> set[int]:
        """Spread a batch over the commits of its streams; which these are."""
        parts = set()
        for change in batch.changes:
            is_of_candles = change.rows or change.hidden or change.covered or change.uncovered
            role = "values" if change.values and not is_of_candles else "candles"
            number = self._layout.stream(change.series, role)
            parts.add(number)
            self._commit(number, commits).change(change)
        for event in batch.events:
            number = self._layout.stream(event.series, "candles" if event.value is None else "values")
            parts.add(number)
            self._commit(number, commits).announce(event)
        return parts

    def _commit(self, number: int, commits: dict[int, Commit]) -> Commit:
        commit = commits.get(number)
        if commit is None:
            if number not in self.streams:
                raise ValueError(f"{self._layout.role(number)} are not this process's to write")
            commit = commits[number] = Commit(self._layout, number, self.known, self.streams[number].told)
        return commit

    async def _send(self, commits: dict[int, Commit]) -> dict[int, StoreError]:
        """Send every commit until it is done or refused; those that are refused, by stream."""
        refused: dict[int, StoreError] = {}
        calls = {number: each.script(self.streams[number].sequence) for number, each in commits.items()}
        attempt = 0
        while calls:
            numbers = list(calls)
            answers = await self._answers([(number, *calls[number]) for number in numbers])
            passing: BaseException | None = None
            for number, answer in zip(numbers, answers, strict=True):
                if not isinstance(answer, BaseException) and answer[0] == b"lost":
                    answer = await self._send_again(self.streams[number], int(answer[1]))
                    if answer is None:
                        continue
                if isinstance(answer, BaseException):
                    if reason_of(answer) in PASSING:
                        passing = answer
                        continue
                    refused[number] = failure(self._server.where, answer)
                else:
                    self._lease.check(answer)
                    self._done(self.streams[number], commits[number], *calls[number])
                del calls[number]
            if passing is not None:
                await self._pause(passing, attempt)
                attempt += 1
        self._trouble.well()
        return refused

    async def _answers(self, calls: Sequence[tuple[int, list[str], list[Any]]], script: str = "COMMIT") -> list[Any]:
        owner = self._lease.owner
        full = [(keys, [owner, self.streams[number].epoch, *arguments]) for number, keys, arguments in calls]
        try:
            return await self._server.scripts(script, full)
        except ERRORS as error:
            return [error] * len(calls)

    async def _pause(self, error: BaseException, attempt: int) -> None:
        reason = reason_of(error)
        self._trouble.bad(reason, failure(self._server.where, error))
        if reason == READONLY:
            await self._server.drop()
        await asyncio.sleep(PAUSES[min(attempt, len(PAUSES) - 1)])

    async def renew(self) -> None:
        """Let the lease go on; what the server has forgotten meanwhile of what it had acknowledged is sent again."""
        acknowledged = {number: stream.sequence for number, stream in self.streams.items()}
        for number, sequence in (await self._lease.renew()).items():
            if sequence < acknowledged.get(number, 0):
                self._behind.add(number)
                self._work.set()

    async def held(self, script: str, number: int, keys: list[str], arguments: list[Any]) -> list[bytes]:
        """Run a script on what this process holds, between commits: these build on what they have computed."""
        stream, attempt = self.streams[number], 0
        async with self.alone:
            sequence = stream.sequence
            while True:
                (answer,) = await self._answers([(number, keys, [sequence, *arguments])], script)
                if not isinstance(answer, BaseException) and answer[0] == b"lost":
                    answer = await self._send_again(stream, int(answer[1]))
                if isinstance(answer, BaseException):
                    if reason_of(answer) not in PASSING:
                        raise failure(self._server.where, answer)
                    await self._pause(answer, attempt)
                    attempt += 1
                elif answer is not None and answer[0] == b"already":
                    # A commit that was given up here was done nevertheless: what there is counts.
                    sequence = int(answer[1])
                elif answer is not None:
                    self._lease.check(answer)
                    return list(answer)

    async def _send_again(self, stream: Stream, sequence: int) -> BaseException | None:
        """The server forgot our tail: send what is remembered of it, in order; what it refused it with.

        Raises StoreLostError where the tail is not remembered.
        """
        tail = [each for each in stream.ring if each[1] >= sequence]
        if not tail or tail[0][1] != sequence:
            raise StoreLostError(
                f"store.lost: {self._server.where}: the server has forgotten more than the last {REMEMBERED:g} s"
            )
        for _, _, keys, arguments in tail:
            (answer,) = await self._answers([(stream.number, keys, arguments)])
            if isinstance(answer, BaseException):
                return answer
            self._lease.check(answer)
        now = asyncio.get_running_loop().time()
        stream.ring = deque([*list(stream.ring)[: -len(tail)], *((now, *each[1:]) for each in tail)])
        self._trouble.bad("store.reverified", f"the server had forgotten {len(tail)} commits, sent again")
        return None

    def _done(self, stream: Stream, commit: Commit, keys: list[str], arguments: list[Any]) -> None:
        now = asyncio.get_running_loop().time()
        while stream.ring and stream.ring[0][0] < now - REMEMBERED:
            stream.ring.popleft()
        stream.ring.append((now, stream.sequence, keys, arguments))
        stream.sequence += commit.advance
        stream.told.update(dict.fromkeys(commit.events))
        stream.valued |= commit.valued
        self.known.update(commit.known)

    def _advance(self, streams: set[int], commits: dict[int, Commit]) -> None:
        """Where the head is after a batch; the places of batches that are told of later must not be in it."""
        for number in streams:
            if commits.pop(number).events:
                stream = self.streams[number]
                self.head.move(number, (stream.epoch, stream.sequence))

    def _fail(self, outcomes: Sequence[Outcome], error: StoreError) -> None:
        for outcome in outcomes:
            if not outcome.done():
                outcome.set_exception(error)
                outcome.exception()  # its caller may have been cancelled, and nobody hear of it
