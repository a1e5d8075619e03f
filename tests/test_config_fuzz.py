"""Hostile configuration: any file and any variables are settings or ConfigurationError; and what fuzzing has found."""

from __future__ import annotations

from pathlib import Path
from random import Random

import claims
import pytest
from hostile import payloads
from hostile_configuration import file_of, variables_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livermore_core import ConfigurationError
from livermore_core.config import load, plugin_table
from livermore_core.plugins import Plugins
from livermore_core.plugins import load as load_plugins

SMALL = settings(derandomize=True, database=None, deadline=None, max_examples=150, suppress_health_check=[*HealthCheck])


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return load_plugins()


def test_c09_c10_c11_f1_any_file_is_settings_or_says_its_place(plugins: Plugins, tmp_path: Path) -> None:
    others = payloads(Path("absent")).frames

    @SMALL
    @given(st.randoms(use_true_random=False))
    def any_file(random: Random) -> None:
        claims.configuration(plugins, tmp_path / "livermore.toml", file_of(random, others), {})

    any_file()


def test_c11_f1_any_variable_is_settings_or_says_its_place(plugins: Plugins, tmp_path: Path) -> None:
    @SMALL
    @given(st.randoms(use_true_random=False))
    def any_variable(random: Random) -> None:
        claims.configuration(plugins, tmp_path / "livermore.toml", b"", variables_of(random))

    any_variable()


# ---- what was found ----

HUGE = "0x" + "f" * 5_000
DOTTED = "a" + ".a" * 3_000


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"depth = 1\n{DOTTED} = 1", ":2:1: nested too deeply"),
        (f"[indicators.{DOTTED}]", ":1:2: nested too deeply"),
        ("x = " + "[" * 40 + "]" * 40, "nested too deeply"),
        (f"timeframes = [{HUGE}]", "timeframes: a whole number of more than 64 bits"),
        (f"[retention]\n5m = {HUGE}", "retention.5m: a whole number of more than 64 bits"),
        ("[retention]\n5m = [1]", "retention.5m: must be at least twice the depth"),
        ("[retention]\n5m = 1.5", "retention.5m: must be at least twice the depth"),
        ("[retention]\n5m = 1000000000000", "retention.5m: must be at most 100000000"),
        ("timeframes = 5", "timeframes: must be a valid tuple"),
        ("[exchanges.coinbase]\nsymbols = 6", "exchanges.coinbase.symbols: must be a valid tuple"),
        ("[indicators.x]\nuse = [1]", "indicators.x.use: must be a text"),
        ("[indicators.ema]\nlength = 1000000", "indicators.ema: needs 6362235 candles, more than the 100000"),
        ("[exchanges.coinbase]\nrest_url = 'https://x:99999'", "exchanges.coinbase.rest_url: Port out of range"),
    ],
    ids=lambda text: text[:30],
)
def test_c09_c11_f1_a_file_that_nothing_can_be_made_of(
    plugins: Plugins, tmp_path: Path, text: str, reason: str
) -> None:
    file = tmp_path / "livermore.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load(plugins, file=file, environ={})
    (line,) = str(caught.value).split("\n")
    assert line.startswith(str(file))
    assert reason in line
    assert len(line) < 500
    plugin_table(file, {})


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("CONFIG", "~nobody-at-all/x", "No such file"),
        ("STORE", "sqlite:///\ud800", "not Unicode"),
        ("EXCHANGES__COINBASE", '{"api_key_file": "\\ud800"}', "api_key_file: not Unicode"),
        ("INDICATORS__EMA", '{"a":' * 900 + "1" + "}" * 900, "nested too deeply"),
        ("TIMEFRAMES", "[" * 900 + "]" * 900, "nested too deeply"),
        ("RETENTION", '{"5m": [1]}', "retention.5m: must be at least twice the depth"),
    ],
)
def test_c11_f1_a_variable_that_nothing_can_be_made_of(plugins: Plugins, name: str, text: str, reason: str) -> None:
    environ = {f"LIVERMORE_{name}": text}
    with pytest.raises(ConfigurationError) as caught:
        load(plugins, file=None, environ=environ)
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 500
    plugin_table(None, environ)
