"""Whole calls against SIPp, a far end that is not ours: it answers, echoes what it hears, presses a key, hangs up."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.carriers.base import Ready
from gateway.carriers.sip_trunk import SipLeg, SipTrunk
from gateway.carriers.voice_base import TrunkRoad
from gateway.model.call import Call
from gateway.model.outcome import NotSent
from gateway.net.rtp_stream import RtpStream

SIPP = shutil.which("sipp")
SCENARIOS = Path(__file__).parent / "sipp"

pytestmark = [pytest.mark.peer, pytest.mark.skipif(SIPP is None, reason="SIPp (Debian: sip-tester) is not installed")]


class Listening(SipTrunk):
    """A trunk that also records what comes back."""

    stream: RtpStream

    async def dial(self, call: Call, ready: Ready) -> SipLeg | NotSent:
        leg = await super().dial(call, ready)
        assert isinstance(leg, SipLeg)
        self.stream = leg._stream
        self.stream.listen(30)
        return leg


@asynccontextmanager
async def sipp(
    scenario: str, port: int, media_port: int, folder: Path, *more: str
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """SIPp as a callee of one call; what it yields waits for its end, and fails with what SIPp has to say."""
    command = [
        SIPP or "", "-sf", str(SCENARIOS / f"{scenario}.xml"), "-i", "127.0.0.1", "-p", str(port), "-m", "1",
        "-mp", str(media_port), "-rtp_echo", "-nostdin", "-timeout", "18s", "-timeout_error", "-trace_err",
        "-error_file", str(folder / "errors.log"), *more,
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )

    async def ended() -> None:
        output, _ = await asyncio.wait_for(process.communicate(), 19)
        errors = folder / "errors.log"
        assert process.returncode == 0, errors.read_text() if errors.exists() else output.decode()[-2000:]

    try:
        yield ended
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
async def trunk(calling: Any) -> AsyncIterator[Listening]:
    """The sender's calls go to where SIPp will be."""
    port = calling.free_port()
    trunk = Listening("sipp", calling.trunk_to(port), calling.rtp)
    trunk.far_port = port  # type: ignore[attr-defined]
    calling.roads["live", "sipp"] = TrunkRoad(trunk, 20.0, 2, 10)
    await calling.sender(voice="sipp")
    yield trunk
    await trunk.stop()


async def test_sipp_hears_the_prompt_and_its_key_interrupts_the_question(
    calling: Any, trunk: Any, likeness: Any, tmp_path: Path
) -> None:
    async with sipp("uas_presses_1", trunk.far_port, calling.free_port(), tmp_path) as ended:
        (call_id,) = await calling.queue("1234")
        await calling.start()
        greeting = await calling.prompts.say("Hello Ana, this is City Water.", "en-US")
        await calling.until_status(call_id, "answered")

        async def like() -> float:
            return float(likeness(await trunk.stream.recording(), greeting.pcm)[1])

        async with asyncio.timeout(5):
            while await like() < 0.95:
                await asyncio.sleep(0.1)
        call = await calling.until_status(call_id, "completed")
        await ended()

    assert (call.outcome, call.keys) == ("confirmed", "1")
    assert [visit["node"] for visit in call.path] == ["greet", "ask", "confirm", "bye"]
    key_ms = call.path[2]["at_ms"]
    assert 3_900 < key_ms < 4_800
    assert [prompt["text"] for prompt in call.prompts][-1] == "Goodbye."
    assert abs(sum(prompt["seconds"] for prompt in call.prompts[:2]) - key_ms / 1000) < 0.3


async def test_sipp_hangs_up_into_the_prompt(calling: Any, trunk: Any, tmp_path: Path) -> None:
    async with sipp("uas_hangs_up_into_prompt", trunk.far_port, calling.free_port(), tmp_path) as ended:
        (call_id,) = await calling.queue("1234")
        await calling.start()
        call = await calling.until_status(call_id, "completed")
        await ended()

    assert (call.outcome, call.keys) == ("", "")
    assert 1.7 < sum(prompt["seconds"] for prompt in call.prompts) < 2.4


CODE = """
name: code
language: en-US
start: greet
nodes:
  greet: {say: "Hello, this is City Water.", next: ask}
  ask:
    collect: {prompt: {say: "Type your code."}, into: code, max_digits: 8, timeout: 5s, finish_key: "#", otherwise: bye}
    next: bye
  bye: {outcome: heard, then: hangup}
"""


@pytest.mark.parametrize(("kinds", "keys"), [("0 101", "12237"), ("0", "1223")], ids=["both ways", "INFO alone"])
async def test_keys_by_info_and_by_events_are_each_heard_once_and_across_prompts(
    calling: Any, trunk: Any, tmp_path: Path, kinds: str, keys: str
) -> None:
    """They begin in the greeting and go on into the question. Without 101 offered, RFC 4733's packets are nobody's."""
    await calling.publish(CODE, "code")
    more = ("-key", "kinds", kinds)
    async with sipp("uas_presses_by_info", trunk.far_port, calling.free_port(), tmp_path, *more) as ended:
        (call_id,) = await calling.queue("1234", dialplan="code", variables={})
        await calling.start()
        call = await calling.until_status(call_id, "completed")
        await ended()

    assert (call.keys, call.collected, call.outcome) == (f"{keys}#", {"code": keys}, "heard")
    assert [visit["node"] for visit in call.path] == ["greet", "ask", "bye"]


SHORT = """
name: short
language: en-US
start: greet
nodes:
  greet: {say: "Hello Ana, this is City Water.", next: ask}
  ask: {menu: {prompt: {pause: 100ms}, choices: {"9": remove}, timeout: 1s, attempts: 1, otherwise: hangup}}
  remove: {opt_out: tenant, then: hangup}
"""


async def test_sipp_wants_the_other_law_in_mid_prompt_and_hears_the_rest_of_it(
    calling: Any, trunk: Any, tmp_path: Path
) -> None:
    await calling.publish(SHORT, "short")
    async with sipp("uas_changes_codec", trunk.far_port, calling.free_port(), tmp_path) as ended:
        (call_id,) = await calling.queue("1234", dialplan="short", variables={})
        await calling.start()
        call = await calling.until_status(call_id, "completed")
        await ended()

    greeting = await calling.prompts.say("Hello Ana, this is City Water.", "en-US")
    assert [visit["node"] for visit in call.path] == ["greet", "ask"]
    assert abs(call.prompts[0]["seconds"] - greeting.seconds) < 0.05


async def test_a_key_before_the_answer_means_nothing(calling: Any, trunk: Any, tmp_path: Path) -> None:
    """9 opts out, and SIPp sends it while it still rings: nobody has heard what it would mean."""
    await calling.publish(SHORT, "short")
    async with sipp("uas_presses_before_answer", trunk.far_port, calling.free_port(), tmp_path) as ended:
        (call_id,) = await calling.queue("1234", dialplan="short", variables={})
        await calling.start()
        call = await calling.until_status(call_id, "completed")
        await ended()

    assert (call.outcome, call.keys) == ("", "")
    assert [visit["node"] for visit in call.path] == ["greet", "ask"]


HANDS_OVER = """
name: agent
language: en-US
start: agent
nodes:
  agent: {transfer: {to: "+12125550100", headers: {X-Account: "12 34"}, ring: 10s}, on_failure: sorry}
  sorry: {say: "Nobody is there.", next: sent}
  sent: {outcome: sent_away, then: hangup}
"""


@pytest.mark.parametrize(
    ("scenario", "fragment", "result", "outcome", "path"),
    [
        ("uas_takes_refer", "200 OK", "transferred", "transferred", ["agent"]),
        ("uas_takes_refer", "486 Busy Here", "busy", "sent_away", ["agent", "sorry", "sent"]),
        ("uas_refuses_refer", "unused", "failed", "sent_away", ["agent", "sorry", "sent"]),
        ("uas_takes_refer_and_leaves", "unused", "unknown", "", ["agent"]),
    ],
    ids=["taken", "busy", "refused", "left without a word"],
)
async def test_sipp_is_asked_to_put_the_person_through(
    calling: Any, trunk: Any, tmp_path: Path, scenario: str, fragment: str, result: str, outcome: str, path: list[str]
) -> None:
    trunk._settings = calling.trunk_to(trunk.far_port, transfer="refer")
    await calling.publish(HANDS_OVER, "agent")
    more = ("-key", "fragment", fragment)
    async with sipp(scenario, trunk.far_port, calling.free_port(), tmp_path, *more) as ended:
        (call_id,) = await calling.queue("1234", dialplan="agent", variables={})
        await calling.start()
        call = await calling.until_status(call_id, "completed")
        await ended()

    assert (call.outcome, [visit["node"] for visit in call.path]) == (outcome, path)
    ((told),) = call.transfers
    assert (told["to"], told["how"], told["result"]) == ("+12125550100", "refer", result)
