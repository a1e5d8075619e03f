"""TA-Lib's functions as indicators of livermore: `talib.rsi`, `talib.bbands` and the rest."""
