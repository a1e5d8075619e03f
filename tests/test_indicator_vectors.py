"""MACD-V and its blocks against the reference vectors: every column, preview and correction within tolerance."""

from __future__ import annotations

from functools import partial

import pytest
from livermore_indicators import AnchoredVwap, Atr, MacdV
from reference_vectors import NAMES, candles, near, vectors

from livermore_core import Candle, Ema, Rma, SeriesHost, TrueRange
from livermore_core.indicators.host import MOST_BUCKETS


@pytest.mark.parametrize("name", NAMES)
def test_macd_v_signal_histogram_zone_and_stage_I2(name: str) -> None:
    expected = vectors(name)["expected"]["macd_v"]
    indicator = MacdV()
    compared = 0
    for position, candle in enumerate(candles(name)):
        got = indicator.update(candle)
        assert indicator.neutral_bars == expected["neutral_bars"][position]
        if got is None:
            assert expected["macd_v"][position] is None
            continue
        for column, value in zip(("macd_v", "signal", "histogram"), got[:3], strict=True):
            near(name, value, expected[column][position], points=True)
        assert got[3:5] == (expected["zone"][position], expected["stage"][position])
        compared += 1
    assert compared == sum(value is not None for value in expected["macd_v"])


@pytest.mark.parametrize("name", NAMES)
def test_the_blocks_on_their_own_I2(name: str) -> None:
    expected = vectors(name)["expected"]["macd_v"]
    fast, slow, atr, true_range = Ema(12), Ema(26), Rma(26), TrueRange()
    for position, candle in enumerate(candles(name)):
        near(name, fast.push(candle.close), expected["ema_12"][position])
        near(name, slow.push(candle.close), expected["ema_26"][position])
        near(name, atr.push(true_range.push(candle)), expected["atr_26"][position])


@pytest.mark.parametrize("name", NAMES)
def test_previews_leave_no_trace(name: str) -> None:
    host = SeriesHost("macd-v", MacdV)
    known = candles(name)
    fed = 0
    for preview in vectors(name)["previews"]:
        for candle in known[fed : preview["closed_candles"]]:
            host.commit(candle)
        fed = preview["closed_candles"]
        before = host.head.dump()
        value = host.peek(Candle(*preview["in_progress"]))
        expected = preview["expected"]
        for column in ("macd_v", "signal", "histogram"):
            near(name, value.outputs[column], expected[column], points=True)  # type: ignore[arg-type]
        assert (value.outputs["zone"], value.outputs["stage"]) == (expected["zone"], expected["stage"])
        assert value.provisional
        assert host.head.dump() == before


@pytest.mark.parametrize("name", NAMES)
def test_a_correction_replays_from_the_candle_on_I4(name: str) -> None:
    correction = vectors(name)["correction"]
    known = candles(name)
    host = SeriesHost("macd-v", MacdV)
    for candle in known:
        host.commit(candle)
    known[correction["index"]] = Candle(*correction["revised"])
    values = host.replay([candle for candle in known if candle.time > host.replayed_from])
    got = [value for value in values if value.time >= correction["revised"][0]]
    expected = correction["expected"]
    assert len(got) == len(expected["macd_v"])
    for position, value in enumerate(got):
        for column in ("macd_v", "signal"):
            near(name, value.outputs[column], expected[column][position], points=True)  # type: ignore[arg-type]
        assert value.outputs["stage"] == expected["stage"][position]


def test_settle_and_warm_up_of_macd_v_are_what_the_reference_says() -> None:
    assert (MacdV().warmup, MacdV().settle) == (34, 300)


def test_values_say_what_they_are_I3() -> None:
    host = SeriesHost("macd-v", partial(MacdV))
    values = [host.commit(candle) for candle in candles("walk")]
    assert values[10].outputs["macd_v"] is None
    assert (values[10].have, values[10].need) == (11, 34)
    assert [value.settled for value in values].index(True) == 299


@pytest.mark.parametrize("name", NAMES)
def test_rebuild_dump_and_live_agree_to_the_bit(name: str) -> None:
    known = candles(name)
    live = SeriesHost("macd-v", MacdV)
    lived = [live.commit(candle) for candle in known]
    rebuilt = SeriesHost("macd-v", MacdV)
    assert rebuilt.rebuild(known) == lived[-len(rebuilt.rebuild(known)) :]
    revived = MacdV()
    half = MacdV()
    for candle in known[:100]:
        half.update(candle)
    revived.load(half.dump())
    assert [revived.update(candle) for candle in known[100:]] == [half.update(candle) for candle in known[100:]]


@pytest.mark.parametrize("policy", ["carry", "flat"])
def test_buckets_without_trades_are_carried_or_flat_as_the_reference_says(policy: str) -> None:
    rows, expected = candles("sparse"), vectors("sparse")["policies"][policy]
    until = rows[-1].time + 60
    host = SeriesHost("macd-v", MacdV, width=60, empty=policy)
    values, ranges = host.commit_all(rows, until), SeriesHost("atr", lambda: Atr(26), width=60, empty=policy)
    assert [value.time for value in values] == list(range(rows[0].time, until, 60))
    for position, (value, reach) in enumerate(zip(values, ranges.commit_all(rows, until), strict=True)):
        for column in ("macd_v", "signal", "histogram"):
            near("sparse", value.outputs[column], expected[column][position], points=True)  # type: ignore[arg-type]
        near("sparse", reach.outputs["value"], expected["atr_26"][position])  # type: ignore[arg-type]
        assert value.outputs["stage"] == expected["stage"][position]
    assert value.have == value.need == 34
    again = SeriesHost("macd-v", MacdV, width=60, empty=policy)
    rebuilt = again.rebuild(rows, until)
    assert rebuilt == values[-len(rebuilt) :]
    # A silence at the end is filled as well, and a host that goes on from a state knows what it stood before.
    silent = host.commit_all([], until + 600)
    third = SeriesHost("macd-v", MacdV, width=60, empty=policy)
    third.resume(str(host.state))
    replayed = third.replay([row for row in rows if row.time >= third.replay_since], until + 600)
    assert len(silent) == 10
    assert replayed[-10:] == silent


@pytest.mark.parametrize("policy", ["carry", "flat"])
def test_a_preview_after_a_silence_is_what_the_close_will_be(policy: str) -> None:
    rows = candles("sparse")
    host = SeriesHost("macd-v", MacdV, width=60, empty=policy)
    host.rebuild(rows[:100], rows[99].time + 60)
    for row in rows[100:200]:
        peeked = host.peek(row)
        assert peeked.outputs == host.commit_all([row], 0)[-1].outputs


def test_a_market_with_a_trade_a_week_is_filled_so_far_and_no_farther() -> None:
    rows = [Candle(604_800 * week, 10.0, 11.0, 9.0, 10.0, 1.0) for week in range(100, 200)]
    host = SeriesHost("macd-v", MacdV, width=60, empty="carry")
    host.rebuild(rows, rows[-1].time + 60)
    assert rows[-1].time - host.fed_from <= MOST_BUCKETS * 60


def test_a_day_that_begins_without_a_trade_has_no_average_yet() -> None:
    host = SeriesHost("vwap", AnchoredVwap, width=60, empty="flat")
    values = host.commit_all([Candle(86_400 - 120, 10.0, 11.0, 9.0, 10.0, 1.0)], 86_400 + 180)
    assert [value.outputs["value"] for value in values] == [10.0, 10.0, None, None, None]
    assert host.commit_all([Candle(86_400 + 180, 5.0, 5.0, 5.0, 5.0, 1.0)], 0)[-1].outputs["value"] == 5.0


def test_results_of_another_library_become_plain_numbers() -> None:
    class Foreign(float):
        """As numpy's are: a float that no store can keep."""

    class Fed(MacdV):
        outputs = ("value",)

        def update(self, candle: Candle) -> float:  # type: ignore[override]
            return Foreign(candle.close)

    assert type(SeriesHost("fed", Fed).commit(candles("walk")[0]).outputs["value"]) is float
