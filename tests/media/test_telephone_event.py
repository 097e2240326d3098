import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors.media import InvalidDigit
from gateway.media.rtp import Packet
from gateway.media.telephone_event import DIGITS, DigitReceiver, decode, encode


def event(payload: bytes, *, timestamp: int = 1000, ssrc: int = 7, marker: bool = False) -> Packet:
    return Packet(101, 1, timestamp, ssrc, marker, payload)


@pytest.mark.parametrize(
    ("digit", "level", "ticks", "end", "payload"),
    [("9", 7, 1600, True, "09870640"), ("1", 10, 2000, True, "018a07d0"), ("1", 20, 400, False, "01140190")],
)
def test_nine_one_one_is_encoded_as_the_rfc_dials_it(
    digit: str, level: int, ticks: int, end: bool, payload: str
) -> None:
    """The events of RFC 4733's example call, laid out by hand as section 2.3 draws them."""
    assert encode(digit, ticks=ticks, level=level, end=end) == bytes.fromhex(payload)


@given(st.sampled_from(DIGITS), st.integers(0, 0xFFFF), st.integers(0, 63), st.booleans())
def test_what_is_encoded_is_decoded(digit: str, ticks: int, level: int, end: bool) -> None:
    back = decode(encode(digit, ticks=ticks, level=level, end=end))

    assert back is not None
    assert (back.digit, back.ticks, back.level, back.end) == (digit, ticks, level, end)


def test_no_key_and_no_number_out_of_range_is_encoded() -> None:
    with pytest.raises(InvalidDigit):
        encode("x", ticks=0)
    with pytest.raises(ValueError, match="ticks=65536"):
        encode("1", ticks=65536)


@pytest.mark.parametrize("first_seen", [0, 1, 4, 5], ids=["all", "first lost", "end packets only", "last packet only"])
def test_a_press_is_one_key_from_whatever_packet_is_seen_first(first_seen: int) -> None:
    packets = [encode("5", ticks=160 * n) for n in range(1, 5)] + [encode("5", ticks=800, end=True)] * 3
    receiver = DigitReceiver()

    keys = [receiver.receive(event(payload)) for payload in packets[first_seen:]]

    assert keys[0] == "5"
    assert keys[1:] == [None] * (len(keys) - 1)


def test_the_same_key_twice_is_two_keys() -> None:
    receiver = DigitReceiver()

    keys = [receiver.receive(event(encode("5", ticks=160), timestamp=at)) for at in (0, 0, 1600, 1600, 0)]

    assert keys == ["5", None, "5", None, None]


def test_a_key_of_another_source_is_another_key() -> None:
    receiver = DigitReceiver()

    assert [receiver.receive(event(encode("5", ticks=160), ssrc=ssrc)) for ssrc in (1, 2, 1)] == ["5", "5", None]


def test_a_key_held_for_ten_seconds_is_one_key() -> None:
    """RFC 4733, section 2.5.1.3: the second segment starts where the first could count no further."""
    receiver = DigitReceiver()

    first = receiver.receive(event(encode("5", ticks=160), timestamp=100))
    last_of_first = receiver.receive(event(encode("5", ticks=0xFFFF), timestamp=100))
    second = receiver.receive(event(encode("5", ticks=160), timestamp=100 + 0xFFFF))

    assert (first, last_of_first, second) == ("5", None, None)


@pytest.mark.parametrize("payload", [b"", b"\x05", b"\x10\x0a\x00\xa0", b"\xff\xff\xff\xff"], ids=repr)
def test_what_is_no_key_is_passed_over_and_the_next_key_is_heard(payload: bytes) -> None:
    receiver = DigitReceiver()

    assert receiver.receive(event(payload, timestamp=1)) is None
    assert receiver.receive(event(encode("#", ticks=160), timestamp=1)) == "#"


@given(st.lists(st.tuples(st.binary(max_size=6), st.integers(0, 0xFFFF_FFFF))))
def test_no_payload_ends_the_receiver(payloads: list[tuple[bytes, int]]) -> None:
    receiver = DigitReceiver()
    for payload, timestamp in payloads:
        receiver.receive(event(payload, timestamp=timestamp, ssrc=1))

    assert receiver.receive(event(encode("7", ticks=160), ssrc=2)) == "7"


def test_a_far_end_that_moves_the_timestamp_on_with_each_packet_presses_each_key_once() -> None:
    receiver = DigitReceiver()
    one = [event(encode("5", ticks=160 * n), timestamp=160 * n, marker=n == 1) for n in range(1, 9)]
    other = [event(encode("5", ticks=160 * n), timestamp=4000 + 160 * n, marker=n == 1) for n in range(1, 9)]

    assert [key for packet in one + other if (key := receiver.receive(packet))] == ["5", "5"]


def test_the_same_key_at_once_again_is_heard_though_all_ends_and_the_first_packet_are_lost() -> None:
    """40 ms down and 40 ms up, as fast as ITU-T Q.24 asks for."""
    receiver = DigitReceiver()
    first = [event(encode("5", ticks=160), timestamp=1000, marker=True)]
    again = [event(encode("5", ticks=320, end=True), timestamp=1640)] * 3

    assert [key for packet in first + again if (key := receiver.receive(packet))] == ["5", "5"]


def test_a_late_packet_of_the_press_before_is_no_new_one() -> None:
    receiver = DigitReceiver()
    late = event(encode("5", ticks=480), timestamp=1000)
    keys = [receiver.receive(event(encode("5", ticks=160 * n), timestamp=1000)) for n in (1, 2)]
    keys += [receiver.receive(event(encode("6", ticks=160), timestamp=2600, marker=True)), receiver.receive(late)]
    keys += [receiver.receive(event(encode("6", ticks=320), timestamp=2600))]

    assert keys == ["5", None, "6", None, None]
