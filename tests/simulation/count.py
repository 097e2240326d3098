"""How many histories a run of the tests has lived, in one line: what fell short is said, whatever the reason."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

HISTORIES: Final = 10_000
AT_ONCE: Final = 500  # seeds a test
FIRSTS: Final = range(0, HISTORIES, AT_ONCE)


def line(told: Iterable[Mapping[str, Any]]) -> str:
    """Sum up what each test told: `first`, its first seed, and of what `living` printed `histories`, `texts` and `failed`."""
    by_first = {each["first"]: each for each in told}
    lived = {first: int(by_first[first]["histories"]) if first in by_first else 0 for first in FIRSTS}
    texts = sum(each["texts"] for each in by_first.values())
    failed = sorted(int(seed) for each in by_first.values() for seed in each["failed"])
    short = [
        f"{AT_ONCE - done} of seeds {first}-{first + AT_ONCE - 1}" for first, done in lived.items() if done < AT_ONCE
    ]
    words = f"histories: {sum(lived.values())} of {HISTORIES}, seeds 0-{HISTORIES - 1}, {texts} texts, "
    words += f"failed: {failed}" if failed else "none failed"
    return f"{words}; NOT LIVED: {', '.join(short)}" if short else words
