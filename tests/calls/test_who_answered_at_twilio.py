"""Twilio listens for who answers as the call's plan needs it. All calls of the test are up at once."""

from typing import Any

from tests.calls.test_who_answered import PLAN, path


async def test_twilio_listens_for_as_long_as_the_plan_treats_machines_otherwise(calling: Any) -> None:
    """0500 is a voicemail with a greeting of 3 s."""
    await calling.sender(voice="twilio")
    calling.roads["live", "twilio"].carrier._detects_machines = True
    ids = []
    for name, machine in (("human", "human"), ("leave", "{leave: left}"), ("hangup", "hangup")):
        await calling.publish(f"{PLAN.replace('news', name)}machine: {machine}\n", name)
        ids += await calling.queue("0500", dialplan=name, variables={})
    await calling.start()

    spoken_to, left, hung_up = [await calling.until_status(call_id, "completed") for call_id in ids]

    assert (path(spoken_to), spoken_to.detection, spoken_to.answered_by) == (["greet", "ask", "bye"], {}, "unknown")
    assert (path(left), left.detection["why"], left.detection["left_after"]) == (["left"], "machine_end_beep", "beep")
    assert (path(hung_up), hung_up.detection["why"], hung_up.prompts) == ([], "machine_start", [])
