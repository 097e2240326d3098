import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors.media import BadRtp
from gateway.media import rtcp, rtp
from gateway.media.arrivals import Arrivals
from gateway.media.events import Lost
from gateway.media.rtcp import Block, Sending
from gateway.media.session import Session

HERE, THERE = ("192.0.2.1", 20000), ("192.0.2.7", 4000)
START = 1000.0
FRAME = 0.020
WORDS = st.integers(0, 0xFFFF_FFFF)
BLOCKS = st.builds(Block, WORDS, st.integers(0, 255), st.integers(-0x80_0000, 0x7F_FFFF), WORDS, WORDS, WORDS, WORDS)
SENDINGS = st.builds(Sending, st.integers(0, 0xFFFF_FFFF_FFFF_FFFF), WORDS, WORDS, WORDS)

# A sender report, the CNAME "a@b" and a goodbye, laid out by hand as RFC 3550, sections 6.4.1, 6.5 and 6.6, draw them.
BY_HAND = bytes.fromhex(
    "81c8000c00000007e123456780000000000006400000000a00000640"
    "0000000920fffffe00010005000000104567800000008000"
    "81ca0003000000070103614062000000"
    "81cb000100000007"
)  # fmt: skip
SAID = (
    Sending(0xE1234567_80000000, 1600, 10, 1600),
    Block(9, 0x20, -2, 0x1_0005, 16, 0x45678000, 0x8000),
)


def test_a_compound_is_built_as_the_rfc_draws_it_and_read_again() -> None:
    assert rtcp.build(7, "a@b", *SAID, is_last=True) == BY_HAND

    read = rtcp.parse(BY_HAND)
    assert (read.ssrc, read.sending, read.blocks, read.left) == (7, SAID[0], [SAID[1]], [7])


@given(WORDS, st.text(max_size=300), st.none() | SENDINGS, st.none() | BLOCKS, st.booleans())
def test_what_is_built_is_read(
    ssrc: int, cname: str, sending: Sending | None, block: Block | None, is_last: bool
) -> None:
    data = rtcp.build(ssrc, cname, sending, block, is_last=is_last)
    read = rtcp.parse(data)

    assert len(data) % 4 == 0
    assert rtcp.is_rtcp(data)
    assert (read.ssrc, read.sending) == (ssrc, sending)
    assert (read.blocks, read.left) == ([block] if block else [], [ssrc] if is_last else [])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        BY_HAND[:7],
        BY_HAND[:40],
        BY_HAND[52:],
        b"\x41" + BY_HAND[1:],
        b"\xa1" + BY_HAND[1:],
        b"\x9f" + BY_HAND[1:],
        BY_HAND + b"\x80",
        struct.pack("!BBHI", 0x80, 200, 1, 7),
    ],
    ids=[
        "nothing",
        "cut",
        "cut block",
        "begins with SDES",
        "version 1",
        "padding first",
        "31 blocks",
        "tail",
        "short SR",
    ],
)
def test_what_is_no_compound_is_refused(data: bytes) -> None:
    with pytest.raises(BadRtp):
        rtcp.parse(data)


def test_audio_and_reports_are_told_apart_on_one_port() -> None:
    audio = rtp.build(rtp.Packet(8, 1, 1, 1, marker=True, payload=b""))

    assert (rtcp.is_rtcp(BY_HAND), rtcp.is_rtcp(audio), rtcp.is_rtcp(b"")) == (True, False, False)


def test_losses_are_reported_since_the_last_report_and_in_all() -> None:
    arrivals = Arrivals()
    for sequence in (0xFFFE, 0xFFFF, 0, 3):
        arrivals.add(9, sequence, sequence * 160, START)

    assert (arrivals.report(), arrivals.highest) == ((2 * 256 // 6, 2), 0x1_0003)
    arrivals.add(9, 4, 640, START)
    assert arrivals.report() == (0, 2)
    arrivals.add(9, 4, 640, START)
    arrivals.add(9, 1, 160, START)
    assert arrivals.report() == (0, 0)  # twice and late ones count: section 6.4.1


def test_even_packets_have_no_jitter_and_uneven_ones_have() -> None:
    even, uneven = Arrivals(), Arrivals()
    for n in range(200):
        even.add(9, n, n * 160, START + n * FRAME)
        uneven.add(9, n, n * 160, START + n * FRAME + n % 2 * 0.005)

    assert even.jitter < 0.01
    assert uneven.jitter == pytest.approx(40, rel=0.01)  # 5 ms


def pair() -> tuple[Session, Session]:
    near = Session(ssrc=1, sequence=1, timestamp=1, cname="near", unix_ahead_s=1_000_000_000.0)
    far = Session(ssrc=2, sequence=1, timestamp=1, cname="far", unix_ahead_s=1_000_000_123.0)
    near.connect(*THERE, payload_type=0, event_payload_type=101, now=START)
    far.connect(*HERE, payload_type=0, event_payload_type=101, now=START)
    return near, far


def talk(near: Session, far: Session, frames: int, *, lose: int = 0, delay_s: float = 0.0) -> float:
    """Both talk to each other; every `lose`-th packet of `near` is lost. Returns the time after it."""
    now = START
    for n in range(frames):
        now = START + n * FRAME
        for packet in near.to_send(now):
            if not lose or n % lose != lose - 1:
                far.receive(packet, HERE, now + delay_s)
        for packet in far.to_send(now):
            near.receive(packet, THERE, now + delay_s)
        for one, other, address in ((near, far, HERE), (far, near, THERE)):
            report = one.reports.report(now, 0.5)
            if report is not None:
                other.reports.receive(report, (address[0], address[1] + 1), now + delay_s)
    return now


def test_two_ends_tell_each_other_of_losses_and_of_the_round_trip() -> None:
    near, far = pair()
    talk(near, far, 1000, lose=10, delay_s=0.015)

    ours, theirs = near.stats(), far.stats()
    assert theirs.lost == pytest.approx(100, abs=1)
    assert ours.far_lost == pytest.approx(75, abs=3)  # as of the last report, at 15 s
    assert (ours.lost, theirs.far_lost) == (0, 0)
    assert ours.round_trip_ms == pytest.approx(30, abs=0.1)
    assert ours.far_jitter_ms == pytest.approx(0, abs=0.2)


def test_reports_leave_between_two_and_a_half_and_seven_and_a_half_seconds_apart() -> None:
    near, _ = pair()
    at = [(n / 100, die) for n, die in enumerate([0.0, 0.999] * 1000) if near.reports.report(START + n / 100, die)]

    assert all(2.5 <= later - earlier <= 7.51 for (earlier, _), (later, _) in pairwise(at))
    assert at[0][0] >= 2.5


def test_reports_go_to_the_next_port_and_then_where_the_far_end_sends_its_own_from() -> None:
    near, far = pair()
    assert near.reports.remote == (THERE[0], THERE[1] + 1)
    talk(near, far, 10)
    report = far.reports.goodbye(START + 1)
    assert report is not None
    near.reports.receive(report, ("198.51.100.1", 9), START)
    near.reports.receive(report, (THERE[0], 7777), START)
    near.reports.receive(report, (THERE[0], 8888), START)
    near.reports.receive(b"nonsense", (THERE[0], 7777), START)

    assert near.reports.remote == (THERE[0], 7777)
    assert (near.stats().foreign, near.stats().bad) == (2, 1)
    assert rtcp.parse(report).left == [2]


def test_on_one_port_for_both_reports_are_taken_out_of_the_audio() -> None:
    near, far = pair()
    near.connect(*THERE, payload_type=0, event_payload_type=101, now=START, rtcp_mux=True)
    talk(near, far, 10)
    report = far.reports.goodbye(START + 1)
    assert report is not None
    near.receive(report, THERE, START)

    assert near.reports.remote == THERE
    assert (near.stats().bad, near.stats().ignored) == (0, 0)


def test_a_far_end_that_sends_no_silence_but_reports_is_not_lost() -> None:
    near, far = pair()
    now = talk(near, far, 10)
    report = far.reports.goodbye(now)
    assert report is not None
    near.reports.receive(report, (THERE[0], 4001), now + 29)
    near.check_silence(now + 40)
    assert not [event for event in near.events() if isinstance(event, Lost)]
    near.check_silence(now + 60)
    assert [event.why for event in near.events() if isinstance(event, Lost)] == ["no_rtp"]


@given(st.binary(max_size=200))
def test_no_report_however_broken_raises(data: bytes) -> None:
    near, _ = pair()
    for each in (data, b"\x80\xc8" + data, b"\x81\xc9" + data):
        near.reports.receive(each, (THERE[0], 4001), START)
    near.reports.report(START, 0.0)
    assert near.reports.report(START + 10, 0.0)
