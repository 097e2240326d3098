"""`/v1/recordings`: what people said into calls."""

from aiohttp import web

from gateway.api.operation import Call, operation
from gateway.errors.api import NotFound
from gateway.media import wav
from gateway.store import recordings


@operation(
    "GET",
    "/v1/recordings/{id}",
    "A spoken answer.",
    scope="calls:read",
    answers={200: None},
    gives="audio/wav",
)
async def one(call: Call) -> web.Response:
    """WAV, 8 kHz, one channel, 16 bits. Calls list theirs; they are deleted after `retention.recordings_days`."""
    tenant_id, mode, recording_id = call.key.tenant_id, call.key.mode, call.path("id")
    found = await call.doors.database.read(lambda tx: recordings.get(tx, tenant_id, mode, recording_id))
    if found is None:
        raise NotFound("recording")
    headers = {"Cache-Control": "private, no-store"}
    return web.Response(body=wav.write(found.pcm), content_type="audio/wav", headers=headers)
