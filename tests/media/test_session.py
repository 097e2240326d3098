import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors.media import InvalidDigit, MediaLimit
from gateway.media import g711, rtp, telephone_event, tones
from gateway.media.events import Digit, FirstPacket, Lost, Played
from gateway.media.session import Session

FAR = ("192.0.2.7", 4000)
START = 100.0
FRAME = 0.020
AUDIO = bytes(range(160)) * 3


def connected(*, event_payload_type: int | None = 101, lost_after_s: float = 30.0) -> Session:
    session = Session(ssrc=7, sequence=0xFFFE, timestamp=0xFFFF_FF00, lost_after_s=lost_after_s)
    session.connect(*FAR, payload_type=0, event_payload_type=event_payload_type, now=START)
    return session


def sent(session: Session, frames: int, *, start: int = 0) -> list[rtp.Packet]:
    """Drive the session frame by frame, as a clock that is never late does."""
    return [rtp.parse(p) for n in range(start, start + frames) for p in session.to_send(START + n * FRAME)]


def heard(payload: bytes, *, sequence: int = 1, timestamp: int = 0, payload_type: int = 0, ssrc: int = 9) -> bytes:
    return rtp.build(rtp.Packet(payload_type, sequence, timestamp, ssrc, marker=False, payload=payload))


def test_nothing_is_sent_before_the_far_end_is_known() -> None:
    session = Session(ssrc=1, sequence=1, timestamp=1)

    assert session.next_deadline() is None
    assert session.to_send(START) == []


def test_silence_is_sent_while_nothing_plays_and_numbers_go_around_the_circle() -> None:
    packets = sent(connected(), 4)

    assert [p.payload for p in packets] == [b"\xff" * 160] * 4
    assert [p.sequence for p in packets] == [0xFFFF, 0, 1, 2]
    assert [p.timestamp for p in packets] == [0xFFFF_FF00, 0xFFFF_FFA0, 0x40, 0xE0]
    assert [p.marker for p in packets] == [True, False, False, False]


def test_a_late_frame_does_not_make_the_next_one_late() -> None:
    session = connected()
    session.to_send(START + 0.013)

    assert session.next_deadline() == START + FRAME
    assert len(session.to_send(START + 3 * FRAME)) == 3


def test_after_a_stall_frames_are_left_out_and_their_time_is_kept() -> None:
    session = connected()
    first = rtp.parse(session.to_send(START)[0])
    after = [rtp.parse(p) for p in session.to_send(START + 50 * FRAME)]

    assert len(after) == 1
    assert after[0].marker
    assert rtp.timestamp_distance(after[0].timestamp, first.timestamp) == 50 * 160
    assert after[0].sequence == (first.sequence + 1) % rtp.SEQUENCES
    assert (session.stats().skipped, session.stats().late) == (49, 1)


def test_audio_is_sent_in_order_after_its_silence_and_reported_with_its_seconds() -> None:
    session = connected()
    session.play(1, AUDIO, silence_s=0.04)
    session.play(2, AUDIO[:200])
    packets = sent(session, 8)

    payloads = [p.payload for p in packets]
    assert payloads[:2] == [b"\xff" * 160] * 2
    assert b"".join(payloads[2:5]) == AUDIO
    assert b"".join(payloads[5:7]) == AUDIO[:200] + b"\xff" * 120
    assert session.events() == [Played(1, 0.06, finished=True), Played(2, 0.025, finished=True)]


def test_looped_audio_is_sent_so_many_times() -> None:
    session = connected()
    session.play(1, AUDIO[:200], loops=3)
    sent(session, 8)

    assert session.events() == [Played(1, 0.075, finished=True)]


def test_audio_of_no_length_ends_at_once() -> None:
    session = connected()
    session.play(1, b"", loops=5)
    sent(session, 1)

    assert session.events() == [Played(1, 0.0, finished=True)]


def test_what_is_stopped_says_how_much_was_heard_of_it() -> None:
    session = connected()
    session.play(1, AUDIO)
    session.play(2, AUDIO)
    sent(session, 2)
    session.stop_playing()

    assert session.events() == [Played(1, 0.04, finished=False), Played(2, 0.0, finished=False)]
    assert sent(session, 1, start=2)[0].payload == b"\xff" * 160


def test_a_key_is_sent_as_one_press_with_three_ends_and_audio_waits_for_it() -> None:
    session = connected()
    session.play(1, AUDIO)
    session.send_digits("4#")
    packets = sent(session, 23)

    for start, digit in ((0, "4"), (10, "#")):
        press = packets[start : start + 8]
        events = [telephone_event.decode(p.payload) for p in press]
        assert {p.timestamp for p in press} == {packets[start].timestamp}
        assert [p.marker for p in press] == [True] + [False] * 7
        assert [e and (e.digit, e.ticks, e.end) for e in events] == (
            [(digit, 160 * n, False) for n in range(1, 6)] + [(digit, 800, True)] * 3
        )
        assert [p.payload for p in packets[start + 8 : start + 10]] == [b"\xff" * 160] * 2
    assert b"".join(p.payload for p in packets[20:]) == AUDIO
    assert len({p.sequence for p in packets}) == 23
    assert packets[20].timestamp == (packets[0].timestamp + 20 * 160) % rtp.TIMESTAMPS


def test_bounds_are_kept_and_nothing_is_half_taken() -> None:
    session = connected()
    with pytest.raises(InvalidDigit):
        session.send_digits("12x")
    assert sent(session, 1)[0].payload_type == 0
    with pytest.raises(MediaLimit):
        session.send_digits("1" * 65)
    for n in range(200):
        session.play(n, AUDIO)
    with pytest.raises(MediaLimit):
        session.play(200, AUDIO)


def test_keys_between_two_sessions_arrive_once_each_though_every_other_packet_is_lost() -> None:
    near, far = connected(), connected()
    near.send_digits("0123456789*#ABCD")
    for packet in sent(near, 170)[::2]:
        far.receive(rtp.build(packet), FAR, START)

    assert [e.digit for e in far.events() if isinstance(e, Digit)] == list("0123456789*#ABCD")


def test_keys_are_sent_and_heard_as_tones_where_no_events_were_agreed() -> None:
    near, far = connected(event_payload_type=None), connected(event_payload_type=None)
    near.send_digits("0055#")
    for n, packet in enumerate(sent(near, 55)):
        far.receive(rtp.build(packet), FAR, START + n * FRAME)
        far.tick(START + n * FRAME)

    assert [e.digit for e in far.events() if isinstance(e, Digit)] == list("0055#")


def test_only_the_ip_of_the_sdp_is_learned_from_and_then_locked() -> None:
    session = connected()

    session.receive(heard(AUDIO[:160]), ("198.51.100.1", 4000), START)
    session.receive(b"nonsense that is long enough", FAR, START)
    assert session.remote == FAR
    for sequence in range(4):
        session.receive(heard(AUDIO[:160], sequence=sequence), (FAR[0], 5555), START + 1)
    session.receive(heard(AUDIO[:160]), FAR, START + 2)

    assert session.remote == (FAR[0], 5555)
    assert session.events() == [FirstPacket(START + 1)]
    stats = session.stats()
    assert (stats.received, stats.foreign, stats.bad) == (2, 4, 1)


def test_nobody_is_heard_before_the_far_end_is_known() -> None:
    session = Session(ssrc=1, sequence=1, timestamp=1)
    session.receive(heard(AUDIO[:160]), FAR, START)

    assert (session.stats().received, session.stats().foreign) == (0, 1)


def test_a_new_address_in_the_sdp_is_followed_and_the_same_one_stays_locked() -> None:
    session = connected()
    for sequence in range(3):
        session.receive(heard(b"a", sequence=sequence), (FAR[0], 5555), START + 1)
    session.connect(*FAR, payload_type=0, event_payload_type=101, now=START)
    assert session.remote == (FAR[0], 5555)

    session.connect("192.0.2.99", 6000, payload_type=0, event_payload_type=101, now=START)
    assert session.remote == ("192.0.2.99", 6000)
    session.receive(heard(b"a"), (FAR[0], 5555), START)
    assert session.stats().foreign == 3


def test_after_a_change_of_law_what_plays_goes_on_in_the_other() -> None:
    session = connected()
    session.play(1, AUDIO)
    before = sent(session, 1)[0]
    session.connect(*FAR, payload_type=8, event_payload_type=101, now=START)
    after = sent(session, 2)[-1]

    assert session.events() == []
    assert (before.payload_type, after.payload_type) == (0, 8)
    assert before.payload == AUDIO[:160]
    assert after.payload == g711.encode(g711.decode(AUDIO[160:320]), 8)


def test_losses_gaps_and_late_packets_are_counted() -> None:
    session = connected()
    for sequence, at in ((0xFFFE, 0.0), (0xFFFF, 0.02), (2, 0.08), (1, 0.081), (3, 0.1), (3, 0.1)):
        session.receive(heard(b"", sequence=sequence), FAR, START + at)

    stats = session.stats()
    assert (stats.received, stats.lost, stats.gaps) == (6, 1, 1)


def test_what_is_heard_is_recorded_in_its_place() -> None:
    session = connected()
    session.listen(60)
    frames = [g711.encode(np.full(160, 1000 * n, np.int16).tobytes()) for n in range(5)]
    for n in (0, 1, 4, 2):  # 2 comes late, 3 never
        session.receive(heard(frames[n], sequence=n, timestamp=n * 160), FAR, START)

    frames[3] = g711.SILENCE[0] * 160
    assert session.recording() == g711.decode(b"".join(frames))


def test_a_recording_is_bounded_whatever_the_timestamps_say() -> None:
    session = connected()
    session.listen(1.0)
    for n in range(100):
        session.receive(heard(AUDIO[:160], sequence=n, timestamp=n * 0x0FFF_FFFF % rtp.TIMESTAMPS), FAR, START)

    assert len(session.recording()) == 16000
    session.listen(0)
    assert session.recording() == b""


def test_a_silent_far_end_is_reported_once_until_it_is_heard_again() -> None:
    session = connected(lost_after_s=5.0)
    session.tick(START + 4.9)
    assert session.events() == []
    session.tick(START + 5.0)
    session.tick(START + 6.0)
    assert session.events() == [Lost(START + 5.0, "no_rtp")]

    session.receive(heard(b""), FAR, START + 7)
    session.tick(START + 8)
    session.tick(START + 12)
    assert session.events() == [FirstPacket(START + 7), Lost(START + 12, "no_rtp")]


def test_keys_that_nobody_fetches_do_not_pile_up() -> None:
    session = connected()
    for n in range(1000):
        payload = telephone_event.encode("1", ticks=160)
        session.receive(heard(payload, sequence=n, timestamp=n * 1600, payload_type=101), FAR, START)

    assert len(session.events()) == 200


@given(
    st.lists(
        st.tuples(st.one_of(st.binary(max_size=40), st.binary(max_size=20).map(lambda b: heard(b, payload_type=101)))),
        max_size=30,
    )
)
def test_no_datagram_makes_a_session_raise_or_stop_hearing(datagrams: list[tuple[bytes]]) -> None:
    session = connected()
    for (data,) in datagrams:
        session.receive(data, FAR, START)
    session.events()

    press = heard(telephone_event.encode("7", ticks=160), payload_type=101, timestamp=5, ssrc=0xABCD_0001)
    session.receive(press, FAR, START)
    assert Digit("7", START) in session.events()


def test_a_tone_of_the_voice_is_no_key() -> None:
    session = connected(event_payload_type=None)
    coded = g711.encode(tones.tone((440.0, 1000.0), 0.5))
    for n in range(25):
        session.receive(heard(coded[160 * n :][:160], sequence=n, timestamp=160 * n), FAR, START)
    session.tick(START)

    assert session.events() == [FirstPacket(START)]
