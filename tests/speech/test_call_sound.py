"""The sound of a call made in thought: real prompts, keys as tones, silence between."""

from pathlib import Path

import numpy as np
import pytest

from gateway.errors.speech import CallTooLong
from gateway.media.goertzel import ToneReceiver, hear_all
from gateway.media.tones import speak_now, tone
from gateway.speech.audio import Audio
from gateway.speech.call_sound import sound_of
from gateway.voice.dialplan import Play, Say
from gateway.voice.loader import load

PLAN = load(
    """\
name: x
language: en-US
start: ask
nodes:
  ask:
    menu: {prompt: [{say: Press 1.}, {pause: 1s}], choices: {"1": pin}, timeout: 2s, attempts: 2, otherwise: bye}
  pin:
    collect: {prompt: {say: PIN?}, into: pin, max_digits: 4, otherwise: bye}
    next: tell
  tell: {record: {into: said, silence: 2s}, next: bye}
  bye: {say: Goodbye., then: hangup}
""",
    file="x.yaml",
)
SECONDS = {"Press 1.": 1.5, "PIN?": 1.0, "Goodbye.": 0.5}


async def render(part: Say | Play) -> Audio:
    assert isinstance(part, Say)
    return Audio(part.text, tone((440.0,), SECONDS[part.text]), Path())


def loudness(pcm: bytes, begin: float, end: float) -> float:
    piece = np.frombuffer(pcm, dtype="<i2")[int(begin * 8000) : int(end * 8000)].astype(float)
    return float(np.sqrt(np.mean(piece**2)))


async def test_a_call_sounds_as_long_as_it_lasts_with_silence_where_nobody_speaks() -> None:
    transcript, pcm = await sound_of(PLAN, {}, ["silence", "1", "42#", "speaks"], render)

    #      prompt 0-1.5, pause to 2.5, silence to 4.5, prompt to 6.0, pause to 7.0, key 1, PIN? 7.25-8.25, keys 42#
    assert [round(sound.at, 2) for sound in transcript.sounds] == [
        0,
        1.5,
        4.5,
        6.0,
        7.0,
        7.25,
        8.25,
        8.5,
        8.75,
        9.0,
        16.0,
    ]
    assert transcript.seconds == pytest.approx(16.5)
    assert len(pcm) == 2 * 8000 * 17
    assert loudness(pcm, 0.1, 1.4) > 3000
    assert loudness(pcm, 1.6, 4.4) == 0
    assert pcm[9 * 16000 :].startswith(speak_now())  # the tone before the recording, as a trunk's calls hear it
    assert loudness(pcm, 9.25, 15.9) == 0
    assert loudness(pcm, 16.05, 16.45) > 3000


async def test_the_keys_of_a_call_are_heard_as_such() -> None:
    _, pcm = await sound_of(PLAN, {}, ["1", "4711", "#"], render)

    receiver = ToneReceiver()
    heard = []
    for begin in range(0, len(pcm) - 320, 320):
        receiver.hear(pcm[begin : begin + 320])
        heard += [key for _, key in hear_all([receiver])]

    assert "".join(heard) == "14711#"


async def test_a_call_too_long_to_listen_to_is_refused() -> None:
    pauses = "\n".join(f"  n{at}: {{pause: 60s, next: n{at + 1}}}" for at in range(40))
    plan = load(f"name: x\nlanguage: en-US\nstart: n0\nnodes:\n{pauses}\n  n40: {{hangup}}\n", file="x.yaml")

    with pytest.raises(CallTooLong):
        await sound_of(plan, {}, [], render)
