import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.errors.phone import InvalidNumber
from gateway.errors.practice import InvalidPracticeOption
from gateway.practice import scripts
from gateway.practice.options import Options, help_texts
from tests.practice.conftest import QUICK, SENDER, FarEnd, Receiver, Start, key

SERVE = "import asyncio\nfrom gateway.practice.options import Options\nfrom gateway.practice.server import serve\nasyncio.run(serve(Options()))"
TEXT = {"To": "+12125555555", "From": SENDER, "Body": "Your bill is due."}
DOCS = Path(__file__).parents[2] / "docs" / "practice.md"


async def test_a_process_prints_its_ports_and_stops_on_sigterm() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVE, stdout=asyncio.subprocess.PIPE)
    assert process.stdout
    async with asyncio.timeout(15):
        told = json.loads(await process.stdout.readline())
        _, writer = await asyncio.open_connection("127.0.0.1", told["port"])
        writer.close()
        process.send_signal(signal.SIGTERM)
        code = await process.wait()

    assert code == 0
    assert told["url"] == f"http://127.0.0.1:{told['port']}"
    assert told["sip"] == f"127.0.0.1:{told['sip_port']}"


def test_the_documented_table_is_the_one_in_force() -> None:
    assert scripts.table() in DOCS.read_text()


def test_every_option_has_its_help() -> None:
    assert list(help_texts()) == list(Options.__dataclass_fields__)


@pytest.mark.parametrize("changes", [{"rates": ("+18005550199",)}, {"speed": 0.0}, {"rates": ("x=25/s",)}])
def test_an_unusable_option_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises((InvalidPracticeOption, InvalidNumber)):
        Options(**changes)


@pytest.mark.parametrize(
    ("switch", "answers"),
    [({"fail_status": 503}, [503, 503]), ({"throttle_per_s": 1}, [201, 429]), ({"latency_s": 0.01}, [201, 201])],
)
async def test_a_switch_changes_every_answer(switch: dict[str, Any], answers: list[int], far_end: FarEnd) -> None:
    await far_end.practice("PUT", "faults", switch)

    assert [(await far_end.post("Messages", TEXT))[0] for _ in answers] == answers


async def test_silence_accepts_and_never_answers_until_reset(far_end: FarEnd) -> None:
    await far_end.practice("PUT", "faults", {"silence": True})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await far_end.post("Messages", TEXT)
    _, counts = await far_end.practice("GET", "counts")
    await far_end.practice("POST", "reset")
    status, _ = await far_end.post("Messages", TEXT)

    assert (counts["messages_received"], status) == (1, 201)


async def test_duplicate_posts_every_webhook_twice_under_one_token(far_end: FarEnd, receiver: Receiver) -> None:
    await far_end.practice("PUT", "faults", {"duplicate": True, "reorder": True})
    await far_end.post("Messages", TEXT | {"StatusCallback": f"{receiver.url}/status"})
    hooks = await receiver.wait(4)

    assert [hook.params["MessageStatus"] for hook in hooks] == ["delivered", "delivered", "sent", "sent"]
    assert (hooks[0].token == hooks[1].token, hooks[1].token == hooks[2].token) == (True, False)


async def test_mute_posts_nothing(start: Start, receiver: Receiver) -> None:
    far_end = await start(inbound_url=f"{receiver.url}/inbound")
    await far_end.practice("PUT", "faults", {"mute": True})
    _, told = await far_end.practice("POST", "inbound", {"from": "+12125557777", "to": SENDER, "body": "Hello"})

    assert told["status"] == 0
    assert not receiver.hooks


async def test_a_webhook_that_cannot_be_delivered_is_counted_and_shown(start: Start) -> None:
    far_end = await start(inbound_url="http://127.0.0.1:1/nobody")
    _, told = await far_end.practice("POST", "inbound", {"from": "+12125557777", "to": SENDER, "body": "Hello"})
    _, counts = await far_end.practice("GET", "counts")
    _, sent = await far_end.practice("GET", "webhooks")

    assert told["status"] == 0
    assert counts["webhooks"] == {"failed": 1}
    assert [hook["status"] for hook in sent["webhooks"]] == [0]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("inbound", {"from": "+12125557777", "to": SENDER}),
        ("inbound", {"from": "+12125557777", "to": SENDER, "body": 7}),
        ("inbound", {"from": "nobody", "to": SENDER, "body": "x"}),
        ("call-in", {"from": "+12125557777", "to": SENDER, "via": "pigeon"}),
        ("inbound", []),
    ],
)
async def test_bad_input_is_told(path: str, body: object, far_end: FarEnd) -> None:
    status, problem = await far_end.practice("POST", path, body)

    assert status == 422
    assert problem["detail"]


@pytest.mark.parametrize("switch", [{"drop": True}, {"accept_status": 502}])
async def test_a_switch_strikes_each_nth_text_which_was_accepted_all_the_same(
    switch: dict[str, Any], far_end: FarEnd
) -> None:
    await far_end.practice("PUT", "faults", {**switch, "every": 2})
    answers: list[int] = []
    for _ in range(4):
        try:
            answers.append((await far_end.post("Messages", TEXT))[0])
        except aiohttp.ClientConnectionError:
            answers.append(0)
    _, counts = await far_end.practice("GET", "counts")

    assert answers == [201, switch.get("accept_status", 0)] * 2
    assert counts["messages_received"] == 4


async def test_early_reports_are_all_posted_before_the_answer(far_end: FarEnd, receiver: Receiver) -> None:
    await far_end.practice("PUT", "faults", {"early": True})
    await far_end.post("Messages", TEXT | {"StatusCallback": f"{receiver.url}/status"})

    assert [hook.params["MessageStatus"] for hook in receiver.hooks] == ["sent", "delivered"]


async def test_the_list_can_lag_and_fail(far_end: FarEnd) -> None:
    async def listed() -> tuple[int, int]:
        async with far_end.http.get(f"{far_end.path}/Messages.json", headers=key(QUICK.auth_token)) as answer:
            return answer.status, len((await answer.json()).get("messages", []))

    await far_end.post("Messages", TEXT)
    at_once = await listed()
    await far_end.practice("PUT", "faults", {"list_lag_s": 60})
    lagging = await listed()
    await far_end.practice("PUT", "faults", {"list_status": 503})

    assert (at_once, lagging, await listed()) == ((200, 1), (200, 0), (503, 0))


async def test_its_own_queue_lets_segments_leave_at_its_rate_and_drops_what_waits_too_long(
    far_end: FarEnd, receiver: Receiver
) -> None:
    await far_end.practice("PUT", "faults", {"queue_per_s": 0.5})
    callback = {"StatusCallback": f"{receiver.url}/status"}
    await far_end.post("Messages", TEXT | callback)
    await far_end.post("Messages", TEXT | callback | {"ValidityPeriod": "1"})

    told = [(hook.params["MessageStatus"], hook.params.get("ErrorCode")) for hook in await receiver.wait(3)]
    assert told == [("sent", None), ("delivered", None), ("failed", "30036")]
