"""What the benchmarks judge by must itself be right: the stub answers as a carrier does, and the judge can count."""

import asyncio
import importlib.util
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from twilio.request_validator import RequestValidator

from gateway.carriers.twilio import TwilioAccount, TwilioSms
from gateway.model.message import Message
from gateway.model.outcome import Accepted, Unknown
from gateway.net.http_client import Attempt, HttpClient

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(FOLDER))
    known = set(sys.modules)
    yield lambda name: _load(FOLDER / f"{name}.py")
    for name in set(sys.modules) - known:
        if name.split(".")[0] in {"parts", "texts"}:
            del sys.modules[name]


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_second_is_half_open_and_one_too_many_in_it_is_found(load: object) -> None:
    judge = load("accuracy").judge
    second = 1_000_000_000

    kept = judge([number * second // 4 for number in range(41)], 4)
    passed = judge([0, 1, 2, 3, second - 1_000_000], 4)

    assert (kept["used"], kept["overshoot"], kept["closest_ms"]) == (1.0, 0, 0)
    assert passed["overshoot"] == 1
    assert passed["closest_ms"] == 1.0


def test_quiet_senders_are_judged_each_from_its_own_first_text_to_its_last(load: object) -> None:
    judged = load("fairness").judged
    first = [("+16462001000", 10 + each / 5) for each in range(11)]  # 5 a second
    second = [("+16462011000", 10.5 + each / 2) for each in range(6)]  # 2 a second
    other = [("+12002000000", at) for at in (9.0, 10.0, 12.9, 13.1)]

    assert judged([*first, *second, *other], 2) == {"per_s": 7.0, "neighbour": 2}


async def test_the_stub_takes_its_time_for_one_sender_alone(load: object) -> None:
    processes = load("parts/processes")
    with processes.child([*processes.STUB, "--slow-ms", "400", "--slow-from", "+18005550199"]) as (_, stub):
        async with HttpClient() as http:
            sms = TwilioSms(TwilioAccount("twilio", stub["account"], "made-up", stub["url"], stub["url"]), http)

            async def took(sender: str) -> float:
                began = time.monotonic()
                await sms.send(replace(text(1), sender=sender), yes, lambda: None, timeout_s=5, validity_s=60)
                return time.monotonic() - began

            slow, others = await asyncio.gather(took("+18005550199"), took("+18005550198"))

    assert others < slow
    assert slow >= 0.4


async def _asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, told: asyncio.Queue[tuple]) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
    body = (await reader.readexactly(length)).decode()
    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
    await writer.drain()
    writer.close()
    await writer.wait_closed()  # before the test may end
    told.put_nowait((head, body))


async def test_the_stub_is_a_carrier_to_the_gateway_and_reports_with_a_signature(load: object) -> None:
    processes = load("parts/processes")
    told: asyncio.Queue[tuple] = asyncio.Queue()
    server = await asyncio.start_server(lambda *ends: _asked(*ends, told), "127.0.0.1", 0)
    ours = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/carriers/twilio"
    words = [*processes.STUB, "--reports", "--token", "made-up", "--broken-every", "3"]
    with processes.child(words) as (_, stub):
        async with HttpClient() as http:
            sms = TwilioSms(TwilioAccount("twilio", stub["account"], "made-up", stub["url"], ours), http)
            outcomes = [
                await sms.send(text(number), yes, lambda: None, timeout_s=5, validity_s=60) for number in range(3)
            ]
            ledger = json.loads((await http.request("GET", f"{stub['url']}/ledger", Attempt(), timeout_s=5)).body)
        head, body = await asyncio.wait_for(told.get(), 5)
    server.close()

    assert isinstance(outcomes[0], Accepted)
    assert outcomes[0].carrier_id.startswith("SM")
    assert outcomes[2] == Unknown("connection_broken")
    assert [number for number, _ in ledger] == [f"+1212555123{number}" for number in range(3)]
    lines = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    url = f"http://{lines['Host']}{head.split(' ')[1]}"
    fields = dict(pair.split("=") for pair in body.split("&"))
    assert RequestValidator("made-up").validate(url, fields, lines["X-Twilio-Signature"])
    assert sms.read_report(fields, {"id": "msg_0"}).status == "delivered"


async def yes() -> bool:
    return True


def text(number: int) -> Message:
    return Message(
        f"msg_{number}", "acme", "live", "+18005550199", f"+1212555123{number}", "Due", "gsm7", 1,
        created_ms=0, updated_ms=0,
    )  # fmt: skip
