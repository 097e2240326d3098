"""Rates and rolling limits as people write them: `3/s`, `1.25/s`, `75/min`; `3/24h`, `500/7d`."""

import re
from fractions import Fraction
from math import gcd
from typing import Final

from gateway.errors.limits import BadRate, BadRolling

# Of a rate's period: Redis keeps and looks through the instant of each, and serves nobody meanwhile.
MOST_UNITS: Final = 10_000

_PERIODS_US: Final = {"s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000}
_LENGTHS_US: Final = {"min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_RATE: Final = re.compile(r"(\d{1,7}(?:\.\d{1,4})?)/(s|min|h)", re.ASCII)
_ROLLING: Final = re.compile(r"(\d{1,9})/(\d{1,5})(min|h|d)", re.ASCII)


def parse_rate(text: str) -> tuple[int, int]:
    """Read a rate such as `3/s`, `1.25/s`, `75/min`.

    Returns: (n, period in µs). A broken number widens the period, so `1.25/s` is 5 in 4 s; a large one narrows it,
             evenly spaced as it is: `100000/h` is 250 in 9 s.
    Raises:  BadRate.
    """
    found = _RATE.fullmatch(text.strip())
    if found is None or not Fraction(found[1]):
        raise BadRate
    count = Fraction(found[1])
    n, period_us = count.numerator, count.denominator * _PERIODS_US[found[2]]
    if n > MOST_UNITS:
        shared = gcd(n, period_us // _PERIODS_US["s"])
        n, period_us = n // shared, period_us // shared
    if n > MOST_UNITS:
        raise BadRate(f"a rate has at most {MOST_UNITS:,} units in its period; give a rounder number, or one per s")
    return n, period_us


def parse_rolling(text: str) -> tuple[int, int]:
    """Read a rolling limit such as `3/24h`, `10/90min`, `500/7d`.

    Returns: (limit, length in µs); a length is a minute to 31 days.
    Raises:  BadRolling.
    """
    found = _ROLLING.fullmatch(text.strip())
    if found is None:
        raise BadRolling
    length_us = int(found[2]) * _LENGTHS_US[found[3]]
    if not _PERIODS_US["min"] <= length_us <= 31 * _LENGTHS_US["d"]:
        raise BadRolling
    return int(found[1]), length_us


def length_of(length_us: int) -> str:
    """Write a length as `parse_rolling` reads it: 24h, 90min, 7d."""
    unit = next(name for name in ("d", "h", "min") if length_us % _LENGTHS_US[name] == 0)
    if unit == "d" and length_us == _LENGTHS_US["d"]:
        unit = "h"  # a day is a window of the calendar; this is not
    return f"{length_us // _LENGTHS_US[unit]}{unit}"
