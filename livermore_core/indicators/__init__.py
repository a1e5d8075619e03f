"""The kit that an indicator plugin stands on: blocks, the Indicator base, and the host that keeps one true."""
