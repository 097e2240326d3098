"""Spoken answers over a trunk: kept while they last, without the silence around them, and deleted in time."""

from typing import Any

import pytest

from gateway.media.level import active_level
from gateway.store import recordings

PLAN = """
name: note
language: en-US
start: tell
nodes:
  tell: {record: {into: note, max: 8s, silence: 1s, otherwise: nothing}, next: thanks}
  nothing: {outcome: nothing_said, then: hangup}
  thanks: {outcome: said, then: hangup}
"""


async def over(calling: Any, *endings: str, source: str = PLAN) -> list[Any]:
    await calling.publish(source, "note")
    ids = await calling.queue(*endings, dialplan="note", variables={})
    await calling.start()
    return [await calling.until_status(call_id, "completed") for call_id in ids]


async def kept(calling: Any, call: Any) -> recordings.Recording:
    ((told),) = call.recordings
    found = await calling.database.read(lambda tx: recordings.get(tx, "acme", "live", told["id"]))
    assert found is not None
    assert told["seconds"] == pytest.approx(len(found.audio) / 8000, abs=0.01)
    return found


async def test_what_is_said_after_the_tone_is_kept_and_its_id_is_in_the_plans_variable(calling: Any) -> None:
    """0510 says a sentence of 2 s when it answers, 0511 nothing, 0601 hangs up 2 s after the answer, into its hello."""
    said, silent, gone = await over(calling, "0510", "0511", "0601")

    found = await kept(calling, said)
    assert (said.outcome, said.collected) == ("said", {"note": found.id})
    assert (found.call_id, found.node) == (said.id, "tell")
    assert 1.7 < len(found.audio) / 8000 < 2.3
    assert active_level(found.pcm) > -20
    assert (silent.outcome, silent.recordings, silent.collected) == ("nothing_said", [], {})
    # who hangs up meanwhile has said it all the same
    cut = await kept(calling, gone)
    assert gone.collected == {"note": cut.id}
    assert 0.4 < len(cut.audio) / 8000 < 0.8


async def test_a_recording_ends_at_its_key_and_at_its_most(calling: Any) -> None:
    """0304 presses 1 one second after it answered; 0510 speaks for longer than the plan lets it."""
    source = PLAN.replace("max: 8s", "max: 1s").replace("silence: 1s", 'silence: 3s, finish_key: "1"')
    pressed, long = await over(calling, "0304", "0510", source=source)

    assert (pressed.outcome, pressed.keys) == ("said", "1")
    assert 0.4 < len((await kept(calling, pressed)).audio) / 8000 < 0.8
    assert 0.7 < len((await kept(calling, long)).audio) / 8000 < 1.05


async def test_who_listens_for_the_end_of_a_recording_does_not_say_who_answered(calling: Any) -> None:
    """0304 ends it by its key in mid-detection, and is silent while the call goes on."""
    source = PLAN.replace("silence: 1s", 'silence: 1s, finish_key: "1"')
    source = source.replace("next: thanks", "next: wait").replace(
        "  thanks:", "  wait: {pause: 1500ms, next: thanks}\n  thanks:"
    )
    (call,) = await over(calling, "0304", source=source)

    assert (call.outcome, call.answered_by, call.detection) == ("said", "unknown", {})


async def test_recordings_are_deleted_when_they_are_as_old_as_the_settings_allow(calling: Any) -> None:
    (call,) = await over(calling, "0510")
    found = await kept(calling, call)

    before = await calling.database.write(lambda tx: recordings.forget(tx, found.created_ms - 60_000, 10))
    after = await calling.database.write(lambda tx: recordings.forget(tx, found.created_ms + 60_000, 10))

    assert (before, after) == (0, 1)
    assert await calling.database.read(lambda tx: recordings.get(tx, "acme", "live", found.id)) is None
