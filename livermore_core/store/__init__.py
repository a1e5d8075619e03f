"""The store: what keeps candles, coverage, announcements and values together, and its embedded default."""
