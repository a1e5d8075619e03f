"""What must hold of what a run said: every fault that was felt has a beginning and an end, in the log and in status."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import Any

import msgspec

from livermore_core.exchange.trouble import PAIRS, REMIND_EVERY
from livermore_core.reporting import is_alarm
from livermore_core.testing.evidence import Evidence

# What is felt, the warning it must have, and within how many seconds. What has no voice of its own leaves a gap, which
# says its reason itself (frames or trades that are lost, pages that lag), or nothing at all (a restart, a short stall).
VOICES = {
    "ws.close": ("feed.lost", 10.0),
    "ws.flap": ("feed.lost", 10.0),
    "ws.refuse": ("feed.lost", 10.0),
    "exchange.down": ("feed.lost", 10.0),
    "ws.silent": ("feed.lost", 30.0),
    "ws.blackhole": ("feed.lost", 30.0),
    "clock.suspend": ("feed.lost", 30.0),
    "ws.partial_ack": ("feed.partial", 10.0),
    "ws.mute": ("ws.muted", 15.0),
    "rest.refuse_pace": ("exchange.rate_limited", 10.0),
    "rest.failing": ("exchange.unavailable", 10.0),
    "store.full": ("store.error", 10.0),
}
STOPPING = "stopping"
_BEGINNINGS = {end: event for event, end in PAIRS.items()}
# So long after the last fault everything has had its end; one that is muted may trade too seldom to be heard.
_LONGEST_END = {"ws.muted": 1800.0}
_OTHERS_END = 240.0
_ROUNDING = 0.1


class _Pair(msgspec.Struct):
    """From the first warning to the end, with the codes that were said; `seconds` as the end has it."""

    event: str
    subject: tuple[Any, ...]
    since: float
    said_at: float
    codes: set[str]
    until: float = inf
    seconds: float = inf


def _every_fault_has_a_voice(evidence: Evidence) -> Iterator[str]:
    pairs: list[_Pair] = []
    yield from _paired(evidence.said, pairs)
    yield from _ended(evidence.said, pairs)
    yield from _noticed(evidence, pairs)
    yield from _in_status(evidence, pairs)
    if evidence.faults == []:
        yield from (
            f"{event} at {moment:.0f} without any fault" for moment, event, _ in evidence.said if is_alarm(event)
        )


def _paired(said: Sequence[tuple[float, str, Mapping[str, Any]]], pairs: list[_Pair]) -> Iterator[str]:
    """One warning, reminders a minute apart, one end with the seconds; fills `pairs`."""
    begun: dict[tuple[Any, ...], _Pair] = {}
    for moment, event, fields in said:
        subject = tuple(fields.get(key) for key in ("exchange", "symbol", "service", "plugin"))
        if event == STOPPING:
            for pair in begun.values():
                pair.until = moment
            begun.clear()
        elif event in PAIRS:
            known = begun.get((event, *subject))
            if known is None:
                known = begun[event, *subject] = _Pair(event, subject, moment, moment, set())
                pairs.append(known)
            elif moment < known.said_at + REMIND_EVERY - _ROUNDING:
                yield f"{event} {subject} at {moment:.1f}, and already at {known.said_at:.1f}"
            known.said_at = moment
            known.codes.add(str(fields.get("reason", "")))
        elif event in _BEGINNINGS:
            ended = begun.pop((_BEGINNINGS[event], *subject), None)
            if ended is None:
                yield f"{event} {subject} at {moment:.1f} ends what was never said"
                continue
            ended.until, ended.seconds = moment, float(fields.get("seconds", inf))
            ended.codes.add(str(fields.get("reason", "")))
            if not 0.0 <= ended.seconds <= moment - ended.since + _ROUNDING:
                yield f"{event} {subject} at {moment:.1f}: not {ended.seconds} s after {ended.since:.1f}"


def _ended(said: Sequence[tuple[float, str, Mapping[str, Any]]], pairs: Sequence[_Pair]) -> Iterator[str]:
    last = max((moment for moment, _, _ in said), default=0.0)
    for pair in pairs:
        if "" in pair.codes:
            yield f"{pair.event} {pair.subject} at {pair.since:.1f} gives no reason"
        if pair.until == inf and last > pair.said_at + _LONGEST_END.get(pair.event, _OTHERS_END):
            yield f"{pair.event} {pair.subject} at {pair.since:.1f} never ended"


def _noticed(evidence: Evidence, pairs: Sequence[_Pair]) -> Iterator[str]:
    """What was felt was said in time, or had been said and had not ended."""
    by_event: dict[str, list[_Pair]] = {}
    for pair in pairs:
        by_event.setdefault(pair.event, []).append(pair)
    stops = [moment for moment, event, _ in evidence.said if event == STOPPING]
    unnoticed: set[str] = set()
    for moment, kind in evidence.felt:
        event, within = VOICES[kind]
        within += _paused(evidence, moment, within)
        is_said = any(
            pair.since <= moment + within and pair.until >= moment - _ROUNDING for pair in by_event.get(event, ())
        )
        is_cut_short = bisect_left(stops, moment) < bisect_right(stops, moment + within)
        if not is_said and not is_cut_short and kind not in unnoticed:
            unnoticed.add(kind)
            yield f"{kind} at {moment:.1f}: no {event} within {within:.0f} s"


def _paused(evidence: Evidence, moment: float, within: float) -> float:
    """What the process could not say while it stood still."""
    pauses = [fault for fault in evidence.faults or () if fault.kind == "clock.pause"]
    return sum(each.amount for each in pauses if moment - each.amount <= each.at <= moment + within)


def _in_status(evidence: Evidence, pairs: Sequence[_Pair]) -> Iterator[str]:
    """While it lasts, each row of the status gives one of the codes that were said; of the feed, until it is back."""
    moments = [moment for moment, _, _ in evidence.shown]
    connected = [moment for moment, event, _ in evidence.said if event == "feed.connected"]
    for pair in pairs:
        is_feed = pair.event == "feed.lost"
        back = connected[bisect_right(connected, pair.since) :] if is_feed else []
        until = min([pair.until, *back[:1]])
        shown = evidence.shown[bisect_right(moments, pair.since) : bisect_left(moments, until)]
        for moment, state, reasons in shown:
            if is_feed:  # while it starts, the stage says what it is at
                is_there = state not in ("LIVE", "DEGRADED") or any(part.endswith(".feed") for part in reasons)
            else:
                is_there = any(reason.split(":")[0] in pair.codes for reason in reasons.values())
            if not is_there:
                yield f"{pair.event} {pair.subject} at {pair.since:.1f} is not in the status at {moment:.1f}"
                break


VOICE_CHECKS: dict[str, Callable[[Evidence], Iterable[str]]] = {"H4": _every_fault_has_a_voice}
