"""What is offered is what TA-Lib has, and each function gives what TA-Lib's batch function gives, to the bit."""

from __future__ import annotations

import re
import subprocess
import sys
from math import isfinite
from pathlib import Path

import numpy
import pytest

pytest.importorskip("talib", reason="TA-Lib is not installed; `make test` installs it", exc_type=ImportError)

import talib
from livermore_talib import plugin
from livermore_talib.names import NAMES
from reference_vectors import candles
from talib import abstract
from talib_batch import batch, lived, results

from livermore_core import Candle, Indicator
from livermore_core.contributions import resolve

ARITHMETIC = {*talib.get_function_groups()["Math Transform"], "ADD", "SUB", "MULT", "DIV", "CUMSUM"}
POSITIONS = {"MAXINDEX", "MININDEX", "MINMAXINDEX"}
TWO_SERIES = {"MAVP"}


def make(function: str, **parameters: float) -> Indicator:
    made: Indicator = resolve(f"livermore_talib.functions:{function.lower()}")(**parameters)
    return made


# ---- the table ----


def test_the_table_of_names_is_that_of_talib() -> None:
    offered = set(talib.get_functions()) - ARITHMETIC - POSITIONS - TWO_SERIES
    assert {name: abstract.Function(name).info["display_name"] for name in sorted(offered)} == NAMES
    assert list(NAMES) == sorted(NAMES)


def test_parameters_outputs_and_warm_up_are_those_of_talib() -> None:
    for function in NAMES:
        made, info = make(function), abstract.Function(function).info
        outputs = tuple(info["output_names"])
        assert made.outputs == (outputs if len(outputs) > 1 else ("value",)), function
        assert made.parameters == dict(info["parameters"]), function
        assert all(name.isidentifier() and name.islower() for name in (*made.outputs, *made.parameters)), function
        assert made.warmup == abstract.Function(function).lookback + 1, function


def test_what_talib_calls_unstable_or_dependent_on_its_path_settles_after_its_first_result() -> None:
    for function in NAMES:
        flags, made = set(abstract.Function(function).info["function_flags"]), make(function)
        late = flags & {"Function has an unstable period", "Output is path-dependent"}
        assert made.settle > made.warmup if late else made.settle >= made.warmup, function


def test_naming_them_imports_neither_talib_nor_numpy() -> None:
    program = (
        "import sys; from livermore_talib import plugin; print(len(list(plugin.register_indicators())),"
        " sorted({'talib', 'numpy', 'livermore_talib.functions'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.strip() == f"{len(NAMES)} []"


def test_every_reference_loads_and_another_name_does_not() -> None:
    for each in plugin.register_indicators():
        assert each.summary
        assert resolve(each.reference).__name__ == each.name.removeprefix("talib.")
    for name in ("add", "mavp", "RSI", "rsy"):
        with pytest.raises(AttributeError, match=f"no attribute '{name}'"):
            resolve(f"livermore_talib.functions:{name}")


# ---- the values ----


@pytest.mark.parametrize("function", NAMES)
def test_live_and_peeked_it_is_what_talib_gives_at_once_to_the_bit(function: str) -> None:
    rows, made = candles("walk"), make(function)
    expected = batch(function, rows, made.parameters)
    for position, row in enumerate(rows):
        assert results(made, made.peek(row)) == expected[position]
        assert results(made, made.update(row)) == expected[position]
    assert None not in expected[-1]


def test_the_process_is_left_as_it_was() -> None:
    def settings() -> object:
        periods = [talib.get_unstable_period(name) for name in ("ADX", "ATR", "EMA", "HT_SINE", "KAMA", "RSI", "T3")]
        return talib.get_compatibility(), periods, [dict(getattr(abstract, name).parameters) for name in NAMES]

    before = settings()
    for function in NAMES:
        lived(make(function), candles("walk")[:120])
    made = make("rsi", timeperiod=3)
    lived(made, candles("walk")[:10])
    assert settings() == before


def test_no_setter_of_talib_is_called_anywhere() -> None:
    folder = Path(plugin.__file__).parent
    text = "\n".join(path.read_text() for path in folder.glob("*.py"))
    assert not re.findall(r"\w*(?:set_unstable|set_compat|set_candle|restore_candle|set_parameters|set_input)\w*", text)


@pytest.mark.parametrize("kind", range(14))
def test_every_type_of_average_is_what_talib_gives(kind: int) -> None:
    rows, made = candles("walk"), make("ma", timeperiod=12, matype=kind)
    assert lived(made, rows) == batch("MA", rows, made.parameters)


def test_what_is_not_finite_is_no_value() -> None:
    """A volume over next to none before."""
    rows = [Candle(60 * at, 1.0, 1.0, 1.0, 1.0, 1.0 if at == 5 else 5e-324) for at in range(1, 9)]
    assert not numpy.isfinite(talib.RVOL(numpy.array([row.volume for row in rows]), timeperiod=3)).all()
    made = make("rvol", timeperiod=3)
    assert all(value is None or isfinite(value) for row in rows for value in results(made, made.update(row)))
    assert lived(make("rvol", timeperiod=3), rows) == batch("RVOL", rows, {"timeperiod": 3})
