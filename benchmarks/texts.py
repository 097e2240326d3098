"""How many texts a second go end to end, durable at every step, beside a bare aiohttp client and beside Kannel.

    python benchmarks/texts.py [--texts 5000] [--reports] [--both] [--postgres]

The far end is the stub (benchmarks/parts/stub.py), the same one for all. The gateway, a process of its own with its
embedded defaults, is given one job; the sender's rate is set above what can be reached. The bare side posts the very
same forms, 64 at once, and keeps nothing. Kannel, where it is installed, has a spool store (no fsync) and an HTTP
carrier, and is fed by sendsms, 16 at once. Each side's figures:

    per_s           texts over the time from the first at the far end to the last
    cpu_s_per_1000  CPU seconds of that side's own processes: the gateway's count its Valkey, from the first text at
                    the far end to the last report (taking the job is measured by benchmarks/accept.py)

`--postgres` has the gateway keep its rows in a PostgreSQL that is durable, whose CPU is told apart.
`--reports` has the stub report each of the gateway's texts `delivered`, signed; `--both` measures it without and with.
`times_bare` is the gateway's CPU per text over the bare client's, which runs before and after. One JSON line.
"""

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import psutil
import uvloop
from parts.kannel import Kannel, installed
from parts.processes import GATEWAY, ROOT, STUB, carried_by, child, cpu
from parts.shared import shared

from gateway.client import Client

SENDER = "+18005550199"
BODY = "City Water: your bill of $42.10 is due on Friday. Reply STOP to end."
AT_ONCE = 64
GIVE_UP_S = 300
MARK = {"times_bare": 2.0, "per_s": 2000}


def number_of(index: int) -> str:
    return f"+1212{200 + index // 9000}{1000 + index % 9000}"


def new_key(environ: dict[str, str], *scopes: str) -> str:
    made = [*GATEWAY, "key", "create", "--tenant", "bench", *(word for scope in scopes for word in ("--scope", scope))]
    done = subprocess.run(made, env=os.environ | environ, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


async def counts(http: aiohttp.ClientSession, url: str) -> int:
    async with http.get(f"{url}/counts") as answer:
        return int((await answer.json())["received"])


async def spread(http: aiohttp.ClientSession, url: str) -> float:
    """Seconds from the first text at the far end to the last."""
    async with http.get(f"{url}/ledger") as answer:
        times = [at for _, at in await answer.json()]
    return max(times) - min(times)


async def until(
    http: aiohttp.ClientSession, url: str, number: int, *sides: Sequence[psutil.Process]
) -> tuple[float, ...]:
    """Wait until the far end has so many; the CPU that each side had used when the first came."""
    used, end = tuple(cpu(*side) for side in sides), time.monotonic() + GIVE_UP_S
    while (came := await counts(http, url)) < number:
        assert time.monotonic() < end, f"{came} of {number} came"
        used = used if came else tuple(cpu(*side) for side in sides)
        await asyncio.sleep(0.05)
    return used


def figures(number: int, spent_s: float, cpu_s: float) -> dict[str, float]:
    return {"per_s": round(number / spent_s), "cpu_s_per_1000": round(cpu_s / number * 1000, 3)}


async def through_gateway(number: int, *, reports: bool, postgres: bool) -> dict[str, float]:
    """Submit a job and wait until it is over."""
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        _, far_end = stack.enter_context(child([*STUB, *(["--reports"] if reports else [])]))
        environ = {"GATEWAY_DATA_DIR": folder} | carried_by(far_end)
        others: list[psutil.Process] = []
        if postgres:
            servers = await stack.enter_async_context(shared(Path(folder)))
            environ |= servers.settings
            others = [servers.postgres]
        key = new_key(environ)
        process, gateway = stack.enter_context(child([*GATEWAY, "serve", "--port", "0"], **environ))
        client = await stack.enter_async_context(Client(gateway["url"], key))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        await client.put(f"/v1/senders/{SENDER}", verified())
        made = await client.post("/v1/jobs", job(number))
        used, others_used = await until(http, far_end["url"], number, [process], others)
        while await in_state(client, made["id"], "delivered" if reports else "sent") < number:
            await asyncio.sleep(0.1)
        told = figures(number, await spread(http, far_end["url"]), cpu(process) - used)
        apart = {"postgres_cpu_s_per_1000": round((cpu(*others) - others_used) / number * 1000, 3)} if others else {}
        return told | apart


def verified(rate: str = "9999/s") -> dict[str, Any]:
    return {"kind": "toll_free", "status": "verified", "limits": {"rate": rate}}


def job(number: int, sender: str = SENDER) -> dict[str, Any]:
    people = [{"to": number_of(index)} for index in range(number)]
    return {"channel": "sms", "from": sender, "recipients": people, "message": {"body": BODY}}


async def in_state(client: Client, job_id: str, status: str) -> int:
    told = await client.get(f"/v1/jobs/{job_id}")
    return int(told["counts"]["by_state"].get(status, 0))


async def bare(number: int) -> dict[str, float]:
    """Post the same forms with nothing around them."""
    todo = iter(range(number))
    with child(STUB) as (_, far_end):
        account = far_end["account"]
        url = f"{far_end['url']}/2010-04-01/Accounts/{account}/Messages.json"
        callback = f"http://127.0.0.1:8080/carriers/twilio/status?{urlencode({'id': 'm_' + 26 * '0'})}"
        fixed = {"From": SENDER, "Body": BODY, "SmartEncoded": "False", "StatusCallback": callback}

        async def post(http: aiohttp.ClientSession) -> None:
            for index in todo:
                async with http.post(url, data={"To": number_of(index), **fixed, "ValidityPeriod": "14400"}) as answer:
                    assert answer.status == 201
                    await answer.read()

        headers = {"Authorization": aiohttp.encode_basic_auth(account, "practice")}
        async with aiohttp.ClientSession(headers=headers) as http:
            used = time.process_time()
            await asyncio.gather(*(post(http) for _ in range(AT_ONCE)))
            spent = time.process_time() - used
            return figures(number, await spread(http, far_end["url"]), spent)


async def through_kannel(number: int) -> dict[str, Any]:
    """Feed Kannel and wait until the stub has all."""
    if not installed():
        return {"skipped": "Kannel is not installed (Debian: kannel)"}
    with (
        tempfile.TemporaryDirectory() as folder,
        child(STUB) as (_, far_end),
        Kannel(Path(folder), far_end["url"]) as kannel,
    ):
        async with aiohttp.ClientSession() as http:
            used = cpu(*kannel.processes)
            taken = await kannel.submit((number_of(index), BODY) for index in range(number))
            assert len(taken) == number
            await until(http, far_end["url"], number, kannel.processes)
            return figures(number, await spread(http, far_end["url"]), cpu(*kannel.processes) - used)


async def main(number: int, forms: Sequence[bool], *, postgres: bool) -> None:
    before = await bare(number)
    ours = {
        "with_reports" if reports else "without_reports": await through_gateway(
            number, reports=reports, postgres=postgres
        )
        for reports in forms
    }
    kannel = await through_kannel(number)
    after = await bare(number)
    alone = (before["cpu_s_per_1000"] + after["cpu_s_per_1000"]) / 2
    times = {name: round(each["cpu_s_per_1000"] / alone, 1) for name, each in ours.items()}
    line = {
        "benchmark": "texts",
        "texts": number,
        "database": "postgresql" if postgres else "sqlite",
        "load": round(os.getloadavg()[0], 1),
        "gateway": ours,
        "bare_post": [before, after],
        "kannel": kannel,
        "times_bare": times,
        "mark": MARK,
    }
    print(json.dumps(line))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=5000, help="how many each side sends")
    parser.add_argument("--reports", action="store_true", help="with a delivery report for each of the gateway's texts")
    parser.add_argument("--both", action="store_true", help="without reports, then with them")
    parser.add_argument("--postgres", action="store_true", help="the gateway's rows are in PostgreSQL")
    asked = parser.parse_args()
    uvloop.run(main(asked.texts, (False, True) if asked.both else (asked.reports,), postgres=asked.postgres))
