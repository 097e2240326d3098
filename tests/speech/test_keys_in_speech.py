"""A voice is no key: what the gateway's own engines say, over a telephone line, into the ear for in-band keys."""

import numpy as np
import pytest

from gateway.media import g711, goertzel, tones
from gateway.media.goertzel import ToneReceiver
from gateway.media.level import levelled
from gateway.speech.tts import WorkerEngine

LINES = (
    "The water will be off on Friday from nine in the morning to four in the afternoon, while we replace a main.",
    "Please fill a kettle and a bucket the evening before, and keep them where the children cannot reach.",
    "Press one to confirm, two to hear this again, three to speak to someone, or nine to be removed from our list.",
    "Zero one two three four five six seven eight nine ten eleven twelve, two, too, who, you, blue, new, due, few.",
    "Bees seize sheets; Louise's cheese freezes; ooze, whose shoes? Hum, him, home, ham; ring, rang, wrong, rung.",
    "If you depend on water for medical reasons, please call us today, and we will bring a tank to your door.",
)
SHORTEST_S = 60


async def spoken(engine: WorkerEngine) -> bytes:
    """At least a minute of speech, high and low and fast and slow, as loud as prompts are."""
    pcm = b""
    for speed in (1.0, 0.8, 1.3):
        for line in LINES:
            pcm += levelled(await engine.render(line, language="en-US", voice="", speed=speed))
    samples = np.frombuffer(pcm, np.int16)
    higher = samples[np.arange(0, len(samples) - 1, 1.6).astype(int)]  # a child's, crudely
    return g711.decode(g711.encode(pcm + higher.tobytes()))


def keys_in(pcm: bytes) -> str:
    receiver = ToneReceiver()
    receiver.hear(pcm)
    return "".join(key for _, key in goertzel.hear_all([receiver]))


async def test_no_key_is_heard_in_minutes_of_speech(espeak_engine: WorkerEngine) -> None:
    pcm = await spoken(espeak_engine)

    assert len(pcm) / 16000 > 2 * SHORTEST_S
    assert keys_in(pcm) == ""


@pytest.mark.parametrize("keys", ["0123456789*#ABCD", "5555"])
async def test_keys_are_heard_over_somebody_who_speaks_in_the_pauses(espeak_engine: WorkerEngine, keys: str) -> None:
    line = levelled(await espeak_engine.render(LINES[0], language="en-US", voice="", speed=1.0))[:8000]
    pressed = b"".join(line + tones.silence(0.05) + tones.dtmf(key, 0.06) + tones.silence(0.05) for key in keys)

    assert keys_in(g711.decode(g711.encode(pressed))) == keys
