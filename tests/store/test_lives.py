"""Every change of state and its event are one transaction; a final state never regresses."""

from typing import Any

import pytest

from gateway.model.job import Job
from gateway.model.message import Message
from gateway.model.opt_out import OptOut
from gateway.model.states import CALL_MOVES, MESSAGE_FINALS, MESSAGE_MOVES
from gateway.store import events, jobs, lives, opt_outs
from gateway.store.database import Database, Tx
from gateway.store.records import to_record, to_row

SENDER, PERSON = "+18005550199", "+12125551234"


def text(number: int, **more: Any) -> Message:
    fields = {"tenant_id": "acme", "mode": "live", "sender": SENDER, "recipient": PERSON, "body": "Hi",
              "encoding": "gsm7", "segments": 1, **more}  # fmt: skip
    return Message(id=f"msg_{number:04}", **fields)


async def keep(database: Database, *messages: Message) -> None:
    await database.write(lambda tx: tx.many("messages_insert", [to_row(message) for message in messages]))


async def log(database: Database, **filters: Any) -> list[tuple[str, str]]:
    found = await database.read(lambda tx: events.after(tx, "acme", "live", 0, 1000, **filters))
    return [(event["type"], event["id"]) for event in found]


async def test_a_record_comes_back_as_it_was_kept(database: Database) -> None:
    message = text(1, metadata={"account": 7, "näme": "Zoë"}, carrier_id="SM1", hold_until_ms=5)
    await keep(database, message)

    row = await database.read(lambda tx: tx.row("messages_one", id=message.id))

    assert row is not None
    assert to_record(Message, row) == message


async def test_a_move_writes_its_event_with_what_the_engine_knows_it_by(database: Database) -> None:
    await keep(database, text(1, reference="bill-7", metadata={"a": 1}))

    moved = await database.write(
        lambda tx: lives.move(tx, "messages", ["msg_0001"], "held", 9, reason="cap_day", until_ms=99)
    )

    (event,) = await database.read(lambda tx: events.after(tx, "acme", "live", 0, 9))
    assert moved == ["msg_0001"]
    assert event["type"] == "message.held"
    assert event["data"] == {
        "status": "held", "to": PERSON, "from": SENDER, "reference": "bill-7", "metadata": {"a": 1},
        "reason": "cap_day", "until_ms": 99,
    }  # fmt: skip


@pytest.mark.parametrize("final", sorted(MESSAGE_FINALS))
async def test_a_final_state_never_regresses(database: Database, final: str) -> None:
    await keep(database, text(1, status=final))

    for status in MESSAGE_MOVES:
        moved = await database.write(lambda tx, to=status: lives.move(tx, "messages", ["msg_0001"], to, 9))
        assert moved == []

    assert await log(database) == []


async def test_a_stop_cancels_both_channels_in_one_transaction(database: Database) -> None:
    others = [text(3, recipient="+12125559999"), text(4, status="sent"), text(5, status="held", reason="cap_day")]
    await keep(database, text(1), text(2), *others)
    said = OptOut("acme", "live", PERSON, "tenant", "keyword", "STOP", 9)

    cancelled = await database.write(lambda tx: opt_outs.stop(tx, said))

    assert cancelled == ["msg_0001", "msg_0002", "msg_0005"]
    assert ("opt_out.created", PERSON) in await log(database)
    assert await database.read(lambda tx: opt_outs.among(tx, "acme", "live", SENDER, [PERSON, "+12125559999"])) == {
        PERSON
    }


async def test_a_stop_that_fails_half_way_changes_nothing(database: Database) -> None:
    await keep(database, text(1))

    async def stop_and_break(tx: Tx) -> None:
        await opt_outs.stop(tx, OptOut("acme", "live", PERSON, "tenant", "keyword", "STOP", 9))
        raise RuntimeError("the process would die here")

    with pytest.raises(RuntimeError):
        await database.write(stop_and_break)

    assert await log(database) == []
    assert await database.read(lambda tx: opt_outs.among(tx, "acme", "live", SENDER, [PERSON])) == set()


async def test_a_second_stop_keeps_when_the_first_began_and_tells_once(database: Database) -> None:
    for at_ms in (9, 99):
        said = OptOut("acme", "live", PERSON, "tenant", "keyword", "STOP", at_ms)
        await database.write(lambda tx, said=said: opt_outs.stop(tx, said))

    (kept,) = await database.read(lambda tx: opt_outs.of_person(tx, "acme", "live", PERSON))
    assert kept["at_ms"] == 9
    assert await log(database) == [("opt_out.created", PERSON)]


async def test_an_opt_out_of_one_sender_leaves_the_others(database: Database) -> None:
    await keep(database, text(1), text(2, sender="+18005550123"))
    said = OptOut("acme", "live", PERSON, SENDER, "api", "", 9)

    assert await database.write(lambda tx: opt_outs.stop(tx, said)) == ["msg_0001"]


async def test_a_paused_job_keeps_its_other_holds_and_releases_them_only_when_resumed(database: Database) -> None:
    job = Job("job_1", "acme", "live", "sms", SENDER, {})
    queued = text(1, job_id="job_1")
    capped = text(2, job_id="job_1", status="held", reason="cap_day", hold_until_ms=50)
    await database.write(lambda tx: jobs.accept(tx, job))
    await keep(database, queued, capped)

    await database.write(lambda tx: jobs.change(tx, job, "paused", 10))
    assert await database.write(lambda tx: lives.release_due(tx, "messages", 60, 99)) == set()
    counted = await database.read(lambda tx: lives.counts(tx, "messages", "job_1"))
    assert counted["held"] == {"paused": 2}  # the cap's hold is over, and no sweep comes upon it again

    await database.write(lambda tx: jobs.change(tx, job, "running", 61))
    counted = await database.read(lambda tx: lives.counts(tx, "messages", "job_1"))
    assert counted["by_state"] == {"queued": 2}


async def test_a_job_completes_when_nothing_in_it_can_still_be_sent(database: Database) -> None:
    job = Job("job_1", "acme", "live", "sms", SENDER, {})
    await database.write(lambda tx: jobs.accept(tx, job))
    await keep(database, *(text(n, job_id="job_1", status=s) for n, s in enumerate(("delivered", "sent", "queued"), 1)))

    assert await database.write(lambda tx: jobs.complete_finished(tx, 5)) == 0
    await database.write(lambda tx: lives.move(tx, "messages", ["msg_0003"], "cancelled", 6))
    assert await database.write(lambda tx: jobs.complete_finished(tx, 7)) == 1


def test_every_state_that_is_a_target_has_moves_of_its_own() -> None:
    for moves in (MESSAGE_MOVES, CALL_MOVES):
        assert {target for targets in moves.values() for target in targets} <= set(moves)
