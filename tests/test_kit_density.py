"""Ids that are not dense prove nothing: found out by REST's agreement, never by a loss of frames."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from test_kit_faults import compared, exchange, following

from livermore_core import Candle, Lost, Message, Trade
from livermore_core.testing import MemoryExchange, MemoryStore, run_virtual

HOUR = 3600.0
MARKETS = {"AAA-USD": 2.0, "BBB-USD": 30.0, "CCC-USD": 200.0}


class Sparse(MemoryExchange):
    """The ids of one symbol run on in steps of seven."""

    sparse = "AAA-USD"

    def _trades(self, symbol: str, first: int, last: int) -> Iterator[Message]:
        for trade in super()._trades(symbol, first, last):
            assert isinstance(trade, Trade)
            step = 7 if symbol == self.sparse else 1
            yield Trade(symbol, step * trade.id, trade.price, trade.size, trade.time)


class Silent(MemoryExchange):
    """What is dropped leaves no hole in the sequence."""

    def _frame(self, symbols: Sequence[str], sent: dict[str, int]) -> Iterator[Message]:
        return (message for message in super()._frame(symbols, sent) if not isinstance(message, Lost))


@pytest.mark.parametrize("symbol", MARKETS)
def test_a_symbol_with_sparse_ids_is_found_out_and_closed_without_them(symbol: str) -> None:
    async def found_out() -> tuple[list[str], int, int, set[str], int]:
        client = exchange(4.0, Sparse, markets=MARKETS)
        client.sparse = symbol
        async with following(client, MemoryStore()) as found:
            await found.live()
            await asyncio.sleep(HOUR)
            sparse = found.following.status()["ids_sparse"]
            since, gaps, requests = client.now() + 60.0, len(found.events("gap.opened")), len(client.requests)
            await asyncio.sleep(HOUR - 300.0)
            gaps, requests = len(found.events("gap.opened")) - gaps, len(client.requests) - requests
            ledger = found.following.recorder.ledger(symbol, "1m")
            rows = await found.store.candles(ledger.series, since=int(client.now() - 600.0))
            await compared(found, client, since)
            return sparse, gaps, requests, {row.source for row in rows}, len(found.events("ids.sparse"))

    sparse, gaps, requests, sources, said = run_virtual(found_out())
    assert sparse == [symbol]
    assert said == 1
    assert gaps == 0
    assert requests <= 10  # the audit's
    assert "trades" in sources


class Slow(MemoryStore):
    """A store that takes its time to answer."""

    async def candles(self, *args: Any, **more: Any) -> list[Candle]:
        await asyncio.sleep(20.0)
        return await super().candles(*args, **more)


def test_jumps_that_come_while_older_ones_are_judged_end_nothing() -> None:
    async def overtaken() -> list[str]:
        client = exchange(4.0, Sparse, markets=MARKETS)
        async with following(client, Slow()) as found:
            await found.live()
            await asyncio.sleep(HOUR)
            return found.following.status()["ids_sparse"]

    assert run_virtual(overtaken()) == [Sparse.sparse]


def test_where_ids_prove_nothing_a_missing_frame_still_retracts() -> None:
    async def lossy() -> tuple[list[str], int, int]:
        client = exchange(4.0, Sparse, markets=MARKETS)
        client.sparse = "BBB-USD"
        async with following(client, MemoryStore()) as found:
            await found.live()
            await asyncio.sleep(HOUR)
            sparse, since, asked = found.following.status()["ids_sparse"], client.now(), 0
            for _ in range(10):
                before = len(client.requests)
                client.drop("BBB-USD", 3)
                await asyncio.sleep(270.0)
                asked += len(client.requests) > before
            await asyncio.sleep(200.0)
            return sparse, asked, await compared(found, client, since)

    sparse, asked, rows = run_virtual(lossy())
    assert sparse == ["BBB-USD"]
    assert asked == 10
    assert rows > 50


@pytest.mark.parametrize("kind", [MemoryExchange, Silent])
def test_a_symbol_with_dense_ids_is_never_taken_for_sparse_whatever_is_lost(kind: type[MemoryExchange]) -> None:
    async def lossy() -> tuple[list[str], int]:
        chance = random.Random(4)
        client = exchange(6.0, kind, markets=MARKETS)
        async with following(client, MemoryStore()) as found:
            await found.live()
            since, until = client.now(), client.now() + 2 * HOUR
            while client.now() < until:
                client.drop(chance.choice(list(MARKETS)), chance.choice((1, 1, 2, 20)))
                await asyncio.sleep(chance.uniform(20.0, 200.0))
            for symbol in MARKETS:
                client.drop(symbol, 0)
            await asyncio.sleep(HOUR + 200.0)  # what no later trade shows is found by the audit
            await compared(found, client, since)
            return found.following.status()["ids_sparse"], len(found.events("gap.opened"))

    sparse, gaps = run_virtual(lossy())
    assert sparse == []
    assert gaps > 10
