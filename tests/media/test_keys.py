import pytest

from gateway.media.keys import ECHO_S, Keys, in_info

RELAY, PLAIN = "application/dtmf-relay", "application/dtmf"


def told(*presses: tuple[str, str, float]) -> str:
    """Give (way, key, when) in this order; returns the keys that count."""
    keys = Keys()
    return "".join(key for way, key, at in presses if keys.is_new(way, key, at))


@pytest.mark.parametrize(
    ("content_type", "body", "key"),
    [
        (RELAY, b"Signal=5\r\nDuration=160\r\n", "5"),
        (RELAY, b"Signal= *\nDuration= 250", "*"),
        (RELAY, b"signal = 11\r\nDuration=100", "#"),
        (RELAY, b"Signal=10", "*"),
        (RELAY + ";charset=utf-8", b"Signal=d", "D"),
        (PLAIN, b"7", "7"),
        (PLAIN, b"#\r\n", "#"),
        (PLAIN, b"Signal=3\r\nDuration=90", "3"),
        ("Application/DTMF", b" 0 ", "0"),
    ],
)
def test_a_key_in_an_info_is_read_as_far_ends_write_it(content_type: str, body: bytes, key: str) -> None:
    assert in_info(content_type, body) == key


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain", b"5"),
        ("application/media_control+xml", b"<x/>"),
        (RELAY, b"Duration=5"),
        (RELAY, b"Signal=55"),
        (RELAY, b"Signal=16"),
        (PLAIN, b"12 34"),
        (PLAIN, b""),
        ("", b"5"),
    ],
)
def test_what_is_no_key_is_none(content_type: str, body: bytes) -> None:
    assert in_info(content_type, body) is None


def test_a_far_end_that_sends_both_presses_each_key_once() -> None:
    both = [(way, key, at) for at, key in enumerate("1234") for way in ("rtp", "info")]

    assert told(*both) == "1234"


def test_the_same_key_twice_fast_is_two_keys_by_one_way_and_by_two() -> None:
    assert told(("rtp", "5", 0.0), ("rtp", "5", 0.15)) == "55"
    assert told(("rtp", "5", 0.0), ("rtp", "5", 0.15), ("info", "5", 0.2), ("info", "5", 0.3)) == "55"
    assert told(("info", "5", 0.0), ("rtp", "5", 0.1), ("rtp", "5", 0.2), ("info", "5", 0.3)) == "55"


def test_one_way_that_misses_a_key_costs_none() -> None:
    assert told(("rtp", "1", 0.0), ("info", "2", 1.0), ("rtp", "3", 2.0), ("info", "3", 2.1)) == "123"


def test_a_key_that_comes_long_after_is_another_press() -> None:
    assert told(("rtp", "5", 0.0), ("info", "5", ECHO_S + 0.1)) == "55"


def test_who_drums_does_not_fill_the_memory() -> None:
    keys = Keys()
    assert all(keys.is_new("rtp", "5", 0.0) for _ in range(1000))
    assert len(keys._presses) <= 65
