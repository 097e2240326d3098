"""Addresses of rendered audio for carriers that fetch it: signed, and good for a while only."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from gateway.clock import now_ms


@dataclass(frozen=True, slots=True)
class AudioUrls:
    """Makes and checks them.

    base:  where carriers reach us, such as https://gateway.example.com.
    key:   what they are signed with; keep it over restarts, for calls that go on.
    for_s: how long one can be fetched, in seconds.
    """

    base: str
    key: bytes
    for_s: int

    def url(self, audio_id: str) -> str:
        """The address of a piece of audio, from now on for `for_s`."""
        expires = str(now_ms() // 1000 + self.for_s)
        query = urlencode({"expires": expires, "sig": self._sign(audio_id, expires)})
        return f"{self.base}/audio/{audio_id}.wav?{query}"

    def allows(self, audio_id: str, query: Mapping[str, str]) -> bool:
        """Whether we signed this address and it has not expired."""
        expires, signature = query.get("expires", ""), query.get("sig", "")
        signed = hmac.compare_digest(self._sign(audio_id, expires).encode(), signature.encode())
        return signed and int(expires) * 1000 > now_ms()

    def _sign(self, audio_id: str, expires: str) -> str:
        return hmac.new(self.key, f"{audio_id}\n{expires}".encode(), hashlib.sha256).hexdigest()
