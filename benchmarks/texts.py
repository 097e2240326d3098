"""How many texts a second go end to end, durable at every step, beside a bare aiohttp loop that posts the same.

    python benchmarks/texts.py [--texts 3000]

Three processes: the practice far end (Twilio's wire), a gateway with its embedded defaults, and this one, which submits
one job and waits until the far end has had every text. The sender's rate is set far above what can be reached. The bare
side posts the same forms, 64 at once, and keeps nothing. CPU is each side's own: the gateway's counts its Valkey. One
JSON line.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from gateway.client import Client

ROOT = Path(__file__).parents[1]
GATEWAY = [sys.executable, "-m", "gateway.cli"]
SENDER = "+18005550199"
BODY = "City Water: your bill of $42.10 is due on Friday. Reply STOP to end."
AT_ONCE = 64


@contextmanager
def child(*words: str, **environ: str) -> Iterator[tuple[psutil.Process, dict[str, Any]]]:
    """A process of ours, and the JSON line it prints when it listens."""
    process = subprocess.Popen(
        [*GATEWAY, *words], env=os.environ | environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        yield psutil.Process(process.pid), json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(20)


def number_of(index: int) -> str:
    """A number whose last four digits the far end delivers to."""
    return f"+1212{200 + index // 9000}{1000 + index % 9000}"


def cpu(process: psutil.Process) -> float:
    """CPU seconds of a process and of what it started."""
    family = [process, *process.children(recursive=True)]
    return sum(times.user + times.system for times in (each.cpu_times() for each in family))


def new_key(environ: dict[str, str]) -> str:
    made = [*GATEWAY, "key", "create", "--tenant", "bench"]
    done = subprocess.run(made, env=os.environ | environ, check=True, capture_output=True, text=True, cwd=ROOT)
    return done.stdout.strip()


async def received(http: aiohttp.ClientSession, url: str) -> int:
    async with http.get(f"{url}/practice/counts") as answer:
        counts = await answer.json()
    return int(counts["messages_received"])


async def through_gateway(url: str, key: str, far_end: str, number: int, gateway: psutil.Process) -> dict[str, float]:
    """Submit a job; the figures count from the first text at the far end to the last."""
    people = [{"to": number_of(index)} for index in range(number)]
    async with Client(url, key) as client, aiohttp.ClientSession() as http:
        await client.put(
            f"/v1/senders/{SENDER}", {"kind": "toll_free", "status": "verified", "limits": {"rate": "9999/s"}}
        )
        used = cpu(gateway)
        start = time.perf_counter()
        job = {"channel": "sms", "from": SENDER, "recipients": people, "message": {"body": BODY}}
        made = await client.post("/v1/jobs", job)
        accepted = time.perf_counter() - start
        while await received(http, far_end) < number:
            await asyncio.sleep(0.05)
        spent = time.perf_counter() - start - accepted
        while (await client.get(f"/v1/jobs/{made['id']}"))["status"] != "completed":
            await asyncio.sleep(0.2)
        return {"per_s": round(number / spent), "cpu_s_per_1000": round((cpu(gateway) - used) / number * 1000, 3)}


async def bare(far_end: str, account: str, number: int) -> dict[str, float]:
    """Post the same forms with nothing around them."""
    todo = iter(range(number))
    url = f"{far_end}/2010-04-01/Accounts/{account}/Messages.json"

    async def post(http: aiohttp.ClientSession) -> None:
        for index in todo:
            form = {"To": number_of(index), "From": SENDER, "Body": BODY}
            async with http.post(url, data=form) as answer:
                await answer.read()

    used, start = time.process_time(), time.perf_counter()
    headers = {"Authorization": aiohttp.encode_basic_auth(account, "practice")}
    async with aiohttp.ClientSession(headers=headers) as http:
        await asyncio.gather(*(post(http) for _ in range(AT_ONCE)))
    spent = time.perf_counter() - start
    return {
        "per_s": round(number / spent),
        "cpu_s_per_1000": round((time.process_time() - used) / number * 1000, 3),
    }


async def main(number: int) -> None:
    with tempfile.TemporaryDirectory() as directory, child("simulate", "--report-delay-s", "0.1") as (_, far_end):
        account, url = far_end["account_sid"], far_end["url"]
        environ = {
            "GATEWAY_DATA_DIR": directory,
            "GATEWAY_TWILIO__ACCOUNT_SID": account,
            "GATEWAY_TWILIO__AUTH_TOKEN": "practice",
            "GATEWAY_TWILIO__BASE_URL": url,
        }
        key = new_key(environ)
        with child("serve", "--port", "0", **environ) as (process, gateway):
            through = await through_gateway(gateway["url"], key, url, number, process)
        alone = await bare(url, account, number)
    print(json.dumps({"benchmark": "texts", "texts": number, "gateway": through, "bare_post": alone}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=3000)
    asyncio.run(main(parser.parse_args().texts))
