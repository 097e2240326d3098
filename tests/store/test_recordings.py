"""Spoken answers, on every kind of database."""

from gateway.model.call import Call
from gateway.store import recordings
from gateway.store.database import Database, Tx

CALL = Call("call_1", "acme", "live", "+18005550199", "+12125551234", "bill", 1)


async def test_a_recording_is_its_tenants_alone_is_kept_once_and_is_forgotten_in_time(database: Database) -> None:
    async def keep(tx: Tx) -> None:
        await recordings.add(tx, CALL, "rec_old", "tell", bytes(range(256)), 1_000)
        await recordings.add(tx, CALL, "rec_new", "tell", b"new", 90_000)
        await recordings.add(tx, CALL, "rec_new", "tell", b"again", 90_000)

    await database.write(keep)

    found = await database.read(lambda tx: recordings.get(tx, "acme", "live", "rec_old"))
    new = await database.read(lambda tx: recordings.get(tx, "acme", "live", "rec_new"))
    assert found is not None
    assert new is not None
    assert (found.audio, found.call_id, found.node, new.audio) == (bytes(range(256)), "call_1", "tell", b"new")
    assert len(found.pcm) == 512
    assert await database.read(lambda tx: recordings.get(tx, "other", "live", "rec_old")) is None
    assert await database.read(lambda tx: recordings.get(tx, "acme", "test", "rec_old")) is None

    assert await database.write(lambda tx: recordings.forget(tx, 50_000, 10)) == 1
    assert await database.read(lambda tx: recordings.get(tx, "acme", "live", "rec_old")) is None


async def test_what_a_carrier_has_is_fetched_when_it_is_due_and_then_to_be_deleted_there(database: Database) -> None:
    await database.write(lambda tx: recordings.add(tx, CALL, "RE1", "tell", b"", 1_000, source="twilio"))

    async def due(at_ms: int, source: str = "twilio") -> list[recordings.Due]:
        return await database.read(lambda tx: recordings.due_at(tx, source, at_ms, 5))

    assert await due(1_000) == [recordings.Due("RE1", 0, is_here=False)]
    assert await due(1_000, "other") == []
    assert await database.read(lambda tx: recordings.get(tx, "acme", "live", "RE1")) is None
    await database.write(lambda tx: recordings.tried(tx, "RE1", 5_000))
    assert await due(4_999) == []
    assert await due(5_000) == [recordings.Due("RE1", 1, is_here=False)]
    await database.write(lambda tx: recordings.fetched(tx, "RE1", b"said", 6_000))

    found = await database.read(lambda tx: recordings.get(tx, "acme", "live", "RE1"))
    assert found is not None
    assert found.audio == b"said"
    assert await due(9_000) == [recordings.Due("RE1", 0, is_here=True)]
    await database.write(lambda tx: recordings.released(tx, "RE1"))
    assert await due(9_000) == []
