import asyncio
import json
import sys
from pathlib import Path

import pytest

from gateway.practice import journal
from tests.practice.conftest import OLD_AUTH, QUICK, SENDER, FarEnd, Receiver, Start, key

pytestmark = pytest.mark.filterwarnings(OLD_AUTH)
SERVE = (
    "import asyncio, sys, pathlib\nfrom gateway.practice.options import Options\nfrom gateway.practice.server import serve\n"
    "asyncio.run(serve(Options(report_delay_s=0.01, ledger_file=pathlib.Path(sys.argv[1]))))"
)


def text(to: str, body: str = "Your bill is due.", **more: str) -> dict[str, str]:
    return {"To": to, "From": SENDER, "Body": body, **more}


async def test_what_was_accepted_is_in_the_file_after_a_kill_and_known_again(
    far_end: FarEnd, tmp_path: Path, start: Start
) -> None:
    """`far_end` only lends its HTTP session here: the one that is killed is a process of its own."""
    file = tmp_path / "ledger"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVE, str(file), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    url = json.loads(await process.stdout.readline())["url"] + far_end.path.removeprefix(far_end.at.url)
    form = text("+12125550061", StatusCallback="http://127.0.0.1:1/status?id=msg_1")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await far_end.http.post(f"{url}/Messages.json", data=form, headers=key(QUICK.auth_token))
    process.kill()
    await process.wait()
    with file.open("ab") as cut_off:
        cut_off.write(b'{"kind": "text", "sid": "S')

    lines = journal.read(file)
    again = await start(ledger_file=file)
    async with again.client() as client:
        (listed,) = await client.messages.list_async(to="+12125550061", from_=SENDER)
    _, counts = await again.practice("GET", "counts")

    (arrival,) = [line for line in lines if line["kind"] == "text"]
    assert (arrival["message_id"], arrival["outcome"], arrival["copy"]) == ("msg_1", "accepted", 1)
    assert (listed.sid, listed.body, counts["messages_received"]) == (arrival["sid"], "Your bill is due.", 1)
    assert journal.read(file)[-1]["kind"] == "start"  # written on a line of its own


async def test_every_webhook_is_written_down_with_its_answer(start: Start, receiver: Receiver, tmp_path: Path) -> None:
    far_end = await start(ledger_file=tmp_path / "ledger", inbound_url=f"{receiver.url}/inbound")
    await far_end.post("Messages", text("+12125550001", StatusCallback=f"{receiver.url}/status?id=msg_1"))
    await receiver.wait(2)
    await far_end.practice("POST", "inbound", {"from": "+12125557777", "to": SENDER, "body": "STOP"})
    lines = journal.read(tmp_path / "ledger")

    reports = [line for line in lines if line["kind"] == "report"]
    (said,) = [line for line in lines if line["kind"] == "inbound"]
    assert [(each["status"], each["code"], each["http"]) for each in reports] == [
        ("sent", None, 200),
        ("undelivered", 30003, 200),
    ]
    assert (said["person"], said["body"], said["http"]) == ("+12125557777", "STOP", 200)
    assert said["answered_ms"] >= said["at_ms"]


async def test_reports_that_a_kill_cut_off_are_posted_by_the_next_run(
    start: Start, receiver: Receiver, tmp_path: Path
) -> None:
    first = await start(ledger_file=tmp_path / "ledger", report_delay_s=60.0)
    _, created = await first.post("Messages", text("+12125555555", StatusCallback=f"{receiver.url}/status"))
    await start(ledger_file=tmp_path / "ledger")

    assert [(each.params["MessageSid"], each.params["MessageStatus"]) for each in await receiver.wait(2)] == [
        (created["sid"], "sent"),
        (created["sid"], "delivered"),
    ]


async def test_a_reset_is_forgotten_in_the_file_too(start: Start, tmp_path: Path) -> None:
    far_end = await start(ledger_file=tmp_path / "ledger")
    await far_end.post("Messages", text("+12125555555"))
    await far_end.practice("POST", "reset")
    again = await start(ledger_file=tmp_path / "ledger")
    _, counts = await again.practice("GET", "counts")

    assert counts["messages_received"] == 0
