"""The contract of an exchange client: subclass ExchangeContract in its tests and give it an `opened` fixture."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

import pytest

from livermore_core.errors import PermanentError
from livermore_core.exchange.protocol import CandleUpdate, ExchangeClient, Heartbeat, Lost, Subscribed
from livermore_core.market.candle import same
from livermore_core.market.series import is_symbol
from livermore_core.market.timeframe import WIDTHS
from livermore_core.market.trade import Trade

Opened = Callable[[], AbstractAsyncContextManager[ExchangeClient]]
MOST_MESSAGES = 200_000


class ExchangeContract:
    """What every exchange client must do.

    Give the fixture `opened`: a callable that opens a client. `symbol` is one that trades; `timeframes` and
    `page_size` are those of its `Exchange`. `run` may be replaced to run the checks on virtual time.
    """

    symbol = "BTC-USD"
    timeframes: tuple[str, ...] = ("1m", "5m", "15m", "1h", "4h", "1d")
    page_size = 300

    def run(self, main: Any) -> Any:
        """Run a coroutine to its end."""
        return asyncio.run(main)

    def test_products_have_symbols_and_aliases_of_their_own(self, opened: Opened) -> None:
        async def check(client: ExchangeClient) -> None:
            products = await client.products()
            symbols = [product.symbol for product in products]
            aliases = [alias for product in products for alias in product.aliases]
            assert self.symbol in symbols
            assert all(is_symbol(name) for name in [*symbols, *aliases])
            assert len({*symbols, *aliases}) == len(symbols) + len(aliases)

        self._with(opened, check)

    def test_the_clock_of_the_exchange_does_not_go_back(self, opened: Opened) -> None:
        async def check(client: ExchangeClient) -> None:
            first = await client.time()
            assert 1e9 < first <= await client.time()

        self._with(opened, check)

    def test_a_page_holds_the_buckets_asked_for_and_no_other_S1(self, opened: Opened) -> None:
        async def check(client: ExchangeClient) -> None:
            for timeframe in self.timeframes:
                width = WIDTHS[timeframe]
                now = await client.time()
                end = int(now // width) * width
                start = end - self.page_size * width
                page = await client.candles(self.symbol, timeframe, start, end)
                times = [row.time for row in page.rows]
                assert len(set(times)) == len(times)
                assert all(start <= time < end and time % width == 0 for time in times), timeframe
                assert abs(page.moment - now) < 60 + (await client.time() - now)

        self._with(opened, check)

    def test_the_past_is_the_same_each_time_it_is_asked_for(self, opened: Opened) -> None:
        async def check(client: ExchangeClient) -> None:
            width = WIDTHS[self.timeframes[0]]
            end = int(await client.time() // width - 5) * width
            asked = (self.symbol, self.timeframes[0], end - 50 * width, end)
            first, second = await client.candles(*asked), await client.candles(*asked)
            assert sorted(first.rows, key=lambda row: row.time) == sorted(second.rows, key=lambda row: row.time)

        self._with(opened, check)

    def test_an_unknown_symbol_is_a_permanent_error(self, opened: Opened) -> None:
        async def check(client: ExchangeClient) -> None:
            end = int(await client.time() // 60) * 60
            with pytest.raises(PermanentError):
                await client.candles("NO-SUCH-THING", self.timeframes[0], end - 60, end)

        self._with(opened, check)

    def test_the_stream_builds_the_candle_that_the_history_has_S9(self, opened: Opened) -> None:
        """Follows one whole minute that began after the acknowledgement; takes up to three of the exchange's."""

        async def check(client: ExchangeClient) -> None:
            minute, trades = await self._whole_minute(client)
            page = await client.candles(self.symbol, "1m", minute, minute + 60)
            row = page.rows[0]
            assert (row.open, row.close) == (trades[0].price, trades[-1].price)
            prices, volume = [trade.price for trade in trades], sum(trade.size for trade in trades)
            built = type(row)(minute, row.open, max(prices), min(prices), row.close, volume)
            assert same(built, row)

        self._with(opened, check)

    async def _whole_minute(self, client: ExchangeClient) -> tuple[int, list[Trade]]:
        """The first minute with trades that the feed was acknowledged for as a whole, and its trades."""
        trades: dict[int, Trade] = {}
        clock, since, count = 0.0, None, 0
        async with aclosing(client.feed([self.symbol])) as feed:  # type: ignore[type-var]
            async for message in feed:
                count += 1
                assert count < MOST_MESSAGES, "no whole minute"
                if isinstance(message, Heartbeat):
                    assert message.stamp >= clock, "the clock of a connection went back"
                    clock = message.stamp
                elif isinstance(message, Subscribed):
                    assert self.symbol in message.symbols
                    since = clock if since is None else since
                elif isinstance(message, Trade):
                    assert message.symbol == self.symbol
                    known = trades.setdefault(message.id, message)
                    assert known == message, "one id, two trades"
                else:
                    assert isinstance(message, (CandleUpdate, Lost))
                if since is None or clock < since + 75:
                    continue
                first = -(-int(since) // 60) * 60 + (0 if since <= -(-int(since) // 60) * 60 else 60)
                for minute in range(first, int(clock - 15) // 60 * 60, 60):
                    inside = sorted(
                        (trade for trade in trades.values() if minute <= trade.time < minute + 60),
                        key=lambda trade: trade.id,
                    )
                    if inside:
                        return minute, inside
        raise AssertionError("the feed ended without raising")

    def _with(self, opened: Opened, check: Callable[[ExchangeClient], Awaitable[None]]) -> None:
        async def whole() -> None:
            async with opened() as client:
                await check(client)

        self.run(whole())
