"""What has left is counted as the carriers count it: by when it left, and not what came back."""

from dataclasses import replace
from typing import Any

from gateway.model.call import Call
from gateway.model.event import Event
from gateway.model.left import Ask, Left
from gateway.model.limit import UsageRow
from gateway.model.message import Message
from gateway.model.scope import Scope
from gateway.model.sender import Sender
from gateway.store import events, left, scopes, tenants, usage
from gateway.store.records import to_row

HOUR_MS, HOUR_US = 3_600_000, 3_600_000_000
NOW_MS = 500_000 * HOUR_MS
MINE, OTHER = "+18005550199", "+18005550198"
# status, and what stands in the row: how many times it left, and how many of these no carrier refused
CASES: list[tuple[dict[str, Any], int, int]] = [
    ({"status": "delivered", "carrier_id": "a"}, 1, 1),
    ({"status": "no_report", "carrier_id": "b"}, 1, 1),
    ({"status": "expired", "carrier_id": "c", "error_code": "30410"}, 1, 1),  # at the carrier
    ({"status": "failed", "carrier_id": "d", "error_code": "30005"}, 1, 1),  # by a report: that gives nothing back
    ({"status": "failed", "error_code": "21211"}, 1, 0),
    ({"status": "suppressed", "error_code": "21610"}, 1, 0),
    ({"status": "unknown"}, 1, 1),
    ({"status": "cancelled", "reason": "dropped_by_person"}, 1, 1),
    ({"status": "sending", "sent_ms": None, "updated_ms": NOW_MS - 1}, 1, 1),
    ({"status": "sending", "updated_ms": NOW_MS - 1, "copies": 1}, 2, 2),
    ({"status": "queued", "copies": 1}, 1, 1),  # a copy that is still to leave
    ({"status": "queued", "reason": "carrier_throttled", "error_code": "20429"}, 0, 0),
    ({"status": "cancelled", "reason": "opted_out"}, 0, 0),  # was throttled before
    ({"status": "queued", "sent_ms": None}, 0, 0),
    ({"status": "delivered", "carrier_id": "e", "sent_ms": NOW_MS - 30 * HOUR_MS}, 0, 0),  # too long ago
    ({"status": "delivered", "carrier_id": "f", "mode": "test"}, 0, 0),
    ({"status": "delivered", "carrier_id": "g", "sender": OTHER}, 0, 0),
]


def ask(scope: str, **more: Any) -> Ask:
    plain = {"calls": False, "each": False, "part_us": HOUR_US, "near_us": 2_000_000}
    since = {"since_us": (NOW_MS - 24 * HOUR_MS) * 1000, "until_us": (NOW_MS + HOUR_MS) * 1000}
    return Ask(scope=scope, mode="live", **{**plain, **since, **more})


async def fill(database: Any, *texts: dict[str, Any]) -> None:
    plain = {"tenant_id": "acme", "mode": "live", "sender": MINE, "recipient": "+12125551234", "body": "Hello",
             "encoding": "gsm7", "segments": 2, "sent_ms": NOW_MS - HOUR_MS // 2}  # fmt: skip
    rows = [to_row(Message(id=f"msg_{place}", **{**plain, **text})) for place, text in enumerate(texts)]

    async def work(tx: Any) -> None:
        for number in (MINE, OTHER):
            await tenants.put_sender(tx, Sender(number, "acme", "toll_free", voice="main"))
        await tx.many("messages_insert", rows)

    await database.write(work)


async def test_what_left_is_counted_once_and_what_came_back_not(database: Any) -> None:
    await fill(database, *(case for case, _, _ in CASES))
    found = await database.read(lambda tx: left.counted(tx, ask(f"sender:{MINE}")))

    times, taken = sum(each for _, each, _ in CASES), sum(each for _, _, each in CASES)
    assert (sum(each.things for each in found), sum(each.taken for each in found)) == (times, taken)
    assert {(each.segments / each.things, each.taken_segments / each.taken) for each in found} == {(2, 2)}


async def test_what_left_near_the_edge_of_a_part_belongs_to_both(database: Any) -> None:
    edge = NOW_MS - HOUR_MS
    await fill(database, *({"status": "unknown", "sent_ms": edge + by} for by in (-2_001, -2_000, 1_999, 2_000)))
    found = await database.read(lambda tx: left.counted(tx, ask(f"sender:{MINE}")))

    last = edge // HOUR_MS
    assert {(each.begins, each.ends): each.things for each in found} == {
        (last - 1, last - 1): 1, (last - 1, last): 2, (last, last): 1,
    }  # fmt: skip


async def test_each_person_has_texts_and_calls_out_but_no_answers_to_keywords(database: Any) -> None:
    person = {"status": "unknown", "recipient": "+12125550001"}
    await fill(database, person, person, {**person, "kind": "stop_reply"}, {"status": "unknown", "sender": OTHER})
    calls = [
        Call(f"call_{place}", "acme", "live", MINE, "+12125550001", "plan", 1, direction=way, status=status,
             ended_ms=None if status == "ringing" else NOW_MS)
        for place, (way, status) in enumerate((("out", "completed"), ("out", "ringing"), ("in", "completed")))
    ]  # fmt: skip

    async def work(tx: Any) -> None:
        await tx.many("calls_insert", [to_row(call) for call in calls])
        for call in calls:
            await events.add(tx, Event("call.dialing", "acme", "live", call.id, NOW_MS - HOUR_MS // 2, {}))

    await database.write(work)
    each = ask("recipient:acme", each=True, near_us=0)

    def things(found: list[Left]) -> dict[str, int]:
        return {one.person: one.things for one in found}

    texts = await database.read(lambda tx: left.counted(tx, each))
    called = await database.read(lambda tx: left.counted(tx, ask("trunk:main", each=True, near_us=0, calls=True)))
    assert things(texts) == {"+12125550001": 2, "+12125551234": 1}
    assert things(called) == {"+12125550001": 2}


async def test_a_scope_has_the_texts_of_all_senders_that_it_binds_now(database: Any) -> None:
    await fill(database, {"status": "unknown"}, {"status": "unknown", "sender": OTHER})

    async def work(tx: Any) -> None:
        await scopes.put(tx, Scope("acme", "campaign", "bills", "score_75", "water"))
        await tenants.put_sender(tx, Sender(OTHER, "acme", "long_code", campaign="bills"))

    await database.write(work)
    scoped = {"campaign:acme/bills": 1, "brand:acme/water": 1, "tenant:acme": 2, "account:twilio": 2, "brand:acme/x": 0}
    for scope, things in scoped.items():
        found = await database.read(lambda tx, scope=scope: left.counted(tx, ask(scope)))
        assert (scope, sum(each.things for each in found)) == (scope, things)


async def test_nothing_that_is_being_offered_was_committed_before_the_moment_that_is_told(database: Any) -> None:
    await fill(database, {"status": "sending", "sent_ms": None, "updated_ms": NOW_MS - 90_000})
    told = [
        await database.read(lambda tx, scope=scope: left.settled_ms(tx, [ask(scope)], NOW_MS))
        for scope in (f"sender:{MINE}", f"sender:{OTHER}")
    ]
    assert told == [NOW_MS - 90_000, NOW_MS - 10_000]


async def test_rows_are_only_ever_raised(database: Any) -> None:
    for used in (5, 3, 7):
        await database.write(lambda tx, used=used: left.raise_usage(tx, [UsageRow("sender:x:day@UTC", 1, used, 0, 2)]))
    rows = await database.read(lambda tx: tx.rows("audit_usage"))
    assert [row["used"] for row in rows] == [7]


KEYS = [f"sender:{MINE}:day@UTC", f"test:sender:{MINE}:day@UTC", f"sender:{OTHER}:day@UTC", "tenant:acme:day@UTC",
        "campaign:acme/bills:day@UTC", "brand:acme/water:day@UTC", "account:twilio:day@UTC"]  # fmt: skip


async def lapsed(database: Any, change: Any, keys: list[str] = KEYS) -> set[str]:
    """Which limits are counted again after a change, all having been counted."""

    async def count(tx: Any) -> None:
        await left.note_counted(tx, keys, (await usage.in_force(tx)).version, NOW_MS * 1000)

    await database.write(count)
    assert await database.read(lambda tx: left.not_counted(tx, keys)) == set()
    await database.write(change)
    return await database.read(lambda tx: left.not_counted(tx, keys))


async def test_a_change_has_counted_again_what_it_concerns_and_nothing_else(database: Any) -> None:
    await fill(database)
    mine = Sender(MINE, "acme", "toll_free", voice="main")
    brand = Scope("acme", "brand", "water", "score_50")
    bills = Scope("acme", "campaign", "bills", "score_50", "water")
    await database.write(lambda tx: scopes.put(tx, brand))

    assert await lapsed(database, lambda tx: scopes.put(tx, brand)) == {KEYS[5]}
    assert await lapsed(database, lambda tx: scopes.put(tx, bills)) == {KEYS[4], KEYS[5]}
    assert await lapsed(database, lambda tx: tenants.put_sender(tx, replace(mine, status="pending"))) == {*KEYS[:2]}
    joins = replace(mine, status="pending", campaign="bills")
    assert await lapsed(database, lambda tx: tenants.put_sender(tx, joins)) == {*KEYS[:2], KEYS[4], KEYS[5]}
    rings = replace(joins, voice="twilio")
    assert await lapsed(database, lambda tx: tenants.put_sender(tx, rings)) == {*KEYS[:2], KEYS[6]}
    assert await lapsed(database, lambda tx: tenants.put_sender(tx, replace(rings, help_text="Help"))) == set()
    assert await lapsed(database, lambda tx: left.raise_day(tx, NOW_MS // 86_400_000)) == {*KEYS}


async def test_a_count_that_a_change_has_overtaken_is_not_noted(database: Any) -> None:
    await fill(database)
    version = (await database.read(usage.in_force)).version
    await database.write(lambda tx: scopes.put(tx, Scope("acme", "tenant", "acme", "open")))
    await database.write(lambda tx: left.note_counted(tx, KEYS, version, NOW_MS * 1000))

    assert await database.read(lambda tx: left.not_counted(tx, KEYS)) == {*KEYS}
