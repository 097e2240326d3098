"""How exactly a rate is kept, judged at our socket write: nothing above it, and nearly all of it used.

    python benchmarks/accuracy.py [--seconds 30] [--rates 1,3,25,100,1000]

A real gateway sends one job through its HTTP carrier to a far end on a socket (benchmarks/parts/stub.py). Each text's
moment is when its bytes are handed to the socket (benchmarks/parts/sender.py). By rate:

    used       texts over allowed, where allowed = 1 + floor(rate x (last - first)); the mark is 0.995
    overshoot  the most texts in any rolling second (half open) above the rate; the mark is 0
    closest_ms how much less than a second after text k-N text k left, at worst, in milliseconds; 0: never less
    far_end    overshoot as the far end's own clock saw it arrive: with its jitter, and that of the way

One JSON line.
"""

import argparse
import asyncio
import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from parts.processes import SENDER, STUB, child
from texts import SENDER as NUMBER
from texts import counts, job, new_key, verified

from gateway.client import Client

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


async def one_worker(rate: int, seconds: float) -> dict[str, Any]:
    """One gateway, one sender."""
    with tempfile.TemporaryDirectory() as folder, child(STUB) as (_, far_end):
        environ = {
            "GATEWAY_DATA_DIR": folder,
            "GATEWAY_TWILIO__ACCOUNT_SID": far_end["account"],
            "GATEWAY_TWILIO__AUTH_TOKEN": "practice",
            "GATEWAY_TWILIO__BASE_URL": far_end["url"],
        }
        key = new_key(environ)
        notes = Path(folder) / "notes.json"
        number = 1 + math.ceil(rate * seconds)
        with child([*SENDER, str(notes)], **environ) as (_, gateway):
            async with Client(gateway["url"], key) as client, aiohttp.ClientSession() as http:
                await client.put(f"/v1/senders/{NUMBER}", verified(f"{rate}/s"))
                await client.post("/v1/jobs", job(number))
                while await counts(http, far_end["url"]) < number:
                    await asyncio.sleep(0.5)
                async with http.get(f"{far_end['url']}/ledger") as answer:
                    arrived = sorted(round(at * SECOND_NS) for _, at in await answer.json())
        written = sorted(at for _, at in json.loads(notes.read_text(encoding="utf-8")))
    return {**judge(written, rate), "far_end": {"overshoot": overshoot(arrived, rate)}}


async def main(seconds: float, rates: list[int]) -> None:
    found = {str(rate): await one_worker(rate, seconds) for rate in rates}
    passed = all(each["used"] >= MARK["used"] and each["overshoot"] == 0 for each in found.values())
    load = round(os.getloadavg()[0], 1)
    print(json.dumps({"benchmark": "accuracy", "load": load, "one_worker": found, "mark": MARK, "passed": passed}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long each rate runs")
    parser.add_argument("--rates", default="1,3,25,100,1000", help="per second")
    asked = parser.parse_args()
    uvloop.run(main(asked.seconds, [int(rate) for rate in asked.rates.split(",")]))
