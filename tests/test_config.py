"""Configuration: file, environment and flags merged; everything wrong told at once, with its place and a mend."""

from __future__ import annotations

import json
import math
import os
import re
import sys
import tomllib
import types
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies
from pydantic import Field, SecretStr

from livermore_core import ConfigurationError, ExchangeSettings
from livermore_core.config import Settings, describe, effective, load, plugin_table, sample
from livermore_core.contributions import Exchange, IndicatorType, Store
from livermore_core.hooks import hookimpl
from livermore_core.plugins import Plugin, Plugins
from livermore_core.plugins import load as load_plugins

HERE = "livermore_test_config_code"


class MoonSettings(ExchangeSettings):
    """Settings of an exchange with a key."""

    url: str = Field(default="https://moon.example", description="where it is")
    api_key: SecretStr | None = Field(default=None, description="only from the environment")
    api_key_file: Path | None = Field(default=None, description="a file")


class Average:
    """An indicator with a length."""

    def __init__(self, length: int = 10) -> None:
        if length <= 0:
            raise ValueError(f"length must be > 0, is {length}")
        self.settle = 5 * length


def add(plugins: Plugins, name: str, **hooks: Any) -> None:
    module = types.ModuleType(f"fake_{name}")
    for hook, function in hooks.items():
        setattr(module, hook, hookimpl(function))
    plugins.add(Plugin(name, f"livermore-{name}", "1.2", module.__name__), lambda: module)


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Plugins:
    code = types.ModuleType(HERE)
    code.Settings, code.Average = MoonSettings, Average  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, HERE, code)
    return make_plugins()


def make_plugins() -> Plugins:
    plugins = load_plugins(only=[])
    moon = Exchange("moon", "an exchange", ("1m", "5m", "1h"), 300, 10.0, f"{HERE}:open", f"{HERE}:Settings")
    average = [IndicatorType(name, "an average", f"{HERE}:Average") for name in ("macd-v", "average")]
    add(plugins, "moon", register_exchanges=lambda: [moon])
    add(plugins, "indicators", register_indicators=lambda: average)
    add(plugins, "shared", register_stores=lambda: [Store("shared", "", f"{HERE}:open")])
    return plugins


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "livermore.toml"


def problems(plugins: Plugins, **given: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(plugins, **{"environ": {}, **given})
    assert caught.value.exit_code == 78
    return str(caught.value).split("\n")


def of_file(plugins: Plugins, file: Path, text: str) -> list[str]:
    """The problems with a file, without its path."""
    file.write_text(text)
    return [problem.removeprefix(f"{file}: ") for problem in problems(plugins, file=file)]


# ---- what is in force ----


def test_without_anything_the_defaults_hold(plugins: Plugins) -> None:
    chosen = load(plugins, environ={})
    assert chosen.timeframes == ("1m", "5m", "15m", "1h", "4h", "1d")
    assert chosen.backfill_timeframes == ("5m", "15m", "1h", "4h", "1d")
    assert chosen.store.startswith("sqlite:////")
    assert (chosen.followed, chosen.indicators, chosen.history) == (("moon",), {"macd-v": {}}, 50)
    assert {row["key"]: row["value"] for row in effective(chosen)}["depth"] == 50
    assert set(chosen.retention.values()) == {20_000}
    assert (chosen.stage_timeout, chosen.log_format) == (60.0, None)


def test_the_environment_goes_over_the_file_and_flags_over_both(plugins: Plugins, file: Path) -> None:
    file.write_text('depth = 1\nstage_timeout = 1\nstore = "sqlite:///file"\n[exchanges.moon]\nburst = 3\n')
    environ = {"LIVERMORE_STAGE_TIMEOUT": "2.5", "LIVERMORE_STORE": "sqlite:///environment"}
    chosen = load(plugins, file=file, environ=environ, overrides={"store": "sqlite:///flag"})
    assert (chosen.depth, chosen.stage_timeout, chosen.store) == (1, 2.5, "sqlite:///flag")
    assert chosen.exchanges["moon"].burst == 3  # type: ignore[attr-defined]
    origins = {row["key"]: row["origin"] for row in effective(chosen)}
    assert origins["depth"] == str(file)
    assert origins["stage_timeout"] == "LIVERMORE_STAGE_TIMEOUT"
    assert (origins["store"], origins["log_level"]) == ("command line", "default")


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("TIMEFRAMES", "1m, 5m", "timeframes", ("1m", "5m")),
        ("TIMEFRAMES", '["1m", "1h"]', "timeframes", ("1m", "1h")),
        ("DEPTH", "7", "depth", 7),
        ("LOG_FORMAT", "json", "log_format", "json"),
        ("RETENTION__5M", "5000", "retention.5m", 5000),
        ("PLUGINS__DISABLE", "a,b", "plugins.disable", ["a", "b"]),
        ("EXCHANGES__MOON__SYMBOLS", "btc-usd,ETH/USD", "exchanges.moon.symbols", ["BTC-USD", "ETH-USD"]),
        ("EXCHANGES__MOON__REQUESTS_PER_SECOND", "2.5", "exchanges.moon.requests_per_second", 2.5),
        ("EXCHANGES__MOON", '{"burst": 4}', "exchanges.moon.burst", 4),
        ("INDICATORS__MACD_V__LENGTH", "4", "indicators.macd-v", {"length": 4}),
        ("INDICATORS", '{"slow": {"use": "average", "length": 9}}', "indicators.slow", {"use": "average", "length": 9}),
    ],
)
def test_any_key_can_be_set_in_the_environment(
    plugins: Plugins, variable: str, text: str, key: str, value: Any
) -> None:
    rows = {row["key"]: row for row in effective(load(plugins, environ={f"LIVERMORE_{variable}": text}))}
    shown = list(value) if isinstance(value, tuple) else value
    assert (rows[key]["value"], rows[key]["origin"]) == (shown, f"LIVERMORE_{variable}")


def test_an_empty_variable_counts_as_not_set_and_is_noted_C01(plugins: Plugins) -> None:
    chosen = load(plugins, environ={"LIVERMORE_EXCHANGES__MOON__API_KEY": " ", "LIVERMORE_DEPTH": ""})
    assert chosen.exchanges["moon"].api_key is None  # type: ignore[attr-defined]
    assert chosen.notes == (
        "LIVERMORE_DEPTH is set but empty, and counts as not set",
        "LIVERMORE_EXCHANGES__MOON__API_KEY is set but empty, and counts as not set",
    )


def test_names_outside_the_tree_are_known(plugins: Plugins) -> None:
    load(plugins, environ={"LIVERMORE_TRACE": "1", "LIVERMORE_CONFIG": "", "LIVERMORE_ONLY_PLUGINS": "", "PATH": "x"})


def test_the_settings_are_frozen_and_tell_no_secret(plugins: Plugins) -> None:
    chosen = load(
        plugins, environ={"LIVERMORE_EXCHANGES__MOON__API_KEY": "canary-1", "LIVERMORE_STORE": "shared://u:canary-2@h"}
    )
    with pytest.raises(ValueError, match="frozen"):
        chosen.depth = 3  # type: ignore[misc]
    assert sorted(chosen.secrets()) == ["canary-1", "canary-2"]
    assert "canary" not in repr(chosen) + json.dumps(effective(chosen))
    assert {row["key"]: row["value"] for row in effective(chosen)}["exchanges.moon.api_key"] == "***"


def test_a_configuration_folder_and_the_working_directory_are_looked_into(
    plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "config" / "livermore"
    home.mkdir(parents=True)
    (home / "livermore.toml").write_text("depth = 1")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home.parent))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.chdir(tmp_path)
    assert load(plugins, environ={}).depth == 1
    Path("livermore.toml").write_text("depth = 2")
    assert load(plugins, environ={}).depth == 2
    Path("other.toml").write_text("depth = 3")
    assert load(plugins, environ={"LIVERMORE_CONFIG": "other.toml"}).depth == 3
    assert load(plugins, environ={"LIVERMORE_CONFIG": "livermore.toml"}, file=Path("other.toml")).depth == 3


# ---- symbols and timeframes ----


@pytest.mark.parametrize("text", ["btc-usd", "BTC/USD", " BTC-USD ", "btc_usd"])
def test_a_symbol_is_brought_into_one_form_C07(plugins: Plugins, text: str) -> None:
    chosen = load(plugins, environ={}, symbols=[text, "BTC-USD", "ETH-USD"])
    assert chosen.exchanges["moon"].symbols == ("BTC-USD", "ETH-USD")  # type: ignore[attr-defined]
    assert chosen.notes == ("exchanges.moon.symbols: 'BTC-USD' stands there twice",)


@pytest.mark.parametrize("text", ["*-USD", "top:25", "held", "BTC-*"])
def test_globs_and_words_pass(plugins: Plugins, text: str) -> None:
    chosen = load(plugins, environ={}, symbols=[text])
    assert chosen.exchanges["moon"].symbols == (text,)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("BTCUSD", "it is ambiguous without a dash, did you mean 'BTC-USD'?"),
        ("BTC", "write e.g. 'BTC-USD'"),
        ("", "is no symbol"),
        ("BTC-USD'; DROP", "is no symbol"),
        ("../../x", "is no symbol"),
        ("top:0", "must name a number of products"),
        ("top:-3", "must name a number of products"),
        ("top:many", "must name a number of products"),
        ("top:٣", "must name a number of products"),
        ("X" * 5000, "is no symbol"),
    ],
)
def test_a_form_that_is_no_symbol_is_refused_C07_SI05(plugins: Plugins, text: str, reason: str) -> None:
    (problem,) = problems(plugins, symbols=[text])
    assert problem.startswith("command line: exchanges.moon.symbols: ")
    assert reason in problem
    assert len(problem) < 300


def test_flags_for_timeframes_stand_for_both_kinds(plugins: Plugins, file: Path) -> None:
    file.write_text('timeframes = ["5m"]\nbackfill_timeframes = ["1h"]')
    assert load(plugins, environ={}, file=file).backfill_timeframes == ("1h",)
    chosen = load(plugins, environ={}, file=file, timeframes=["1m", "5m", "5m"])
    assert (chosen.timeframes, chosen.backfill_timeframes) == (("1m", "5m"), ("5m",))
    assert load(plugins, environ={}, timeframes=["1m"]).backfill_timeframes == ("1m",)


@pytest.mark.parametrize(
    ("timeframe", "reason"),
    [
        ("5", "unknown timeframe '5'"),
        ("1w", "unknown timeframe '1w'"),
        ("1H", "did you mean '1h'?"),
        ("4h", "moon does not offer 4h; it offers 1m, 5m, 1h"),
    ],
)
def test_an_unknown_timeframe_is_refused_at_the_start_C08(plugins: Plugins, timeframe: str, reason: str) -> None:
    found = problems(plugins, timeframes=[timeframe])
    assert reason in found[0]


# ---- files that cannot be read ----


@pytest.mark.parametrize(
    ("content", "place", "reason"),
    [
        (b"depth = 3\nx = = 1\n", "2:5", "Invalid value"),
        (b"\xef\xbb\xbfdepth = 3\nx =", "2:4", "Invalid value"),
        (b"depth = 3\r\ny", "2:2", "Expected '='"),
        (b"[a]\nx = 1\n[a]\n", "3:3", "Cannot declare"),
        (b"depth = 3\nx = '\xff'", "2:6", "not UTF-8"),
        ("depth = 3".encode("utf-16"), "1:1", "UTF-16"),
        (b"x = " + b"[" * 100_000, "1:1", "nested too deeply"),
        (b"x = " + b"9" * 5000, "1:1", "digits"),
        (b"x = 2024-13-45", "1:9", "Expected newline"),
    ],
)
def test_what_is_not_toml_is_told_by_line_and_column_C09_F1(
    plugins: Plugins, file: Path, content: bytes, place: str, reason: str
) -> None:
    file.write_bytes(content)
    (problem,) = problems(plugins, file=file)
    assert problem.startswith(f"{file}:{place}: ")
    assert reason in problem


def test_a_byte_order_mark_and_windows_line_ends_are_accepted_C09(plugins: Plugins, file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbfdepth = 3\r\nstage_timeout = 4\r\n")
    chosen = load(plugins, file=file, environ={})
    assert (chosen.depth, chosen.stage_timeout) == (3, 4.0)


def test_a_file_that_is_none_is_refused_C16(plugins: Plugins, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (("absent", "No such file"), ("pipe", "not a regular file"), (".", "not a regular file")):
        (problem,) = problems(plugins, file=tmp_path / name)
        assert reason in problem


def test_any_bytes_are_settings_or_a_configuration_error_F1(tmp_path: Path) -> None:
    plugins = load_plugins(only=["coinbase"])
    file = tmp_path / "livermore.toml"
    pieces = strategies.sampled_from(
        [
            "depth",
            "=",
            "[",
            "]",
            "exchanges",
            ".",
            "coinbase",
            '"',
            "nan",
            "-1",
            "{",
            "}",
            "symbols",
            "\n",
            ",",
            "plugins",
        ]
    )

    @settings(max_examples=300, deadline=None, database=None)
    @given(
        strategies.binary(max_size=60) | strategies.lists(pieces, max_size=14).map(lambda each: "".join(each).encode())
    )
    def any_bytes(content: bytes) -> None:
        file.write_bytes(content)
        plugin_table(file, {})
        found = ""
        try:
            assert isinstance(load(plugins, file=file, environ={}), Settings)
        except ConfigurationError as error:
            found = str(error)
        assert all(line.startswith(str(file)) for line in found.split("\n") if found)

    any_bytes()


# ---- values that are wrong ----


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stor = 1", "stor: unknown key, did you mean 'store'?"),
        ("[exchanges.moon]\nsymbol = []", "exchanges.moon.symbol: unknown key, did you mean 'symbols'?"),
        ("[exchanges.mon]", "exchanges.mon: unknown exchange, did you mean 'moon'?; installed: moon"),
        (
            "[indicators.macdv]",
            "indicators.macdv: unknown indicator, did you mean 'macd-v'?; installed: average, macd-v",
        ),
        (
            "[indicators.macd-v]\nlenght = 3",
            "indicators.macd-v.lenght: unknown parameter of macd-v, did you mean 'length'?",
        ),
        ("[indicators.macd-v]\nlength = -3", "indicators.macd-v: length must be > 0, is -3"),
        ("[indicators.macd-v]\nlength = inf", "indicators.macd-v.length: inf is no number that can be used"),
        ("[indicators]\nmacd-v = 3", 'indicators.macd-v: must be a table, e.g. {} or { use = "ema", length = 50 }'),
        (
            '[indicators]\nfast = { use = "avrage" }',
            "indicators.fast: unknown indicator, did you mean 'average'?; installed: average, macd-v",
        ),
        ("[indicators.macd-v]\nlength = 'ten'", "indicators.macd-v.length: must be a whole number, is 'ten'"),
        ("[indicators.macd-v]\nlength = true", "indicators.macd-v.length: must be a whole number, is true"),
        (
            "[indicators.macd-v]\nsymbols = 'BTC-*'",
            'indicators.macd-v.symbols: must be a list of globs, e.g. ["BTC-*"] or ["1h", "4h"]',
        ),
        (
            "[indicators.macd-v]\ntimeframes = []",
            'indicators.macd-v.timeframes: must be a list of globs, e.g. ["BTC-*"] or ["1h", "4h"]',
        ),
        (
            "timeframes = ['1m', '1h']\n[indicators.macd-v]\ntimeframes = ['2h']",
            "indicators.macd-v.timeframes: 2h matches none of the timeframes: 1m, 1h",
        ),
        ("empty_buckets = 'fill'", "empty_buckets: must be 'skip', 'carry' or 'flat'"),
        ("[plugins.moo]", "plugins.moo: unknown key, did you mean 'moon'?"),
        ("[plugins.moon]\nx = 1", "plugins.moon.x: unknown key, this plugin has no settings"),
        ('[plugins]\nonly = ["moo"]', "plugins.only: unknown plugin 'moo', did you mean 'moon'?"),
        ("depth = 'x'", "depth: must be a whole number, is 'x' (allowed: >= 1 and <= 100000)"),
        ("depth = -1", "depth: must be greater than or equal to 1 (allowed: >= 1 and <= 100000)"),
        ("depth = true", "depth: must be a whole number, is true (allowed: >= 1 and <= 100000)"),
        ("stage_timeout = nan", "stage_timeout: must be a number, is nan (allowed: > 0 and <= 86400)"),
        ("stage_timeout = inf", "stage_timeout: must be a number, is inf (allowed: > 0 and <= 86400)"),
        ("log_level = 'loud'", "log_level: must be 'debug', 'info', 'warning' or 'error'"),
        ("timeframes = '5m'", 'timeframes: must be a list, e.g. timeframes = ["5m"]'),
        ("timeframes = []", "timeframes: must name at least one"),
        ("timeframes = [5]", "timeframes: must be a list of texts, holds 5"),
        ("exchanges = 5", "exchanges: must be a table"),
        ("exchanges.moon = 5", "exchanges.moon: must be a table"),
        (
            "[exchanges.moon]\nrequests_per_second = nan",
            "exchanges.moon.requests_per_second: must be a number, is nan (allowed: > 0 and <= 1000)",
        ),
        ("[retention]\n5m = 99", "retention.5m: must be at least twice the depth, 2 x 50 = 100, is 99"),
        ("[retention]\n7m = 99", "retention.7m: unknown key"),
        ("store = 'livermore.sqlite'", "store: must be a URL, e.g. sqlite:///livermore.sqlite"),
        ("store = 'sqlit:///x'", "store: unknown store, did you mean 'sqlite'?; installed: shared, sqlite"),
        ("store = 'sqlite://x'", "store: must be sqlite:///relative/path or sqlite:////absolute/path"),
        ("store = 'sqlite:////dev/null'", "store: /dev/null is not a regular file"),
        (
            "store = 'shared://u:secret@h'",
            "store: a password does not belong here; set the whole URL as LIVERMORE_STORE",
        ),
        (
            "[exchanges.moon]\napi_key = 'secret'",
            "exchanges.moon.api_key: a secret does not belong here;"
            " set LIVERMORE_EXCHANGES__MOON__API_KEY or exchanges.moon.api_key_file",
        ),
        (
            "[exchanges.moon]\nsymbols = ['A-USD', 'B-USD']\nrequests_per_second = 0.0001",
            "exchanges.moon.requests_per_second: 2 symbols need 2 requests an hour for their audit alone,"
            " 0.0001 a second allow 0.36",
        ),
    ],
)
def test_a_wrong_value_is_told_with_its_key_and_a_mend_C10_C11_C12_SK02(
    plugins: Plugins, file: Path, text: str, expected: str
) -> None:
    assert of_file(plugins, file, text) == [expected]


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        (
            "LIVERMORE_STAGE_TIMEOUTS",
            "1",
            "LIVERMORE_STAGE_TIMEOUTS: unknown name, did you mean 'LIVERMORE_STAGE_TIMEOUT'?",
        ),
        (
            "LIVERMORE_EXCHANGES__MON__BURST",
            "1",
            "LIVERMORE_EXCHANGES__MON__BURST: unknown name, did you mean 'LIVERMORE_EXCHANGES__MOON__BURST'?",
        ),
        ("LIVERMORE_DEPTH__X", "1", "LIVERMORE_DEPTH__X: unknown name, did you mean 'LIVERMORE_DEPTH'?"),
        ("LIVERMORE_", "1", "LIVERMORE_: unknown name"),
        (
            "LIVERMORE_EXCHANGES",
            "moon",
            'LIVERMORE_EXCHANGES: must be a table as JSON, e.g. {"key": 1}, or name a key: LIVERMORE_EXCHANGES__KEY',
        ),
        ("LIVERMORE_DEPTH", "NaN", "LIVERMORE_DEPTH: must be a whole number, is nan (allowed: >= 1 and <= 100000)"),
        ("LIVERMORE_DEPTH", "many", "LIVERMORE_DEPTH: must be a whole number, is 'many' (allowed: >= 1 and <= 100000)"),
        ("LIVERMORE_CONFIG", "/nowhere/x.toml", "/nowhere/x.toml: No such file or directory"),
        (
            "LIVERMORE_ONLY_PLUGINS",
            "moo",
            "LIVERMORE_ONLY_PLUGINS: plugins.only: unknown plugin 'moo', did you mean 'moon'?",
        ),
    ],
)
def test_a_wrong_variable_is_named_C10(plugins: Plugins, variable: str, text: str, expected: str) -> None:
    assert problems(plugins, environ={variable: text}) == [expected]


def test_everything_wrong_is_told_at_once(plugins: Plugins, file: Path) -> None:
    file.write_text(
        "depth = 0\nstage_timeout = -1\nwhat = 1\n[exchanges.moon]\nburst = 'x'\nsymbols = ['BTCUSD', 'x y']"
    )
    found = problems(plugins, file=file, environ={"LIVERMORE_X": "1"}, timeframes=["9m"])
    assert len(found) == 8
    assert len(set(found)) == 8


def test_a_broken_file_hides_no_problem_of_the_environment(plugins: Plugins, file: Path) -> None:
    file.write_text("[")
    found = problems(plugins, file=file, environ={"LIVERMORE_DEPTH": "0"})
    assert [problem.split(" ")[0] for problem in found] == [f"{file}:1:2:", "LIVERMORE_DEPTH:"]


# ---- which exchanges, which plugins ----


def test_an_exchange_is_followed_that_has_symbols_or_is_asked_for(plugins: Plugins, file: Path) -> None:
    sun = Exchange("sun", "another", ("1m",), 300, 10.0, f"{HERE}:open", f"{HERE}:Settings")
    coinbase = Exchange("coinbase", "the usual one", ("1m",), 300, 10.0, f"{HERE}:open", f"{HERE}:Settings")
    add(plugins, "sun", register_exchanges=lambda: [sun])
    assert load(plugins, environ={}).followed == ()
    add(plugins, "coinbase", register_exchanges=lambda: [coinbase])
    assert load(plugins, environ={}).followed == ("coinbase",)
    file.write_text("[exchanges.sun]\nsymbols = ['A-USD']\n[exchanges.moon]\nburst = 1\n")
    assert load(plugins, environ={}, file=file, timeframes=["1m"]).followed == ("sun",)
    assert load(plugins, environ={}, file=file, exchanges=["moon"]).followed == ("moon",)
    assert plugin_table(file, {}).with_symbols == ("sun",)
    assert problems(plugins, exchanges=["mon"]) == [
        "command line: exchanges.mon: unknown exchange, did you mean 'moon'?; installed: coinbase, moon, sun"
    ]


def test_named_is_required_and_installed_is_optional(plugins: Plugins, file: Path) -> None:
    add(plugins, "other", register_indicators=lambda: [IndicatorType("rsi", "", f"{HERE}:Average")])
    assert load(plugins, environ={}).required == {"moon", "sqlite"}
    file.write_text("[indicators]\nrsi = {}\n[plugins.shared]\n")
    assert load(plugins, environ={}, file=file).required == {"moon", "sqlite", "other", "shared"}


def test_a_required_plugin_that_is_broken_stops_the_start_and_an_optional_one_does_not_P08(
    plugins: Plugins, file: Path
) -> None:
    def fail() -> Any:
        raise ImportError("no module named x")

    plugins.add(Plugin("weak", "livermore-weak", "3.4", "weak"), fail)
    load(plugins, environ={})
    assert of_file(plugins, file, "[plugins.weak]") == [
        "plugin 'weak' (livermore-weak 3.4) is required by `[plugins.weak]` and does not load:"
        " ImportError: no module named x; mend or uninstall it, or disable it and take its name out"
    ]
    assert of_file(plugins, file, "[exchanges.weak]\nburst = 1") == [
        "exchanges.weak: unknown exchange: plugin 'weak' (livermore-weak 3.4) is broken ImportError: no module named x",
        "plugin 'weak' (livermore-weak 3.4) is required by the exchange 'weak' and does not load:"
        " ImportError: no module named x; mend or uninstall it, or disable it and take its name out",
    ]


# ---- recovery ----


def test_the_plugin_table_is_read_whatever_the_file_says(file: Path) -> None:
    file.write_text("[plugins]\nonly = ['a']\ndisable = ['b', 3]\n[exchanges.x]\nsymbols = ['A-B']")
    table = plugin_table(file, {"LIVERMORE_EXCHANGES__Y_Z__SYMBOLS": "A-B"})
    assert (table.only, table.disable, table.with_symbols, table.problem) == (("a",), ("b",), ("x", "y-z"), "")
    assert plugin_table(file, {"LIVERMORE_ONLY_PLUGINS": "c, d", "LIVERMORE_PLUGINS__DISABLE": '["e"]'}).only == (
        "c",
        "d",
    )
    file.write_text("[plugins")
    table = plugin_table(file, {})
    assert (table.only, table.disable) == (None, ())
    assert table.problem.startswith(f"{file}:1:9: ")


def test_every_key_is_described(plugins: Plugins) -> None:
    rows = {row["key"]: row for row in describe(plugins)}
    for key in (
        "store",
        "depth",
        "exchanges.moon.symbols",
        "exchanges.moon.api_key",
        "plugins.disable",
        "retention.<timeframe>",
    ):
        assert rows[key]["meaning"], key
    assert rows["depth"]["type"] == "whole number, >= 1 and <= 100000"
    assert all(row["meaning"] for row in rows.values())


def test_types_whose_names_have_a_dot_are_in_the_sample_by_an_example(plugins: Plugins, file: Path) -> None:
    dotted = [IndicatorType(f"bridge.{name}", "", f"{HERE}:Average") for name in ("fast", "slow")]
    add(plugins, "bridge", register_indicators=lambda: dotted)
    text = sample(plugins)
    assert '# mine = { use = "bridge.fast" }' in text
    assert "# bridge." not in text
    file.write_text(re.sub("^# ", "", text, flags=re.MULTILINE))
    assert load(plugins, file=file, environ={}, timeframes=["1m", "5m"]).indicators["mine"] == {"use": "bridge.fast"}


def test_of_hundreds_of_names_a_message_tells_the_first_and_how_many_more(plugins: Plugins, file: Path) -> None:
    many = [IndicatorType(f"bridge.{number:03}", "", f"{HERE}:Average") for number in range(200)]
    add(plugins, "bridge", register_indicators=lambda: many)
    file.write_text("[indicators]\nbridge = {}\n")
    with pytest.raises(ConfigurationError, match=r"installed: average, bridge\.000, .*, bridge\.028 and 172 more$"):
        load(plugins, file=file, environ={})


def test_the_sample_is_inactive_and_with_its_marks_taken_away_it_is_accepted(plugins: Plugins, file: Path) -> None:
    text = sample(plugins)
    assert tomllib.loads(text) == {}
    file.write_text(re.sub("^# ", "", text, flags=re.MULTILINE))
    assert set(tomllib.loads(file.read_text())) >= {"store", "depth", "exchanges", "indicators", "plugins", "retention"}
    assert load(plugins, file=file, environ={}, timeframes=["1m", "5m"]).depth == 300
    assert math.isfinite(load(plugins, file=file, environ={}, timeframes=["5m"]).stage_timeout)
