"""Calls by Twilio's webhooks, each posted by hand: in any order, twice, at two processes, and after the end."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary
from xml.etree import ElementTree as ET

import aiohttp
import pytest

from gateway.api import patience
from gateway.carriers.audio_urls import AudioUrls
from gateway.carriers.inbound_calls import ANONYMOUS
from gateway.carriers.twilio_voice import Between
from gateway.store import calls, dialplans, events, opt_outs, recordings
from gateway.store.calls import Plans
from gateway.voice import engine
from gateway.voice.twilio_call import TwilioCall
from tests.calls.test_recording_at_twilio import NOTE
from tests.calls.twilio_by_hand import Twilio, placed
from tests.locked import locked


@pytest.fixture(autouse=True)
async def by_twilio(calling: Any) -> None:
    await calling.sender(voice="twilio")


@pytest.fixture
async def twilio(calling: Any) -> AsyncIterator[Twilio]:
    async with aiohttp.ClientSession() as http:
        yield Twilio(calling, http)


async def test_a_repeated_webhook_gets_the_same_answer_and_moves_nothing(calling: Any, twilio: Twilio) -> None:
    call_id = await placed(calling)

    first = await twilio.turn(call_id, 0)
    again = await twilio.turn(call_id, 0)
    pressed = await twilio.turn(call_id, 1, Digits="1")
    late = await twilio.turn(call_id, 0)

    assert ET.tostring(first) == ET.tostring(again)
    assert ET.tostring(late) == ET.tostring(pressed)
    call = await calling.call(call_id)
    assert (call.keys, call.outcome, call.status) == ("1", "confirmed", "answered")
    assert await calling.events(call_id) == ["call.answered"]


async def test_an_opt_out_key_is_on_disk_before_the_webhook_is_answered(calling: Any, twilio: Twilio) -> None:
    call_id = await placed(calling)
    (waiting,) = await calling.queue("1234")

    await twilio.turn(call_id, 0)
    last = await twilio.turn(call_id, 1, Digits="9")

    assert [verb.tag for verb in last] == ["Hangup"]
    assert (await calling.call(waiting)).status == "cancelled"
    said = await calling.database.read(lambda tx: opt_outs.of_person(tx, "acme", "live", "+12125551234"))
    assert [each["source"] for each in said] == ["dialplan"]


@pytest.mark.parametrize(("keys", "is_out"), [("9", True), ("5", False), ("19", False), ("59", True)])
async def test_the_key_of_who_opts_out_and_hangs_up_is_obeyed_though_the_calls_end_is_told_first(
    calling: Any, twilio: Twilio, keys: str, is_out: bool
) -> None:
    call_id = await placed(calling)
    await twilio.turn(call_id, 0)

    await twilio.status(call_id, "completed", 3)
    await twilio.turn(call_id, 1, Digits=keys)

    said = await calling.database.read(lambda tx: opt_outs.of_person(tx, "acme", "live", "+12125551234"))
    assert [each["evidence"] for each in said] == ["pressed 9 in bill version 1"] * is_out


async def test_who_opts_out_and_shows_no_number_is_told_of_once_by_an_event(calling: Any, twilio: Twilio) -> None:
    call_id = await placed(calling, recipient=ANONYMOUS, direction="in")
    await twilio.turn(call_id, 0)
    over = [twilio.turn(call_id, 1, Digits="9") for _ in range(2)]

    assert [[verb.tag for verb in answer] for answer in await asyncio.gather(*over)] == [["Hangup"], ["Hangup"]]
    found = await calling.database.read(lambda tx: events.after(tx, "acme", "live", 0, 99, subject=call_id))
    (told,) = [each["data"] for each in found if each["type"] == "opt_out.not_kept"]
    assert (told["why"], told["scope"], told["evidence"]) == ("no_number", "tenant", "pressed 9 in bill version 1")
    assert await calling.database.read(lambda tx: opt_outs.of_person(tx, "acme", "live", ANONYMOUS)) == []


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
async def test_reports_in_any_order_and_twice_end_the_call_once(
    calling: Any, twilio: Twilio, order: tuple[int, ...]
) -> None:
    call_id = await placed(calling)
    reports = [("ringing", 1), ("in-progress", 2), ("completed", 3)]

    for index in order:
        word, sequence = reports[index]
        for _ in range(2):
            assert await twilio.status(call_id, word, sequence) == 204

    assert (await calling.call(call_id)).status == "completed"
    told = await calling.events(call_id)
    assert told.count("call.completed") == 1
    assert set(told) <= {"call.ringing", "call.answered", "call.completed", "call.report"}


async def test_a_person_who_hangs_up_heard_as_much_as_there_was_time_for(calling: Any, twilio: Twilio) -> None:
    """The greeting lasts longer than this call did, and the question was never heard."""
    call_id = await placed(calling)
    await twilio.turn(call_id, 0)

    await asyncio.sleep(0.3)  # the person listens
    await twilio.status(call_id, "completed", 3)

    call = await calling.call(call_id)
    assert [visit["node"] for visit in call.path] == ["greet"]
    assert [prompt["text"] for prompt in call.prompts] == ["Hello Ana, this is City Water."]
    assert 0.2 < call.prompts[0]["seconds"] < 1.5
    ended = await calling.database.read(lambda tx: events.after(tx, "acme", "live", 0, 99, subject=call_id))
    data = ended[-1]["data"]
    assert (data["outcome"], data["keys"], data["answered_by"]) == ("", "", "unknown")


async def test_unsigned_webhooks_have_no_effect(calling: Any, twilio: Twilio) -> None:
    call_id = await placed(calling)

    turn, _ = await twilio.post(f"voice?call={call_id}&step=0", sign=False, CallSid="CA1")
    report, _ = await twilio.post(f"voice-status?call={call_id}", sign=False, CallSid="CA1", CallStatus="completed")

    assert (turn, report) == (403, 403)
    assert (await calling.call(call_id)).status == "dialing"


async def test_audio_is_served_only_from_an_address_that_we_signed_and_not_for_long(
    calling: Any, twilio: Twilio
) -> None:
    call_id = await placed(calling)
    found = (await twilio.turn(call_id, 0)).find(".//Play")
    assert found is not None
    url = found.text or ""
    expired = AudioUrls(calling.url, b"key", -1).url(url.split("/")[-1].split(".")[0])

    async def get(address: str) -> tuple[int, bytes]:
        async with twilio.http.get(address) as answer:
            return answer.status, await answer.read()

    status, body = await get(url)
    assert (status, body[:4], body[8:12]) == (200, b"RIFF", b"WAVE")
    for bad in (
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        url.split("?")[0],
        expired,
        url.replace("expires=1", "expires=2"),
    ):
        assert (await get(bad))[0] == 404


async def test_a_call_of_another_mode_or_carrier_is_not_told_anything(calling: Any, twilio: Twilio) -> None:
    (elsewhere,) = await calling.queue("1234", status="answered", carrier="main")

    answer = await twilio.turn(elsewhere, 0)

    assert [verb.tag for verb in answer] == ["Hangup"]
    assert (await calling.call(elsewhere)).status == "answered"


async def test_a_key_that_is_pressed_while_the_database_is_away_for_a_moment_is_obeyed(
    calling: Any, twilio: Twilio, tmp_path: Path
) -> None:
    """Somebody else holds its lock; an error would end the call, and the person would be called again."""
    call_id = await placed(calling)
    await twilio.turn(call_id, 0)

    async with locked(calling.database, tmp_path / "gateway.db") as release:
        turning = asyncio.create_task(twilio.turn(call_id, 1, Digits="9"))
        await asyncio.sleep(0.5)
        assert not turning.done()
        release()
        last = await turning

    assert [verb.tag for verb in last] == ["Hangup"]
    assert await calling.database.read(lambda tx: opt_outs.of_person(tx, "acme", "live", "+12125551234"))


async def test_a_key_that_opts_out_is_obeyed_when_the_database_is_back_however_long_it_was_away(
    calling: Any, twilio: Twilio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twilio was answered with an error by then, and ends the call: what it tells of that comes after the key."""
    monkeypatch.setattr(patience, "_LISTENS_S", 0.2)
    call_id = await placed(calling)
    await twilio.turn(call_id, 0)

    async with locked(calling.database, tmp_path / "gateway.db") as release:
        turned, _ = await twilio.post(f"voice?call={call_id}&step=1", CallSid="CA1", Digits="9")
        ended = await twilio.status(call_id, "completed", 3)
        release()

    assert (turned, ended) == (503, 503)
    call = await calling.until_status(call_id, "completed")
    assert [visit["node"] for visit in call.path][-1] == "remove"
    assert await calling.database.read(lambda tx: opt_outs.of_person(tx, "acme", "live", "+12125551234"))


async def test_what_twilio_says_of_who_answered_is_kept_with_the_call(calling: Any, twilio: Twilio) -> None:
    source = await calling.database.read(lambda tx: dialplans.source_of(tx, "acme", "bill", 1))
    await calling.publish(source[1] + "machine: {leave: bye}\n", "bill")
    call_id = await placed(calling, version=2)

    answer = await twilio.turn(call_id, 0, AnsweredBy="machine_end_beep", MachineDetectionDuration="6250")
    await asyncio.sleep(1.1)  # as long as the message takes, for Twilio tells its end by the clock
    await twilio.status(call_id, "completed", 1)

    call = await calling.call(call_id)
    assert [verb.tag for verb in answer] == ["Play", "Hangup"]
    assert (call.answered_by, [visit["node"] for visit in call.path]) == ("machine", ["bye"])
    assert call.detection == {
        "by": "machine", "why": "machine_end_beep", "known_after_s": 6.25, "left_after": "beep",
        "left_s": call.prompts[0]["seconds"],
    }  # fmt: skip


TEXTED = """
name: texted
language: en-US
start: ask
nodes:
  ask: {menu: {prompt: {say: "Press 1 for a text."}, choices: {"1": send}, otherwise: bye}}
  send: {send_sms: "You asked for this.", next: bye}
  bye: {say: "Goodbye.", then: hangup}
"""


async def test_one_webhook_at_two_processes_at_once_has_one_effect(calling: Any, twilio: Twilio) -> None:
    """Twilio asks again where an answer is late, and a balancer may give the second to another process."""
    await calling.publish(TEXTED, "bill")
    call_id = await placed(calling, version=2)
    await twilio.turn(call_id, 0)
    other = replace(calling.turns, _locks=WeakValueDictionary())
    form = {"CallSid": "CA1", "Digits": "1"}

    first, second = await asyncio.gather(calling.turns.turn(call_id, 1, form), other.turn(call_id, 1, form))

    assert first == second
    texts = await calling.database.read(lambda tx: tx.rows("messages_with_status", status="queued", limit=9))
    assert [text["body"] for text in texts] == ["You asked for this."]


async def test_the_end_of_a_call_at_one_process_while_another_answers_it_is_not_lost(
    calling: Any, twilio: Twilio
) -> None:
    await calling.publish(TEXTED, "bill")
    call_id = await placed(calling, version=2)
    await twilio.turn(call_id, 0)
    other = replace(calling.turns, _locks=WeakValueDictionary())
    over = calling.turns.carrier.read_status({"CallSid": "CA1", "CallStatus": "completed", "SequenceNumber": "3"})

    await asyncio.gather(calling.turns.turn(call_id, 1, {"CallSid": "CA1", "Digits": "1"}), other.report(call_id, over))

    assert (await calling.call(call_id)).status == "completed"
    texts = await calling.database.read(lambda tx: tx.rows("messages_with_status", status="queued", limit=9))
    assert len(texts) <= 1


async def test_a_final_status_that_an_answered_call_cannot_have_ends_it_all_the_same(
    calling: Any, twilio: Twilio
) -> None:
    call_id = await placed(calling)
    await twilio.turn(call_id, 0)
    await twilio.status(call_id, "busy", 3)

    call = await calling.call(call_id)
    assert (call.status, call.reason) == ("completed", "")


async def test_what_became_of_a_transfer_is_told_once_however_often_it_is_posted(calling: Any, twilio: Twilio) -> None:
    """While the call goes on, and after its end."""
    await calling.publish(NOTE.replace("name: note", "name: bill"), "bill")
    call_id = await placed(calling, version=2)
    await twilio.turn(call_id, 0)
    await twilio.turn(call_id, 1)  # nothing was said into the recording
    for _ in range(2):
        await twilio.turn(call_id, 2, DialCallStatus="completed")
    await twilio.status(call_id, "completed", 9)
    await twilio.turn(call_id, 2, DialCallStatus="completed")

    assert (await calling.call(call_id)).transfers == [{"to": "+12125550100", "how": "dial", "result": "transferred"}]


async def test_who_hangs_up_on_the_agent_was_put_through_though_the_calls_end_is_told_first(
    calling: Any, twilio: Twilio
) -> None:
    await calling.publish(NOTE.replace("name: note", "name: bill"), "bill")
    call_id = await placed(calling, version=2)
    await twilio.turn(call_id, 0)
    await twilio.turn(call_id, 1)  # nothing was said into the recording
    await twilio.status(call_id, "completed", 9)
    for _ in range(2):
        await twilio.turn(call_id, 2, DialCallStatus="completed")

    call = await calling.call(call_id)
    assert (call.status, call.outcome) == ("completed", "transferred")
    assert call.transfers == [{"to": "+12125550100", "how": "dial", "result": "transferred"}]
    assert await calling.events(call_id) == ["call.answered", "call.completed", "call.report"]


async def test_a_recording_id_that_is_none_of_twilios_is_not_fetched(calling: Any, twilio: Twilio) -> None:
    await calling.publish(NOTE.replace("note", "odd"), "odd")
    (call_id,) = await calling.queue("1234", status="dialing", carrier="twilio", carrier_id="CA1", dialplan="odd")
    _, plan = await Plans(calling.database).get("acme", "odd", 1)
    waiting = Between(TwilioCall(engine.start(plan, {}))).to_json()
    await calling.database.write(
        lambda tx: calls.progress(tx, call_id, engine.start(plan, {}), (), 1, engine_state=waiting)
    )

    await twilio.turn(call_id, 0)
    await twilio.turn(call_id, 1, RecordingSid="../Keys", RecordingDuration="2", RecordingUrl="http://127.0.0.1/x")

    assert (await calling.call(call_id)).recordings == []
    assert await calling.database.read(lambda tx: recordings.due_at(tx, "twilio", 9_999_999_999_999, 9)) == []
