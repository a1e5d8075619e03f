"""Closing by proof: what dense ids and an unbroken connection prove, and what they do not."""

from __future__ import annotations

from livermore_core import Candle, Trade
from livermore_core.market.tape import Tape, Unproven

MINUTE = 1_704_268_800


def trade(identity: int, at: float, price: float = 10.0, size: float = 1.0) -> Trade:
    return Trade("BTC-USD", identity, price, size, MINUTE + at)


def connected(*trades: Trade) -> Tape:
    """A tape whose snapshot was `trades` and whose subscription is acknowledged."""
    tape = Tape()
    tape.connected()
    for each in trades:
        tape.trade(each)
    tape.subscribed(MINUTE + 1.0)
    return tape


def test_a_minute_with_dense_ids_closes_as_its_candle_S1() -> None:
    tape = connected(trade(7, -5.0))
    for each in (trade(8, 1.0, 10.0), trade(9, 2.0, 12.0), trade(10, 3.0, 9.0), trade(11, 59.999999, 11.0)):
        assert tape.trade(each) is False
    assert tape.close(MINUTE) == Candle(MINUTE, 10.0, 12.0, 9.0, 11.0, 4.0, source="trades")


def test_a_trade_on_the_boundary_belongs_to_the_new_minute_T05_W30() -> None:
    tape = connected(trade(7, -5.0))
    tape.trade(trade(8, 59.0, 10.0))
    tape.trade(trade(9, 60.0, 99.0))
    first = tape.close(MINUTE)
    assert isinstance(first, Candle)
    assert (first.time, first.high) == (MINUTE, 10.0)
    second = tape.close(MINUTE + 60)
    assert isinstance(second, Candle)
    assert (second.time, second.open) == (MINUTE + 60, 99.0)


def test_a_trade_that_comes_after_the_next_minute_began_belongs_to_its_own_W29() -> None:
    tape = connected(trade(7, -5.0))
    for each in (trade(8, 58.0, 10.0), trade(9, 60.2, 99.0), trade(10, 59.5, 12.0), trade(11, 61.0, 98.0)):
        assert tape.trade(each) is False
    assert tape.close(MINUTE) == Candle(MINUTE, 10.0, 12.0, 10.0, 12.0, 2.0, source="trades")
    assert tape.close(MINUTE + 60) == Candle(MINUTE + 60, 99.0, 99.0, 98.0, 98.0, 2.0, source="trades")


def test_a_trade_of_a_closed_minute_is_not_folded_into_the_current_one_W24() -> None:
    tape = connected(trade(7, -5.0))
    tape.trade(trade(8, 1.0, 10.0))
    tape.close(MINUTE)
    for each in (trade(9, 61.0, 20.0), trade(10, 30.0, 99.0), trade(11, 62.0, 21.0)):
        assert tape.trade(each) is False
    assert tape.close(MINUTE + 60) == Candle(MINUTE + 60, 20.0, 21.0, 20.0, 21.0, 2.0, source="trades")


def test_a_jump_of_the_price_is_a_price_W38() -> None:
    tape = connected(trade(7, -5.0))
    for each in (trade(8, 1.0, 10.0), trade(9, 2.0, 30.0, 5000.0)):
        tape.trade(each)
    assert tape.close(MINUTE) == Candle(MINUTE, 10.0, 30.0, 10.0, 30.0, 5001.0, source="trades")


def test_a_minute_without_a_trade_is_empty_R15_W28() -> None:
    assert connected(trade(7, -5.0)).close(MINUTE) is None


def test_the_minute_in_which_one_joined_is_not_closed_by_its_trades_W27() -> None:
    assert connected(trade(7, 5.0)).close(MINUTE) is Unproven.PARTIAL


def test_nothing_closes_before_the_subscription_is_acknowledged_W16() -> None:
    tape = Tape()
    tape.connected()
    tape.trade(trade(7, -5.0))
    assert tape.close(MINUTE) is Unproven.UNACKNOWLEDGED


def test_lost_frames_leave_a_quiet_minute_unproven_until_the_next_id_decides_W20() -> None:
    tape = connected(trade(7, -5.0))
    tape.lost()
    assert tape.close(MINUTE) is Unproven.LOST
    tape.trade(trade(8, 61.0))
    assert isinstance(tape.close(MINUTE + 60), Candle)


def test_a_later_trade_proves_a_minute_in_which_frames_were_lost_W20() -> None:
    tape = connected(trade(7, -5.0))
    tape.trade(trade(8, 30.0))
    tape.lost()
    tape.trade(trade(9, 60.5))
    assert isinstance(tape.close(MINUTE), Candle)


def test_a_hole_in_the_ids_retracts_what_was_closed_since_the_last_confirmed_trade_W06() -> None:
    tape = connected(trade(7, -5.0))
    tape.trade(trade(8, 1.0))
    tape.close(MINUTE)
    tape.close(MINUTE + 60)
    assert tape.trade(trade(12, 125.0)) is True
    assert tape.retract() == [MINUTE, MINUTE + 60]
    assert tape.close(MINUTE + 120) is Unproven.PARTIAL


def test_the_next_id_confirms_what_was_closed() -> None:
    tape = connected(trade(7, -5.0))
    tape.close(MINUTE)
    assert tape.trade(trade(8, 70.0)) is False
    assert tape.retract() == []


def test_a_snapshot_that_overlaps_is_counted_once_W26() -> None:
    tape = connected(trade(7, -5.0))
    tape.trade(trade(8, 1.0))
    tape.connected()
    for each in (trade(7, -5.0), trade(8, 1.0), trade(9, 2.0)):
        assert tape.trade(each) is False
    tape.subscribed(MINUTE + 3.0)
    closed = tape.close(MINUTE)
    assert isinstance(closed, Candle)
    assert closed.volume == 2.0


def test_a_snapshot_that_does_not_overlap_leaves_a_hole_W25() -> None:
    tape = connected(trade(7, -5.0))
    tape.trade(trade(8, 1.0))
    tape.connected()
    assert tape.trade(trade(30, 20.0)) is True
    tape.subscribed(MINUTE + 21.0)
    assert tape.close(MINUTE) is Unproven.PARTIAL


def test_a_symbol_that_never_traded_is_empty_from_its_acknowledgement_on() -> None:
    tape = connected()
    assert tape.close(MINUTE) is Unproven.PARTIAL
    assert tape.close(MINUTE + 60) is None


def test_sparse_ids_prove_nothing_and_retract_nothing() -> None:
    tape = connected(trade(7, -5.0))
    tape.sparse = True
    assert tape.trade(trade(19, 1.0)) is False
    assert isinstance(tape.close(MINUTE), Candle)
