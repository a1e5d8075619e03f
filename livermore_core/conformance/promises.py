"""What every indicator promises, whatever it computes. Each check raises NonconformingError, or tells what it saw."""

from __future__ import annotations

from collections.abc import Sequence

from livermore_core.config.settings import DEEPEST_HISTORY
from livermore_core.conformance.running import (
    Make,
    NonconformingError,
    Step,
    expect_same,
    in_silence,
    preview,
    run,
)
from livermore_core.conformance.series import YEAR, corrected, later
from livermore_core.indicators.host import HORIZON, SeriesHost
from livermore_core.indicators.indicator import Indicator
from livermore_core.market.candle import Candle
from livermore_core.plugins import blamed

# Candles between two words of progress, and previews in all: the state of each is written out and compared.
AT_ONCE, PREVIEWS = 100, 250


def declaration(make: Make) -> str:
    """It can be made, and says what it gives and when."""
    with blamed("constructor"):
        made = make()
    if not isinstance(made, Indicator):
        raise NonconformingError(f"{type(made).__name__} is no Indicator (of livermore_core)")
    outputs = made.outputs
    if not (isinstance(outputs, tuple) and outputs and all(isinstance(name, str) for name in outputs)):
        raise NonconformingError(f"outputs must be a tuple of names, is {outputs!r}")
    if len(set(outputs)) < len(outputs):
        raise NonconformingError(f"outputs holds a name twice: {', '.join(outputs)}")
    for name, value in (("warmup", made.warmup), ("settle", made.settle)):
        if type(value) is not int or value < 1:
            raise NonconformingError(f"{name} must be a whole number of candles >= 1, is {value!r}")
    if made.warmup > made.settle:
        raise NonconformingError(f"warmup {made.warmup} is beyond settle {made.settle}")
    if made.settle > DEEPEST_HISTORY:
        raise NonconformingError(
            f"settle {made.settle} is more than the {DEEPEST_HISTORY} candles that may be asked for"
        )
    return f"outputs {', '.join(outputs)}; warmup {made.warmup}, settle {made.settle}"


def sound_results(make: Make, rows: Sequence[Candle], step: Step = in_silence) -> str:
    """Every candle gives one finite value, or None, for each output."""
    made = make()
    for at in range(0, len(rows), AT_ONCE):
        step(f"results: candle {at + 1} of {len(rows)}")
        run(made, rows[at : at + AT_ONCE], at + 1)
    return f"{len(rows)} candles"


def first_full_result(make: Make, rows: Sequence[Candle]) -> str:
    """The first candle at which every output has a value is the one that `warmup` says."""
    made = make()
    full = next((number for number, each in enumerate(run(made, rows), start=1) if None not in each), None)
    if full is None:
        raise NonconformingError(f"warmup is {made.warmup}, but no full result came within {len(rows)} candles")
    if full != made.warmup:
        raise NonconformingError(f"warmup is {made.warmup}, but the first full result came with candle {full}")
    return f"first full result with candle {full}"


def no_look_ahead(make: Make, rows: Sequence[Candle]) -> str:
    """A value stays what it was when first told, whatever comes, or has been seen, after it."""
    ends = (2 * len(rows) // 3, len(rows) - 5)
    for count, cut in enumerate(ends, start=1):
        # At times that nothing was fed before: what is remembered outside the object knows nothing of them yet.
        fresh = later(rows, count * YEAR)
        told = run(make(), fresh[:cut])
        others = [*fresh[:cut], *map(corrected, fresh[cut:])]
        for whole in (fresh, others):
            expect_same(told, run(make(), whole)[:cut], f"its value changes with candles after candle {cut}")
    return f"values before candles {' and '.join(str(cut + 1) for cut in ends)} stay"


def replays(make: Make, rows: Sequence[Candle], splits: Sequence[int]) -> str:
    """One at a time, all at once, and again from a snapshot behind any split: the same to the bit."""
    host = SeriesHost("checked", make)
    live = [host.commit(candle) for candle in rows]
    rebuilt = SeriesHost("checked", make).rebuild(rows)
    expect_same(live[-len(rebuilt) :], rebuilt, "all at once gives another value", len(rows) - len(rebuilt) + 1)
    for split in splits:
        host = SeriesHost("checked", make)
        for candle in rows[:split]:
            host.commit(candle)
        again = host.replay([row for row in rows[:split] if row.time > host.replayed_from])
        again += [host.commit(candle) for candle in rows[split:]]
        expect_same(
            live[-len(again) :], again, f"a replay at candle {split} gives another value", 1 + len(rows) - len(again)
        )
    return f"live = at once = replayed at {len(splits)} splits"


def corrections(make: Make, rows: Sequence[Candle], at: int) -> str:
    """After a change of the candle at index `at`: as if it had never been another one."""
    live, clean = SeriesHost("checked", make), SeriesHost("checked", make)
    for candle in rows:
        live.commit(candle)
    if rows[at].time <= live.replayed_from:
        raise ValueError(f"candle {at + 1} is too old to be replayed")
    mended = [*rows[:at], corrected(rows[at]), *rows[at + 1 :]]
    replayed = live.replay([candle for candle in mended if candle.time > live.replayed_from])
    known = [clean.commit(candle) for candle in mended][-len(replayed) :]
    reason = f"after a correction of candle {at + 1} its value is not that of a run that never knew the mistake"
    expect_same(known, replayed, reason, 1 + len(mended) - len(replayed))
    return f"candle {at + 1} of {len(rows)} corrected"


def dumps(make: Make, rows: Sequence[Candle], splits: Sequence[int]) -> str:
    """What was dumped at a split and loaded into a new one goes on to the bit, unless it says that it is not dumped."""
    if not make().dumps:
        return "never dumped, as it says: its candles are replayed"
    whole = run(make(), rows)
    for split in splits:
        one, other = make(), make()
        run(one, rows[:split])
        with blamed(f"dump after {split} candles"):
            text = one.dump()
        with blamed(f"load after {split} candles"):
            other.load(text)
        reason = f"after dump and load at candle {split} its value is another"
        expect_same(whole[split:], run(other, rows[split:], split + 1), reason, split + 1)
    return f"dumped and loaded at {len(splits)} splits"


def copies(make: Make, rows: Sequence[Candle], splits: Sequence[int]) -> str:
    """A copy goes on like the original, and neither is moved by the other."""
    whole = run(make(), rows)
    for split in splits:
        made = make()
        run(made, rows[:split])
        with blamed(f"copy after {split} candles"):
            twin = made.copy()
            disturbed = made.copy()
        run(disturbed, list(map(corrected, rows[split:])), split + 1)
        reason = f"a copy after {split} candles is not independent"
        expect_same(whole[split:], run(twin, rows[split:], split + 1), reason, split + 1)
        expect_same(whole[split:], run(made, rows[split:], split + 1), reason, split + 1)
    return f"copied at {len(splits)} splits"


def previews(make: Make, rows: Sequence[Candle]) -> str:
    """`peek` tells what `update` would, and leaves no trace, whatever it is shown."""
    made, untouched = make(), make()
    every = 1 + len(rows) // PREVIEWS
    for number, candle in enumerate(rows, start=1):
        if number % every:
            expect_same(run(untouched, [candle], number), run(made, [candle], number), "peek leaves a trace", number)
            continue
        before = _state(made)
        preview(made, corrected(candle), number)
        told = preview(made, candle, number)
        if _state(made) != before:
            raise NonconformingError(f"candle {number}: peek changes the state")
        expected = run(untouched, [candle], number)
        expect_same(expected, [told], "peek is not what update gives", number)
        expect_same(expected, run(made, [candle], number), "peek leaves a trace in what update gives", number)
    return f"before {len(rows) // every} of {len(rows)} candles"


def few_candles(make: Make, row: Candle) -> str:
    """With no candle it can be copied and previewed, and one is enough to go on with."""
    preview(make(), row, 1)
    with blamed("copy with no candle"):
        twin = make().copy()
    expect_same(run(make(), [row]), run(twin, [row]), "after a copy with no candle its value is another")
    return "none, and one"


def cuts(warmup: int, count: int) -> list[int]:
    """Where to cut `count` candles: at the very beginning, around the warm-up, and behind a snapshot."""
    wanted = {0, 1, 17, 60, warmup - 1, warmup, warmup + 1, warmup + HORIZON + 3, warmup + 2 * HORIZON + 5}
    return sorted(split for split in wanted if split < count)


def _state(made: Indicator) -> str | None:
    """Its state; None where it cannot tell, which another check is about."""
    try:
        return made.dump()
    except (TypeError, ValueError):
        return None
