import io
import wave

import pytest

from gateway.errors.media import BadWav
from gateway.media import tones, wav


def test_what_is_written_is_read_back() -> None:
    audio = tones.beep()

    assert wav.read(wav.write(audio)) == audio


@pytest.mark.parametrize("data", [b"", b"RIFF", b"ID3\x04 some mp3", wav.write(b"ab")[:30]], ids=repr)
def test_what_is_no_wav_is_refused(data: bytes) -> None:
    with pytest.raises(BadWav):
        wav.read(data)


def test_a_wav_of_another_kind_is_refused_with_what_it_is() -> None:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44100)
        file.writeframes(bytes(8))

    with pytest.raises(BadWav, match="44100 Hz, 2 channels"):
        wav.read(out.getvalue())
