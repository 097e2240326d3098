"""Whole calls with baresip, a telephone that is not ours: it answers by itself, keeps what it hears, and presses keys."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.carriers.base import Ready
from gateway.carriers.line_quality import observer
from gateway.carriers.sip_trunk import SipLeg, SipTrunk
from gateway.carriers.voice_base import TrunkRoad
from gateway.media import wav
from gateway.metrics import Metrics
from gateway.model.call import Call
from gateway.model.outcome import NotSent
from gateway.net.rtp_stream import RtpStream

BARESIP = shutil.which("baresip")
MODULES = next(Path("/usr/lib").glob("**/baresip/modules"), Path())
SENDER = "+18005550199"

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(BARESIP is None, reason="baresip (Debian: baresip-core) is not installed"),
    pytest.mark.skipif(not (MODULES / "aufile.so").exists(), reason="baresip's modules were not found"),
]

CONFIG = """
sip_listen 127.0.0.1:{port}
net_interface 127.0.0.1
audio_source aufile,{folder}/says.wav
audio_player aubridge,ear
ausrc_srate 8000
auplay_srate 8000
module_path {modules}
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
snd_path {folder}
module_tmp account.so
module_app ctrl_tcp.so
module_app menu.so
ctrl_tcp_listen 127.0.0.1:{control}
"""


class Telephone:
    """baresip under remote control (ctrl_tcp: JSON in netstrings, both ways)."""

    def __init__(self, folder: Path, port: int, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        self.folder, self.port = folder, port
        self.reader, self.writer = streams

    async def does(self, command: str, params: str) -> None:
        text = json.dumps({"command": command, "params": params}).encode()
        self.writer.write(b"%d:%s," % (len(text), text))
        await self.writer.drain()

    async def presses(self, key: str) -> None:
        await self.does("sndcode", key)
        await self.does("sndcode", "\x04")  # let go of it

    async def until(self, kind: str) -> dict[str, Any]:
        """Wait for an event of this type."""
        async with asyncio.timeout(15):
            while True:
                size = int((await self.reader.readuntil(b":"))[:-1])
                told: dict[str, Any] = json.loads((await self.reader.readexactly(size + 1))[:-1])
                if told.get("type") == kind:
                    return told

    def heard(self) -> bytes:
        """What it heard in its one call, as 8 kHz PCM16."""
        (dump,) = self.folder.glob("dump-*-dec.wav")
        return dump.read_bytes()[44:]


@asynccontextmanager
async def baresip(
    folder: Path, port: int, control: int, *, config: str = "", account: str = ""
) -> AsyncIterator[Telephone]:
    noise = np.random.default_rng(3).normal(0, 3000, 20 * 8000).astype(np.int16)
    (folder / "says.wav").write_bytes(wav.write(noise.tobytes()))
    fields = {"port": port, "control": control, "folder": folder, "modules": MODULES}
    (folder / "config").write_text(CONFIG.format(**fields) + config)
    (folder / "accounts").write_text(f"<sip:+12125551234@127.0.0.1:{port}>;regint=0;answermode=auto{account}\n")
    (folder / "contacts").touch()
    process = await asyncio.create_subprocess_exec(
        BARESIP or "", "-f", str(folder), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert process.stdout is not None
    try:
        told = b""
        async with asyncio.timeout(5):
            while b"is ready" not in (line := await process.stdout.readline()):
                told += line
                assert line, told.decode(errors="replace")  # it has ended
        draining = asyncio.create_task(process.stdout.read())
        reader, writer = await asyncio.open_connection("127.0.0.1", control)
        yield Telephone(folder, port, (reader, writer))
        writer.close()
        await writer.wait_closed()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    await draining


class Listening(SipTrunk):
    """A trunk that also records what comes back."""

    stream: RtpStream

    async def dial(self, call: Call, ready: Ready) -> SipLeg | NotSent:
        leg = await super().dial(call, ready)
        assert isinstance(leg, SipLeg)
        self.stream = leg._stream
        self.stream.listen(30)
        return leg


@pytest.fixture
async def telephone(calling: Any, tmp_path: Path) -> AsyncIterator[Telephone]:
    folder = tmp_path / "baresip"
    folder.mkdir()
    async with baresip(folder, calling.free_port(), calling.free_port()) as telephone:
        yield telephone


@pytest.fixture
async def trunk(calling: Any, telephone: Telephone) -> AsyncIterator[Listening]:
    """The sender's calls go to the telephone."""
    trunk = Listening("desk", calling.trunk_to(telephone.port), calling.rtp)
    calling.roads["live", "desk"] = TrunkRoad(trunk, 20.0, 2, 10)
    await calling.sender(voice="desk")
    yield trunk
    await trunk.stop()


async def until_heard(telephone: Telephone, likeness: Any, audio: Any) -> None:
    """Wait until the telephone heard this to its end."""
    async with asyncio.timeout(12):
        while likeness(telephone.heard(), audio.pcm)[1] < 0.9:
            await asyncio.sleep(0.1)


async def test_a_telephone_hears_the_prompts_is_heard_and_answers_the_question(
    calling: Any, telephone: Telephone, trunk: Listening, likeness: Any
) -> None:
    greeting = await calling.prompts.say("Hello Ana, this is City Water.", "en-US")
    question = await calling.prompts.say("Press 1 to confirm, 2 for the date, or 9 to be removed.", "en-US")
    metrics = Metrics()
    await trunk.start(on_line=observer(metrics.line, "desk"))
    (call_id,) = await calling.queue("1234")
    await calling.start()
    await telephone.until("CALL_ESTABLISHED")
    await until_heard(telephone, likeness, question)
    said = await trunk.stream.recording()
    await telephone.presses("1")
    call = await calling.until_status(call_id, "completed")
    await telephone.until("CALL_CLOSED")

    assert (call.outcome, call.keys) == ("confirmed", "1")
    assert [visit["node"] for visit in call.path] == ["greet", "ask", "confirm", "bye"]
    for prompt, audio in zip(call.prompts, (greeting, question), strict=False):
        assert abs(prompt["seconds"] - audio.seconds) < 0.05
    assert likeness(telephone.heard(), greeting.pcm)[1] > 0.9
    goodbye = await calling.prompts.say("Goodbye.", "en-US")
    heard_to_its_end = telephone.heard() + bytes(8000)
    assert likeness(heard_to_its_end, goodbye.pcm)[1] > 0.99
    assert likeness((telephone.folder / "says.wav").read_bytes()[44:], said[16_000:48_000])[1] > 0.9
    told = {
        way: metrics.registry.get_sample_value("gateway_rtp_packets_total", {"trunk": "desk", "way": way})
        for way in ("in", "out")
    }
    assert told == {"in": call.quality["received"] + call.quality["lost"], "out": call.quality["sent"]}
    assert call.quality["far_end"].keys() >= {"lost", "jitter_ms"}  # it reports by RTCP


async def test_a_key_interrupts_the_prompt_and_the_telephone_hangs_up_itself(
    calling: Any, telephone: Telephone, trunk: Listening
) -> None:
    (call_id,) = await calling.queue("1234")
    runner = await calling.start()
    await telephone.until("CALL_ESTABLISHED")
    await telephone.presses("2")
    await calling.until_true(lambda: runner.desk.sessions[call_id].state.pressed == "2")
    await telephone.does("hangup", "")
    call = await calling.until_status(call_id, "completed")

    assert call.keys == "2"
    assert [visit["node"] for visit in call.path] == ["greet", "ask", "when"]
    assert call.prompts[0]["seconds"] < 1.5


async def test_a_telephone_rings_a_sender_and_its_inbound_plan_answers(
    calling: Any, telephone: Telephone, likeness: Any
) -> None:
    await calling.sender(inbound_dialplan="bill")
    await calling.start()
    await telephone.does("dial", f"sip:{SENDER}@127.0.0.1:{calling.trunk.address[1]}")
    await telephone.until("CALL_ESTABLISHED")
    question = await calling.prompts.say("Press 1 to confirm, 2 for the date, or 9 to be removed.", "en-US")
    await until_heard(telephone, likeness, question)
    await telephone.presses("1")
    closed = await telephone.until("CALL_CLOSED")
    (row,) = await calling.until(lambda tx: tx.rows("calls_with_status", status="completed", limit=9))
    call = await calling.call(row["id"])

    assert closed["direction"] == "outgoing"
    assert (call.direction, call.recipient, call.outcome) == ("in", "+12125551234", "confirmed")
