"""An API key as Coinbase hands it out: read from a file or the environment, recognised, or refused by name."""

from __future__ import annotations

import base64
import binascii
import json
import logging
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from livermore_coinbase.settings import CoinbaseSettings
from livermore_core import ConfigurationError, hide

LOG = logging.getLogger("livermore_coinbase")
KEY_VARIABLE = "LIVERMORE_EXCHANGES__COINBASE__API_KEY"
SECRET_VARIABLE = "LIVERMORE_EXCHANGES__COINBASE__API_SECRET"
_LARGEST_FILE = 64 * 1024
_PATH = re.compile(r"[~.]{0,2}[/\\][^\n]*|[A-Za-z]:[\\/][^\n]*|[^\n]*\.(json|pem|key|txt)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Key:
    """A key's name, how it signs (`ES256` or `EdDSA`), and the private part, which no repr shows."""

    name: str
    algorithm: str
    private: EllipticCurvePrivateKey | Ed25519PrivateKey = field(repr=False)


class KeyFile:
    """The key in a file. A changed file is read again; while it is no good, the key from before stays in use."""

    def __init__(self, path: Path) -> None:
        self._path = path.expanduser()
        self._key = key_from_file(path)
        self._stamp = self._now()

    def __call__(self) -> Key:
        if (stamp := self._now()) != self._stamp:
            self._stamp = stamp
            try:
                self._key = key_from_file(self._path)
                LOG.info("credentials.rotated: the key file changed and was read again")
            except ConfigurationError as error:
                LOG.warning("credentials.unchanged: the key from before stays in use: %s", error)
        return self._key

    def _now(self) -> tuple[int, int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return (0, 0, 0)
        return (found.st_mtime_ns, found.st_size, found.st_ino)


def load_keys(settings: CoinbaseSettings) -> Callable[[], Key] | None:
    """What gives the key that `settings` name; None means public data. Raises ConfigurationError naming the fault."""
    name = settings.api_key.get_secret_value().strip() if settings.api_key else ""
    secret = settings.api_secret.get_secret_value().strip() if settings.api_secret else ""
    if settings.api_key_file is not None and (name or secret):
        raise ConfigurationError(f"give either api_key_file or {KEY_VARIABLE} and {SECRET_VARIABLE}, not both")
    if settings.api_key_file is not None:
        return KeyFile(settings.api_key_file)
    if not name and not secret:
        return None
    if not name or not secret:
        missing, given = (KEY_VARIABLE, SECRET_VARIABLE) if not name else (SECRET_VARIABLE, KEY_VARIABLE)
        raise ConfigurationError(f"{given} is set but {missing} is empty; set both, or neither for public data")
    key = make_key(name, secret, SECRET_VARIABLE)
    return lambda: key


def key_from_file(path: Path) -> Key:
    """The key in a file as downloaded: {"name" or "id", "privateKey"}."""
    where = f"api_key_file {str(path)!r}"
    members = _members(_read(path.expanduser(), where), where)
    name = members.get("name") or members.get("id")
    secret = members.get("privateKey")
    for text in (name, secret):
        hide(str(text))
    if not isinstance(name, str) or not isinstance(secret, str) or not name.strip():
        raise ConfigurationError(f'{where} needs the members "name" (or "id") and "privateKey" as text')
    return make_key(name.strip(), secret, f'{where}, member "privateKey"')


def _read(path: Path, where: str) -> str:
    try:
        # A pipe would make it wait; and what is looked at must be what is read.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise ConfigurationError(f"{where} is not a regular file")
            if found.st_size > _LARGEST_FILE:
                raise ConfigurationError(f"{where} is too large for a key file")
            _warn_if_open_to_others(found, where)
            return os.read(descriptor, _LARGEST_FILE).decode("utf-8-sig")
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ConfigurationError(f"{where} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{where} is not UTF-8 text") from None


def _warn_if_open_to_others(found: os.stat_result, where: str) -> None:
    if os.name == "posix" and (found.st_mode & 0o077 or found.st_uid not in (os.getuid(), 0)):
        LOG.warning("credentials.readable: %s can be read by others; chmod 600 it", where)


def _members(text: str, where: str) -> dict[str, object]:
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        hint = "; it is a bare PEM" if text.lstrip().startswith("-----BEGIN") else ""
        raise ConfigurationError(f"{where} is not the JSON file that Coinbase offers for download{hint}") from None
    if not isinstance(members, dict):
        raise ConfigurationError(f"{where} holds no JSON object")
    return members


def make_key(name: str, secret: str, where: str) -> Key:
    """A key from its name and private part in any form that Coinbase hands out."""
    text = secret.replace("\\r", "").replace("\\n", "\n").replace("\r\n", "\n").replace("\r", "\n").strip().strip("\"'")
    if "-----BEGIN" in text:
        return _pem_key(name, text.strip(), where)
    return _bare_key(name, text, where)


def _pem_key(name: str, text: str, where: str) -> Key:
    if "ENCRYPTED" in text:
        raise ConfigurationError(f"{where} is encrypted with a passphrase; give the unencrypted key")
    if "PUBLIC KEY-----" in text or "CERTIFICATE-----" in text:
        raise ConfigurationError(f"{where} is a public key or certificate; the private key is needed")
    if "-----END" not in text:
        raise ConfigurationError(f"{where} is cut off: the line -----END ... PRIVATE KEY----- is missing")
    try:
        private = load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigurationError(f"{where} is PEM, but no readable private key; copy it again") from None
    return _recognised(name, private, where)


def _recognised(name: str, private: object, where: str) -> Key:
    if isinstance(private, Ed25519PrivateKey):
        return Key(name, "EdDSA", private)
    if not isinstance(private, EllipticCurvePrivateKey):
        raise ConfigurationError(f"{where} is neither an EC nor an Ed25519 key; create a Coinbase (CDP) API key")
    if private.curve.name != "secp256r1":
        raise ConfigurationError(f"{where} is on the curve {private.curve.name}; ES256 needs P-256 (prime256v1)")
    return Key(name, "ES256", private)


def _bare_key(name: str, text: str, where: str) -> Key:
    """Base64 of an Ed25519 seed, alone (32 bytes) or followed by the public key (64)."""
    try:
        raw = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigurationError(f"{where} {_likeness(text)}") from None
    if len(raw) in (32, 64):
        return Key(name, "EdDSA", Ed25519PrivateKey.from_private_bytes(raw[:32]))
    if raw[:1] == b"\x30" and len(raw) > 64:
        raise ConfigurationError(
            f"{where} lacks its armour: the lines -----BEGIN EC PRIVATE KEY----- and -----END EC PRIVATE KEY-----"
        )
    raise ConfigurationError(f"{where} {_likeness(text)}")


def _likeness(text: str) -> str:
    if _PATH.fullmatch(text) and len(text) < 4096:
        return "looks like a path; name the file with api_key_file"
    return "is neither a PEM private key nor a base64 Ed25519 key"
