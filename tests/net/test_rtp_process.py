"""The media processes: their ports, what ends with them, and what they refuse."""

import asyncio
import os
import signal
import socket
import sys

import psutil
import pytest

from gateway.errors.media import InvalidDigit, MediaDown, MediaLimit
from gateway.media import tones
from gateway.media.events import Lost, Played, Stats
from gateway.net.rtp_engine import RtpEngine, _shares
from tests.net.rtp_far_end import HERE, FarEnd, calling, first, free_base


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
