"""`gateway demo`: a far end and a gateway, each a process; two jobs; a report."""

import asyncio
import contextlib
import json
import signal
import socket
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from ctypes.util import find_library
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import aiohttp
from rich.console import Console

from gateway.client import Client
from gateway.clock import monotonic
from gateway.demo import people, processes, report, watch
from gateway.errors.cli import DemoFailed, FileUnreadable
from gateway.settings import shipped
from gateway.store import keys
from gateway.store.database import Database

SENDER: Final = "+18005550199"
RATE: Final = "25/s"
DAILY: Final = 800
ZONE: Final = "America/Los_Angeles"
TRUNK: Final = "practice_line"
TEXT: Final = "Hello {{ name }}, this is City Water: {{ notice }} Reply STOP to opt out."
PLAN: Final = "payment-reminder"
INBOUND_PLAN: Final = "replay-or-opt-out"
LEDGER: Final = "far-end.jsonl"
JITTER_MS: Final = 250  # between our socket and the far end's clock, on a machine that does all of it at once
TOKEN: Final = "demo-token"  # noqa: S105  made up, and good on this machine alone

_AUDIT: Final = ["audit", "--far-end", LEDGER, "--jitter-ms", str(JITTER_MS), "--json"]
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked for. directory: an empty folder, or None for a temporary one; stays: leave the gateway up."""

    messages: int
    calls: int
    directory: Path | None
    report: Path | None
    stays: bool


@dataclass(frozen=True, slots=True)
class Stage:
    """What runs: a client of the gateway, where both listen, and the key; where it works, and with what settings."""

    client: Client
    url: str
    far_url: str
    key: str
    console: Console
    folder: Path
    environ: Mapping[str, str]


async def run(wishes: Wishes) -> None:
    """Show the whole product on this machine. Raises DemoFailed, RequestRefused; FileUnreadable for a used folder."""
    if wishes.calls and not _can_speak_spanish():
        raise DemoFailed("its calls speak Spanish, too: pip install 'campaign-gateway[espeak]', or give --calls 0")
    console = Console(highlight=False, soft_wrap=True)
    started = monotonic()
    _unwind_on_signals()
    with _folder(wishes.directory) as folder:
        (folder / "data").mkdir(mode=0o700)
        console.print(f"The demo works in {folder}: gateway.log and far-end.log tell what each process does.")
        async with _set_up(folder, console) as stage:
            await _prepare(stage)
            found = await _broadcast(stage, wishes)
            told = await _report(stage, found, started)
            if wishes.report:
                wishes.report.write_text(json.dumps(told, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
            if wishes.stays:
                with contextlib.suppress(asyncio.CancelledError):  # that is how it is meant to end
                    await _stay(stage)


def _can_speak_spanish() -> bool:
    """Whether espeak-ng is here: the extra brings it, or the machine has it."""
    return find_spec("espeakng_loader") is not None or find_library("espeak-ng") is not None


def _unwind_on_signals() -> None:
    """So that the children are ended in order, and the temporary folder goes, whenever the demo is told to stop."""
    task = asyncio.current_task()
    for signum in (signal.SIGINT, signal.SIGTERM):
        if task is not None:
            asyncio.get_running_loop().add_signal_handler(signum, task.cancel)


@contextlib.contextmanager
def _folder(wanted: Path | None) -> Iterator[Path]:
    if wanted is None:
        with tempfile.TemporaryDirectory(prefix="gateway-demo-") as made:
            yield Path(made)
        return
    wanted.mkdir(parents=True, exist_ok=True)
    if any(wanted.iterdir()):
        raise FileUnreadable(str(wanted), "is not empty; the demo begins in a fresh folder")
    yield wanted.resolve()


@contextlib.asynccontextmanager
async def _set_up(folder: Path, console: Console) -> AsyncIterator[Stage]:
    sip_port = _free_udp_port()
    simulate = ["simulate", "--rate", f"{SENDER}={RATE}", "--auth-token", TOKEN, "--pause-ms", "700"]
    simulate += ["--gateway-sip", f"127.0.0.1:{sip_port}", "--ledger-file", LEDGER]
    far_log, log = folder / "far-end.log", folder / "gateway.log"
    async with processes.running(simulate, environ={}, folder=folder, log=far_log) as far_end:
        environ = _environ(folder, far_end, sip_port)
        key = await _first_key(folder / "data")
        async with (
            processes.running(["serve"], environ=environ, folder=folder, log=log) as ready,
            Client(ready["url"], key) as client,
        ):
            yield Stage(client, ready["url"], far_end["url"], key, console, folder, environ)


def _free_udp_port() -> int:
    """A port for the gateway's SIP side, which the far end must know before the gateway runs."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environ(folder: Path, far_end: Mapping[str, Any], sip_port: int) -> dict[str, str]:
    """The embedded defaults, pointed at the far end; live keys and test keys both reach it."""
    sid, url = far_end["account_sid"], far_end["url"]
    settings = {
        "data_dir": folder / "data",
        "http.port": 0,
        "folders.dialplans": shipped("dialplans"),
        "folders.audio": shipped("audio"),
        "folders.limits": shipped("config") / "limits.toml",
        "folders.keywords": shipped("config") / "keywords.toml",
        "twilio.account_sid": sid,
        "twilio.auth_token": TOKEN,
        "twilio.base_url": url,
        "twilio.timeout_s": 5,
        "practice.account_sid": sid,
        "practice.auth_token": TOKEN,
        "practice.url": url,
        "practice.sip_port": far_end["sip_port"],
        "sip.port": sip_port,
        f"trunks.{TRUNK}.host": "127.0.0.1",
        f"trunks.{TRUNK}.port": far_end["sip_port"],
        f"trunks.{TRUNK}.calls_per_second": 2,
        f"trunks.{TRUNK}.channels": 50,  # all at once: the demo takes less than two minutes
        f"trunks.{TRUNK}.ring_timeout_s": 15,
    }
    return {f"GATEWAY_{name.replace('.', '__').upper()}": str(value) for name, value in settings.items()}


async def _first_key(data_dir: Path) -> str:
    async with Database.open(data_dir / "gateway.db", migrate=True) as database:
        issued = await database.write(lambda tx: keys.issue(tx, "city-water", label="demo"))
    return issued.secret


async def _prepare(stage: Stage) -> None:
    """Make the sender and publish the plans; tell the far end where replies to the sender go."""
    for name in (PLAN, INBOUND_PLAN):
        source = (shipped("dialplans") / f"{name}.yaml").read_bytes()
        await stage.client.put(f"/v1/dialplans/{name}", source, "application/yaml")
    sender = {
        "kind": "toll_free",
        "status": "verified",
        "carrier": "twilio",
        "voice": TRUNK,
        "limits": {"rate": RATE, "daily": DAILY, "zones": [ZONE]},
        "keyword_replies": "gateway",
        "inbound_dialplan": INBOUND_PLAN,
    }
    await stage.client.put(f"/v1/senders/{SENDER}", sender)
    replies = {"inbound_url": f"{stage.url}/carriers/twilio/inbound"}
    await _far_end(stage, "PUT", f"/practice/senders/{SENDER}", json=replies)


async def _broadcast(stage: Stage, wishes: Wishes) -> list[Json]:
    """Submit both jobs and wait until they have settled; the texts first."""
    text_job = {"channel": "sms", "from": SENDER, "message": {"body": TEXT}}
    made = await stage.client.post("/v1/jobs", text_job)
    csv = people.text_csv(wishes.messages)
    await stage.client.post(f"/v1/jobs/{made['id']}/recipients", csv, "text/csv")
    jobs = [("Texts", str(made["id"]))]
    if wishes.calls:
        recipients = people.call_recipients(wishes.calls)
        call_job = {"channel": "voice", "from": SENDER, "call": {"dialplan": PLAN}, "recipients": recipients}
        jobs.append(("Calls", str((await stage.client.post("/v1/jobs", call_job))["id"])))
    stage.console.print(f"{wishes.messages} texts and {wishes.calls} calls are handed over to {stage.url}.")
    return await watch.until_settled(stage.client, jobs, stage.console)


async def _report(stage: Stage, jobs: list[Json], started: float) -> Json:
    client, text_job, call_jobs = stage.client, jobs[0], jobs[1:]
    calls = [call for job in call_jobs for call in await client.every("/v1/calls", job_id=job["id"])]
    events = [event for job in call_jobs for event in await client.past_events(job_id=job["id"])]
    people_out = await client.every("/v1/opt-outs")
    by_text = sum(any(said["source"] != "dialplan" for said in each["opt_outs"]) for each in people_out)
    usage = await client.get(f"/v1/senders/{SENDER}/usage")
    rates = (await _far_end(stage, "GET", "/practice/rates"))["senders"]
    counts = await _far_end(stage, "GET", "/practice/counts")
    told = {
        "sms": report.sms(text_job["counts"], by_text, rates[0] if rates else {}, usage["windows"]),
        "voice": report.voice(call_jobs[0]["counts"] if call_jobs else report.NO_CALLS, events),
        "far_end": {name: counts[name] for name in ("messages_received", "calls_received")},
        "audit": await processes.told(_AUDIT, environ=stage.environ, folder=stage.folder),
        "seconds": round(monotonic() - started, 1),
    }
    why = await client.get(f"/v1/jobs/{text_job['id']}/why")
    opens = {each["reason"]: each["opens_at"] for each in why["held"]}
    pressed = Counter(call["keys"] for call in calls if call["keys"])
    report.show(stage.console, told, dict(pressed.most_common()), opens)
    return told


async def _far_end(stage: Stage, method: str, path: str, **options: Any) -> Json:
    async with aiohttp.request(method, stage.far_url + path, **options) as answer:
        if answer.status != 200:
            raise DemoFailed(f"the far end answered {answer.status} to {method} {path}")
        found: Json = await answer.json()
        return found


async def _stay(stage: Stage) -> None:
    """Leave it up until Ctrl-C, and say what can be done with it."""
    stage.console.print(
        f"""
It is still up. Have a look:

  API, readable     {stage.url}/docs
  the far end       {stage.far_url}/practice/counts   (what it heard of calls: /practice/calls)

  export GATEWAY_URL={stage.url} GATEWAY_KEY={stage.key}
  gateway sender show {SENDER}
  gateway events tail

  curl -s $GATEWAY_URL/v1/messages -H "Authorization: Bearer $GATEWAY_KEY" -H "Content-Type: application/json" \\
    -d '{{"to": "+12125551234", "from": "{SENDER}", "body": "Hello from City Water"}}'
  curl -s $GATEWAY_URL/v1/calls -H "Authorization: Bearer $GATEWAY_KEY" -H "Content-Type: application/json" \\
    -d '{{"to": "+12125550101", "from": "{SENDER}", "dialplan": "{PLAN}", "variables": {{"name": "Ana"}}}}'

Ctrl-C stops everything."""
    )
    await asyncio.Event().wait()
