"""How a call made in thought would sound: prompts as they are heard, keys and the recording's tone, silence between."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import numpy as np

from gateway.errors.speech import CallTooLong
from gateway.media import tones
from gateway.media.g711 import RATE_HZ
from gateway.speech.audio import Audio
from gateway.voice.dialplan import Part, Pause, Plan, Play, Say
from gateway.voice.transcript import Sound, Timing, Transcript, simulate

KEY_S: Final = 0.25  # from one key to the next, as quick fingers press them
TONE_S: Final = 0.12
LONGEST_S: Final = 1800.0
TAIL_S: Final = 0.5

Render = Callable[[Say | Play], Awaitable[Audio]]


async def sound_of(
    plan: Plan, variables: Mapping[str, str], keys: Sequence[str], render: Render
) -> tuple[Transcript, bytes]:
    """Make one call in thought, with the real lengths of its prompts.

    variables, keys: as for `transcript.simulate`.
    render:          gives the audio of one part.
    Returns:         the transcript, and 8 kHz mono PCM16.
    Raises:          as `simulate` and `render` do; CallTooLong for more than half an hour.
    """
    parts = [sound.what for sound in simulate(plan, variables, keys).sounds if isinstance(sound.what, Say | Play)]
    wanted = tuple(dict.fromkeys(parts))
    heard = dict(zip(wanted, await asyncio.gather(*map(render, wanted)), strict=True))

    def seconds(part: Part) -> float:
        return part.seconds if isinstance(part, Pause) else heard[part].seconds

    transcript = simulate(plan, variables, keys, Timing(seconds, KEY_S))
    if transcript.seconds > LONGEST_S:
        raise CallTooLong(transcript.seconds, LONGEST_S)
    return transcript, await asyncio.to_thread(_mixed, transcript.sounds, heard, transcript.seconds)


def _mixed(sounds: Sequence[Sound], heard: Mapping[Say | Play, Audio], seconds: float) -> bytes:
    """Lay every sound on the line at its time."""
    line = np.zeros(round((seconds + TAIL_S) * RATE_HZ), dtype=np.int32)
    for sound in sounds:
        pcm = np.frombuffer(_pcm(sound.what, heard), dtype="<i2")
        begin = round(sound.at * RATE_HZ)
        room = line[begin : begin + len(pcm)]
        room += pcm[: len(room)]
    return np.clip(line, -32768, 32767).astype("<i2").tobytes()


def _pcm(what: Part | str, heard: Mapping[Say | Play, Audio]) -> bytes:
    match what:
        case Pause():
            return b""
        case str():
            return tones.dtmf(what, TONE_S) if what else tones.speak_now()
        case _:
            return heard[what].pcm
