"""The state of indicators as it is stored with their values, and what of it still holds at the next start."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from contextlib import suppress

import msgspec

from livermore_core import CandleStore, CursorExpiredError, IndicatorValue, Series, SeriesHost

READ_AT_ONCE = 5000
Range = tuple[int, int]


class Saved(msgspec.Struct, frozen=True):
    """`identity` says of what it is the state; all that was announced up to `cursor`, in `heard` wake-ups, is in it."""

    identity: msgspec.Raw
    heard: int
    cursor: str
    host: msgspec.Raw


def saved_text(identity: str, heard: int, cursor: str, host: str) -> str:
    """A Saved of these JSON texts as one: written by hand because every value that is stored has one."""
    return f'{{"identity":{identity},"heard":{heard},"cursor":{cursor},"host":{host}}}'


class Memory:
    """What the values of the run before remember.

    One service hears everything in order and writes what a wake-up brought in one transaction, so what the newest
    state has heard is true of all of them. `cursor` is None where that is no longer in the log; `head` is its end now.
    """

    def __init__(self) -> None:
        self.told: dict[Series, dict[str, IndicatorValue]] = {}
        # What was announced since, by series: ranges that changed under a state.
        self.changed: dict[Series, list[Range]] = defaultdict(list)
        self.heard = 0
        self.head = ""
        self.cursor: str | None = None
        self._states: dict[tuple[Series, str], Saved] = {}

    @classmethod
    async def read(cls, store: CandleStore, series: Iterable[Series], kinds: Collection[str]) -> Memory:
        """Read the values of `series`, and what of `kinds` was announced since they were written."""
        memory = cls()
        memory.head = await store.head()
        for each in series:
            memory.told[each] = {value.indicator: value for value in await store.values(each)}
            for value in memory.told[each].values():
                memory._remember(each, value)
        newest = max(memory._states.values(), key=lambda saved: saved.heard, default=None)
        if newest is None:
            memory.cursor = memory.head
            return memory
        memory.heard = newest.heard
        try:
            await memory._listen(store, newest.cursor, kinds)
            memory.cursor = newest.cursor
        except CursorExpiredError:
            memory._states.clear()
        return memory

    def resume(self, series: Series, host: SeriesHost, identity: str) -> str | None:
        """Let the host go on from its state. Why it cannot, None where it does or where there is nothing yet."""
        saved = self._states.get((series, host.name))
        if saved is None:
            why = "no state that holds" if host.head.dumps else "its state cannot be written out"
            return why if host.name in self.told[series] else None
        if bytes(saved.identity).decode() != identity:
            return "another version or other parameters"
        try:
            host.resume(bytes(saved.host).decode())
        except (ValueError, msgspec.DecodeError) as error:
            return str(error)
        return None

    def _remember(self, series: Series, value: IndicatorValue) -> None:
        # What another version wrote otherwise is no state.
        with suppress(msgspec.DecodeError):
            if value.state is not None:
                self._states[series, value.indicator] = msgspec.json.decode(value.state, type=Saved)

    async def _listen(self, store: CandleStore, cursor: str, kinds: Collection[str]) -> None:
        while page := await store.events(cursor, READ_AT_ONCE):
            cursor = page[-1][0]
            for _, event in page:
                if event.kind in kinds:
                    self.changed[event.series].append((event.time, event.until or event.time + 1))
