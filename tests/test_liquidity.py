"""What stands beside a value: its age in buckets, and how thinly its series is traded."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from livermore_core import Batch, Candle, IndicatorValue, Series, SeriesChange
from livermore_core.cli.group import run
from livermore_core.indicators.liquidity import age, tier
from livermore_core.store.sqlite import open_store

START = 1_704_283_200  # 2024-01-03T12:00:00Z


@pytest.mark.parametrize(
    ("traded", "buckets", "expected"),
    [(100, 100, "high"), (81, 100, "high"), (80, 100, "medium"), (51, 100, "medium"), (50, 100, "low"), (0, 0, "low")],
)
def test_the_tier_is_the_share_of_buckets_without_trades(traded: int, buckets: int, expected: str) -> None:
    assert tier(traded, buckets) == expected


def test_an_age_is_in_buckets_that_have_closed_since() -> None:
    assert [age(600, until, 60) for until in (600, 660, 719, 720, 960)] == [0, 0, 0, 1, 5]


async def fill(url: str, every: int, unknown: int = 0) -> None:
    """Two hours are known but for so many minutes; a trade in one of `every`, and none in the last five."""
    series = Series("coinbase", "BTC-USD", "1m")
    known = [at for at in range(0, 115, every) if not 60 <= at < 60 + unknown]
    rows = [Candle(START + 60 * at, 1.0, 2.0, 1.0, 2.0, 1.0) for at in known]
    value = IndicatorValue(
        indicator="ema", time=rows[-1].time, outputs={"value": 1.5}, have=3, need=20, since=START, revision=2
    )
    change = SeriesChange(
        series=series,
        rows=rows,
        covered=[(START, START + 3600), (START + 3600 + 60 * unknown, START + 7200)],
        values=[value],
    )
    async with open_store(url) as store:
        await store.transact(Batch(changes=[change]))


@pytest.mark.parametrize(
    ("every", "unknown", "expected"), [(1, 0, "high"), (1, 50, "high"), (2, 0, "low"), (40, 0, "low")]
)
def test_indicators_says_age_liquidity_and_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], every: int, unknown: int, expected: str
) -> None:
    url = f"sqlite:///{tmp_path}/store.sqlite"
    asyncio.run(fill(url, every, unknown))
    assert run(["indicators", "BTC-USD", "--store", url, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["liquidity"] == expected
    assert row["age"] == (START + 7200 - (START + 60 * max(range(0, 115, every)))) // 60 - 1
    assert (row["have"], row["need"], row["revision"], row["settled"]) == (3, 20, 2, False)
    assert row["since"] == "2024-01-03T12:00:00Z"
    assert run(["indicators", "BTC-USD", "--store", url]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split()[-2:] == ["age", "liquidity"]
    assert line.split()[-1] == expected
