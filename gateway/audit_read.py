"""Where the auditor's ledgers come from: the database, the far end's file, the engine's file."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any, Final, TypeAlias

import orjson

from gateway.audit_ledgers import Accepted, Arrival, Ledgers, Move, Stop, Text, Usage
from gateway.clock import first_id
from gateway.errors.cli import BadLedger, FileUnreadable
from gateway.limits.binding import Binding, attempted
from gateway.limits.profiles import Profiles
from gateway.model.limit import Limit, UsageRow
from gateway.model.sender import Sender
from gateway.model.states import MESSAGE_MOVES
from gateway.store.database import Database, Row
from gateway.store.records import loads, to_record
from gateway.workers.limits_in_force import LimitsInForce, Unknown

Fields: TypeAlias = dict[str, type | tuple[type, ...]]  # by name, the types its value may have

_ARRIVAL: Final[Fields] = {
    **dict.fromkeys(("message_id", "sender", "to", "outcome"), str),
    **dict.fromkeys(("segments", "at_ms"), int),
    "at_s": (int, float),
}
_ANSWER: Final[Fields] = {
    **dict.fromkeys(("message_id", "job_id", "reference", "stop", "tenant_id", "mode", "scope"), str),
    "people": int,
}
_PAGE: Final = 5_000  # texts a read, so that a running gateway's readers are not kept waiting
_STOP_KNOWN_AFTER_MS: Final = 5_000  # the database knows when a stop came in, not when it was acknowledged


async def read_database(
    database: Database,
    profiles: Profiles,
    *,
    accepted: Sequence[Accepted] | None = None,
    stops: Sequence[Stop] | None = None,
    arrivals: Sequence[Arrival] | None = None,
    since_ms: int = 0,
    unknown_network: Unknown = "all",
) -> Ledgers:
    """All that the database says, beside the other ledgers; safe on a running gateway's.

    unknown_network: the setting `limits.unknown_network`.
    since_ms: texts accepted before that are not read: what came of them may be forgotten.
    stops: what the engine saw acknowledged; None takes the database's own word, with five seconds' grace.
    """
    counted = await database.read(lambda tx: tx.rows("counted_now"))
    before = await _usage(database)
    loading = await database.read(lambda tx: tx.rows("audit_loading"))
    texts = [text async for page in _pages(database, first_id("msg", since_ms)) for text in _texts(page)]
    jobs = await database.read(lambda tx: tx.rows("audit_jobs"))
    if stops is None:
        stops = _stops(await database.read(lambda tx: tx.rows("audit_stops")))
    return Ledgers(
        texts=texts,
        limits=await _limits(database, profiles, unknown_network, texts),
        usage=Usage(before, await _usage(database)),
        counted={row["limit_key"]: row["since_us"] for row in counted},
        stops=stops,
        since_ms=since_ms,
        jobs=[(row["id"], row["reference"]) for row in jobs],
        loading=frozenset(row["job_id"] for row in loading),
        accepted=accepted,
        arrivals=arrivals,
    )


async def _usage(database: Database) -> list[UsageRow]:
    rows = await database.read(lambda tx: tx.rows("audit_usage"))
    return [UsageRow(row["limit_key"], row["window_us"], row["used"], row["seq"]) for row in rows]


async def _pages(database: Database, after: str) -> Any:
    while rows := await database.read(lambda tx: tx.rows("audit_texts", after=after, limit=_PAGE)):  # noqa: B023
        yield rows
        after = rows[-1]["id"]


def _texts(rows: Iterable[Row]) -> Iterator[Text]:
    names = (
        "id",
        "tenant_id",
        "mode",
        "sender",
        "recipient",
        "kind",
        "status",
        "segments",
        "reference",
        "job_id",
        "network",
        "reason",
    )
    for _, each in groupby(rows, key=lambda row: row["id"]):
        same = list(each)
        happened = [row for row in same if row["type"] is not None]
        row = same[0]
        yield Text(
            **{name: row[name] for name in names},
            attempts=row["attempts"],
            sent_ms=row["sent_ms"],
            moves=tuple(_moves(happened)),
            resent=sum(row["type"] == "message.resent" for row in happened),
        )


def _moves(rows: Iterable[Row]) -> Iterator[Move]:
    """Events that are moves; others tell of a text without moving it (`message.report`)."""
    for row in rows:
        state = row["type"].partition(".")[2]
        if state in MESSAGE_MOVES:
            yield Move(row["seq"], state, row["at_ms"], row["event_reason"])


async def _limits(
    database: Database, profiles: Profiles, unknown: Unknown, texts: Iterable[Text]
) -> Callable[[Text], Sequence[Limit]]:
    """What each of these texts counts against, in every scope, as it stands today."""
    in_force = LimitsInForce(database, profiles, unknown)
    senders = {row["number"]: row for row in await database.read(lambda tx: tx.rows("audit_senders"))}
    bound: dict[tuple[str, str], Binding] = {}
    for sender, mode in {(text.sender, text.mode) for text in texts}:
        if sender in senders:
            bound[sender, mode] = await in_force.of_texts(to_record(Sender, senders[sender]), mode)

    def limits(text: Text) -> Sequence[Limit]:
        binding = bound.get((text.sender, text.mode))
        if binding is None:  # the sender was taken away
            return ()
        shared, own = binding.of([(text.network, attempted(text.kind, text.recipient))])
        return (*shared, *(own[0] if own else ()))

    return limits


def _stops(rows: Iterable[Row]) -> list[Stop]:
    said: list[Stop] = []
    for row in rows:
        scope = str(dict(loads(row["data"])).get("scope", "tenant"))
        whose = (row["tenant_id"], row["mode"], row["subject"])
        if row["type"] == "opt_out.created":
            said.append(Stop(*whose, scope, row["at_ms"] + _STOP_KNOWN_AFTER_MS))
            continue
        for place, stop in enumerate(said):  # a start lifts what it names and what holds for all senders
            mine = (stop.tenant_id, stop.mode, stop.recipient) == whose and stop.lifted_ms is None
            if mine and stop.scope in {scope, "tenant"}:
                said[place] = replace(stop, lifted_ms=row["at_ms"])
    return said


# --- files


def read_arrivals(path: Path) -> list[Arrival]:
    """The far end's ledger: one JSON object a line, as `gateway simulate --ledger-file` writes it. Raises BadLedger.

    Lines whose `kind` is not "text" are passed over. A carrier's own export does as well, in the same fields.
    """
    return [
        Arrival(
            message_id=each["message_id"],
            sender=each["sender"],
            recipient=each["to"],
            segments=each["segments"],
            outcome=each["outcome"],
            at_s=each["at_s"],
            at_ms=each["at_ms"],
        )
        for each in _lines(path, _of_arrival)
        if each["kind"] == "text"
    ]


def read_accepted(path: Path) -> tuple[list[Accepted], list[Stop]]:
    """The engine's ledger: one JSON object a line, written when an answer came. Raises BadLedger.

    `{"at_ms", "message_id", "reference"}` for a text that was answered 202, `{"at_ms", "job_id", "people",
    "reference"}` for a job, and `{"at_ms", "stop", "tenant_id", "mode", "scope"}` for a stop that was acknowledged,
    where `stop` is the person's number. References are optional; one names one text or job.
    """
    accepted: list[Accepted] = []
    stops: list[Stop] = []
    for each in _lines(path, _of_answer):
        if "stop" in each:
            whose = (each.get("tenant_id", ""), each.get("mode", "live"), each["stop"])
            stops.append(Stop(*whose, each.get("scope", "tenant"), each["at_ms"], each.get("lifted_ms")))
        else:
            names = ("message_id", "job_id", "people", "reference")
            accepted.append(Accepted(each["at_ms"], **{name: each[name] for name in names if name in each}))
    return accepted, stops


def _of_arrival(line: dict[str, Any]) -> Fields:
    return {"kind": str} | (_ARRIVAL if line.get("kind") == "text" else {})


def _of_answer(line: dict[str, Any]) -> Fields:
    return {"at_ms": int} | {name: kind for name, kind in _ANSWER.items() if name in line}


def _lines(path: Path, fields: Callable[[dict[str, Any]], Fields]) -> Iterator[dict[str, Any]]:
    """The lines of a ledger. `fields`: what one of them must have, and of what type."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise FileUnreadable(str(path), error.strerror or str(error)) from None
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            found = orjson.loads(line)
        except orjson.JSONDecodeError:
            found = None
        if not isinstance(found, dict):
            raise BadLedger(str(path), number, "is not a JSON object")
        wrong = [name for name, kind in fields(found).items() if not isinstance(found.get(name), kind)]
        if wrong:
            raise BadLedger(str(path), number, f"missing or of the wrong type: {', '.join(wrong)}")
        yield found
