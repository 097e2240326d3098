"""What people say into Twilio's <Record>: fetched, kept, and deleted there."""

from typing import Any

import pytest

from gateway.store import recordings
from gateway.workers.recording_fetcher import RecordingFetcher

NOTE = """
name: note
language: en-US
start: tell
nodes:
  tell: {record: {into: note, max: 8s, silence: 1s}, next: agent}
  agent: {transfer: "+12125550100", on_failure: sorry}
  sorry: {outcome: sent_away, then: hangup}
"""


@pytest.fixture(autouse=True)
async def by_twilio(calling: Any) -> None:
    await calling.sender(voice="twilio")


async def test_what_is_said_into_a_recording_is_fetched_from_twilio_and_kept(calling: Any) -> None:
    """The far end records two seconds, and then takes the transfer."""
    await calling.publish(NOTE, "note")
    (call_id,) = await calling.queue("1234", dialplan="note", variables={})
    await calling.start()

    call = await calling.until_status(call_id, "completed")
    ((told),) = call.recordings
    found = await calling.until(lambda tx: recordings.get(tx, "acme", "live", told["id"]))

    async def released(tx: Any) -> bool:
        return not await recordings.due_at(tx, "twilio", 9_999_999_999_999, 9)

    carrier = calling.roads["live", "twilio"].carrier
    await calling.until(released)
    assert await carrier.recording(told["id"], timeout_s=2) is None, "it is gone at Twilio"
    assert await carrier.delete_recording(told["id"], timeout_s=2), "what is gone is deleted"
    assert call.collected == {"note": told["id"]}
    assert (told["node"], told["seconds"]) == ("tell", 2.0)
    assert len(found.audio) == 16_000
    assert call.transfers == [{"to": "+12125550100", "how": "dial", "result": "transferred"}]
    assert call.outcome == "transferred"


async def test_a_recording_is_deleted_at_twilio_again_and_again_until_it_is_gone_or_given_up(calling: Any) -> None:
    (call_id,) = await calling.queue("1234")
    call, sid, fetcher = await calling.call(call_id), "RE" + "a" * 32, RecordingFetcher(calling.database, ())
    write, faults = calling.database.write, calling.far_end.parts.faults

    async def due() -> list[tuple[int, bool]]:
        found = await calling.database.read(lambda tx: recordings.due_at(tx, "twilio", 9_999_999_999_999, 9))
        return [(each.tries, each.is_here) for each in found]

    async def again() -> None:
        """As if its time had come."""
        await write(lambda tx: tx.run("recordings_fetched", id=sid, audio=b"\xff" * 800, now_ms=1))
        await fetcher.look(calling.turns)

    await write(lambda tx: recordings.add(tx, call, sid, "tell", b"", 1, source="twilio"))
    faults.reset = True
    await fetcher.look(calling.turns)
    assert await due() == [(1, False)]
    await again()
    assert await due() == [(1, True)]
    faults.reset = False
    await again()
    assert await due() == []
    kept = await calling.database.read(lambda tx: recordings.get(tx, "acme", "live", sid))
    assert len(kept.audio) == 800


async def test_where_the_settings_say_so_a_recording_stays_at_twilio(calling: Any) -> None:
    await calling.publish(NOTE, "note")
    calling.turns.carrier.deletes_recordings = False
    (call_id,) = await calling.queue("1234", dialplan="note", variables={})
    await calling.start()
    call = await calling.until_status(call_id, "completed")
    ((told),) = call.recordings

    await calling.until(lambda tx: recordings.get(tx, "acme", "live", told["id"]))

    assert await calling.database.read(lambda tx: recordings.due_at(tx, "twilio", 9_999_999_999_999, 9)) == []
    assert await calling.turns.carrier.recording(told["id"], timeout_s=2) is not None
