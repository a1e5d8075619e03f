"""The kit that an exchange plugin stands on: protocol, budget, backfill, feed, heal."""
