"""Hearing when a prompt has ended: speech, then silence for long enough. Pure: time is handed in."""

from gateway.media import g711

_LOUD = 400  # of 32,768: above line noise, far below speech (-20 dBov is about 3,300)
_LOUD_SAMPLES = 20  # of a frame's 160: below it is a click
_SPEECH_FRAMES = 5  # 100 ms; anything shorter is no prompt
_FRAME_S = 0.020


def _quiet_codes(payload_type: int) -> bytes:
    """Return the G.711 codes whose samples are quiet, so that one bytes.translate counts the loud ones."""
    every = bytes(range(256))
    pcm = memoryview(g711.decode(every, payload_type)).cast("h")
    return bytes(code for code in every if abs(pcm[code]) < _LOUD)


_QUIET = {law: _quiet_codes(law) for law in (g711.PCMU, g711.PCMA)}


class Ear:
    """Follows one call's audio. `pause_s` is the silence that ends a prompt; prompts counts those that ended."""

    def __init__(self, pause_s: float) -> None:
        """Nothing was heard yet."""
        self._pause_s = pause_s
        self._frames = 0
        self._spoke_at: float | None = None
        self.prompts = 0
        self.speech_s = 0.0

    def hear(self, payload: bytes, payload_type: int, now: float) -> None:
        """Take one G.711 frame."""
        loud = len(payload.translate(None, _QUIET[payload_type]))
        if loud >= _LOUD_SAMPLES:
            self._frames += 1
            self._spoke_at = now
            self.speech_s += _FRAME_S

    def prompt_ended(self, now: float) -> bool:
        """Say, once a prompt, that it is over. Ask every 20 ms or so: silence may also be that nothing arrives."""
        if self._spoke_at is None or now - self._spoke_at < self._pause_s:
            return False
        enough = self._frames >= _SPEECH_FRAMES
        self._spoke_at, self._frames = None, 0
        self.prompts += enough
        return enough
