"""The same calls over Twilio's wire: REST out, signed webhooks in, audio fetched by address."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.store import calls
from gateway.workers.call_watch import CallWatch
from tests.calls.twilio_by_hand import placed


@pytest.fixture(autouse=True)
async def by_twilio(calling: Any) -> None:
    await calling.sender(voice="twilio")


async def test_a_call_by_webhooks_ends_as_one_over_a_trunk(calling: Any) -> None:
    (call_id,) = await calling.queue("0101")
    await calling.start()

    call = await calling.until_status(call_id, "completed")

    assert (call.outcome, call.keys, call.answered_by, call.carrier) == ("confirmed", "1", "unknown", "twilio")
    assert [visit["node"] for visit in call.path] == ["greet", "ask", "confirm", "bye"]
    assert call.prompts[0]["text"] == "Hello Ana, this is City Water."
    assert call.prompts[-1]["text"] == "Goodbye."
    assert all(prompt["seconds"] > 0.3 for prompt in call.prompts)
    assert await calling.events(call_id) == ["call.dialing", "call.ringing", "call.answered", "call.completed"]
    assert calling.far_end.parts.ledger.complaints == []


@pytest.mark.parametrize(
    ("ending", "status", "reason"),
    [("0400", "busy", "busy"), ("0403", "no_answer", "no_answer"), ("0404", "failed", "invalid_number")],
)
async def test_a_call_that_is_not_answered_ends_in_one_state(
    calling: Any, ending: str, status: str, reason: str
) -> None:
    (call_id,) = await calling.queue(ending)
    await calling.start()

    call = await calling.until_status(call_id, status)

    assert (call.reason, call.answered_ms) == (reason, None)


async def test_a_throttled_or_refused_request_is_queued_again_or_ended(calling: Any) -> None:
    calling.far_end.parts.faults.set({"throttle_per_s": 1})
    ids = await calling.queue("0600", "0600", "0600")
    await calling.start()

    for call_id in ids:
        await calling.until_status(call_id, "completed")

    events = [await calling.events(call_id) for call_id in ids]
    assert any("call.queued" in each for each in events)


async def test_a_call_whose_request_was_never_answered_is_not_placed_twice(calling: Any) -> None:
    """The request was written; the answer never came, but the webhooks did."""
    calling.far_end.parts.faults.set({"silence": True})
    (call_id,) = await calling.queue("0600")
    await calling.start()

    await calling.until_status(call_id, "completed")

    placed_calls = [each for each in calling.far_end.parts.ledger.arrivals if each.channel == "call"]
    assert len(placed_calls) == 1


async def test_twilio_calls_go_on_over_a_restart(calling: Any) -> None:
    (call_id,) = await calling.queue("0111")
    await calling.start()
    await calling.until_status(call_id, "answered")

    await calling.stop()
    await calling.start()

    assert (await calling.until_status(call_id, "completed")).outcome == "confirmed"


async def test_a_call_that_the_carrier_fell_silent_about_is_asked_for_and_its_channel_freed(calling: Any) -> None:
    calling.roads["live", "twilio"] = replace(calling.roads["live", "twilio"], channels=1)
    calling.far_end.parts.faults.set({"mute": True})
    first, second = await calling.queue("0400", "0400")
    runner = await calling.start()
    runner._watch.quiet_ms = 500

    await calling.until_status(first, "busy")
    await calling.until_status(second, "busy")


async def test_a_fault_of_ours_ends_the_watch_over_calls_for_a_moment_only(
    calling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calling.far_end.parts.faults.set({"mute": True})
    look, faults = CallWatch.look, [RuntimeError("made up")]

    async def failing(watch: CallWatch) -> None:
        if faults:
            raise faults.pop()
        await look(watch)

    monkeypatch.setattr(CallWatch, "look", failing)
    (call_id,) = await calling.queue("0400")
    runner = await calling.start()
    runner._watch.quiet_ms = 500

    await calling.until_status(call_id, "busy")


async def test_a_call_that_cannot_be_read_keeps_nobody_from_asking_for_the_others(calling: Any) -> None:
    calling.far_end.parts.faults.set({"mute": True})
    broken, other = await calling.queue("0400", "0400")
    runner = await calling.start()
    await calling.until_true(lambda: len(runner.desk.elsewhere) == 2)
    read = await calling.call(broken)
    await calling.database.write(lambda tx: calls.turned(tx, read, "{}"))
    runner._watch.quiet_ms = 500

    await calling.until_status(other, "busy")
    assert (await calling.call(broken)).status == "dialing"


async def test_a_call_of_which_the_carrier_never_tells_again_is_given_up(calling: Any) -> None:
    """The far end knows no CA1: as where an account was closed."""
    call_id = await placed(calling)
    runner = await calling.start()
    runner._watch.quiet_ms = runner._watch.longest_ms = 300

    call = await calling.until_status(call_id, "unknown")

    assert call.reason == "no_response"
    await calling.until_true(lambda: runner.desk.channels._held == {})


async def test_a_call_whose_carrier_is_configured_no_longer_is_given_up(calling: Any) -> None:
    call_id = await placed(calling)
    runner = await calling.start()
    runner._watch.turns = {}
    runner._watch.quiet_ms = runner._watch.longest_ms = 300

    assert (await calling.until_status(call_id, "unknown")).reason == "no_response"
