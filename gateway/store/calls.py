"""What is kept of a call: the plan it is pinned to, how far it came, and how it ended."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from gateway.errors.voice import UnknownDialplan
from gateway.model.call import Call
from gateway.store import abandonment, attempts, dialplans, lives
from gateway.store.database import Database, Tx
from gateway.store.records import to_record
from gateway.voice import loader
from gateway.voice.dialplan import Plan, Play, Say
from gateway.voice.state import State

Prompt = Mapping[str, Any]  # {"text" or "name": …, "seconds": …}, as `Call.prompts`
_PLANS: Final = 256  # read plans held in memory


class Plans:
    """Published plans, read once: a version never changes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._read: OrderedDict[tuple[str, str, int], Plan] = OrderedDict()

    async def get(self, tenant_id: str, name: str, version: int | None = None) -> tuple[int, Plan]:
        """Give a version of a plan, or the newest, with its number. Raises UnknownDialplan, BadDialplan."""
        found = (tenant_id, name, version or 0)
        if version is not None and found in self._read:
            self._read.move_to_end(found)
            return version, self._read[found]
        kept = await self._database.read(lambda tx: dialplans.source_of(tx, tenant_id, name, version))
        if kept is None:
            raise UnknownDialplan(name)
        key = (tenant_id, name, kept[0])
        if key not in self._read:
            self._read[key] = await asyncio.to_thread(loader.load, kept[1], file=f"{name}.yaml")
            while len(self._read) > _PLANS:
                self._read.popitem(last=False)
        return kept[0], self._read[key]


def prompt(part: Say | Play, seconds: float) -> Prompt:
    """One entry of `Call.prompts`: what was played, and for how long."""
    said = {"text": part.text} if isinstance(part, Say) else {"name": part.name}
    return {**said, "seconds": round(seconds, 2)}


async def get(tx: Tx, call_id: str) -> Call | None:
    """The call with this id."""
    row = await tx.row("calls_one", id=call_id)
    return to_record(Call, row) if row is not None else None


async def by_carrier_id(tx: Tx, carrier_id: str) -> Call | None:
    """The call that its carrier names so."""
    row = await tx.row("calls_by_carrier_id", carrier_id=carrier_id)
    return to_record(Call, row) if row is not None else None


def with_engine_state(call: Call, engine_state: str) -> Call:
    """The same call, kept between webhooks."""
    return replace(call, engine_state=engine_state)


async def at_carriers(tx: Tx) -> list[Call]:
    """Every call that is dialing, ringing or answered, and lives between webhooks."""
    return [to_record(Call, row) for row in await tx.rows("calls_at_carriers")]


async def left_at_carrier(tx: Tx) -> list[Call]:
    """Every call that lives between webhooks and whose process is gone."""
    return [to_record(Call, row) for row in await tx.rows("calls_left_at_carrier")]


async def progress(
    tx: Tx, call_id: str, state: State, prompts: Sequence[Prompt], now_ms: int, *, engine_state: str = ""
) -> None:
    """Keep how far a call came. `engine_state` is what goes on with it between webhooks; empty once it is over."""
    begun = state.answered_at or 0.0
    path = [{"node": visit.node, "at_ms": round((visit.at - begun) * 1000)} for visit in state.path]
    await tx.run(
        "calls_progress",
        id=call_id,
        answered_by=state.answered_by or "",
        outcome=state.outcome,
        keys=state.pressed,
        path=orjson.dumps(path).decode(),
        prompts=orjson.dumps(list(prompts)).decode(),
        collected=orjson.dumps(dict(state.collected)).decode(),
        engine_state=engine_state,
        now_ms=now_ms,
    )


async def turned(tx: Tx, call: Call, engine_state: str) -> bool:
    """Let a call go on from what `call` was read with. False: another process answered the same webhook meanwhile."""
    return bool(await tx.run("calls_turned", id=call.id, before=call.engine_state, engine_state=engine_state))


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a call leaves beside its way through the plan; the fields are those of `Call`."""

    detection: Mapping[str, object] = field(default_factory=dict)
    message_delay_ms: int | None = None
    transfers: Sequence[Mapping[str, object]] = ()
    recordings: Sequence[Mapping[str, object]] = ()
    quality: Mapping[str, object] = field(default_factory=dict)


async def found(tx: Tx, call_id: str, evidence: Evidence) -> None:
    """Keep that of a call, in place of what was kept before."""
    await tx.run(
        "calls_found",
        id=call_id,
        detection=orjson.dumps(dict(evidence.detection)).decode(),
        message_delay_ms=evidence.message_delay_ms,
        transfers=orjson.dumps(list(evidence.transfers)).decode(),
        recordings=orjson.dumps(list(evidence.recordings)).decode(),
        quality=orjson.dumps(dict(evidence.quality)).decode(),
    )


async def was_transferred(tx: Tx, call_id: str) -> bool:
    """A call that is over was put through: that is its outcome, where its plan gave none. Returns whether it is now."""
    return bool(await tx.run("calls_was_transferred", id=call_id))


async def answered(tx: Tx, call_id: str, now_ms: int, by: str) -> bool:
    """Somebody, or something, picked up. Returns whether that was news."""
    moved = await lives.move(tx, "calls", [call_id], "answered", now_ms, data={"answered_by": by})
    if moved:
        await tx.run("calls_answered", id=call_id, now_ms=now_ms)
    return bool(moved)


async def ended(
    tx: Tx, call_id: str, status: str, now_ms: int, *, reason: str = "", error_code: str = "", at_ms: int | None = None
) -> bool:
    """Put a call to its final state; what it did is read from its row (see `progress`) and told with the event.

    What the job's table says shall follow is kept with it: see `attempts`.

    at_ms:   when it ended, if that was before now.
    Returns: whether it moved; a call that had ended before stays as it is.
    """
    call = await get(tx, call_id)
    if call is None:
        return False
    ended_ms = at_ms or now_ms
    following = await attempts.after(tx, call, status, reason, now_ms)
    data = _told(call, ended_ms) if call.answered_ms is not None else {}
    if following is not None:
        data |= following.told
    moved = await lives.move(tx, "calls", [call_id], status, now_ms, reason=reason, error_code=error_code, data=data)
    if moved:
        await tx.run("calls_ended", id=call_id, now_ms=ended_ms)
        await abandonment.count(tx, call, ended_ms)
        if following is not None:
            await attempts.keep(tx, following)
    return bool(moved)


def _told(call: Call, ended_ms: int) -> dict[str, object]:
    seconds = max(0, ended_ms - (call.answered_ms or ended_ms)) / 1000
    collected: Mapping[str, str] = call.collected
    return {
        "outcome": call.outcome,
        "keys": call.keys,
        "answered_by": call.answered_by,
        "collected": collected,
        "seconds": round(seconds, 1),
    }
