"""The state of indicators as it is stored with their values, and what of it still holds at the next start."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from secrets import randbits

import msgspec

from livermore_core import CandleStore, CursorExpiredError, Event, IndicatorValue, Series, SeriesHost

READ_AT_ONCE = 5000
Range = tuple[int, int]


class Saved(msgspec.Struct, frozen=True):
    """`identity` says of what it is the state; wake-up `heard` of its run knew all up to the value's cursor.

    `revisions` are those of values that were corrected and can be again; `host` is null where it cannot be dumped.
    """

    identity: msgspec.Raw
    run: int
    heard: int
    revisions: dict[int, int]
    host: msgspec.Raw


def saved_text(identity: str, run: int, heard: int, revisions: str, host: str) -> str:
    """A Saved of these JSON texts as one: written by hand because every value that is stored has one."""
    return f'{{"identity":{identity},"run":{run},"heard":{heard},"revisions":{revisions},"host":{host}}}'


class Memory:
    """What the values of the runs before remember.

    A run hears everything in order and writes what a wake-up brought in one transaction per shard, so what its newest
    state in a shard has heard is true of all its states there. `run` is a number that the new one alone has, `head` the
    end of the log before it.
    """

    def __init__(self, shard: Callable[[str], int]) -> None:
        self._shard = shard
        self.told: dict[Series, dict[str, IndicatorValue]] = {}
        self.run = randbits(53)
        self.head = ""
        self._states: dict[tuple[Series, str], Saved] = {}
        # Ranges that were announced as changed after all that a run has heard.
        self._changed: dict[tuple[int, Series], list[Range]] = defaultdict(list)

    @classmethod
    async def read(
        cls, store: CandleStore, hosts: Mapping[Series, Iterable[SeriesHost]], kinds: Collection[str]
    ) -> Memory:
        """Read the values of these, and what of `kinds` was announced since they were written."""
        memory = cls(getattr(store, "shard", lambda symbol: 0))
        memory.head = await store.head()
        for series, each in hosts.items():
            memory.told[series] = {value.indicator: value for value in await store.values(series)}
            for name in {host.name for host in each} & memory.told[series].keys():
                memory._remember(series, memory.told[series][name])
        newest: dict[tuple[int, int], tuple[int, str]] = {}
        for (series, name), saved in memory._states.items():
            key, reached = (saved.run, memory._shard(series.symbol)), (saved.heard, memory.told[series][name].cursor)
            newest[key] = max(newest.get(key, reached), reached, key=lambda each: each[0])
        for (run, shard), (_, cursor) in newest.items():
            await memory._listen(store, run, shard, cursor, kinds)
        return memory

    def resume(self, series: Series, host: SeriesHost, identity: str) -> str | None:
        """Let the host go on from its state. Why it cannot, None where it does or where there is nothing yet."""
        saved = self._states.get((series, host.name))
        if saved is None:
            return "no state that holds" if host.name in self.told[series] else None
        state = bytes(saved.host).decode()
        if state == "null":
            return "its state cannot be written out"
        if bytes(saved.identity).decode() != identity:
            return "another version or other parameters"
        try:
            host.resume(state)
        except Exception as error:  # somebody else's `load`
            return f"its state does not load: {type(error).__name__}: {error}"
        return None

    def revisions(self, series: Series, name: str) -> Mapping[int, int]:
        """The revisions that were announced of values that can still be corrected."""
        saved = self._states.get((series, name))
        return saved.revisions if saved is not None else {}

    def changed(self, series: Series, host: SeriesHost) -> Sequence[Range]:
        """The ranges that changed under the state of a host."""
        saved = self._states.get((series, host.name))
        return self._changed[saved.run, series] if saved is not None else ()

    def _remember(self, series: Series, value: IndicatorValue) -> None:
        # What another version wrote otherwise is no state.
        with suppress(msgspec.DecodeError):
            if value.state is not None and value.cursor:
                self._states[series, value.indicator] = msgspec.json.decode(value.state, type=Saved)

    async def _listen(self, store: CandleStore, run: int, shard: int, cursor: str, kinds: Collection[str]) -> None:
        try:
            async for _, event in logged(store, cursor):
                if event.kind in kinds and self._shard(event.symbol) == shard:
                    self._changed[run, event.series].append((event.time, event.until or event.time + 1))
        except CursorExpiredError:  # nobody knows any more what changed
            for key in [*self._states]:
                if self._states[key].run == run and self._shard(key[0].symbol) == shard:
                    del self._states[key]


async def logged(store: CandleStore, cursor: str) -> AsyncIterator[tuple[str, Event]]:
    """Every event of the log after the cursor, each with its own. Raises CursorExpiredError."""
    while page := await store.events(cursor, READ_AT_ONCE):
        for cursor, event in page:
            yield cursor, event
