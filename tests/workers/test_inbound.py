"""Texts that come in over signed webhooks: kept once, obeyed, answered, told."""

import asyncio
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from twilio.request_validator import RequestValidator

from gateway.clock import now_ms
from gateway.model.opt_out import OptOut
from gateway.model.scope import Scope
from gateway.store import events, opt_outs, scopes
from tests.locked import locked

SENDER, PERSON = "+18005550199", "+12125551234"
_sids = count(1)


async def text_in(
    sending: Any, http: Any, body: str, *, sid: str = "", sign_as: str = "", token: str = "", **headers: str
) -> int:
    """Post what Twilio posts, signed; returns the status."""
    form = {"MessageSid": sid or f"SM{next(_sids):032}", "From": PERSON, "To": SENDER, "Body": body, "NumMedia": "0"}
    url = f"{sending.url}/carriers/twilio/inbound"
    signed = RequestValidator(token or sending.far_end.parts.options.auth_token).compute_signature(sign_as or url, form)
    async with http.post(url, data=form, headers={"X-Twilio-Signature": signed, **headers}) as response:
        if response.status == 200:
            assert await response.text() == '<?xml version="1.0" encoding="UTF-8"?><Response></Response>'
        return response.status


async def log(sending: Any, kind: str) -> list[dict[str, Any]]:
    return await sending.database.read(lambda tx: events.after(tx, "acme", "live", 0, 1000, kind=kind))


async def opted_out(sending: Any) -> bool:
    return bool(await sending.database.read(lambda tx: opt_outs.of_person(tx, "acme", "live", PERSON)))


async def test_a_stop_that_comes_while_the_database_is_away_for_a_moment_is_obeyed(
    sending: Any, http: Any, tmp_path: Path
) -> None:
    """Somebody else holds its lock; Twilio does not send it again."""
    async with locked(sending.database, tmp_path / "gateway.db") as release:
        coming = asyncio.create_task(text_in(sending, http, "STOP"))
        await asyncio.sleep(0.5)
        assert not coming.done()
        release()
        assert await coming == 200

    assert await opted_out(sending)


async def test_a_report_that_comes_while_the_database_is_away_for_a_moment_is_taken(
    sending: Any, http: Any, tmp_path: Path
) -> None:
    form, url = {"MessageSid": "SM9", "MessageStatus": "delivered"}, f"{sending.url}/carriers/twilio/status"
    signed = RequestValidator(sending.far_end.parts.options.auth_token).compute_signature(url, form)
    async with locked(sending.database, tmp_path / "gateway.db") as release:
        coming = asyncio.create_task(http.post(url, data=form, headers={"X-Twilio-Signature": signed}))
        await asyncio.sleep(0.2)
        release()
        assert (await coming).status == 204


async def test_a_character_that_no_database_keeps_is_replaced(sending: Any, http: Any) -> None:
    assert await text_in(sending, http, "a\x00b") == 200

    (told,) = await log(sending, "inbound.received")
    assert told["data"]["body"] == "a\ufffdb"


@pytest.mark.parametrize(
    "body", ["STOP", " stop. ", "Stop All", "opt out", "UNSUBSCRIBE!", "Cancel", "quit", "end", "revoke"]
)
async def test_a_stop_cancels_what_waits_and_is_confirmed_once(sending: Any, http: Any, body: str) -> None:
    (waiting,) = await sending.queue("1234")

    assert await text_in(sending, http, body) == 200
    assert await text_in(sending, http, body) == 200

    assert (await sending.message(waiting)).status == "cancelled"
    assert await opted_out(sending)
    sending.start()
    await sending.until(lambda tx: tx.rows("messages_with_status", status="delivered", limit=9))
    assert sending.arrived() == [PERSON]  # the one confirmation
    (told,) = await log(sending, "opt_out.created")
    assert told["data"]["cancelled"] == [waiting]


async def test_answers_to_keywords_are_no_attempts_at_a_person_who_was_tried_often_enough(
    sending: Any, http: Any
) -> None:
    each = Scope("acme", "recipient", "each", "open", limits={"rolling": ["1/24h"]})
    await sending.database.write(lambda tx: scopes.put(tx, each))
    sending.start()
    first, second = await sending.queue("1234", "1234")
    await sending.until_status(first, "delivered")
    assert (await sending.until_status(second, "held")).reason == "recipient_limit"

    for number, body in enumerate(("HELP", "STOP", "START"), start=2):
        assert await text_in(sending, http, body) == 200
        await sending.until(lambda tx, number=number: _delivered(tx, number))
    rows = await sending.database.read(lambda tx: tx.rows("audit_usage"))
    assert [row["used"] for row in rows if row["limit_key"].startswith("recipient:")] == [1]


async def _delivered(tx: Any, number: int) -> bool:
    return len(await tx.rows("messages_with_status", status="delivered", limit=9)) == number


async def test_a_stop_is_confirmed_to_who_had_only_stopped_another_sender(sending: Any, http: Any) -> None:
    said = OptOut("acme", "live", PERSON, "+18005550188", "api", "a letter", now_ms())
    await sending.database.write(lambda tx: opt_outs.stop(tx, said))

    assert await text_in(sending, http, "STOP") == 200
    assert await text_in(sending, http, "STOP") == 200

    (reply,) = await sending.database.read(lambda tx: tx.rows("messages_with_status", status="queued", limit=9))
    assert reply["kind"] == "stop_reply"


async def test_the_same_webhook_again_has_no_second_effect(sending: Any, http: Any) -> None:
    for _ in range(3):
        assert await text_in(sending, http, "HELP", sid="SM1") == 200

    assert len(await log(sending, "inbound.received")) == 1
    assert len(await sending.database.read(lambda tx: tx.rows("messages_with_status", status="queued", limit=9))) == 1


async def test_an_old_stop_that_comes_again_recalls_nothing_after_a_start(sending: Any, http: Any) -> None:
    await text_in(sending, http, "STOP", sid="SMstop")
    await text_in(sending, http, "START")
    await sending.sender(limits={"rate": "1/s"})
    first, second = await sending.queue("1234", "1234")
    worker = sending.start()

    async def planned(_tx: Any) -> bool:
        return second in worker.desk.plan.unwritten

    await sending.until(planned)
    assert await text_in(sending, http, "STOP", sid="SMstop") == 200

    for message_id in (first, second):
        await sending.until_status(message_id, "delivered")


async def test_free_text_reaches_the_engine_and_names_what_it_answers(sending: Any, http: Any) -> None:
    (sent,) = await sending.queue("1234")
    sending.start()
    await sending.until_status(sent, "delivered")

    await text_in(sending, http, "got to STOP this bill")

    (event,) = await log(sending, "inbound.received")
    assert event["data"]["body"] == "got to STOP this bill"
    assert event["data"]["answers"] == sent
    assert event["data"]["keyword"] == ""
    assert not await opted_out(sending)


async def test_yes_never_opts_in_on_toll_free_and_start_does(sending: Any, http: Any) -> None:
    await text_in(sending, http, "STOP")
    await text_in(sending, http, "YES")
    assert await opted_out(sending)

    await text_in(sending, http, "start")
    assert not await opted_out(sending)


async def test_yes_opts_in_on_a_long_code_only_who_had_opted_out(sending: Any, http: Any) -> None:
    await sending.sender(kind="long_code")
    await text_in(sending, http, "YES")
    (first,) = await log(sending, "inbound.received")
    assert first["data"]["keyword"] == ""

    await text_in(sending, http, "STOP")
    await text_in(sending, http, "YES")
    assert not await opted_out(sending)


@pytest.mark.parametrize("who", ["carrier", "network"])
async def test_where_the_carrier_answers_we_do_not(sending: Any, http: Any, who: str) -> None:
    await sending.sender(keyword_replies=who)

    await text_in(sending, http, "STOP")

    assert await opted_out(sending)
    assert await sending.database.read(lambda tx: tx.rows("messages_with_status", status="queued", limit=9)) == []


async def test_our_answers_are_the_senders_own_words(sending: Any, http: Any) -> None:
    await sending.sender(help_text="City Water. Call 311. Reply STOP to end.")

    await text_in(sending, http, "help")

    (reply,) = await sending.database.read(lambda tx: tx.rows("messages_with_status", status="queued", limit=9))
    assert reply["body"] == "City Water. Call 311. Reply STOP to end."


async def test_two_auto_responders_do_not_talk_to_each_other(sending: Any, http: Any) -> None:
    for _ in range(5):
        await text_in(sending, http, "HELP")

    assert len(await sending.database.read(lambda tx: tx.rows("messages_with_status", status="queued", limit=9))) == 1


@pytest.mark.parametrize(
    ("body", "ends"),
    [("!" * 160 + "STOP", "cancelled"), ("STOP" + " " * 160 + "doing that, said my wife", "delivered")],
    ids=["the word comes late", "it only begins like one"],
)
async def test_all_of_a_text_says_whether_it_takes_back_what_is_committed(
    sending: Any, http: Any, body: str, ends: str
) -> None:
    await sending.sender(limits={"rate": "1/s"})
    first, second = await sending.queue("1234", "1234")
    worker = sending.start()

    async def planned(_tx: Any) -> bool:
        held = worker.desk.plan.unwritten.get(second)
        return held is not None and held.committed

    await sending.until_status(first, "delivered")
    await sending.until(planned)
    assert await text_in(sending, http, body) == 200

    await sending.until_status(second, ends)
