"""The settings of `[exchanges.coinbase]`."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, SecretStr, field_validator

from livermore_core import ExchangeSettings

REST_URL = "https://api.coinbase.com"
WS_URL = "wss://advanced-trade-ws.coinbase.com"
_SECURE = frozenset({"https", "wss"})
_HOST = re.compile(r"[\w.:-]{1,253}")


class CoinbaseSettings(ExchangeSettings):
    """What to follow on Coinbase, where, and with which key. Nothing is needed: market data is public."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    rest_url: str = Field(default=REST_URL, description="REST host; https, or http to loopback")
    ws_url: str = Field(default=WS_URL, description="WebSocket host; wss, or ws to loopback")
    api_key_file: Path | None = Field(
        default=None, description="the key file as downloaded from Coinbase; view rights suffice"
    )
    api_key: SecretStr | None = Field(default=None, description="key name; only from the environment")
    api_secret: SecretStr | None = Field(default=None, description="private key; only from the environment")
    require_view_only: bool = Field(
        default=False, description="refuse a key that may trade or transfer, instead of a warning"
    )
    trust_env: bool = Field(default=False, description="honour the environment's proxy variables")

    @field_validator("rest_url")
    @classmethod
    def _checked_rest_url(cls, value: str) -> str:
        return checked_url(value, ("https", "http"))

    @field_validator("ws_url")
    @classmethod
    def _checked_ws_url(cls, value: str) -> str:
        return checked_url(value, ("wss", "ws"))


def checked_url(value: str, schemes: tuple[str, str]) -> str:
    """`value` without a trailing slash. Raises ValueError unless it is encrypted or goes to loopback."""
    parts = urlsplit(value.strip())
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError(f"must start with {schemes[0]}:// and name a host")
    if parts.port == 0 or not is_host(parts.hostname) or not value.strip().isprintable():
        raise ValueError("must name a host and a port that can be")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must be scheme, host, port and path alone")
    if parts.scheme not in _SECURE and not is_loopback(parts.hostname):
        raise ValueError(f"{parts.scheme}:// is accepted to loopback only; use {schemes[0]}://")
    return value.strip().rstrip("/")


def is_host(name: str) -> bool:
    """Whether `name` can be looked up."""
    try:
        return bool(_HOST.fullmatch(name) and (":" in name or name.encode("idna").decode("idna")))
    except UnicodeError:
        return False


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine for certain."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
