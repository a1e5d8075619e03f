"""What a REST answer proves about its range."""

from __future__ import annotations

import random

import pytest

from livermore_core import Candle
from livermore_core.market.intervals import Intervals
from livermore_core.market.proof import Proof, prove

START = 1_704_268_800


def row(minute: int) -> Candle:
    return Candle(START + 60 * minute, 1.0, 2.0, 0.5, 1.5, 3.0)


def answer(minutes: list[int], moment: float, **more: object) -> Proof:
    return prove([row(m) for m in minutes], start=START, end=START + 600, width=60, moment=START + moment, **more)  # type: ignore[arg-type]


def test_rows_of_any_order_are_sorted_R13() -> None:
    assert [r.time for r in answer([2, 0, 1], 700).rows] == [START, START + 60, START + 120]


def test_the_candle_in_progress_is_not_final_at_the_boundary_itself_R18() -> None:
    proof = answer([8, 9], 600)
    assert [r.time for r in proof.rows] == [START + 480]
    assert proof.covered == [(START, START + 540)]


def test_a_row_is_final_ten_seconds_after_its_end_R18() -> None:
    assert len(answer([9], 609.999).rows) == 0
    assert len(answer([9], 610.0).rows) == 1


def test_an_absent_row_before_a_final_one_is_empty_R15() -> None:
    assert answer([0, 5], 400).covered == [(START, START + 360)]


def test_an_absent_newest_row_is_unknown_until_ninety_seconds_R16() -> None:
    assert answer([5], 445).covered == [(START, START + 360)]
    assert answer([5], 510).covered == [(START, START + 420)]


def test_an_empty_answer_covers_what_is_ninety_seconds_old_R22() -> None:
    assert answer([], 10_000) == Proof([], [(START, START + 600)])


def test_an_answer_older_than_what_we_hold_extends_nothing_R23() -> None:
    assert answer([3], 10_000, newest_held=START + 300) == Proof([], [])


def test_a_rejected_row_leaves_its_bucket_unknown_R12() -> None:
    assert answer([0, 5], 400, rejected=(START + 60,)).covered == [(START, START + 60), (START + 120, START + 360)]


def test_a_capped_page_covers_only_its_rows_R20() -> None:
    assert answer([4, 5, 6], 10_000, page_size=3).covered == [(START + 240, START + 420)]


@pytest.mark.parametrize("seed", range(20))
def test_pages_of_any_size_and_overlap_add_up_to_the_range_R21(seed: int) -> None:
    """What is asked is drawn at random, across what is known already, and cut by a cap that changes each time."""
    chance = random.Random(seed)
    end = START + 60 * 500
    truth = {row(minute).time for minute in range(500) if chance.random() < 0.7} | {end - 60}
    known, rows = Intervals(), {}
    for _ in range(1000):
        missing = known.missing(START, end)
        if not missing:
            break
        low, high = chance.choice(missing)
        low = max(START, low - 60 * chance.randrange(20))
        cap = chance.randint(1, 40)
        page = [row((time - START) // 60) for time in sorted(truth) if low <= time < high][-cap:]
        proof = prove(page, start=low, end=high, width=60, moment=end + 1000.0, page_size=cap)
        for start, until in proof.covered:
            known.add(start, until)
        rows.update({found.time: found for found in proof.rows})
    assert list(known) == [(START, end)]
    assert rows.keys() == truth
