"""The auditor: ledgers that agree are passed, and each broken promise is found for itself."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.audit import audit
from gateway.audit_ledgers import CHECKS, Accepted, Arrival, Finding, Judged, Ledgers, Move, Stop, Text, Usage
from gateway.audit_pace import Write, over_cap, over_rate
from gateway.audit_read import read_accepted, read_arrivals
from gateway.cli.root import app
from gateway.errors.cli import BadLedger, FileUnreadable
from gateway.model.limit import Cap, Limit, Rolling, Throughput, UsageRow
from gateway.model.message import Message
from gateway.model.sender import Sender
from gateway.store import keys, left, lives, tenants
from gateway.store.database import Database, Tx
from gateway.store.records import to_row

SENDER, PERSON = "+18005550199", "+12125551234"
NOON_MS = 1_769_886_000_000  # 2026-01-31T19:00:00Z, the last day of a month in Los Angeles
DAY_US = 1_769_846_400_000_000  # 2026-01-31T08:00:00Z, its midnight there
CAP = Cap("sender:day", 10, "day", "America/Los_Angeles")
RATE = Throughput("sender:rate", 5, 1_000_000)
WELL = ("sending", "sent", "delivered")


def text(number: int, *states: str, at_ms: int = NOON_MS, **more: object) -> Text:
    """A text of one segment, its moves a second apart, written at `at_ms`."""
    states = states or WELL
    moves = [Move(10 * number + place, state, at_ms + 1000 * place) for place, state in enumerate(states)]
    left = "sending" in states and states[-1] not in {"queued", "held"}
    plain = Text(f"msg_{number}", "water", "live", SENDER, PERSON, "out", states[-1], 1, moves=tuple(moves))
    return replace(plain, **{"attempts": int(left), "sent_ms": at_ms if left else None, **more})


def arrival(of: Text, *, at_ms: int | None = None, outcome: str = "accepted") -> Arrival:
    """That text at the far end, when it was written or at another time."""
    at_ms = at_ms if at_ms is not None else of.sent_ms or of.moves[0].at_ms
    return Arrival(of.id, of.sender, of.recipient, of.segments, outcome, at_ms / 1000, at_ms)


def ledgers(*texts: Text, **more: object) -> Ledgers:
    """These texts, with usage rows that fit and a far end that received what left."""
    used = sum(each.segments for each in texts if each.sent_ms is not None)
    rows = (UsageRow(CAP.key, DAY_US, used, 1),)
    arrivals = [arrival(each) for each in texts if each.status in {"sent", "delivered", "unknown"}]
    plain = Ledgers(texts, lambda _text: (CAP, RATE), Usage(rows, rows), arrivals=arrivals)
    return replace(plain, **more)


def checks(found: list[Finding]) -> set[str]:
    return {each.check for each in found}


def test_ledgers_that_agree_have_no_finding() -> None:
    ends = [
        text(1),
        text(2, "sending", "unknown", "delivered", at_ms=NOON_MS + 300),
        text(3, "held", "queued", "sending", "queued", "sending", "sent", "no_report", at_ms=NOON_MS + 900),
        text(4, "suppressed"),
        text(5, "sending", "cancelled", sent_ms=None),
    ]
    told = [Accepted(NOON_MS, message_id="msg_1", reference="a"), Accepted(NOON_MS, job_id="job_1", people=0)]
    whole = ledgers(*ends, accepted=told, jobs=[("job_1", "")])
    whole = replace(whole, arrivals=[*(whole.arrivals or ()), arrival(ends[2])])

    assert audit(whole, Judged(ended=True)) == []


BROKEN: dict[str, tuple[str, Callable[[], Ledgers]]] = {
    "an accepted text is gone": ("lost", lambda: ledgers(accepted=[Accepted(1, message_id="msg_9")])),
    "a job has fewer people": ("lost", lambda: ledgers(text(1), accepted=[Accepted(1, job_id="job_1", people=2)])),
    "a text rests": ("not_ended", lambda: ledgers(text(1, "sending", "unknown"))),
    "a retried text is there twice": (
        "accepted_twice",
        lambda: ledgers(
            text(1, reference="a"),
            text(2, reference="a", at_ms=NOON_MS + 500),
            accepted=[Accepted(1, message_id="msg_1", reference="a")],
        ),
    ),
    "a retried job is there twice": (
        "accepted_twice",
        lambda: ledgers(accepted=[Accepted(1, job_id="j1", reference="a")], jobs=[("j1", "a"), ("j2", "a")]),
    ),
    "a row without its event": ("state_differs", lambda: ledgers(text(1, "sending", "sent", status="delivered"))),
    "a delivered text never arrived": ("never_arrived", lambda: ledgers(text(1), arrivals=[])),
    "two copies": ("copy", lambda: ledgers(text(1), arrivals=[arrival(text(1)), arrival(text(1))])),
    "taken, and put back": (
        "not_committed",
        lambda: ledgers(text(1, "sending", "queued"), arrivals=[arrival(text(1))]),
    ),
    "a text from nowhere": ("stranger", lambda: ledgers(arrivals=[arrival(text(1))])),
    "eleven of ten a day": ("cap", lambda: ledgers(*(text(each, at_ms=NOON_MS + 250 * each) for each in range(11)))),
    "eleven of ten at the far end": (
        "cap",
        lambda: ledgers(text(1, segments=11, at_ms=NOON_MS), arrivals=[arrival(text(1, segments=11))]),
    ),
    "two of one in an hour": ("cap", lambda: ledgers(text(1), text(2, at_ms=NOON_MS + 3_599_999), limits=hourly)),
    "usage forgot one": ("usage_low", lambda: ledgers(text(1), usage=Usage())),
    "usage made one up": ("usage_high", lambda: ledgers(text(1), usage=Usage((UsageRow(CAP.key, DAY_US, 2, 1),)))),
    "six within a second": ("rate", lambda: ledgers(*(text(each, at_ms=NOON_MS + 190 * each) for each in range(6)))),
    "six within a second at the far end": (
        "rate",
        lambda: ledgers(*(text(each, at_ms=NOON_MS + 500 * each) for each in range(6)), arrivals=crowd()),
    ),
    "written after a stop": ("after_stop", lambda: ledgers(text(1), stops=[stop()])),
    "arrived after a stop": ("after_stop", lambda: ledgers(text(1), stops=[stop(50)], arrivals=late(100))),
    "confirmed twice": (
        "confirmation",
        lambda: ledgers(*(text(each, kind="stop_reply", at_ms=NOON_MS + 500 * each) for each in (1, 2)), stops=[stop()]),
    ),
    "confirmed after ten minutes": (
        "confirmation",
        lambda: ledgers(text(1, kind="stop_reply", at_ms=NOON_MS + 600_000), stops=[stop()]),
    ),
    "a text waits, and nobody says why": ("unexplained", lambda: ledgers(text(1, "held"))),
    "a final state regressed": ("regressed", lambda: ledgers(text(1, "sending", "delivered", "sent"))),
    "a move that is none": ("illegal_move", lambda: ledgers(text(1, "sending", "held"))),
    "a first move that is none": ("illegal_move", lambda: ledgers(text(1, "delivered"))),
}  # fmt: skip


def hourly(of: Text) -> Sequence[Limit]:
    """What binds a person: one text an hour."""
    return (Rolling("recipient:water", 1, 3_600_000_000, member=of.recipient),)


def stop(after_ms: int = -1000) -> Stop:
    return Stop("water", "live", PERSON, "tenant", NOON_MS + after_ms)


def crowd() -> list[Arrival]:
    return [arrival(text(each), at_ms=NOON_MS + 190 * each) for each in range(6)]


def late(ms: int) -> list[Arrival]:
    return [arrival(text(1), at_ms=NOON_MS + ms)]


@pytest.mark.parametrize(("check", "broken"), BROKEN.values(), ids=BROKEN)
def test_each_broken_promise_is_found(check: str, broken: Callable[[], Ledgers]) -> None:
    assert check in checks(audit(broken(), Judged(ended=True)))


def test_every_check_has_a_case_that_breaks_it() -> None:
    assert {check for check, _ in BROKEN.values()} == CHECKS.keys()


def test_what_is_allowed_is_not_found() -> None:
    """Help after a stop, a text after a start, a copy that was asked for, a write whose moment nobody knows."""
    answered = ledgers(text(1, kind="help_reply"), stops=[stop()])
    started = ledgers(text(1), stops=[replace(stop(), lifted_ms=NOON_MS - 500)])
    again = text(1, "sending", "unknown", "queued", *WELL, resent=1)
    again = replace(
        again, moves=tuple(replace(each, reason="resent" * (each.state == "queued")) for each in again.moves)
    )
    came_back = text(1, "sending", "unknown", "queued", *WELL)  # its worker knew that no byte had left
    asked_for = ledgers(again, arrivals=[arrival(again), arrival(again, at_ms=NOON_MS + 4000)])
    asked_for = replace(asked_for, usage=Usage(after=(UsageRow(CAP.key, DAY_US, 2, 1),)))
    rested = [text(each, "sending", "unknown") for each in range(6)]
    rested = [
        replace(each, reason="worker_gone", moves=(each.moves[0], replace(each.moves[1], reason="worker_gone")))
        for each in rested
    ]

    loading = ledgers(accepted=[Accepted(1, job_id="job_1", people=2)], loading=frozenset({"job_1"}))
    hour_later = ledgers(text(1), text(2, at_ms=NOON_MS + 3_600_000), limits=hourly, usage=Usage())
    for each in (hour_later, answered, started, asked_for, loading, ledgers(came_back)):
        assert audit(each, Judged()) == []
    assert checks(audit(ledgers(*rested, arrivals=None), Judged())) == set()


def test_what_the_carrier_refused_is_counted_by_limits_of_attempts_alone() -> None:
    refused = [text(each, "sending", "failed", at_ms=NOON_MS + 250 * each) for each in range(11)]
    arrivals = [arrival(each, outcome="refused") for each in refused]
    rows = (UsageRow(CAP.key, DAY_US, 0, 1),)

    def found(counts: str) -> set[str]:
        limits = (replace(CAP, counts=counts),)
        return checks(
            audit(Ledgers(refused, lambda _text: limits, Usage(rows, rows), arrivals=arrivals), Judged(ended=True))
        )

    assert found("accepted") == set()
    assert found("attempts") == {"cap", "usage_low"}


def test_a_clock_that_was_moved_is_not_believed_about_rates_and_stops() -> None:
    jumped = ledgers(*(text(each, at_ms=NOON_MS + each) for each in range(6)), stops=[stop()], arrivals=None)

    assert checks(audit(jumped, Judged())) == {"rate", "after_stop"}
    assert audit(jumped, Judged(clock_steady=False)) == []


def test_a_day_of_a_cap_follows_the_zone_and_a_rate_counts_segments_one_after_the_other() -> None:
    spring = 1_772_956_800_000_000  # 2026-03-08T08:00:00Z: a day of 23 hours in Los Angeles
    hour = 3_600_000_000
    cap = replace(CAP, limit=1)
    assert over_cap(cap, [Write(spring, 1), Write(spring + 23 * hour, 1)]) == []
    assert over_cap(cap, [Write(spring, 1), Write(spring + 23 * hour - 1, 1)]) == [(spring, 2)]
    assert over_rate(RATE, [Write(0, 5), Write(1_000_000, 1)], 0) == []
    assert over_rate(RATE, [Write(0, 5), Write(990_000, 1)], 0) == [(990_000, 990_000)]
    assert over_rate(RATE, [Write(0, 5), Write(990_000, 1)], 25_000) == []


# --- the command


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """A database in which one text was sent and its usage never noted."""
    async with Database.open(tmp_path / "gateway.db", migrate=True) as database:
        await database.write(fill)
    return tmp_path


async def fill(tx: Tx) -> None:
    await keys.issue(tx, "water", label="test")
    await tenants.put_sender(tx, Sender(SENDER, "water", "toll_free", limits={"daily": 5, "zones": ["UTC"]}))
    message = Message("msg_1", "water", "live", SENDER, PERSON, "Hello", "gsm7", 1, reference="a")
    await tx.run("messages_insert", **to_row(message))
    for state in ("sending", "sent"):
        await lives.move(tx, "messages", ["msg_1"], state, NOON_MS)
    await tx.run("messages_offered", id="msg_1", sent_ms=NOON_MS)
    await left.note_counted(tx, [f"sender:{SENDER}:day@UTC"], 0, 0)  # it was sent under this limit


def test_the_command_tells_what_it_finds_and_exits_1(data: Path) -> None:
    ran = CliRunner().invoke(app, ["audit", "--data-dir", str(data)])

    assert ran.exit_code == 1, ran.output
    key = f"sender:{SENDER}:day@UTC"
    assert ran.output.splitlines() == [
        f"P3 usage_low: {key}: 1 left in the window from 1769817600000000, 0 noted",
        "1 text: 1 usage_low",
    ]


def test_the_command_reads_the_other_two_ledgers(data: Path) -> None:
    far_end, accepted = data / "far-end.jsonl", data / "accepted.jsonl"
    far_end.write_text("")
    accepted.write_text(json.dumps({"at_ms": NOON_MS, "message_id": "msg_2"}) + "\n")

    words = ["audit", "--data-dir", str(data), "--far-end", str(far_end), "--accepted", str(accepted), "--json"]
    ran = CliRunner().invoke(app, words)

    told = json.loads(ran.output)
    assert told["texts"] == 1
    assert {each["check"] for each in told["findings"]} == {"usage_low", "lost", "never_arrived"}


def test_the_command_makes_no_database_where_there_is_none(tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["audit", "--data-dir", str(tmp_path)])

    assert isinstance(ran.exception, FileUnreadable)
    assert list(tmp_path.iterdir()) == []


def test_ledgers_are_read_line_by_line_and_a_bad_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "ledger"
    one = {"kind": "text", "message_id": "msg_1", "sender": SENDER, "to": PERSON,
           "segments": 2, "outcome": "accepted", "at_s": 1.5, "at_ms": 7}  # fmt: skip
    file.write_text(json.dumps(one) + "\n" + json.dumps({"kind": "report"}) + "\n")
    assert read_arrivals(file) == [Arrival("msg_1", SENDER, PERSON, 2, "accepted", 1.5, 7)]

    file.write_text(json.dumps({"kind": "text", "message_id": "msg_1", "segments": "2"}))
    with pytest.raises(BadLedger, match="ledger:1: missing or of the wrong type: sender, to, outcome, segments"):
        read_arrivals(file)
    file.write_text(json.dumps({"at_ms": 5, "message_id": 7}))
    with pytest.raises(BadLedger, match="ledger:1: missing or of the wrong type: message_id"):
        read_accepted(file)
    file.write_text(json.dumps({"at_ms": 5, "stop": PERSON, "tenant_id": "water"}) + "\n[]\n")
    with pytest.raises(BadLedger, match="ledger:2: "):
        read_accepted(file)
    file.write_text(json.dumps({"at_ms": 5, "stop": PERSON, "tenant_id": "water"}))
    assert read_accepted(file) == ([], [Stop("water", "live", PERSON, "tenant", 5)])
