"""How a whole gateway holds 100, 250, 500 and 1,000 calls at once: frames, keys, set-up, the first word, CPU, memory.

    python benchmarks/calls.py [--calls 100 250 500 1000] [--rate 55] [--hold 12] [--names 8] [--processes 1]

For each size a gateway with its embedded defaults (it starts its Valkey, its media and its speech), given one voice job
over HTTP, and a far end: a SIP endpoint that answers every INVITE at once (`parts/answering.py`), and for the audio a
process in C that talks on each call every 20 ms, presses four keys that are that person's own, and times all that it
hears by the kernel's clock (`parts/far_end.c`; skipped where the machine has no compiler). It begins to hang up
`--hold` seconds after the last call came. Everybody is called by one of `--names` names, so that many greetings
are rendered.

A frame is late when it came more than 30 ms after the one before it in its call. `first_word_ms` counts from the far
end's 200 to the first frame that is not silence. CPU is a share of one core while all calls are up; `grown_kb` is what
the gateway's process and the media processes grew by, and `kb_a_call` what one more call adds, from the fewest to the
most calls.
`keys_right_share` compares the gateway's own record of each call with what was pressed in it. One JSON line.
"""

import argparse
import asyncio
import json
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from parts.answering import keys_of
from parts.far_end import compiler, more_files
from parts.processes import GATEWAY, child
from texts import new_key

from gateway.client import Client

HERE = "127.0.0.1"
HERE_FOLDER = Path(__file__).parent
SENDER = "+18005550199"
FIRST_NUMBER = 1000
MARKS = {"late_share": 0.01, "keys_right_share": 1.0, "kb_a_call": 64.0, "first_word_ms_max": 300.0, "set_up_per_s": 50}
NOTICE = """
      The water will be off on Friday from nine in the morning to four in the afternoon, while we replace a main from
      1931. Please fill a kettle and a bucket the evening before. The first water afterwards may look cloudy, which is
      harmless; let the tap run for a minute. Bottled water is free at the depot on Mill Road. A crew will knock at
      the doors of those who need help. If you depend on water for medical reasons, please call us today, and we will
      bring a tank to your door before the work begins."""
PLAN = f"""
name: long-notice
language: en-US
start: greet
variables: {{name: {{required: true}}}}
nodes:
  greet:
    collect:
      into: code
      prompt: {{say: "Hello {{{{ name }}}}. This is City Water. Enter the last four digits of your telephone number."}}
      min_digits: 4
      max_digits: 4
      finish_key: none
      timeout: 5s
      otherwise: bye
    next: notice
  notice:
    say: >-{NOTICE}
    next: again
  again:
    say: >-{NOTICE}
    next: ask
  ask:
    menu:
      prompt: {{say: "Press 1 to hear this again, or 9 to be removed from our list."}}
      choices: {{"1": notice, "9": remove}}
      timeout: 5s
      otherwise: bye
  bye: {{say: "Goodbye.", then: hangup}}
  remove: {{opt_out: tenant, then: hangup}}
"""


def processes(gateway: psutil.Process) -> dict[str, list[psutil.Process]]:
    """The gateway's processes by what they do."""
    found = {"gateway": [gateway]}
    for each in gateway.children(recursive=True):
        words = " ".join(each.cmdline())
        for part, name in (("rtp_process", "media"), ("speech.worker", "speech"), ("valkey", "valkey")):
            if part in words:
                found.setdefault(name, []).append(each)
    return found


def cpu_s(found: dict[str, list[psutil.Process]]) -> dict[str, float]:
    return {name: sum(sum(each.cpu_times()[:2]) for each in group) for name, group in found.items()}


def memory_kb(found: dict[str, list[psutil.Process]]) -> dict[str, float]:
    return {name: sum(each.memory_info().rss for each in found.get(name, [])) / 1024 for name in ("gateway", "media")}


async def broadcast(client: Client, calls: int, names: int) -> str:
    """Submit the job; returns its id."""
    people = [
        {"to": f"+1212555{FIRST_NUMBER + index}", "variables": {"name": f"Customer {index % names + 1}"}}
        for index in range(calls)
    ]
    job = {"channel": "voice", "from": SENDER, "recipients": people, "call": {"dialplan": "long-notice"}}
    return str((await client.post("/v1/jobs", job))["id"])


async def through_gateway(client: Client, gateway: psutil.Process, calls: int, given: Any) -> dict[str, Any]:
    """Run the job; returns its ends, its keys, and what each process took while all calls were up."""
    await client.put("/v1/dialplans/long-notice", PLAN.encode(), "application/yaml")
    await client.put(f"/v1/senders/{SENDER}", {"kind": "toll_free", "status": "verified", "voice": "main"})
    empty = memory_kb(processes(gateway))
    job = f"/v1/jobs/{await broadcast(client, calls, given.names)}"
    while (await client.get(job))["counts"]["by_state"].get("queued"):
        await asyncio.sleep(0.2)
    await asyncio.sleep(2.0)
    found = processes(gateway)
    start, before = time.monotonic(), cpu_s(found)
    await asyncio.sleep(given.hold / 3)
    lasted, after, full = time.monotonic() - start, cpu_s(found), memory_kb(found)
    while (await client.get(job))["status"] != "completed":
        await asyncio.sleep(0.5)
    ended = await client.every("/v1/calls")
    right = [each for each in ended if each["keys"] == keys_of(int(each["to"][-4:]))]
    return {
        "ends": (await client.get(job))["counts"]["by_state"],
        "keys_right_share": round(len(right) / calls, 5),
        "cpu_share": {name: round((after[name] - before[name]) / lasted, 3) for name in found},
        "grown_kb": round(sum(full.values()) - sum(empty.values())),
    }


async def measure(calls: int, given: argparse.Namespace) -> dict[str, Any]:
    """One gateway, one far end, one job."""
    pipe = asyncio.subprocess.PIPE
    words = (sys.executable, "-m", "parts.answering", str(calls), str(given.hold))
    far = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, cwd=HERE_FOLDER)
    assert far.stdout is not None
    port = json.loads(await far.stdout.readline())["port"]
    with tempfile.TemporaryDirectory() as directory:
        environ = {
            "GATEWAY_DATA_DIR": directory,
            "GATEWAY_SIP__PORT": str(free_port()),
            "GATEWAY_SIP__MEDIA_PROCESSES": str(given.processes),
            "GATEWAY_TRUNKS__MAIN__HOST": HERE,
            "GATEWAY_TRUNKS__MAIN__PORT": str(port),
            "GATEWAY_TRUNKS__MAIN__CALLS_PER_SECOND": str(given.rate),
            "GATEWAY_TRUNKS__MAIN__CHANNELS": str(calls),
        }
        key = new_key(environ)
        with child([*GATEWAY, "serve", "--port", "0"], **environ) as (process, ready):
            async with Client(ready["url"], key) as client:
                ours = await through_gateway(client, process, calls, given)
    out, _ = await far.communicate(b"end\n")
    return {"calls": calls, **json.loads(out), **ours}


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HERE, 0))
        return int(probe.getsockname()[1])


def missed(row: dict[str, Any]) -> list[str]:
    """The marks that a row does not reach."""
    least = {"keys_right_share", "set_up_per_s"}
    return [name for name, mark in MARKS.items() if (row[name] < mark if name in least else row[name] > mark)]


async def measured(given: argparse.Namespace) -> dict[str, Any]:
    rows = [await measure(calls, given) for calls in given.calls]
    kb_a_call = marginal_kb(rows)
    short = {str(row["calls"]): missed({**row, "kb_a_call": kb_a_call}) for row in rows}
    line = {"benchmark": "calls", "rate": given.rate, "processes": given.processes, "marks": MARKS}
    return {**line, "ok": not any(short.values()), "missed": short, "kb_a_call": kb_a_call, "rows": rows}


def marginal_kb(rows: list[dict[str, Any]]) -> float:
    """What one more call takes: from the fewest to the most, so that what the first call of all needs is left out."""
    fewest, most = min(rows, key=lambda row: row["calls"]), max(rows, key=lambda row: row["calls"])
    more = most["calls"] - fewest["calls"]
    return round((most["grown_kb"] - fewest["grown_kb"]) / more if more else most["grown_kb"] / most["calls"], 1)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--calls", type=int, nargs="+", default=[100, 250, 500, 1000])
    arguments.add_argument("--rate", type=float, default=55.0, help="calls started in a second")
    arguments.add_argument("--hold", type=float, default=12.0, help="seconds for which all calls are up")
    arguments.add_argument("--names", type=int, default=8, help="different greetings to render")
    arguments.add_argument("--processes", type=int, default=1, help="media processes")
    given = arguments.parse_args()
    if compiler() is None:
        print(json.dumps({"benchmark": "calls", "skipped": "no C compiler on this machine"}))
        return
    more_files()
    print(json.dumps(asyncio.run(measured(given))))


if __name__ == "__main__":
    main()
