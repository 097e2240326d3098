import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.media.jitter import JitterBuffer

FRAME = 160


def pcm(number: int) -> bytes:
    """A frame that names itself."""
    return bytes([number % 255 + 1]) * 2 * FRAME


def heard(numbers: list[int], *, ssrc: int = 1, base: int = 0) -> list[int]:
    """Give frames in this order, as their sequence numbers are; returns what comes out, 0 for 20 ms of silence."""
    buffer, out, highest = JitterBuffer(), b"", numbers[0] - 1
    for number in numbers:
        timestamp = (base + number * FRAME) % (1 << 32)
        out += buffer.add(ssrc, timestamp, pcm(number), follows=number == highest + 1)
        highest = max(highest, number)
    assert len(out) % (2 * FRAME) == 0
    return [out[at] - 1 if out[at] else -1 for at in range(0, len(out), 2 * FRAME)]


def test_what_comes_in_order_goes_out_at_once_around_the_circle_of_timestamps() -> None:
    assert heard([0, 1, 2, 3], base=0xFFFF_FF00) == [0, 1, 2, 3]


@pytest.mark.parametrize("numbers", [[0, 2, 1, 3], [0, 3, 1, 2, 4], [0, 1, 1, 2, 2, 3], [0, 3, 2, 1, 4]], ids=repr)
def test_what_comes_late_or_twice_is_put_in_order(numbers: list[int]) -> None:
    assert heard(numbers) == sorted(set(numbers))


def test_what_is_lost_is_silence_once_sixty_milliseconds_have_come_after_it() -> None:
    assert heard([0, 2, 3]) == [0]
    assert heard([0, 2, 3, 4]) == [0, -1, 2, 3, 4]


def test_what_comes_after_its_turn_is_left_out() -> None:
    assert heard([0, 2, 3, 4, 5, 1, 6]) == [0, -1, 2, 3, 4, 5, 6]


def test_a_far_end_that_sends_no_silence_is_heard_at_once_when_it_speaks_again() -> None:
    """Its sequence numbers go on: nothing is missing."""
    buffer = JitterBuffer()
    buffer.add(1, 0, pcm(0), follows=False)

    assert buffer.add(1, 400 * FRAME, pcm(1), follows=True) == bytes(2 * 480) + pcm(1)
    assert buffer.add(1, 401 * FRAME, pcm(2), follows=True) == pcm(2)


def test_a_new_source_is_heard_at_once_and_nothing_of_the_old_one_is_lost() -> None:
    buffer = JitterBuffer()
    buffer.add(1, 0, pcm(0), follows=False)
    buffer.add(1, 2 * FRAME, pcm(2), follows=False)

    assert buffer.add(2, 99, pcm(5), follows=False) == bytes(2 * FRAME) + pcm(2) + pcm(5)


def test_a_clock_that_is_set_back_is_followed() -> None:
    buffer = JitterBuffer()
    buffer.add(1, 1_000_000, pcm(0), follows=False)

    assert buffer.add(1, 0, pcm(1), follows=True) == pcm(1)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 0xFFFF_FFFF), st.integers(0, 400), st.booleans())))
def test_whatever_comes_no_more_goes_out_than_came_in_and_its_silences(
    packets: list[tuple[int, int, int, bool]],
) -> None:
    buffer = JitterBuffer()
    out = sum(len(buffer.add(ssrc, at, bytes(2 * ticks), follows=yes)) for ssrc, at, ticks, yes in packets)

    assert out <= sum(2 * (ticks + 480) for _, _, ticks, _ in packets)
