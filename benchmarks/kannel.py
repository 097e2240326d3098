"""What Kannel, the field's oldest SMS gateway, does under the faults that our promises are about.

    python benchmarks/kannel.py [--runs 3]

A real Kannel (bearerbox, smsbox, spool store, generic HTTP carrier) before the stub, whose ledger is the judge. Five
faults, each `runs` times; a figure is a list, one entry a run:

    killed      kill -9 of bearerbox while 2,000 texts leave, then started again on its spool: of those answered 202,
                how many never came (`lost`), and how many copies too many came (`twice`)
    silent      the carrier takes 100 texts and never answers every 10th (http-timeout 2 s): copies too many
    broken      the carrier takes 100 texts, and of every 10th it closes the connection unanswered: copies too many
    throughput  set to 10 a second, 120 texts waiting: the most that came in any rolling second
    stop        one person has 40 texts waiting at 10 a second and says STOP: texts that came after STOP was answered

Says `skipped` where Kannel is not installed. How fast it is stands in benchmarks/texts.py, beside ours. One JSON line.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import aiohttp
import uvloop
from parts.kannel import Kannel, installed
from parts.processes import STUB, child

QUIET_S = 3.0
AGAIN_S = 15.0  # when Kannel tries a broken request again
PERSON = "+12125551234"


@contextmanager
def kannel(*flags: str, core: str = "", carrier: str = "") -> Iterator[tuple[Kannel, str]]:
    """A stub with these flags and a fresh Kannel before it."""
    with (
        tempfile.TemporaryDirectory() as folder,
        child([*STUB, *flags]) as (_, far_end),
        Kannel(Path(folder), far_end["url"], core=core, carrier=carrier) as running,
    ):
        yield running, far_end["url"]


async def ledger(url: str) -> list[tuple[str, float]]:
    """What came: (number, when in seconds since the epoch)."""
    async with aiohttp.request("GET", f"{url}/ledger") as answer:
        found: list[tuple[str, float]] = await answer.json()
    return found


async def received(url: str, at_least: int, within_s: float) -> int:
    """Return when so many came, or after a while."""
    end = time.monotonic() + within_s
    while len(await ledger(url)) < at_least and time.monotonic() < end:
        await asyncio.sleep(0.02)
    return len(await ledger(url))


async def quiet(url: str, quiet_s: float = QUIET_S) -> list[tuple[str, float]]:
    """Return the ledger when nothing came for a while."""
    count, since = -1, time.monotonic()
    while time.monotonic() - since < quiet_s:
        now = len(await ledger(url))
        if now != count:
            count, since = now, time.monotonic()
        await asyncio.sleep(0.1)
    return await ledger(url)


def texts(number: int) -> list[tuple[str, str]]:
    return [(f"+1212200{1000 + index}", f"Text {index}") for index in range(number)]


def copies(found: list[tuple[str, float]]) -> int:
    """How many came beyond one each."""
    return sum(count - 1 for count in Counter(number for number, _ in found).values())


async def killed() -> dict[str, int]:
    with kannel() as (running, url):
        submitting = asyncio.create_task(running.submit(texts(2_000)))
        await received(url, 300, 20)
        await asyncio.to_thread(running.kill_and_restart)
        taken = await asyncio.wait_for(submitting, 60)
        found = await quiet(url)
    came = {number for number, _ in found}
    return {"accepted": len(taken), "lost": len(set(taken) - came), "twice": copies(found)}


async def unanswered(fault: str) -> dict[str, int]:
    with kannel(f"--{fault}-every", "10", core="http-timeout = 2") as (running, url):
        taken = await running.submit(texts(100))
        found = await quiet(url, AGAIN_S + QUIET_S)
    return {"accepted": len(taken), fault: len(found) // 10, "twice": copies(found)}


async def throughput() -> dict[str, int | float]:
    with kannel(carrier="throughput = 10") as (running, url):
        assert len(await running.submit(texts(120))) == 120
        await received(url, 120, 30)
        times = sorted(at for _, at in await ledger(url))
    most = max(sum(1 for other in times[index:] if other < at + 1) for index, at in enumerate(times))
    return {"rate": 10, "most_in_a_second": most, "per_s": round((len(times) - 1) / (times[-1] - times[0]), 1)}


async def stop() -> dict[str, int]:
    with kannel(carrier="throughput = 10") as (running, url):
        await running.submit([(PERSON, f"Text {index}") for index in range(40)])
        await received(url, 10, 20)
        assert await running.say(PERSON, "STOP") == 202
        answered = time.time()
        found = await quiet(url)
    return {"after_stop": sum(at > answered for _, at in found) - 1}  # one of them confirms it


async def main(runs: int) -> None:
    if not installed():
        print(json.dumps({"benchmark": "kannel", "skipped": "Kannel is not installed (Debian: kannel)"}))
        return
    faults = {
        "killed": killed,
        "silent": partial(unanswered, "silent"),
        "broken": partial(unanswered, "broken"),
        "throughput": throughput,
        "stop": stop,
    }
    found = {name: [await fault() for _ in range(runs)] for name, fault in faults.items()}
    print(json.dumps({"benchmark": "kannel", "runs": runs, **found}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="how often each fault is tried")
    uvloop.run(main(parser.parse_args().runs))
