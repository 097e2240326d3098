"""`gateway audit` on a real database and real ledgers: a world that kept its promises is passed, and each break planted in it is named.

Breaks are planted as they would come about: rows changed behind the gateway's back, lines more or fewer in a ledger.
"""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.audit_ledgers import CHECKS
from gateway.cli.root import app
from gateway.model.limit import Debit
from gateway.model.message import Message
from gateway.model.sender import Sender
from gateway.store import keys, left, lives, tenants, usage
from gateway.store.database import Database, Tx
from gateway.store.records import to_row

SENDER = "+18005550199"
NOON_MS = 1_769_860_800_000  # 2026-01-31T12:00:00Z
DAY_US = 1_769_817_600_000_000
CAP_KEY = f"sender:{SENDER}:day@UTC"
TEXTS = range(1, 6)


def person(number: int) -> str:
    return f"+1212555{1000 + number}"


async def fill(tx: Tx) -> None:
    """Five texts to five people, a second apart, all delivered; a cap of five a day, and two a second."""
    await keys.issue(tx, "water", label="test")
    numbers = {"rate": "2/s", "daily": len(TEXTS), "zones": ["UTC"]}
    await tenants.put_sender(tx, Sender(SENDER, "water", "toll_free", limits=numbers))
    for each in TEXTS:
        message_id, at_ms = f"msg_{each}", NOON_MS + 1000 * each
        text = Message(message_id, "water", "live", SENDER, person(each), "Hello", "gsm7", 1, reference=f"r{each}")
        await tx.run("messages_insert", **to_row(text))
        await usage.add(tx, [Debit(CAP_KEY, DAY_US, 1, 0)], each)
        for late, state in enumerate(("sending", "sent", "delivered")):
            await lives.move(tx, "messages", [message_id], state, at_ms + late)
        await tx.run("messages_offered", id=message_id, sent_ms=at_ms)
    await left.note_counted(tx, [CAP_KEY], 0, 0)  # they were sent under it


@dataclass
class World:
    """A database and two ledgers, before they are written."""

    rows: sqlite3.Connection
    far_end: list[dict[str, Any]] = field(default_factory=list)
    accepted: list[dict[str, Any]] = field(default_factory=list)

    def text(self, number: int, **columns: Any) -> None:
        """Change the row of one text."""
        for name, value in columns.items():
            self.rows.execute(f"UPDATE messages SET {name} = ? WHERE id = ?", (value, f"msg_{number}"))  # noqa: S608

    def event(self, number: int, state: str) -> None:
        """One more event of it."""
        self.rows.execute(
            "INSERT INTO events (type, tenant_id, mode, subject, at_ms, reason, error_code, data, callback_url) "
            "VALUES (?, 'water', 'live', ?, ?, '', '', '{}', '')",
            (f"message.{state}", f"msg_{number}", NOON_MS + 60_000),
        )

    def now_is(self, number: int, state: str, **columns: Any) -> None:
        """It moves, with its event."""
        self.event(number, state)
        self.text(number, status=state, **columns)

    def forget_events(self, number: int, *states: str) -> None:
        for state in states:
            what = (f"msg_{number}", f"message.{state}")
            self.rows.execute("DELETE FROM events WHERE subject = ? AND type = ?", what)

    def written_at(self, number: int, at_ms: int) -> None:
        """Its bytes left then, by both our stamp and the far end's clock."""
        self.text(number, sent_ms=at_ms)
        self.far_end[number - 1] |= {"at_ms": at_ms, "at_s": at_ms / 1000}

    def stop(self, number: int, at_ms: int) -> None:
        """That person said stop, and the engine saw it acknowledged."""
        self.accepted.append({"at_ms": at_ms, "stop": person(number), "tenant_id": "water"})

    def used(self, units: int) -> None:
        self.rows.execute("UPDATE limit_usage SET used = ?", (units,))


def cap_is_lower(world: World) -> None:
    """As if one of today's five had been let through a full window."""
    world.rows.execute("UPDATE senders SET limits = replace(limits, '\"daily\":5', '\"daily\":4')")


def retried(world: World) -> None:
    world.text(2, reference="r1")


def confirmed_late(world: World) -> None:
    world.text(5, kind="stop_reply")
    world.stop(5, NOON_MS - 600_000)


def never_left(world: World) -> None:
    """It was put back to the queue, says the database, and cancelled there; the far end has it."""
    world.forget_events(1, "sent", "delivered")
    world.event(1, "queued")
    world.now_is(1, "cancelled", sent_ms=None)


def waits(world: World, *states: str, reason: str) -> None:
    world.forget_events(1, "sending", "sent", "delivered")
    world.far_end.pop(0)
    world.used(4)
    for state in states:
        world.now_is(1, state, reason=reason, sent_ms=None, attempts=0)


PLANTED: dict[str, tuple[Callable[[World], object], set[str]]] = {
    "an answered text is not in the database": (
        lambda world: world.accepted.append({"at_ms": NOON_MS, "message_id": "msg_9"}),
        {"P1 lost"},
    ),
    "a request that was repeated made two texts": (retried, {"P1 accepted_twice"}),
    "a text still waits": (lambda world: waits(world, "held", reason="scheduled"), {"P1 not_ended"}),
    "a row says more than its events": (
        lambda world: world.forget_events(1, "delivered"),
        {"P1 state_differs"},
    ),
    "what is delivered never arrived": (lambda world: world.far_end.pop(0), {"P1 never_arrived"}),
    "a text arrived twice": (
        lambda world: world.far_end.append(world.far_end[0] | {"at_s": 1e9}),
        {"P2 copy", "P2 not_committed", "P3 cap"},
    ),
    "what was put back had left": (never_left, {"P2 not_committed"}),
    "a text that nobody handed over arrived": (
        lambda world: world.far_end.append(world.far_end[0] | {"message_id": "msg_7", "at_s": 1e9}),
        {"P2 stranger"},
    ),
    "a day holds one too many": (cap_is_lower, {"P3 cap"}),
    "a unit was not noted": (lambda world: world.used(4), {"P3 usage_low"}),
    "a unit was noted that nobody used": (lambda world: world.used(6), {"P3 usage_high"}),
    "a third text within a second": (
        lambda world: [world.written_at(each, NOON_MS + 1000 + 450 * each) for each in (1, 2, 3)],
        {"P4 rate"},
    ),
    "a third text within a second, by the far end's clock alone": (
        lambda world: [world.far_end[each].update(at_s=world.far_end[0]["at_s"] + 0.4 * each) for each in (1, 2)],
        {"P4 rate"},
    ),
    "a text arrived after a stop, and our stamp says before": (
        lambda world: [world.stop(5, NOON_MS + 6000), world.far_end[4].update(at_ms=NOON_MS + 7000)],
        {"P5 after_stop"},
    ),
    "a text was written after a stop": (lambda world: world.stop(5, NOON_MS), {"P5 after_stop"}),
    "a stop was confirmed after ten minutes": (confirmed_late, {"P5 confirmation"}),
    "a text waits and does not say for what": (
        lambda world: waits(world, "held", reason=""),
        {"P1 not_ended", "P6 unexplained"},
    ),
    "a report that came again moved a text that was done": (
        lambda world: world.now_is(1, "undelivered"),
        {"P7 regressed"},
    ),
    "a report had its effect twice": (lambda world: world.now_is(1, "delivered"), {"P7 regressed"}),
    "a text was sent that never was sending": (
        lambda world: world.forget_events(1, "sending"),
        {"P2 not_committed", "P3 usage_high", "P7 illegal_move"},
    ),
}


def audited(folder: Path, plant: Callable[[World], object]) -> tuple[int, set[str]]:
    """Plant it, and run the command. Returns its exit code, and what it found: promise and check."""
    with sqlite3.connect(folder / "gateway.db") as rows:
        world = World(rows)
        for each in TEXTS:
            at_ms = NOON_MS + 1000 * each
            named = {"message_id": f"msg_{each}", "reference": f"r{each}"}
            world.accepted.append({"at_ms": NOON_MS, **named})
            written = {"sender": SENDER, "to": person(each), "segments": 1, "outcome": "accepted"}
            arrived = {"kind": "text", "message_id": f"msg_{each}", "at_s": at_ms / 1000, "at_ms": at_ms}
            world.far_end.append(written | arrived)
        plant(world)
    rows.close()
    words = ["audit", "--ended", "--json", "--data-dir", str(folder)]
    for name, lines in (("far-end", world.far_end), ("accepted", world.accepted)):
        file = folder / f"{name}.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        words += [f"--{name}", str(file)]
    ran = CliRunner().invoke(app, words)
    found = json.loads(ran.output)["findings"]
    return ran.exit_code, {f"{each['promise']} {each['check']}" for each in found}


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    async with Database.open(tmp_path / "gateway.db", migrate=True) as database:
        await database.write(fill)
    return tmp_path


def test_a_world_that_kept_its_promises_is_passed(folder: Path) -> None:
    assert audited(folder, lambda _world: None) == (0, set())


@pytest.mark.parametrize(("plant", "named"), PLANTED.values(), ids=PLANTED)
def test_what_is_planted_is_named_and_nothing_else(
    folder: Path, plant: Callable[[World], object], named: set[str]
) -> None:
    assert audited(folder, plant) == (1, named)


def test_every_promise_and_every_check_is_planted() -> None:
    assert {each for _, named in PLANTED.values() for each in named} == {f"{to} {name}" for name, to in CHECKS.items()}
