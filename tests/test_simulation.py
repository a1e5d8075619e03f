"""Deterministic simulation: under every fault, alone and in storms, what is kept and announced is the truth."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from livermore_indicators import IndicatorCalculationService
from slow_macd_v import slow_macd_v

from livermore_core import Context, Series
from livermore_core.testing import Evidence, Fault, Outcome, fault_schedule, simulate
from livermore_core.testing.evidence import settled
from livermore_core.testing.faults import KINDS, from_text, to_text
from livermore_core.testing.simulation import AUDITED, MARKETS

# Busy, thin and nearly dead.
FEW = {symbol: MARKETS[symbol] for symbol in ("P02-USD", "P05-USD", "P08-USD", "P11-USD")}
FIRST = 700.0
LEAST_OF_A_START = 150


async def indicate(context: Context) -> None:
    await IndicatorCalculationService(context).start()


def run(seed: int, hours: float, **more: object) -> Outcome:
    indicators = {"macd-v": ("livermore_indicators.macd_v:MacdV", slow_macd_v)}
    return simulate(seed, hours, indicate=indicate, indicators=indicators, **more)  # type: ignore[arg-type]


def test_without_faults_everything_holds_and_little_is_asked_X3() -> None:
    outcome = run(1, 2.0, per_hour=0.0)
    assert outcome.violations == []
    assert outcome.compared > 8_000
    assert outcome.requests < LEAST_OF_A_START + 12 * 2 * 10


@pytest.mark.parametrize("kind", KINDS)
def test_each_fault_alone_heals_H5_S1_S2_S3_S9_E1_E2_E5_I2(kind: str) -> None:
    """Weak and strong, and once more before the first has healed."""
    limits = KINDS[kind]
    symbol = "P02-USD" if limits.of_symbol else ""
    faults = [
        Fault(at=at, kind=kind, symbol=symbol, lasts=limits.lasts[strong], amount=limits.amount[strong])
        for at, strong in ((FIRST, 1), (FIRST + limits.lasts[1] + limits.amount[1] + 130.0, 0))
    ]
    seconds = limits.lasts[1] + limits.amount[1] + (AUDITED if kind == "rest.revise" else 0.0)
    outcome = run(2, 0.6 + seconds / 3600.0, faults=faults, markets=FEW)
    assert outcome.violations == []
    assert outcome.compared > 2_000


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 19, 1003])
def test_a_storm_heals(seed: int) -> None:
    """These seeds once found a hole that nobody asked for, a doubt without end, and a service that died."""
    outcome = run(seed, 6.0)
    assert outcome.violations == []
    assert outcome.compared > 11_000


def test_a_value_whose_candle_is_withdrawn_and_read_anew_across_a_restart_is_corrected_I4_V3() -> None:
    """The market is muted over the end of a 5m bucket; the process ends once that is known and before it is healed."""
    faults = [
        Fault(at=810.0, kind="ws.mute", symbol="P01-USD", lasts=200.0),
        Fault(at=921.0, kind="process.restart", amount=400.0),
    ]
    assert run(8, 0.6, faults=faults, markets={"P01-USD": MARKETS["P01-USD"]}).violations == []


def test_one_product_of_fifty_that_goes_silent_is_healed_without_a_reconnect_loop_W06_W09() -> None:
    markets = {f"Q{number:02}-USD": 2000.0 + number for number in range(49)} | {"MUTED-USD": 20.0}
    outcome = run(3, 0.9, faults=[Fault(at=FIRST, kind="ws.mute", symbol="MUTED-USD", lasts=2000.0)], markets=markets)
    assert outcome.violations == []
    assert "ws.muted" in {event for _, event in outcome.said}
    assert 1 < outcome.connections <= 7


def test_two_cuts_with_a_short_connection_between_are_not_one_long_one_H2() -> None:
    faults = [Fault(at=FIRST + 2, kind="ws.blackhole"), Fault(at=FIRST + 18.5, kind="ws.blackhole")]
    assert run(8, 0.3, faults=faults, markets=FEW).violations == []


def test_a_process_that_wakes_has_a_turn_before_its_status_is_held_against_the_cut_H2() -> None:
    """The look that was due in the pause comes before the feed, which was due later, can find that it is cut off."""
    seen: list[Evidence] = []
    faults = [Fault(at=FIRST + 4.5, kind="ws.blackhole"), Fault(at=FIRST + 14.0, kind="clock.pause", amount=14.0)]
    outcome = run(8, 0.3, faults=faults, markets=FEW, beat=5.0, see=seen.append)
    woken = FIRST + 28.0
    assert [state for moment, state, _ in seen[0].shown if moment == woken] == ["LIVE"]
    assert (woken, "feed.lost") in outcome.said
    assert outcome.violations == []


def test_a_partial_acknowledgement_is_said_with_whom_it_leaves_out() -> None:
    seen: list[Evidence] = []
    partial = Fault(at=FIRST, kind="ws.partial_ack", symbol="P02-USD", lasts=60.0)
    outcome = run(8, 0.5, faults=[partial, Fault(at=FIRST + 1.0, kind="ws.close")], markets=FEW, see=seen.append)
    assert outcome.violations == []
    causes = {fields["cause"] for _, event, fields in seen[0].said if event == "feed.partial"}
    assert causes == {"not acknowledged: P02-USD"}


def test_a_market_that_is_merely_quiet_causes_no_reconnect_W06_W37() -> None:
    outcome = run(4, 2.0, per_hour=0.0, markets={f"Q{number:02}-USD": 3000.0 + number for number in range(20)})
    assert outcome.violations == []
    assert outcome.connections == 1


def test_eight_hours_without_the_exchange_invent_nothing_and_say_little_R05() -> None:
    down = Fault(at=FIRST, kind="exchange.down", lasts=8 * 3600.0)
    outcome = run(5, 8.3, faults=[down], markets=FEW)
    assert outcome.violations == []
    lines = Counter(
        (event, int(moment // 60)) for moment, event in outcome.said if down.at < moment < down.at + down.lasts
    )
    assert max(lines.values()) == 1
    assert {event for event, _ in lines} <= {"feed.lost", "exchange.unavailable", "gap.opened"}


def test_one_tape_under_two_schedules_ends_in_the_same_candles_coverage_and_values_S10() -> None:
    schedules: list[list[Fault]] = [
        [],
        [
            Fault(at=FIRST, kind="ws.close"),
            Fault(at=FIRST + 200, kind="ws.skip", symbol="P02-USD", amount=3),
            Fault(at=FIRST + 400, kind="store.full", lasts=60),
            Fault(at=FIRST + 600, kind="exchange.down", lasts=400),
        ],
        [
            Fault(at=FIRST, kind="rest.lag", lasts=300, amount=60),
            Fault(at=FIRST + 50, kind="ws.blackhole"),
            Fault(at=FIRST + 500, kind="process.restart", amount=300),
        ],
    ]
    untroubled, *troubled = [end_of(faults) for faults in schedules]
    assert sum(len(candles) for candles, _, _ in untroubled.values()) > 2_000
    for end in troubled:
        assert end.keys() == untroubled.keys()
        for series, (candles, coverage, values) in end.items():
            assert candles == untroubled[series][0], series
            assert coverage == untroubled[series][1], series
            # A start at another place of history leaves a trace; a replay leaves none.
            assert values == pytest.approx(untroubled[series][2], abs=0.001), series


End = dict[Series, tuple[list[tuple[object, ...]], list[tuple[int, int]], dict[str, float]]]


def end_of(faults: list[Fault]) -> End:
    """What the store holds in the end, but for revisions, sources and the last bit of a volume."""
    seen: list[Evidence] = []
    outcome = run(8, 0.6, faults=faults, markets=FEW, see=seen.append)
    assert outcome.violations == []
    (evidence,) = seen
    end: End = {}
    for series in evidence.series:
        since, until = settled(evidence, series)
        rows = [row for row in evidence.rows[series] if since <= row.time < until]
        candles: list[tuple[object, ...]] = [
            (row.time, row.open, row.high, row.low, row.close, round(row.volume, 6)) for row in rows
        ]
        outputs = {
            name: number
            for value in evidence.values[series]
            for name, number in ({"time": float(value.time)} | dict(value.outputs)).items()
            if isinstance(number, float)
        }
        end[series] = candles, evidence.coverage[series].within(since, until), outputs
    return end


def test_the_same_seed_is_the_same_run_in_another_process_and_time_zone_V5_T07() -> None:
    program = "import sys; sys.path.insert(0, sys.argv[1]); import test_simulation; print(test_simulation.digest())"
    command = [sys.executable, "-c", program, str(Path(__file__).parent)]
    digests = {
        subprocess.run(
            command,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed, zone in (("1", "UTC0"), ("2", "EST5EDT,M3.2.0,M11.1.0"))
    }
    assert digests == {f"{digest()}\n"}


def digest() -> str:
    return run(5, 1.0, per_hour=12.0, markets=FEW).digest


def test_a_schedule_comes_from_its_seed_and_can_be_written_down() -> None:
    schedule = fault_schedule(7, 200.0, list(MARKETS), per_hour=4.0)
    assert schedule == fault_schedule(7, 200.0, list(MARKETS), per_hour=4.0)
    assert schedule != fault_schedule(8, 200.0, list(MARKETS), per_hour=4.0)
    assert {fault.kind for fault in schedule} == set(KINDS)
    assert from_text(to_text(schedule)) == schedule
    # A seed means what it meant when it was written down: in a patch of tests/mutants, or in a report.
    assert hashlib.sha256(to_text(schedule).encode()).hexdigest()[:16] == "dc862767cdd54ecc"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            json.dumps({"at": 1, "kind": "ws.clsoe"}),
            "line 1: no fault is called 'ws.clsoe', did you mean 'ws.close'?; there are",
        ),
        ('\n{"at": 1}', "line 2: Object missing required field `kind`"),
        (json.dumps({"kind": "ws.close", "how": "hard"}), "line 1: ws.close: it has no `how`"),
        (json.dumps({"kind": "ws.close", "code": 7}), "line 1: ws.close: it has no `code`"),
        (json.dumps({"kind": "ws.close", "on": "frames", "nth": 1}), "line 1: ws.close: `on` is one of request, frame"),
        (json.dumps({"kind": "ws.close", "nth": 1}), "line 1: ws.close: `on` is one of request, frame, connection"),
        (json.dumps({"kind": "ws.close", "at": -1}), "line 1: ws.close: `at` and `lasts` are not negative"),
        (json.dumps({"kind": "ws.close", "last": 1}), "line 1: Object contains unknown field `last`"),
        ("nonsense", "line 1: JSON is malformed"),
    ],
)
def test_a_schedule_that_is_none_is_refused_with_its_line(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        from_text(text)
