"""Settles what no carrier answered for by asking the carriers what they have: at the start, then on a timer.

What is found gets the carrier's id and becomes `sent` (and further, if it is). What two lists, read whole and some
time apart, do not have is left to a person, or queued again as a flagged copy where its job was made so. Nothing is
ever queued again by itself otherwise.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from gateway import steps
from gateway.carriers import reports
from gateway.carriers.base import Listed, ListingCarrier, SmsCarrier
from gateway.clock import now_ms
from gateway.errors.carriers import CarrierListUnread
from gateway.errors.store import StoreUnavailable
from gateway.metrics import Metrics
from gateway.settings import Sms
from gateway.store import lives, settling
from gateway.store.database import Database, Row, Tx
from gateway.store.signals import Signals
from gateway.workers.pairing import Lost, Window, pair

_GLANCE_S: Final = 1.0  # how often the database is asked what is due
_GRACE_S: Final = 5.0  # a report is likely to come first
_SKEW_MS: Final = 60_000  # how far the carrier's clock may be behind ours
_TRIES: Final = 5  # lists in a row that could not be read, before a person is told; each waits longer than the last
_LONGEST: Final = 60  # times `ask_every_s`
_LIMIT: Final = 500  # texts a look
_AT_ONCE: Final = 8  # lists read at a time
_EARLY_KEPT_MS: Final = 24 * 3_600_000
_TIDY_EVERY_MS: Final = 60_000
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Reconciler:
    """One for each process that sends texts; what one of them asks about, no other asks about meanwhile."""

    database: Database
    signals: Signals
    carriers: Mapping[str, SmsCarrier]
    settings: Sms
    timeout_s: float
    metrics: Metrics
    tidied_ms: int = 0

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
            except StoreUnavailable as error:
                _log.error("cannot_look_for_unknown", error=str(error))
            await asyncio.sleep(_GLANCE_S)

    async def look(self) -> int:
        """Ask about all that is due. Returns how many texts that were."""
        at_ms = now_ms()
        if at_ms - self.tidied_ms >= _TIDY_EVERY_MS:
            await self.database.write(lambda tx: _tidy(tx, at_ms))
            self.tidied_ms = at_ms
        rows = await self._due(at_ms)
        groups: defaultdict[tuple[str, str, str], list[Row]] = defaultdict(list)
        for row in rows:
            groups[row["carrier"], row["sender"], row["recipient"]].append(row)
        lists = list(groups.items())
        silent: set[str] = set()  # carriers that answer nobody just now: the rest of theirs is not asked about in vain
        for first in range(0, len(lists), _AT_ONCE):
            some = lists[first : first + _AT_ONCE]
            read = await asyncio.gather(*(self._ask(*place, lost, silent) for place, lost in some))
            answered = {place[0] for (place, _), was_read in zip(some, read, strict=True) if was_read}
            silent |= {place[0] for place, _ in some} - answered
        if rows:
            self.signals.wake("events")
            self.signals.wake("messages")
        return len(rows)

    async def _due(self, at_ms: int) -> list[Row]:
        grace_ms = int(min(_GRACE_S, self.settings.ask_every_s) * 1000)
        which = {"before_ms": at_ms - grace_ms, "limit": _LIMIT}
        if not await self.database.read(
            lambda tx: tx.row("unsettled_due", now_ms=at_ms, enough=settling.LOOKS, **which)
        ):
            return []  # nothing to claim: no commit
        next_ms = at_ms + self._every_ms
        return await self.database.write(lambda tx: settling.claim_due(tx, at_ms, next_ms=next_ms, **which))

    @property
    def _every_ms(self) -> int:
        return int(self.settings.ask_every_s * 1000)

    @property
    def _window(self) -> Window:
        return Window(_SKEW_MS, int(self.settings.ask_window_s * 1000))

    async def _ask(self, road: str, sender: str, recipient: str, rows: Sequence[Row], silent: Collection[str]) -> bool:
        """Read one list, and settle what it settles. Returns whether it could be read."""
        carrier = self.carriers.get(road)
        if not isinstance(carrier, ListingCarrier):
            await self._write(rows, None, "", final_tries=1)
            return False
        since_ms = min(_lost(row).written_ms for row in rows) - self._window.before_ms
        listed: Sequence[Listed] | None = None
        if road not in silent:
            try:
                listed = await carrier.listed(sender, recipient, since_ms, timeout_s=self.timeout_s)
            except CarrierListUnread as error:
                _log.warning("carrier_list_unread", carrier=carrier.name, error=str(error))
        await self._write(rows, listed, carrier.name, final_tries=_TRIES)
        return listed is not None

    async def _write(
        self, rows: Sequence[Row], listed: Sequence[Listed] | None, carrier: str, *, final_tries: int
    ) -> None:
        """Settle these texts by a list, or (None) by there being none. `final_tries`: how often that may be so."""
        at_ms = now_ms()

        async def work(tx: Tx) -> dict[str, int]:
            still = {row["id"] for row in await tx.rows("messages_still_unknown", ids=[row["id"] for row in rows])}
            here = [row for row in rows if row["id"] in still]
            if listed is None:
                return await self._unread(tx, here, at_ms, final_tries)
            if await self._is_one_under_way(tx, here):
                return {}  # the list may have it, and nobody knows yet under which id: asked again soon
            found = await self._found(tx, here, listed, carrier, at_ms)
            absent = await self._absent(tx, [row for row in here if row["id"] not in found], at_ms)
            return {"carrier": len(found), **absent}

        steps.reached("settle:before")
        settled = await self.database.write(work)
        steps.reached("settle:after")
        for how, count in settled.items():
            self.metrics.settled.labels(how).inc(count)

    async def _is_one_under_way(self, tx: Tx, rows: Sequence[Row]) -> bool:
        """Whether a text from the same sender to the same person is being offered this moment."""
        first = rows[0] if rows else None
        whose = {name: first[name] for name in ("sender", "recipient")} if first is not None else None
        return whose is not None and await tx.row("messages_under_way_to", **whose) is not None

    async def _found(
        self, tx: Tx, rows: Sequence[Row], listed: Sequence[Listed], carrier: str, at_ms: int
    ) -> dict[str, Listed]:
        ids = [each.report.carrier_id for each in listed]
        taken = {row["carrier_id"] for row in await tx.rows("messages_known_carrier_ids", carrier_ids=ids)}
        free = [each for each in listed if each.report.carrier_id not in taken]
        final = all(row["looks"] + 1 >= settling.LOOKS and self._is_over(row, at_ms) for row in rows)
        found = pair([_lost(row) for row in rows], free, self._window, final=final)
        for message_id, match in found.items():
            report = match.report
            await tx.run("messages_taken", id=message_id, carrier=carrier, carrier_id=report.carrier_id)
            await lives.move(tx, "messages", [message_id], "sent", at_ms, reason="found_at_carrier")
            if report.status not in {"", "sent"}:
                code = report.error_code
                await lives.move(
                    tx, "messages", [message_id], report.status, at_ms, reason=report.reason, error_code=code
                )
        sent_on = [row for row in rows if row["id"] in found and found[row["id"]].report.has_left]
        await reports.left_queue(tx, sent_on, at_ms)
        await reports.take_early(tx, carrier, [each.report.carrier_id for each in found.values()], at_ms)
        return found

    async def _absent(self, tx: Tx, rows: Sequence[Row], at_ms: int) -> dict[str, int]:
        looks = {row["id"]: row["looks"] + self._is_over(row, at_ms) for row in rows}
        await self._note(tx, {row["id"]: (looks[row["id"]], 0) for row in rows}, at_ms)
        gone = [row for row in rows if looks[row["id"]] >= settling.LOOKS]
        return await self._leave(tx, gone, "absent_at_carrier", at_ms)

    async def _unread(self, tx: Tx, rows: Sequence[Row], at_ms: int, final_tries: int) -> dict[str, int]:
        """The list could not be read: nothing counts as absent. A person is told once, and it is tried on."""
        over = [row for row in rows if self._is_over(row, at_ms)]
        await self._note(tx, {row["id"]: (row["looks"], row["tries"] + (row in over)) for row in rows}, at_ms)
        told = [row for row in over if row["tries"] + 1 == final_tries]
        return await self._leave(tx, told, "carrier_not_asked", at_ms)

    async def _note(self, tx: Tx, counts: Mapping[str, tuple[int, int]], at_ms: int) -> None:
        """Keep how many looks and tries each has had."""
        rows = [
            {
                "message_id": message_id,
                "looks": looks,
                "tries": tries,
                "next_ms": at_ms + self._every_ms * min(max(tries, 1), _LONGEST),
            }
            for message_id, (looks, tries) in counts.items()
        ]
        await tx.many("unsettled_looked", rows)

    async def _leave(self, tx: Tx, rows: Sequence[Row], reason: str, at_ms: int) -> dict[str, int]:
        """What the carrier cannot settle: queued again, once, where its job was made so; else a person's."""
        again = [row["id"] for row in rows if row["on_unknown"] == "resend" and row["copies"] == 0]
        rest = [row["id"] for row in rows if row["id"] not in again]
        copies = await settling.resend(tx, again, at_ms, by="job") if again else []
        if rest:
            await settling.rest(tx, rest, reason, at_ms)
        return {"resent": len(copies), "unsettled": len(rest)}

    def _is_over(self, row: Row, at_ms: int) -> bool:
        """Whether what left by now would stand in the carrier's list."""
        return at_ms >= _lost(row).written_ms + self._window.after_ms


def _lost(row: Row) -> Lost:
    return Lost(row["id"], row["body"], row["sent_ms"] or row["updated_ms"])


async def _tidy(tx: Tx, at_ms: int) -> None:
    await tx.run("unsettled_forget_settled")
    await tx.run("early_reports_forget", before_ms=at_ms - _EARLY_KEPT_MS)
