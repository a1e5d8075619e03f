"""A planted key is nowhere to be found: not in logs, errors, status, store, command line or what a crash leaves."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from livermore_simulator import SimulatedExchange, SyntheticMarket

from livermore_core.testing import Program

START = 1_704_270_034.0
NAME = "organizations/0f4c2a7e-canary/apiKeys/9b1d7c3e-5a60-canary"
PIECE = 12
PREFIX = "LIVERMORE_EXCHANGES__COINBASE__"
PATH = os.environ.get("PYTHONPATH", "")
LEAKY = Path(__file__).resolve().parent / "data" / "distributions" / "leaky"


def private_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


def pieces(pem: str) -> Iterator[str]:
    """Every form of the secret in which it could be told, cut so small that a part of a secret is found too."""
    body = "".join(line for line in pem.splitlines() if not line.startswith("-----"))
    raw = [bytes(shift) + pem.encode() for shift in range(3)]
    forms = [body, body[::-1], *pem.splitlines()[1:-1], json.dumps(pem), quote(body, safe=""), quote(pem, safe="")]
    forms += [pem.encode().hex(), pem.encode().hex().upper()]
    forms += [encode(each).decode()[4:-4] for each in raw for encode in (base64.b64encode, base64.urlsafe_b64encode)]
    for form in forms:
        yield from (form[start : start + PIECE] for start in range(len(form) - PIECE + 1))
    yield from ("5a60-canary", "0f4c2a7e-canary")


def found(pem: str, text: str) -> list[str]:
    armour = "-----BEGIN EC PRIVATE KEY----- -----END EC PRIVATE KEY-----"
    return [each for each in dict.fromkeys(pieces(pem)) if each in text and each not in armour and "-----" not in each]


def test_the_search_finds_what_it_looks_for() -> None:
    pem = private_key()
    assert found(pem, f"key={pem.splitlines()[1][7:30]}")
    for before in (b"", b"x", b"xy"):
        assert found(pem, base64.encodebytes(before + pem.encode()).decode())
    assert found(pem, repr(pem[:60]))
    assert not found(pem, "-----BEGIN EC PRIVATE KEY----- nothing here")


@asynccontextmanager
async def spiteful(kind: str) -> AsyncIterator[str]:
    """A server that answers everything with an error, and repeats in it what it was sent."""

    async def answer(request: web.Request) -> web.StreamResponse:
        sent = json.dumps({"message": f"you sent {dict(request.headers)}"})
        if kind == "text/html":
            return web.Response(status=502, text=f"<html>{sent}", content_type=kind)
        return web.Response(status=401 if "Authorization" in request.headers else 403, text=sent, content_type=kind)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def told(*arguments: str, env: dict[str, str], directory: Path) -> list[str]:
    """All that a command says."""
    async with Program(*arguments, env=env, directory=str(directory)) as program:
        await program.ended()
        return program.lines


async def commands(store: str, env: dict[str, str], directory: Path) -> list[str]:
    """All that every command says that could know the key, or of a run that did."""
    stored = ["--store", store]
    lines = [["status", *stored], ["doctor", *stored], ["config", "show"]]
    lines += [["gaps", *stored], ["plugins"], ["stages", "--list"]] if "PYTHONPATH" in env else []
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(told(*line, env=env, directory=directory)) for line in lines]
    return [line for task in tasks for line in task.result()]


def environment(pem: str, at: str, scheme: str = "") -> dict[str, str]:
    return {
        f"{PREFIX}REST_URL": f"http{scheme}://{at}",
        f"{PREFIX}WS_URL": f"ws{scheme}://{at}/ws",
        f"{PREFIX}SYMBOLS": "*-USD",
        f"{PREFIX}API_KEY": NAME,
        f"{PREFIX}API_SECRET": pem,
        "LIVERMORE_LOG_LEVEL": "debug",
    }


def contents(folder: Path) -> list[str]:
    return [path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file()]


def assert_untold(pem: str, said: list[str], folder: Path) -> None:
    assert sum(map(len, said)) > 500, said
    text = "\n".join([*said, json.dumps(said), *contents(folder)])
    assert found(pem, text) == []
    assert "eyJ" not in text


@pytest.mark.parametrize("plugin", ["none", "leaky"])
async def test_a_run_tells_nothing_of_its_key_L1_SK07_SK08_SK09_SK11_SK12_SP07(plugin: str, tmp_path: Path) -> None:
    pem, store = private_key(), f"sqlite:///{tmp_path}/store.sqlite"
    market = SyntheticMarket(2, start=START, days=2)
    async with SimulatedExchange(market, start=START, speed=60) as exchange:
        env = environment(pem, exchange.rest_url.removeprefix("http://"))
        env |= {f"{PREFIX}WS_URL": exchange.ws_url} | ({"PYTHONPATH": f"{LEAKY}:{PATH}"} if plugin == "leaky" else {})
        said = []
        async with Program("start", "--store", store, "--log-format", "json", env=env, directory=str(tmp_path)) as run:
            ready = await run.event("ready")
            assert ready["degraded"] == (["leaky"] if plugin == "leaky" else [])
            said.append((Path(f"/proc/{run.pid}") / "cmdline").read_text())
            (core,) = [
                line
                for line in (Path(f"/proc/{run.pid}") / "limits").read_text().splitlines()
                if line.startswith("Max core file size")
            ]
            assert core.split()[4] == "0"
            said += await commands(store, env, tmp_path)
            await run.stop()
            said += run.lines
    assert_untold(pem, said, tmp_path)
    if plugin == "leaky":
        assert sum("leak" in line for line in said) > 50
        assert any(line.startswith("reason    leaky: indicators: RuntimeError: told ***") for line in said)


SAID = {
    "application/json": "credentials.refused",
    "text/html": "exchange.unavailable: 502 text/html",
    "tls": "tls.invalid",
    "broken key": "cut off",
}


@pytest.mark.parametrize("trouble", SAID)
async def test_a_failure_tells_nothing_of_the_key_L1_SK06_SK07_SK08(trouble: str, tmp_path: Path) -> None:
    pem, folder = private_key(), tmp_path / "left"
    folder.mkdir()
    store, file = f"sqlite:///{folder}/store.sqlite", tmp_path / "key.json"
    file.write_text(json.dumps({"name": NAME, "privateKey": pem}))
    file.chmod(0o600)
    async with spiteful(trouble if "/" in trouble else "text/html") as at:
        env = environment(pem, at, "s" if trouble == "tls" else "") | {"LIVERMORE_TRACE": "1"}
        if trouble == "broken key":
            env |= {f"{PREFIX}API_SECRET": pem[: len(pem) // 2]}
        else:
            env |= {f"{PREFIX}API_KEY_FILE": str(file), f"{PREFIX}API_KEY": "", f"{PREFIX}API_SECRET": ""}
        starts = ("start", "--store", store, "--log-format", "json")
        async with Program(*starts, env=env, directory=str(folder)) as run:
            if trouble != "broken key":
                await run.event("exchange.unavailable")
                await run.stop()
            await run.ended()
            said = run.lines
        assert any(SAID[trouble] in line for line in said), said
        assert trouble != "broken key" or any("Traceback" in line for line in said), said
        said += await commands(store, env, folder)
    assert_untold(pem, said, folder)
