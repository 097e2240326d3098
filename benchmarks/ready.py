"""How soon a gateway is ready again after kill -9, with very many texts queued.

    python benchmarks/ready.py [--queued 1000000] [--few 10000]

A gateway with its embedded defaults sends from the queue to the stub (benchmarks/parts/stub.py) until it is killed in
the midst of it, and is started again on the same directory. Each side's figures, from the start of the new process on:

    ready_s         until /readyz answers 200
    ready_cpu_s     CPU seconds it has used by then, its Valkey's too
    first_text_s    until a text leaves again: the dead process's lease must have run out first
    wal_mb          what stood in the write-ahead log after the kill, and had to be read again

The mark: ready within 3 s. One JSON line.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from pathlib import Path

import aiohttp
import uvloop
from parts.processes import GATEWAY, STUB, carried_by, child, cpu
from parts.queued import fill

MARK = {"ready_s": 3}
SENT_BEFORE = 1_000
GIVE_UP_S = 120


async def count(http: aiohttp.ClientSession, url: str) -> int:
    async with http.get(f"{url}/counts") as answer:
        return int((await answer.json())["received"])


async def more_than(http: aiohttp.ClientSession, url: str, number: int) -> None:
    """Wait until the far end has more."""
    end = time.monotonic() + GIVE_UP_S
    while await count(http, url) <= number:
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


async def ready(http: aiohttp.ClientSession, url: str) -> None:
    """Wait until the gateway says that it is."""
    while True:
        async with http.get(f"{url}/readyz") as answer:
            if answer.status == 200:
                return
        await asyncio.sleep(0.01)


async def measured(queued: int) -> dict[str, float]:
    """One side."""
    with tempfile.TemporaryDirectory() as folder, child([*STUB, "--reports"]) as (_, far_end):
        await fill(Path(folder), queued)
        environ = {"GATEWAY_DATA_DIR": folder} | carried_by(far_end)
        async with aiohttp.ClientSession() as http:
            with child([*GATEWAY, "serve", "--port", "0"], **environ) as (process, _):
                await more_than(http, far_end["url"], SENT_BEFORE)
                process.kill()
                process.wait()
            wal_mb = (Path(folder) / "gateway.db-wal").stat().st_size / 1e6
            await asyncio.sleep(1)  # what was on its way arrives
            before, start = await count(http, far_end["url"]), time.monotonic()
            with child([*GATEWAY, "serve", "--port", "0"], **environ) as (process, gateway):
                await ready(http, gateway["url"])
                ready_s, ready_cpu_s = time.monotonic() - start, cpu(process)
                await more_than(http, far_end["url"], before)
                first_text_s = time.monotonic() - start
        figures = {"ready_s": ready_s, "ready_cpu_s": ready_cpu_s, "first_text_s": first_text_s, "wal_mb": wal_mb}
        return {name: round(figure, 2) for name, figure in figures.items()}


async def main(few: int, many: int) -> None:
    small, large = await measured(few), await measured(many)
    sides = {"few": {"queued": few, **small}, "many": {"queued": many, **large}}
    print(json.dumps({"benchmark": "ready", **sides, "mark": MARK, "load": round(os.getloadavg()[0], 1)}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queued", type=int, default=1_000_000, help="the long queue")
    parser.add_argument("--few", type=int, default=10_000, help="the short queue")
    asked = parser.parse_args()
    uvloop.run(main(asked.few, asked.queued))
