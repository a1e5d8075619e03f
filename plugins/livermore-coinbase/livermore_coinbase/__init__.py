"""Coinbase Advanced Trade as a livermore exchange: history over REST, live over WebSocket."""
