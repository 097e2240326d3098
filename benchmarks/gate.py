"""How many messages a second the gate lets through, beside throttled-py's and limits' Redis backends on one server.

    python benchmarks/gate.py [--seconds 1] [--rounds 3]

A decision is one message granted (a side that takes many messages in one call made as many decisions). Two sets of
limits: `rate` is a single throughput, all that the peers are made for; `toll_free` is what a toll-free sender pending
verification has, one rate and six caps. Ours takes all or none in one step; the peers have no such step and are asked
once a limit, at once. The peers run their smooth algorithms (GCRA; the sliding window counter), one at a time and 8 at
once; `cost_25` takes 25 in one question, all or none, with no time for any of the 25: no decision per message, but
printed. All sides have their own asyncio client in this process and take turns, `rounds` times; the median counts. CPU
is this process's and the server's. `times_best_peer` is ours over the better peer's best, per CPU second and per
second. One JSON line.
"""

import argparse
import asyncio
import json
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import psutil
from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from throttled.asyncio import RateLimiterType, RedisStore, Throttled, per_sec

from gateway.limits.gate import Gate
from gateway.limits.server import connect
from gateway.limits.valkey import EmbeddedValkey
from gateway.model.limit import Cap, Granted, Limit, Throughput

ENOUGH = 1_000_000_000
AT_ONCE = 8
MARK = 10
RATE: list[Limit] = [Throughput("rate", 1_000_000, 1_000_000)]
CAPS: list[Limit] = [
    Cap(f"{window}@{zone}", ENOUGH, window, zone)
    for window in ("day", "week", "month")
    for zone in ("America/Los_Angeles", "Etc/GMT+8")
]
SETS = {"rate": RATE, "toll_free": RATE + CAPS}

Once = Callable[[], Awaitable[int]]


def ours(gate: Gate, limits: Sequence[Limit], batch: int) -> Once:
    """One take for `batch` messages of one segment."""

    async def once() -> int:
        answer = await gate.take(limits, [1] * batch)
        assert isinstance(answer, Granted), answer
        gate.unused(*answer.granted)  # as a sender tells of each slot what became of it
        return len(answer.slots)

    return once


def throttled(url: str, number: int, cost: int = 1) -> Once:
    """A GCRA a limit."""
    store = RedisStore(server=url)
    quota = per_sec(ENOUGH, burst=ENOUGH)
    asked = [
        Throttled(key=f"limit-{index}", using=RateLimiterType.GCRA.value, quota=quota, store=store, cost=cost)
        for index in range(number)
    ]

    async def once() -> int:
        found = await asyncio.gather(*(each.limit() for each in asked)) if number > 1 else [await asked[0].limit()]
        assert not any(each.limited for each in found)
        return cost

    return once


def limits_py(url: str, number: int, cost: int = 1) -> Once:
    """A sliding window counter a limit."""
    limiter = SlidingWindowCounterRateLimiter(
        RedisStorage(url.replace("unix:", "async+redis+unix:"), implementation="redispy")
    )
    item = RateLimitItemPerSecond(ENOUGH)

    async def once() -> int:
        hits = [limiter.hit(item, f"limit-{index}", cost=cost) for index in range(number)]
        assert all(await asyncio.gather(*hits) if number > 1 else [await hits[0]])
        return cost

    return once


async def per_second(seconds: float, server: psutil.Process, once: Once, tasks: int) -> tuple[float, float]:
    """Call `once` for a while from so many tasks: decisions a second, and CPU seconds, both sides', a decision."""
    count = 0
    end = time.perf_counter() + seconds

    async def again() -> None:
        nonlocal count
        while time.perf_counter() < end:
            count += await once()

    await asyncio.gather(*(once() for _ in range(tasks)))  # connections and scripts are there
    cpu, start = used(server), time.perf_counter()
    await asyncio.gather(*(again() for _ in range(tasks)))
    return count / (time.perf_counter() - start), (used(server) - cpu) / count


def used(server: psutil.Process) -> float:
    own, other = resource.getrusage(resource.RUSAGE_SELF), server.cpu_times()
    return own.ru_utime + own.ru_stime + other.user + other.system


async def measure(url: str, server: psutil.Process, seconds: float, rounds: int) -> dict[str, dict[str, float]]:
    """Every side's figures, by name."""
    client = connect(url)
    gate = Gate(client)
    await gate.rebuild([], 1, last_slot_us=0)
    sides: dict[str, tuple[Once, int]] = {}
    for name, limits in SETS.items():
        number = len(limits)
        for batch in (1, 25, 100):
            sides[f"{name}/ours/{batch}"] = ours(gate, limits, batch), 1
        for peer, made in (("throttled", throttled), ("limits", limits_py)):
            sides[f"{name}/{peer}/1"] = made(url, number), 1
            sides[f"{name}/{peer}/{AT_ONCE}_at_once"] = made(url, number), AT_ONCE
            sides[f"{name}/{peer}/cost_25"] = made(url, number, 25), 1
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, (once, tasks) in sides.items():
            found[name].append(await per_second(seconds, server, once, tasks))
    await client.aclose()
    return {
        name: {
            "per_s": round(statistics.median(each[0] for each in runs)),
            "per_cpu_s": round(1 / statistics.median(each[1] for each in runs)),
        }
        for name, runs in found.items()
    }


def verdict(figures: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Ours over the better of both peers, by set of limits and by what is compared."""
    told: dict[str, dict[str, float]] = {}
    for name in SETS:
        for unit in ("per_cpu_s", "per_s"):
            peers = [
                figure[unit]
                for side, figure in figures.items()
                if side.startswith(f"{name}/") and "/ours/" not in side and not side.endswith("cost_25")
            ]
            told[f"{name}/{unit}"] = {
                batch: round(figures[f"{name}/ours/{batch}"][unit] / max(peers), 1) for batch in ("1", "25", "100")
            }
    return told


async def main(seconds: float, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        embedded = EmbeddedValkey(Path(directory))
        url = await embedded.start()
        figures = await measure(url, psutil.Process(embedded.pid), seconds, rounds)
        await embedded.stop()
    times = verdict(figures)
    line = {
        "benchmark": "gate",
        "load": round(os.getloadavg()[0], 1),
        "figures": figures,
        "times_best_peer": times,
        "mark": MARK,
        "passed": all(times[f"{name}/per_cpu_s"]["100"] >= MARK for name in SETS),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each side runs each time")
    parser.add_argument("--rounds", type=int, default=3, help="how often each side has its turn")
    asyncio.run(main(**vars(parser.parse_args())))
