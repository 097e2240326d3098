"""A gateway that notes when each text's bytes were handed to the socket: what benchmarks/accuracy.py judges by.

    python benchmarks/parts/sender.py NOTES      (settings by GATEWAY_… variables)

Everything is the gateway's own, run as `gateway serve` runs it; only `TwilioSms.send` is wrapped, so that the moment at
which the client hands a text's bytes to the socket is written down. On SIGTERM it writes NOTES, a JSON list of
[segments, nanoseconds of the machine's monotonic clock], which all processes of a machine share.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import uvloop

from gateway.app import Running, serve
from gateway.carriers.twilio import TwilioSms
from gateway.settings import load


def note_writes(notes: list[tuple[int, int]]) -> None:
    """Wrap the carrier's `send`."""
    send = TwilioSms.send

    async def noted(self: TwilioSms, message: Any, ready: Any, on_written: Any, **how: Any) -> Any:
        def written() -> None:
            notes.append((message.segments, time.monotonic_ns()))
            on_written()

        return await send(self, message, ready, written, **how)

    TwilioSms.send = noted  # type: ignore[method-assign]


def listening(gateway: Running) -> None:
    print(json.dumps({"url": gateway.url}), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notes", type=Path)
    where = parser.parse_args().notes
    notes: list[tuple[int, int]] = []
    note_writes(notes)
    uvloop.run(serve(load(None, dict(os.environ), {"http.port": 0, "logs.level": "error"}), ready=listening))
    where.write_text(json.dumps(notes), encoding="utf-8")
