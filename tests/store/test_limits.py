"""Usage rows, the counters' epoch and scopes, on every kind of database."""

from dataclasses import replace
from typing import Any

from gateway.model.limit import Cap, Debit, Full, Rolling
from gateway.model.scope import Scope
from gateway.model.sender import Sender
from gateway.store import scopes, tenants, usage

DAY = Cap("sender:+18005550199:day@UTC", 10, "day", "UTC")
FULL = Full(DAY, 0, 86_400_000_000)
NUMBER = "+12125551234"


async def spend(database: Any, units: int) -> list[tuple[int, int]]:
    async def work(tx: Any) -> list[tuple[int, int]]:
        await usage.add(tx, [Debit(DAY.key, 0, units, FULL.resets_at_us)], 1)
        return [(found.percent, found.used) for found in await usage.reached(tx, [FULL], 1)]

    return await database.write(work)  # type: ignore[no-any-return]


async def test_eighty_and_a_hundred_per_cent_are_told_once_each(database: Any) -> None:
    assert [await spend(database, units) for units in (7, 1, 1, 1, 1)] == [[], [(80, 8)], [], [(100, 10)], []]


async def test_a_window_filled_at_once_is_told_of_twice(database: Any) -> None:
    assert await spend(database, 10) == [(80, 10), (100, 10)]


async def test_a_rolling_limit_is_told_of_over_all_its_parts_and_again_when_what_told_has_rolled_out(
    database: Any,
) -> None:
    hour = Rolling("sender:+18005550199:60min", 10, 60)

    async def spend(start: int, units: int) -> list[tuple[int, int]]:
        async def work(tx: Any) -> list[tuple[int, int]]:
            await usage.add(tx, [Debit(hour.counter, start, units, start + 62)], 1)
            return [(found.percent, found.used) for found in await usage.reached(tx, [Full(hour, start, 9)], start)]

        return await database.write(work)  # type: ignore[no-any-return]

    assert [await spend(*each) for each in ((2, 5), (4, 2), (6, 1), (8, 1))] == [[], [], [(80, 8)], []]
    assert await spend(64, 4) == []  # the first has rolled out
    assert await spend(66, 2) == []
    assert await spend(68, 4) == [(80, 11), (100, 11)]  # what told has rolled out


async def test_an_epoch_that_somebody_else_raised_is_not_raised_again(database: Any) -> None:
    begun = await database.write(lambda tx: usage.raise_epoch(tx, 0, 1, known=0))
    assert begun.epoch == 1
    assert await database.write(lambda tx: usage.raise_epoch(tx, 0, 1, known=0)) == 1
    assert (await database.write(lambda tx: usage.raise_epoch(tx, 30, 1, known=1))).epoch == 31


async def test_counters_are_rebuilt_from_windows_that_are_not_over(database: Any) -> None:
    hour_us, now_us = 3_600_000_000, 100 * 86_400_000_000
    debits = [
        Debit("old", now_us - 50 * 24 * hour_us, 1, now_us - 49 * 24 * hour_us),
        Debit("over", now_us - 5 * hour_us, 2, now_us - 2 * hour_us),
        Debit("now", now_us - 5 * hour_us, 3, now_us + hour_us),
        Debit("recipient:acme:60min#+12125551234", now_us - hour_us, 4, now_us + hour_us),
    ]
    await database.write(lambda tx: usage.add(tx, debits, 7))
    begun = await database.write(lambda tx: usage.raise_epoch(tx, 0, now_us // 1000, known=0))

    assert sorted((row.limit_key, row.used, row.until_us - now_us) for row in begun.rows) == [
        ("now", 3, hour_us),
        ("recipient:acme:60min#+12125551234", 4, hour_us),
    ]


async def test_what_rolled_out_is_forgotten_and_windows_of_caps_are_kept(database: Any) -> None:
    hour_us = 3_600_000_000
    debits = [Debit("cap", 0, 1, hour_us), Debit("r#a", 0, 1, hour_us), Debit("r#b", 0, 1, 9 * hour_us)]
    await database.write(lambda tx: usage.add(tx, debits, 1))

    assert await database.write(lambda tx: usage.forget(tx, 3 * hour_us // 1000, 10)) == 1
    left = await database.read(lambda tx: usage.of_limits(tx, ["cap", "r#a", "r#b"], 0))
    assert set(left) == {("cap", 0), ("r#b", 0)}


async def test_all_scopes_of_a_sender_are_gathered_and_what_is_not_there_is_blocked(database: Any) -> None:
    sender = Sender(NUMBER, "acme", "long_code", campaign="bills")
    found = [
        Scope("acme", "campaign", "bills", "score_75", "water", {"rate": "10/s"}, "https://engine.example.com/c", 5),
        Scope("acme", "tenant", "acme", "open", limits={"daily": 5, "zones": ["UTC"]}),
        Scope("acme", "recipient", "each", "open", limits={"rolling": ["3/24h"]}),
        Scope("", "account", "twilio", "open", limits={"rate": "50/s"}),
        Scope("other", "tenant", "other", "blocked"),
    ]

    async def work(tx: Any) -> tuple[list[Scope], usage.InForce, list[str]]:
        await tenants.put_sender(tx, sender)
        for scope in found:
            await scopes.put(tx, scope)
        gathered = await scopes.of_sender(tx, sender, "twilio")
        return gathered, await usage.in_force(tx), list(await scopes.senders(tx, replace(found[0], name="bills")))

    gathered, in_force, numbers = await database.write(work)
    by_kind = {scope.kind: scope for scope in gathered}
    assert [by_kind[scope.kind] for scope in found[:4]] == found[:4]
    assert by_kind["brand"].status == "blocked"  # named by the campaign, and nowhere
    assert in_force == (0, len(found), 1, 0)
    assert numbers == [NUMBER]
