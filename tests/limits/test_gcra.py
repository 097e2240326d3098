"""The pure model against the script on a real Valkey: the same questions have the same answers."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from gateway.limits.asking import MARKER, TAG, index_of, part_of
from gateway.limits.gcra import Ask, Lease, Pace, Request, State, take
from gateway.limits.quotas import Quota, Roll
from gateway.limits.schedule import DOUBT_US, Open, Schedule
from gateway.limits.server import script
from gateway.limits.windows import Bounds

SECOND = 1_000_000
PARTS = 10  # of a rolling limit, that a call passes


@st.composite
def paces(draw: st.DrawFn, index: int) -> Pace:
    n = draw(st.sampled_from([1, 2, 3, 7, 75, 150]))
    period = draw(st.sampled_from([SECOND, 1_003_010, 4_012_037, 60_180_542]))
    return Pace(f"{TAG}:rate:{index}", n, period, draw(st.booleans()), period - draw(st.sampled_from([0, 1503])))


@st.composite
def quotas(draw: st.DrawFn, index: int) -> tuple[str, int, bool, tuple[int, int, int, int]]:
    """Give a cap whose edges lie relative to now: often within a slot's reach of a boundary."""
    gaps = st.sampled_from([1 * SECOND, 2 * SECOND, 2_500_000, 5 * SECOND, 3600 * SECOND])
    end = draw(st.sampled_from([3600 * SECOND, 2 * SECOND, 1 * SECOND, 0, -1 * SECOND, -2 * SECOND, -5 * SECOND]))
    start = end - draw(gaps)
    edges = (start - draw(gaps), start, end, end + draw(gaps))
    return f"{TAG}:cap:{index}", draw(st.integers(0, 12)), draw(st.booleans()), edges


@st.composite
def rolls(draw: st.DrawFn, index: int) -> Roll:
    """Give a rolling limit; of the short ones most is over already, of the long ones nothing."""
    part, length = draw(st.sampled_from([(SECOND, 3 * SECOND), (60 * SECOND, 300 * SECOND)]))
    return Roll(f"r{index}", draw(st.integers(0, 8)), draw(st.booleans()), length, part, "all")


@dataclass(frozen=True)
class History:
    """Limits, how many of each kind all messages share, and calls."""

    paces: list[Pace]
    quotas: list[Any]
    rolls: list[Roll]
    leases: list[Lease]
    shared: tuple[int, int, int]
    calls: list[tuple[list[Ask], int, str, int, bool]]  # asks, ahead, worker, how many of its takes are done, more
    quiet: int
    longest: int
    unheld: int
    before: list[tuple[int, str, int, int]]  # rolled already: roll, member, parts ago, units


@st.composite
def histories(draw: st.DrawFn) -> History:
    found = History(
        [draw(paces(index)) for index in range(draw(st.integers(0, 3)))],
        [draw(quotas(index)) for index in range(draw(st.integers(0, 3)))],
        [draw(rolls(index)) for index in range(draw(st.integers(0, 2)))],
        [Lease(f"{TAG}:lease:{i}", draw(st.integers(0, 4)), 3600 * SECOND) for i in range(draw(st.integers(0, 2)))],
        (0, 0, 0),
        [],
        draw(st.integers(0, 1)),
        draw(st.integers(1, 5)),
        draw(st.integers(0, 1)),
        [],
    )
    sizes = (len(found.paces), len(found.quotas), len(found.rolls))
    shared = tuple(draw(st.integers(0, size)) for size in sizes)
    places = [
        *range(shared[0], sizes[0]),
        *range(sizes[0] + shared[1], sizes[0] + sizes[1]),
        *range(sizes[0] + sizes[1] + shared[2], sum(sizes)),
    ]
    member = st.sampled_from(["a", "b"])

    @st.composite
    def asks(draw: st.DrawFn, number: int) -> Ask:
        mine = draw(st.lists(st.sampled_from(places), unique=True)) if places else []
        own = tuple((place, draw(member) if place >= sizes[0] + sizes[1] else "") for place in mine)
        return Ask(draw(st.integers(1, 9)), str(number) if found.leases else "", own)

    calls = []
    for number in range(draw(st.integers(1, 5))):
        messages = [draw(asks(10 * number + i)) for i in range(draw(st.integers(1, 6)))]
        ahead_us, worker = draw(st.sampled_from([0, 200_000, SECOND])), draw(st.sampled_from(["a", "b"]))
        calls.append((messages, ahead_us, worker, draw(st.integers(0, number)), draw(st.booleans())))
    before = []
    if found.rolls:
        roll = st.integers(0, len(found.rolls) - 1)
        rolled = st.tuples(roll, st.sampled_from(["a", "b", "all"]), st.integers(0, 6), st.integers(1, 5))
        before = draw(st.lists(rolled, max_size=4))
    return replace(found, shared=shared, calls=calls, before=before)


def first_part(roll: Roll, at_us: int) -> int:
    return at_us // roll.part_us - PARTS + 3


def ask(redis: Redis, request: Request) -> Any:
    keys = [MARKER, *(each.key for each in (*request.paces, *request.quotas))]
    args: list[int | str] = [request.client_us, request.epoch, request.seen, request.ahead_us]
    args += [request.worker, request.number, int(request.more)]
    args += [len(request.paces), len(request.quotas), len(request.rolls), len(request.leases), len(request.asks)]
    args += request.shared
    for pace in request.paces:
        args += [pace.n, pace.period_us, pace.keeps_us, int(pace.segments), pace.done]
    for quota in request.quotas:
        edges = quota.bounds
        args += [quota.limit, int(quota.segments), edges.previous_us, edges.start_us, edges.end_us, edges.after_us]
    for roll in request.rolls:
        first = first_part(roll, request.client_us)
        keys += [index_of(roll.key), *(part_of(roll.key, (first + i) * roll.part_us) for i in range(PARTS))]
        args += [roll.limit, int(roll.segments), roll.length_us, roll.part_us, first, PARTS]
    args += [roll.member for roll in request.rolls[: request.shared[2]]]
    keys += [lease.key for lease in request.leases]
    for lease in request.leases:
        args += [lease.limit, lease.lease_us]
    rolling = len(request.paces) + len(request.quotas)
    words: list[int | str] = []
    for each in request.asks:
        words += [each.segments, len(each.own)]
        words += [
            word for place, member in each.own for word in ([place + 1, member] if place >= rolling else [place + 1])
        ]
    args.append("".join(f"{word}\x1f" for word in words))
    args += [each.holder for each in request.asks if each.holder]
    return redis.eval(script("take"), len(keys), *keys, *args)


def now_us(redis: Redis) -> int:
    seconds, micros = redis.time()  # type: ignore[misc]
    return int(seconds) * SECOND + int(micros)


@pytest.fixture(scope="module")
def server(valkey_url: str) -> Redis:
    return Redis.from_url(valkey_url)


@pytest.fixture
def begun(server: Redis) -> Callable[..., State]:
    def begin(quiet_us: int, longest: int = 1, unheld: int = 0) -> State:
        server.flushall()
        words = {"epoch": 1, "seq": 0, "now": 0, "quiet": quiet_us, "longest": longest, "unheld": unheld}
        server.hset(MARKER, mapping=words)
        return State(epoch=1, quiet_us=quiet_us, longest=longest, unheld_us=unheld)

    return begin


def put(redis: Redis, state: State, roll: Roll, member: str, part: int, units: int) -> None:
    """Have a part of a rolling limit charged before, as an earlier call would have left it."""
    start = part * roll.part_us
    redis.hincrby(part_of(roll.key, start), member, units)
    redis.hset(index_of(roll.key), str(start), roll.over_us(part))
    state.rolled[roll.key, member, part] = state.rolled.get((roll.key, member, part), 0) + units


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories())
def test_the_script_answers_as_its_model(server: Redis, begun: Callable[..., State], history: History) -> None:
    """Whatever is asked, and however often: the same slots, windows, refusals, numbers and counters."""
    first = now_us(server)
    state = begun(history.quiet * (first - history.longest * SECOND), history.longest, history.unheld * first)
    for place, member, ago, units in history.before:
        roll = history.rolls[place]
        put(server, state, roll, member, max(first // roll.part_us - ago, first_part(roll, first)), units)
    for number, (asks, ahead_us, worker, done, more) in enumerate(history.calls, 1):
        edges = [(key, n, seg, Bounds(*(first + edge for edge in edges))) for key, n, seg, edges in history.quotas]
        request = Request(
            client_us=first,
            epoch=1,
            seen=0,
            ahead_us=ahead_us,
            paces=tuple(replace(pace, done=done) for pace in history.paces),
            quotas=tuple(Quota(*each) for each in edges),
            rolls=tuple(history.rolls),
            leases=tuple(history.leases),
            shared=history.shared,
            asks=tuple(asks),
            worker=worker,
            number=number,
            more=more,
        )
        status, now, seq, slots, masks, refused, full = ask(server, request)
        model = take(state, request, now)

        told = tuple(slot if isinstance(slot, int) else (slot[0] - 1, slot[1]) for slot in slots)
        assert (status.decode(), seq, told) == (model.status, model.seq, model.slots)
        charged = [
            frozenset((cap, w) for cap, bits in enumerate(mask.decode()) for w in range(3) if int(bits) >> w & 1)
            for mask in masks or [b""] * len(slots)
        ]
        assert tuple(charged) == model.charged
        assert tuple(refused) == ((model.refused[0] + 1, model.refused[1]) if model.refused else ())
        assert {divmod(each - 1, 3) for each in full} == model.full
    for pace in history.paces:
        if pace.key in state.schedules:
            assert_kept(server, pace, state.schedules[pace.key])
    for (key, start), used in state.used.items():
        assert int(server.hget(key, str(start)) or 0) == used
    for (key, member, part), used in state.rolled.items():
        assert int(server.hget(part_of(key, part * part_us(history, key)), member) or 0) == used


@pytest.mark.parametrize(
    ("heard_s", "ran_out_s", "waits"),
    [(20, 5, True), (20, 21, False), (20, -5, False), (5, 1, False), (-3600, 0, True)],
    ids=["unheard", "before that", "not yet", "heard of late", "a clock that was set back"],
)
def test_channels_that_ran_out_while_nobody_was_heard_are_granted_later_by_script_and_model(
    server: Redis, begun: Callable[..., State], heard_s: int, ran_out_s: int, waits: bool
) -> None:
    state, lease, first = begun(0), Lease(f"{TAG}:lease:0", 1, 30 * SECOND), now_us(server)
    state.held[lease.key] = {"a": first - ran_out_s * SECOND}
    state.heard_us[lease.key] = first - heard_s * SECOND
    server.zadd(lease.key, {name: str(until) for name, until in state.held[lease.key].items()})
    server.hset(MARKER, f"h:{lease.key}", str(state.heard_us[lease.key]))
    request = Request(first, 1, 0, SECOND, leases=(lease,), asks=(Ask(1, "b"),))

    _, now, _, slots, _, refused, _ = ask(server, request)

    model = take(state, request, now)
    assert tuple(slots) == model.slots
    assert tuple(refused) == ((model.refused[0] + 1, model.refused[1]) if model.refused else ())
    assert (refused[1:] == [now + 10 * SECOND]) == waits


def part_us(history: History, key: str) -> int:
    return next(roll.part_us for roll in history.rolls if roll.key == key)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pace=paces(0),
    told=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 3 * SECOND), st.integers(1, 4), st.integers(0, 3)),
        min_size=1,
        max_size=30,
    ),
)
def test_what_is_told_moves_the_script_as_its_model(
    server: Redis, begun: Callable[..., State], pace: Pace, told: list[tuple[int, int, int, int]]
) -> None:
    state = begun(0)
    slots: list[tuple[int, int]] = []
    for number in (1, 2, 3):
        request = Request(now_us(server), 1, 0, SECOND, (pace,), (), (), (), (1, 0, 0), (Ask(1),) * 2, "a", number)
        _, now, _, granted, *_ = ask(server, request)
        take(state, request, now)
        slots += [(number, slot) for slot in granted]
    schedule, known = state.schedules[pace.key], 0
    for which, behind, units, done in told:
        number, slot = slots[which % len(slots)]
        words = (number, slot, slot + behind, units)
        late = ",".join(map(str, words)) + ";"
        server.eval(script("told"), 1, pace.key, "a", pace.n, pace.keeps_us, done, late)
        known = max(known, done)
        schedule = schedule.late(Open(slot, "a", number), slot + behind, units)
    schedule = schedule.told("a", known)

    assert_kept(server, pace, schedule)


def assert_kept(server: Redis, pace: Pace, schedule: Schedule) -> None:
    """Compare what the server has of a rate; what is over it may have forgotten or not."""
    now = now_us(server)
    names = ["n", "period", "base", "k", "waits", "dense"]
    n, period, base, k, waits, dense = (int(word) for word in server.hmget(pace.key, names))
    fields = {name.decode(): text for name, text in server.hgetall(pace.key).items()}
    takes = {tuple(name[1:].split(".")): _unpacked(server, text) for name, text in fields.items() if name[0] == "+"}
    log = _unpacked(server, fields["log"]) if "log" in fields else []
    assert int(fields["count"]) == len(log) + sum(map(len, takes.values()))
    kept = Schedule(n, period, pace.keeps_us, base, k, waits, tuple(log), dense_us=dense)
    kept = replace(kept, open=tuple(Open(at, who, int(nr)) for (who, nr), ats in takes.items() for at in ats))
    for name, text in fields.items():
        kept = kept.told(name[1:], int(text)) if name[0] == "=" else kept
    assert _lately(kept, now) == _lately(schedule, now)


def _unpacked(server: Redis, text: bytes) -> list[int]:
    return list(accumulate(cast("list[int]", server.eval("return cmsgpack.unpack(ARGV[1])", 0, text))))


def _lately(schedule: Schedule, now: int) -> Schedule:
    log = tuple(sorted(each for each in schedule.log if each > now - schedule.apart_us))
    return replace(schedule, log=log, open=tuple(sorted(each for each in schedule.open if each.at_us > now - DOUBT_US)))
