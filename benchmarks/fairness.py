"""What quiet senders lose beside one that is busy, slow or has very many texts queued.

    python benchmarks/fairness.py [--senders 4] [--rate 25] [--seconds 10] [--queued 100000] [--rounds 2]

Each of `--senders` quiet senders is given a job for `--seconds` at its rate, on one gateway with its embedded defaults.
They are alone, or one more sender is at work before they begin, on the same carrier account (benchmarks/parts/stub.py):

    busy    `--queued` texts and a rate that cannot be reached: it takes what the machine has
    queued  `--queued` texts, one a second
    slow    400 a second, but the carrier takes 5 s for each of its answers, and for nobody else's

`per_s` is what the quiet ones reached together, by the far end's ledger: of each, its texts over the time from its
first to its last. `slower` is the share that was lost against the quiet ones alone, by the best of the rounds, which
take turns. `neighbour` is how many texts of the other sender came meanwhile. The mark: under 5 % slower. One JSON line.
"""

import argparse
import asyncio
import json
import os
import tempfile
from pathlib import Path
from typing import Any, Final

import aiohttp
import uvloop
from parts.processes import GATEWAY, STUB, carried_by, child
from parts.queued import BODY, SENDER, fill

from gateway.client import Client

MARK: Final = {"slower": 0.05}
BEGUN: Final = 50  # texts of the other sender that have come when the quiet ones begin
LOOK_S: Final = 0.25
SLOW: Final = ["--slow-ms", "5000", "--slow-from", SENDER]
Ledger = list[tuple[str, float]]


def quiet(index: int) -> str:
    return f"+1800555{1000 + index}"


def people(index: int, number: int) -> list[dict[str, str]]:
    """People whom nobody else writes to: area code 646, and an exchange for each sender."""
    return [{"to": f"+1646{200 + index}{1000 + each}"} for each in range(number)]


async def ledger(http: aiohttp.ClientSession, url: str) -> Ledger:
    async with http.get(f"{url}/ledger") as answer:
        return [(to, at) for to, at in await answer.json()]


async def came(http: aiohttp.ClientSession, url: str, number: int, prefix: str, within_s: float) -> Ledger:
    """Wait until so many have come to numbers that begin so."""
    async with asyncio.timeout(within_s):
        while True:
            found = await ledger(http, url)
            if sum(to.startswith(prefix) for to, _ in found) >= number:
                return found
            await asyncio.sleep(LOOK_S)


def judged(found: Ledger, senders: int) -> dict[str, float]:
    """What the quiet ones reached together, and how much of the other sender's came meanwhile."""
    reached, spans = 0.0, []
    for index in range(senders):
        times = [at for to, at in found if to.startswith(f"+1646{200 + index}")]
        reached += (len(times) - 1) / (max(times) - min(times))
        spans += [min(times), max(times)]
    meanwhile = sum(not to.startswith("+1646") and min(spans) <= at <= max(spans) for to, at in found)
    return {"per_s": round(reached, 2), "neighbour": meanwhile}


async def measured(wishes: argparse.Namespace, queued: int, rate: str, stub: list[str]) -> dict[str, float]:
    """The quiet ones, once, beside a sender with so many queued."""
    number = wishes.rate * wishes.seconds
    with tempfile.TemporaryDirectory() as folder, child([*STUB, *stub]) as (_, far_end):
        key = await fill(Path(folder), queued, rate)
        environ = {"GATEWAY_DATA_DIR": folder} | carried_by(far_end)
        with child([*GATEWAY, "serve", "--port", "0"], **environ) as (_, gateway):
            async with aiohttp.ClientSession() as http, Client(gateway["url"], key) as client:
                begun = 0 if not queued else 2 if rate == "1/s" else BEGUN
                await came(http, far_end["url"], begun, "", 60)
                for index in range(wishes.senders):
                    sender = {"kind": "toll_free", "status": "verified", "limits": {"rate": f"{wishes.rate}/s"}}
                    await client.put(f"/v1/senders/{quiet(index)}", sender)
                for index in range(wishes.senders):
                    job = {"channel": "sms", "from": quiet(index), "message": {"body": BODY}}
                    await client.post("/v1/jobs", {**job, "recipients": people(index, number)})
                found = await came(http, far_end["url"], number * wishes.senders, "+1646", 60 + 4 * wishes.seconds)
                return judged(found, wishes.senders)


async def main(wishes: argparse.Namespace) -> None:
    sides: dict[str, tuple[int, str, list[str]]] = {
        "alone": (0, "1/s", []),
        "busy": (wishes.queued, "9999/s", []),
        "queued": (wishes.queued, "1/s", []),
        "slow": (400 * (wishes.seconds + 10), "400/s", SLOW),
    }
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for _ in range(wishes.rounds):
        for name, side in sides.items():
            rounds[name].append(await measured(wishes, *side))
    best = {name: max(each, key=lambda one: one["per_s"]) for name, each in rounds.items()}
    alone = best["alone"]["per_s"]
    line: dict[str, Any] = {
        "benchmark": "fairness",
        "senders": wishes.senders,
        "rate": f"{wishes.rate}/s each",
        **best,
        "slower": {name: round(1 - best[name]["per_s"] / alone, 4) for name in sides if name != "alone"},
        "mark": MARK,
        "load": round(os.getloadavg()[0], 1),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--senders", type=int, default=4, help="quiet ones")
    parser.add_argument("--rate", type=int, default=25, help="texts a second of each of them")
    parser.add_argument("--seconds", type=int, default=10, help="how long their jobs take")
    parser.add_argument("--queued", type=int, default=100_000, help="of the busy sender")
    parser.add_argument("--rounds", type=int, default=2)
    uvloop.run(main(parser.parse_args()))
