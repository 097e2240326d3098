"""Cutting a stream into messages (RFC 3261, 18.3), however it was torn apart on its way."""

import pytest

from gateway.errors.sip import BadSipMessage
from gateway.sip.framing import Framer
from gateway.sip.message import MAX_BYTES

ONE = b"OPTIONS sip:a@b SIP/2.0\r\nCall-ID: 1\r\nContent-Length: 5\r\n\r\nhello"
OTHER = b"OPTIONS sip:a@b SIP/2.0\r\nl : 0\r\nCall-ID: 2\r\n\r\n"
PING = b"\r\n\r\n"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 61, 1000])
def test_messages_come_out_whole_however_they_came(size: int) -> None:
    stream = ONE + OTHER + PING + ONE + b"\r\n" + OTHER + PING + PING
    framer, found = Framer(), []
    for at in range(0, len(stream), size):
        found += framer.feed(stream[at : at + size])

    assert found == [ONE, OTHER, ONE, OTHER]
    assert framer.pings == 3
    assert not framer.is_partial


def test_a_message_that_has_begun_is_known() -> None:
    framer = Framer()
    assert framer.feed(b"\r\n") == []
    assert not framer.is_partial
    framer.feed(ONE[:30])
    assert framer.is_partial
    framer.feed(ONE[30:-1])
    assert framer.is_partial
    assert framer.feed(ONE[-1:]) == [ONE]
    assert not framer.is_partial


@pytest.mark.parametrize(
    "stream",
    [
        b"OPTIONS sip:a@b SIP/2.0\r\nCall-ID: 1\r\n\r\n",
        ONE.replace(b"Call-ID: 1", b"l: 6"),
        ONE.replace(b": 5", b": -5"),
        ONE.replace(b": 5", b": five"),
        ONE.replace(b": 5", b": 99999"),
        b"x" * (MAX_BYTES + 1),
    ],
    ids=["no length", "two lengths", "negative", "no number", "too long", "no end"],
)
def test_a_stream_that_cannot_be_cut_is_given_up(stream: bytes) -> None:
    with pytest.raises(BadSipMessage):
        Framer().feed(stream)


def test_what_is_kept_is_never_more_than_one_message() -> None:
    framer = Framer()
    for _ in range(MAX_BYTES // 6):
        framer.feed(b"X: y\r\n")
    with pytest.raises(BadSipMessage):
        framer.feed(b"X: y\r\n")
