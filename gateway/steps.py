"""The named steps at which a process may die: before and after everything that is durable or goes out on a wire.

Work that must survive a kill says which step it has come to; nobody listens in production. `make chaos` does, in
processes of its own, and kills them at the step that a run is about.
"""

from collections.abc import Callable

_listener: Callable[[str], None] | None = None


def reached(step: str) -> None:
    """Say that `step` was reached: the name of the action, a colon, `before` or `after`, such as `sending:after`."""
    if _listener is not None:
        _listener(step)


def listen(listener: Callable[[str], None] | None) -> None:
    """Have `listener` called at every step of this process, in the thread that comes to it; None: nobody."""
    global _listener  # noqa: PLW0603 - one process, one listener
    _listener = listener
