"""The reference vectors: every column of TA-Lib, on every series that has them."""

from __future__ import annotations

import pytest

pytest.importorskip("talib", reason="TA-Lib is not installed; `make test` installs it", exc_type=ImportError)

from reference_vectors import NAMES, candles, near, vectors
from talib_batch import lived

from livermore_core.contributions import resolve

STOCHASTIC = {"fastk_period": 14, "slowk_period": 3, "slowd_period": 3}
COLUMNS: dict[tuple[str, ...], tuple[str, dict[str, float]]] = {
    **{(f"ema_{length}",): ("ema", {"timeperiod": length}) for length in (9, 12, 26, 50, 200)},
    **{(f"{name}_20",): (name, {"timeperiod": 20}) for name in ("sma", "wma", "dema", "tema", "vwma", "cci", "cmf")},
    **{(f"{name}_14",): (name, {"timeperiod": 14}) for name in ("rma", "rsi", "adx", "plus_di", "minus_di")},
    **{(f"{name}_14",): (name, {"timeperiod": 14}) for name in ("mfi", "willr")},
    **{(f"talib_{name}_14",): (name, {"timeperiod": 14}) for name in ("atr", "natr")},
    **{(f"{name}_10",): (name, {"timeperiod": 10}) for name in ("kama", "roc", "mom")},
    ("hma_16",): ("hma", {"timeperiod": 16}),
    ("talib_macd", "talib_macd_signal", "talib_macd_hist"): ("macd", {}),
    ("talib_atr_26",): ("atr", {"timeperiod": 26}),
    ("talib_trange",): ("trange", {}),
    ("bb_upper", "bb_middle", "bb_lower"): ("bbands", {"timeperiod": 20}),
    ("stddev_20",): ("stddev", {"timeperiod": 20}),
    ("stoch_k", "stoch_d"): ("stoch", STOCHASTIC),
    ("stochf_k", "stochf_d"): ("stochf", {"fastk_period": 14, "fastd_period": 3}),
    ("stochrsi_k", "stochrsi_d"): ("stochrsi", {"timeperiod": 14, "fastk_period": 14, "fastd_period": 3}),
    ("ultosc_7_14_28",): ("ultosc", {}),
    ("obv",): ("obv", {}),
    ("ad",): ("ad", {}),
    ("adosc_3_10",): ("adosc", {}),
    ("aroon_down_14", "aroon_up_14"): ("aroon", {"timeperiod": 14}),
    ("sar",): ("sar", {}),
    ("donchian_upper_20", "donchian_middle_20", "donchian_lower_20"): ("donchian", {"timeperiod": 20}),
    ("talib_supertrend", "talib_supertrend_dir"): ("supertrend", {}),
    ("talib_vwap_cumulative",): ("vwap", {}),
}  # fmt: skip
DIRECTIONAL = {"adx_14", "plus_di_14", "minus_di_14"}
SERIES = [name for name in NAMES if "talib" in vectors(name)["expected"]]


def test_every_column_is_asked_for() -> None:
    asked = [column for columns in COLUMNS for column in columns]
    assert sorted(asked) == sorted(vectors("walk")["expected"]["talib"])
    assert len(asked) == 53


@pytest.mark.parametrize("name", SERIES)
@pytest.mark.parametrize("columns", COLUMNS, ids=lambda columns: columns[0])
def test_a_function_makes_its_columns_I2(columns: tuple[str, ...], name: str) -> None:
    function, parameters = COLUMNS[columns]
    expected, degenerate = vectors(name)["expected"]["talib"], vectors(name).get("degenerate", {})
    made = resolve(f"livermore_talib.functions:{function}")(**parameters)
    compared = 0
    for position, values in enumerate(lived(made, candles(name))):
        for column, value in zip(columns, values, strict=True):
            # Of whole numbers TA-Lib says 0 where it has none yet.
            is_none = column == "talib_supertrend_dir" and position < made.warmup - 1
            if not is_none and position not in degenerate.get("dmi_adx_14" if column in DIRECTIONAL else column, ()):
                near(name, value, expected[column][position])
                compared += value is not None
    assert compared >= 30 * len(columns)
