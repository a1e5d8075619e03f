"""The indicators stage of livermore: MACD-V and the service that keeps indicators true."""
