"""Whether a media process hangs, or only waits for its turn on a busy machine.

The gateway asks it twice a second for a sign of life. What it could not have used to answer does not count against it:
time in which the gateway itself was late to ask, and time in which it wanted a core and got none. A stopped process
wants no core, and one that spins has one, so both are found out after three seconds; where one that spins shares its
core with others, as much later as it is kept waiting.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

ASK_S: Final = 0.5
HANGS_AFTER_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Pulse:
    """What the kernel tells of a process: whether it runs or wants to (state R), and the seconds it has run so far."""

    wants_core: bool = False
    ran_s: float = 0.0


class Heart:
    """What is known of one process. `now` is monotonic seconds."""

    def __init__(self, now: float, pulse: Pulse) -> None:
        self._silent_s = 0.0
        self._asked_at, self._pulse = now, pulse

    def beat(self) -> None:
        """It said something."""
        self._silent_s = 0.0

    def hangs(self, now: float, pulse: Pulse) -> bool:
        """Whether it had three seconds to answer in, and did not. Call it every ASK_S."""
        passed_s = min(now - self._asked_at, ASK_S)  # had it been longer, it was we who were late
        ran_s = pulse.ran_s - self._pulse.ran_s
        self._silent_s += min(passed_s, ran_s) if pulse.wants_core else passed_s
        self._asked_at, self._pulse = now, pulse
        return self._silent_s >= HANGS_AFTER_S


def pulse_of(pid: int) -> Pulse:
    """Read it from /proc (proc(5)); where that does not tell, the process counts as one that could answer.

    How long it has waited stands there too, but only once the waiting is over.
    """
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
        return Pulse(state == "R", int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9)
    except (OSError, IndexError, ValueError):
        return Pulse()
