"""Spoken answers, on every kind of database."""

from gateway.clock import first_id
from gateway.model.call import Call
from gateway.store import recordings
from gateway.store.database import Database

CALL = Call("call_1", "acme", "live", "+18005550199", "+12125551234", "bill", 1)


async def test_a_recording_is_its_tenants_alone_is_kept_once_and_is_forgotten_in_time(database: Database) -> None:
    old, new = first_id("rec", 1_000) + "0", first_id("rec", 90_000) + "0"
    for recording_id, audio in ((old, bytes(range(256))), (new, b"new"), (new, b"again")):
        await database.write(
            lambda tx, rid=recording_id, sound=audio: recordings.add(tx, CALL, rid, "tell", sound, 1)  # type: ignore[misc]
        )

    found = await database.read(lambda tx: recordings.get(tx, "acme", "live", old))
    assert found is not None
    assert (found.audio, found.call_id, found.node) == (bytes(range(256)), "call_1", "tell")
    assert len(found.pcm) == 512
    assert (await database.read(lambda tx: recordings.get(tx, "acme", "live", new))).audio == b"new"  # type: ignore[union-attr]
    assert await database.read(lambda tx: recordings.get(tx, "other", "live", old)) is None
    assert await database.read(lambda tx: recordings.get(tx, "acme", "test", old)) is None

    assert await database.write(lambda tx: recordings.forget(tx, 50_000, 10)) == 1
    assert await database.read(lambda tx: recordings.get(tx, "acme", "live", old)) is None
