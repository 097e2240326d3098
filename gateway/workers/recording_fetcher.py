"""Fetches spoken answers from carriers that record by themselves, again and again until they are here."""

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
from gateway.store.database import Database

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
        """Fetch what is due from one account."""
        name = turns.carrier.name
        due = await self.database.read(lambda tx: recordings.to_fetch(tx, name, now_ms(), _AT_ONCE))
        await asyncio.gather(*(self._fetch(turns, recording_id, tries) for recording_id, tries in due))

    async def _fetch(self, turns: VoiceTurns, recording_id: str, tries: int) -> None:
        pcm = await turns.carrier.recording(recording_id, timeout_s=_TIMEOUT_S)
        if pcm is None and tries < _TRIES:
            due_ms = now_ms() + 1000 * 2**tries
            await self.database.write(lambda tx: recordings.tried(tx, recording_id, due_ms))
            return
        if pcm is None:
            _log.error("recording_given_up", tries=tries)
        audio = g711.encode(pcm or b"")
        await self.database.write(lambda tx: recordings.fetched(tx, recording_id, audio))
