"""One connection's life: open, subscribe, yield what comes, end by raising."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

import aiohttp

from livermore_coinbase.auth import Signer
from livermore_coinbase.frames import Interpreter
from livermore_coinbase.moments import http_date, retry_after
from livermore_coinbase.rest import USER_AGENT
from livermore_coinbase.subscription import StreamTiming, Subscription
from livermore_coinbase.text import shown
from livermore_coinbase.wire import Refusal
from livermore_core import LivermoreError, Message, RateLimitedError, TransientError

LARGEST_FRAME = 16 * 1024 * 1024
_LIVENESS_TICKS = 15
Socket = aiohttp.ClientWebSocketResponse[bool]


def stream_session(*, trust_env: bool) -> aiohttp.ClientSession:
    """A session for WebSockets: no cookies, no total time limit, and a redirect is an error."""
    redirects = aiohttp.TraceConfig()
    redirects.on_request_redirect.append(_refuse_redirect)
    return aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        trace_configs=[redirects],
        trust_env=trust_env,
        headers={"User-Agent": USER_AGENT},
    )


async def _refuse_redirect(
    session: aiohttp.ClientSession, context: object, params: aiohttp.TraceRequestRedirectParams
) -> None:
    params.response.close()
    raise TransientError(f"ws.refused: {params.response.status}, a redirect, not followed")


class Stream:
    """Opens connections to one WebSocket host."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, signer: Signer | None = None, timing: StreamTiming | None = None
    ) -> None:
        self._session, self._url, self._signer = session, url, signer
        self._timing = timing or StreamTiming()

    async def follow(
        self, symbols: Sequence[str], aliases: Mapping[str, str], counts: Counter[str]
    ) -> AsyncGenerator[Message, None]:
        """Subscribe to `symbols` and yield what comes; `aliases` gives the canonical id of other names of theirs."""
        wish = [aliases.get(symbol, symbol) for symbol in symbols]
        names = {symbol: symbol for symbol in wish} | {
            alias: name for alias, name in aliases.items() if name in frozenset(wish)
        }
        interpreter = Interpreter(names, counts)
        async with _Connection(await self._open(), wish, interpreter, self._signer, self._timing) as connection:
            receive, read = connection.socket.receive, interpreter.read
            while True:
                connection.waiting = True
                frame = await receive()
                connection.waiting = False
                connection.frames += 1
                if frame.type is not aiohttp.WSMsgType.TEXT:
                    connection.not_text(frame.type, frame.data, frame.extra)
                    continue
                answers = interpreter.acknowledgements
                try:
                    messages = read(frame.data)
                except Refusal as refusal:
                    connection.subscription.answered(str(refusal))
                    continue
                for message in messages:
                    yield message
                if interpreter.acknowledgements != answers:
                    connection.subscription.answered()

    async def _open(self) -> Socket:
        try:
            async with asyncio.timeout(self._timing.open):
                return await self._session.ws_connect(
                    self._url,
                    timeout=aiohttp.ClientWSTimeout(ws_close=self._timing.close),
                    max_msg_size=LARGEST_FRAME,
                    decode_text=False,
                )
        except TimeoutError:
            raise TransientError("ws.unavailable: the WebSocket did not open in time") from None
        except aiohttp.WSServerHandshakeError as error:
            raise _refused(error) from None
        except (aiohttp.ClientSSLError, ssl.SSLError) as error:
            raise TransientError(f"tls.invalid: WebSocket: {shown(str(error))}") from None
        except (aiohttp.ClientError, OSError) as error:
            raise TransientError(f"ws.unavailable: {shown(str(error)) or type(error).__name__}") from None


def _refused(error: aiohttp.WSServerHandshakeError) -> TransientError:
    headers: Mapping[str, str] = error.headers or {}
    wait = retry_after(headers.get("Retry-After"), http_date(headers.get("Date")))
    if error.status == 429 or wait is not None:
        return RateLimitedError(f"ws.refused: {error.status}", wait)
    return TransientError(f"ws.refused: {error.status} {shown(error.message)}")


class _Connection:
    """An open socket with the two tasks that belong to it: one subscribes, one watches that frames keep coming."""

    def __init__(
        self, socket: Socket, wish: Sequence[str], interpreter: Interpreter, signer: Signer | None, timing: StreamTiming
    ) -> None:
        self.socket = socket
        self.subscription = Subscription(wish, interpreter, socket.send_str, signer, timing)
        self.waiting = False
        self.frames = 0
        self._interpreter, self._timing = interpreter, timing
        self._failure: LivermoreError | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._subscribe()), asyncio.create_task(self._watch())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        try:
            ends = await asyncio.gather(*self._tasks, return_exceptions=True)
        finally:
            await self._say_goodbye()
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def _say_goodbye(self) -> None:
        """Close, but wait no longer than agreed for a server that goes on sending."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timing.close):
                await self.socket.close()

    def not_text(self, kind: aiohttp.WSMsgType, data: object, extra: object) -> None:
        """A frame that is no text: a binary one is counted, any other is the end of the connection."""
        if kind is aiohttp.WSMsgType.BINARY:
            self._interpreter.count("ws.bad_frame", "binary")
            return
        if self._failure is not None:
            raise self._failure
        said = data if kind is aiohttp.WSMsgType.ERROR else extra
        reason = f" {shown(str(said))}" if said else ""
        raise TransientError(f"ws.closed: code {self.socket.close_code}{reason}")

    async def _subscribe(self) -> None:
        try:
            await self.subscription.run()
        except LivermoreError as error:
            await self._fail(error)
        except (aiohttp.ClientError, OSError):
            return  # the socket is dead, which the reader learns by itself

    async def _watch(self) -> None:
        """Counts ticks without a frame, not time: a loop that was frozen is not taken for a silent server."""
        silent, seen = 0, 0
        while silent < _LIVENESS_TICKS:
            await asyncio.sleep(self._timing.liveness / _LIVENESS_TICKS)
            silent = silent + 1 if self.waiting and self.frames == seen else 0
            seen = self.frames
        await self._fail(TransientError(f"ws.stalled: no frame for {self._timing.liveness:g} s"))

    async def _fail(self, error: LivermoreError) -> None:
        self._failure = self._failure or error
        await self.socket.close(code=aiohttp.WSCloseCode.GOING_AWAY)
