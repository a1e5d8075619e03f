"""Runs a livermore command as a process of its own and listens to what it says."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

WITHIN = 60.0
Found = TypeVar("Found")


class Program:
    """`async with Program("start", "--until-ready", env={...}) as program`: started on entry, gone on exit.

    `lines` is everything it printed so far, `events` what of that were JSON events. `env` is added to the environment.
    `python` is what Python runs in place of livermore itself, e.g. a program that runs it in a changed way.
    """

    def __init__(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        directory: str | None = None,
        python: Sequence[str] = ("-m", "livermore_core"),
    ) -> None:
        self.lines: list[str] = []
        self.events: list[dict[str, Any]] = []
        self._arguments, self._env, self._directory = (*python, *arguments), dict(env or {}), directory
        self._said = asyncio.Condition()

    async def __aenter__(self) -> Self:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LIVERMORE_")}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *self._arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**kept, **self._env},
            cwd=self._directory,
            limit=1 << 24,
        )
        self._listener = asyncio.create_task(self._listen())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.kill()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def line(self, holds: Callable[[str], bool], within: float = WITHIN) -> str:
        """The first line for which `holds`, printed before or after this call. Raises TimeoutError or EOFError."""
        return await self._wait(lambda: next((line for line in self.lines if holds(line)), None), within)

    async def event(self, name: str, within: float = WITHIN, *, count: int = 1) -> dict[str, Any]:
        """The `count`-th event of that name. Raises TimeoutError or EOFError."""

        def found() -> dict[str, Any] | None:
            named = [event for event in self.events if event["event"] == name]
            return named[count - 1] if len(named) >= count else None

        return await self._wait(found, within)

    async def stop(self, within: float = WITHIN) -> int:
        """Ask for an orderly end as Ctrl-C does; returns the exit code."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGINT)
        return await self.ended(within)

    async def kill(self) -> int:
        """SIGKILL, if it still runs; returns the exit code."""
        if self._process.returncode is None:
            self._process.kill()
        return await self.ended()

    async def ended(self, within: float = WITHIN) -> int:
        """Wait for its end; returns the exit code."""
        async with asyncio.timeout(within):
            await asyncio.shield(self._listener)
            return await self._process.wait()

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for raw in self._process.stdout:
            line = raw.decode().rstrip("\n")
            async with self._said:
                self.lines.append(line)
                if line.startswith("{"):
                    self.events.append(json.loads(line))
                self._said.notify_all()
        async with self._said:
            self._said.notify_all()

    async def _wait(self, found: Callable[[], Found | None], within: float) -> Found:
        async with asyncio.timeout(within), self._said:
            while (result := found()) is None:
                if self._listener.done() or self._process.stdout is None or self._process.stdout.at_eof():
                    raise EOFError("it ended; its last words: " + " / ".join(self.lines[-5:]))
                await self._said.wait()
            return result
