"""A program of somebody else's reads the store by its URL, password included."""

from __future__ import annotations

from livermore_redis.store import open_store
from redis_server import RedisServer

from livermore_core import Series, open_reader

SERIES = Series("moon", "A-USD", "1m")


async def test_a_program_opens_a_store_whose_url_has_a_password(server: RedisServer) -> None:
    url = f"unix://default:secret@{server.socket}"
    async with open_store(url):
        pass
    async with open_reader(url) as reader:
        assert await reader.candles(SERIES) == []
