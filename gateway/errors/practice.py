"""The far end to practise on."""

from gateway.errors import GatewayError


class InvalidPracticeOption(GatewayError):
    """A setting of the far end to practise on is unusable, or would let it be reached from elsewhere."""

    slug, status = "invalid_practice_option", 422


class PracticePortTaken(GatewayError):
    """The far end cannot listen where it was told to: something else does."""

    slug, status = "practice_port_taken", 500

    def __init__(self, kind: str, host: str, port: int) -> None:
        super().__init__(f"{kind} {host}:{port} is already taken")


class BadTwiml(GatewayError):
    """What a TwiML URL answered is not TwiML that Twilio would run."""

    slug, status = "bad_twiml", 422
