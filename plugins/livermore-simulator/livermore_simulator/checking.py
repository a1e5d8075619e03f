"""Compares a store with the truth of a simulated exchange, row by row."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from livermore_simulator.truth import WIDTHS

if TYPE_CHECKING:
    from livermore_core import CandleStore, Series

OLD_ENOUGH = 120
VOLUME_TOLERANCE = 1e-9
# Real seconds until all is known, and those after which time goes on for a moment.
PATIENCE, AT_ONCE = 60.0, 10.0
SHOWN = 50


@dataclass(slots=True)
class Comparison:
    """`rows` compared, of `expected` that the truth has; `differences` says of each what is wrong."""

    rows: int = 0
    expected: int = 0
    series: int = 0
    per_timeframe: dict[str, int] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)


async def compare(store_url: str, control_url: str) -> Comparison:
    """Hold the exchange's time still, let the store catch up, compare every series up to 120 exchange seconds ago.

    From the first known bucket on everything must be known and equal: prices exactly, volumes to 1e-9 of the larger.
    """
    import aiohttp

    from livermore_core import open_reader

    result = Comparison()
    async with aiohttp.ClientSession() as session, open_reader(store_url) as store:
        before = await _held_still(session, control_url, store)
        for series in await store.series():
            query = {"symbol": series.symbol, "timeframe": series.timeframe}
            await _compare(session, f"{control_url}/truth", query, store, series, before, result)
    return result


async def _get(session: Any, url: str, **query: Any) -> Any:
    async with session.get(url, params=query) as response:
        response.raise_for_status()
        return await response.json()


async def _held_still(session: Any, control_url: str, store: CandleStore) -> float:
    """Hold time still at a moment at which all is known that is old enough; up to when that is. Raises TimeoutError.

    What was asked for is answered in real time. A connection that was cut just then comes back with time alone: so it
    goes on for a moment.
    """
    speed = (await _get(session, f"{control_url}/state"))["speed"]
    async with asyncio.timeout(PATIENCE):
        while True:
            await _set_speed(session, control_url, 0.0)
            before = float((await _get(session, f"{control_url}/state"))["exchange_time"]) - OLD_ENOUGH
            with suppress(TimeoutError):
                async with asyncio.timeout(AT_ONCE if speed else PATIENCE):
                    while [series async for series in _with_holes(store, before)]:  # noqa: ASYNC110
                        await asyncio.sleep(0.2)
                    return before
            await _set_speed(session, control_url, speed)
            await asyncio.sleep(1.0)


async def _set_speed(session: Any, control_url: str, speed: float) -> None:
    async with session.post(f"{control_url}/speed", json={"speed": speed}) as response:
        response.raise_for_status()


async def _with_holes(store: CandleStore, before: float) -> Any:
    for series in await store.series():
        known = list(await store.coverage(series))
        if len(known) != 1 or known[0][1] < _last(series, before):
            yield series


def _last(series: Series, before: float) -> int:
    width = WIDTHS[series.timeframe]
    return int(before // width) * width


async def _compare(
    session: Any, url: str, query: dict[str, str], store: CandleStore, series: Series, before: float, result: Comparison
) -> None:
    known, last = list(await store.coverage(series)), _last(series, before)
    if not known:
        return
    first = known[0][0]
    rows = (await _get(session, url, **query, start=first, end=last))["rows"]
    truth = {row[0]: tuple(row[1:]) for row in rows}
    held = {
        row.time: (row.open, row.high, row.low, row.close, row.volume)
        for row in await store.candles(series, since=first, until=last)
    }
    result.series += 1
    result.expected += len(truth)
    result.rows += len(held.keys() & truth.keys())
    result.per_timeframe[series.timeframe] = result.per_timeframe.get(series.timeframe, 0) + len(held)
    found = [*_holes(known, last), *_unequal(held, truth)]
    result.differences += [f"{series} {each}" for each in found[: max(0, SHOWN - len(result.differences))]]


def _holes(known: list[tuple[int, int]], last: int) -> Iterator[str]:
    for (_, end), (start, _) in pairwise(known):
        yield f"is unknown from {end} to {start}"
    if known[-1][1] < last:
        yield f"is unknown from {known[-1][1]} to {last}"


def _unequal(held: dict[int, Any], truth: dict[int, Any]) -> Iterator[str]:
    for time in sorted(held.keys() | truth.keys()):
        one, other = held.get(time), truth.get(time)
        if one is None or other is None or not _same(one, other):
            yield f"{time}: has {one}, the truth is {other}"


def _same(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[:4] == other[:4] and abs(one[4] - other[4]) <= VOLUME_TOLERANCE * max(one[4], other[4])
