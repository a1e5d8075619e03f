"""The scripts are constant, the library beneath is one whose answers cannot be mixed up, and so is what servers say."""

from __future__ import annotations

import ast
import tomllib
from importlib.metadata import version
from pathlib import Path

import livermore_redis
import pytest
from livermore_redis import health, scripts
from livermore_redis.failures import reason_of
from livermore_redis.store import open_store
from redis.exceptions import ResponseError
from redis_server import RedisServer

from livermore_core import ConfigurationError

PACKAGE = Path(livermore_redis.__file__).parent


def test_scripts_are_put_together_from_constants_alone_SR05() -> None:
    tree = ast.parse(Path(scripts.__file__).read_text())
    texts = [
        node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id.strip("_").isupper()
    ]
    texts = [text for text in texts if not isinstance(text, ast.Dict | ast.DictComp)]
    assert len(texts) > 10
    for text in texts:
        assert all(
            isinstance(node, ast.Constant | ast.BinOp | ast.Add | ast.Name | ast.Load) for node in ast.walk(text)
        )


def test_scripts_are_given_to_the_server_in_one_place_and_keys_as_keys_SR05() -> None:
    asking = {path.name for path in PACKAGE.glob("*.py") if "eval" in path.read_text().lower()}
    assert asking <= {"connection.py", "scripts.py"}
    for text, _ in scripts.ALL.values():
        assert "livermore" not in text


def test_the_oldest_library_is_the_one_that_is_asked_for_SR06() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())
    floor = ".".join(str(part) for part in health.OLDEST_CLIENT)
    assert f"redis>={floor}" in project["project"]["dependencies"]
    assert health.OLDEST_CLIENT >= (4, 5, 4)
    assert tuple(int(part) for part in version("redis").split(".")[:2]) >= health.OLDEST_CLIENT


async def test_an_older_library_is_refused_at_the_start_SR06(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "CLIENT", "4.3.0")
    async with open_store(server.url) as store:
        with pytest.raises(ConfigurationError, match=r"redis-py 4\.3\.0 is too old; 6\.4 is the least"):
            await store.claim()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("The user executing the script can't run this command or subcommand", "store.credentials"),
        ("ACL failure in script: User writer has no permissions to run the 'hset' command", "store.credentials"),
        ("can't write against a read only replica.", "store.readonly"),
        ("READONLY You can't write against a read only replica.", "store.readonly"),
        ("OOM command not allowed when used memory > 'maxmemory'.", "store.full"),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", "store.error"),
    ],
)
def test_what_servers_before_and_after_7_say_within_a_script_has_one_reason(said: str, reason: str) -> None:
    assert reason_of(ResponseError(f"{said} script: f_0123, on @user_script:51.")) == reason
