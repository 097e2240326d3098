"""A rate that several senders share: all of it is used, none of it twice, whatever their own rates are."""

import heapq
from collections.abc import Sequence

import pytest
from redis.asyncio import Redis

from gateway.limits.asking import index_of, key_of, part_of
from gateway.limits.gate import Gate, apart_us, guarded_us
from gateway.limits.gcra import Ask, Pace, Request, State, take
from gateway.model.limit import Cap, Concurrency, Debit, Granted, Refused, Rolling, Throughput, UsageRow

SECOND = 1_000_000
AHEAD = 200_000
TOLD = 300_000  # after the last slot of a take
DAY = 24 * 3600 * SECOND


def pace(name: str, n: int) -> Pace:
    limit = Throughput(name, n, SECOND)
    return Pace(name, n, guarded_us(limit), apart_us=apart_us(limit))


def live(own: Sequence[int], account: int, seconds: int, segments: int = 1) -> list[int]:
    """Have senders with these rates of their own ask as their loops do, on the model's clock; give all slots."""
    state, start = State(epoch=1), 1_700_000_000 * SECOND
    paces = [pace(f"s{index}", n) for index, n in enumerate(own)]
    shared = pace("account", account)
    slots: list[int] = []
    takes = [0] * len(own)
    untold: list[tuple[int, str, int]] = []  # when it is told that all of a worker's take has left
    turns = [(start + 7_000 * index, index) for index in range(len(own))]
    while turns[0][0] < start + seconds * SECOND:
        now, index = heapq.heappop(turns)
        for _, who, number in [each for each in untold if each[0] <= now]:
            state.schedules = {key: rate.told(who, number) for key, rate in state.schedules.items()}
        untold = [each for each in untold if each[0] > now]
        both, asks, takes[index] = (paces[index], shared), (Ask(segments),) * 64, takes[index] + 1
        request = Request(now, 1, 0, AHEAD, both, (), (), (), (2, 0, 0), asks, f"w{index}", takes[index])
        answer = take(state, request, now)
        granted = [slot for slot in answer.slots if isinstance(slot, int)]
        slots += granted
        untold.append((max(granted, default=now) + TOLD, f"w{index}", takes[index]))
        again = max(granted) if granted else answer.refused[1] if answer.refused else now
        heapq.heappush(turns, (max(again - AHEAD // 2, now + 1_000), index))
    return sorted(slots)


@pytest.mark.parametrize(
    ("own", "account", "used"),
    [
        ((3,) * 20, 50, 0.995),
        ((1,) * 60, 50, 0.995),
        ((1, 50), 40, 0.995),
        ((100,) * 8, 100, 0.995),
        ((10, 2), 11, 0.995),  # their own spacings do not fit into one another
        ((3, 3, 25), 30, 0.98),
        ((50, 50, 1, 1), 75, 0.99),
    ],
)
@pytest.mark.parametrize("segments", [1, 2])
def test_what_a_slow_sender_leaves_of_a_shared_rate_the_others_use(
    own: tuple[int, ...], account: int, used: float, segments: int
) -> None:
    slots = live(own, account, 12, segments)

    period = pace("account", account).period_us
    starts = sorted(slot + part * period // account for slot in slots for part in range(segments))
    assert all(later - earlier >= SECOND for earlier, later in zip(starts, starts[account:], strict=False))
    within = [start for start in starts if start < starts[0] + 11 * SECOND]
    allowed = 1 + (within[-1] - within[0]) * account // SECOND
    assert len(within) >= used * allowed


async def test_a_gap_is_filled_on_a_real_server(gate: Gate) -> None:
    account = Throughput("account", 100, SECOND)
    slow, fast = Throughput("slow", 5, SECOND), Throughput("fast", 1000, SECOND)
    first = await gate.take([slow, account], [1, 1], ahead_us=AHEAD + 10_000)
    assert isinstance(first, Granted)
    between = await gate.take([fast, account], [1] * 50, ahead_us=AHEAD)
    assert isinstance(between, Granted)

    early, late = (slot.at_us for slot in first.granted)
    filled = [slot.at_us for slot in between.granted if slot.at_us < late]
    assert len(filled) >= (late - early) * 100 // guarded_us(account) - 2  # widths are rounded up
    assert min(filled) > early


async def test_a_late_write_under_a_shared_rate_moves_the_gap_that_follows(gate: Gate) -> None:
    account, slow, fast = Throughput("a", 10, SECOND), Throughput("slow", 2, SECOND), Throughput("fast", 1000, SECOND)
    first = await gate.take([slow, account], [1, 1], ahead_us=SECOND)
    assert isinstance(first, Granted)
    slot_us = first.granted[0].at_us
    gate.wrote(first.granted[0], slot_us + 60_000)
    gate.wrote(first.granted[1], first.granted[1].at_us)
    await gate.tell()

    answer = await gate.take([fast, account], [1], ahead_us=SECOND)
    assert isinstance(answer, Granted)
    assert answer.granted[0].at_us >= slot_us + 160_000


class TestRolling:
    """Windows that roll: any stretch of their length, on the safe side by a part of it."""

    LIMIT = Rolling("recipient:acme:1440min", 2, DAY)

    def of(self, person: str) -> Rolling:
        return Rolling(self.LIMIT.key, 2, DAY, member=person)

    async def test_each_person_is_counted_apart_and_holds_up_nobody(self, gate: Gate) -> None:
        people = ["a", "a", "b", "a", "b"]
        answer = await gate.take([], [1] * 5, own=[[self.of(person)] for person in people])

        assert isinstance(answer, Granted)
        assert [isinstance(slot, Refused) for slot in answer.slots] == [False, False, False, True, False]
        refused = answer.slots[3]
        assert isinstance(refused, Refused)
        assert refused.reason == "recipient_limit"
        assert refused.opens_at_us is not None
        assert DAY <= refused.opens_at_us - answer.now_us <= DAY + DAY // 24 + 2 * SECOND

    async def test_what_is_given_back_may_be_taken_again_and_a_rebuild_knows_the_rest(
        self, gate: Gate, redis: Redis
    ) -> None:
        answer = await gate.take([self.of("a")], [1, 1])
        assert isinstance(answer, Granted)
        (debit,) = answer.granted[0].debits
        assert await gate.give_back([debit], answer.epoch) == 1
        assert isinstance(await gate.take([self.of("a")], [1]), Granted)

        await redis.flushall()
        rows = [UsageRow(debit.limit_key, debit.window_start_us, 2, 9, debit.until_us)]
        assert await gate.rebuild(rows, 2) == 2
        refused = await gate.take([self.of("a")], [1])
        assert isinstance(refused, Refused)
        assert refused.reason == "recipient_limit"

    async def test_an_evicted_part_is_noticed(self, gate: Gate, redis: Redis) -> None:
        answer = await gate.take([self.of("a")], [1])
        assert isinstance(answer, Granted)
        (debit,) = answer.granted[0].debits
        await redis.delete(part_of(self.LIMIT.key, debit.window_start_us))

        assert await gate.take([self.of("b")], [1]) == Refused("rebuild")

    @pytest.mark.parametrize("lost", ["part", "index"])
    async def test_what_is_lost_and_has_no_row_is_not_missed_after_a_rebuild(
        self, gate: Gate, redis: Redis, lost: str
    ) -> None:
        answer = await gate.take([self.of("a")], [1])
        assert isinstance(answer, Granted)
        family, start_us = self.LIMIT.key, answer.granted[0].debits[0].window_start_us
        await redis.delete(part_of(family, start_us) if lost == "part" else index_of(family))
        assert await gate.take([self.of("b")], [1]) == Refused("rebuild")

        assert await gate.rebuild([], 2, last_slot_us=0) == 2
        assert isinstance(await gate.take([self.of("b")], [1]), Granted)

    async def test_usage_sums_what_has_not_rolled_out(self, gate: Gate) -> None:
        sender = Rolling("sender:x:1440min", 5, DAY, unit="segment")
        await gate.take([sender], [2, 1])
        (usage,) = await gate.usage([sender])

        assert (usage.used, usage.free) == (3, 2)


async def test_every_key_but_the_marker_expires_after_every_script(gate: Gate, redis: Redis) -> None:
    """From the moment it exists: also after a rebuild, a late write and a lease."""
    limits = [Throughput("r", 5, SECOND), Cap("c", 50, "day", "UTC"), Rolling("f:60min", 9, DAY), Concurrency("t", 5)]

    async def mortal() -> None:
        for key in (key.decode() for key in await redis.keys()):
            assert key.endswith(":marker") or await redis.pttl(key) > 0, key

    answer = await gate.take(limits, [1], holders=["a"])
    assert isinstance(answer, Granted)
    await mortal()
    rate, channels = limits[0], limits[3]
    assert isinstance(rate, Throughput)
    assert isinstance(channels, Concurrency)
    gate.wrote(answer.granted[0], answer.now_us + 900_000)
    await gate.tell()
    await gate.renew(channels, "a")
    await gate.give_back(answer.granted[0].debits, answer.epoch)
    await mortal()
    await redis.delete(*[key for key in await redis.keys() if not key.endswith(b":marker")])
    debits: list[Debit] = list(answer.granted[0].debits)
    rows = [UsageRow(each.limit_key, each.window_start_us, each.units, 1, each.until_us) for each in debits]
    await gate.rebuild(rows, 2, held=[(channels, "a")])
    await mortal()


def slot_of(key: str) -> int:
    """The hash slot of a key: CRC16 (XMODEM) of what stands between the first braces. Source: the Redis Cluster spec."""
    begin, end = key.find("{"), key.find("}", key.find("{"))
    tagged = key[begin + 1 : end] if 0 <= begin < end - 1 else key
    crc = 0
    for byte in tagged.encode():
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc % 16384


async def test_all_keys_of_every_script_lie_in_one_slot_of_a_cluster(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, set[int]] = {}
    really = gate._server.eval

    async def noted(name: str, keys: Sequence[str], args: Sequence[int | str], **more: bool) -> object:
        asked.setdefault(name, set()).update(map(slot_of, keys))
        return await really(name, keys, args, **more)

    monkeypatch.setattr(gate._server, "eval", noted)
    rate, channels = Throughput("r{x}", 5, SECOND), Concurrency("t{y}", 5)
    limits = [rate, Cap("c{z}", 50, "day", "UTC"), Rolling("f{w}", 9, DAY, member="{v}"), channels]
    answer = await gate.take(limits, [1], holders=["a"])
    assert isinstance(answer, Granted)
    debits = answer.granted[0].debits
    gate.wrote(answer.granted[0], answer.now_us + 900_000)
    await gate.tell()
    await gate.renew(channels, "a")
    await gate.give_back(debits, answer.epoch)
    rows = [UsageRow(each.limit_key, each.window_start_us, each.units, 1, each.until_us) for each in debits]
    await gate.rebuild(rows, 2, held=[(channels, "a")])

    assert slot_of("{user1000}.following") == slot_of("user1000") == 3443  # the value of redis's own CLUSTER KEYSLOT
    assert asked.keys() == {"take", "told", "lease", "give_back", "refill", "rebuild"}
    assert {len(slots) for slots in asked.values()} == {1}
    assert len(set.union(*asked.values())) == 1
    assert key_of(rate).startswith("{gateway}")
