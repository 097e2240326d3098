"""A gateway that notes when each text's bytes were handed to the socket: what benchmarks/accuracy.py judges by.

    python benchmarks/parts/sender.py NOTES      (settings by GATEWAY_… variables)

Everything is the gateway's own, run as `gateway serve` runs it; only `TwilioSms.send` is wrapped, so that the moment at
which the client hands a text's bytes to the socket is written down, and `Database.write`, for the longest commit. On
SIGTERM it writes NOTES: {"written": [[segments, nanoseconds of the monotonic clock], …], "longest_commit_ms"}; all
processes of a machine share that clock.
"""

import argparse
import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from gateway.app import Running, serve
from gateway.carriers.twilio import TwilioSms
from gateway.settings import load
from gateway.store.database import Database


@dataclass(slots=True)
class Notes:
    """What is written down."""

    written: list[tuple[int, int]] = field(default_factory=list)
    longest_commit_ms: int = 0


def note_writes(notes: Notes) -> None:
    """Wrap the carrier's `send`."""
    send = TwilioSms.send

    async def noted(self: TwilioSms, message: Any, ready: Any, on_written: Any, **how: Any) -> Any:
        def written() -> None:
            notes.written.append((message.segments, time.monotonic_ns()))
            on_written()

        return await send(self, message, ready, written, **how)

    TwilioSms.send = noted  # type: ignore[method-assign]


def note_commits(notes: Notes) -> None:
    """Wrap the database's `write`, from the first text on."""
    write = Database.write

    async def noted(self: Database, work: Any) -> Any:
        began = time.monotonic_ns()
        try:
            return await write(self, work)
        finally:
            if notes.written:
                took_ms = (time.monotonic_ns() - began) // 1_000_000
                notes.longest_commit_ms = max(notes.longest_commit_ms, took_ms)

    Database.write = noted  # type: ignore[method-assign]


def listening(gateway: Running) -> None:
    print(json.dumps({"url": gateway.url}), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notes", type=Path)
    where = parser.parse_args().notes
    notes = Notes()
    note_writes(notes)
    note_commits(notes)
    uvloop.run(serve(load(None, dict(os.environ), {"http.port": 0, "logs.level": "error"}), ready=listening))
    where.write_text(json.dumps(asdict(notes)), encoding="utf-8")
