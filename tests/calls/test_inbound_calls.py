"""People ring a sender: the same plan answers on a trunk and by webhook."""

import asyncio
from dataclasses import replace
from typing import Any
from weakref import WeakValueDictionary

import pytest

from gateway.carriers.inbound_calls import Answering
from gateway.carriers.voice_base import TrunkRoad
from gateway.clock import new_id, now_ms
from gateway.model.message import Message
from gateway.model.tenant import Tenant
from gateway.practice.scripts import CallScript, Press
from gateway.sms.segments import segment
from gateway.store import opt_outs, tenants
from gateway.store.records import to_row
from gateway.workers.call_runner import CallRunner

SENDER = "+18005550199"
PERSON = "+12125551234"
REPLAY = """
name: replay
language: en-US
inbound: true
start: greet
variables: {last_message: {default: "You have no message."}, from: {default: ""}}
nodes:
  greet: {say: "Thank you for calling City Water.", next: ask}
  ask:
    menu:
      prompt: {say: "Press 1 to hear your last message, or 9 to be removed."}
      choices: {"1": message, "9": remove}
      timeout: 2s
      attempts: 2
      otherwise: bye
  message: {say: "{{ last_message }}", next: heard}
  heard: {outcome: replayed, next: bye}
  remove: {opt_out: tenant, then: hangup}
  bye: {say: "Goodbye.", then: hangup}
"""
KEYS = {"1": "replayed", "9": "opted_out"}


@pytest.fixture(autouse=True)
async def answering(calling: Any) -> CallRunner:
    await calling.publish(REPLAY, "replay")
    await calling.sender(inbound_dialplan="replay")
    body = "Your water is off until six."
    counted = segment(body)
    sent = Message(
        new_id("msg"), "acme", "live", SENDER, PERSON, body, counted.encoding, counted.segments, sent_ms=now_ms()
    )
    await calling.database.write(lambda tx: tx.run("messages_insert", **to_row(sent)))
    runner: CallRunner = await calling.start()
    return runner


def ring(calling: Any, via: str, *keys: str, called: str = SENDER, hangs_up_s: float | None = None) -> str:
    """Have the far end call; returns its name for the call."""
    script = CallScript("as told", presses=tuple(map(Press, keys)), hangs_up_s=hangs_up_s)
    parts = calling.far_end.parts
    if via == "sip":
        return str(parts.phone.place(PERSON, called, script))
    return str(
        parts.calls.inbound(
            PERSON, called, script, parts.options.voice_url, f"{calling.url}/carriers/twilio/voice-status"
        )
    )


async def the_call(calling: Any, *statuses: str) -> Any:
    async def check(tx: Any) -> Any:
        return await tx.row("calls_with_status", status=statuses[0], limit=1)

    return await calling.call((await calling.until(check))["id"])


@pytest.mark.parametrize("via", ["sip", "twilio"])
async def test_who_rings_back_hears_the_last_message(calling: Any, via: str) -> None:
    ring(calling, via, "1")

    call = await the_call(calling, "completed")

    assert (call.direction, call.sender, call.recipient, call.outcome) == ("in", SENDER, PERSON, "replayed")
    assert [prompt["text"] for prompt in call.prompts] == [
        "Thank you for calling City Water.",
        "Press 1 to hear your last message, or 9 to be removed.",
        "Your water is off until six.",
        "Goodbye.",
    ]
    assert await calling.events(call.id) == ["call.received", "call.answered", "call.completed"]


@pytest.mark.parametrize(
    ("body", "heard"),
    [("Your water is off. " * 80, ("Your water is off. " * 80)[:1000]), ("\U0001f44d", "You have no message.")],
    ids=["longer than a variable may be", "no word in it"],
)
async def test_whatever_the_last_message_was_the_call_is_answered(calling: Any, body: str, heard: str) -> None:
    counted = segment(body)
    sent = Message(
        new_id("msg"), "acme", "live", SENDER, PERSON, body, counted.encoding, counted.segments, sent_ms=now_ms() + 9
    )
    await calling.database.write(lambda tx: tx.run("messages_insert", **to_row(sent)))

    found = await calling.turns.inbound.find(
        SENDER, PERSON, mode="live", carrier="main", carrier_id=None, now_ms=now_ms()
    )

    assert isinstance(found, Answering)
    assert found.state.variables["last_message"] == heard


async def test_nobody_hears_what_a_tenant_wrote_that_had_the_number_before(calling: Any) -> None:
    body = "Your loan is overdue."
    counted = segment(body)
    await calling.database.write(lambda tx: tenants.add_tenant(tx, Tenant("other", "Other", now_ms())))
    theirs = Message(
        new_id("msg"), "other", "live", SENDER, PERSON, body, counted.encoding, counted.segments, sent_ms=now_ms() + 9
    )
    await calling.database.write(lambda tx: tx.run("messages_insert", **to_row(theirs)))

    found = await calling.turns.inbound.find(
        SENDER, PERSON, mode="live", carrier="main", carrier_id=None, now_ms=now_ms()
    )

    assert isinstance(found, Answering)
    assert found.state.variables["last_message"] == "Your water is off until six."


@pytest.mark.parametrize("via", ["sip", "twilio"])
async def test_who_rings_back_can_be_removed(calling: Any, via: str) -> None:
    ring(calling, via, "9")

    call = await the_call(calling, "completed")

    assert call.outcome == "opted_out"
    said = await calling.database.read(lambda tx: opt_outs.of_person(tx, "acme", "live", PERSON))
    assert [each["evidence"] for each in said] == ["pressed 9 in replay version 1"]


async def test_a_number_without_a_status_callback_has_its_calls_asked_for(calling: Any, answering: CallRunner) -> None:
    answering._watch.quiet_ms = 500
    parts = calling.far_end.parts
    parts.calls.inbound(PERSON, SENDER, CallScript("as told", presses=(Press("9"),)), parts.options.voice_url, "")

    call = await the_call(calling, "completed")

    assert call.outcome == "opted_out"
    assert call.ended_ms is not None


async def test_a_call_that_two_processes_are_told_of_at_once_is_one_call(calling: Any) -> None:
    """Twilio asks again where an answer is late, and a balancer may give the second to another process."""
    other = replace(calling.turns, _locks=WeakValueDictionary())
    form = {"CallSid": "CA1", "To": SENDER, "From": PERSON}

    first, second = await asyncio.gather(calling.turns.answer(form), other.answer(form))

    assert first == second
    assert "<Gather" in first
    (row,) = await calling.database.read(lambda tx: tx.rows("calls_with_status", status="answered", limit=9))
    assert await calling.events(row["id"]) == ["call.received", "call.answered"]


async def test_a_caller_who_hangs_up_ends_the_call_in_mid_prompt(calling: Any) -> None:
    ring(calling, "sip", hangs_up_s=1.0)

    call = await the_call(calling, "completed")

    assert call.outcome == ""
    assert 0.7 < call.prompts[0]["seconds"] < 1.3


@pytest.mark.parametrize(
    ("called", "dialplan", "status"),
    [("+12125550100", "replay", 404), (SENDER, "", 480), (SENDER, "absent", 480)],
    ids=["a number that is no sender's", "no plan", "a plan that is not published"],
)
async def test_a_call_that_nobody_answers_is_refused_and_leaves_no_row(
    calling: Any, called: str, dialplan: str, status: int
) -> None:
    await calling.sender(inbound_dialplan=dialplan)

    ring(calling, "sip", called=called)
    await calling.until_true(lambda: calling.heard()[0]["status"] != 0)

    assert calling.heard()[0]["status"] == status
    assert await calling.database.read(lambda tx: tx.rows("calls_with_status", status="ringing", limit=9)) == []


async def test_a_number_without_a_plan_is_rejected_by_webhook(calling: Any) -> None:
    await calling.sender(inbound_dialplan="")

    sid = ring(calling, "twilio")
    leg = calling.far_end.parts.calls.legs[sid]
    await calling.until_true(lambda: {"reject": True} in leg.transcript)


async def test_calls_that_come_in_take_channels_too(calling: Any) -> None:
    await calling.stop()
    calling.roads["live", "main"] = TrunkRoad(calling.trunk, 20.0, 1, 5)
    await calling.trunk.stop()
    await calling.start()
    ring(calling, "sip", "1")
    await calling.until_true(lambda: calling.heard()[0]["state"] == "answered")

    ring(calling, "sip", "1")
    await calling.until_true(lambda: calling.heard()[1]["status"] != 0)

    assert calling.heard()[1]["status"] == 503
    (row,) = await calling.until(lambda tx: tx.rows("calls_with_status", status="failed", limit=9))
    assert (row["reason"], row["direction"]) == ("channels", "in")  # it was on disk before a channel was asked for


async def test_a_stop_answers_no_more_and_ends_what_goes_on(calling: Any) -> None:
    ring(calling, "sip")
    call = await the_call(calling, "answered")

    await asyncio.gather(calling.stop())

    ended = await calling.call(call.id)
    assert (ended.status, ended.reason) == ("failed", "gateway_stopped")


OFFICE = """
name: office
language: en-US
inbound: true
start: agent
nodes:
  agent: {transfer: {to: "+12125550601", ring: 5s}, on_failure: sorry}
  sorry: {pause: 100ms, next: sent}
  sent: {outcome: sent_away, then: hangup}
"""


async def test_who_rings_back_is_put_through_though_nobody_was_called_before(calling: Any) -> None:
    """The trunk's rate is asked for the first time in this process; 0601 hangs up after 2 s."""
    await calling.publish(OFFICE, "office")
    await calling.sender(inbound_dialplan="office")
    ring(calling, "sip")

    call = await the_call(calling, "completed")

    assert (call.outcome, call.transfers[0]["result"]) == ("transferred", "transferred")


NOTE = """
name: note
language: en-US
inbound: true
start: tell
nodes:
  tell: {record: {into: note, max: 8s, silence: 3s, finish_key: "1", otherwise: wait}, next: wait}
  wait: {pause: 500ms, next: over}
  over: {outcome: listened, then: hangup}
"""


async def test_a_key_into_the_tone_ends_the_recording_and_the_call_goes_on(calling: Any) -> None:
    """The tone lasts 250 ms; a key goes down every 200."""
    await calling.publish(NOTE, "note")
    await calling.sender(inbound_dialplan="note")
    script = CallScript("as told", presses=(Press("1111111", at_s=0.0),))
    calling.far_end.parts.phone.place(PERSON, SENDER, script)

    call = await the_call(calling, "completed")

    assert (call.outcome, [visit["node"] for visit in call.path]) == ("listened", ["tell", "wait", "over"])
