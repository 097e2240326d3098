import numpy as np
import pytest

from gateway.media import g711

EVERY_CODE = bytes(range(256))
EVERY_SAMPLE = np.arange(-32768, 32768).astype(np.int16)


@pytest.mark.parametrize(
    ("payload_type", "code", "value"),
    [
        (0, 0x00, -32124),
        (0, 0x80, 32124),
        (0, 0xFF, 0),
        (0, 0xEF, 132),
        (8, 0xAA, 32256),
        (8, 0x2A, -32256),
        (8, 0xD5, 8),
    ],
)
def test_codes_have_the_values_of_the_standard(payload_type: int, code: int, value: int) -> None:
    """ITU-T G.711, tables 1a to 2b, left-aligned in 16 bits."""
    assert np.frombuffer(g711.decode(bytes([code]), payload_type), np.int16)[0] == value


@pytest.mark.parametrize("payload_type", [g711.PCMU, g711.PCMA])
def test_every_code_comes_back_from_its_own_value(payload_type: int) -> None:
    back = g711.encode(g711.decode(EVERY_CODE, payload_type), payload_type)

    changed = {code for code in range(256) if back[code] != code}
    assert changed <= {0x7F}  # mu-law has a negative zero


@pytest.mark.parametrize("payload_type", [g711.PCMU, g711.PCMA])
def test_every_sample_goes_to_the_nearest_value(payload_type: int) -> None:
    values = np.frombuffer(g711.decode(EVERY_CODE, payload_type), np.int16).astype(int)
    coded = np.frombuffer(g711.encode(EVERY_SAMPLE.tobytes(), payload_type), np.uint8)

    errors = np.abs(values[coded] - EVERY_SAMPLE.astype(int))
    nearest = np.abs(values[None, :] - EVERY_SAMPLE.astype(int)[::97, None]).min(axis=1)
    assert (errors[::97] == nearest).all()


@pytest.mark.parametrize("payload_type", [g711.PCMU, g711.PCMA])
def test_silence_is_the_code_nearest_zero(payload_type: int) -> None:
    assert g711.encode(bytes(2), payload_type) == g711.SILENCE[payload_type]
