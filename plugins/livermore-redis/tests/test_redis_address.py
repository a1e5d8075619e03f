"""What the URL of a store says: encrypted or on this machine, and no secret told in any error."""

from __future__ import annotations

import pytest
from livermore_redis.address import address_of

from livermore_core import ConfigurationError

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("redis://localhost", "redis://localhost"),
        ("redis://127.0.0.1:6380/3", "redis://127.0.0.1:6380/3"),
        ("redis://[::1]:6380", "redis://::1:6380"),
        ("redis://10.0.0.7?allow_plaintext=true", "redis://10.0.0.7"),
        (f"rediss://me:{SECRET}@redis.example.com:6380", "rediss://redis.example.com:6380"),
        (f"unix://me:{SECRET}@/run/redis.sock?db=2", "unix:///run/redis.sock"),
        (f"redis://:{SECRET}%40%2F@localhost", "redis://localhost"),
    ],
)
def test_what_is_encrypted_or_on_this_machine_is_taken_and_told_without_its_password_SR02_SR03(
    url: str, where: str
) -> None:
    address = address_of(url)
    assert address.where == where
    assert SECRET not in repr(address)
    assert address.options.get("ssl_cert_reqs", "required") == "required"
    assert bool(address.options.get("ssl")) is url.startswith("rediss")


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        (f"redis://me:{SECRET}@redis.example.com", "plain text"),
        (f"redis://me:{SECRET}@10.0.0.7:6379", "plain text"),
        (f"redis://me:{SECRET}@localhost.example.com", "plain text"),
        (f"redis://me:{SECRET}@redis.example.com?allow_plaintext=maybe", "true or false"),
        (f"rediss://me:{SECRET}@localhost?verify=no", "unknown option"),
        (f"rediss://me:{SECRET}@localhost?ca_certs=/nowhere.pem", "is no file"),
        (f"redis://me:{SECRET}@localhost:port", "port"),
        (f"redis://me:{SECRET}@localhost:99999", "port"),
        (f"redis://me:{SECRET}@localhost/first", "database"),
        (f"redis://me:{SECRET}@localhost?prefix=a:b", "prefix"),
        (f"redis://me:{SECRET}@localhost?timeout=0", "timeout"),
        (f"redis://me:{SECRET}@localhost/1?cluster=true", "cluster"),
        (f"unix://me:{SECRET}@/run/redis.sock?cluster=true", "cluster"),
        (f"unix://me:{SECRET}@", "socket"),
        (f"redis://me:{SECRET}@[::1", "address"),
        # Passwords that nobody has encoded.
        (f"redis://:12/{SECRET}@localhost", "%2F"),
        (f"redis://:12?{SECRET}@localhost", "%3F"),
        (f"redis://:12#{SECRET}@localhost", "%23"),
        (f"redis://me:{SECRET}/@localhost", "%2F"),
    ],
)
def test_everything_else_is_refused_before_a_connection_with_the_mend_SR02_SR03(url: str, cause: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        address_of(url)
    assert cause in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.exit_code == 78
