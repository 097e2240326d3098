"""The same calls over Twilio's wire: REST out, signed webhooks in, audio fetched by address."""

from typing import Any

import pytest


@pytest.fixture(autouse=True)
async def by_twilio(calling: Any) -> None:
    await calling.sender(voice="twilio")


async def test_a_call_by_webhooks_ends_as_one_over_a_trunk(calling: Any) -> None:
    (call_id,) = await calling.queue("0111")
    await calling.start()

    call = await calling.until_status(call_id, "completed")

    assert (call.outcome, call.keys, call.answered_by, call.carrier) == ("confirmed", "1", "unknown", "twilio")
    assert [visit["node"] for visit in call.path] == ["greet", "ask", "ask", "confirm", "bye"]
    assert call.prompts[0]["text"] == "Hello Ana, this is City Water."
    assert call.prompts[-1]["text"] == "Goodbye."
    assert all(prompt["seconds"] > 0.3 for prompt in call.prompts)
    assert await calling.events(call_id) == ["call.dialing", "call.ringing", "call.answered", "call.completed"]
    assert calling.far_end.parts.ledger.complaints == []


@pytest.mark.parametrize(
    ("ending", "status", "reason"),
    [("0400", "busy", "busy"), ("0403", "no_answer", "no_answer"), ("0404", "failed", "carrier_refused")],
)
async def test_a_call_that_is_not_answered_ends_in_one_state(
    calling: Any, ending: str, status: str, reason: str
) -> None:
    (call_id,) = await calling.queue(ending)
    await calling.start()

    call = await calling.until_status(call_id, status)

    assert (call.reason, call.answered_ms) == (reason, None)
