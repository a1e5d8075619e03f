"""Sets of half-open intervals of UNIX seconds: what a ledger covers."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

Interval = tuple[int, int]


class Intervals:
    """A set of seconds, kept as sorted, disjoint, non-touching half-open intervals [start, end)."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, intervals: Iterable[Interval] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in intervals:
            self.add(start, end)

    def add(self, start: int, end: int) -> None:
        """Put [start, end) in."""
        if start >= end:
            return
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def remove(self, start: int, end: int) -> None:
        """Take [start, end) out."""
        if start >= end:
            return
        first = bisect_right(self._ends, start)
        last = bisect_left(self._starts, end)
        if first >= last:
            return
        kept = [(self._starts[first], start), (end, self._ends[last - 1])]
        kept = [(low, high) for low, high in kept if low < high]
        self._starts[first:last] = [low for low, _ in kept]
        self._ends[first:last] = [high for _, high in kept]

    def covers(self, start: int, end: int) -> bool:
        """Whether every second of [start, end) is in."""
        if start >= end:
            return True
        position = bisect_right(self._starts, start) - 1
        return position >= 0 and end <= self._ends[position]

    def missing(self, start: int, end: int) -> list[Interval]:
        """The parts of [start, end) that are not in, ascending."""
        holes: list[Interval] = []
        position = start
        for low, high in self.within(start, end):
            if position < low:
                holes.append((position, low))
            position = high
        if position < end:
            holes.append((position, end))
        return holes

    def within(self, start: int, end: int) -> list[Interval]:
        """The parts of [start, end) that are in, ascending."""
        first = bisect_right(self._ends, start)
        last = bisect_left(self._starts, end)
        return [
            (max(low, start), min(high, end))
            for low, high in zip(self._starts[first:last], self._ends[first:last], strict=True)
        ]

    def copy(self) -> Intervals:
        """An independent set with the same content."""
        other = Intervals()
        other._starts, other._ends = self._starts.copy(), self._ends.copy()
        return other

    @property
    def start(self) -> int | None:
        """The first second that is in, or None where the set is empty."""
        return self._starts[0] if self._starts else None

    @property
    def end(self) -> int | None:
        """The end of the last interval, or None where the set is empty."""
        return self._ends[-1] if self._ends else None

    def __iter__(self) -> Iterator[Interval]:
        return iter(list(zip(self._starts, self._ends, strict=True)))

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Intervals) and self._starts == other._starts and self._ends == other._ends

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Intervals({list(self)})"
