"""How many grants a second the gate gives, beside a bare INCR loop on the same server.

    python benchmarks/gate.py [--seconds 2]

Each grant takes one rate and six caps, all or none, as a toll-free sender pending verification has them. One at a time:
one client, one message a call. Batched: one client, 25 messages a call. CPU counts the server's too. One JSON line.
"""

import argparse
import asyncio
import json
import resource
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil

from gateway.limits.gate import Gate, connect
from gateway.limits.valkey import EmbeddedValkey
from gateway.model.limit import Cap, Granted, Limit, Throughput

BATCH = 25
ENOUGH = 1_000_000_000
WINDOWS = ("day", "week", "month")
ZONES = ("America/Los_Angeles", "Etc/GMT+8")
LIMITS: list[Limit] = [
    Throughput("rate", 1_000_000, 1_000_000),
    *(Cap(f"{window}@{zone}", ENOUGH, window, zone) for window in WINDOWS for zone in ZONES),
]


async def per_second(seconds: float, server: psutil.Process, once: Callable[[], Awaitable[int]]) -> dict[str, float]:
    """Call `once` for a while; give what it counted per second and the CPU seconds, both sides', per 1,000."""
    cpu, start, count = used(server), time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        count += await once()
    spent = time.perf_counter() - start
    return {"per_s": round(count / spent), "cpu_s_per_1000": round((used(server) - cpu) / count * 1000, 4)}


def used(server: psutil.Process) -> float:
    own, other = resource.getrusage(resource.RUSAGE_SELF), server.cpu_times()
    return own.ru_utime + own.ru_stime + other.user + other.system


async def main(seconds: float) -> None:
    with tempfile.TemporaryDirectory() as directory:
        embedded = EmbeddedValkey(Path(directory))
        client = connect(await embedded.start())
        server = psutil.Process(embedded.pid)
        gate = Gate(client)
        await gate.rebuild([], 1, last_slot_us=0)

        async def grant(segments: list[int]) -> int:
            answer = await gate.take(LIMITS, segments)
            assert isinstance(answer, Granted), answer
            return len(answer.slots)

        async def incr() -> int:
            await client.incr("bare")
            return 1

        line = {
            "benchmark": "gate",
            "limits": len(LIMITS),
            "bare_incr": await per_second(seconds, server, incr),
            "one_at_a_time": await per_second(seconds, server, lambda: grant([1])),
            "batched": {"batch": BATCH, **await per_second(seconds, server, lambda: grant([1] * BATCH))},
            "bare_incr_again": await per_second(seconds, server, incr),
        }
        await client.aclose()
        await embedded.stop()
    print(json.dumps(line))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    asyncio.run(main(parser.parse_args().seconds))
