"""What the tests of this room share: engines that are really there, and recordings made on the spot."""

import importlib.util
import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from gateway.speech.prompts import Prompts
from gateway.speech.tts import WorkerEngine, espeak

Record = Callable[..., bytes]


@pytest.fixture
async def espeak_engine() -> AsyncIterator[WorkerEngine]:
    if importlib.util.find_spec("espeakng_loader") is None:
        pytest.skip("the extra [espeak] is not installed")
    engine = espeak()
    yield engine
    await engine.close()


@pytest.fixture
async def prompts(tmp_path: Path) -> AsyncIterator[Prompts]:
    made = Prompts(tmp_path / "prompts", tmp_path / "cache")
    yield made
    await made.close()


@pytest.fixture
def record() -> Record:
    """A recording of a tone between two silences of 0.5 s, as a file in any format."""

    def recording(
        form: str = "WAV",
        *,
        rate: int = 44100,
        channels: int = 2,
        seconds: float = 1.0,
        hertz: float = 440.0,
        peak: float = 0.1,
        subtype: str | None = None,
    ) -> bytes:
        tone = peak * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
        quiet = np.zeros(rate // 2)
        samples = np.repeat(np.concatenate([quiet, tone, quiet])[:, None], channels, axis=1)
        out = io.BytesIO()
        soundfile.write(out, samples, rate, format=form, subtype=subtype)
        return out.getvalue()

    return recording
