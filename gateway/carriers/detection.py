"""Who answered: a trunk's settings as the ear of its calls takes them."""

from gateway.media.amd import Times
from gateway.settings_trunks import Trunk


def detection_times(trunk: Trunk) -> Times | None:
    """How a trunk's settings tell who answered; None where they say not to."""
    if not trunk.machine_detection:
        return None
    return Times(
        trunk.machine_silence_ms,
        trunk.machine_greeting_ms,
        trunk.machine_after_greeting_ms,
        trunk.machine_no_beep_ms,
        trunk.machine_timeout_ms,
    )
