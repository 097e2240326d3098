"""One trial: a seed makes a world, sizes, and trouble; afterwards everything is settled, drained and audited."""

import asyncio
import contextlib
import json
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from gateway.audit import audit
from gateway.audit_ledgers import Judged
from gateway.audit_read import read_accepted, read_arrivals, read_database
from gateway.limits.profiles import Profiles
from tests.chaos.calls import Calls
from tests.chaos.engine import Engine
from tests.chaos.fault import Fault
from tests.chaos.faults import FAULTS
from tests.chaos.processes import HOME
from tests.chaos.world import RESTING, TENANT, World, world
from tests.peers.postgres import NoDiskError, PostgresServer, postgres_server

_JITTER_MS: Final = 150  # the far end shares two cores with everything else; our own stamps are judged to 1 ms
_FINAL_BUT_REPORTED: Final = {"sent"}


@dataclass
class Trial:
    """What one seed did, and what was found. `findings` are lines for people; none: every promise was kept."""

    seed: int
    fault: str
    store: str
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    texts: int = 0
    unknown: int = 0
    seconds: float = 0.0
    folder: str = ""
    skipped: str = ""  # why nothing was done

    @property
    def promises(self) -> set[str]:
        """The promises that were broken."""
        return {line.split()[0] for line in self.findings}


def pairs() -> list[tuple[type[Fault], str]]:
    """Every fault on every database it fits; first every fault once."""
    return [
        (each, each.stores[(place + turn) % len(each.stores)])
        for turn in range(2)
        for place, each in enumerate(FAULTS)
        if turn < len(each.stores)
    ]


def plan(seed: int, *, fault: str = "", store: str = "") -> tuple[type[Fault], str]:
    """The seed's fault and database, each pair in turn."""
    fitting = [pair for pair in pairs() if fault in {"", pair[0].name} and store in {"", pair[1]}]
    return fitting[seed % len(fitting)]


async def run(
    seed: int, kind: type[Fault], server: PostgresServer | None, *, full: bool = False, keep: bool = False
) -> Trial:
    """Run one trial, on `server` or on SQLite. Whatever breaks in the harness itself is a finding, too."""
    store = "sqlite" if server is None else "postgresql"
    trial = Trial(seed, kind.name, store)
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-"))
    try:
        with _of_its_own(kind, server) as its:
            await _run(trial, kind(Random(f"{seed} fault"), full=full), folder, its)
    except NoDiskError as error:
        trial.skipped = str(error)
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - it is told, with the seed
        trial.findings.append(f"-- harness: {type(error).__name__}: {str(error)[:300]}")
    trial.seconds = time.monotonic() - began
    if trial.findings or keep:
        trial.folder = str(folder)
    else:
        await asyncio.to_thread(_remove, folder)
    return trial


def _of_its_own(
    kind: type[Fault], shared: PostgresServer | None
) -> contextlib.AbstractContextManager[PostgresServer | None]:
    """The server of a trial: one with a disk to fill, where that is what is done. Raises NoDiskError."""
    return postgres_server(disk_mb=kind.disk_mb) if kind.disk_mb else contextlib.nullcontext(shared)


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


async def _run(trial: Trial, fault: Fault, folder: Path, server: PostgresServer | None) -> None:
    dice = Random(f"{trial.seed} world")
    async with world(
        folder,
        dice,
        server=server,
        shift_s=fault.shift_s,
        workers=fault.workers,
        rings=fault.rung > 0,
        relayed=fault.relayed,
    ) as place:
        trial.notes = place.notes
        if not fault.clock_steady:
            place.gateway.clock.write_text("+0\n")
        engine = Engine(
            place, dice, people=dice.randint(*fault.people), stops=fault.stops, jobs=fault.jobs, share=fault.in_job
        )
        await engine.listen()
        try:
            await _play(trial, fault, place, engine)
        finally:
            await engine.close()


async def _play(trial: Trial, fault: Fault, place: World, engine: Engine) -> None:
    dice = place.dice
    people = len(engine.people)
    limits: dict[str, object] = {"rate": f"{dice.choice((40, 75, 120))}/s", **fault.limits}
    if fault.capped and not fault.limits and dice.random() < fault.capped:
        limits["daily"] = max(85, int(people * dice.uniform(0.5, 1.1)))
    beyond = _beyond(dice, people) if not fault.limits and dice.random() < 0.4 else {}
    if dice.random() < 0.25 and fault.capped:
        await place.carrier(silence=True, every=dice.randint(8, 20))
    place.note(f"{people} people, {len(engine.stops)} stops, {limits}, {beyond}, kill {fault.kill or 'nothing'}")
    await asyncio.gather(place.gateway.start(kill=fault.kill), *(each.start() for each in place.gateways[1:]))
    calls = Calls(place, engine, dice, fault.rung) if fault.rung else None
    striking = asyncio.create_task(fault.strike(place))
    try:
        await place.sender(**limits)
        for scope, its in beyond.items():
            await place.sure("PUT", f"/v1/limits/{scope}", {"limits": its})
        await fault.ready(place)
        await asyncio.gather(striking, engine.work(), *([calls.work()] if calls else []))
    finally:
        striking.cancel()
    await fault.heal(place)
    await place.carrier(silence=False, every=0)
    for gateway in place.gateways:
        if not gateway.alive:
            await gateway.start()
    place.note("everything was handed over")
    await _judge(trial, fault, place, engine, limits, beyond | fault.late)
    if calls is not None:
        trial.findings += await calls.faults()


def _beyond(dice: Random, people: int) -> dict[str, dict[str, object]]:
    """Limits of one scope beyond the sender's, by its path under /v1/limits."""
    some = max(85, int(people * dice.uniform(0.5, 1.1)))
    return dice.choice(
        (
            {f"tenant/{TENANT}": {"daily": some, "zones": ["Etc/GMT+8", "Europe/Paris"]}},
            {f"tenant/{TENANT}": {"rolling": [f"{some}/1h"], "unit": "message"}},
            {"account/twilio": {"rate": "30/s"}},
            {"recipient/each": {"rolling": ["1/24h"]}},
        )
    )


async def _judge(
    trial: Trial,
    fault: Fault,
    place: World,
    engine: Engine,
    limits: dict[str, object],
    beyond: dict[str, dict[str, object]],
) -> None:
    if not await place.until(lambda: _rests(place), 45):
        trial.findings.append(f"P1 not_resting: {dict(await place.states())}; {await _whys(place)}")
    trial.findings += await _unexplained(place)
    place.note(f"at rest: {dict(await place.states())}")
    await _hold_against(trial, fault, place, engine, ended=False)
    open_limits = {name: limits[name] for name in ("rate", "zones") if name in limits}
    if len(open_limits) < len(limits):
        await place.sender(**open_limits)
    for scope, its in beyond.items():
        await place.sure("PUT", f"/v1/limits/{scope}", {"limits": {"rate": its["rate"]} if "rate" in its else {}})
    trial.unknown = (await place.states())["unknown"]
    await _settle(place)
    if not await place.until(lambda: _ended(place), 60):
        trial.findings.append(f"P1 not_ended: {dict(await place.states())}; {await _whys(place)}")
    place.note(f"at the end: {dict(await place.states())}")
    if not await place.until(lambda: _told(place), 20):
        trial.findings.append("P7 callbacks: some were never delivered")
    trial.findings += await _untold(place, engine)
    await _hold_against(trial, fault, place, engine, ended=True)


# --- waiting


async def _rests(place: World) -> bool:
    """Nothing is on its way any more; what is held waits for a cap."""
    states = await place.states()
    return not RESTING & states.keys()


async def _ended(place: World) -> bool:
    """Nothing waits or is open; reports that were lost are said again meanwhile, and people settle what is unknown."""
    states = await place.states()
    if not {"queued", "held", "sending", "sent", "unknown"} & states.keys():
        return True
    if not RESTING & states.keys():
        await _settle(place)
        await asyncio.sleep(0.3)
    return False


async def _told(place: World) -> bool:
    return not await place.database.read(lambda tx: tx.rows("audit_untold"))


# --- settling


async def _settle(place: World) -> None:
    """What a carrier, the reconciler and a person do: reports come again, and the rest is settled by hand."""
    texts = {each["message_id"]: each["sid"] for each in _taken(place)}
    rows = await place.database.read(lambda tx: tx.rows("audit_texts", after="", limit=100_000))
    states = {row["id"]: row["status"] for row in rows}
    for message_id, status in states.items():
        if status in {"sent", "unknown"} and message_id in texts:
            form = {"MessageSid": texts[message_id], "MessageStatus": "delivered"}
            await place.webhook(f"/carriers/twilio/status?id={message_id}", form)
        elif status == "unknown":
            await _by_hand(place, message_id)


async def _by_hand(place: World, message_id: str) -> None:
    """A person looked at the carrier's log, found nothing, and lets it go or has it sent again."""
    choice = place.dice.choice(("drop", "resend"))
    with contextlib.suppress(AssertionError):  # it was settled meanwhile
        await place.sure("POST", f"/v1/messages/{message_id}/settle", {"as": choice, "note": "chaos"})
        place.note(f"by hand: {choice} {message_id}")


def _taken(place: World) -> list[dict[str, Any]]:
    lines = (json.loads(line) for line in place.far_end.ledger.read_bytes().splitlines())
    return [each for each in lines if each["kind"] == "text" and each["outcome"] == "accepted"]


# --- judging


async def _hold_against(trial: Trial, fault: Fault, place: World, engine: Engine, *, ended: bool) -> None:
    accepted, stops = read_accepted(engine.ledger)
    ledgers = await read_database(
        place.database,
        Profiles.load(HOME / "config" / "limits.toml"),
        accepted=accepted,
        stops=stops,
        arrivals=read_arrivals(place.far_end.ledger),
    )
    judged = Judged(ended=ended, jitter_ms=_JITTER_MS, clock_steady=fault.clock_steady)
    trial.texts = len(ledgers.texts)
    found = [str(each) for each in audit(ledgers, judged)]
    trial.findings += [each for each in found if each not in trial.findings]


async def _whys(place: World) -> list[object]:
    """What some of those say that should not wait any more."""
    rows = await place.database.read(lambda tx: tx.rows("audit_texts", after="", limit=100_000))
    waiting = {row["id"] for row in rows if row["status"] in {"queued", "held", "sending", "unknown"}}
    return [(await place.ask("GET", f"/v1/messages/{each}/why"))[1] for each in sorted(waiting)[:2]]


async def _unexplained(place: World) -> list[str]:
    """P6: what is held names its gate."""
    rows = await place.database.read(lambda tx: tx.rows("audit_texts", after="", limit=100_000))
    held = sorted({row["id"] for row in rows if row["status"] == "held"})
    found = []
    for each in place.dice.sample(held, k=min(3, len(held))):
        why = await place.sure("GET", f"/v1/messages/{each}/why")
        if not why.get("waiting_for"):
            found.append(f"P6 unexplained: {each}: {why}")
    return found


async def _untold(place: World, engine: Engine) -> list[str]:
    """P7: the engine was told of the end of everything it handed over."""
    rows = await place.database.read(lambda tx: tx.rows("audit_texts", after="", limit=100_000))
    ends = {(row["id"], f"message.{row['status']}") for row in rows if row["kind"] == "out"}
    told = {(each["id"], each["type"]) for each in engine.told}
    return [f"P7 untold: {each} {kind}" for each, kind in sorted(ends - told)[:5]]
