"""A user with the rights that the README names, and no others, can do all that the store does."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from livermore_redis.store import open_store
from redis import Redis
from redis.exceptions import NoPermissionError, ResponseError
from redis_server import RedisServer

from livermore_core import CandleStore, CredentialsError
from livermore_core.testing import StoreContract

README = (Path(__file__).resolve().parent.parent / "README.md").read_text()
PASSWORD = "a-long-one"


def rule() -> list[str]:
    """The line of the README, with a password."""
    found = re.search(r"^    ACL SETUSER livermore (.+?)\n\n", README, flags=re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1].replace("\\\n", " ").replace(">PASSWORD", f">{PASSWORD}").split()


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[CandleStore]:
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "livermore", *rule())
        client.execute_command("ACL", "SETUSER", "default", "off")
        async with open_store(server.url.replace("unix://", f"unix://livermore:{PASSWORD}@")) as opened:
            said: list[str] = []
            opened.say = lambda event, fields: said.append(event)
            await opened.claim()
            assert said == []
            assert "fail" not in [level for level, _ in await opened.advice()]
            yield opened
            await opened.check()


class TestStoreOfAUserWithFewRights_SR01(StoreContract):
    pass


async def test_another_database_takes_the_one_right_more_that_the_readme_names_SR01(server: RedisServer) -> None:
    url = f"unix://livermore:{PASSWORD}@{server.socket}?db=1"
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "livermore", *rule())
        with pytest.raises(CredentialsError):
            async with open_store(url):
                pass
        client.execute_command("ACL", "SETUSER", "livermore", *re.findall(r"`(\+select)`", README))
    async with open_store(url) as store:
        await store.claim()


async def test_that_user_may_do_no_harm_beyond_its_prefix_SR01(server: RedisServer, store: CandleStore) -> None:
    with Redis(unix_socket_path=str(server.socket), username="livermore", password=PASSWORD) as client:
        for harm in ("GET other", "HSET other a b", "CONFIG GET *", "KEYS *", "FLUSHALL", "ACL LIST",
                     "SHUTDOWN", "SAVE", "REPLICAOF NO ONE", "CLIENT LIST"):  # fmt: skip
            with pytest.raises(NoPermissionError):
                client.execute_command(*harm.split())
        # From 7 on a server refuses this one to everybody, before it looks at rights.
        with pytest.raises(ResponseError, match=r"no permissions|DEBUG command not allowed"):
            client.execute_command("DEBUG", "SLEEP", "0")
    assert await store.series() == []
