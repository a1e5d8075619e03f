"""TLS as the client insists on it: a name that fits, a certificate that somebody vouches for, at least version 1.2."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

NOW = datetime.now(UTC)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
# A process of its own: which authorities are trusted is read once, where the client is imported.
CLIENT = """
import asyncio, json, sys
from collections import Counter
from livermore_coinbase.auth import CorrectedClock
from livermore_coinbase.rest import Rest, rest_session
from livermore_coinbase.stream import Stream, stream_session

async def main():
    said = {}
    async with rest_session(trust_env=False) as rest, stream_session(trust_env=False) as stream:
        for name, place in json.loads(sys.argv[1]).items():
            try:
                said[name] = [(await Rest(rest, f"https://{place}", CorrectedClock()).get("/time")).body.decode()]
            except Exception as error:
                said[name] = [str(error)]
            try:
                await anext(Stream(stream, f"wss://{place}").follow(["BTC-USD"], {}, Counter()))
            except Exception as error:
                said[name].append(str(error))
    print(json.dumps(said))

asyncio.run(main())
"""


def certificate(
    folder: Path, name: str, host: str, *, age: int = 0, by: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A certificate for `host`, with its key in the file `name`.pem; by itself where nobody vouches for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, signer = (by[0].subject, by[1]) if by else (subject, key)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=age + 1))
        .not_valid_after(NOW - timedelta(days=age - 1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .sign(signer, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / f"{name}.pem").write_bytes(private + made.public_bytes(Encoding.PEM))
    return made, key


@asynccontextmanager
async def serving(file: Path, latest: ssl.TLSVersion) -> AsyncIterator[int]:
    """A server with the certificate of a file, that speaks TLS up to a version; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, latest

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
        yield int(server.sockets[0].getsockname()[1])


async def spoken(port: int) -> str | None:
    """The version that a server and a client which takes anything agree upon."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    found: str | None = writer.get_extra_info("ssl_object").version()
    writer.transport.abort()
    return found


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_r28_w03_si07_nothing_is_said_to_a_server_that_is_not_who_it_should_be(tmp_path: Path) -> None:
    authority = certificate(tmp_path, "authority", "authority", by=None)
    for name, host, age in (("good", "localhost", 0), ("other", "example.com", 0), ("expired", "localhost", 30)):
        certificate(tmp_path, name, host, age=age, by=authority)
    certificate(tmp_path, "unknown", "localhost", by=None)
    served = {name: (name, ssl.TLSVersion.TLSv1_3) for name in ("good", "other", "expired", "unknown")}
    served |= {"1.2": ("good", ssl.TLSVersion.TLSv1_2), "1.1": ("good", ssl.TLSVersion.TLSv1_1)}
    async with AsyncExitStack() as stack:
        ports = {
            name: await stack.enter_async_context(serving(tmp_path / f"{file}.pem", latest))
            for name, (file, latest) in served.items()
        }
        assert await spoken(ports["1.1"]) == "TLSv1.1"
        places = json.dumps({name: f"localhost:{port}" for name, port in ports.items()})
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", CLIENT, places),
            env={"SSL_CERT_FILE": str(tmp_path / "authority.pem"), "PYTHONPATH": ":".join(sys.path)},
            stdout=asyncio.subprocess.PIPE,
        )
        said = json.loads((await process.communicate())[0])
    for name in ("good", "1.2"):
        assert said[name][0] == "{}"
        assert said[name][1].startswith("ws.refused: 200")
    for name, cause in {"other": "mismatch", "expired": "expired", "unknown": "self-signed"}.items():
        for text in said[name]:
            assert text.startswith("tls.invalid"), f"{name}: {text}"
            assert cause in text, f"{name}: {text}"
    assert [text.partition(":")[0] for text in said["1.1"]] == ["net.unreachable", "ws.unavailable"]
