"""A market of recorded minutes: candle files in the format of ../shared/data/market."""

from __future__ import annotations

import csv
import gzip
from decimal import Decimal
from pathlib import Path

from livermore_simulator.market import Market, Minute, Product

PERIOD = "2023-12-08_2024-01-04"


class RecordedMarket(Market):
    """Every product with a file `coinbase_<product>_1m_<period>.csv.gz` in `directory`.

    The trades inside a recorded minute are synthesised. Raises FileNotFoundError where there is no such file.
    """

    def __init__(self, directory: Path, *, period: str = PERIOD, seed: int = 1) -> None:
        files = sorted(directory.glob(f"coinbase_*_1m_{period}.csv.gz"))
        if not files:
            raise FileNotFoundError(f"{directory}: no file coinbase_<product>_1m_{period}.csv.gz")
        super().__init__([_read(file, seed) for file in files], seed)


def _read(file: Path, seed: int) -> Product:
    symbol = file.name.split("_")[1]
    product = Product(symbol, f"{seed}:{symbol}", aliases=(f"{symbol}C",) if symbol.endswith("-USD") else ())
    with gzip.open(file, "rt", newline="") as lines:
        rows = csv.reader(lines)
        next(rows)
        for time, opening, high, low, close, volume in rows:
            units = int(Decimal(volume).scaleb(8))
            product.append(Minute(int(time), float(opening), float(high), float(low), float(close), units))
    return product
