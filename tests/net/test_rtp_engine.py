import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import psutil
import pytest

from gateway.errors.media import InvalidDigit, MediaDown, MediaLimit
from gateway.media import g711, rtcp, rtp, telephone_event, tones
from gateway.media.events import Digit, FirstPacket, Lost, Played, Stats
from gateway.net.rtp_engine import RtpEngine, _shares
from gateway.net.rtp_stream import RtpStream

HERE = "127.0.0.1"


def free_base() -> int:
    """An even port with three free ones behind it, outside the range that the system hands out by itself."""
    for base in range(12000, 30000, 10):
        with contextlib.ExitStack() as held:
            try:
                for port in range(base, base + 4):
                    held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind((HERE, port))
            except OSError:
                continue
            return base
    raise AssertionError("no four ports are free")


class FarEnd:
    """A telephone of a plain socket: it keeps every packet and sends what it is told."""

    def __init__(self, port: int = 0) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((HERE, port))
        self.socket.setblocking(False)
        self.port: int = self.socket.getsockname()[1]
        self._sequence = 0

    async def hear(self, packets: int) -> list[rtp.Packet]:
        loop = asyncio.get_running_loop()
        return [rtp.parse(await loop.sock_recv(self.socket, 2048)) for _ in range(packets)]

    def say(self, port: int, payload: bytes, *, payload_type: int = 0, timestamp: int | None = None) -> None:
        self._sequence += 1
        at = self._sequence * 160 if timestamp is None else timestamp
        packet = rtp.Packet(payload_type, self._sequence, at, 77, marker=False, payload=payload)
        self.socket.sendto(rtp.build(packet), (HERE, port))


@pytest.fixture
async def engine() -> AsyncIterator[RtpEngine]:
    engine = RtpEngine(HERE, None)
    await engine.start()
    yield engine
    await engine.stop()


@pytest.fixture
def far() -> Any:
    far = FarEnd()
    yield far
    far.socket.close()


async def calling(engine: RtpEngine, far: FarEnd, **changes: Any) -> RtpStream:
    stream = await engine.open()
    stream.connect(HERE, far.port, **{"payload_type": 0, "event_payload_type": 101, **changes})
    return stream


async def first(stream: RtpStream, kind: type) -> Any:
    async with asyncio.timeout(10):
        async for event in stream.events():
            if isinstance(event, kind):
                return event
    raise AssertionError(f"the events ended without a {kind.__name__}")


async def test_silence_then_a_prompt_then_silence_is_on_the_wire_byte_for_byte(engine: RtpEngine, far: FarEnd) -> None:
    stream = await calling(engine, far)
    before = await far.hear(3)
    audio = g711.decode(bytes(range(160)) * 5)
    play_id = stream.play(audio)
    packets = before + await far.hear(20)

    assert await first(stream, Played) == Played(play_id, 0.1, finished=True)
    spoken = b"".join(p.payload for p in packets).strip(b"\xff")
    assert spoken in g711.encode(audio)
    assert len(spoken) > 790
    assert [p.sequence for p in packets] == [(packets[0].sequence + n) % 65536 for n in range(23)]
    assert {p.ssrc for p in packets} == {packets[0].ssrc}
    assert (await stream.close()).sent >= 23


async def test_what_is_played_is_what_is_recorded_at_the_other_end(
    engine: RtpEngine, likeness: Callable[[bytes, bytes], tuple[float, float]]
) -> None:
    near, other = await engine.open(), await engine.open()
    for one, two in ((near, other), (other, near)):
        one.connect(HERE, two.port, payload_type=8, event_payload_type=101)
    other.listen(30)
    noise = np.random.default_rng(1).normal(0, 3000, 12000).astype(np.int16).tobytes()
    near.play(engine.load(noise), silence_s=0.1)
    await first(near, Played)
    near.send_digits("#")
    await first(other, Digit)

    offset, correlation = likeness(await other.recording(), noise)
    assert correlation > 0.99
    assert 0.0 <= offset < 1.0
    assert likeness(await other.recording(), noise[::-1])[1] < 0.2


async def test_work_of_the_gateway_holds_no_frame_up(engine: RtpEngine, far: FarEnd) -> None:
    stream = await calling(engine, far)
    await far.hear(1)
    time.sleep(0.5)  # noqa: ASYNC251 - the fault: something blocks the event loop
    waiting = 0
    with contextlib.suppress(BlockingIOError):
        while far.socket.recv(2048):
            waiting += 1

    assert waiting >= 20
    await stream.close()


async def test_stopping_says_how_much_was_really_sent(engine: RtpEngine, far: FarEnd) -> None:
    stream = await calling(engine, far)
    await far.hear(1)
    play_id = stream.play(tones.tone((400.0,), 30.0))
    packets = [await far.hear(1) for _ in range(10)]
    stream.stop_playing()
    played = await first(stream, Played)

    assert (played.play_id, played.finished) == (play_id, False)
    sounding = sum(set(p.payload) != {0xFF} for (p,) in packets)
    assert sounding * 0.02 <= played.seconds < 29.0


async def test_a_loaded_prompt_is_shared_and_outlives_its_release(engine: RtpEngine, far: FarEnd) -> None:
    audio = engine.load(tones.beep(0.1))
    assert engine.load(tones.beep(0.1)) == audio
    stream, other = await calling(engine, far), await calling(engine, far)
    ids = [stream.play(audio), other.play(audio, loops=2)]
    engine.release(audio)
    engine.release(audio)

    assert await first(stream, Played) == Played(ids[0], 0.1, finished=True)
    assert await first(other, Played) == Played(ids[1], 0.2, finished=True)
    with pytest.raises(KeyError):
        stream.play(audio)


async def test_keys_arrive_once_each_in_both_directions(engine: RtpEngine, far: FarEnd) -> None:
    stream = await calling(engine, far)
    for start, digit in ((0, "1"), (1600, "1"), (3200, "9")):
        for end in (False, False, True, True, True):
            payload = telephone_event.encode(digit, ticks=160, end=end)
            far.say(stream.port, payload, payload_type=101, timestamp=start)
    for bad in (b"", b"\x01", b"\x10\x00\x00\x00"):
        far.say(stream.port, bad, payload_type=101, timestamp=9999)
    far.say(stream.port, telephone_event.encode("#", ticks=160), payload_type=101, timestamp=5000)
    keys = [await first(stream, Digit) for _ in range(4)]
    stream.send_digits("42")
    receiver = telephone_event.DigitReceiver()
    pressed: list[str | None] = []
    while pressed != ["4", "2"]:
        (packet,) = await far.hear(1)
        pressed += [receiver.receive(packet) or ""] if packet.payload_type == 101 else []
        pressed = [digit for digit in pressed if digit]

    assert [key.digit for key in keys] == ["1", "1", "9", "#"]


async def test_keys_are_heard_as_tones_where_no_events_were_agreed(engine: RtpEngine, far: FarEnd) -> None:
    stream = await calling(engine, far, event_payload_type=None)
    coded = g711.encode(tones.dtmf("7", 0.1) + tones.silence(0.1))
    for start in range(0, len(coded), 160):
        far.say(stream.port, coded[start : start + 160])

    assert (await first(stream, Digit)).digit == "7"


async def test_a_stranger_is_counted_and_has_no_effect(engine: RtpEngine, far: FarEnd) -> None:
    stream = await calling(engine, far)
    far.say(stream.port, b"\xff" * 160)
    await first(stream, FirstPacket)
    stranger = FarEnd()
    stranger.say(stream.port, telephone_event.encode("9", ticks=160), payload_type=101)
    stranger.socket.close()
    far.socket.sendto(b"nonsense", (HERE, stream.port))
    far.say(stream.port, telephone_event.encode("5", ticks=160), payload_type=101)

    assert (await first(stream, Digit)).digit == "5"
    stats = await stream.close()
    assert (stats.foreign, stats.bad, stats.received) == (1, 1, 2)


async def test_a_far_end_behind_a_translator_is_answered_where_it_really_is(engine: RtpEngine, far: FarEnd) -> None:
    behind = FarEnd()
    stream = await calling(engine, far)
    found = asyncio.ensure_future(first(stream, FirstPacket))
    while not found.done():
        behind.say(stream.port, b"\xff" * 160)
        await asyncio.sleep(0.02)

    assert len(await behind.hear(3)) == 3
    behind.socket.close()


async def test_a_call_is_reported_on_at_its_end_and_its_packets_bear_the_mark() -> None:
    engine = RtpEngine(HERE, None, dscp=34)
    await engine.start()
    base = free_base()
    far, beside = FarEnd(base), FarEnd(base + 1).socket
    beside.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
    stream = await calling(engine, far)
    await far.hear(3)
    beside.sendto(rtcp.build(77, "far", None, None), (HERE, stream.port + 1))
    stats = await stream.close()
    data, ancillary, _, source = beside.recvmsg(2048, 64)
    report = rtcp.parse(data)
    beside.close()
    far.socket.close()
    await engine.stop()

    assert ancillary[0][2][0] == 34 << 2
    assert source == (HERE, stream.port + 1)
    assert report.sending is not None
    assert (report.sending.packets, report.sending.octets) == (stats.sent, 160 * stats.sent)
    assert report.left == [report.ssrc]


async def test_a_silent_far_end_is_lost(far: FarEnd) -> None:
    engine = RtpEngine(HERE, None, lost_after_s=0.2)
    await engine.start()
    stream = await calling(engine, far)

    assert (await first(stream, Lost)).why == "no_rtp"
    await engine.stop()


async def test_ports_are_even_and_rest_before_they_are_used_again() -> None:
    base = free_base()
    engine = RtpEngine(HERE, (base - 1, base + 3), drain_s=60.0)
    await engine.start()
    one, two = await engine.open(), await engine.open()
    assert {one.port, two.port} == {base, base + 2}
    with pytest.raises(MediaLimit):
        await engine.open()
    await one.close()
    with pytest.raises(MediaLimit):
        await engine.open()
    await engine.stop()


async def test_a_port_that_another_program_holds_is_passed_over() -> None:
    base = free_base()
    taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    taken.bind((HERE, base))
    engine = RtpEngine(HERE, (base, base + 2), drain_s=0.0)
    await engine.start()

    assert (await engine.open()).port == base + 2
    await engine.stop()
    taken.close()


async def test_more_streams_than_allowed_are_refused() -> None:
    engine = RtpEngine(HERE, None, most_streams=1)
    await engine.start()
    stream = await engine.open()
    with pytest.raises(MediaLimit):
        await engine.open()
    await stream.close()
    await engine.open()
    await engine.stop()


async def test_closing_ends_the_events_and_answers_the_same_again(engine: RtpEngine, far: FarEnd) -> None:
    stream = await calling(engine, far)
    play_id = stream.play(tones.silence(60.0))
    await far.hear(2)
    stats = await stream.close()

    assert [e async for e in stream.events()][-1] == Played(play_id, pytest.approx(0.04, abs=0.2), finished=False)
    assert await stream.close() == stats
    assert (stats.sent >= 2, stats.unsent) == (True, 0)


async def test_when_the_process_dies_its_streams_are_lost_and_new_ones_can_be_opened(
    engine: RtpEngine, far: FarEnd
) -> None:
    audio = engine.load(tones.beep(0.1))
    stream = await calling(engine, far)
    stream.play(audio)
    await first(stream, Played)
    (pid,) = engine.pids
    os.kill(pid, signal.SIGKILL)

    assert (await first(stream, Lost)).why == "process_died"
    assert [e async for e in stream.events()] == []
    assert await stream.close() == Stats()
    with pytest.raises(MediaDown):
        await stream.recording()
    again = await calling(engine, far)
    play_id = again.play(audio)
    assert await first(again, Played) == Played(play_id, 0.1, finished=True)
    assert engine.restarts == 1


async def test_calls_are_spread_over_processes_and_one_that_dies_takes_only_its_own(far: FarEnd) -> None:
    engine = RtpEngine(HERE, None, processes=2)
    await engine.start()
    try:
        streams = [await calling(engine, far) for _ in range(4)]
        victim = engine.pids[0]
        own = [await _sockets_of(pid) for pid in engine.pids]
        in_victim = [stream for stream in streams if stream.port in own[0]]
        beside = [stream for stream in streams if stream.port in own[1]]
        assert (len(in_victim), len(beside)) == (2, 2)
        os.kill(victim, signal.SIGKILL)

        assert {(await first(stream, Lost)).why for stream in in_victim} == {"process_died"}
        played = beside[0].play(tones.beep(0.1))
        assert (await first(beside[0], Played)) == Played(played, 0.1, finished=True)
        await engine.open()
        assert (await beside[1].close()).sent > 0
    finally:
        await engine.stop()


async def _sockets_of(pid: int) -> set[int]:
    return {each.laddr.port for each in psutil.Process(pid).net_connections("udp")}


def test_each_process_has_ports_of_its_own() -> None:
    assert _shares((20001, 20011), 2) == [(20002, 20004), (20006, 20010)]
    assert _shares(None, 3) == [(0, 0)] * 3
    with pytest.raises(ValueError, match="for each of 2"):
        _shares((20000, 20001), 2)


async def test_the_process_dies_with_the_gateway() -> None:
    gateway = f"""
import asyncio
from gateway.net.rtp_engine import RtpEngine
async def main():
    engine = RtpEngine("{HERE}", None)
    await engine.start()
    print(*engine.pids, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", gateway, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    watch = os.pidfd_open(int(await parent.stdout.readline()))
    parent.kill()
    await parent.wait()
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_reader(watch, lambda: ended.done() or ended.set_result(None))
    await asyncio.wait_for(ended, 5)
    asyncio.get_running_loop().remove_reader(watch)
    os.close(watch)


async def test_an_engine_that_was_stopped_says_so() -> None:
    engine = RtpEngine(HERE, None)
    await engine.start()
    await engine.stop()
    with pytest.raises(MediaDown):
        await engine.open()


@pytest.mark.parametrize("ports", [(20001, 20001), (30000, 20000), (0, 10), (65000, 70000)])
def test_a_range_without_an_even_port_is_refused(ports: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="no even port"):
        RtpEngine(HERE, ports)


async def test_an_address_that_is_not_ours_is_refused_at_the_start() -> None:
    with pytest.raises(MediaDown, match=r"192\.0\.2\.1"):
        await RtpEngine("192.0.2.1", None).start()


async def test_what_cannot_be_is_refused_before_it_is_sent(engine: RtpEngine, far: FarEnd) -> None:
    stream = await engine.open()
    with pytest.raises(ValueError, match="before the stream is connected"):
        stream.play(b"")
    for ip, port, kind, events in (
        ("0.0.0.0", 4000, 0, 101),  # noqa: S104 - an address to refuse
        ("224.0.0.1", 4000, 0, 101),
        ("far.example", 4000, 0, 101),
        (HERE, 0, 0, 101),
        (HERE, 4000, 18, 101),
        (HERE, 4000, 0, 8),
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - the kind of error is the fact
            stream.connect(ip, port, payload_type=kind, event_payload_type=events)
    stream.connect(HERE, far.port, payload_type=0, event_payload_type=101)
    with pytest.raises(InvalidDigit):
        stream.send_digits("12x")
    with pytest.raises(MediaLimit):
        stream.send_digits("1" * 61)
    for _ in range(200):
        stream.play(tones.beep(1.0))
    with pytest.raises(MediaLimit):
        stream.play(b"")
