"""Calls in which two things meet at the wrong moment: nobody is rung twice, and nothing is left behind."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from gateway.carriers.sip_leg import SipLeg
from gateway.carriers.twilio import TwilioAccount
from gateway.carriers.twilio_voice import TwilioVoice
from gateway.carriers.voice_base import WebhookRoad
from gateway.clock import now_ms
from gateway.model.scope import Scope
from gateway.net.http_client import HttpClient
from gateway.store import scopes
from gateway.store.calls import Evidence, Plans
from gateway.voice import engine
from gateway.workers.call_audio import CallAudio
from gateway.workers.call_record import CallRecord


async def test_a_carrier_that_gives_up_on_a_ringing_telephone_ends_the_call(calling: Any) -> None:
    """0406 rings, then 503: somebody may have heard it, so it is not dialled again."""
    (call_id,) = await calling.queue("0406")
    await calling.start()

    call = await calling.until_status(call_id, "failed")

    assert (call.reason, call.error_code) == ("carrier_refused", "503")
    assert len(calling.heard()) == 1


async def test_a_carrier_that_does_not_know_our_account_is_asked_again_later(calling: Any) -> None:
    """The request was written, and 401 says that nobody is called: the call waits, and `why` says for what."""
    ours = calling.far_end.parts.options
    account = TwilioAccount(
        "twilio", ours.account_sid, "another", calling.far_end.url, f"{calling.url}/carriers/twilio"
    )
    async with HttpClient() as http:
        calling.roads["live", "twilio"] = WebhookRoad(TwilioVoice(account, http), 20.0, 10, 5, timeout_s=2.0)
        await calling.sender(voice="twilio")
        (call_id,) = await calling.queue("0101")
        await calling.start()

        await calling.until_gate("carrier_account")
        await calling.until_status(call_id, "queued")
        await calling.stop()

    assert set(await calling.events(call_id)) == {"call.dialing", "call.queued"}


async def test_without_media_processes_nobody_is_called_and_why_names_them(calling: Any) -> None:
    await calling.rtp.stop()
    (call_id,) = await calling.queue("0101")
    await calling.start()

    await calling.until_gate("media_down")

    await calling.until_status(call_id, "queued")
    assert calling.heard() == []


async def test_who_was_not_rung_was_not_tried(calling: Any) -> None:
    """One try a day, and a carrier that has no room (503)."""
    await calling.database.write(
        lambda tx: scopes.put(tx, Scope("acme", "recipient", "each", "open", "", {"rolling": ["1/24h"]}, ""))
    )
    (call_id,) = await calling.queue("0405")
    await calling.start()

    await calling.until_true(lambda: len(calling.heard()) >= 3)

    assert "call.held" not in await calling.events(call_id)
    await calling.stop()
    rows = await calling.database.read(lambda tx: tx.rows("usage_since", since_us=0, now_us=0))
    assert sum(row["used"] for row in rows if row["limit_key"].startswith("recipient")) <= 1  # of one under way


ECHO = """
name: echo
language: en-US
start: ask
nodes:
  ask:
    collect: {prompt: {pause: 100ms}, into: typed, max_digits: 1, timeout: 5s, otherwise: bye}
    next: bye
  bye: {say: "You pressed {{ typed }}.", then: hangup}
"""


async def test_words_of_a_call_that_cannot_be_made_leave_nobody_waiting_in_silence(
    calling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is said back to a person is rendered while they wait."""

    async def vanished(*_: object) -> None:
        raise FileNotFoundError("a recording")

    monkeypatch.setattr(CallAudio, "make", vanished)
    await calling.publish(ECHO, "echo")
    (call_id,) = await calling.queue("0304", dialplan="echo", variables={})
    await calling.start()

    call = await calling.until_status(call_id, "failed")

    assert (call.reason, call.keys) == ("internal", "1")


async def test_a_fault_of_ours_in_a_call_hangs_up_and_ends_it(calling: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is left on a silent line."""

    def broken(*_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(SipLeg, "stop", broken)
    (call_id,) = await calling.queue("0304")
    await calling.start()

    call = await calling.until_status(call_id, "failed")

    assert call.reason == "internal"
    assert calling.heard()[0]["ended_by"] == "gateway"
    await calling.until_true(lambda: calling.rtp.streams == [])


async def test_what_cannot_be_written_of_a_call_does_not_keep_it_from_ending(calling: Any) -> None:
    """Half a surrogate pair is no JSON."""
    (call_id,) = await calling.queue("0101", status="answered")
    call = await calling.call(call_id)
    _, plan = await Plans(calling.database).get("acme", "bill", 1)
    state = replace(engine.start(plan, {}), collected={"note": "\ud83d"})
    record = CallRecord(call, calling.database, calling.signals)

    record.ended(state, [], "completed", "", now_ms(), Evidence())
    async with asyncio.timeout(5):
        await record.finish()

    ended = await calling.call(call_id)
    assert (ended.status, ended.reason) == ("failed", "internal")
