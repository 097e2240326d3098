"""The pure model, by itself and against the script on a real Valkey."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from gateway.limits.gate import MARKER, TAG, _script
from gateway.limits.gcra import Lease, Pace, Quota, Request, Schedule, State, late, take
from gateway.limits.windows import Bounds

SECOND = 1_000_000


@st.composite
def paces(draw: st.DrawFn, index: int) -> Pace:
    n = draw(st.sampled_from([1, 2, 3, 7, 75, 150]))
    period = draw(st.sampled_from([SECOND, 1_003_010, 4_012_037, 60_180_542]))
    return Pace(f"{TAG}:rate:{index}", n, period, draw(st.booleans()))


@st.composite
def quotas(draw: st.DrawFn, index: int) -> tuple[str, int, bool, tuple[int, int, int, int]]:
    """Give a cap whose edges lie relative to now: often within a slot's reach of a boundary."""
    gaps = st.sampled_from([1 * SECOND, 2 * SECOND, 2_500_000, 5 * SECOND, 3600 * SECOND])
    end = draw(st.sampled_from([3600 * SECOND, 2 * SECOND, 1 * SECOND, 0, -1 * SECOND, -2 * SECOND, -5 * SECOND]))
    start = end - draw(gaps)
    edges = (start - draw(gaps), start, end, end + draw(gaps))
    return f"{TAG}:cap:{index}", draw(st.integers(0, 12)), draw(st.booleans()), edges


def pool(draw: st.DrawFn) -> tuple[list[Pace], list[Any], list[Lease]]:
    return (
        [draw(paces(index)) for index in range(draw(st.integers(0, 3)))],
        [draw(quotas(index)) for index in range(draw(st.integers(0, 3)))],
        [Lease(f"{TAG}:lease:{i}", draw(st.integers(0, 4)), 3600 * SECOND) for i in range(draw(st.integers(0, 2)))],
    )


@st.composite
def histories(draw: st.DrawFn) -> tuple[tuple[list[Pace], list[Any], list[Lease]], list[tuple[list[int], int]], int]:
    calls = st.tuples(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.sampled_from([0, 200_000, SECOND]))
    return pool(draw), draw(st.lists(calls, min_size=1, max_size=5)), draw(st.integers(0, 1))


def ask(redis: Redis, request: Request) -> Any:
    keys = [MARKER, *(each.key for each in (*request.paces, *request.quotas, *request.leases))]
    args: list[int | str] = [request.client_us, request.epoch, request.seen, request.ahead_us]
    args += [len(request.paces), len(request.quotas), len(request.leases), len(request.segments)]
    for pace in request.paces:
        args += [pace.n, pace.period_us, int(pace.segments)]
    for quota in request.quotas:
        edges = quota.bounds
        args += [quota.limit, int(quota.segments), edges.previous_us, edges.start_us, edges.end_us, edges.after_us]
    for lease in request.leases:
        args += [lease.limit, lease.lease_us]
    return redis.eval(_script("take"), len(keys), *keys, *args, *request.segments, *request.holders)


def now_us(redis: Redis) -> int:
    seconds, micros = redis.time()  # type: ignore[misc]
    return int(seconds) * SECOND + int(micros)


@pytest.fixture(scope="module")
def server(valkey_url: str) -> Redis:
    return Redis.from_url(valkey_url)


@pytest.fixture
def begun(server: Redis) -> Callable[[int], State]:
    def begin(quiet_us: int) -> State:
        server.flushall()
        server.hset(MARKER, mapping={"epoch": 1, "seq": 0, "now": 0, "quiet": quiet_us})
        return State(epoch=1, quiet_us=quiet_us)

    return begin


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories())
def test_the_script_answers_as_its_model(server: Redis, begun: Callable[[int], State], history: Any) -> None:
    """Whatever is asked, and however often: the same slots, windows, refusals, numbers and counters."""
    (paces_, quotas_, leases), calls, quiet = history
    first = now_us(server)
    state = begun(quiet * first)
    for number, (segments, ahead_us) in enumerate(calls):
        request = Request(
            client_us=first,
            epoch=1,
            seen=0,
            ahead_us=ahead_us,
            paces=tuple(paces_),
            quotas=tuple(
                Quota(key, n, seg, Bounds(*(first + edge for edge in edges))) for key, n, seg, edges in quotas_
            ),
            leases=tuple(leases),
            segments=tuple(segments),
            holders=tuple(f"{number}-{i}" for i in range(len(segments))) if leases else (),
        )
        status, now, seq, slots, masks, refused = ask(server, request)
        model = take(state, request, now)

        assert (status.decode(), seq, tuple(slots)) == (model.status, model.seq, model.slots)
        charged = [frozenset(divmod(bit, 3) for bit in range(9) if mask >> bit & 1) for mask in masks]
        assert tuple(charged) == model.charged
        assert tuple(refused) == ((model.refused[0] + 1, model.refused[1]) if model.refused else ())
    for (key, start), used in state.used.items():
        assert int(server.hget(key, str(start)) or 0) == used


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pace=paces(0), behind=st.integers(0, 3 * SECOND))
def test_a_late_write_moves_the_script_as_its_model(
    server: Redis, begun: Callable[[int], State], pace: Pace, behind: int
) -> None:
    state = begun(0)
    request = Request(now_us(server), 1, 0, SECOND, (pace,), segments=(1, 1, 1))
    _, now, _, slots, _, _ = ask(server, request)
    take(state, request, now)
    exact = pace.period_us * 997 // 1000
    server.eval(_script("late"), 1, pace.key, slots[0], slots[0] + behind, pace.period_us, exact)
    late(state, pace, slots[0], slots[0] + behind, exact)

    n, period, base, k = (int(word) for word in server.hmget(pace.key, ["n", "period", "base", "k"]))  # type: ignore[arg-type]
    assert Schedule(n, period, base, k) == state.schedules[pace.key]


@given(
    n=st.integers(1, 200),
    period=st.integers(1000, 60_000_000),
    messages=st.lists(st.tuples(st.integers(0, 3_000_000), st.integers(1, 10)), min_size=1, max_size=80),
)
def test_segment_k_never_has_its_slot_within_a_period_of_segment_k_less_n(
    n: int, period: int, messages: list[tuple[int, int]]
) -> None:
    """Rolling, whatever pauses lie between: and never more than 1 + rate * time in any stretch."""
    schedule, now, slots = Schedule(n, period), 1_700_000_000_000_000, list[int]()
    for pause, segments in messages:
        now += pause
        for _ in range(segments):  # the segments of one message follow at its throughput's own spacing
            slot = max(now, schedule.due_us)
            schedule = schedule.spend(slot, 1)
            slots.append(slot)

    assert all(later - earlier >= period for earlier, later in zip(slots, slots[n:], strict=False))
    for index, slot in enumerate(slots):
        assert index * period <= n * (slot - slots[0]) + n


@given(n=st.integers(1, 200), period=st.integers(1000, 60_000_000), count=st.integers(1, 10_000))
def test_a_busy_stretch_uses_the_whole_rate(n: int, period: int, count: int) -> None:
    """Rounding never adds up: unit k of a busy stretch lies at k * period / n, rounded up."""
    schedule = Schedule(n, period).not_before(SECOND).spend(SECOND, count)

    assert schedule.due_us == SECOND + -(-count * period // n)
