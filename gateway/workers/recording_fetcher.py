"""Fetches spoken answers from carriers that record by themselves, until they are here and no more there."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from gateway.carriers.voice_turns import VoiceTurns
from gateway.clock import now_ms
from gateway.errors.store import StoreUnavailable
from gateway.media import g711
from gateway.store import recordings
from gateway.store.database import Database, Tx
from gateway.store.recordings import Due

_EVERY_S: Final = 2.0
_AT_ONCE: Final = 4  # a recording may have 10 MB
_TIMEOUT_S: Final = 30.0
_TRIES: Final = 14  # the last some four hours after the first
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RecordingFetcher:
    """For all accounts of this process. Several processes may fetch the same one, which harms nothing."""

    database: Database
    turns: Sequence[VoiceTurns]

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                for turns in self.turns:
                    await self.look(turns)
            except StoreUnavailable as error:
                _log.error("cannot_fetch_recordings", error=str(error))
            await asyncio.sleep(_EVERY_S)

    async def look(self, turns: VoiceTurns) -> None:
        """Fetch what is due from one account; delete there what is here."""
        name = turns.carrier.name
        due = await self.database.read(lambda tx: recordings.due_at(tx, name, now_ms(), _AT_ONCE))
        await asyncio.gather(*(self._delete(turns, each) if each.is_here else self._fetch(turns, each) for each in due))

    async def _fetch(self, turns: VoiceTurns, due: Due) -> None:
        pcm = await turns.carrier.recording(due.id, timeout_s=_TIMEOUT_S)
        if not pcm:
            await self._again(due, "recording_given_up")
            return
        audio, deletes = g711.encode(pcm), turns.carrier.deletes_recordings

        async def keep(tx: Tx) -> None:
            await recordings.fetched(tx, due.id, audio, now_ms())
            if not deletes:
                await recordings.released(tx, due.id)

        await self.database.write(keep)

    async def _delete(self, turns: VoiceTurns, due: Due) -> None:
        """What is here is on disk: nobody needs the carrier's copy."""
        is_gone = not turns.carrier.deletes_recordings or await turns.carrier.delete_recording(
            due.id, timeout_s=_TIMEOUT_S
        )
        if is_gone:
            await self.database.write(lambda tx: recordings.released(tx, due.id))
        else:
            await self._again(due, "recording_left_at_carrier")

    async def _again(self, due: Due, told: str) -> None:
        if due.tries < _TRIES:
            due_ms = now_ms() + 1000 * 2**due.tries
            await self.database.write(lambda tx: recordings.tried(tx, due.id, due_ms))
            return
        _log.error(told, tries=due.tries, recording=due.id)
        await self.database.write(lambda tx: recordings.released(tx, due.id))
