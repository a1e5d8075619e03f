"""What is true of a market: candles, trades, timeframes, coverage and events. Pure: no I/O, no clock."""
