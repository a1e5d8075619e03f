"""TLS as the store insists on it: never without, never with a certificate that is not the server's."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from livermore_redis.store import open_store
from redis_proxy import proxied_with_tls
from redis_server import RedisServer
from redis_steps import minutes, stored, writing

from livermore_core import StoreBusyError

NOW = datetime.now(UTC)


def certificate(folder: Path, host: str, *, age: int = 0) -> Path:
    """A certificate for `host` that vouches for itself, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=age + 1))
        .not_valid_after(NOW - timedelta(days=age - 1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    file = folder / f"{host}-{age}.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + made.public_bytes(Encoding.PEM))
    return file


async def test_a_server_with_a_certificate_that_is_vouched_for_is_written_D38_SR02(
    server: RedisServer, tmp_path: Path
) -> None:
    good = certificate(tmp_path, "localhost")
    async with (
        proxied_with_tls(server, good) as port,
        writing(f"rediss://localhost:{port}?ca_certs={good}") as (store, _),
    ):
        await store.transact(minutes(1))
        assert await stored(store) == [1]


@pytest.mark.parametrize("served", ["unknown", "other.example.com", "expired"])
async def test_a_certificate_that_does_not_fit_ends_the_start_at_once_D38_SR02(
    server: RedisServer, tmp_path: Path, served: str
) -> None:
    files = {
        "unknown": certificate(tmp_path, "localhost"),
        "other.example.com": certificate(tmp_path, "other.example.com"),
        "expired": certificate(tmp_path, "localhost", age=30),
    }
    authority = certificate(tmp_path, "unrelated") if served == "unknown" else files[served]
    async with proxied_with_tls(server, files[served]) as port:
        with pytest.raises(StoreBusyError, match=r"^tls\.invalid: rediss://localhost:\d+: ") as caught:
            async with open_store(f"rediss://me:hunter2@localhost:{port}?ca_certs={authority}"):
                pass
    assert "hunter2" not in str(caught.value)
    assert _questions(server) == set()


@pytest.mark.usefixtures("impatient")
async def test_nothing_is_said_in_plain_text_to_a_server_without_tls_D38_SR02(server: RedisServer) -> None:
    plain = RedisServer(server.folder / "plain")
    plain.folder.mkdir()
    await plain.start("--port", str(port := _free_port()))
    try:
        # Such a server waits for the end of what it takes for a question.
        with pytest.raises(StoreBusyError, match=r"^(tls\.invalid|store\.timeout): "):
            async with open_store(f"rediss://me:hunter2@127.0.0.1:{port}?timeout=0.2"):
                pass
        assert _questions(plain) == set()
    finally:
        await plain.kill()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _questions(server: RedisServer) -> set[str]:
    """The commands that the server was given by anybody but this test."""
    with server.client() as client:
        return {name for name in client.info("commandstats") if name not in ("cmdstat_ping", "cmdstat_info")} - _OWN


_OWN = {"cmdstat_client", "cmdstat_client|setinfo", "cmdstat_hello"}
