"""The pure model of a rate by itself: no period has a unit too many, and a busy stretch uses all of it."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.schedule import Open, Schedule

SECOND = 1_000_000


@given(
    n=st.integers(1, 200),
    period=st.integers(1000, 60_000_000),
    messages=st.lists(st.tuples(st.integers(0, 3_000_000), st.integers(1, 10)), min_size=1, max_size=80),
)
def test_segment_k_never_has_its_slot_within_a_period_of_segment_k_less_n(
    n: int, period: int, messages: list[tuple[int, int]]
) -> None:
    """Rolling, whatever pauses lie between: and never more than 1 + rate * time in any stretch."""
    schedule, now, slots = Schedule(n, period, period), 1_700_000_000_000_000, list[int]()
    for pause, segments in messages:
        now += pause
        for _ in range(segments):  # the segments of one message follow at its throughput's own spacing
            schedule = schedule.at(now)
            slot = schedule.fits(now, 1, now)
            schedule = schedule.spend(slot, 1, "a", len(slots)).told("a", len(slots))
            slots.append(slot)

    assert all(later - earlier >= period for earlier, later in zip(slots, slots[n:], strict=False))
    for index, slot in enumerate(slots):
        assert index * period <= n * (slot - slots[0]) + n


@given(
    n=st.integers(1, 9),
    messages=st.lists(
        st.tuples(
            st.sampled_from([0, 0, 3_000, 40_000, 90_000, 400_000]),  # pause before it
            st.integers(0, 200_000),  # how far ahead of now another limit puts it
            st.sampled_from([1, 1, 1, 2, 5]),  # segments
            st.sampled_from([0, 0, 2_000, 90_000, 600_000, 2_500_000]),  # how late its write is
            st.sampled_from([0, 20_000, 300_000, 2_000_000, 9_000_000]),  # how long after that it is told
        ),
        min_size=1,
        max_size=120,
    ),
)
def test_no_rolling_period_has_more_than_n_writes_however_late_they_are_and_however_late_that_is_told(
    n: int, messages: list[tuple[int, int, int, int, int]]
) -> None:
    """Somebody always waits, senders of other rates reach ahead, and workers are kept from their core for seconds."""
    now, apart = 1_700_000_000 * SECOND, SECOND
    schedule = Schedule(n, apart + 1_504, apart)
    untold: list[tuple[int, Open, int, int]] = []  # when it is told, the slot, its write, segments
    writes: list[int] = []
    for number, (pause, ahead, segments, late, after) in enumerate(messages, 1):
        now += pause
        for _, slot, write, units in [each for each in untold if each[0] <= now]:
            schedule = schedule.late(slot, write, units).told(slot.worker, slot.number)
        untold = [each for each in untold if each[0] > now]
        schedule = replace(schedule, waits_us=now).at(now)
        slot_us = schedule.fits(now + ahead, segments, now + 200_000)
        if slot_us > now + 200_000:  # a grant reaches no further
            continue
        worker = f"w{number}"
        schedule = schedule.spend(slot_us, segments, worker, 1)
        untold.append((slot_us + late + after, Open(slot_us, worker, 1), slot_us + late, segments))
        writes += [slot_us + late + -(-unit * apart // n) for unit in range(segments)]
    writes.sort()

    assert all(later - earlier >= apart for earlier, later in zip(writes, writes[n:], strict=False))


def test_who_is_refused_for_what_is_in_doubt_is_told_when_there_is_room_if_that_left_in_its_slot() -> None:
    """Three a second, of which nobody has told yet: the fourth may leave a second after the first, not after the third."""
    now = 1_700_000_000 * SECOND
    schedule = Schedule(3, SECOND, SECOND).at(now - 200_000)
    for slot_us in (now - 180_000, now - 20_000, now + 150_000):
        schedule = schedule.spend(slot_us, 1, "w", 1)

    assert schedule.at(now).fits(now, 1, now + 200_000) == now - 180_000 + SECOND


@given(n=st.integers(1, 200), period=st.integers(1000, 60_000_000), count=st.integers(1, 10_000))
def test_a_busy_stretch_uses_the_whole_rate(n: int, period: int, count: int) -> None:
    """Rounding never adds up: unit k of a busy stretch lies at k * period / n, rounded up."""
    start = 1_700_000_000 * SECOND
    schedule = Schedule(n, period, period).at(start).spend(start, count)

    assert schedule.at(start).due_us == start + -(-count * period // n)
