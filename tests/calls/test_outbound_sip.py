"""Calls over a SIP trunk to the practice phone: real signalling, real RTP, its own ears and fingers."""

from typing import Any

import pytest


async def test_a_call_speaks_hears_a_key_and_ends_with_its_outcome(calling: Any) -> None:
    """0111 stays silent at first, and presses 1 when it is asked again."""
    (call_id,) = await calling.queue("0111")
    await calling.start()

    call = await calling.until_status(call_id, "completed")

    assert (call.outcome, call.keys, call.answered_by) == ("confirmed", "1", "unknown")
    assert [visit["node"] for visit in call.path] == ["greet", "ask", "ask", "confirm", "bye"]
    assert call.prompts[0]["text"] == "Hello Ana, this is City Water."
    assert all(prompt["seconds"] > 0.3 for prompt in call.prompts)
    assert await calling.events(call_id) == ["call.dialing", "call.ringing", "call.answered", "call.completed"]
    assert call.ended_ms > call.answered_ms
    (heard,) = calling.heard()
    assert heard["ended_by"] == "gateway"
    assert heard["speech_s"] > 2


@pytest.mark.parametrize(
    ("ending", "status", "reason", "code"),
    [
        ("0400", "busy", "busy", "486"),
        ("0401", "no_answer", "no_answer", "487"),
        ("0402", "failed", "declined", "603"),
        ("0403", "no_answer", "no_answer", "480"),
        ("0404", "failed", "invalid_number", "404"),
    ],
)
async def test_a_call_that_is_not_answered_ends_in_one_state_with_the_sip_code(
    calling: Any, ending: str, status: str, reason: str, code: str
) -> None:
    (call_id,) = await calling.queue(ending)
    await calling.start()

    call = await calling.until_status(call_id, status)

    assert (call.reason, call.error_code, call.answered_ms) == (reason, code, None)
    assert len(calling.heard()) == 1
