"""Spoken answers over HTTP."""

import io
import wave

from gateway.clock import now_ms
from gateway.model.call import Call
from gateway.store import recordings
from tests.api.conftest import PERSON, TOLL_FREE, Api


async def test_a_spoken_answer_is_fetched_as_wav_by_its_tenant_and_by_nobody_else(api: Api) -> None:
    ours = Call("call_1", "acme", "live", TOLL_FREE, PERSON, "note", 1)
    theirs = Call("call_2", "other", "live", TOLL_FREE, PERSON, "note", 1)

    async def keep(tx: object) -> None:
        for call, recording_id in ((ours, "rec_ours"), (theirs, "rec_theirs")):
            await recordings.add(tx, call, recording_id, "tell", b"\xff" * 8000, now_ms())  # type: ignore[arg-type]

    await api.doors.database.write(keep)

    found = await api.get("/v1/recordings/rec_ours")
    with wave.open(io.BytesIO(found.body)) as sound:
        facts = (sound.getframerate(), sound.getnchannels(), sound.getsampwidth(), sound.getnframes())

    assert (found.status, found.headers["Content-Type"], facts) == (200, "audio/wav", (8000, 1, 2, 8000))
    assert (await api.get("/v1/recordings/rec_theirs")).slug == "not_found"
    assert (await api.get("/v1/recordings/rec_none")).status == 404
    reader = await api.key("messages:read")
    assert (await api.get("/v1/recordings/rec_ours", secret=reader)).slug == "missing_scope"
