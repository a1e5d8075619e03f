"""Keys in every form that Coinbase hands out, and every bad one named without a word of the key."""

from __future__ import annotations

import base64
import copy
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from pprint import pformat
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from livermore_coinbase.auth import CorrectedClock, Signer
from livermore_coinbase.keys import Key, load_keys, make_key
from livermore_coinbase.settings import CoinbaseSettings
from pydantic import SecretStr

from livermore_core import ConfigurationError, ExitCode, masking

NAME = "organizations/00000000-0000-0000-0000-000000000001/apiKeys/00000000-0000-0000-0000-000000000002"
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
NOW = 1_800_000_000.0


def pem(key: Any, form: PrivateFormat, encryption: KeySerializationEncryption | None = None) -> str:
    return str(key.private_bytes(Encoding.PEM, form, encryption or NoEncryption()).decode())


SEC1 = pem(EC_KEY, PrivateFormat.TraditionalOpenSSL)
PKCS8 = pem(EC_KEY, PrivateFormat.PKCS8)
SEED = ED_KEY.private_bytes_raw()

GOOD: dict[str, tuple[str, str]] = {
    "SEC1": (SEC1, "ES256"),
    "PKCS8": (PKCS8, "ES256"),
    "literal newlines": (SEC1.replace("\n", "\\n"), "ES256"),
    "literal CRLF": (SEC1.replace("\n", "\\r\\n"), "ES256"),
    "CRLF": (SEC1.replace("\n", "\r\n"), "ES256"),
    "quoted": (f'"{SEC1.strip()}"', "ES256"),
    "blanks around": (f"  \n{PKCS8}\n ", "ES256"),
    "Ed25519 PEM": (pem(ED_KEY, PrivateFormat.PKCS8), "EdDSA"),
    "Ed25519 seed": (base64.b64encode(SEED).decode(), "EdDSA"),
    "Ed25519 seed and public key": (base64.b64encode(SEED + ED_KEY.public_key().public_bytes_raw()).decode(), "EdDSA"),
    "Ed25519 with blanks": (f" {base64.b64encode(SEED).decode()}\n", "EdDSA"),
}


def public(algorithm: str) -> Any:
    return EC_KEY.public_key() if algorithm == "ES256" else ED_KEY.public_key()


def claims(token: str, algorithm: str) -> dict[str, Any]:
    found = jwt.decode(token, public(algorithm), [algorithm], {"verify_exp": False, "verify_nbf": False})
    return dict(found)


@pytest.mark.parametrize(("secret", "algorithm"), GOOD.values(), ids=GOOD)
def test_every_form_signs_what_the_public_key_verifies(secret: str, algorithm: str) -> None:
    key = make_key(NAME, secret, "here")
    token = Signer(lambda: key, CorrectedClock(lambda: NOW)).request_token("GET", "api.coinbase.com", "/api/v3/x")
    header = jwt.get_unverified_header(token)
    assert (header["alg"], header["kid"], header["typ"]) == (algorithm, NAME, "JWT")
    assert len(bytes.fromhex(header["nonce"])) == 32
    assert claims(token, algorithm) == {
        "sub": NAME,
        "iss": "cdp",
        "nbf": NOW - 5,
        "exp": NOW + 115,
        "uri": "GET api.coinbase.com/api/v3/x",
    }


def test_sk06_w19_stream_tokens_have_no_uri_and_no_token_is_minted_twice() -> None:
    now = NOW
    key = make_key(NAME, SEC1, "here")
    signer = Signer(lambda: key, CorrectedClock(lambda: now))
    first, second = signer.stream_token(), signer.stream_token()
    assert "uri" not in claims(first, "ES256")
    assert first != second
    now += 130.0
    assert claims(signer.stream_token(), "ES256")["nbf"] == NOW + 125


@pytest.mark.parametrize("skew", [-3600.0, -30.0, -2.0, 0.0, 1.0, 30.0, 1e9])
def test_t03_t10_sd03_tokens_follow_the_exchanges_clock(skew: float) -> None:
    clock = CorrectedClock(lambda: NOW - skew)
    clock.measured(float(int(NOW)))
    key = make_key(NAME, SEC1, "here")
    found = claims(Signer(lambda: key, clock).stream_token(), "ES256")
    assert found["nbf"] <= NOW + 0.5 < found["exp"]
    assert found["exp"] - found["nbf"] == 120


def encrypted() -> str:
    return pem(EC_KEY, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))


BAD: dict[str, tuple[Callable[[], str], str]] = {
    "cut off": (lambda: SEC1.split("-----END")[0], "cut off"),
    "without armour": (lambda: "".join(SEC1.strip().splitlines()[1:-1]), "armour"),
    "PKCS8 without armour": (lambda: "\n".join(PKCS8.strip().splitlines()[1:-1]), "armour"),
    "wrong curve": (lambda: pem(ec.generate_private_key(ec.SECP384R1()), PrivateFormat.PKCS8), "secp384r1"),
    "secp256k1": (lambda: pem(ec.generate_private_key(ec.SECP256K1()), PrivateFormat.PKCS8), "secp256k1"),
    "RSA": (lambda: pem(rsa.generate_private_key(65537, 2048), PrivateFormat.PKCS8), "neither an EC nor an Ed25519"),
    "encrypted": (encrypted, "encrypted"),
    "public": (
        lambda: EC_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        "public key",
    ),
    "a path": (lambda: "/home/someone/cdp_api_key.json", "looks like a path"),
    "a relative path": (lambda: "keys/cdp.pem", "looks like a path"),
    "garbage": (lambda: "hunter2-hunter2-hunter2", "neither a PEM"),
    "base64 of another length": (lambda: base64.b64encode(b"x" * 16).decode(), "neither a PEM"),
    "a damaged body": (lambda: SEC1[:60] + "AAAA" + SEC1[64:], "no readable private key"),
}


@pytest.mark.parametrize(("secret", "said"), BAD.values(), ids=BAD)
def test_c02_each_bad_key_is_named_without_showing_it(secret: Callable[[], str], said: str) -> None:
    text = secret()
    settings = CoinbaseSettings(api_key=SecretStr(NAME), api_secret=SecretStr(text))
    with pytest.raises(ConfigurationError, match=said) as caught:
        load_keys(settings)
    assert caught.value.exit_code == ExitCode.CONFIGURATION
    assert "LIVERMORE_EXCHANGES__COINBASE__API_SECRET" in str(caught.value)
    assert caught.value.__cause__ is None
    material = [line for line in text.splitlines() if "-----" not in line and len(line) > 8]
    assert not [line for line in material if line[:12] in str(caught.value)]


@pytest.mark.parametrize("blank", [None, "", "  ", "\n\t"], ids=repr)
def test_c01_sk01_no_key_means_public_data(blank: str | None) -> None:
    secret = None if blank is None else SecretStr(blank)
    assert load_keys(CoinbaseSettings(api_key=secret, api_secret=secret)) is None


def test_c01_half_a_key_names_the_missing_variable() -> None:
    with pytest.raises(ConfigurationError, match="API_SECRET is empty"):
        load_keys(CoinbaseSettings(api_key=SecretStr(NAME), api_secret=SecretStr(" ")))
    with pytest.raises(ConfigurationError, match="API_KEY is empty"):
        load_keys(CoinbaseSettings(api_secret=SecretStr(SEC1)))


def key_file(path: Path, **members: object) -> Path:
    path.write_text(json.dumps(members))
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("member", ["name", "id"])
def test_the_file_as_downloaded_is_read(tmp_path: Path, member: str, caplog: pytest.LogCaptureFixture) -> None:
    path = key_file(tmp_path / "cdp_api_key.json", **{member: NAME, "privateKey": SEC1, "nickname": "x", "scopes": []})
    keys = load_keys(CoinbaseSettings(api_key_file=path))
    assert keys is not None
    assert (keys().name, keys().algorithm) == (NAME, "ES256")
    assert caplog.records == []


@pytest.mark.parametrize("link", [False, True], ids=["itself", "by a link"])
@pytest.mark.parametrize(("mode", "warned"), [(0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1), (0o644, 1), (0o610, 1)])
def test_c13_sk03_a_file_that_others_may_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, warned: int, link: bool
) -> None:
    path = key_file(tmp_path / "key.json", name=NAME, privateKey=SEC1)
    path.chmod(mode)
    (tmp_path / "link").symlink_to(path)
    assert load_keys(CoinbaseSettings(api_key_file=tmp_path / "link" if link else path)) is not None
    assert caplog.text.count("chmod 600") == warned


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_sk03_a_file_of_somebody_else_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = key_file(tmp_path / "key.json", name=NAME, privateKey=SEC1)
    os.chown(path, 12_345, -1)
    assert load_keys(CoinbaseSettings(api_key_file=path)) is not None
    assert "chmod 600" in caplog.text


def test_sk03_a_file_that_is_none_or_says_nothing_is_named(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    bare = tmp_path / "bare.pem"
    bare.write_text(SEC1)
    large = tmp_path / "large"
    large.write_text(" " * 100_000)
    cases = {
        tmp_path / "absent": "cannot be read",
        tmp_path: "not a regular file",
        fifo: "not a regular file",
        Path(os.devnull): "not a regular file",
        bare: "bare PEM",
        large: "too large",
        key_file(tmp_path / "a", name=NAME): "needs the members",
        key_file(tmp_path / "b", name=NAME, privateKey=5): "needs the members",
        key_file(tmp_path / "c", name=NAME, privateKey="x"): 'member "privateKey"',
    }
    for path, said in cases.items():
        with pytest.raises(ConfigurationError, match=said) as caught:
            load_keys(CoinbaseSettings(api_key_file=path))
        assert "PRIVATE KEY" not in str(caught.value)


def test_a_file_and_variables_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not both"):
        load_keys(CoinbaseSettings(api_key_file=tmp_path, api_key=SecretStr(NAME)))


def test_sk10_a_changed_file_is_used_for_the_next_token_and_a_broken_one_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = key_file(tmp_path / "key.json", name="first", privateKey=SEC1)
    keys = load_keys(CoinbaseSettings(api_key_file=path))
    assert keys is not None
    key_file(path, name="second", privateKey=GOOD["Ed25519 seed"][0])
    os.utime(path, ns=(1, 1))
    assert keys().name == "second"
    path.write_text("{")
    os.utime(path, ns=(2, 2))
    assert keys().name == "second"
    path.unlink()
    assert keys().name == "second"
    assert "stays in use" in caplog.text


def test_sk04_neither_settings_nor_keys_show_the_secret() -> None:
    settings = CoinbaseSettings(api_key=SecretStr(NAME), api_secret=SecretStr(SEC1))
    key = make_key(NAME, SEC1, "here")
    assert isinstance(key, Key)
    body = SEC1.splitlines()[1]
    copies = (copy.copy(settings), copy.deepcopy(settings), settings.model_copy(), copy.copy(key))
    for one in (settings, key, settings.api_secret, *copies):
        for shown in (repr(one), str(one), f"{one}", f"{one!r:>10}", json.dumps(one, default=str)):
            assert body not in shown
            assert "PRIVATE" not in shown
    for shown in (settings.model_dump_json(), str(settings.model_dump()), pformat(vars(settings))):
        assert body not in shown
    with pytest.raises(TypeError):
        pickle.dumps(key)


def test_sk07_a_key_that_is_read_from_a_file_is_masked_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(masking, "_whole", [])
    monkeypatch.setattr(masking, "_pieces", set())
    lines = SEC1.splitlines()[1:-1]
    key_file(tmp_path / "key.json", name=NAME, privateKey=SEC1.replace("-----END", "-----DNE"))
    with pytest.raises(ConfigurationError):
        load_keys(CoinbaseSettings(api_key_file=tmp_path / "key.json"))
    assert masking.mask(f"{lines[0][9:]} {lines[1]} {NAME}") == "*** *** ***"
