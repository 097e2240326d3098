"""What the practice phone says when it answers: a person's hello, or a voicemail's greeting and its beep."""

from gateway.media import g711, tones
from gateway.practice.scripts import CallScript

_WORD_S = 0.35
_GAP_S = 0.12
_BREATH_S = 0.4  # before the first word
_BEEP_S = 0.4


def greeting(script: CallScript) -> bytes:
    """The sound of that script's answer, 8 kHz PCM16."""
    if script.greeting_s is None:
        return tones.silence(_BREATH_S) + words(script.hello_s) if script.hello_s else b""
    begun = words(script.pause_after_s) + tones.silence(script.pause_s) if script.pause_s else b""
    beep = tones.beep(_BEEP_S, script.beep_hz) if script.beep_hz else b""
    return begun + words(script.greeting_s) + tones.silence(script.beep_after_s) + beep


def words(seconds: float) -> bytes:
    """So many seconds of bursts like words, of two tones, so that none of them is taken for a beep."""
    word = tones.tone((220.0, 480.0), _WORD_S) + tones.silence(_GAP_S)
    return (word * round(seconds / (_WORD_S + _GAP_S) + 1))[: 2 * round(seconds * g711.RATE_HZ)]
