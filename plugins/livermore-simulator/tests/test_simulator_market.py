"""The market: trades that rebuild their candle, a truth that is the sum of the trades, and determinism."""

from __future__ import annotations

import gzip
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from livermore_simulator import RecordedMarket, SyntheticMarket, Truth
from livermore_simulator.market import FIRST_ID, Minute, Product
from livermore_simulator.recorded import PERIOD

NOON = 1_704_283_200
DAY = 86_400


def invented(seed: int, count: int = 300) -> Product:
    """Minutes of every shape: flat, without wicks, with huge and with tiny volumes, with gaps."""
    chance, product = random.Random(seed), Product("ANY-USD", f"{seed}:ANY-USD")
    digits = seed % 5
    for time in range(NOON, NOON + count * 60, 60):
        low = round(chance.uniform(1, 10) * 10 ** chance.randint(0, 4), digits)
        inside = [low] if chance.random() < 0.2 else [round(low + chance.random() * 5, digits) for _ in range(3)]
        opening, close = chance.choice(inside), chance.choice(inside)
        units = chance.choice([4, 5, 17, 299, chance.randrange(10**6, 10**9), chance.randrange(10**14, 10**16)])
        if chance.random() < 0.8:
            product.append(Minute(time, opening, max(inside), min([*inside, opening]), close, units))
    return product


def recorded(folder: Path, shared_data: Path) -> list[Product]:
    """Two recorded products, a liquid and a thin one."""
    for symbol in ("BTC-USD", "ETC-USD"):
        name = f"coinbase_{symbol}_1m_{PERIOD}.csv.gz"
        (folder / name).symlink_to(shared_data / "market" / name)
    return list(RecordedMarket(folder).products.values())


def check_minutes(products: list[Product], fold: Any, step: int = 1) -> None:
    """Every `step`th minute, and every one with little volume, is rebuilt by its trades."""
    equal, edges, most = 0, set(), 0
    for product in products:
        for position, minute in enumerate(product.minutes):
            if position % step and minute.units > 300:
                continue
            trades = product.trades(position)
            assert fold(trades, 60) == [minute]
            assert min(trade.units for trade in trades) >= 1
            assert min(2, minute.units) <= len(trades) <= 300
            assert [trade.id for trade in trades] == list(range(product.ids[position], product.ids[position + 1]))
            times = [trade.micros for trade in trades]
            assert times == sorted(times)
            equal += sum(a == b for a, b in pairwise(times))
            edges |= {micros % 60_000_000 for micros in times} & {0, 59_999_999}
            most = max(most, len(trades))
        assert product.ids[0] == FIRST_ID
    assert equal > 20
    assert edges == {0, 59_999_999}
    assert most > 60


@pytest.mark.parametrize("seed", range(5))
def test_trades_rebuild_invented_minutes(fold: Any, seed: int) -> None:
    check_minutes([invented(seed)], fold)


def test_trades_rebuild_synthetic_minutes(fold: Any, market: SyntheticMarket) -> None:
    check_minutes(list(market.products.values()), fold, step=7)


def test_trades_rebuild_recorded_minutes(fold: Any, tmp_path: Path, shared_data: Path) -> None:
    check_minutes(recorded(tmp_path, shared_data), fold, step=53)


@pytest.mark.parametrize("symbol", ["BTC-USD", "LTC-USD"])
def test_truth_is_the_sum_of_the_trades(fold: Any, market: SyntheticMarket, symbol: str) -> None:
    product, truth = market.products[symbol], Truth(market)
    first = product.times[0] + 7 * 60
    trades = [trade for position in range(len(product.minutes)) for trade in product.trades(position)]
    middle = next(trade for trade in trades if trade.micros > (NOON + 900) * 1_000_000).micros / 1e6
    for as_of in (middle, float(NOON)):
        known = [trade for trade in trades if trade.micros / 1e6 < as_of]
        for timeframe, width in {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14_400, "1d": DAY}.items():
            expected = [row for row in fold(known, width) if row[0] >= first]
            assert truth.minutes(symbol, width, first, NOON + DAY, as_of) == expected
            rows = truth.candles(symbol, timeframe, first, NOON + DAY, as_of)
            assert rows == [(*row[:-1], row[-1] / 1e8) for row in expected]
            assert truth.minutes(symbol, width, first, int(expected[-1][0]), as_of) == expected[:-1]


def test_thin_products_have_gaps_and_liquid_ones_none(market: SyntheticMarket) -> None:
    def holes(symbol: str) -> int:
        return sum(b - a != 60 for a, b in pairwise(market.products[symbol].times))

    assert holes("BTC-USD") == 0
    assert holes("LTC-USD") > 300
    days = [{time % DAY for time in market.products["LTC-USD"].times if time // DAY == day} for day in (19724, 19725)]
    assert len(days[0] & days[1]) < 0.5 * len(days[0])  # no day is like another
    nearly_dead = list(SyntheticMarket(12, start=NOON, days=1).products.values())[-2:]
    assert all(len(product.minutes) < 60 for product in nearly_dead)


def contents(market: SyntheticMarket) -> Any:
    return {symbol: (product.minutes, product.ids, product.trades(5)) for symbol, product in market.products.items()}


def test_seed_decides_the_market() -> None:
    one, same, other = (SyntheticMarket(2, start=NOON, seed=seed, days=1) for seed in (1, 1, 2))
    assert contents(one) == contents(same)
    assert all(contents(one)[symbol] != contents(other)[symbol] for symbol in one.products)


def test_extending_day_by_day_is_extending_at_once() -> None:
    slow, quick = (SyntheticMarket(2, start=NOON, seed=3, days=1) for _ in range(2))
    before = slow.span
    for day in range(1, 4):
        slow.extend(NOON + day * DAY)
    quick.extend(NOON + 3 * DAY)
    assert contents(slow) == contents(quick)
    assert quick.span == (before[0], before[1] + 3 * DAY)


def test_recorded_market_reads_files(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "coinbase_ETH-USD_1m_then.csv.gz", "wt") as file:
        file.write(f"time,open,high,low,close,volume\n{NOON},5,7.5,4,6,0.00000123\n{NOON + 120},6,6,6,6,12\n")
    market = RecordedMarket(tmp_path, period="then")
    assert market.products["ETH-USD"].minutes == [(NOON, 5, 7.5, 4, 6, 123), (NOON + 120, 6, 6, 6, 6, 1_200_000_000)]
    assert market.find("ETH-USDC") is market.products["ETH-USD"]
    assert market.span == (NOON, NOON + 180)
    with pytest.raises(FileNotFoundError, match="no file coinbase_<product>_1m_other"):
        RecordedMarket(tmp_path, period="other")
