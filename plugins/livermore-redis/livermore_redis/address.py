"""Where a server is and how to speak to it: what the URL of a store says."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from livermore_core import ConfigurationError

FILES = ("ca_certs", "certfile", "keyfile")
OPTIONS = ("prefix", "timeout", "cluster", "db", *FILES, "allow_plaintext")
PREFIX = re.compile(r"[A-Za-z0-9_.-]{1,64}")
LONGEST_TIMEOUT = 60.0


@dataclass(frozen=True)
class Address:
    """`where` names the server without its secrets; `timeout` in seconds holds for each answer."""

    where: str
    prefix: str
    timeout: float
    cluster: bool
    options: dict[str, Any] = field(repr=False)


def address_of(url: str) -> Address:
    """Parse `redis://[user[:password]@]host[:port][/database]`, `rediss://` alike, `unix://[user@]/path/of.sock`.

    After `?`: prefix of the keys (livermore), timeout in seconds (2), cluster=true, db (of a socket), ca_certs,
    certfile and keyfile (TLS), allow_plaintext=true. Raises ConfigurationError.
    """
    parts = _split(url)
    where = f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if _port(parts) else ''}{parts.path}"
    said = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(said.keys() - set(OPTIONS))
    if unknown:
        raise _wrong(where, f"unknown option {unknown[0]!r}; known: {', '.join(OPTIONS)}")
    prefix = said.get("prefix", "livermore")
    if not PREFIX.fullmatch(prefix):
        raise _wrong(where, f"prefix {prefix!r} must be 1 to 64 letters, digits, dots, dashes or underscores")
    options: dict[str, Any] = {
        "username": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        "db": _database(parts.path, said, where, parts.scheme),
    }
    options |= _way(parts, said, where)
    cluster = _flag(said, "cluster", where)
    if cluster and (options["db"] or parts.scheme == "unix"):
        raise _wrong(where, "a cluster is reached by host and port, and has database 0 alone")
    return Address(where, prefix, _timeout(said, where), cluster, options)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigurationError("store: the URL has no address that can be read") from None
    # A password that is not encoded ends the address, and must not be told as a part of what follows.
    if parts.fragment or "@" in f"{parts.path}{parts.query}":
        raise ConfigurationError(
            "store: '@', '/', '?' and '#' in user, password or path of the URL must be written %40, %2F, %3F and %23"
        )
    return parts


def _way(parts: SplitResult, said: dict[str, str], where: str) -> dict[str, Any]:
    if parts.scheme == "unix":
        if not parts.path:
            raise _wrong(where, "must name a socket, e.g. unix:///run/redis/redis.sock")
        return {"unix_socket_path": unquote(parts.path)}
    host = parts.hostname or "localhost"
    if parts.scheme == "redis" and not _is_here(host) and not _flag(said, "allow_plaintext", where):
        raise _wrong(where, "would cross the network in plain text; use rediss://, or add ?allow_plaintext=true")
    way: dict[str, Any] = {"host": host, "port": _port(parts) or 6379}
    if parts.scheme == "rediss":
        files = {f"ssl_{name}": said[name] for name in FILES if name in said}
        for name, file in files.items():
            if not Path(file).is_file():
                raise _wrong(where, f"{name.removeprefix('ssl_')} {file!r} is no file")
        # What is verified is redis-py's default: the certificate and the name in it.
        way |= {"ssl": True, **files}
    return way


def _port(parts: SplitResult) -> int | None:
    try:
        port: int | None = parts.port
    except ValueError:
        raise ConfigurationError("store: the port in the URL must be a number of at most 65535") from None
    return port


def _database(path: str, said: dict[str, str], where: str, scheme: str) -> int:
    text = said.get("db", "0") if scheme == "unix" else path.strip("/") or said.get("db", "0")
    if not text.isdecimal():
        raise _wrong(where, f"database {text!r} must be a number, e.g. redis://localhost:6379/0")
    return int(text)


def _timeout(said: dict[str, str], where: str) -> float:
    try:
        seconds = float(said.get("timeout", "2"))
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds <= LONGEST_TIMEOUT:
        raise _wrong(where, f"timeout {said['timeout']!r} must be seconds, more than 0 and at most {LONGEST_TIMEOUT:g}")
    return seconds


def _flag(said: dict[str, str], name: str, where: str) -> bool:
    text = said.get(name, "false").lower()
    if text not in ("true", "false"):
        raise _wrong(where, f"{name} must be true or false, not {text!r}")
    return text == "true"


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _wrong(where: str, reason: str) -> ConfigurationError:
    return ConfigurationError(f"store {where}: {reason}")
