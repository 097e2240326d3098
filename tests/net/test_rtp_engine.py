"""What is heard and said on the wire, and when."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable

import numpy as np
import pytest

from gateway.media import g711, rtcp, telephone_event, tones
from gateway.media.events import Digit, FirstPacket, Lost, Played
from gateway.net.rtp_engine import RtpEngine
from tests.net.rtp_far_end import HERE, FarEnd, calling, first, free_base


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
