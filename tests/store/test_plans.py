"""No statement reads every row of a table that grows, save the auditor's and those named here."""

import re
import sqlite3

import pytest

from gateway.store.sqlite import InlineSqlite, queries

GROWING = (
    "messages",
    "calls",
    "events",
    "inbound",
    "webhooks",
    "idempotency",
    "opt_outs",
    "limit_usage",
    "load_blocks",
)

# The words of EXPLAIN QUERY PLAN that may stand for each: an index over a part of the rows, or one row.
ALLOWED = {
    "usage_anything_sent": r"",  # one row
    "messages_waiting_by_status": r"INDEX messages_(next|held_for)",  # what /metrics counts: what waits
    "calls_waiting_by_status": r"INDEX calls_(queued|held_for)",
    "events_callbacks_waiting": r"INDEX events_to_tell",
    "messages_with_status": r"",  # one look at all
    "calls_with_status": r"",
}


@pytest.fixture(scope="module")
def schema() -> sqlite3.Connection:
    return InlineSqlite.template()


def plan(schema: sqlite3.Connection, sql: str) -> list[str]:
    sql = re.sub(r"\bIN :(\w+)", r"IN (:\1, :\1)", sql)
    values = dict.fromkeys(re.findall(r"(?<!:):(\w+)", sql))
    return [row[3] for row in schema.execute(f"EXPLAIN QUERY PLAN {sql}", values)]


def test_every_statement_looks_up_what_it_wants(schema: sqlite3.Connection) -> None:
    scans = {
        name: [step for step in plan(schema, sql) if re.match(rf"SCAN ({'|'.join(GROWING)})\b", step)]
        for name, sql in queries().items()
        if not re.search("^audit_|_cursor$", name)
    }

    assert {
        name: steps
        for name, steps in scans.items()
        if any(name not in ALLOWED or not re.search(ALLOWED[name], step) for step in steps)
    } == {}


@pytest.mark.parametrize(
    "name", ["messages_queued", "calls_queued", "messages_ids_due", "events_due", "messages_page_of_job"]
)
def test_what_is_taken_in_order_is_not_sorted_first(schema: sqlite3.Connection, name: str) -> None:
    assert not [step for step in plan(schema, queries()[name]) if "TEMP B-TREE" in step]


@pytest.mark.parametrize(
    "name", ["messages_counts", "messages_segments_of_job", "messages_copies_of_job", "messages_ahead_segments"]
)
def test_what_counts_a_large_job_reads_an_index_alone(schema: sqlite3.Connection, name: str) -> None:
    assert all("COVERING INDEX" in step for step in plan(schema, queries()[name]) if "messages" in step)
