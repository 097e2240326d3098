"""What a text costs, and how much memory the process has, with few and with very many texts queued.

    python benchmarks/growth.py [--texts 5000] [--queued 1000000] [--few 10000] [--rounds 2]

A gateway with its embedded defaults sends `--texts` texts from a queue of `--few`, then from one of `--queued`, to the
stub (benchmarks/parts/stub.py), which reports each as delivered; so in turn, `--rounds` times. Each side's figures:

    cpu_ms   CPU milliseconds a text, the gateway's own and its Valkey's, once it is warm; the least of the rounds
    rss_mb   resident memory of the gateway when they have left; the most of the rounds

The marks: CPU with very many at most 1.1 times that with few; memory at most 20 MB more. One JSON line.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import uvloop
from parts.processes import GATEWAY, STUB, carried_by, child, cpu
from parts.queued import fill

MARK = {"cpu_times": 1.1, "rss_more_mb": 20}
WARM_UP = 500  # texts that leave before anything is counted
GIVE_UP_S = 300


async def came(http: aiohttp.ClientSession, url: str, number: int) -> int:
    """Wait until the far end has at least so many. Returns how many it has."""
    end = time.monotonic() + GIVE_UP_S
    while True:
        async with http.get(f"{url}/counts") as answer:
            received = int((await answer.json())["received"])
        if received >= number:
            return received
        assert time.monotonic() < end, f"{received} of {number} came"
        await asyncio.sleep(0.02)


async def measured(texts: int, queued: int) -> dict[str, float]:
    """One side, once."""
    with tempfile.TemporaryDirectory() as folder, child([*STUB, "--reports"]) as (_, far_end):
        await fill(Path(folder), queued)
        environ = {"GATEWAY_DATA_DIR": folder} | carried_by(far_end)
        with child([*GATEWAY, "serve", "--port", "0"], **environ) as (process, _):
            async with aiohttp.ClientSession() as http:
                first = await came(http, far_end["url"], WARM_UP)
                used = cpu(process)
                last = await came(http, far_end["url"], WARM_UP + texts)
                return {"cpu_ms": (cpu(process) - used) / (last - first) * 1000, "rss_mb": rss_mb(process)}


def rss_mb(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 2**20


def best(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {
        "cpu_ms": round(min(each["cpu_ms"] for each in rounds), 3),
        "rss_mb": round(max(each["rss_mb"] for each in rounds), 1),
    }


async def main(texts: int, few: int, many: int, rounds: int) -> None:
    sides: dict[int, list[dict[str, float]]] = {few: [], many: []}
    for _ in range(rounds):
        for queued, kept in sides.items():
            kept.append(await measured(texts, queued))
    small, large = best(sides[few]), best(sides[many])
    line: dict[str, Any] = {
        "benchmark": "growth",
        "texts": texts,
        "few": {"queued": few, **small},
        "many": {"queued": many, **large},
        "cpu_times": round(large["cpu_ms"] / small["cpu_ms"], 2),
        "rss_more_mb": round(large["rss_mb"] - small["rss_mb"], 1),
        "mark": MARK,
        "load": round(os.getloadavg()[0], 1),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=5_000, help="how many are sent of each queue")
    parser.add_argument("--queued", type=int, default=1_000_000, help="the long queue")
    parser.add_argument("--few", type=int, default=10_000, help="the short queue; more than --texts")
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    uvloop.run(main(asked.texts, asked.few, asked.queued, asked.rounds))
