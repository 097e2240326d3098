"""Calls over a SIP trunk to the practice phone: real signalling, real RTP, its own ears and fingers."""

import os
import signal
import socket
from typing import Any

import pytest

from gateway.carriers.sip_trunk import SipTrunk
from gateway.carriers.voice_base import TrunkRoad
from gateway.media import rtcp, wav
from gateway.sip.transaction_table import Timers
from gateway.store import opt_outs
from gateway.workers import call_runner

SENDER = "+18005550199"


async def test_a_call_speaks_hears_a_key_and_ends_with_its_outcome(calling: Any) -> None:
    """0101 presses 1 when it was asked."""
    (call_id,) = await calling.queue("0101")
    await calling.start()

    call = await calling.until_status(call_id, "completed")

    assert (call.outcome, call.keys, call.answered_by) == ("confirmed", "1", "unknown")
    assert [visit["node"] for visit in call.path] == ["greet", "ask", "confirm", "bye"]
    assert call.prompts[0]["text"] == "Hello Ana, this is City Water."
    assert all(prompt["seconds"] > 0.3 for prompt in call.prompts)
    assert await calling.events(call_id) == ["call.dialing", "call.ringing", "call.answered", "call.completed"]
    assert call.ended_ms > call.answered_ms
    (heard,) = calling.heard()
    assert heard["ended_by"] == "gateway"
    assert heard["speech_s"] > 2


async def test_a_fault_of_ours_while_calls_are_looked_for_ends_none_that_is_up(
    calling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (call_id,) = await calling.queue("0101")
    await calling.start()
    await calling.until_status(call_id, "answered")
    make_good, faults = call_runner.make_good, [RuntimeError("made up")]

    async def failing(*given: Any) -> None:
        if faults:
            raise faults.pop()
        await make_good(*given)

    monkeypatch.setattr(call_runner, "make_good", failing)

    assert (await calling.until_status(call_id, "completed")).outcome == "confirmed"
    assert not faults


async def test_audio_from_a_stranger_and_the_call_itself_are_counted(
    calling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rtcp, "INTERVAL_S", 0.5)  # of the far end's reports
    (call_id,) = await calling.queue("0101")
    await calling.start()
    await calling.until_status(call_id, "answered")
    figures = calling.counters._metrics.registry.get_sample_value
    assert figures("gateway_channels", {"scope": "trunk:main"}) == 1
    (stream,) = calling.rtp.streams
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.2", 0))
        stranger.sendto(bytes([0x80, 0, *range(10), *bytes(160)]), ("127.0.0.1", stream.port))

        call = await calling.until_status(call_id, "completed")
        await calling.until_true(lambda: calling.trunk.ignored()[1] == {"foreign": 1, "bad": 0})
    assert (call.quality["foreign"], call.quality["lost"]) == (1, 0)
    assert call.quality["received"] > 100 < call.quality["sent"]
    assert call.quality["far_end"]["lost"] == 0 <= call.quality["far_end"]["jitter_ms"]

    assert figures("gateway_gate_grants_total", {"unit": "call"}) == 1
    await calling.until_true(lambda: figures("gateway_channels", {"scope": "trunk:main"}) == 0)


@pytest.mark.parametrize(
    ("ending", "status", "reason", "code"),
    [
        ("0400", "busy", "busy", "486"),
        ("0401", "no_answer", "no_answer", "487"),
        ("0402", "failed", "declined", "603"),
        ("0403", "no_answer", "no_answer", "480"),
        ("0404", "failed", "invalid_number", "404"),
    ],
)
async def test_a_call_that_is_not_answered_ends_in_one_state_with_the_sip_code(
    calling: Any, ending: str, status: str, reason: str, code: str
) -> None:
    (call_id,) = await calling.queue(ending)
    await calling.start()

    call = await calling.until_status(call_id, status)

    assert (call.reason, call.error_code, call.answered_ms) == (reason, code, None)
    assert len(calling.heard()) == 1


async def test_a_key_interrupts_the_prompt_and_is_its_answer(calling: Any) -> None:
    """0304 presses 1 one second after it answered, into the greeting."""
    (call_id,) = await calling.queue("0304")
    await calling.start()

    call = await calling.until_status(call_id, "completed")

    assert (call.outcome, call.keys) == ("confirmed", "1")
    assert [visit["node"] for visit in call.path] == ["greet", "ask", "confirm", "bye"]
    assert call.path[1]["at_ms"] == call.path[2]["at_ms"]  # the question was entered, and no longer heard
    assert [prompt["text"] for prompt in call.prompts] == ["Hello Ana, this is City Water.", "Goodbye."]
    assert 0.8 < call.prompts[0]["seconds"] < 1.3


@pytest.mark.parametrize(
    ("ending", "status", "fault", "why"),
    [
        ("1234", "answered", signal.SIGKILL, "died"),
        ("0401", "ringing", signal.SIGKILL, "died"),
        ("1234", "answered", signal.SIGSTOP, "hung"),
    ],
)
async def test_a_media_process_that_dies_or_hangs_ends_its_calls_by_name_and_the_next_ones_work(
    calling: Any, ending: str, status: str, fault: signal.Signals, why: str
) -> None:
    """Stopped, it keeps its sockets and says nothing: people would hear silence for as long as they bear it."""
    (call_id,) = await calling.queue(ending)
    await calling.start()
    await calling.until_status(call_id, status)
    pid = calling.rtp.pids[0]

    os.kill(pid, fault)
    call = await calling.until_status(call_id, "failed")
    (next_id,) = await calling.queue("0304")  # presses its key at once

    assert call.reason == "media_down"
    assert (await calling.until_status(next_id, "completed")).outcome == "confirmed"
    assert calling.heard()[0]["state"] in {"ended", "failed"}  # by BYE or CANCEL
    assert (calling.media_ends, pid in calling.rtp.pids) == ([why], False)


async def test_an_opt_out_key_ends_the_call_and_stops_what_waits_for_that_person(calling: Any) -> None:
    (call_id,) = await calling.queue("0109")
    await calling.start()
    await calling.until_status(call_id, "answered")
    await calling.sender(voice="nowhere")  # so that the next one waits
    (waiting,) = await calling.queue("0109")

    call = await calling.until_status(call_id, "completed")

    assert (call.outcome, call.keys) == ("opted_out", "9")
    said = await calling.database.read(lambda tx: opt_outs.of_person(tx, "acme", "live", call.recipient))
    assert [(each["scope"], each["source"], each["evidence"]) for each in said] == [
        ("tenant", "dialplan", "pressed 9 in bill version 1")
    ]
    stopped = await calling.call(waiting)
    assert (stopped.status, stopped.reason) == ("cancelled", "opted_out")
    (later,) = await calling.queue("0109")
    await calling.sender(voice="main")
    assert (await calling.until_status(later, "suppressed")).reason == "opted_out"


async def test_a_person_who_hangs_up_ends_the_call_and_what_they_heard_is_known(calling: Any) -> None:
    (call_id,) = await calling.queue("0601")
    await calling.start()

    call = await calling.until_status(call_id, "completed")

    assert (call.outcome, call.keys) == ("", "")
    assert 1.7 < sum(prompt["seconds"] for prompt in call.prompts) < 2.4
    assert 1.5 < (call.ended_ms - call.answered_ms) / 1000 < 2.6


async def test_a_far_end_that_says_nothing_leaves_the_call_unknown_and_is_never_tried_again(calling: Any) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        trunk = SipTrunk("deaf", calling.trunk_to(silent.getsockname()[1]), calling.rtp, timers=Timers(t1=0.02))
        calling.roads["live", "deaf"] = TrunkRoad(trunk, 20.0, 10, 10)
        await calling.sender(voice="deaf")
        (call_id,) = await calling.queue("1234")
        await calling.start()

        call = await calling.until_status(call_id, "unknown")
        silent.setblocking(False)
        calls = {_call_id(silent.recv(4096)) for _ in range(3)}
        await trunk.stop()

    assert call.reason == "no_response"
    assert len(calls) == 1  # the one INVITE, sent again as SIP does


def _call_id(datagram: bytes) -> bytes:
    return next(line for line in datagram.split(b"\r\n") if line.startswith(b"Call-ID"))


async def test_a_trunk_whose_name_is_not_known_sends_nothing_and_the_call_waits(calling: Any) -> None:
    trunk = SipTrunk("lost", calling.trunk_to(5060, host="nowhere.invalid"), calling.rtp)
    await trunk.start()
    calling.roads["live", "lost"] = TrunkRoad(trunk, 20.0, 10, 10)
    await calling.sender(voice="lost")
    (call_id,) = await calling.queue("1234")
    await calling.start()

    await calling.until_gate("carrier_unreachable")

    call = await calling.call(call_id)
    assert call.status in {"queued", "dialing"}
    assert "call.ringing" not in await calling.events(call_id)


async def test_calls_wait_while_their_trunk_is_down(calling: Any) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        settings = calling.trunk_to(silent.getsockname()[1], options_interval_s=0.1, options_misses=1)
        trunk = SipTrunk("down", settings, calling.rtp, timers=Timers(t1=0.02))
        await trunk.start()
        await calling.until_true(lambda: trunk.trouble == "trunk_down")
        calling.roads["live", "down"] = TrunkRoad(trunk, 20.0, 10, 10)
        await calling.sender(voice="down")
        (call_id,) = await calling.queue("1234")
        await calling.start()

        await calling.until_gate("trunk_down")
        assert await calling.events(call_id) == []
        await trunk.stop()


async def test_a_carrier_in_trouble_gets_the_call_again_later(calling: Any) -> None:
    (call_id,) = await calling.queue("0405")
    await calling.start()

    await calling.until_gate("carrier_throttled")
    await calling.until_true(lambda: len(calling.heard()) == 2)

    assert set(await calling.events(call_id)) == {"call.dialing", "call.queued"}


async def test_a_plan_that_cannot_be_spoken_fails_the_call_before_anybody_is_called(calling: Any) -> None:
    (call_id,) = await calling.queue("0101", dialplan="absent")
    await calling.start()

    call = await calling.until_status(call_id, "failed")

    assert call.reason == "unknown_dialplan"
    assert calling.heard() == []


async def test_calls_at_once_never_pass_the_channels_and_their_starts_never_the_rate(calling: Any) -> None:
    calling.roads["live", "main"] = TrunkRoad(calling.trunk, 4.0, 3, 5)
    ids = await calling.queue(*["0600"] * 9)
    await calling.start()
    for call_id in ids:
        await calling.until_status(call_id, "completed")

    spans = [(call.answered_at, call.ended_at) for call in calling.far_end.parts.phone._known.values()]
    at_once = max(sum(begun <= moment < ended for begun, ended in spans) for moment, _ in spans)
    starts = [arrival.at_s for arrival in calling.far_end.parts.ledger.arrivals]
    assert len(spans) == 9
    assert at_once <= 3
    # Five starts take a second at least, less what the far end's own stamps are late.
    assert min(fifth - first for first, fifth in zip(starts, starts[4:], strict=False)) > 0.95


async def test_what_is_heard_is_what_was_rendered(calling: Any, likeness: Any) -> None:
    """The far end's own recording holds the greeting, sample for sample but for G.711."""
    (call_id,) = await calling.queue("0101")
    await calling.start()
    await calling.until_status(call_id, "completed")

    (heard,) = calling.heard()
    recorded = wav.read(calling.far_end.parts.phone.heard(heard["id"]))
    greeting = await calling.prompts.say("Hello Ana, this is City Water.", "en-US")
    offset, like = likeness(recorded, greeting.pcm)

    assert like > 0.95
    assert offset < 0.5
    assert heard["rtp"]["gaps"] <= heard["rtp"]["received"] * 0.05
