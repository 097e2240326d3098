"""WAV files of the one kind a telephone knows: 8 kHz, one channel, 16 bits."""

import io
import wave

from gateway.errors.media import BadWav
from gateway.media.g711 import RATE_HZ


def write(pcm: bytes) -> bytes:
    """A WAV file that holds this 8 kHz mono PCM16 (little-endian, as WAV has it)."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(pcm)
    return out.getvalue()


def read(data: bytes) -> bytes:
    """The PCM16 of a WAV file. Raises: BadWav, naming what is not as a telephone needs it."""
    try:
        with wave.open(io.BytesIO(data), "rb") as file:
            kind = (file.getframerate(), file.getnchannels(), file.getsampwidth())
            if kind != (RATE_HZ, 1, 2):
                raise BadWav("{} Hz, {} channels, {} bytes a sample; needed are 8000 Hz, 1, 2".format(*kind))
            return file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise BadWav(f"not a readable WAV file: {error}") from error
