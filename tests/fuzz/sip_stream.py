"""SIP over a stream: damaged bytes, torn apart at random, through the framer; what comes out whole goes to the parser."""

from random import Random

from gateway.errors.sip import BadSipMessage
from gateway.sip.framing import Framer
from gateway.sip.message import MAX_BYTES, parse
from tests.fuzz.sip import World


class SipStreamTarget:
    """One connection after another; a stream that cannot be cut is closed, as the endpoint does."""

    refused = (BadSipMessage,)

    def __init__(self) -> None:
        messages = World().heard
        self.seeds = tuple(b"".join(messages[at : at + 3]) + b"\r\n\r\n" for at in range(len(messages)))
        self._dice = Random(1)

    def feed(self, data: bytes) -> None:
        framer, torn = Framer(), 0
        while torn < len(data):
            size = self._dice.choice((1, 7, 60, 1400))
            for message in framer.feed(data[torn : torn + size]):
                assert len(message) <= MAX_BYTES
                parse(message)
            torn += size
        assert len(framer._buffer) <= MAX_BYTES + 1400

    def settle(self) -> None:
        """Nothing is kept between connections."""
