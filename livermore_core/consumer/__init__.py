"""The interface of consumers: what is stored, and what happens, read from another process, the same on every store."""
