"""What a REST answer says of the account: what it holds, and what the key may do. Pure."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from livermore_coinbase.parse import UNREADABLE, number, read


class _Amount(msgspec.Struct):
    value: str | float = "0"


class _Account(msgspec.Struct):
    currency: str
    available_balance: _Amount = msgspec.field(default_factory=_Amount)
    hold: _Amount = msgspec.field(default_factory=_Amount)


class _Accounts(msgspec.Struct):
    accounts: list[msgspec.Raw]
    has_next: bool = False
    cursor: str | None = ""


class KeyRights(msgspec.Struct):
    """What a key may do. An answer that leaves one out is none: what is not said is not a no."""

    can_view: bool
    can_trade: bool
    can_transfer: bool


class Holdings(NamedTuple):
    """One page of accounts: the currencies held, and the cursor of the next page ("" at the end)."""

    currencies: list[str]
    cursor: str


_accounts = msgspec.json.Decoder(_Accounts)
_account = msgspec.json.Decoder(_Account)
_rights = msgspec.json.Decoder(KeyRights)


def holdings(body: bytes) -> Holdings:
    """The currencies with something available or on hold. Accounts that cannot be read are left out."""
    page = read(_accounts, body, "accounts")
    currencies = [currency for raw in page.accounts if (currency := _held_currency(raw))]
    return Holdings(currencies, (page.cursor or "") if page.has_next else "")


def _held_currency(raw: msgspec.Raw) -> str | None:
    try:
        account = _account.decode(raw)
    except UNREADABLE:
        return None
    return account.currency if number(account.available_balance.value) + number(account.hold.value) > 0 else None


def key_rights(body: bytes) -> KeyRights:
    """What the key may do."""
    return read(_rights, body, "key_permissions")
