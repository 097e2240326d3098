"""What a worker keeps beside its slots."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.gate import guarded_us
from gateway.limits.pacer import RedisClock, WriteClock
from gateway.model.limit import Throughput

THREE = Throughput("sender", 3, 1_000_000)


def test_writes_on_time_wait_for_their_slot_only() -> None:
    clock = WriteClock(THREE)
    for k in range(20):
        slot = k * 334_337
        assert clock.due(slot) == slot
        clock.wrote(slot)


def test_the_write_one_rate_after_a_late_one_waits_a_period() -> None:
    clock = WriteClock(THREE)
    for at in (100_000, 334_337, 668_672):  # the first was 100 ms late
        clock.wrote(at)

    assert clock.due(1_002_507) == 1_100_500


def test_lateness_is_made_up_again() -> None:
    clock = WriteClock(THREE)
    clock.wrote(100_000)
    for k in range(1, 300):  # what the guard has above the margin: 2 ms of each second
        clock.wrote(clock.due(k * guarded_us(THREE) // 3))
    slot = 300 * guarded_us(THREE) // 3

    assert clock.due(slot) == slot


def test_the_segments_of_a_message_count_one_after_the_other() -> None:
    clock = WriteClock(THREE)
    clock.wrote(0, segments=2)  # leave at 0 and 333,333
    clock.wrote(668_672)

    assert clock.due(900_000) == 1_000_500
    assert clock.due(900_000, segments=2) == 1_000_500
    clock.wrote(1_000_500)
    assert clock.due(1_200_000) == 1_333_834


def test_a_call_counts_once() -> None:
    clock = WriteClock(Throughput("trunk", 1, 1_000_000, unit="call"))
    clock.wrote(0, segments=5)

    assert clock.due(0, segments=5) == 1_000_500


def test_a_write_that_the_socket_took_later_moves_whoever_comes_a_period_later() -> None:
    clock = WriteClock(THREE)
    first = clock.wrote(0, segments=2)
    clock.wrote(668_672)
    clock.moved(first, 9_000, segments=2)

    assert clock.due(900_000) == 1_009_500
    for k in range(4):
        clock.wrote(2_000_000 + k)
    clock.moved(first, 5_000_000)  # long gone

    assert clock.due(2_900_000) < 4_000_000


@given(
    n=st.integers(1, 20),
    writes=st.lists(st.tuples(st.integers(0, 400_000), st.integers(0, 300_000), st.integers(1, 6)), max_size=60),
)
def test_however_late_writes_are_segment_k_keeps_a_period_from_k_less_n(
    n: int, writes: list[tuple[int, int, int]]
) -> None:
    """Slots may even come too early: the clock alone keeps the rate."""
    limit = Throughput("sender", n, 1_000_000)
    clock, slot, left = WriteClock(limit), 0, list[int]()
    for gap, lateness, segments in writes:
        slot += gap
        at = max(clock.due(slot, segments), left[-1] if left else 0) + lateness
        clock.wrote(at, segments)
        left += [at + k * 1_000_000 // n for k in range(segments)]

    assert all(later - earlier >= 1_000_000 - 1 for earlier, later in zip(left, left[n:], strict=False))


def test_the_fastest_answer_sets_the_offset() -> None:
    clock = RedisClock(keep=3)
    for redis_us, received_us in ((1_000, 51_400), (2_000, 52_100), (3_000, 53_900)):
        clock.observe(redis_us, received_us, received_us - 2_000)

    assert clock.local(10_000) == 60_101  # 50,100 by an answer of 1.8 ms ago, in which a clock may gain 1 us
    clock.observe(4_000, 54_500, 52_500)
    clock.observe(5_000, 55_500, 53_500)
    assert clock.local(10_000) == 60_500


@pytest.mark.parametrize("set_by_us", [5_000_000, -1_500_000])
def test_what_was_told_before_one_of_the_clocks_was_set_does_not_count(set_by_us: int) -> None:
    clock = RedisClock()
    for second in range(1, 5):
        clock.observe(second * 1_000_000, second * 1_000_000 + 50_400, second * 1_000_000 + 49_900)
    now_us = 5_000_000 + set_by_us
    clock.observe(now_us, 5_050_900, asked_us=5_049_800)

    assert clock.local(now_us) == 5_050_900
    assert clock.doubt_us == 1_100


def test_how_wrong_the_guess_of_redis_clock_may_be_is_known_from_when_it_was_asked() -> None:
    clock = RedisClock()
    clock.observe(1_000, 51_400, asked_us=50_900)  # the offset is 49,900 to 50,400
    assert clock.doubt_us == 500
    clock.observe(2_000, 53_100, asked_us=52_200)  # 50,200 to 51,100
    assert clock.doubt_us == 201  # 50,400 was 1.7 ms ago


@given(faster_by=st.floats(-0.0005, 0.0005), ways=st.lists(st.integers(100, 20_000), min_size=1, max_size=60))
def test_a_clock_that_gains_on_the_other_as_fast_as_clocks_do_never_makes_a_slot_early(
    faster_by: float, ways: list[int]
) -> None:
    """Of either host: asked ten times a second, and each answer on its way for so long."""
    clock = RedisClock()
    for number, way_us in enumerate(ways, start=1):
        asked_us = number * 100_000
        redis_us = round((asked_us + way_us // 2) * (1 + faster_by))
        clock.observe(redis_us, asked_us + way_us, asked_us)
        true_us = round(redis_us / (1 + faster_by))

        assert clock.local(redis_us) >= true_us - 1
        assert clock.local(redis_us) - clock.doubt_us <= true_us + 1
