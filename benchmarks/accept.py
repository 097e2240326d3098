"""How fast a job of 100,000 people is accepted, and what it leaves in memory.

    python benchmarks/accept.py [--rounds 3]

A gateway runs as a process of its own and is asked over HTTP; beside it, in the same round, a bare `executemany` writes
the same rows into a database with the same schema and the same durability. Each round has a new gateway and a new
database. Every figure is told as [median, least, most] of the rounds: two runs are different only where these do not
overlap. Where `load`, the machine's at the end, is above 1 or 2, only `cpu_s` can be compared at all.

    recipients_per_s       100,000 over the time from the first byte of the request to its 202
    bare_per_s             the same rows over the time of one executemany and its commit
    times_bare             the time of the request over that of the bare rows
    rss_idle_mb            before the request
    rss_waiting_above_mb   while the 100,000 wait, above idle
    rss_peak_above_mb      the highest while it was accepted, above idle
    cpu_s                  CPU seconds of the gateway meanwhile
    loop_stalled_ms        the longest that /healthz took meanwhile

One JSON line.
"""

import argparse
import asyncio
import json
import os
import secrets
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median_low
from typing import Any

import aiohttp
import orjson
import psutil

from gateway.clock import now_ms
from gateway.model.tenant import SCOPES, ApiKey, Tenant
from gateway.store import tenants
from gateway.store.database import Database, Tx

PEOPLE = 100_000
SENDER = "+18005550199"
ROOT = Path(__file__).parents[1]


def job() -> dict[str, Any]:
    """A bill to 100,000 people, each with a reference and two variables."""
    people = [
        {
            "to": f"+1212{200 + n // 10_000 % 800:03}{n % 10_000:04}",
            "reference": f"account-{n}",
            "variables": {"name": f"Customer {n}", "amount": f"{n % 300}.{n % 100:02}"},
        }
        for n in range(PEOPLE)
    ]
    body = "Hello {{ name }}, your bill of ${{ amount }} is due on Friday. City Water. Reply STOP to opt out."
    start = "2038-01-01T00:00:00Z"  # they wait, and nothing leaves while it is measured
    return {"channel": "sms", "from": SENDER, "message": {"body": body}, "start_at": start, "recipients": people}


async def key(data: Path) -> str:
    """A tenant and a key, made in the database before the gateway starts."""
    secret = f"gwk_{secrets.token_urlsafe(32)}"
    fresh = ApiKey("key_bench", "bench", tenants.fingerprint(secret), SCOPES, "live", "bench", now_ms())

    async def add(tx: Tx) -> None:
        await tenants.add_tenant(tx, Tenant("bench", "bench", now_ms()))
        await tenants.add_key(tx, fresh)

    async with Database.open(data / "gateway.db", migrate=True) as database:
        await database.write(add)
    return secret


SERVER = """
import asyncio, sys
from gateway.app import serve
from gateway.settings import load
data, config = sys.argv[1:]
settings = load(None, {}, {"data_dir": data, "http.port": 0, "logs.level": "error",
    "folders.limits": config + "/limits.toml", "folders.keywords": config + "/keywords.toml"})
asyncio.run(serve(settings, ready=lambda gateway: print(gateway.url, flush=True)))
"""


def rss_mb(pid: int, field: str = "VmRSS") -> float:
    """Resident memory of one process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def cpu(pid: int) -> float:
    """CPU seconds of one process."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


async def stalls(session: aiohttp.ClientSession, url: str, longest: list[float]) -> None:
    """Ask again and again whether the loop answers."""
    while True:
        began = time.perf_counter()
        async with session.get(f"{url}/healthz") as response:
            await response.read()
        longest[0] = max(longest[0], time.perf_counter() - began)
        await asyncio.sleep(0.005)


async def measure(url: str, pid: int, secret: str) -> dict[str, float]:
    """Submit the job and look at the process."""
    body = orjson.dumps(job())
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.put(f"{url}/v1/senders/{SENDER}", json={}) as response:
            assert response.status == 200, await response.text()
        async with session.post(f"{url}/v1/jobs", json={**job(), "recipients": job()["recipients"][:10]}) as response:
            assert response.status == 202, await response.text()
        await asyncio.sleep(1)
        idle = rss_mb(pid)
        longest, used = [0.0], cpu(pid)
        watch = asyncio.create_task(stalls(session, url, longest))
        began = time.perf_counter()
        async with session.post(f"{url}/v1/jobs", data=body) as response:
            told = await response.json()
            assert response.status == 202, told
        seconds = time.perf_counter() - began
        spent = cpu(pid) - used
        watch.cancel()
        assert told["accepted"] == PEOPLE
        await asyncio.sleep(1)
        return {
            "recipients_per_s": round(PEOPLE / seconds),
            "request_mb": round(len(body) / 1e6, 1),
            "rss_idle_mb": round(idle, 1),
            "rss_waiting_above_mb": round(rss_mb(pid) - idle, 1),
            "rss_peak_above_mb": round(rss_mb(pid, "VmHWM") - idle, 1),
            "cpu_s": round(spent, 2),
            "loop_stalled_ms": round(longest[0] * 1000, 1),
        }


async def bare(data: Path, folder: Path) -> float:
    """The same rows by one executemany, in the same schema, as durable: rows a second."""
    path = folder / "bare.db"
    async with Database.open(path, migrate=True):
        pass
    with sqlite3.connect(data / "gateway.db") as accepted:
        rows = accepted.execute("SELECT * FROM messages").fetchall()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    places = ", ".join("?" * len(rows[0]))
    began = time.perf_counter()
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(f"INSERT INTO messages VALUES ({places})", rows)  # noqa: S608 - question marks
    connection.execute("COMMIT")
    seconds = time.perf_counter() - began
    connection.close()
    return len(rows) / seconds


def one_round() -> dict[str, float]:
    """All figures of a gateway and a database of its own."""
    with tempfile.TemporaryDirectory() as name:
        data = Path(name) / "data"
        data.mkdir()
        secret = asyncio.run(key(data))
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(data), str(ROOT / "config")], stdout=subprocess.PIPE, text=True, cwd=name
        )
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            figures = asyncio.run(measure(url, server.pid, secret))
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)
        figures["bare_per_s"] = round(asyncio.run(bare(data, Path(name))))
    return figures | {"times_bare": round(figures["bare_per_s"] / figures["recipients_per_s"], 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = [one_round() for _ in range(parser.parse_args().rounds)]
    figures = {
        name: [median_low(each), min(each), max(each)] for name in rounds[0] for each in [[r[name] for r in rounds]]
    }
    told = {"benchmark": "accept", "recipients": PEOPLE, "rounds": len(rounds), **figures}
    print(json.dumps(told | {"load": round(os.getloadavg()[0], 1), "cpus": os.cpu_count()}))


if __name__ == "__main__":
    main()
