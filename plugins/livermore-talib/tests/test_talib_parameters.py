"""Parameters in a file and on the command line: what is wrong is named in one line; what cannot be dumped says so."""

from __future__ import annotations

import inspect
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("talib", reason="TA-Lib is not installed; `make test` installs it", exc_type=ImportError)

from livermore_talib import functions
from livermore_talib.names import NAMES

from livermore_core import ConfigurationError
from livermore_core.cli.group import run
from livermore_core.config.loading import load
from livermore_core.conformance.series import market
from livermore_core.plugins import load as load_plugins


def configured(tmp_path: Path, line: str) -> Any:
    file = tmp_path / "livermore.toml"
    file.write_text(f"[indicators]\n{line}\n")
    return load(load_plugins(), file=file, environ={})


def test_a_file_names_one_as_the_readme_shows(tmp_path: Path) -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    line = 'rsi-14 = { use = "talib.rsi", timeperiod = 14 }'
    assert line in readme
    found = configured(tmp_path, line)
    assert found.indicators == {"rsi-14": {"use": "talib.rsi", "timeperiod": 14}}
    assert found.history == functions.rsi().settle == 160


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('x = { use = "talib.rsi", timeperiod = 1 }', "indicators.x: timeperiod must be from 2 to 100000, was 1"),
        ('x = { use = "talib.rsi", timeperiod = 14.5 }', "indicators.x.timeperiod: must be a whole number, is 14.5"),
        ('x = { use = "talib.rsi", timeperiod = true }', "indicators.x.timeperiod: must be a whole number, is true"),
        ('x = { use = "talib.rsi", length = 14 }', "indicators.x.length: unknown parameter of talib.rsi"),
        ('x = { use = "talib.rsi", timeperoid = 14 }', "unknown parameter of talib.rsi, did you mean 'timeperiod'?"),
        ('x = { use = "talib.bbands", nbdevup = "2" }', "indicators.x.nbdevup: must be a finite number, is '2'"),
        ('x = { use = "talib.bbands", nbdevup = inf }', "indicators.x.nbdevup: inf is no number that can be used"),
        ('x = { use = "talib.bbands", matype = 14 }', "indicators.x: matype must be from 0 to 13, was 14"),
        ('x = { use = "talib.mama", slowlimit = 1 }', "indicators.x: slowlimit must be from 0.01 to 0.99, was 1.0"),
        ('x = { use = "talib.sar", maximum = -0.1 }', "indicators.x: maximum must be at least 0, was -0.1"),
        ('x = { use = "talib.sar", acceleration = 0 }', "indicators.x: needs 107242 candles, more than the 100000"),
        ('x = { use = "talib.rsj" }', "indicators.x: unknown indicator, did you mean 'talib.rsi'?"),
        ('x = { use = "talib.mavp" }', "indicators.x: unknown indicator, did you mean 'talib."),
        ('"talib.rsi" = {}', "indicators.talib.rsi: a name is made of lower-case letters, digits and dashes"),
    ],
)
def test_a_file_with_a_mistake_is_told_where_and_which(tmp_path: Path, line: str, reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        configured(tmp_path, line)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("timeperiod=0", "talib.rsi: timeperiod must be from 2 to 100000, was 0"),
        ("timeperiod=ten", "timeperiod must be a whole number, is 'ten'"),
        ("length=14", "unknown parameter 'length'; it takes: timeperiod"),
        ("timeperiod=99999999999999999999", "talib.rsi: timeperiod must be from 2 to 100000, was 99999999999999999999"),
    ],
)
def test_a_command_line_with_a_mistake_is_told_which(
    typed: str, reason: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["check", "indicator", "talib.rsi", "--param", typed]) == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize("value", [nan, inf, -inf, 4e37, -(10**40)])
def test_a_number_that_talib_cannot_hold_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"nbdevup must be within 3e\+37 of 0, was"):
        functions.bbands(nbdevup=value)


def test_a_name_that_it_does_not_have_is_no_argument() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'length'"):
        functions.rsi(length=14)


def test_the_signature_says_names_types_and_defaults() -> None:
    found = {
        each.name: (each.annotation, each.default) for each in inspect.signature(functions.bbands).parameters.values()
    }
    assert found == {"timeperiod": (int, 20), "nbdevup": (float, 2.0), "nbdevdn": (float, 2.0), "matype": (int, 0)}


def test_settle_follows_the_parameters() -> None:
    assert functions.sma(timeperiod=200).settle == 200
    assert functions.ema(timeperiod=200).settle == functions.ma(timeperiod=200, matype=1).settle == 200 + 1073
    assert functions.rsi(timeperiod=28).settle > functions.rsi(timeperiod=14).settle
    assert functions.macdext(signalmatype=1).settle == functions.macdext().settle + 49
    assert functions.bbands(matype=11).settle == functions.bbands().settle == 20


def test_the_readme_says_how_many_there_are_and_how_long_the_slow_ones_take() -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    assert f"{len(NAMES)} functions of" in readme
    kama, sine = functions.kama(), functions.ht_sine()
    assert f"| `kama`, and `matype = 6` | {kama.settle - kama.warmup}," in readme
    assert f"| `ht_*` | {sine.settle - sine.warmup}," in readme


def test_a_handle_is_never_dumped_and_says_so() -> None:
    made = functions.rsi()
    for candle in market(20):
        made.update(candle)
    assert made.dumps is False
    with pytest.raises(TypeError, match=r"talib\.rsi cannot be dumped: it holds a handle of TA-Lib"):
        made.dump()
    with pytest.raises(TypeError, match=r"talib\.rsi cannot be loaded"):
        made.load("{}")


def test_it_is_listed_and_passes_its_check(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["indicators", "--list"]) == 0
    listed = capsys.readouterr().out
    assert "talib.macd " in listed
    assert "fastperiod=12" in listed
    assert run(["check", "indicator", "talib.rsi", "--param", "timeperiod=5"]) == 0
    told = capsys.readouterr().out
    assert "talib.rsi passes: 13 checks" in told
    assert "dump         ok      never dumped, as it says: its candles are replayed" in told
