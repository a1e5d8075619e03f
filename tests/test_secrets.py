"""A planted key is nowhere to be found: not in logs, errors, status, store, command line or core dumps."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from livermore_simulator import SimulatedExchange, SyntheticMarket

from livermore_core.testing import Program

START = 1_704_270_034.0
NAME = "organizations/0f4c2a7e-canary/apiKeys/9b1d7c3e-5a60-canary"
PIECE = 12


def private_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


def pieces(pem: str) -> Iterator[str]:
    """Every form of the secret in which it could be told, cut so small that half a secret is found too."""
    body = "".join(line for line in pem.splitlines() if not line.startswith("-----"))
    forms = [body, body[::-1], base64.b64encode(pem.encode()).decode(), pem.encode().hex(), quote(body, safe="")]
    for form in forms:
        yield from (form[start : start + PIECE] for start in range(len(form) - PIECE + 1))
    yield "5a60-canary"


def found(pem: str, text: str) -> list[str]:
    return [piece for piece in dict.fromkeys(pieces(pem)) if piece in text]


def test_the_search_finds_what_it_looks_for() -> None:
    pem = private_key()
    assert found(pem, f"key={pem.splitlines()[1]}")
    assert found(pem, base64.b64encode(pem.encode()).decode())
    assert not found(pem, "nothing here")


@pytest.mark.parametrize("trouble", ["none", "refused", "broken key", "trace"])
async def test_a_planted_key_is_nowhere_told_L1_SK07_SK08_SK09_SK11_SK12(trouble: str, tmp_path: Path) -> None:
    pem = private_key()
    url = f"sqlite:///{tmp_path}/store.sqlite"
    market = SyntheticMarket(2, start=START, days=2)
    async with SimulatedExchange(market, start=START, speed=60) as exchange:
        prefix = "LIVERMORE_EXCHANGES__COINBASE__"
        env = {
            f"{prefix}REST_URL": exchange.rest_url,
            f"{prefix}WS_URL": exchange.ws_url,
            f"{prefix}SYMBOLS": "*-USD",
            f"{prefix}API_KEY": NAME,
            f"{prefix}API_SECRET": pem[: len(pem) // 2] if trouble == "broken key" else pem,
            "LIVERMORE_LOG_LEVEL": "debug",
        } | ({"LIVERMORE_TRACE": "1"} if trouble == "trace" else {})
        exchange.refusing = trouble == "refused"
        said = []
        begins = ["start", "--store", url, "--log-format", "json"]
        begins += ["--until-ready", "--within", "3"] if trouble == "refused" else []
        async with Program(*begins, env=env, directory=str(tmp_path)) as program:
            if trouble in ("none", "trace"):
                await program.event("ready")
                process = Path(f"/proc/{program.pid}")
                said.append((process / "cmdline").read_text())
                limits = (process / "limits").read_text()
                (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
                assert trouble == "trace" or core.split()[4] == "0"
                await program.stop()
            await program.ended()
            said += program.lines
        stored = ["--store", url]
        for command in (["status", *stored], ["doctor", *stored], ["gaps", *stored], ["config", "show"], ["plugins"]):
            async with Program(*command, env=env, directory=str(tmp_path)) as program:
                await program.ended()
                said += program.lines
    assert sum(map(len, said)) > 500, said
    text = "\n".join([*said, json.dumps(said), *contents(tmp_path)])
    assert found(pem, text) == []
    assert "eyJ" not in text


def contents(folder: Path) -> list[str]:
    return [path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file()]
