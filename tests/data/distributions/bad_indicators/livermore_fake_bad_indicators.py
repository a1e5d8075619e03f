"""Indicators of a third party, each with one fault that `livermore check indicator` is there to find."""

from livermore_core import Ema, Indicator, IndicatorType, Rma, TrueRange, hookimpl

CLASSES = (
    "AbsoluteThreshold",
    "Absent",
    "Counts",
    "Demanding",
    "Explodes",
    "Foreign",
    "Hindsight",
    "KeepsDict",
    "KeepsObject",
)
CLASSES += (
    "LateResult",
    "NeverEqual",
    "NoSettle",
    "PeekKeeps",
    "Quits",
    "Raises",
    "Refuses",
    "Short",
    "Startled",
    "Sum",
    "Undefined",
)


@hookimpl
def register_indicators():
    for name in CLASSES:
        yield IndicatorType(name.lower(), "bad", f"livermore_fake_bad_indicators:{name}")


class Close(Indicator):
    """The base of most of them: one that is well."""

    def update(self, candle):
        return candle.close


class Hindsight(Close):
    """What it has seen belongs to the class, so that the second run knows what the first one learned."""

    seen = {}  # noqa: RUF012

    def update(self, candle):
        self.seen[candle.time // 3600] = candle.close
        return self.seen.get(candle.time // 3600 + 1, candle.close)


class Short(Close):
    """The distance from an average over 100 that declares to be settled with its first value."""

    def __init__(self, length=100):
        self.average = Ema(length)
        self.warmup = self.settle = length

    def update(self, candle):
        average = self.average.push(candle.close)
        return None if average is None else candle.close - average


class Sum(Close):
    """On-balance volume: a sum from the first candle on."""

    settle = 50

    def __init__(self):
        self.total, self.previous = 0.0, None

    def update(self, candle):
        if self.previous is not None:
            self.total += candle.volume if candle.close > self.previous else -candle.volume
        self.previous = candle.close
        return self.total


class Undefined(Close):
    """NaN from the 40th candle on."""

    def __init__(self):
        self.count = 0

    def update(self, candle):
        self.count += 1
        return candle.close if self.count < 40 else float("nan")


class Counts(Undefined):
    """A sum of whole numbers."""

    def update(self, candle):
        self.count += 1
        return self.count


class Raises(Undefined):
    """Divides by zero at the 77th candle."""

    def update(self, candle):
        self.count += 1
        return candle.close / (77 - self.count)


class Quits(Close):
    """Ends the program."""

    def update(self, candle):
        raise SystemExit(0)


class PeekKeeps(Close):
    """A preview counts as a candle."""

    def __init__(self):
        self.average = Ema(2)
        self.warmup, self.settle = 2, 30

    def update(self, candle):
        return self.average.push(candle.close)

    def peek(self, candle):
        return self.update(candle)


class Startled(Close):
    """Cannot preview the very first candle."""

    def __init__(self):
        self.closes = []

    def update(self, candle):
        self.closes = [candle.close]
        return candle.close

    def peek(self, candle):
        return candle.close + 0 * self.closes[-1]


class KeepsDict(Close):
    """A dict is not copied: all copies share it."""

    def __init__(self):
        self.kept = {"close": 0.0}

    def update(self, candle):
        before, self.kept["close"] = self.kept["close"], candle.close
        return candle.close + before / 2


class KeepsObject(Close):
    """An object cannot be dumped."""

    def __init__(self):
        self.kept = object()


class Explodes(Close):
    """MACD-V without a guard: rounding noise over a range that vanishes."""

    def __init__(self):
        self.fast, self.slow, self.range, self.atr = Ema(12), Ema(26), TrueRange(), Rma(26)
        self.warmup, self.settle = 26, 300

    def update(self, candle):
        fast, slow = self.fast.push(candle.close), self.slow.push(candle.close)
        atr = self.atr.push(self.range.push(candle))
        return None if None in (fast, slow, atr) or not atr else 100 * (fast - slow) / atr


class AbsoluteThreshold(Close):
    """Nothing below a cent."""

    def update(self, candle):
        return candle.close if candle.close > 0.01 else 0.0


class LateResult(Close):
    """Says that the first value comes with candle 5, and gives it with candle 1."""

    warmup, settle = 5, 5


class NeverEqual(Close):
    """Two results for one output."""

    def update(self, candle):
        return candle.close, candle.open


class NoSettle(Close):
    """Declares less than its warm-up."""

    warmup, settle = 5, 0


class Demanding(Close):
    """Must be told a length; a good one is below 10."""

    def __init__(self, length: int, offset: float = 0.0, is_open: bool = False):
        if length >= 10:
            raise KeyError("length must be below 10")


class Refuses(Close):
    """Cannot be made."""

    def __init__(self):
        raise RuntimeError("not today")


class Foreign:
    """No Indicator of ours."""
