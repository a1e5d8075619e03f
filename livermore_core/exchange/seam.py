"""The seam from history to live: everything between the backfill's moment and the first streamed bucket."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from livermore_core.errors import CredentialsError, PermanentError, TransientError
from livermore_core.exchange.heal import BACKFILL, SEAM, Healer, backoff
from livermore_core.exchange.recorder import Recorder
from livermore_core.market.proof import RECHECK_DELAY
from livermore_core.market.timeframe import floor

# The seam is closed once every bucket that ended longer ago than this is known.
SETTLED = 60
# The widest bucket whose open part is completed from 1m candles; wider ones add closed lower candles.
OPEN_BUCKET = "4h"
LOOK_AGAIN = 1.0
ATTEMPTS = 5


async def close_seam(recorder: Recorder, healer: Healer, symbols: Sequence[str]) -> None:
    """Ask for what is missing of every symbol, let higher candles be derived, and put the symbols live."""
    async with asyncio.TaskGroup() as group:
        for symbol in symbols:
            group.create_task(_symbol(recorder, healer, symbol), name=f"seam {symbol}")


async def _symbol(recorder: Recorder, healer: Healer, symbol: str) -> None:
    base, *higher = recorder.timeframes
    since = floor(recorder.clock.now, OPEN_BUCKET)
    await _fill(recorder, healer, symbol, base, since)
    _ask_later(recorder, healer, symbol, base, since)
    for timeframe in higher:
        edge = recorder.ledger(symbol, timeframe).edge
        await _fill(recorder, healer, symbol, timeframe, edge or floor(recorder.clock.now, timeframe))
    await _interior(recorder, healer, symbol)
    await recorder.go_live(symbol)


async def _fill(recorder: Recorder, healer: Healer, symbol: str, timeframe: str, since: int) -> None:
    """Ask for the unknown part of [since, now) of one series until only the last SETTLED seconds may be missing."""
    ledger = recorder.ledger(symbol, timeframe)
    attempt = failures = 0
    seen = healer.successes
    while True:
        now = recorder.clock.now
        askable = recorder.unknown(ledger.series, since, floor(now - RECHECK_DELAY, timeframe))
        required = recorder.unknown(ledger.series, since, floor(now - SETTLED, timeframe))
        # Nothing is asked that is too young to be proven, unless it is old enough to be required.
        if not askable or (attempt and not required):
            return
        start = max(askable[0][0], askable[-1][1] - healer.page_size * ledger.width)
        try:
            proof = await healer.fetch(
                ledger.series, start, askable[-1][1], priority=(SEAM, -start), live=False, derive=True
            )
        except (PermanentError, CredentialsError):
            failures = ATTEMPTS
        except TransientError:
            if await healer.gets_through(seen):
                failures += 1
                seen = healer.successes
            await asyncio.sleep(backoff(attempt))
            proof = None
        if failures >= ATTEMPTS:  # one series holds up nobody else: it is asked for on and on
            _ask_later(recorder, healer, symbol, timeframe, since)
            return
        attempt += 1
        if proof is None or not proof.covered:
            await _wait(recorder)


def _ask_later(recorder: Recorder, healer: Healer, symbol: str, timeframe: str, since: int) -> None:
    """What is unknown yet and ended before the feed began is nobody else's business."""
    series = recorder.ledger(symbol, timeframe).series
    for low, high in recorder.unknown(series, since, floor(recorder.clock.now, timeframe)):
        healer.want(series, low, high, "seam", after=high, priority=SEAM)


async def _wait(recorder: Recorder) -> None:
    """Until exchange time has moved on a little, or a second has passed."""
    event = asyncio.Event()
    recorder.clock.wake(recorder.clock.now + RECHECK_DELAY, event)
    try:
        async with asyncio.timeout(LOOK_AGAIN):
            await event.wait()
    except TimeoutError:
        return


async def _interior(recorder: Recorder, healer: Healer, symbol: str) -> None:
    """Holes inside what was known before (an outage between two runs): said, and healed in the background."""
    starts = {}
    for timeframe in recorder.timeframes:
        ledger = recorder.ledger(symbol, timeframe)
        if ledger.coverage.start is not None and ledger.edge is not None:
            starts[timeframe] = ledger.coverage.start
            for low, high in ledger.unknown(ledger.coverage.start, ledger.edge):
                healer.want(ledger.series, low, high, "downtime", priority=BACKFILL)
    await recorder.announce_gaps(symbol, starts, "downtime")
