"""Two calls that are bridged: each hears the other, in its own law, keys included, and nothing once one has parted."""

import numpy as np

from gateway.media import g711, rtp, tones
from gateway.media.relay import MOST, Relay
from gateway.media.session import Session

NEAR = ("192.0.2.7", 4000)
FAR = ("192.0.2.8", 4000)


def session(source: tuple[str, int], law: int) -> Session:
    made = Session(ssrc=1, sequence=1, timestamp=1)
    made.connect(*source, payload_type=law, event_payload_type=101, now=0.0)
    return made


def say(to: Session, source: tuple[str, int], number: int, payload: bytes, kind: int, ticks: int = 160) -> None:
    packet = rtp.Packet(kind, number, number * ticks, 9, False, payload)
    to.receive(rtp.build(packet), source, number * 0.02)


def heard(of: Session, frames: int) -> bytes:
    packets = [rtp.parse(data) for n in range(frames) for data in of.to_send(n * 0.02)]
    audio = [packet for packet in packets if packet.payload_type in g711.SILENCE]
    return b"".join(g711.decode(packet.payload, packet.payload_type) for packet in audio)


def test_each_hears_what_the_other_says_in_its_own_law() -> None:
    near, far = session(NEAR, g711.PCMU), session(FAR, g711.PCMA)
    near.join(far)
    spoken = tones.tone((400.0,), 0.2)
    for n in range(10):
        say(near, NEAR, n, g711.encode(spoken[320 * n : 320 * (n + 1)], g711.PCMU), g711.PCMU)

    sound = np.frombuffer(heard(far, 12), np.int16).astype(float)[: len(spoken) // 2]
    said = np.frombuffer(spoken, np.int16).astype(float)

    assert np.corrcoef(sound[: len(said)], said)[0, 1] > 0.999
    assert not np.any(np.abs(np.frombuffer(heard(near, 5), np.int16)) > 16)


def test_a_key_of_one_is_pressed_to_the_other() -> None:
    near, far = session(NEAR, g711.PCMU), session(FAR, g711.PCMU)
    near.join(far)
    say(near, NEAR, 1, bytes([5, 0x8A, 3, 0x20]), 101)

    events = [
        packet for n in range(20) for packet in map(rtp.parse, far.to_send(n * 0.02)) if packet.payload_type == 101
    ]

    assert {packet.payload[0] for packet in events} == {5}
    assert [getattr(event, "digit", "") for event in near.events()][-1] == "5"


def test_who_has_parted_hears_nothing_more() -> None:
    near, far = session(NEAR, g711.PCMU), session(FAR, g711.PCMU)
    near.join(far)
    far.part()
    for n in range(4):
        say(near, NEAR, n, bytes(160), g711.PCMU)

    assert not np.any(np.abs(np.frombuffer(heard(far, 4), np.int16)) > 16)


def test_what_waits_is_bounded_and_packets_of_any_length_become_frames() -> None:
    relay = Relay()
    assert relay.take() is None
    relay.add(b"a" * 240)
    assert relay.take() is None
    relay.add(b"a" * 240)
    assert [relay.take(), relay.take(), relay.take(), relay.take()] == [b"a" * 160] * 3 + [None]

    relay.add(bytes(1_000_000))
    frames = 0
    while relay.take() is not None:
        frames += 1
    assert frames * 160 == MOST
