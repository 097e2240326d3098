"""RTP, recordings on the wire and the media process."""

from gateway.errors import GatewayError


class BadRtp(GatewayError):
    """The datagram is not an RTP packet (RFC 3550, section 5.1). It is counted and dropped, never answered."""

    slug, status = "bad_rtp", 400


class BadWav(GatewayError):
    """The bytes are not a WAV file of 8 kHz, one channel, 16 bits."""

    slug, status = "bad_wav", 422


class InvalidDigit(GatewayError):
    """A digit is outside 0-9, *, #, A-D."""

    slug, status = "invalid_digit", 422

    def __init__(self) -> None:
        super().__init__("a digit is one of 0-9 * # A-D")


class MediaLimit(GatewayError):
    """A bound of the media engine is reached: streams, ports, queued audio, digits or audio held in memory."""

    slug, status = "media_limit", 503


class MediaDown(GatewayError):
    """The media process is not running, or died while it was asked. Streams that it carried are gone."""

    slug, status = "media_down", 503
