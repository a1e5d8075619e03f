"""One GET to Coinbase: signed or public, bounded in time and size, and every failure as an error of livermore."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import NamedTuple

import aiohttp
from yarl import URL

from livermore_coinbase.auth import CorrectedClock, Signer
from livermore_coinbase.failures import TokenRefusedError, failure
from livermore_coinbase.moments import http_date
from livermore_coinbase.text import shown
from livermore_core import BadResponseError, TransientError, __version__

PREFIX = "/api/v3/brokerage"
LARGEST_BODY = 8 * 1024 * 1024
TOTAL_TIMEOUT = 20.0
CONNECT_TIMEOUT = 5.0
_LARGEST_EXPLANATION = 64 * 1024
_OLDEST = 86_400.0
USER_AGENT = f"livermore/{__version__}"


class Answer(NamedTuple):
    """A body of JSON, and the exchange's moment of it (None where it did not say)."""

    body: bytes
    moment: float | None


def rest_session(
    *, trust_env: bool, total: float = TOTAL_TIMEOUT, connect: float = CONNECT_TIMEOUT
) -> aiohttp.ClientSession:
    """A session without cookies, cache or limit of its own: pace is the budget's business."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=total, connect=connect),
        trust_env=trust_env,
        headers={"User-Agent": USER_AGENT, "Accept": "application/json"},
    )


class Rest:
    """GETs below one base URL."""

    def __init__(
        self, session: aiohttp.ClientSession, base_url: str, clock: CorrectedClock, signer: Signer | None = None
    ) -> None:
        base = URL(base_url)
        self._session = session
        self._base = base
        self._root = base.path.rstrip("/").removesuffix(PREFIX) + PREFIX
        self._clock = clock
        self._signer = signer

    async def get(
        self, path: str, params: Mapping[str, str] | None = None, *, signed: bool = False, symbol: str | None = None
    ) -> Answer:
        """The answer to GET `path`. A refused token is minted anew once: the clock may have been wrong until now."""
        if signed:
            try:
                return await self._once(path, params, signed, symbol)
            except TokenRefusedError:
                pass
        return await self._once(path, params, signed, symbol)

    async def _once(self, path: str, params: Mapping[str, str] | None, signed: bool, symbol: str | None) -> Answer:
        where = f"GET {path}"
        url = self._base.with_path(self._root + path)
        try:
            async with self._session.get(
                url, params=params, headers=self._headers(url, signed), allow_redirects=False
            ) as response:
                return await self._answer(response, where, signed, symbol)
        except TimeoutError:
            raise TransientError(f"net.timeout: {where}: no whole answer in time") from None
        except (aiohttp.ClientSSLError, ssl.SSLError) as error:
            raise TransientError(f"tls.invalid: {where}: {shown(str(error))}") from None
        except aiohttp.ClientConnectorError as error:
            raise TransientError(f"net.unreachable: {where}: {shown(str(error))}") from None
        except (aiohttp.ClientError, OSError) as error:
            raise TransientError(f"net.broken: {where}: {type(error).__name__}") from None

    def _headers(self, url: URL, signed: bool) -> dict[str, str]:
        headers = {"Cache-Control": "no-cache"}
        if signed and self._signer is not None:
            host = (url.host or "") if url.is_default_port() else f"{url.host}:{url.port}"
            headers["Authorization"] = f"Bearer {self._signer.request_token('GET', host, url.path)}"
        return headers

    async def _answer(self, response: aiohttp.ClientResponse, where: str, signed: bool, symbol: str | None) -> Answer:
        moment = self._moment(response.headers)
        if response.status != 200:
            body = await _body(response, _LARGEST_EXPLANATION, where)
            raise failure(response.status, response.headers, body, signed=signed, symbol=symbol)
        if "json" not in response.content_type:
            raise BadResponseError(f"rest.bad_response: {where}: {shown(response.content_type)} in place of JSON")
        return Answer(await _body(response, LARGEST_BODY, where), moment)

    def _moment(self, headers: Mapping[str, str]) -> float | None:
        """When the answer was made, by the exchange's clock: its `Date` less its `Age`."""
        date = http_date(headers.get("Date"))
        if date is None:
            return None
        age = _age(headers.get("Age"))
        if age == 0.0:
            self._clock.measured(date)
        return date - age


def _age(text: str | None) -> float:
    if text and text.strip().isascii() and text.strip().isdigit():
        return min(float(text.strip()[:9]), _OLDEST)
    return 0.0


async def _body(response: aiohttp.ClientResponse, most: int, where: str) -> bytes:
    """The decompressed body. Raises BadResponseError as soon as it exceeds `most` bytes."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > most:
            response.close()
            raise BadResponseError(f"rest.too_large: {where}: more than {most} bytes")
    return bytes(body)
